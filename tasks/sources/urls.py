"""Sources on the network: `s3://bucket/path`, `gs://` and `az://`, and `https://host/path`.

An archive or a table is transferred whole, into a scratch file; what tells that it is unchanged is asked first. Below any other path of a
bucket, each object is a file, and what tells that one is unchanged comes with the list of them.

Credentials, endpoints and regions come from the environment, as the libraries of each store read them. `http://` is for this machine
alone, and no redirect leads from https to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tasks.addresses import BUCKETS, TEXT_SUFFIXES, archive_in, without_query
from tasks.params import DataParams
from tasks.sources.archives import Archive
from tasks.sources.buckets import Bucket, ObjectFile
from tasks.sources.images import Selection, source_of
from tasks.sources.raw import safe_path
from tasks.sources.remote import LocalCopy, RemoteFile, RemotePlace
from tasks.sources.source import Source, SourceFile, expand_variables
from tasks.sources.web import WebFile
from tasks.workspace import Workspace


def open_url(workspace: Workspace, data: DataParams) -> Source:
    """The source at a URL; nothing is asked of the network yet.

    Raises:
        ConfigError: a variable in it is not set.
    """
    location = expand_variables(data.location, "data.source")
    scratch = workspace.private / "fetch"
    where = without_query(data.source)  # its variables not expanded: they may be secrets
    is_text = data.has_sentences and without_query(location).lower().endswith(TEXT_SUFFIXES)
    if data.has_rows or is_text:
        copy, identity = LocalCopy(_remote_file(data.scheme, location, where), scratch, where), _identity(data.scheme, location)
        # Here, since a fetch of images is mostly the time of its imports.
        if is_text:
            from tasks.sources.texts import RemoteText, SentenceSource

            return SentenceSource(RemoteText(copy, identity), data)
        from tasks.sources.tables import RemoteTable

        return RemoteTable(copy, identity, data.source)
    in_archive = archive_in(without_query(location))
    if in_archive is None:
        return source_of(Bucket(data.scheme, location, where, scratch), data)
    archive, below = in_archive
    query = location[len(without_query(location)) :]
    copy = LocalCopy(_remote_file(data.scheme, archive + query, where), scratch, where)
    shown = where.removesuffix("/").removesuffix(f"/{below}") if below else where
    return source_of(RemoteArchive(copy, archive, shown, _identity(data.scheme, archive), below), data)


def _remote_file(scheme: str, location: str, where: str) -> RemoteFile:
    if scheme in BUCKETS:
        return ObjectFile(scheme, location, where)
    return WebFile(f"{scheme}://{location}", where)


def _identity(scheme: str, location: str) -> str:
    # A digest, because a variable in it may have been a secret, and identities are written down.
    return f"{scheme}:{hashlib.sha256(without_query(location).encode()).hexdigest()}"


class RemoteArchive(RemotePlace):
    """An archive on the network; a `tasks.sources.images.Place`."""

    def __init__(self, copy: LocalCopy, name: str, where: str, identity: str, below: str) -> None:
        super().__init__(copy, f"{identity}/{below}")
        self._name = name
        self._below = below
        self._shown = where
        self.where = where + (f"/{safe_path(below)}" if below else "")

    def files(self, choice: Selection) -> Iterator[SourceFile]:
        copy = self.copy
        return Archive(copy.file, self._name, self._shown, self.identity, copy.facts.state, self._below, copy.scratch).files(choice)
