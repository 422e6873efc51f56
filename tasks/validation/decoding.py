"""Files decoded by processes of their own: by several where that pays, and of rare formats always, since faults in their decoders exist.

A process imports this module and its decoder's, and no torch: it starts in half a second.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from gan_core.errors import DataError
from tasks.sources.raw import About, Member, RawReader
from tasks.system import cores
from tasks.system.processes import die_with
from tasks.validation.formats import UnusableError, is_plain

MAX_BYTES = 1 << 30
"""Files larger than this are refused unread."""
CRASHED = (
    "broken: it ended the program that decodes it, twice: its bytes crash the decoder, or memory is short (validate.max_side refuses what "
    "is larger)"
)
"""Reason of a file that ends the process that decodes it."""

_CHUNK_BYTES = 1 << 20
_CHUNK_FILES = 64
# Below this, one process is done before others would have started (0.5 s): 1,500 to 2,500 small pictures, or 30 MB, a second.
_POOL_FILES = 4_000
_POOL_BYTES = 64 << 20

_Decoded = TypeVar("_Decoded")
_Decoder = Callable[[bytes], _Decoded]


def decoded(
    raw: RawReader,
    members: Sequence[Member],
    decoder: _Decoder[_Decoded],
    n_bytes: int,  # of what is decoded of one file
    is_plain: Callable[[bytes], bool] = is_plain,  # whether its decoder may run in this process
) -> Iterator[_Decoded | str]:
    """Of each of `members` in order what `decoder` makes of it, or the reason why that is nothing.

    By several processes where that pays, and by one where it does not; of rare formats never in this process, which a fault in their
    decoders could end.
    """
    length = max(1, min(_CHUNK_FILES, _CHUNK_BYTES // n_bytes))
    chunks = (members[start : start + length] for start in range(0, len(members), length))
    workers = cores.usable()
    total = sum(member.size for member in members)
    if workers == 1 or (len(members) < _POOL_FILES and total < _POOL_BYTES):

        def here(data: bytes) -> _Decoded | None:
            return decoder(data) if is_plain(data) else None

        with Decoders(1, raw, decoder) as apart:
            for chunk in chunks:
                found = [_file_decoded(raw, member, here) for member in chunk]
                left = [member for member, one in zip(chunk, found, strict=True) if one is None]
                others = apart.decoded([left] if left else [])
                yield from (next(others) if one is None else one for one in found)
        return
    with Decoders(workers, raw, decoder) as several:
        yield from several.decoded(chunks)


class Decoders(Generic[_Decoded]):
    """Processes that decode, started when the first file is there for them.

    A file that ends its process, since its bytes crash a decoder or memory is short, is refused and ends nothing else.
    """

    def __init__(self, count: int, raw: RawReader, decoder: _Decoder[_Decoded]) -> None:
        self._count, self._arguments = count, (os.getpid(), raw.folder, raw.about, decoder)
        self._pool: ProcessPoolExecutor | None = None
        self._single: ProcessPoolExecutor | None = None
        """One process, for files one by one after a process of the pool has ended: then it is known which file did it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._pool, self._single):
            if pool is not None:
                pool.shutdown(cancel_futures=True)

    def decoded(self, chunks: Iterable[Sequence[Member]]) -> Iterator[_Decoded | str]:
        """As the function of the same name."""
        waiting: deque[tuple[Sequence[Member], ProcessPoolExecutor, Future[list[_Decoded | str]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk, *self._begun(chunk)))
            # A bounded queue: decoded pictures must not pile up.
            if len(waiting) > 4 * self._count:
                yield from self._done(*waiting.popleft())
        while waiting:
            yield from self._done(*waiting.popleft())

    def _begun(self, chunk: Sequence[Member]) -> tuple[ProcessPoolExecutor, Future[list[_Decoded | str]]]:
        pool = self._pool = self._pool or self._started(self._count)
        try:
            return pool, pool.submit(_chunk_decoded, chunk)
        except BrokenProcessPool as error:
            failed: Future[list[_Decoded | str]] = Future()
            failed.set_exception(error)
            return pool, failed

    def _done(self, chunk: Sequence[Member], pool: ProcessPoolExecutor, future: Future[list[_Decoded | str]]) -> Iterator[_Decoded | str]:
        try:
            yield from future.result()
        except BrokenProcessPool:  # with all that was under way
            if pool is self._pool:
                pool.shutdown()
                self._pool = None
            yield from map(self._alone, chunk)

    def _alone(self, member: Member) -> _Decoded | str:
        if self._single is None:
            self._single = self._started(1)
            try:
                self._single.submit(_chunk_decoded, ()).result()
            except BrokenProcessPool:
                raise DataError("processes that decode images end as they start, perhaps by lack of memory") from None
        try:
            (result,) = self._single.submit(_chunk_decoded, [member]).result()
        except BrokenProcessPool:
            self._single.shutdown()
            self._single = None
            return CRASHED
        return result  # type: ignore[no-any-return]

    def _started(self, count: int) -> ProcessPoolExecutor:
        # Threads gain nothing: Pillow holds Python's lock while it decodes. Fork is not safe in a process that may have threads.
        return ProcessPoolExecutor(count, get_context("spawn"), _start_worker, self._arguments)


def _file_decoded(raw: RawReader, member: Member, decoder: _Decoder[_Decoded]) -> _Decoded | str:
    if member.size > MAX_BYTES:
        return f"too large: {member.size:,} bytes, more than {MAX_BYTES:,}"
    try:
        return decoder(raw.read(member))
    except UnusableError as reason:
        return str(reason)


_worker: tuple[RawReader, _Decoder[Any]]


def _start_worker(parent: int, folder: Path, about: About, decoder: _Decoder[Any]) -> None:
    global _worker
    die_with(parent)
    # Ctrl-C reaches the whole group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Members come with the work, so the index need not be read again.
    _worker = (RawReader(folder, about, ()), decoder)


def _chunk_decoded(chunk: Sequence[Member]) -> list[Any]:
    raw, decoder = _worker
    return [_file_decoded(raw, member, decoder) for member in chunk]
