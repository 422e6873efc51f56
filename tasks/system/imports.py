"""Large libraries, imported without searching for garbage meanwhile: there is none, and the search takes up to a quarter of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
