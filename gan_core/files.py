"""Files that nobody ever sees half of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what was written takes the place of `path` at the end of the block, unless that raises."""
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, UTF-8; until it is whole, what was there before stays.

    Raises:
        OSError: it cannot be written, such as on a full disk or where the folder is not there.
    """
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
