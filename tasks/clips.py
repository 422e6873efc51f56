"""Generated clips as files that move."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.samples import FRAME_MS, encode_png, file_names

if TYPE_CHECKING:
    from gan_core.generator import Samples
    from gan_core.kinds.predictions import Predictions
    from tasks.inputs import Inputs

_ALONE = 128
"""Pixels to which a clip that is alone is enlarged, by whole factors."""


def encode_film(frames: NDArray[np.uint8], form: Literal["gif", "webp"], lossless: bool = True) -> bytes:
    """Frames, uint8 (F, H, W, 3), as an endless GIF, or WebP with or without loss."""
    from PIL import Image

    first, *others = map(Image.fromarray, frames)
    file = BytesIO()
    how = {} if form == "gif" else {"lossless": lossless, "quality": 80, "method": 4}
    first.save(file, format=form, save_all=True, append_images=others, duration=FRAME_MS, loop=0, **how)
    return file.getvalue()


def frames_of(clips: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Clips (N, C, F, H, W) as a film, uint8 (F, rows, columns, 3): one as it is, or several beside each other."""
    from gan_core.pictures import film

    if len(clips) > 1:
        return film(clips, min_side=_ALONE // 2)
    factor = max(1, _ALONE // clips.shape[-1])
    return exact(clips[0]).repeat(factor, axis=1).repeat(factor, axis=2)


def exact(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A clip (C, F, H, W) as frames, uint8 (F, H, W, 3)."""
    return np.broadcast_to(clip, (3, *clip.shape[1:])).transpose(1, 2, 3, 0)


def encode_beginning(clip: NDArray[np.uint8], data: Predictions) -> bytes:
    """Frames that a generator is given, (C, G, H, W), as the bytes of a file of which it is given these."""
    spread = clip.repeat(data.every, axis=1)[:, : (clip.shape[1] - 1) * data.every + 1]
    between = np.arange(spread.shape[1]) % data.every > 0  # is not looked at, and must not be equal, or it would be left out
    return encode_sample(np.where(between[:, None, None], 255 - spread, spread))[0]


def encode_sample(pixels: NDArray[np.uint8]) -> tuple[bytes, str]:
    """An image (C, H, W), or a clip (C, F, H, W), as the bytes of a file without loss, and its type on the web."""
    if pixels.ndim == 3:
        return encode_png(pixels), "image/png"
    if pixels.shape[1] == 1:
        return encode_png(pixels[:, 0]), "image/png"
    return encode_film(exact(pixels), "webp"), "image/webp"


def write_film(clips: NDArray[np.uint8], form: Literal["gif", "webp"], path: Path) -> None:
    """Clips (N, C, F, H, W) playing beside each other."""
    path.write_bytes(encode_film(frames_of(clips), form))


def write_folder(samples: Samples, folder: Path, classes: tuple[str, ...] | None, given: Inputs | None) -> None:
    """A WebP without loss for each clip."""
    for clip, name in zip(samples.samples, file_names(samples, classes, given), strict=True):
        (folder / f"{name}.webp").write_bytes(encode_film(exact(clip), "webp"))
