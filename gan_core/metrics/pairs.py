"""How near images come to their real partners: a score each, float64 (N,), of (N, C, H, W) against (N, C, H, W), both on the scale of 0 to
255, in 8 bits or not; by features, whether each lies nearest to its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from gan_core.errors import DataError

MOST_PSNR = 100.0
"""Decibels that an exact copy is given, whose ratio is infinite."""
CANDIDATES = 100
"""Real samples among which an image has to find its partner."""

_WINDOW, _SIGMA = 11, 1.5


def mean_absolute_errors(images: NDArray[Any], partners: NDArray[Any]) -> NDArray[np.float64]:
    """The mean absolute difference of the values of uint8 images and partners (N, C, H, W), 0 to 1: (N,).

    >>> mean_absolute_errors(np.zeros((1, 1, 8, 8), dtype=np.uint8), np.full((1, 1, 8, 8), 51, dtype=np.uint8)).tolist()
    [0.2]
    """
    difference = np.abs(images.astype(np.float64) - partners)
    return np.asarray(difference.mean(axis=(1, 2, 3)) / 255)


def psnrs(images: NDArray[Any], partners: NDArray[Any], where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """The peak signal-to-noise ratio in decibels, 10 log10(255^2 / mean squared difference), at most 100.

    Args:
        images: (N, C, H, W), 0 to 255.
        partners: the same.
        where: (N, H, W), the pixels that count; None counts all. Images without any such pixel have NaN.

    >>> psnrs(np.zeros((1, 1, 8, 8), dtype=np.uint8), np.full((1, 1, 8, 8), 255, dtype=np.uint8)).tolist()
    [0.0]
    """
    squares = np.square(images.astype(np.float64) - partners).mean(axis=1)
    if where is None:
        errors = squares.mean(axis=(1, 2))
    else:
        pixels = where.sum(axis=(1, 2))
        errors = np.where(pixels > 0, (squares * where).sum(axis=(1, 2)) / np.maximum(pixels, 1), np.nan)
    return np.asarray(10 * np.log10(255.0**2 / np.maximum(errors, 255.0**2 / 10 ** (MOST_PSNR / 10))))


def ssims(images: NDArray[Any], partners: NDArray[Any]) -> NDArray[np.float64]:
    """The structural similarity of uint8 images and partners (N, C, H, W), -1 to 1: (N,) (Wang et al., 2004).

    A Gaussian window of 11 pixels and deviation 1.5, K1 0.01, K2 0.03. The mean over the window's places inside the image; on images of
    fewer than 11 pixels the window is the largest odd one inside.

    >>> images = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16))
    >>> ssims(images, images).tolist()
    [1.0]
    """
    side = min(_WINDOW, *(length - 1 + length % 2 for length in images.shape[2:]))
    places = torch.arange(side, dtype=torch.float64) - side // 2
    weights = torch.exp(-places.square() / (2 * _SIGMA**2))
    window = torch.outer(weights, weights)[None, None] / weights.sum() ** 2
    scores = [_ssim(torch.tensor(one), torch.tensor(other), window) for one, other in zip(images, partners, strict=True)]
    return np.array(scores, dtype=np.float64)


def _ssim(image: torch.Tensor, partner: torch.Tensor, window: torch.Tensor) -> float:
    """Of one image (C, H, W), a channel at a time."""
    x, y = image.to(torch.float64)[:, None], partner.to(torch.float64)[:, None]
    mean_x, mean_y, xx, yy, xy = (F.conv2d(values, window) for values in (x, y, x * x, y * y, x * y))
    variance_x, variance_y, covariance = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2) / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))
    return float(likeness.mean())


def partners_found(real: NDArray[Any], generated: NDArray[Any], seed: int = 0) -> NDArray[np.bool_]:
    """Whether each generated sample is no further from its own partner than from 99 others: bool (N,). By chance 1 % are.

    What a generator makes of a wrong input is a good sample all the same: distances between sets do not see it, and this does. Unlike a
    difference from the partner it does not favour the blurred mean of all that the input allows.

    Args:
        real: features (N, D) of the partners; of all of them where there are fewer than 100.
        generated: features (N, D), in the same order.
        seed: chooses the others, the same for every generator.

    Raises:
        DataError: they are of different shapes, or fewer than two.

    >>> features = np.eye(4)
    >>> partners_found(features, features).tolist(), partners_found(features, features[::-1]).tolist()
    ([True, True, True, True], [False, False, False, False])
    """
    if real.shape != generated.shape or len(real) < 2:
        raise DataError(f"partners: features of {real.shape} and {generated.shape} are no pairs of two or more")
    n = len(real)
    order = np.random.default_rng(seed).permutation(n)  # neighbours in the packed order may be of one class
    first, second = real[order].astype(np.float64), generated[order].astype(np.float64)
    own = np.square(second - first).sum(axis=1)
    found = np.ones(n, dtype=bool)
    for step in range(1, min(n, CANDIDATES)):
        found &= own <= np.square(second - np.roll(first, step, axis=0)).sum(axis=1)
    in_order = np.empty(n, dtype=bool)
    in_order[order] = found
    return in_order
