"""How the cost of a step grows: with the data, the resolution, the width, the batch, and with generators that train side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import Context
from benchmarks.race import Laps, Side, race
from benchmarks.results import Result, number
from gan_core.data.dataset import write_spec
from gan_core.kinds.images import Images

_COUNT, _SIDE, _WIDTH, _BATCH = 10_000, 32, 32, 64
_AXES: dict[str, Sequence[int]] = {
    "images in the data": (1_000, 10_000, 100_000),
    "pixels a side": (16, 32, 64, 128),
    "width of both networks": (16, 32, 64, 128),
    "batch": (16, 64, 256),
}


def run(context: Context) -> Result:
    """The default networks on grey images of 32 pixels, width 32, batches of 64, and one thing at a time changed."""
    rows: list[Sequence[str]] = []
    raw: dict[str, Any] = {}
    for axis, values in _AXES.items():
        settings = [_settings(axis, value) for value in values]
        sides = [_side(context, f"{axis}: {value:,}", **one) for value, one in zip(values, settings, strict=True)]
        laps = race(sides, min(context.rounds, 2), context.seconds / 2, context.say)
        rows += [_row(one) for one in laps]
        raw |= {one.name: {"windows": one.windows, "facts": one.facts} for one in laps}
    return Result(
        "Growth",
        "The default networks and loss on grey noise of 32x32 pixels, width 32, batches of 64, 10,000 images; one thing at a time is "
        "changed.",
        ("what", "images a second", "million operations an image", "GFLOP/s", "most resident, MiB"),
        rows,
        raw=raw,
    )


def _settings(axis: str, value: int) -> dict[str, int]:
    key = {"images in the data": "count", "pixels a side": "side", "width of both networks": "width", "batch": "batch"}[axis]
    return {"count": _COUNT, "side": _SIDE, "width": _WIDTH, "batch": _BATCH, key: value}


def _side(context: Context, name: str, count: int, side: int, width: int, batch: int) -> Side:
    network = {"network": "dcgan", "width": width}
    ready = noise(context.folder / f"noise-{count}-{side}", count, side)
    return context.gantry(name, ready, "mnist", condition="none", mismatch=0.0, batch=batch, generator=network, discriminator=network)


def _row(one: Laps) -> Sequence[str]:
    if not one.windows:
        return one.name, f"failed: {one.failure}", "", "", ""
    operations = one.facts["operations"]
    peak = statistics.median(window["peak_mib"] for window in one.windows)
    return one.name, number(one.rate()), number(operations / 1e6), number(one.rate() * operations / 1e9), number(peak, 4)


def noise(folder: Path, count: int, side: int) -> Path:
    """A packed data set of random grey images; made once."""
    if not folder.exists():
        folder.mkdir()
        block = np.random.default_rng(0).integers(0, 256, (1_000, 1, side, side), dtype=np.uint8)
        with (folder / "train.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count, *block.shape[1:])})
            for _ in range(count // len(block)):
                file.write(block.data)
        np.save(folder / "holdout.npy", block[:100])
        write_spec(folder, Images(block.shape[1:], {"train": count, "holdout": 100}))
    return folder
