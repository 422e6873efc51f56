"""Images spoiled on purpose, so that a generator can learn to restore them: pairs from any set of images.

    mask         a square hole of a quarter to half the side, at a random place, filled with plain grey
    downsample   made four times smaller and enlarged again, bicubically
    noise        normal noise of deviation 25 (of 0 to 255) on each value
    grey         the brightness alone, ITU-R 601 luma: one channel

Each is a pure function of the image and a seed. `plain_restoration` is what can be had without learning, to compare with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.params.common import Corruption

SIGMA = 25.0
FACTOR = 4
HOLE = 128
"""The grey of a hole, in every channel."""


def corrupt(image: NDArray[np.uint8], corruption: Corruption, seed: int) -> NDArray[np.uint8]:
    """An image (C, H, W) spoiled: uint8 (C, H, W), or (1, H, W) by `grey`; the same seed spoils it alike.

    Args:
        image: with C of 1 or 3; of 3 for `grey`, and with sides that 4 divides for `downsample`.
        corruption: how.
        seed: of the hole's place and of the noise.
    """
    if corruption == "grey":
        return np.asarray(_picture(image).convert("L"))[None]
    if corruption == "downsample":
        picture = _picture(image)
        small = picture.resize((picture.width // FACTOR, picture.height // FACTOR), Image.Resampling.BICUBIC)
        return _pixels(small.resize(picture.size, Image.Resampling.BICUBIC))
    draw = np.random.default_rng(seed)
    if corruption == "noise":
        noisy: NDArray[np.uint8] = np.rint(image + draw.normal(0.0, SIGMA, image.shape)).clip(0, 255).astype(np.uint8)
        return noisy
    height, width = image.shape[1:]
    side = int(draw.integers(max(min(height, width) // 4, 1), min(height, width) // 2 + 1))
    top, left = int(draw.integers(height - side + 1)), int(draw.integers(width - side + 1))
    spoiled = np.array(image)
    # Nothing but the hole has the hole's grey, so that the image alone tells where it is.
    spoiled[0][(image == HOLE).all(axis=0)] += 1
    spoiled[:, top : top + side, left : left + side] = HOLE
    return spoiled


def holes(inputs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where images (N, C, H, W) that `mask` has spoiled have their hole: (N, H, W)."""
    return np.asarray((inputs == HOLE).all(axis=1))


def plain_restoration(inputs: NDArray[np.uint8], corruption: Corruption, channels: int) -> NDArray[np.uint8]:
    """What spoiled images (N, C', H, W) are worth without learning: uint8 (N, `channels`, H, W).

    A hole is filled with the mean colour of what is around it; what was made smaller was enlarged bicubically already; noise stays; grey
    stays grey.
    """
    plain = np.array(np.broadcast_to(inputs, (len(inputs), channels, *inputs.shape[2:])))
    if corruption == "mask":
        for image, hole in zip(plain, holes(inputs), strict=True):
            if not hole.all():
                image[:, hole] = np.rint(image[:, ~hole].mean(axis=1, keepdims=True)).astype(np.uint8)
    return plain


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1))
