"""`points://circle`, `points://ring` and `points://grid`: drawn points in the plane, whose true distribution is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.params import DataParams
from tasks.sources.raw import Kind, RawReader
from tasks.sources.source import SourceFile, made

_SIGMA = {"circle": 0.0, "ring": 0.02, "grid": 0.05}
_BLOCK = 65_536


class PointsSource:
    """Points drawn from the entry's distribution and seed."""

    kind: Kind = "points"
    fingerprint = None
    notes: Sequence[str] = ()

    def __init__(self, data: DataParams) -> None:
        self._count = data.count
        self._seed = data.seed
        self.identity = data.source
        self.truth: Mapping[str, Any] = distribution(data.location, data.radius, data.sigma)

    def look(self) -> Sequence[SourceFile]:
        file = BytesIO()
        np.save(file, draw(self.truth, self._count, self._seed), allow_pickle=False)
        return [made("points.npy", file.getvalue())]

    def check(self, before: RawReader | None = None) -> int:
        return self._count


def distribution(shape: str, radius: float, sigma: float | None) -> dict[str, Any]:
    """The distribution that an entry describes, as `gan_core.kinds.points.Points.truth` has it.

    circle: an angle drawn uniformly, on the radius. ring: 8 means on the radius. grid: 5 x 5 means, the outermost at 2 * radius. Each
    with normal noise of standard deviation `sigma` in both coordinates. Ring and grid are the mixtures of PacGAN (Lin et al., 2018).
    """
    sigma = _SIGMA[shape] if sigma is None else sigma
    if shape == "circle":
        return {"shape": shape, "radius": radius, "sigma": sigma}
    if shape == "ring":
        angles = [2 * math.pi * k / 8 for k in range(8)]
        # Rounded, so that a mean on an axis is on the axis.
        centers = [[round(radius * math.cos(angle), 12), round(radius * math.sin(angle), 12)] for angle in angles]
    else:
        centers = [[radius * x, radius * y] for x in range(-2, 3) for y in range(-2, 3)]
    return {"shape": shape, "centers": centers, "sigma": sigma}


def draw(truth: Mapping[str, Any], count: int, seed: int) -> NDArray[np.float32]:
    """Draw `count` points, float32 (count, 2); the first n of more points are the same n points."""
    generator = np.random.default_rng(seed)
    points = np.empty((count, 2), dtype=np.float32)
    # In blocks, because the intermediate values of ten million points would take half a GiB.
    for start in range(0, count, _BLOCK):
        block = points[start : start + _BLOCK]
        block[:] = _draw_block(truth, generator)[: len(block)]
    return points


def _draw_block(truth: Mapping[str, Any], generator: np.random.Generator) -> NDArray[np.float64]:
    noise = truth["sigma"] * generator.standard_normal((_BLOCK, 2))
    if truth["shape"] == "circle":
        angle = generator.uniform(0.0, 2 * math.pi, _BLOCK)
        return np.asarray(truth["radius"] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise)
    centers = np.asarray(truth["centers"])
    return np.asarray(centers[generator.integers(len(centers), size=_BLOCK)] + noise)
