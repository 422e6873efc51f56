"""`text://PATH`, a file of sentences on this machine, and likewise one on the network; and the texts of a folder, archive or bucket.

Texts are read before they replace those that were fetched last, as tables are: which column holds the sentences is to be seen in the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from gan_core.errors import DataError
from tasks.addresses import TEXT_SUFFIXES
from tasks.params import DataParams
from tasks.sources.images import ImageSource, Place, Selection
from tasks.sources.raw import RawReader, safe_path
from tasks.sources.remote import RemotePlace
from tasks.sources.source import SourceFile, expand_path, open_file, state_of
from tasks.validation.text_files import read_texts
from tasks.workspace import Workspace


class SentenceSource(ImageSource):
    """The texts of a place, each of which holds sentences."""

    def __init__(self, place: Place, data: DataParams) -> None:
        super().__init__(place, data)
        self._column = data.text
        self._files: Sequence[SourceFile] = ()

    def look(self) -> Sequence[SourceFile]:
        self._files = super().look()
        return self._files

    def check(self, before: RawReader | None = None) -> int:
        super().check(before)
        count = 0
        for file in self._files:
            if file is not self._annotations_file:
                with file.open() as stream:
                    count += len(read_texts(stream.read(), file.path, self._column).texts)
        if not count:
            raise DataError(f"{self._where}: no sentences in it; a text holds one a line, or a column of them")
        return count


class OneFile:
    """A file on this machine; a `tasks.sources.images.Place`."""

    fingerprint = None
    notes: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = safe_path(str(path))
        self.identity = f"text://{self.where}"

    def files(self, choice: Selection) -> Iterator[SourceFile]:
        now = time.time_ns()
        facts = self._path.stat()
        yield SourceFile(safe_path(self._path.name), facts.st_size, state_of(facts, now), partial(open_file, os.fspath(self._path)))


def one_file(workspace: Workspace, data: DataParams) -> OneFile:
    """The file that `text://` names.

    Raises:
        ConfigError: a variable in the path is not set.
        DataError: it is not there, or its name ends as no text's does.
    """
    path = expand_path(data.location, workspace, "data.source")
    shown = safe_path(str(path))
    if not path.name.lower().endswith(TEXT_SUFFIXES):
        raise DataError(f"{data.source}: {shown} is no text that is read here; its name ends in {', '.join(TEXT_SUFFIXES)}")
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        raise DataError(f"{data.source}: {shown} is not there; put it there or correct data.source") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        raise DataError(f"{data.source}: {shown} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not real.is_file():
        raise DataError(f"{data.source}: {shown} is no ordinary file; name one, or write folder:// and layout: sentences")
    return OneFile(real)


class RemoteText(RemotePlace):
    """A text on the network; a `tasks.sources.images.Place`."""

    def files(self, choice: Selection) -> Iterator[SourceFile]:
        size = self.copy.facts.size
        if size is None:
            size = self.copy.file.seek(0, os.SEEK_END)
        yield SourceFile(safe_path(PurePosixPath(self.where).name), size, self.copy.facts.state, self.copy.opened)
