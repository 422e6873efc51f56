"""Every sample of a raw data set, looked at once: what it is, and whether it can be used.

Each kind of data (`tasks.kinds`) gives the same thing, an `Inspection`: a row a sample, in the order of the source, and the samples
themselves, decoded and scaled (images, in a spool) or as they are (points, rows of tables).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError
from tasks.sources.array_heads import npy_head
from tasks.sources.raw import RawReader
from tasks.validation.images import Bounds

NUMBER = "number"
"""The manifest's column of labels that are numbers."""

Told = TypeVar("Told")
OnRow = Callable[[int, int], None]
"""Is told how many samples are done, of how many."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of the source."""

    path: str
    """Of the file; for a sample in an array, of the array's file with `#` and its index; for a row of a table, with its number from 1."""
    sha256: str
    """Of the file's bytes, or of the sample's values in the array."""
    label: str | None = None
    """Name of its class."""
    reason: str | None = None
    """Why it cannot be used, in words; None for a good sample."""
    number: int | None = None
    """Of a good sample, where to find it: in the spool or the array of points."""
    given: int | None = None
    """Of a good pair, where in the spool the image is that a generator is given; `number` is the one that it is to make."""
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    mean: float | None = None
    std: float | None = None
    """As in `tasks.validation.images.Picture`; None for points."""
    facts: Mapping[str, float | int | str] | None = None
    """Of a good sample, what else stands in the manifest: the same columns in each row of a kind of data."""
    repeat: int = 0
    """Of a row of a table so common that it may well be there again by chance: how many equal ones stand before it."""
    part: int = 0
    """Of a crop of a file, which one it is."""

    @property
    def content(self) -> str:
        """What two samples have in common that are equal: the digest, of crops with their number."""
        return f"{self.sha256}#{self.part}" if self.part else self.sha256


@dataclass(frozen=True)
class Inspection:
    """What is in a raw data set."""

    rows: list[Row]
    classes: tuple[str, ...] | None
    """Sorted as labels count, with those that have no good sample; None where there are no labels."""
    samples: Any
    """As the kind of data packs them: a spool of images, points float32 (N, D), the good rows of a table."""
    captions: Mapping[str, tuple[str, ...]] | None = None
    """By path the captions of each image, where there are any."""
    range: Bounds | None = None
    """Images: the values that became black and white, where `data.range` says so, or asks for the data's own."""
    notes: Sequence[str] = ()
    """What a person should know of the whole."""


def each_told(rows: Iterable[Told], total: int, on_row: OnRow) -> list[Told]:
    """The rows, or what becomes rows, of each of which `on_row` is told."""
    done = []
    for row in rows:
        done.append(row)
        on_row(len(done), total)
    return done


def read_npy(raw: RawReader, path: str) -> NDArray[Any]:
    """The array in a .npy file of raw, mapped into memory: only what is looked at takes some.

    Raises:
        DataError: it is not there, no such file, or raw is damaged.
    """
    member = raw.member(path)
    file = raw.folder / member.shard
    raw.check(member)
    with file.open("rb") as stream:
        stream.seek(member.offset)
        head = npy_head(stream, f"{raw.folder}: {path}")
    if head.dtype.hasobject or head.start - member.offset + head.n_bytes != member.size:
        what = "holds objects, which are never unpickled" if head.dtype.hasobject else "is not as long as its head states"
        raise DataError(f"{raw.folder}: {path}: no readable .npy file (it {what})")
    if not head.n_bytes:
        return np.empty(head.shape, head.dtype)
    return np.memmap(file, head.dtype, "r", head.start, head.shape, "F" if head.is_fortran else "C")
