"""The page about a decision: one HTML file that asks no other host for anything and needs no scripts."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

from tasks.clips import encode_film
from tasks.report.charts import charts, charts_beside, interval
from tasks.report.facts import Facts, Figure
from tasks.report.templates import duration, environment, memory, number

_LARGEST = 1_440
"""Pixels of a picture's longer side; larger ones are scaled down, so that the page stays small enough to send."""
_SMALL = 320
"""Pixels that a picture's column is at least wide."""


def render(facts: Facts) -> str:
    """The page as HTML. Names, reasons and paths are the data's: all of them are escaped."""
    comparison, noise = facts.record.get("comparison"), facts.record.get("noise_floor")
    bar = None
    if comparison:
        floor = None if not noise else noise.get("deviation", noise.get("difference"))
        low, high = comparison["interval"]
        bar = interval(low, high, comparison["difference"], floor)
    template = environment().get_template("page.html")
    return template.render(
        facts=facts,
        record=facts.record,
        verdict=verdict(facts.record["outcome"]),
        beside_real=next((score.beside_real for score in facts.scores if score.decides), None),
        comparison=comparison,
        noise=noise,
        bar=bar,
        charts=charts(facts.curves),
        beside_start=charts_beside(facts.curves, facts.start_curves, (facts.lineage["training"].get("start") or {}).get("from", "")),
        took=took(facts.cost, facts.generator.data.unit),
        pictures=[Shown.of(picture) for picture in facts.pictures],
        copies=None if facts.copies is None else Shown.of(facts.copies),
        earlier=[Shown.of(picture) for picture in facts.earlier],
        lineage=leaves({key: value for key, value in facts.lineage.items() if key not in ("name", "version", "scores")}),
    )


def verdict(outcome: str) -> str:
    """What kind of outcome it is: `promoted`, `inconclusive`, `worse` or `vetoed`."""
    if outcome in ("first", "promoted"):
        return "promoted"
    return "vetoed" if outcome.startswith("vetoed") else outcome.rpartition(" ")[2]


def leaves(tree: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """The facts of a nested mapping, under dotted keys; a list as a line, an empty one as None."""
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        at = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            found += leaves(value, at)
        else:
            found.append((at, (", ".join(map(str, value)) or None) if isinstance(value, list) else value))
    return found


def took(cost: Mapping[str, Any], unit: str) -> list[tuple[str, str]]:
    """What a training took, as run.json says it, in titles and words; a version that an earlier Gantry made lacks some of it."""
    if "seconds" not in cost:
        return []
    processes, threads = cost.get("processes", 1), cost.get("threads")
    by = cost["device"] if processes == 1 else f"{cost['device']}, {processes} processes"
    known: list[tuple[str, str]] = [
        ("training", duration(cost["seconds"])),
        (f"{unit} a second", number(cost["images_per_second"])),
        ("on", by if threads is None else f"{by}, {threads} thread{'s' if threads > 1 else ''}{' each' if processes > 1 else ''}"),
    ]
    if cost.get("step") == "compiled":
        known.append(("steps", "compiled"))
    if "processor_seconds" in cost:
        known.append(("time of processors", duration(cost["processor_seconds"])))
    for key, title in (("peak_memory", "memory at most"), ("peak_device_memory", "GPU memory at most")):
        if key in cost:
            known.append((title, memory(cost[key])))
    if "energy_kwh" in cost:
        known.append(("energy, estimated", f"{number(cost['energy_kwh'])} kWh ({number(cost['co2_kg'])} kg CO2e)"))
    return known


@dataclass(frozen=True)
class Shown:
    """A picture inside the page."""

    caption: str
    uri: str
    width: int
    height: int
    sound: str | None
    """What is heard of it, likewise."""
    lines: Sequence[str] = ()
    """What is read instead of it."""

    @classmethod
    def of(cls, figure: Figure) -> Shown:
        """As PNG, and scaled down where it is too large; what moves, and a PNG file of a right size, stays as it is."""
        from PIL import Image

        if figure.lines:
            return cls(figure.caption, "", 0, 0, None, figure.lines)
        pixels = figure.pixels
        sound = None if figure.sound is None else _uri("audio/wav", figure.sound)
        if isinstance(pixels, np.ndarray) and pixels.ndim == 4:
            _, height, width, _ = pixels.shape
            return cls(figure.caption, _uri("image/webp", encode_film(pixels, "webp", lossless=False)), width, height, sound)
        with Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else Image.open(pixels) as image:
            if not isinstance(pixels, np.ndarray) and getattr(image, "is_animated", False):
                return cls(figure.caption, _uri("image/webp", pixels.read_bytes()), *image.size, sound)
            image.load()
            if max(image.size) > _LARGEST:
                image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
            elif not isinstance(pixels, np.ndarray):
                return cls(figure.caption, _uri("image/png", pixels.read_bytes()), *image.size, sound)
            file = BytesIO()
            image.save(file, "png")
            return cls(figure.caption, _uri("image/png", file.getvalue()), *image.size, sound)

    @property
    def is_small(self) -> bool:
        """Whether it is enlarged wherever it is shown, and then by whole pixels."""
        return self.width <= _SMALL


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
