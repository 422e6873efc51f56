"""Sources on the network: `s3://bucket/path`, `gs://` and `az://`, and `https://host/path`.

An archive or a table is transferred whole, into a scratch file; what tells that it is unchanged is asked first. Below any other path of a
bucket, each object is a file, and what tells that one is unchanged comes with the list of them.

Credentials, endpoints and regions come from the environment, as the libraries of each store read them. `http://` is for this machine
alone, and no redirect leads from https to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from gan_core.errors import GantryError
from tasks.addresses import BUCKETS, archive_in, is_table, without_query
from tasks.params import DataParams
from tasks.sources.archives import Archive
from tasks.sources.images import Choice, ImageSource
from tasks.sources.raw import Kind, safe_path
from tasks.sources.source import Source, SourceFile, expand_variables, scratch_file
from tasks.validation.tables import read_table
from tasks.workspace import Workspace


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


def open_url(workspace: Workspace, data: DataParams) -> Source:
    """The source at a URL; nothing is asked of the network yet.

    Raises:
        ConfigError: a variable in it is not set.
    """
    location = expand_variables(data.location, "data.source")
    scratch = workspace.private / "fetch"
    where = without_query(data.source)  # its variables not expanded: they may be secrets
    if is_table(data.source):
        return RemoteTable(Transfer(_remote_file(data.scheme, location, where), scratch, where), _identity(data.scheme, location))
    in_archive = archive_in(without_query(location))
    if in_archive is None:
        from tasks.sources.buckets import Bucket

        return ImageSource(Bucket(data.scheme, location, where, scratch), data)
    archive, below = in_archive
    query = location[len(without_query(location)) :]
    transfer = Transfer(_remote_file(data.scheme, archive + query, where), scratch, where)
    shown = where.removesuffix("/").removesuffix(f"/{below}") if below else where
    return ImageSource(RemoteArchive(transfer, archive, shown, _identity(data.scheme, archive), below), data)


def _remote_file(scheme: str, location: str, where: str) -> RemoteFile:
    if scheme in BUCKETS:
        from tasks.sources.buckets import ObjectFile

        return ObjectFile(scheme, location, where)
    from tasks.sources.web import WebFile

    return WebFile(f"{scheme}://{location}", where)


def _identity(scheme: str, location: str) -> str:
    # A digest, because a variable in it may have been a secret, and identities are written down.
    return f"{scheme}:{hashlib.sha256(without_query(location).encode()).hexdigest()}"


class Transfer:
    """A file on the network and its copy here, brought at the first need."""

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
        """The copy; nothing is left of it once this object is gone.

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


class RemoteArchive:
    """An archive on the network; a `tasks.sources.images.Place`."""

    def __init__(self, transfer: Transfer, name: str, where: str, identity: str, below: str) -> None:
        self._transfer = transfer
        self._name = name
        self._below = below
        self._shown = where
        self.where = where + (f"/{safe_path(below)}" if below else "")
        self.identity = f"{identity}/{below}"

    @property
    def fingerprint(self) -> str | None:
        state = self._transfer.facts.state
        return None if state is None else f"{self.identity} {state}"

    @property
    def notes(self) -> Sequence[str]:
        return self._transfer.notes

    def files(self, choice: Choice) -> Iterator[SourceFile]:
        transfer = self._transfer
        return Archive(transfer.file, self._name, self._shown, self.identity, transfer.facts.state, self._below, transfer.scratch).files(
            choice
        )


class RemoteTable:
    """A table on the network."""

    kind: Kind = "table"
    truth = None
    fingerprint = None

    def __init__(self, transfer: Transfer, identity: str) -> None:
        self._transfer = transfer
        self._suffix = PurePosixPath(transfer.where).suffix.lower()
        self.identity = identity

    @property
    def notes(self) -> Sequence[str]:
        return self._transfer.notes

    def look(self) -> Sequence[SourceFile]:
        size, state = self._transfer.facts.size, self._transfer.facts.state
        if size is None:
            size = self._transfer.file.seek(0, os.SEEK_END)
        return [SourceFile(f"table{self._suffix}", size, state, self._opened)]

    def check(self) -> int:
        with self._opened() as file:
            return len(read_table(file.read(), self._transfer.where).rows)

    def _opened(self) -> BinaryIO:
        self._transfer.file.seek(0)
        return os.fdopen(os.dup(self._transfer.file.fileno()), "rb")
