"""Lines and intervals as coordinates for inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.metrics import known

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""(images, value) by name."""

WIDTH, HEIGHT = 300, 110
"""Of a chart's plotting area, in SVG units."""

_BESIDE = 4
_SIDES = ("generator", "discriminator", "critic", "real", "fake")


@dataclass(frozen=True)
class Line:
    """One curve of a chart."""

    title: str
    points: str
    """For `<polyline points>`."""
    last: float


@dataclass(frozen=True)
class Chart:
    """Some curves over the same axes."""

    title: str
    lines: Sequence[Line]
    low: float
    high: float
    images: int
    """Where the horizontal axis ends."""
    explained: Sequence[tuple[str, str]] = ()
    """What its numbers are, and how they are read; those of both sides that are told alike once."""


@dataclass(frozen=True)
class Interval:
    """A difference with its interval, on an axis that has 0: coordinates from 0 to `WIDTH`."""

    zero: float
    low: float
    high: float
    value: float
    noise_low: float | None
    noise_high: float | None


_PAIRS = "accuracy pairs"
"""The end of a title that says less than it could: all that a game can be right about which only compares logits."""


def charts(curves: Mapping[str, Sequence[tuple[int, float]]]) -> list[Chart]:
    """Curves by name, (images, value) each, as charts: both sides of a number (`generator_loss`, `discriminator_loss`) in one."""
    groups: dict[str, dict[str, Sequence[tuple[int, float]]]] = {}
    explained: dict[str, dict[str, str]] = {}
    for key, points in curves.items():
        side, title = _side(key)
        groups.setdefault(title, {})[side] = points
        metric = known(key)
        if metric is not None:
            explained.setdefault(title, {})[metric.what] = metric.meaning
    # One that has no counterpart keeps its whole name.
    whole = {title: f"{next(iter(lines))} {title}".strip() if len(lines) == 1 else title for title, lines in groups.items()}
    return [_chart(_in_words(whole[title]), lines, tuple(explained.get(title, {}).items())) for title, lines in groups.items()]


def charts_beside(curves: Curves, before: Curves, start: str) -> list[Chart]:
    """The same number of a training and of what it started from in one chart each, (images, value); what selects first, a few at most."""
    shared = [key for key, points in curves.items() if points and before.get(key)]
    order = ("selection_", "diversity", "generator_loss", "discriminator_loss")
    chosen = sorted(
        (key for key in shared if key.startswith(order)), key=lambda key: next(i for i, one in enumerate(order) if key.startswith(one))
    )
    return [_chart(" ".join(key.split("_")), {"here": curves[key], start: before[key]}) for key in chosen[:_BESIDE]]


def _in_words(title: str) -> str:
    whose = title.removesuffix(_PAIRS)
    return title if whose == title else f"{whose}accuracy: share of pairs whose real sample is rated above the generated one"


def _side(key: str) -> tuple[str, str]:
    """Whose number it is, and of what: `generator` and `loss`, or `real` and `accuracy`."""
    words = key.split("_")
    side = next((word for word in (words[0], words[-1]) if word in _SIDES), "") if len(words) > 1 else ""
    return side, " ".join(word for word in words if word != side)


def interval(low: float, high: float, value: float, noise: float | None) -> Interval | None:
    """A difference and its interval beside 0, and between `noise` below and above it what chance alone does; None for no finite numbers."""
    numbers = [low, high, value, 0.0, *([abs(noise), -abs(noise)] if noise is not None else [])]
    if not all(map(math.isfinite, numbers)):
        return None
    first, last = min(numbers), max(numbers)
    scale = WIDTH * 0.9 / ((last - first) or 1.0)

    def at(number: float) -> float:
        return round(WIDTH * 0.05 + (number - first) * scale, 1)

    spread = (None, None) if noise is None else (at(-abs(noise)), at(abs(noise)))
    return Interval(at(0.0), at(low), at(high), at(value), *spread)


def _chart(title: str, curves: Curves, explained: Sequence[tuple[str, str]] = ()) -> Chart:
    finite = {key: [(x, y) for x, y in points if math.isfinite(y)] for key, points in curves.items()}
    values = [y for points in finite.values() for _, y in points] or [0.0]
    low, high = min(values), max(values)
    end = max((x for points in finite.values() for x, _ in points), default=1) or 1
    spread = (high - low) or 1.0
    lines = []
    for key, points in finite.items():
        if points:
            drawn = " ".join(f"{x / end * WIDTH:.1f},{HEIGHT - (y - low) / spread * HEIGHT:.1f}" for x, y in points)
            lines.append(Line(key, drawn, points[-1][1]))
    return Chart(title, lines, low, high, end, explained)
