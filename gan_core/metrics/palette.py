"""Label maps: pictures that mean a class by each of a few colours, which resizing and compression have blurred."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

MOST_COLOURS = 32
_NEAR = 42.0
"""Values (of 0 to 255) around a colour, as the root of the squares over the channels, that count as that colour."""
_FEWEST = 1e-3
"""Share of these pixels that a colour has at least."""
_FLAT = 24
"""Most that a pixel may differ from its neighbours."""
_STEP, _BIN = 4, 16
_SAME, _MOSTLY = 8.0, 0.8
"""Values around a colour that compression leaves, and the share of flat pixels of label maps that lie within them."""


def palette_of(maps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours of label maps, uint8 (K, C), most frequent first.

    Only pixels that are like all around them count, since the others are blends of two colours. The most frequent colour is taken,
    with all near it, until what is left is rare.

    Args:
        maps: uint8 (N, C, H, W).
    """
    pixels = maps.transpose(0, 2, 3, 1)[_flat(maps)]
    values, counts = np.unique(pixels // _STEP * _STEP + _STEP // 2, axis=0, return_counts=True)
    values = values.astype(np.float64)
    found: list[NDArray[np.float64]] = []
    while len(values) and len(found) < MOST_COLOURS:
        # The peak of a coarse histogram, then the mean around it.
        bins, index = np.unique(values // _BIN, axis=0, return_inverse=True)
        peak = index.ravel() == np.bincount(index.ravel(), weights=counts, minlength=len(bins)).argmax()
        centre = np.average(values[peak], axis=0, weights=counts[peak])
        near = np.linalg.norm(values - centre, axis=1) <= _NEAR
        if counts[near].sum() < _FEWEST * len(pixels):
            break
        found.append(np.average(values[near], axis=0, weights=counts[near]))
        values, counts = values[~near], counts[~near]
    return np.rint(np.array(found).reshape(-1, maps.shape[1])).astype(np.uint8)


def are_label_maps(maps: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bool:
    """Whether pictures, uint8 (N, C, H, W), mean classes by the colours of their palette: at least two, which nearly all flat pixels have.

    Of label maps kept as JPEG and scaled down, at least 96 % of them lie that close (CMP facades); of photos 10 to 42 %.
    """
    if len(palette) < 2:
        return False
    pixels, counts = np.unique(maps.transpose(0, 2, 3, 1)[_flat(maps)], axis=0, return_counts=True)
    distances = np.linalg.norm(pixels[:, None].astype(np.float32) - palette[None], axis=2).min(axis=1)
    return bool(counts[distances <= _SAME].sum() >= _MOSTLY * counts.sum())


def _flat(maps: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels, (N, H, W), differ little from their eight neighbours."""
    window = (1, 1, 3, 3)
    spread = maximum_filter(maps, window, mode="nearest") - minimum_filter(maps, window, mode="nearest")
    return np.asarray((spread <= _FLAT).all(axis=1))


def labels_of(maps: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The index in the palette of the colour nearest to each pixel: int64 (N, H, W) from uint8 (N, C, H, W)."""
    labels = np.empty((len(maps), *maps.shape[2:]), dtype=np.int64)
    for label, image in zip(labels, maps, strict=True):
        label[...] = np.square(image[None].astype(np.float32) - palette[:, :, None, None]).sum(axis=1).argmin(axis=0)
    return labels
