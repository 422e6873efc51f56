"""`s3://`, `gs://` and `az://`: object stores, by the libraries of fsspec's family.

Credentials, endpoint and region come from the environment alone, as s3fs (`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`, `AWS_ENDPOINT_URL`, ...;
`FSSPEC_S3_ANON=true` for public buckets), gcsfs (`GOOGLE_APPLICATION_CREDENTIALS`) and adlfs (`AZURE_STORAGE_ACCOUNT_NAME`, ...) read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from gan_core.errors import ConfigError, DataError, GantryError
from tasks.addresses import BUCKETS
from tasks.sources.images import Selection
from tasks.sources.raw import safe_path
from tasks.sources.remote import RemoteFacts
from tasks.sources.source import SourceFile, held

_PATIENCE = 30
"""Seconds without an answer after which a request is given up; it is tried again a few times."""
_PIECE = 8 << 20
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # More than one request at once for an object, and s3fs asks for its size before the first; Gantry has many objects under way instead.
    "s3": {
        "max_concurrency": 1,
        "config_kwargs": {"connect_timeout": _PATIENCE, "read_timeout": _PATIENCE, "retries": {"max_attempts": 2}},
    },
    "gs": {"timeout": _PATIENCE},
    "az": {"connection_timeout": _PATIENCE, "read_timeout": _PATIENCE},
}
_VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true for a public bucket",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS; FSSPEC_GS_TOKEN=anon for a public bucket",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}


class Bucket:
    """The objects below a path; a `tasks.sources.images.Place`.

    Args:
        location: bucket and path.
        where: what messages call it.
        scratch: the folder for scratch files.
    """

    fingerprint = None
    notes: Sequence[str] = ()

    def __init__(self, scheme: str, location: str, where: str, scratch: Path) -> None:
        self._scheme = scheme
        self._path = location.strip("/")
        self._scratch = scratch
        self.where = safe_path(where)
        self.identity = f"{scheme}://{self._path}"

    def files(self, choice: Selection) -> Iterator[SourceFile]:
        with _network(self._scheme, self.where):
            store = _store(self._scheme)
            listed = store.find(self._path, detail=True)
        for key, facts in sorted(listed.items()):
            path = key.removeprefix(f"{self._path}/")
            # An object of the path's own name, and those that stand for folders.
            if path == key or not path.rpartition("/")[2]:
                continue
            if _is_odd(path):
                choice.left_out["of odd paths (`..`, `//`)"] += 1
            elif choice.looks_at(path) and choice.takes(path):
                size = int(facts["size"])
                yield SourceFile(safe_path(path), size, _state(facts), partial(self._open, store, key, size), is_far=True)

    def _open(self, store: Any, key: str, size: int) -> BinaryIO:
        where = f"{self._scheme}://{safe_path(key)}"
        changed = GantryError(f"{where}: did not come as it was listed, of {size:,} bytes; fetch again when nothing writes to the bucket")
        with _network(self._scheme, where):
            if size <= _PIECE:
                # One request, where opening asks for its facts first.
                return held(BytesIO(store.cat_file(key)), size, self._scratch, changed)
            with store.open(key, "rb", block_size=_PIECE) as stream:
                return held(cast(BinaryIO, stream), size, self._scratch, changed)


class ObjectFile:
    """One object; a `tasks.sources.remote.RemoteFile`."""

    def __init__(self, scheme: str, location: str, where: str) -> None:
        self._scheme = scheme
        self._path = location
        self._where = safe_path(where)

    def facts(self) -> RemoteFacts:
        with _network(self._scheme, self._where):
            facts = _store(self._scheme).info(self._path)
        if facts["type"] != "file":
            raise DataError(f"{self._where}: is a folder of objects, not a file, though its name ends like one; name it otherwise")
        return RemoteFacts(int(facts["size"]), _state(facts))

    def download(self, into: BinaryIO) -> None:
        with _network(self._scheme, self._where), _store(self._scheme).open(self._path, "rb", block_size=_PIECE) as stream:
            while piece := stream.read(_PIECE):
                into.write(piece)
            if into.tell() != stream.size:
                raise GantryError(f"{self._where}: {into.tell():,} of {stream.size:,} bytes came; fetch again")


def _store(scheme: str) -> Any:
    """The file system of a scheme; one for the whole process, which does not remember what it has listed."""
    import fsspec

    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, **_OPTIONS[scheme])
    except ImportError:
        extra = "pip install 'gantry-gan[servers]'" if scheme == "s3" else f"pip install {BUCKETS[scheme]}"
        raise ConfigError(f"data.source: {scheme}:// needs {BUCKETS[scheme]}; install it: {extra}") from None
    except ValueError as error:  # adlfs, without the name of an account
        raise ConfigError(f"data.source: {scheme}:// cannot be opened ({error}); set {_VARIABLES[scheme]}") from None


def _state(facts: Mapping[str, Any]) -> str | None:
    """What tells that an object is still the same: its ETag, otherwise when it was changed; and its size."""
    for key in ("ETag", "etag", "LastModified", "last_modified", "updated", "mtime"):
        if facts.get(key):
            return f"{facts['size']} {facts[key]}"
    return None


def _is_odd(path: str) -> bool:
    """Whether a path is none that a folder could have."""
    return any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path


@contextmanager
def _network(scheme: str, where: str) -> Iterator[None]:
    """Errors of a store in words.

    Raises:
        ConfigError: no credentials.
        DataError: what is asked for is not there, or may not be read.
        GantryError: the network.
    """
    try:
        yield
    except GantryError:
        raise
    except FileNotFoundError:
        raise DataError(f"{where}: is not there; correct data.source, or put it there") from None
    except PermissionError:
        raise DataError(f"{where}: may not be read with the credentials of the environment ({_VARIABLES[scheme]})") from None
    # Each store's library has errors of its own, and none is imported here.
    except Exception as error:
        if type(error).__name__ in ("NoCredentialsError", "DefaultCredentialsError", "PartialCredentialsError"):
            raise ConfigError(f"data.source: {where}: no credentials; set {_VARIABLES[scheme]}") from None
        said = re.sub(r"\s+", " ", str(error)) or type(error).__name__
        raise GantryError(f"{where}: cannot be read over the network ({said[:300]}); try again when it is there") from None
