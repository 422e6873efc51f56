"""Image files with other values than 8 bits in grey or RGB: 16 bits or floats, kept as the files have them, and any number of bands.

`data.channels` says how many bands (channels) a file has, and of another number than 1 and 3 each file must have as many: alpha is one of
them then, and the pages of a TIFF file, where it has as many of one band each. In grey or RGB files become one or the other, and alpha
goes on white, as with 8 bits.

`data.depth` says what the values are kept in:

    8       0 to 255, scaled as `tasks.validation.images` has it
    16      uint16, from files of more than 8 bits: without `data.range` from black to white of the file's type, 0 to 65,535 where that
            has 16 bits; with it as the file has them, cut off outside
    float   float32, as the file has them, cut off outside `data.range`

What has the asked size is passed on value for value; otherwise each band is scaled by itself, as a grey picture is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tasks.params import ValidateParams
from tasks.validation import images
from tasks.validation.formats import Raster, UnusableImageError
from tasks.validation.images import Bounds, Crop, Extent, Picture, Shape, check_blank, fit, on_white, places, to_levels, turned, values_of

_FULL = 65_535


def decode(data: bytes, size: Shape, limits: ValidateParams, bounds: Bounds | None = None) -> Picture:
    """Decode one image file and bring it to one size, depth and number of bands; as `tasks.validation.images.decode`, of any of them.

    Raises:
        UnusableImageError: as there; or it has another number of bands, or values that cannot be kept so.
    """
    if size.is_plain:
        return images.decode(data, size, limits, bounds)
    opened = _opened(_raster(data, size, limits), size, bounds)
    height, width = opened.values.shape[:2]
    found = places(data, (width, height), size) if size.fit == "random-crop" and size.crops else ()
    return _picture(opened, opened.values, size, limits, found)


def picture_of(raster: Raster, size: Shape, limits: ValidateParams, bounds: Bounds | None = None) -> Picture:
    """As `tasks.validation.images.picture_of`, of any depth and number of bands.

    Raises:
        UnusableImageError: as there; or it has values that cannot be kept so.
    """
    if size.is_plain:
        return images.picture_of(raster, size, limits, bounds)
    opened = _opened(raster, size, bounds)
    return _picture(opened, opened.values, size, limits, ())


def decode_halves(data: bytes, size: Shape, limits: ValidateParams, bounds: Bounds | None = None) -> tuple[Picture, Picture]:
    """As `tasks.validation.images.decode_halves`, of any depth and number of bands.

    Raises:
        UnusableImageError: as `decode`, of either half; or the file has no two halves.
    """
    if size.is_plain:
        return images.decode_halves(data, size, limits, bounds)
    opened = _opened(_raster(data, size, limits), size, bounds)
    height, width = opened.values.shape[:2]
    images.check_halves(width, height)
    halves = np.split(opened.values, 2, axis=1)
    found = places(data, (width // 2, height), size) if size.fit == "random-crop" and size.crops else ()
    made = []
    for name, half in zip(("left", "right"), halves, strict=True):
        try:
            made.append(_picture(opened, half, size, limits, found))
        except UnusableImageError as error:
            raise UnusableImageError(f"{name} half: {error}") from None
    return made[0], made[1]


def extent_of(data: bytes, size: Shape, limits: ValidateParams) -> Extent:
    """As `tasks.validation.images.extent_of`, of any number of bands."""
    if size.is_plain:
        return images.extent_of(data, limits)
    return extent_in(_raster(data, size, limits))


@dataclass(frozen=True, slots=True)
class _Opened:
    """A decoded file."""

    values: NDArray[Any]
    """(H, W, C), upright, as they are kept."""
    bounds: Bounds
    """Which of them are black and white."""
    width: int
    height: int
    mode: str
    extent: Extent


def _raster(data: bytes, size: Shape, limits: ValidateParams) -> Raster:
    if not data:
        raise UnusableImageError("empty file")
    raster = values_of(data, lambda width, height: images.check_size(width, height, limits), size.channels)
    channels, asked = np.atleast_3d(raster.values).shape[2], size.channels
    if asked not in (None, 1, 3, channels):
        alpha = " and alpha" if raster.alpha is not None else ""
        have = f"{channels} channel{'s' if channels > 1 else ''}{alpha}"
        raise UnusableImageError(f"{have}, and data.channels asks for {asked}; give each file as many, or change data.channels")
    return raster


def extent_in(raster: Raster) -> Extent:
    """Which values a picture has.

    Raises:
        UnusableImageError: some are no numbers, or infinite.
    """
    extent = Extent(raster.values.min().item(), raster.values.max().item(), raster.top)
    if not (math.isfinite(extent.low) and math.isfinite(extent.high)):
        raise UnusableImageError("some pixels are no numbers, or infinite")
    return extent


def _opened(raster: Raster, size: Shape, bounds: Bounds | None) -> _Opened:
    extent = extent_in(raster)
    height, width = raster.values.shape[:2]
    values, kept = _kept(raster, size, bounds)
    upright = np.ascontiguousarray(turned(np.atleast_3d(values), raster.orientation))
    return _Opened(upright, kept, width, height, raster.mode, extent)


def _kept(raster: Raster, size: Shape, bounds: Bounds | None) -> tuple[NDArray[Any], Bounds]:
    """The values of a file in the type that they are kept in, and which of them are black and white."""
    if bounds is None and raster.top is None:
        raise images.without_range(raster.values)
    low, high = between = bounds or (0.0, float(raster.top or 0))
    if size.depth == 8:
        return to_levels(on_white(raster, between), between), (0.0, 255.0)
    if size.depth == "float":
        return on_white(raster, between).astype(np.float32).clip(np.float32(low), np.float32(high)), between
    if raster.top is None:
        raise UnusableImageError("float or signed pixels, and data.depth: 16 keeps whole numbers from 0 on; set data.depth: float")
    if raster.top <= 255:
        raise UnusableImageError("8-bit pixels, and data.depth is 16; save it with 16 bits as the others, or set data.depth: 8")
    values = on_white(raster, between)
    if bounds is not None:
        return values.clip(math.ceil(low), math.floor(high)).astype(np.uint16), bounds
    if raster.top != _FULL:
        values = np.rint(values.astype(np.float64) * (_FULL / raster.top))
    return values.astype(np.uint16), (0.0, float(_FULL))


def _picture(opened: _Opened, values: NDArray[Any], size: Shape, limits: ValidateParams, found: Sequence[tuple[int, int]]) -> Picture:
    """An opened file, or a half of it, checked and scaled, or parts of it."""
    mean, std = _statistics(values, opened.bounds)
    check_blank(std, limits, opened.extent)
    height, width = size.size
    parts = [(left, top, values[top : top + height, left : left + width]) for left, top in found]
    crops = tuple(Crop(left, top, _first(part), *_statistics(part, opened.bounds)) for left, top, part in parts)
    pixels = crops[0].pixels if crops else _first(fit_values(values, size, opened.bounds))
    upright = values.shape[1], values.shape[0]
    return Picture(opened.width, opened.height, opened.mode, mean, std, pixels, opened.extent, upright, crops)


def _first(values: NDArray[Any]) -> NDArray[Any]:
    """Channels first."""
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _statistics(values: NDArray[Any], bounds: Bounds) -> tuple[float, float]:
    """Mean, and standard deviation within each channel, on the scale of 0 (black) to 255 (white)."""
    low, high = bounds
    bands = [values[..., band] for band in range(values.shape[2])]
    mean = float(np.mean([band.mean(dtype=np.float64) for band in bands]))
    variance = float(np.mean([band.var(dtype=np.float64) for band in bands]))
    return (mean - low) * 255 / (high - low), math.sqrt(variance) * 255 / (high - low)


def fit_values(values: NDArray[Any], size: Shape, bounds: Bounds) -> NDArray[Any]:
    """Values (H, W, C) brought to a size and shape, of the same type, each band by itself."""
    (height, width), (down, across) = values.shape[:2], size.size
    if (height, width) == (down, across):
        return values
    if size.fit == "random-crop" and width >= across and height >= down:
        left, top = (width - across) // 2, (height - down) // 2
        return values[top : top + down, left : left + across]
    is_bytes = values.dtype == np.uint8
    made = []
    for band in range(values.shape[2]):
        one = np.ascontiguousarray(values[..., band] if is_bytes else values[..., band].astype(np.float32))
        made.append(np.asarray(fit(Image.fromarray(one), size, white=255 if is_bytes else bounds[1])))
    fitted = np.stack(made, axis=2)
    if is_bytes:
        return fitted
    fitted = fitted.clip(np.float32(bounds[0]), np.float32(bounds[1]))  # what sharp edges overshoot
    return np.asarray((fitted if values.dtype.kind == "f" else np.rint(fitted)).astype(values.dtype))
