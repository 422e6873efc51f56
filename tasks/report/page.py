"""The page about a decision: one HTML file that asks no other host for anything and needs no scripts."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from tasks.report.charts import charts, charts_beside, interval
from tasks.report.facts import Facts, Figure
from tasks.report.templates import environment

_LARGEST = 1_440
"""Pixels of a picture's longer side; larger ones are scaled down, so that the page stays small enough to send."""


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
        pictures=[(picture.caption, data_uri(picture), sound_uri(picture)) for picture in facts.pictures],
        copies=None if facts.copies is None else (facts.copies.caption, data_uri(facts.copies)),
        earlier=[(picture.caption, data_uri(picture), sound_uri(picture)) for picture in facts.earlier],
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


def sound_uri(picture: Figure) -> str | None:
    """What is heard of a picture, inside the page."""
    return None if picture.sound is None else f"data:audio/wav;base64,{base64.b64encode(picture.sound).decode()}"


def data_uri(picture: Figure) -> str:
    """A picture inside the page."""
    from PIL import Image

    pixels = picture.pixels
    with Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else Image.open(pixels) as image:
        image.load()
        if max(image.size) > _LARGEST:
            image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
        file = BytesIO()
        image.save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
