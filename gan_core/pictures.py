"""Pictures for people: grids of images, scatters of points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PAPER = 255
_REAL = np.array([170, 178, 189])
_GENERATED = np.array([208, 62, 41])


def grid(images: NDArray[np.uint8], columns: int | None = None, gap: int = 2, min_side: int = 32) -> NDArray[np.uint8]:
    """Images side by side on white.

    Args:
        images: uint8 (N, C, H, W) with C of 1 or 3.
        columns: how many in a row; None makes the grid about square.
        gap: white pixels between images.
        min_side: smaller images are enlarged by whole factors (no smoothing) until they are at least this wide.

    Returns:
        uint8 (rows, columns, 3).
    """
    factor = math.ceil(min_side / images.shape[-1])
    tiles = images.repeat(factor, axis=2).repeat(factor, axis=3).transpose(0, 2, 3, 1)
    n, height, width, _ = tiles.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), _PAPER, dtype=np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + gap) + gap, (i % columns) * (width + gap) + gap
        sheet[top : top + height, left : left + width] = tile
    return sheet


def scatter(points: NDArray[np.float32], real: NDArray[np.float32] | None = None, size: int = 512) -> NDArray[np.uint8]:
    """Generated points (N, 2) in red over real ones (M, 2) in grey: uint8 (size, size, 3). More columns than two are left out."""
    clouds = [(cloud, colour) for cloud, colour in ((real, _REAL), (points, _GENERATED)) if cloud is not None]
    extent = 1.15 * max(float(np.abs(clouds[0][0][:, :2]).max()), 1e-6)
    sheet = np.full((size, size, 3), _PAPER, dtype=np.uint8)
    for cloud, colour in clouds:
        pixels = np.rint((cloud[:, :2] / extent * [1, -1] + 1) * (size - 1) / 2).astype(np.int64)
        for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
            at = pixels + shift
            inside = ((at >= 0) & (at < size)).all(axis=1)
            sheet[at[inside, 1], at[inside, 0]] = colour
    return sheet


def save_png(picture: NDArray[Any], path: Path) -> None:
    """Write uint8 (H, W, 3) as PNG, whole or not at all; the same picture gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    Image.fromarray(picture).save(temporary, format="png")
    temporary.replace(path)
