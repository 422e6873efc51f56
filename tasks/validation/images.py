"""One image file's bytes to plain pixels, by rules that stand here and nowhere else.

What is read: PNG, JPEG, GIF, BMP, WebP, TIFF and PPM/PGM/PBM, told by content, never by name. Everything else is refused, and no
other decoder of Pillow is ever started.

How each kind of picture becomes 8-bit grey (1 channel) or RGB (3 channels):

    grey, black and white     grey
    RGB                       RGB
    palette                   the colours it stands for: RGB
    alpha (RGBA, LA, a        composited on white, before any resizing, so that edges do not darken; LA stays grey
    transparent colour, ...)
    16-bit grey               scaled from 0..65535 to 0..255, rounded; 16-bit RGB is read by its high bytes, as Pillow does
    CMYK, YCbCr, LAB          Pillow's conversion to RGB
    32-bit float or integer   refused: such files state no range of values (integers within 0..65535 count as 16-bit)
    EXIF orientation          applied; metadata that cannot be read counts as upright
    animated, several pages   the first frame
    colour profile, gamma     not applied: values count as sRGB
    odd shapes                the central square of the short side, scaled to the asked size: Lanczos with antialiasing (after a
                              reduction to no less than 3 times the size where the picture is more than 6 times as large: of a
                              JPEG while it is decoded, of others and of halves by boxes) to make smaller, bicubic to make
                              larger; a square of the asked size is passed on bit for bit

Sizes are checked from the header, before a pixel is decoded.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from tasks.params import ValidateParams

RESIZER = f"Pillow {PIL.__version__}: JPEG reduced while decoded, then Lanczos to make smaller, bicubic to make larger"
"""What brings pictures to the size of the data set (`fit`); scores of images belong to it."""
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
MAX_PIXELS = 89_478_485
"""Width times height above which a file counts as a decompression bomb (Pillow's own limit, 256 MiB as RGB)."""

_GAP = 3
"""Times the asked size that a much larger picture is first reduced to, fast, before Lanczos. A JPEG whose sides are no multiples of the
reduction comes out larger by up to 1 / (_GAP * size) of itself, a third of a pixel."""

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
_SIGNATURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
_STRANGERS = {
    b"version https://git-lfs": "a Git LFS pointer instead of the picture it stands for; run `git lfs pull` at the source",
    b"\x00\x00\x01\x00": "an ICO file, which is not read here",
    b"8BPS": "a Photoshop file, which is not read here",
    b"%PDF": "a PDF file, which is not read here",
    b"%!PS": "a PostScript file, which is not read here",
    b"PK\x03\x04": "a ZIP archive, not an image",
    b"\x1f\x8b": "a gzip archive, not an image",
}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableImageError(Exception):
    """A file that goes to quarantine; the message is the reason, in words for a person."""


@dataclass(frozen=True)
class Picture:
    """A decoded file."""

    width: int
    height: int
    """Pixels as the header says, before any orientation is applied."""
    mode: str
    """Pillow's name of the file's own pixel format: L, RGB, RGBA, P, I;16, CMYK, ..."""
    mean: float
    """Mean of the decoded pixels, 0 to 255, at the size that they are decoded in."""
    std: float
    """Standard deviation within each channel (root of the mean variance), so that a picture of one plain colour has 0."""
    pixels: NDArray[np.uint8]
    """uint8 (C, size, size), C = 1 for grey pictures and 3 for others."""


def decode(data: bytes, size: int, limits: ValidateParams) -> Picture:
    """Decode one image file and scale its central square to `size` x `size` pixels.

    Raises:
        UnusableImageError: not an image, broken, outside the limits, or blank.
    """
    opened = _open(data, limits, least=_GAP * size)
    return _fitted(opened.image, opened, size, limits)


def decode_halves(data: bytes, size: int, limits: ValidateParams) -> tuple[Picture, Picture]:
    """Decode one file that holds two images side by side: the left and the right half, each as `decode` gives an image.

    Raises:
        UnusableImageError: as `decode`, of either half; or the file has no two halves.
    """
    opened = _open(data, limits)
    width, height = opened.image.size
    if width % 2 or width <= height:
        problem = "is odd" if width % 2 else f"is not above the height, {height}"
        raise UnusableImageError(f"no two images side by side: the width, {width}, {problem}")
    left, right = (opened.image.crop((start, 0, start + width // 2, height)) for start in (0, width // 2))
    try:
        first = _fitted(left, opened, size, limits)
    except UnusableImageError as error:
        raise UnusableImageError(f"left half: {error}") from None
    try:
        return first, _fitted(right, opened, size, limits)
    except UnusableImageError as error:
        raise UnusableImageError(f"right half: {error}") from None


@dataclass(frozen=True)
class _Opened:
    """A decoded file, and what its header says."""

    image: Image.Image
    width: int
    height: int
    mode: str


def _open(data: bytes, limits: ValidateParams, least: int | None = None) -> _Opened:
    """Decode a file; one that can be decoded at a half, a quarter or an eighth of its size (JPEG), so that no side is below `least`."""
    if not data:
        raise UnusableImageError("empty file")
    try:
        # Warnings of decoders (odd metadata, large pictures) are either harmless or become a reason below.
        with warnings.catch_warnings(action="ignore"), Image.open(BytesIO(data), formats=FORMATS) as source:
            width, height, mode = *source.size, source.mode
            check_size(width, height, limits)
            if least is not None:
                source.draft(None, (least, least))
            source.load()
            return _Opened(to_plain(_upright(source)), width, height, mode)
    except UnusableImageError:
        raise
    except UnidentifiedImageError:
        raise UnusableImageError(_describe(data)) from None
    except Image.DecompressionBombError:
        raise UnusableImageError(f"decompression bomb: declares more than {2 * MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise
    except Exception as error:  # Decoders meet hostile bytes and raise anything: struct.error, IndexError, SyntaxError, ...
        raise UnusableImageError(_in_words(error)) from None


def _fitted(image: Image.Image, opened: _Opened, size: int, limits: ValidateParams) -> Picture:
    """An image of an opened file, checked and scaled."""
    mean, std = statistics(image)
    check_blank(std, limits)
    pixels = np.atleast_3d(np.asarray(fit(image, size)))
    return Picture(opened.width, opened.height, opened.mode, mean, std, np.ascontiguousarray(pixels.transpose(2, 0, 1)))


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


def check_blank(std: float, limits: ValidateParams) -> None:
    """Refuse a picture whose pixels hardly differ.

    Raises:
        UnusableImageError: `std` is below `min_std`.
    """
    if std < limits.min_std:
        raise UnusableImageError(f"blank: standard deviation {std:.2f} of its pixels (validate.min_std is {limits.min_std:g})")


def to_plain(image: Image.Image) -> Image.Image:
    """A loaded picture of any mode as `L` or `RGB`, by the rules at the top of this module.

    Raises:
        UnusableImageError: the mode states no range of values.
    """
    if image.mode == "F":
        raise UnusableImageError("32-bit float pixels, whose range the file does not state; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_16_bit(image)
    plain = "L" if image.mode in _GREY_MODES else "RGB"
    if not image.has_transparency_data:
        return image.convert(plain)
    alpha = image.convert("LA" if plain == "L" else "RGBA")
    white = Image.new(plain, image.size, "white")
    white.paste(alpha.convert(plain), mask=alpha.getchannel("A"))
    return white


def fit(image: Image.Image, size: int) -> Image.Image:
    """The central square of a picture's short side, scaled to `size` x `size` pixels."""
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side)) if width != height else image
    if side == size:
        return square
    if side > size:
        return square.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=_GAP)
    return square.resize((size, size), Image.Resampling.BICUBIC)


def statistics(image: Image.Image) -> tuple[float, float]:
    """Mean, and standard deviation within each channel, of an `L` or `RGB` picture, in units of 0..255."""
    counts = np.array(image.histogram(), dtype=np.float64).reshape(-1, 256)
    levels = np.arange(256, dtype=np.float64)
    pixels = image.width * image.height
    means = counts @ levels / pixels
    variances = counts @ levels**2 / pixels - means**2
    return float(means.mean()), float(np.sqrt(max(variances.mean(), 0.0)))


def array_statistics(images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`statistics` of each of many pictures at once: uint8 (N, H, W) or (N, H, W, C) to two arrays (N,)."""
    values = images.reshape(len(images), images.shape[1] * images.shape[2], -1)
    pixels = values.shape[1]
    means = values.sum(axis=1, dtype=np.int64) / pixels
    variances = np.square(values, dtype=np.uint32).sum(axis=1, dtype=np.int64) / pixels - means**2
    return means.mean(axis=1), np.sqrt(np.maximum(variances.mean(axis=1), 0.0))


def with_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Pixels (C, H, W) as grey or RGB: grey is repeated, RGB becomes ITU-R 601 luma."""
    if pixels.shape[0] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=0)
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).convert("L"))[None]


def _from_16_bit(image: Image.Image) -> Image.Image:
    values: NDArray[Any] = np.asarray(image)
    if values.min() < 0 or values.max() > 65_535:
        raise UnusableImageError("32-bit pixels outside 0..65535, whose range the file does not state; save it with 8 or 16 bits")
    scaled = (values.astype(np.uint32) + 128) // 257
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled[values == transparent] = 255
    return Image.fromarray(scaled.astype(np.uint8))


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation (TIFF files are already turned when loaded, and no longer carry it)."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        method = _UPRIGHT.get(orientation)  # type: ignore[arg-type]
    except Exception:  # Broken metadata raises anything; the picture itself may be fine.
        return image
    return image if method is None else image.transpose(method)


def _describe(data: bytes) -> str:
    """Why bytes that no allowed decoder recognises are no image."""
    for signature, name in _SIGNATURES.items():
        if data.startswith(signature):
            return f"broken: begins like a {name} file, but its header cannot be read"
    for signature, name in _STRANGERS.items():
        if data.startswith(signature):
            return name
    if data[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (HTML), not an image"
    return "not an image: none of PNG, JPEG, GIF, BMP, WebP, TIFF, PPM"


def _in_words(error: Exception) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if "truncated" in text.lower():
        return "truncated: the file ends before the picture does"
    return f"broken: {text}"
