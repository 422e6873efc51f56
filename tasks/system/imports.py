"""Large libraries, imported in less time.

There is no garbage meanwhile, and the search for it takes up to a quarter of the time. And what a library imports for a part of it that
is not used here need not be there.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import LazyLoader, find_spec
from types import ModuleType


@contextmanager
def quick_imports() -> Iterator[None]:
    """No cyclic garbage is collected inside. Where several threads are in it, it is collected again once the first has left."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def all_imported() -> None:
    """Collect garbage from here on, in a process of ours that has imported what it needs; without going through that each time."""
    gc.enable()
    gc.freeze()


def nothing_to_collect() -> None:
    """Spare the interpreter its last search for garbage, half a second to two, in a process of ours that has done its work.

    Not where Triton is loaded, as by PyTorch's builds for GPUs: what it does not find then, Triton's bindings would print as leaked.
    """
    if "triton._C.libtriton" in sys.modules:
        gc.unfreeze()
    else:
        gc.freeze()


@contextmanager
def loaded_when_used(*names: str) -> Iterator[None]:
    """Modules of these names that are imported inside are loaded with the first look into them, as Python's `LazyLoader` has it."""
    with _asked_first(_Later(names)):
        yield


@contextmanager
def _asked_first(finder: MetaPathFinder) -> Iterator[None]:
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Later(MetaPathFinder):
    """Finds what the others find."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = set(names)

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        self._names.discard(fullname)  # the others are asked, and not this one again
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def taken_as_missing(*names: str) -> Iterator[None]:
    """Packages of these names cannot be imported inside, by this thread; those that are there already, from before or by another, can.

    For a library that does without them where they are not installed: it then does without them in this process.
    """
    with _asked_first(_Missing(names)):
        yield


class _Missing(MetaPathFinder):
    """Finds nothing, and lets no other finder look."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._thread = frozenset(names), threading.get_ident()

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package = fullname.partition(".")[0]
        if package in self._names and package not in sys.modules and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is taken as missing here, since nothing here uses it", name=fullname)
        return None
