"""`https://host/path`: one file of the web."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from gan_core.errors import DataError, GantryError
from tasks.addresses import is_archive_name, is_loopback, without_query
from tasks.sources.raw import safe_path
from tasks.sources.remote import RemoteFacts

if TYPE_CHECKING:
    import httpx

_PATIENCE = 30.0
"""Seconds without an answer after which a request is given up."""
_PAUSES = (1.0, 5.0)
"""Seconds before each further try."""
_SETTLED = 2.0
"""Seconds that a file has to be unchanged before its time is trusted, which counts in whole seconds."""
_NO_HEAD = {400, 401, 403, 405, 501}
"""Answers to HEAD that say nothing of GET: servers that sign URLs, or know GET alone."""

_T = TypeVar("_T")


class WebFile:
    """One file behind a URL; a `tasks.sources.remote.RemoteFile`.

    Args:
        url: with its query, which may hold secrets.
        where: what messages call it.
    """

    def __init__(self, url: str, where: str) -> None:
        self._url = url
        self._where = safe_path(where)

    def facts(self) -> RemoteFacts:
        answer = self._tried(self._head)
        if answer.status_code in _NO_HEAD:
            return RemoteFacts(None, None)
        self._check(answer)
        return RemoteFacts(_length(answer), _state(answer))

    def download(self, into: BinaryIO) -> None:
        self._tried(lambda: self._get(into))

    def _head(self) -> httpx.Response:
        with self._client() as client:
            answer = client.head(self._url)
        if answer.status_code == 429 or (answer.status_code >= 500 and answer.status_code != 501):
            self._check(answer)
        return answer

    def _get(self, into: BinaryIO) -> None:
        into.seek(0)
        into.truncate()
        with self._client() as client, client.stream("GET", self._url) as answer:
            self._check(answer)
            # An archive is stored as it is sent: servers call the compression of a .tar.gz one of the way.
            is_raw = is_archive_name(without_query(self._url).rpartition("/")[2])
            for piece in answer.iter_raw() if is_raw else answer.iter_bytes():
                into.write(piece)
            length = _length(answer)
            if length is not None and answer.num_bytes_downloaded != length:
                raise GantryError(f"{self._where}: {answer.num_bytes_downloaded:,} of {length:,} bytes came")

    def _client(self) -> httpx.Client:
        import httpx

        # Compression on the way would hide how long the file is.
        headers = {"Accept-Encoding": "identity", "User-Agent": "gantry"}
        hooks = {"request": [self._refuse_plain]}
        return httpx.Client(timeout=_PATIENCE, follow_redirects=True, headers=headers, event_hooks=hooks)

    def _refuse_plain(self, request: httpx.Request) -> None:
        """Refuse to be led where anybody on the way could change the data."""
        if request.url.scheme != "https" and not (is_loopback(request.url.host) and self._url.startswith("http://")):
            raise DataError(
                f"{self._where}: leads on to {request.url.scheme}://{request.url.host}, which is not https; name another source"
            )

    def _check(self, answer: httpx.Response) -> None:
        """Refuse an answer that is not the file."""
        status = f"{answer.status_code} {answer.reason_phrase}".strip()
        if answer.status_code in (404, 410):
            raise DataError(f"{self._where}: is not there ({status}); correct data.source")
        if answer.status_code in (401, 403):
            raise DataError(f"{self._where}: may not be read ({status}); a token belongs into the URL's query as a $VARIABLE")
        if answer.status_code != 200:
            raise GantryError(f"{self._where}: the server answers {status}")

    def _tried(self, request: Callable[[], _T]) -> _T:
        """What `request` gives; tried again where the failure may pass.

        Raises:
            GantryError: it failed each time.
        """
        import httpx

        for pause in (*_PAUSES, None):
            try:
                return request()
            except DataError:
                raise
            except (httpx.HTTPError, httpx.InvalidURL, GantryError) as error:
                failure = str(error) if isinstance(error, GantryError) else f"{self._where}: {error or type(error).__name__}"
            if pause is not None:
                time.sleep(pause)
        raise GantryError(f"{failure}, in {len(_PAUSES) + 1} tries; try again when the network is there")


def _length(answer: httpx.Response) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _state(answer: httpx.Response) -> str | None:
    """What tells that the file is still the same: its ETag, otherwise when it was changed; and its size."""
    length = _length(answer)
    if etag := answer.headers.get("ETag"):
        return f"{length} {etag}"
    try:
        changed, now = (parsedate_to_datetime(answer.headers[name]) for name in ("Last-Modified", "Date"))
        settled = (now - changed).total_seconds() > _SETTLED
    except (KeyError, ValueError, TypeError):
        return None
    return f"{length} {changed.isoformat()}" if settled else None
