"""Which values the pictures of a set use, and what a person should know of it: 12-bit data in files of 16 bits, masks of 0 and 1, maps of
labels and the like are nearly black where the range of the file's type is taken for theirs (`data.range`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Self

from tasks.validation.images import FEW, Bounds, Extent

_USUAL_BITS = (8, 10, 12, 14, 15)


@dataclass
class _Met:
    """What was met in files of one sort."""

    low: float
    high: float
    files: int = 0


@dataclass
class Ranges:
    """The values of the files of a set, summed up one by one."""

    bounds: Bounds | None
    """The values that are black and white, where `data.range` says so."""
    _met: dict[tuple[str | None, float | None], _Met] = field(default_factory=dict)
    _cut: int = 0

    def add(self, extent: Extent, folder: str | None = None) -> None:
        """Count one file; `folder` tells two kinds of pictures apart, such as photos and maps."""
        met = self._met.setdefault((folder, extent.top), _Met(extent.low, extent.high))
        met.low, met.high, met.files = min(met.low, extent.low), max(met.high, extent.high), met.files + 1
        if self.bounds is not None:
            self._cut += extent.low < self.bounds[0] or extent.high > self.bounds[1]

    @classmethod
    def of(cls, asked: Literal["type", "data"] | Bounds, extents: Iterable[Extent]) -> Self:
        """What `data.range` comes to for data of these extents, which are looked at only where it asks for the data's own."""
        found = cls(None if isinstance(asked, str) else asked)
        if asked != "data":
            return found
        for extent in extents:
            found.add(extent)
        return cls(found.own)

    @property
    def own(self) -> Bounds | None:
        """From the lowest to the highest value of all; None where they have one value at most."""
        low, high = (pick((getattr(met, edge) for met in self._met.values()), default=0) for pick, edge in ((min, "low"), (max, "high")))
        return (float(low), float(high)) if low < high else None

    def notes(self) -> list[str]:
        """What a person should know, a line each."""
        notes = []
        if self._cut and self.bounds is not None and (own := self.own) is not None:
            files = sum(met.files for met in self._met.values())
            notes.append(
                f"data.range is {_said(self.bounds)}: {self._cut:,} of {files:,} files have values outside, which are cut off; "
                f"all values are {_said(own)}"
            )
        narrow = {key: met for key, met in self._met.items() if self._is_narrow(met, key[1])}
        for (folder, top), met in sorted(narrow.items(), key=str):
            low, high = self.bounds or (0, top or 0)
            where = "" if folder is None else f" in {folder}"
            said = f"the {met.files:,} files{where} have values {_said((met.low, met.high))}, less than an eighth of {_said((low, high))}"
            meant = _advice(met, top) if len(narrow) == len(self._met) else _apart(self.bounds is not None)
            notes.append(f"{said}, so the pictures have little contrast; if more is meant, {meant}")
        return notes

    def _is_narrow(self, met: _Met, top: float | None) -> bool:
        low, high = self.bounds or (0, top or 0)
        return high > low and min(met.high, high) - max(met.low, low) < (high - low) / FEW


def _advice(met: _Met, top: float | None) -> str:
    bits = next((bits for bits in _USUAL_BITS if met.high < 1 << bits), None) if met.low >= 0 and (top is None or top > 255) else None
    usual = (0, (1 << bits) - 1) if bits is not None else (min(met.low, 0), met.high)
    return f"set data.range to the values that are black and white, such as [{usual[0]:g}, {usual[1]:g}], or to data"


def _apart(has_bounds: bool) -> str:
    """Advice where other files are as they should be."""
    would = "is one for all" if has_bounds else "would change these too"
    return f"save them with values spread like those of the others, since data.range {would}"


def _said(bounds: Bounds) -> str:
    return f"{bounds[0]:,.10g} to {bounds[1]:,.10g}"
