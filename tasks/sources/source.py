"""What every source offers, and what sources of files share."""

from __future__ import annotations

import os
import stat
import string
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from gan_core.errors import ConfigError, DataError, GantryError
from tasks.sources.raw import Kind, RawReader, safe_path
from tasks.workspace import Workspace

_CHUNK = 1 << 20
_IN_MEMORY = 8 << 20
"""Bytes of a file that are held in memory; larger ones in a temporary file."""
_SETTLED_NS = 2_000_000_000
"""How long a file has to be unchanged before its state is trusted."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that a source offers."""

    path: str
    """Where it goes in raw."""
    size: int
    """Bytes at the source."""
    state: str | None
    """Equal states mean equal bytes, as the file system tells without reading; None: it cannot tell."""
    open: Callable[[], BinaryIO]
    """A seekable stream of the bytes that go into raw. Called in several threads at once where `is_far`."""
    is_far: bool = False
    """Whether opening it waits for a network."""


class Source(Protocol):
    """A place that data comes from."""

    @property
    def kind(self) -> Kind:
        """What is fetched from it, as `tasks.sources.raw` lists."""
        ...

    @property
    def truth(self) -> Mapping[str, Any] | None:
        """Points: the distribution they are drawn from, as `gan_core.kinds.points.Points.truth` has it."""
        ...

    @property
    def identity(self) -> str:
        """What the states of its files are about: another folder has another identity."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Equal fingerprints mean that nothing of what `look` and `check` give has changed, as is told without either, of an archive for
        one; None: it takes a `look` to tell.

        Raises:
            DataError, GantryError: as `look`.
        """
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of the last `look`, a line each."""
        ...

    def look(self) -> Sequence[SourceFile]:
        """A quick look at what is there, without reading it.

        Raises:
            DataError: nothing usable is there.
            GantryError: the network, or something else that may pass.
        """
        ...

    def check(self, before: RawReader | None = None) -> int:
        """Read what can only be judged as a whole. Returns the number of samples.

        Args:
            before: what was fetched last, which this is to replace.

        Raises:
            DataError: a file is damaged, or is not what its name says; names it.
        """
        ...


def made(path: str, data: bytes) -> SourceFile:
    """A file that the source has just made, in memory."""
    return SourceFile(path, len(data), None, lambda: BytesIO(data))


def state_of(facts: os.stat_result, now_ns: int) -> str | None:
    """What tells that a file is still the same; `now_ns` is a time before the file was looked at.

    A file that has just changed may change again within the clock's resolution and look the same, so it gets none.
    """
    if facts.st_ctime_ns > now_ns - _SETTLED_NS:
        return None
    return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns} {facts.st_ino}"


def open_file(path: str | Path) -> BinaryIO:
    """Open a file that was there a moment ago, if it still is an ordinary file.

    Raises:
        GantryError: it is gone; that may pass, as when somebody is sorting the folder.
        DataError: it may not be read.
    """
    try:
        # Without O_NONBLOCK a named pipe that took the file's place would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise GantryError(f"{safe_path(str(path))}: vanished during the fetch; fetch again when nothing writes to the source") from None
    except OSError as error:
        raise DataError(f"{safe_path(str(path))}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{safe_path(str(path))}: is no ordinary file any more")
    return os.fdopen(descriptor, "rb")


def scratch_file(folder: Path) -> BinaryIO:
    """An empty file without a name in `folder`, of which nothing is left once it is closed, or the process ends in whatever way."""
    folder.mkdir(parents=True, exist_ok=True)
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


def held(stream: BinaryIO, size: int, folder: Path, refusal: GantryError, goes_on: bool = False) -> BinaryIO:
    """The next `size` bytes of a stream, as a stream that can be sought; large ones in a scratch file in `folder`.

    Args:
        goes_on: whether the stream may have more, which is not read then.

    Raises:
        GantryError: `refusal`, where it has fewer, or more.
    """
    file = BytesIO() if size <= _IN_MEMORY else scratch_file(folder)
    left = size
    while left and (piece := stream.read(min(left, _CHUNK))):
        file.write(piece)
        left -= len(piece)
    if left or (not goes_on and stream.read(1)):
        file.close()
        raise refusal
    file.seek(0)
    return file


def expand_variables(text: str, key: str) -> str:
    """`text` with its `$VARIABLE`s replaced by what the environment has.

    Raises:
        ConfigError: a variable is not set; names it and `key`.
    """
    try:
        return string.Template(text).substitute({name: value for name, value in os.environ.items() if value})
    except KeyError as error:
        raise ConfigError(f"{key}: {text!r}: the environment variable {error.args[0]} is not set; set it, or write the path out") from None
    except ValueError:
        raise ConfigError(f"{key}: {text!r}: a `$` begins the name of a variable; write `$$` for a plain one") from None


def expand_path(text: str, workspace: Workspace, key: str) -> Path:
    """The path that `text` stands for: `$VARIABLE` and a leading `~` expanded, relative paths taken from the workspace's root.

    Raises:
        ConfigError: a variable is not set; names it and `key`.
    """
    expanded = expand_variables(text, key)
    if "\0" in expanded:
        raise ConfigError(f"{key}: {text!r}: a path cannot hold a zero byte")
    # os.path.expanduser leaves an unknown user's `~name` as it is.
    return workspace.root.resolve() / os.path.expanduser(expanded)  # noqa: PTH111
