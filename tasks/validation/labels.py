"""The labels of images: their folders, or what a file of one of the forms of `tasks.sources.annotations` says; classes, or numbers."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gan_core.data.labels import number_in
from tasks.sources.annotations import Told, labels_in, read_told
from tasks.sources.raw import safe_path
from tasks.validation.inspection import NUMBER, Inspection, Row

if TYPE_CHECKING:
    from tasks.params import DataParams

_LONGEST = 100
"""Characters of a class's name."""


def read_labels(data: bytes, name: str, on_note: Callable[[str], None] = lambda note: None, column: str | None = None) -> list[Told]:
    """Every label in a file called `name`, good or not, in order.

    Args:
        column: as of `tasks.sources.annotations.labels_in`.

    Raises:
        DataError: as `tasks.sources.annotations.read_told`.
    """
    return [_checked(one) for one in read_told(data, name, labels_in(column), on_note)]


def _checked(told: Told) -> Told:
    """The label as a class's name, or with the reason why it cannot be used."""
    if told.reason is not None:
        return told
    label = safe_path(unicodedata.normalize("NFC", " ".join(told.value.split())))
    if not label:
        return replace(told, reason="names no label")
    if len(label) > _LONGEST:
        return replace(told, reason=f"a label of {len(label):,} characters, and at most {_LONGEST} are taken")
    return replace(told, value=label)


def numbered(inspection: Inspection, data: DataParams) -> Inspection:
    """The same with labels as the numbers that they are, or as the ranges of `data.bins` that these lie in; as it is where the entry takes
    labels for classes. A row without such a label cannot be used.
    """
    if data.label_as != "number" and data.bins is None:
        return inspection
    rows = [_numbered(row, data.bins) for row in inspection.rows]
    if data.bins is not None:
        return replace(inspection, rows=rows, classes=tuple(_bin_names(data.bins)))
    numbers = np.array([row.facts[NUMBER] for row in rows if row.facts is not None and NUMBER in row.facts])
    if not len(numbers):
        return replace(inspection, rows=rows, classes=None)
    low, middle, high = np.quantile(numbers, (0, 0.5, 1))
    note = f"labels are numbers from {low:.6g} to {high:.6g}, half of them up to {middle:.6g}"
    return replace(inspection, rows=rows, classes=None, notes=[*inspection.notes, note])


def _numbered(row: Row, bins: tuple[float, ...] | None) -> Row:
    if row.reason is not None:
        return row
    number = None if row.label is None else number_in(row.label)
    if number is None or abs(number) > float(np.finfo(np.float32).max):
        what = "has no label" if row.label is None else f"label {row.label[:40]!r}"
        return replace(row, number=None, reason=f"{what}, and a finite number is expected (data.{'bins' if bins else 'label_as'})")
    if bins is None:
        return replace(row, label=f"{number:.9g}", facts={**(row.facts or {}), NUMBER: number})
    if not bins[0] <= number <= bins[-1]:
        return replace(row, number=None, reason=f"label {row.label} lies outside data.bins, {bins[0]:g} to {bins[-1]:g}")
    return replace(row, label=_bin_names(bins)[min(bisect_right(bins, number), len(bins) - 1) - 1])


def _bin_names(bins: tuple[float, ...]) -> list[str]:
    return [f"{low:g}-{high:g}" for low, high in pairwise(bins)]
