"""The templates of Great Expectations' pages, compiled once in a process.

Each of its views has an environment of its own, which would compile the same templates again: 50 times for 23 of them, a fifth of what a
check takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import CodeType
from typing import Any

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class _InMemory(BytecodeCache):
    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._compiled[bucket.key, bucket.checksum] = bucket.code


_CACHE = _InMemory()


@contextmanager
def compiled_once(view: Any) -> Iterator[None]:
    """Views that are made inside take what another one has compiled before; `view` is the library's module of them."""
    plain = view.Environment
    view.Environment = partial(plain, bytecode_cache=_CACHE)
    try:
        yield
    finally:
        view.Environment = plain
