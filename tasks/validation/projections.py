"""Images and volumes as a few numbers each, by which two sets of them are compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.kinds.kind import MOST_FEATURES

_SIDE = 16  # images are averaged down to at most this before they are projected
_SEED = 20_070


def projections(images: NDArray[Any]) -> NDArray[np.float64]:
    """Random projections of images (N, C, H, W), or volumes (N, C, X, Y, Z), of 0 to 255, averaged down to 16 along each side: (N, 32)."""
    *outer, rows, columns = map(_averaging, images.shape[2:])
    small = rows @ ((images.astype(np.float32) / 127.5 - 1) @ columns.T)
    for slices in outer:
        small = np.einsum("sx,ncxyz->ncsyz", slices, small, optimize=True)
    flat = small.reshape(len(images), -1).astype(np.float64)
    weights = np.random.default_rng(_SEED).standard_normal((flat.shape[1], MOST_FEATURES)) / math.sqrt(flat.shape[1])
    projected: NDArray[np.float64] = flat @ weights
    return projected


def _averaging(side: int) -> NDArray[np.float32]:
    """(min(side, 16), side): each row the mean of its share of the pixels."""
    small = min(side, _SIDE)
    matrix = np.zeros((small, side), dtype=np.float32)
    matrix[np.arange(side) * small // side, np.arange(side)] = 1
    averaged: NDArray[np.float32] = matrix / matrix.sum(axis=1, keepdims=True)
    return averaged
