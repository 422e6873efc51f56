"""Distances between sets of samples that several benchmarks measure by."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from scipy.spatial.distance import cdist


def energy(real: NDArray[Any], generated: NDArray[Any]) -> float:
    """The energy distance between two sets of rows (N, D)."""
    return float(2 * cdist(real, generated).mean() - cdist(real, real).mean() - cdist(generated, generated).mean())
