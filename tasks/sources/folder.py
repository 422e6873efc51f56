"""`folder://PATH`: the files of a folder on this machine, or of an archive there.

Links to ordinary files inside the folder are followed. Left out, and counted: links that lead out of it, to a folder, or nowhere, and
what is no ordinary file.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from gan_core.errors import DataError
from tasks.addresses import archive_in
from tasks.params import DataParams
from tasks.sources.images import Place, Selection
from tasks.sources.raw import safe_path
from tasks.sources.source import SourceFile, expand_path, open_file, state_of
from tasks.workspace import Workspace


def folder_or_archive(workspace: Workspace, data: DataParams) -> Place:
    """The place that `data.source` names; a folder whose name ends like an archive's is a folder.

    Raises:
        ConfigError: a variable in the path is not set.
        DataError: it is not there.
    """
    path = expand_path(data.location, workspace, "data.source")
    named = archive_in(str(path))
    if named is None or path.is_dir() or Path(named[0]).is_dir():
        return Folder(path, data.source)
    return _local_archive(Path(named[0]), named[1], workspace, data.source)


def _local_archive(path: Path, below: str, workspace: Workspace, source: str) -> Place:
    from tasks.sources.archives import Archive

    now_ns = time.time_ns()
    where = safe_path(str(path))
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        raise DataError(f"{source}: the archive {where} is not there; put it there or correct data.source") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        raise DataError(f"{source}: the archive {where} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    file = open_file(real)
    state = state_of(os.fstat(file.fileno()), now_ns)
    return Archive(file, path.name, where, str(real), state, below, scratch=workspace.private / "fetch")


class Folder:
    """A folder; a `tasks.sources.images.Place`.

    Raises:
        DataError: it is not there, or no folder.
    """

    fingerprint = None
    notes: Sequence[str] = ()

    def __init__(self, path: Path, source: str) -> None:
        self._root = str(_existing(path, source))
        self.identity = self._root
        self.where = safe_path(self._root)

    def files(self, choice: Selection) -> Iterator[SourceFile]:
        now_ns = time.time_ns()
        for path, place, facts in self._found(choice):
            yield SourceFile(safe_path(path), facts.st_size, state_of(facts, now_ns), partial(open_file, place))

    def _found(self, choice: Selection) -> Iterator[tuple[str, str, os.stat_result]]:
        """Of each file that is taken its path below the root, its real place, and what the file system knows of it."""
        folders = [""]
        if choice.folders is not None:
            for one in _entries(self._root):
                choice.looks_at(f"{one.name}/" if one.is_dir(follow_symlinks=False) else one.name)
            folders = [f"{folder}/" for folder in choice.folders if choice.top.get(folder)]
        while folders:
            below = folders.pop()
            # Plain strings: a pathlib object for each of 60,000 files would double the time of a look.
            for entry in _entries(f"{self._root}/{below}"):
                path = below + entry.name
                if not choice.looks_at(path):
                    continue
                if entry.is_symlink():
                    if (target := _target_inside(entry.path, self._root)) is None:
                        choice.left_out["linked elsewhere"] += 1
                    elif choice.takes(path):
                        yield path, target, os.stat(target, follow_symlinks=False)  # noqa: PTH116
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                elif choice.takes(path):
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        yield path, entry.path, facts
                    else:
                        choice.left_out["no ordinary files"] += 1


def _existing(path: Path, source: str) -> Path:
    try:
        root = path.resolve(strict=True)
        if not root.is_dir():
            raise DataError(
                f"{source}: {safe_path(str(path))} is a file; name the folder that holds the images, or an archive (zip, tar) of them"
            )
    except FileNotFoundError:
        raise DataError(f"{source}: the folder {safe_path(str(path))} is not there; create it or correct data.source") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        raise DataError(
            f"{source}: the folder {safe_path(str(path))} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None
    return root


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{safe_path(folder)}: cannot be read ({error.strerror})") from None


def _target_inside(link: str, root: str) -> str | None:
    """The file that a link leads to, if it is an ordinary one inside `root`."""
    target = os.path.realpath(link)
    inside = target.startswith(root.rstrip("/") + "/")
    return target if inside and os.path.isfile(target) else None  # noqa: PTH113
