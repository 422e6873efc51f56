"""What was found in a table, for people: a line a column, and the same as `data.columns` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.schema import GAP, Column
from tasks.sources.raw import safe_path
from tasks.validation.column_kinds import Asked, as_yaml

_SHOWN = 3  # categories
_WIDEST = 32  # characters of a name
_DAY = 86_400


@dataclass(frozen=True)
class FoundColumn:
    """A column of a table, as it is used."""

    name: str
    kind: Asked
    missing: float
    """Share of its cells."""
    remark: str
    """What it holds, how it was read, or why it is left out."""
    is_asked: bool
    """Whether the entry says what it is."""
    values: int = 0
    """Of a category, how many there are."""
    is_label: bool = False
    is_key: bool = False
    """Whether `data.key`, or that of the children, names it."""
    suggested: Asked | None = None
    """Of one that is left out, what could be invented in its place."""

    @property
    def needs_no_kind(self) -> bool:
        """Whether it is a key, or a label of categories, which it is without that `data.columns` says so."""
        return self.is_key or (self.is_label and self.kind.kind != "number")

    @property
    def as_written(self) -> FoundColumn:
        """The same once the entry says it: what would be invented in its place is invented."""
        return replace(self, kind=self.suggested or self.kind, suggested=None)

    @property
    def line(self) -> tuple[str, ...]:
        name = safe_path(self.name[:_WIDEST]) or "(no name)"
        kind = "key" if self.is_key else "label" if self.is_label else str(self.kind).partition(" ")[0]
        remark = f"numbers, {self.remark}" if self.is_label and not self.needs_no_kind else self.remark
        return name, kind, f"{self.missing:.1%}" if self.missing else "", remark

    @property
    def yaml(self) -> str:
        """As a line of `data.columns`."""
        kind = self.as_written.kind
        return f"{as_yaml(self.name)}: {kind if kind.format is None else as_yaml(str(kind))}"


def table_of(found: Sequence[FoundColumn], missing_texts: Sequence[str]) -> str:
    """What each column is, in lines of four fields under titles."""
    lines = [("column", "kind", "missing", "what it holds"), *(one.line for one in found)]
    widths = [max(len(line[k]) for line in lines) for k in range(3)]
    shown = [
        "  " + "  ".join([*(text.ljust(width) for text, width in zip(line, widths, strict=False)), line[3]]).rstrip() for line in lines
    ]
    if any(one.missing for one in found):
        read = ", ".join(["an empty cell", *map(repr, missing_texts)])
        shown.append(f"  read as missing, and drawn as often: {read} (data.missing)")
    return "\n".join(shown)


def block_of(found: Sequence[FoundColumn]) -> str | None:
    """The columns as `data.columns` has them, for a person to take and change; None where the entry says it of each already."""
    if all(one.is_asked or one.needs_no_kind for one in found):
        return None
    return "\n".join(["  columns:", *(f"    {one.yaml}" for one in found if not one.needs_no_kind and one.name)])


def remark_on(column: Column, values: NDArray[np.float64], note: str | None) -> str:
    """What a column holds, from the values that are packed."""
    if column.categories is None:
        return _joined(_range(column, values[~np.isnan(values)]), note)
    counts = np.bincount(values.astype(np.int64), minlength=len(column.categories))
    shares: Mapping[str, float] = {
        text: count / max(len(values), 1) for text, count in zip(column.categories, counts, strict=True) if text != GAP
    }
    frequent = sorted(shares, key=lambda text: -shares[text])
    if len(frequent) == 1:
        return _joined(f"always {_short(frequent[0])}", note)
    shown = ", ".join(f"{_short(text)} {_percent(shares[text])}" for text in frequent[:_SHOWN])
    rest = len(frequent) - _SHOWN
    return _joined(f"{len(frequent):,} values: {shown}" + (f" and {rest:,} more" if rest > 0 else ""), note)


def _range(column: Column, values: NDArray[np.float64]) -> str:
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    if column.dtype in ("date", "datetime"):
        unit = _DAY if column.dtype == "date" else 1
        first, last = (f"{datetime.fromtimestamp(one * unit, UTC):%Y-%m-%d}" if abs(one * unit) < 2e11 else "?" for one in (low, high))
        return f"always {first}" if low == high else f"{first} to {last}"
    if low == high:
        return f"always {low:.12g}"
    return f"{'whole, ' if column.dtype == 'int64' else ''}{low:.6g} to {high:.6g}"


def _percent(share: float) -> str:
    """Without decimals, unless that would make none of a few, or all of nearly all."""
    shown = f"{share:.0%}"
    if shown not in ("0%", "100%") or share in (0.0, 1.0):
        return shown
    return f"{min(max(share, 0.0001), 0.9999):.2%}"


def _short(text: str) -> str:
    return safe_path(text[:24]) + ("..." if len(text) > 24 else "")


def _joined(what: str, note: str | None) -> str:
    return "; ".join(part for part in (what, note) if part)
