"""One image file's bytes to plain pixels, by rules that stand here and nowhere else.

What is read: the formats of `tasks.validation.formats`, told by content, never by name; HEIC where its extra is installed. Everything
else is refused by what it is, and no other decoder is ever started.

How each kind of picture becomes 8-bit grey (1 channel) or RGB (3 channels):

    grey, black and white     grey; of TIFF also where the lowest value is white
    RGB                       RGB; of TIFF also in planes
    palette                   the colours it stands for: RGB
    alpha (RGBA, LA, a        composited on white, before any resizing, so that edges do not darken; LA stays grey
    transparent colour, ...)
    other than 8 bits         scaled from the range of the type (12 bits: 0..4095, 16 bits: 0..65535) to 0..255, rounded
    CMYK, YCbCr, LAB          Pillow's conversion to RGB
    signed, float, 32 bits    refused, unless `data.range` says what is black and what is white: such files do not (32-bit integers
                              within 0..65535 count as 16-bit)
    EXIF orientation          applied; metadata that cannot be read counts as upright
    animated, several pages   the first frame; `animated` has all of them
    colour profile, gamma     not applied: values count as sRGB
    odd shapes                by `data.fit` the largest central part of the asked shape, the whole with white beside it, or the whole
                              stretched, scaled to the asked size: Lanczos with antialiasing (after a reduction to no less than 3
                              times the size where the picture is more than 6 times as large: of a JPEG while it is decoded, of
                              others and of halves by boxes) to make smaller, bicubic to make larger; what has the asked size is
                              passed on bit for bit; or parts of the asked size, not scaled

With bounds (`data.range`), values are scaled from these to 0..255 instead, alike in every file and channel, and cut off outside. They
are counted in the file's own numbers, of files below 8 bits as if they had 8.

Sizes are checked from the header, before a pixel is decoded. Deeper pictures, and those of other bands, are `tasks.validation.bands`'.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from gan_core.params.common import Depth, Fit, Sides
from tasks.params import DEFAULT_SIZE, DataParams, ValidateParams
from tasks.validation.formats import FORMATS, CheckSize, Format, Raster, UnusableError, UnusableImageError, format_of, read

RESIZER = f"Pillow {PIL.__version__}: JPEG reduced while decoded, then Lanczos to make smaller, bicubic to make larger"
"""What brings pictures to the size of the data set (`fit`); scores of images belong to it."""
MAX_PIXELS = 89_478_485
"""Width times height above which a file counts as a decompression bomb (Pillow's own limit, 256 MiB as RGB)."""
Bounds = tuple[float, float]
"""The values that are black and white."""

FEW = 8
"""A picture, or a set of them, that uses less than this part of the range of its type is likely to be meant otherwise."""
_GAP = 3
"""Times the asked size that a much larger picture is first reduced to, fast, before Lanczos. A JPEG whose sides are no multiples of the
reduction comes out larger by up to 1 / (_GAP * size) of itself, a third of a pixel."""

MODES = (
    "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "I;16L", "I;16B", "I;16N",
    "LA;16", "RGB;16", "RGBA;16", "LA;32", "RGB;32", "RGBA;32", "F", "RGB;F",
    *(f"bands;{kind}{bits}" for kind in ("uint", "int", "float") for bits in (8, 16, 32, 64)),
)  # fmt: skip
"""Pixel formats, by Pillow's names or after them, that there is a rule for."""
_ANIMATED: frozenset[Format] = frozenset(("GIF", "PNG", "WebP", "AVIF"))
_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_WIDE_MODES = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_LEVELS = np.arange(256, dtype=np.float64)
_POWERS = np.stack([_LEVELS, _LEVELS**2], axis=1)
_ROWS = 256
"""Rows of a picture of wide numbers that are scaled at once: bounds memory."""
_TRUNCATED = ("truncated", "input stream too small", "need_more_input", "failed to read")
"""What Pillow, libpng, libjxl and tifffile say of a file that ends too early, in lower case."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Extent:
    """Which values a picture has."""

    low: float
    high: float
    """The lowest and the highest, in the file's own numbers, alpha aside."""
    top: float | None
    """White, where black is 0, as the file's type says; None where it does not."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture, not scaled."""

    left: int
    top: int
    """Where in the upright picture it begins."""
    pixels: NDArray[Any]
    """(C, H, W)."""
    mean: float
    std: float
    """As of `Picture`, of the part."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What pictures of all shapes are brought to."""

    size: Sides
    """Height and width."""
    fit: Fit = "crop"
    crops: int = 1
    """With fit random-crop, how many, at most; 0: one from the middle."""
    seed: int = 0
    """Of their places."""
    by_content: bool = True
    """Whether the places are each file's own; otherwise pictures of one size have the same, as partners in two files need."""
    channels: int | None = None
    """How many of them; None: 1 or 3, as the file has it."""
    depth: Depth = 8
    """What values are kept in."""

    @classmethod
    def of(cls, data: DataParams) -> Shape:
        """What an entry says, of files."""
        sides = data.sides or (DEFAULT_SIZE, DEFAULT_SIZE)
        by_content = data.layout != "paired-folders"
        return cls(sides, data.fit, data.crops, data.seed, by_content, data.channels, data.depth)

    @property
    def is_plain(self) -> bool:
        """Whether it is of 8 bits in grey or RGB; otherwise `tasks.validation.bands` decodes."""
        return self.depth == 8 and self.channels in (None, 1, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return np.dtype({8: np.uint8, 16: np.uint16, "float": np.float32}[self.depth])

    @property
    def least(self) -> int | None:
        """What no side may fall below where a decoder makes a picture smaller; None: it may not."""
        return None if self.fit == "random-crop" else _GAP * max(self.size)

    @property
    def most(self) -> int:
        """Samples that a picture becomes, at most."""
        return self.crops if self.fit == "random-crop" else 1

    @property
    def n_bytes(self) -> int:
        """Of what is kept of a picture, at most."""
        return max(3, self.channels or 0) * self.dtype.itemsize * math.prod(self.size) * self.most


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded file."""

    width: int
    height: int
    """Pixels as the header says, before any orientation is applied."""
    mode: str
    """The file's own pixel format, after Pillow's names: L, RGB, RGBA, P, I;16, RGB;16, CMYK, ..."""
    mean: float
    """Mean of the decoded pixels, 0 to 255, at the size that they are decoded in."""
    std: float
    """Standard deviation within each channel (root of the mean variance), so that a picture of one plain colour has 0."""
    pixels: NDArray[Any]
    """(C, H, W), C = 1 for grey pictures and 3 for others, or as many as are asked for; the first of `crops`."""
    extent: Extent
    """Of the file, before its values were scaled."""
    upright: tuple[int, int]
    """Width and height in pixels of what `fit` was given: the file's, after any orientation is applied, or its half's."""
    crops: tuple[Crop, ...] = ()
    """With fit random-crop, what was cut out."""


def decode(data: bytes, size: int | Shape, limits: ValidateParams, bounds: Bounds | None = None) -> Picture:
    """Decode one image file and bring it to one size and shape.

    Args:
        data: the whole file.
        size: of the result; a number is the side of a square, which is cropped.
        limits: what is refused.
        bounds: the values that become 0 and 255; None: those of the file's type.

    Raises:
        UnusableImageError: not an image, broken, outside the limits, blank, or without a range of values.
    """
    shape = Shape((size, size)) if isinstance(size, int) else size
    opened = _open(data, limits, bounds, least=shape.least)
    if shape.fit == "random-crop" and shape.crops:
        return _with_crops(opened.image, opened, shape, places(data, opened.image.size, shape), limits)
    return _fitted(opened.image, opened, shape, limits)


def picture_of(raster: Raster, shape: Shape, limits: ValidateParams, bounds: Bounds | None = None) -> Picture:
    """Values that are there already, brought to one size and shape; a `fit` of random-crop takes the part in the middle.

    Raises:
        UnusableImageError: outside the limits, blank, or without a range of values.
    """
    opened = _levelled(raster, bounds)
    return _fitted(opened.image, opened, shape, limits)


def decode_halves(data: bytes, size: int | Shape, limits: ValidateParams, bounds: Bounds | None = None) -> tuple[Picture, Picture]:
    """Decode one file that holds two images side by side: the left and the right half, each as `decode` gives an image.

    Raises:
        UnusableImageError: as `decode`, of either half; or the file has no two halves.
    """
    shape = Shape((size, size)) if isinstance(size, int) else size
    opened = _open(data, limits, bounds)
    width, height = opened.image.size
    check_halves(width, height)
    left, right = (opened.image.crop((start, 0, start + width // 2, height)) for start in (0, width // 2))
    fitted: Callable[[Image.Image], Picture] = partial(_fitted, opened=opened, shape=shape, limits=limits)
    if shape.fit == "random-crop":
        of_both = places(data, left.size, shape)
        fitted = partial(_with_crops, opened=opened, shape=shape, found=of_both, limits=limits)
    try:
        first = fitted(left)
    except UnusableImageError as error:
        raise UnusableImageError(f"left half: {error}") from None
    try:
        return first, fitted(right)
    except UnusableImageError as error:
        raise UnusableImageError(f"right half: {error}") from None


@dataclass(frozen=True, slots=True)
class Upright:
    """A picture as it is, not scaled."""

    image: Image.Image
    """`L` or `RGB`, on white."""
    width: int
    height: int
    mode: str
    """As of `Picture`."""


def upright(data: bytes, limits: ValidateParams) -> Upright:
    """Decode one image file, and leave its size alone, however little its pixels differ.

    Raises:
        UnusableImageError: not an image, broken, or outside the limits of size.
    """
    opened = _open(data, limits)
    return Upright(opened.image, opened.width, opened.height, opened.mode)


@dataclass(frozen=True, slots=True)
class Animated:
    """An animated picture."""

    width: int
    height: int
    mode: str
    """As of `Picture`."""
    count: int
    """Frames that it says it has."""
    frames: Iterator[tuple[Image.Image, float]]
    """Each as of `Upright`, and for how many milliseconds it is shown; 0 where the file does not say."""


@contextmanager
def animated(data: bytes, limits: ValidateParams) -> Iterator[Animated | None]:
    """An animated GIF, PNG, WebP or AVIF, of which no frame is decoded before it is asked for; None: it is a still picture.

    Raises:
        UnusableImageError: as `upright`, also while frames are asked for.
    """
    kind = format_of(data)
    if kind not in _ANIMATED:
        yield None
        return
    with _reasons(kind), _pillow_of(kind, data) as source:
        check_size(*source.size, limits)
        if not getattr(source, "is_animated", False):
            yield None
            return
        # What programs that know no animation show is none of its frames.
        first, end = int(bool(source.info.get("default_image"))), int(getattr(source, "n_frames", 1))

        def frames() -> Iterator[tuple[Image.Image, float]]:
            for index in range(first, end):
                with _reasons(kind):
                    source.seek(index)
                    with _what_was_before(source):
                        source.load()
                    shown = _on_white(*to_plain(source)).copy()
                yield shown, float(source.info.get("duration") or 0)

        yield Animated(*source.size, source.mode, end - first, frames())


def _with_its_alpha(data: bytes) -> bytes:
    """An animated WebP that says of its alpha what its frames do.

    Frames without any that leave a part of the picture free make it transparent there. Encoders (libwebp 1.6) do not set the flag then, and
    without it Pillow gives black.
    """
    if data[12:16] != b"VP8X" or len(data) < 30 or data[20] & 0x10:
        return data
    whole, place, is_first = data[24:30], 30, True  # width and height, less 1
    while place + 24 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == b"ANMF":
            is_part, is_cleared = data[place + 14 : place + 20] != whole, data[place + 23] & 1
            if is_cleared or (is_first and is_part):
                return data[:20] + bytes([data[20] | 0x10]) + data[21:]
            is_first = False
        place += 8 + size + size % 2
    return data


@contextmanager
def _what_was_before(source: Image.Image) -> Iterator[None]:
    """Keep what a frame of an animated PNG is drawn over, which Pillow (13.0) draws into, and then takes for what the frame is to leave
    behind (APNG_DISPOSE_OP_PREVIOUS)."""
    before = getattr(source, "_prev_im", None) if source.format == "PNG" else None
    kept = None if before is None else before.copy()
    yield
    if kept is not None:
        source._prev_im = kept  # type: ignore[attr-defined]


def check_halves(width: int, height: int) -> None:
    """Refuse a picture that is no two of one size.

    Raises:
        UnusableImageError: the width is odd, or not above the height.
    """
    if width % 2 or width <= height:
        problem = "is odd" if width % 2 else f"is not above the height, {height}"
        raise UnusableImageError(f"no two images side by side: the width, {width}, {problem}")


def extent_of(data: bytes, limits: ValidateParams) -> Extent:
    """Which values one image file has, also where its type says nothing of black and white; arguments as of `decode`.

    Raises:
        UnusableImageError: not an image, broken, or outside the limits of size.
    """
    return _open(data, limits, _ANY).extent


_ANY: Bounds = (0.0, 1.0)
"""Bounds for pictures of which only the extent is asked."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A decoded file, `L` or `RGB` and upright, and what its header says."""

    image: Image.Image
    width: int
    height: int
    mode: str
    extent: Extent

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the whole picture as a person looks at it; `image` may be a reduced one."""
        lies, stands = self.image.width > self.image.height, self.image.width < self.image.height
        is_turned = (lies and self.width < self.height) or (stands and self.width > self.height)
        return (self.height, self.width) if is_turned else (self.width, self.height)


def _open(data: bytes, limits: ValidateParams, bounds: Bounds | None = None, least: int | None = None) -> _Opened:
    """Decode a file; one that can be decoded at a half, a quarter or an eighth of its size (JPEG), so that no side is below `least`."""
    if not data:
        raise UnusableImageError("empty file")
    kind = format_of(data)
    with _reasons(kind):
        raster = read(kind, data, lambda width, height: check_size(width, height, limits), least)
        return _pillow(kind, data, limits, bounds, least) if raster is None else _levelled(raster, bounds)


def values_of(data: bytes, check: CheckSize, bands: int | None = None) -> Raster:
    """The values of one image file as it has them, with no range applied, and as it lies; of 8 bits as `to_plain` makes them.

    Args:
        check: what is refused by its size.
        bands: how many are asked for: then alpha is one of them, in a file that has as many. None: grey or RGB.

    Raises:
        UnusableImageError: as `decode`.
    """
    kind = format_of(data)
    with _reasons(kind):
        if (raster := read(kind, data, check, None, bands)) is not None:
            return raster
        with _pillow_of(kind, data) as source:
            check(*source.size)
            source.load()
            orientation = orientation_of(source)
            if source.mode in _WIDE_MODES:
                return _wide(source, orientation)
            if bands not in (None, 1, 3) and source.mode in ("LA", "RGBA") and len(source.getbands()) == bands:
                return Raster(np.asarray(source), 255, source.mode, orientation=orientation)
            plain, alpha = to_plain(source)
            return Raster(_in_strips(plain), 255, source.mode, None if alpha is None else _in_strips(alpha), orientation=orientation)


def _in_strips(image: Image.Image) -> NDArray[np.uint8]:
    """A picture's values; copied some rows at a time, since Pillow takes three times their memory for all at once."""
    values = np.empty((image.height, image.width, *([3] if image.mode == "RGB" else [])), dtype=np.uint8)
    for start in range(0, image.height, _ROWS):
        values[start : start + _ROWS] = np.asarray(image.crop((0, start, image.width, min(start + _ROWS, image.height))))
    return values


@contextmanager
def _reasons(kind: Format) -> Iterator[None]:
    """What goes wrong while a file is decoded becomes the reason why it cannot be used."""
    try:
        yield
    except UnusableError:
        raise
    except UnidentifiedImageError:
        raise UnusableImageError(f"broken: begins like a {kind} file, but its header cannot be read") from None
    except Image.DecompressionBombError:
        raise UnusableImageError(f"decompression bomb: declares more than {2 * MAX_PIXELS:,} pixels") from None
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # Decoders meet hostile bytes and raise anything: struct.error, IndexError, SyntaxError, ...
        raise UnusableImageError(_in_words(error)) from None


def _pillow(kind: Format, data: bytes, limits: ValidateParams, bounds: Bounds | None, least: int | None) -> _Opened:
    """A file as Pillow reads it."""
    with _pillow_of(kind, data) as source:
        width, height, mode = *source.size, source.mode
        check_size(width, height, limits)
        if least is not None:
            source.draft(None, (least, least))
        source.load()
        orientation = orientation_of(source)
        if mode in _WIDE_MODES:
            opened = _levelled(_wide(source, orientation), bounds)
            return _Opened(opened.image, width, height, mode, opened.extent)
        # Whether a palette has transparent entries is only known from the file's own picture.
        plain, alpha = to_plain(source)
        extremes = plain.getextrema() if plain.mode == "L" else [edge for band in plain.getextrema() for edge in band]  # type: ignore[union-attr]
        extent = Extent(min(extremes), max(extremes), 255)  # type: ignore[type-var, arg-type]
        if bounds is not None:
            plain = plain.point(_table(np.dtype(np.uint8), bounds).tolist() * len(plain.getbands()))
        return _Opened(_upright(_on_white(plain, alpha), orientation), width, height, mode, extent)


@contextmanager
def _pillow_of(kind: Format, data: bytes) -> Iterator[Image.Image]:
    """A file opened by Pillow, of which not a pixel is decoded yet."""
    if kind == "HEIC":
        import pillow_heif

        pillow_heif.register_heif_opener()
    if kind == "WebP":
        data = _with_its_alpha(data)
    # Warnings of decoders (odd metadata, large pictures) are either harmless or become a reason.
    with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(data), formats=[FORMATS[kind]]) as source:
        yield source


def tags_of(data: bytes) -> tuple[bytes | None, bytes | None]:
    """The colour profile and the EXIF data of an image file, where it has them and Pillow finds them."""
    try:
        with _pillow_of(format_of(data), data) as source:
            return source.info.get("icc_profile"), source.info.get("exif")
    except Exception:  # Broken metadata raises anything; the picture itself may be fine.
        return None, None


def _wide(image: Image.Image, orientation: int) -> Raster:
    """A loaded picture of more than 8 bits in one channel, as PGM, PFM and JPEG 2000 have them."""
    values: NDArray[Any] = np.asarray(image)
    fits = image.mode != "F" and (values.dtype == np.uint16 or (values.min() >= 0 and values.max() <= 65_535))
    return Raster(values, 65_535 if fits else None, image.mode, orientation=orientation)


def _levelled(raster: Raster, bounds: Bounds | None) -> _Opened:
    """Values of any type as 8-bit levels, composited on white and upright."""
    values = raster.values
    height, width = values.shape[:2]
    extent = Extent(values.min().item(), values.max().item(), raster.top)
    if not (math.isfinite(extent.low) and math.isfinite(extent.high)):
        raise UnusableImageError("some pixels are no numbers, or infinite")
    if bounds is None and raster.top is None:
        raise without_range(values)
    levels = to_levels(values, bounds or (0.0, float(raster.top or 0)))
    if raster.alpha is None:
        image = Image.fromarray(levels)
    elif raster.premultiplied:
        beneath = 255 - raster.alpha.astype(np.uint16)
        lit = levels + (beneath if levels.ndim == 2 else beneath[..., None])
        image = Image.fromarray(np.minimum(lit, 255).astype(np.uint8))
    else:
        image = _on_white(Image.fromarray(levels), Image.fromarray(raster.alpha))
    return _Opened(_upright(image, raster.orientation), width, height, raster.mode, extent)


def without_range(values: NDArray[Any]) -> UnusableImageError:
    """The reason of a file that does not say what is black and what is white, where nobody else does."""
    sort = {"f": "float", "i": "signed"}.get(values.dtype.kind, "unsigned")
    return UnusableImageError(
        f"{8 * values.dtype.itemsize}-bit {sort} pixels, whose range the file does not state; say what is black and what is white in "
        "data.range, or save it with 8 or 16 bits"
    )


def on_white(raster: Raster, bounds: Bounds) -> NDArray[Any]:
    """The values of a file with what may be seen through on white, which is the second of `bounds`."""
    if raster.alpha is None:
        return raster.values
    values = np.array(raster.values)
    for start in range(0, len(values), _ROWS):
        rows, opaque = values[start : start + _ROWS].astype(np.float64), raster.alpha[start : start + _ROWS] / 255
        opaque = opaque if rows.ndim == 2 else opaque[..., None]
        lit = (rows if raster.premultiplied else rows * opaque) + (1 - opaque) * bounds[1]
        values[start : start + _ROWS] = np.rint(np.clip(lit, *bounds))
    return values


def turned(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A picture (H, W, C) that lies as EXIF says, upright."""
    mirrored = {2: values[:, ::-1], 4: values[::-1], 5: values.transpose(1, 0, 2), 7: np.rot90(values.transpose(1, 0, 2), 2)}
    if orientation in mirrored:
        return mirrored[orientation]
    return np.rot90(values, {3: 2, 6: -1, 8: 1}.get(orientation, 0))


def to_levels(values: NDArray[Any], bounds: Bounds) -> NDArray[np.uint8]:
    """Values scaled from `bounds` to 0..255, rounded, and cut off outside."""
    if values.dtype == np.uint8 and bounds == (0.0, 255.0):
        return np.ascontiguousarray(values)
    if values.dtype in (np.uint8, np.uint16):
        levels: NDArray[np.uint8] = _table(values.dtype, bounds)[values]
        return levels
    levels = np.empty(values.shape, dtype=np.uint8)
    for start in range(0, len(values), _ROWS):
        levels[start : start + _ROWS] = _scaled(values[start : start + _ROWS].astype(np.float64), bounds)
    return levels


def _scaled(values: NDArray[np.float64], bounds: Bounds) -> NDArray[np.uint8]:
    low, high = bounds
    return np.rint(np.clip((values - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)


@lru_cache(maxsize=16)
def _table(dtype: np.dtype[Any], bounds: Bounds) -> NDArray[np.uint8]:
    """The level of every value of a type of 8 or 16 bits."""
    return _scaled(np.arange(1 << (8 * dtype.itemsize), dtype=np.float64), bounds)


def _fitted(image: Image.Image, opened: _Opened, shape: Shape, limits: ValidateParams) -> Picture:
    """An image of an opened file, checked and scaled."""
    mean, std = statistics(image)
    check_blank(std, limits, opened.extent)
    pixels = as_pixels(fit(image, shape))
    upright = opened.upright if image is opened.image else image.size
    return Picture(opened.width, opened.height, opened.mode, mean, std, pixels, opened.extent, upright)


def _with_crops(image: Image.Image, opened: _Opened, shape: Shape, found: list[tuple[int, int]], limits: ValidateParams) -> Picture:
    """An image of an opened file, checked, with parts of it."""
    mean, std = statistics(image)
    check_blank(std, limits, opened.extent)
    height, width = shape.size
    parts = [(left, top, image.crop((left, top, left + width, top + height))) for left, top in found]
    crops = tuple(Crop(left, top, as_pixels(part), *statistics(part)) for left, top, part in parts)
    return Picture(opened.width, opened.height, opened.mode, mean, std, crops[0].pixels, opened.extent, image.size, crops)


def places(data: bytes, upright: tuple[int, int], shape: Shape) -> list[tuple[int, int]]:
    """Left and top of the parts that are cut out of a picture: a function of the file's bytes, or the picture's size, and of the seed.

    Raises:
        UnusableImageError: the picture is smaller than a part.
    """
    (width, height), (down, across) = upright, shape.size
    if width < across or height < down:
        raise UnusableImageError(
            f"smaller than a crop: {width} x {height} pixels, and crops are {across} x {down} (data.size, data.fit: random-crop)"
        )
    count = min(shape.crops, (width // across) * (height // down))
    key = int.from_bytes(hashlib.sha256(data).digest()[:8], "big") if shape.by_content else width << 32 | height
    draw = np.random.default_rng([shape.seed, key])
    found = [(int(draw.integers(width - across + 1)), int(draw.integers(height - down + 1))) for _ in range(count)]
    return list(dict.fromkeys(found))


def check_size(width: int, height: int, limits: ValidateParams) -> None:
    """Refuse a picture by the size that its header states.

    Raises:
        UnusableImageError: a side is outside `min_side`..`max_side`, or there are more than MAX_PIXELS pixels.
    """
    if min(width, height) < limits.min_side:
        raise UnusableImageError(f"too small: {width} x {height} pixels (validate.min_side is {limits.min_side})")
    if max(width, height) > limits.max_side:
        raise UnusableImageError(f"too large: {width} x {height} pixels (validate.max_side is {limits.max_side})")
    if width * height > MAX_PIXELS:
        raise UnusableImageError(f"decompression bomb: {width} x {height} pixels, more than {MAX_PIXELS:,} in all")


def check_blank(std: float, limits: ValidateParams, extent: Extent | None = None) -> None:
    """Refuse a picture whose pixels hardly differ.

    Raises:
        UnusableImageError: `std` is below `min_std`; says so where the file does differ, in few of the values that it could have.
    """
    if std < limits.min_std:
        where = ""
        if extent is not None and extent.top and extent.low < extent.high < extent.top / FEW:
            where = f"; its values are {extent.low:,} to {extent.high:,} of 0 to {extent.top:,}: see data.range"
        raise UnusableImageError(f"blank: standard deviation {std:.2f} of its pixels (validate.min_std is {limits.min_std:g}){where}")


def to_plain(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A loaded picture of 8 bits a channel as `L` or `RGB`, and its alpha, `L`, where some of it may be seen through."""
    plain = "L" if image.mode in _GREY_MODES else "RGB"
    if not image.has_transparency_data:
        return (image if image.mode == plain else image.convert(plain)), None
    alpha = image.convert("LA" if plain == "L" else "RGBA")
    return alpha.convert(plain), alpha.getchannel("A")


def _on_white(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    if alpha is None:
        return image
    white = Image.new(image.mode, image.size, "white")
    white.paste(image, mask=alpha)
    return white


def fit(image: Image.Image, shape: Shape, white: float | str = "white") -> Image.Image:
    """A picture brought to a size and shape; by random-crop the part in the middle, not scaled but where the picture is too small.

    `white` is what stands beside a padded one.
    """
    (width, height), (down, across) = image.size, shape.size
    if shape.fit == "random-crop" and width >= across and height >= down:
        left, top = (width - across) // 2, (height - down) // 2
        return image.crop((left, top, left + across, top + down))
    if shape.fit == "stretch":
        return _scaled_to(image, (across, down))
    if shape.fit == "pad":
        size = (across, min(down, max(1, round(height * across / width))))
        if width * down < height * across:
            size = (min(across, max(1, round(width * down / height))), down)
        sheet = Image.new(image.mode, (across, down), white)
        sheet.paste(_scaled_to(image, size), ((across - size[0]) // 2, (down - size[1]) // 2))
        return sheet
    if width * down > height * across:
        part_width, part_height = max(1, round(height * across / down)), height
    else:
        part_width, part_height = width, max(1, round(width * down / across))
    left, top = (width - part_width) // 2, (height - part_height) // 2
    part = image.crop((left, top, left + part_width, top + part_height)) if (part_width, part_height) != image.size else image
    return _scaled_to(part, (across, down))


def _scaled_to(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture of another width and height."""
    if image.size == size:
        return image
    if image.width > size[0] or image.height > size[1]:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=_GAP)
    return image.resize(size, Image.Resampling.BICUBIC)


def as_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """An `L` or `RGB` picture as uint8 (1 or 3, H, W)."""
    return np.ascontiguousarray(np.atleast_3d(np.asarray(image)).transpose(2, 0, 1))


def statistics(image: Image.Image) -> tuple[float, float]:
    """Mean, and standard deviation within each channel, of an `L` or `RGB` picture, in units of 0..255."""
    counts = np.frombuffer(array("q", image.histogram()), dtype=np.int64).reshape(-1, 256)
    moments = (counts.astype(np.float64) @ _POWERS / (image.width * image.height)).tolist()
    mean = sum(first for first, _ in moments) / len(moments)
    variance = sum(second - first**2 for first, second in moments) / len(moments)
    return mean, math.sqrt(max(variance, 0.0))


def array_statistics(images: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`statistics` of each of many pictures at once: uint8, or floats of 0 to 255, (N, H, W) or (N, H, W, C), to two arrays (N,)."""
    values = images.reshape(len(images), images.shape[1] * images.shape[2], -1)
    if values.dtype != np.uint8:
        return values.mean(axis=(1, 2), dtype=np.float64), np.sqrt(values.var(axis=1, dtype=np.float64).mean(axis=1))
    pixels = values.shape[1]
    means = values.sum(axis=1, dtype=np.int64) / pixels
    variances = np.square(values, dtype=np.uint32).sum(axis=1, dtype=np.int64) / pixels - means**2
    return means.mean(axis=1), np.sqrt(np.maximum(variances.mean(axis=1), 0.0))


def orientation_of(image: Image.Image) -> int:
    """What the metadata says, 1 to 8, upright where it says nothing (TIFF files are already turned when loaded, and no longer carry it)."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Broken metadata raises anything; the picture itself may be fine.
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if any(sign in text.lower() for sign in _TRUNCATED):
        return "truncated: the file ends before the picture does"
    return f"broken: {text}"
