"""One file on the network, and its copy on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol

from gan_core.errors import GantryError
from tasks.sources.source import scratch_file


@dataclass(frozen=True)
class RemoteFacts:
    """What a server says of a file without sending it."""

    size: int | None
    """Bytes, where it says so."""
    state: str | None
    """As `SourceFile.state`."""


class RemoteFile(Protocol):
    """One file on the network, as the library of its scheme gives it."""

    def facts(self) -> RemoteFacts:
        """What the server says of it, without a transfer.

        Raises:
            ConfigError: the library is missing, or credentials are.
            DataError: it is not there, or may not be read.
            GantryError: the network.
        """
        ...

    def download(self, into: BinaryIO) -> None:
        """Write all of it into an empty file. Raises as `facts`."""
        ...


class LocalCopy:
    """The copy of a remote file, brought at the first need.

    Args:
        remote: what it is a copy of.
        scratch: the folder for scratch files.
        where: what messages call it.
    """

    def __init__(self, remote: RemoteFile, scratch: Path, where: str) -> None:
        self.where = where
        self.scratch = scratch
        self._remote = remote

    @cached_property
    def facts(self) -> RemoteFacts:
        return self._remote.facts()

    @property
    def notes(self) -> Sequence[str]:
        if self.facts.state is not None:
            return ()
        return (
            f"{self.where}: the server does not say whether it has changed (no ETag, no Last-Modified), so it is transferred each time",
        )

    @cached_property
    def file(self) -> BinaryIO:
        """The bytes; nothing is left of them once this object is gone.

        Raises:
            GantryError: as `RemoteFile`; or there is no room for it.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        size, free = self.facts.size or 0, shutil.disk_usage(self.scratch).free
        if size > free:
            raise GantryError(f"{self.where}: has {size:,} bytes, and {free:,} are free here; make room for it, and as much again")
        print(f"transferring {self.where}" + (f", {size:,} bytes" if size else ""), flush=True)
        file = scratch_file(self.scratch)
        self._remote.download(file)
        return file

    def opened(self) -> BinaryIO:
        """The bytes from their beginning, as a file of one's own. Raises as `file`."""
        self.file.seek(0)
        return os.fdopen(os.dup(self.file.fileno()), "rb")


class RemotePlace:
    """What a remote file holds, as a `tasks.sources.images.Place` but for its files.

    Args:
        copy: of the file.
        identity: of what is taken from it.
    """

    def __init__(self, copy: LocalCopy, identity: str) -> None:
        self.copy = copy
        self.where = copy.where
        self.identity = identity

    @property
    def fingerprint(self) -> str | None:
        state = self.copy.facts.state
        return None if state is None else f"{self.identity} {state}"

    @property
    def notes(self) -> Sequence[str]:
        return self.copy.notes
