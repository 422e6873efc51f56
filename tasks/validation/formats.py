"""What an image file is, told by its bytes and never by its name, and its values where Pillow would lose some of them.

Pillow reads what has 8 bits a sample. It cuts, garbles or inverts much of the rest, so `read` gives that to imagecodecs and tifffile:
PNG of 16 bits and grey PNG of fewer with a transparent value; JPEG of 12 bits and lossless JPEG; TIFF in grey, RGB and palette of any
depth, sign, planes and compression (LZW and PackBits by way of libtiff: `tiff_pieces`); JPEG 2000 above 8 bits; JPEG XL. Plain small
JPEG files go the same way since it is twice as fast, with the same pixels: both stand on libjpeg-turbo.

Where a number of bands is asked for that is neither 1 nor 3, files that have as many are read as they are, and alpha is one of them.
NumPy's arrays (.npy, and .npz of one) are taken as pictures too.

Sizes are checked from the header, before a pixel is decoded, and no decoder is started for a kind of file that is not named here.
"""

from __future__ import annotations

import logging
import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from tasks.validation import tiff_pieces

Format = Literal["PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "PPM", "AVIF", "HEIC", "JPEG 2000", "JPEG XL", "NumPy"]
FORMATS: dict[Format, str] = {
    "PNG": "PNG",
    "JPEG": "JPEG",
    "GIF": "GIF",
    "BMP": "BMP",
    "WebP": "WEBP",
    "TIFF": "TIFF",
    "PPM": "PPM",
    "AVIF": "AVIF",
    "HEIC": "HEIF",
    "JPEG 2000": "JPEG2000",
    "JPEG XL": "",
    "NumPy": "",
}
"""Every format that is read, and the decoder of Pillow that reads it, or tells what is wrong with it."""
HEIC_EXTRA = "pip install 'gantry-gan[heic]'"

CheckSize = Callable[[int, int], None]
"""Told width and height by the header; raises UnusableImageError where they are refused."""

_SIGNATURES: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    *((b"P" + letter, "PPM") for letter in (b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"F")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x93NUMPY", "NumPy"),
)
_STRANGERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer instead of the picture it stands for; run `git lfs pull` at the source"),
    (0, b"\0\0\x01\0", "an ICO file, which is not read here"),
    (0, b"\0\0\x02\0", "a CUR file, which is not read here"),
    (0, b"8BPS", "a Photoshop file, which is not read here"),
    (0, b"gimp xcf", "a GIMP file, which is not read here"),
    (0, b"%PDF", "a PDF file, which is not read here"),
    (0, b"%!PS", "a PostScript file, which is not read here"),
    (0, b"P7", "a PAM file, which is not read here; save it as PNG or TIFF"),
    (0, b"II\xbc", "a JPEG XR file, which is not read here; save it as PNG or TIFF"),
    (0, b"v/1\x01", "an OpenEXR file, which is not read here; save it as TIFF, and set data.range"),
    (0, b"#?RADIANCE", "a Radiance HDR file, which is not read here; save it as TIFF, and set data.range"),
    (0, b"DDS ", "a DDS file, which is not read here"),
    (0, b"qoif", "a QOI file, which is not read here"),
    (0, b"SIMPLE  =", "a FITS file, which is not read here; save it as TIFF, and set data.range"),
    (0, b"\x89HDF", "an HDF5 file, not an image"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM), not an image"),
    (0, b"PK\x03\x04", "a ZIP archive, not an image"),
    (0, b"\x1f\x8b", "a gzip archive, not an image"),
    (0, b"Rar!", "a RAR archive, not an image"),
    (0, b"7z\xbc\xaf", "a 7z archive, not an image"),
    (128, b"DICM", "a DICOM file, which is not read here; save its pictures as PNG or TIFF of 16 bits, and set data.range"),
    (344, b"n+1\0", "a NIfTI volume, which is not read here"),
    (0, b"<svg", "an SVG drawing, which is not read here"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


class UnusableError(Exception):
    """Why a file cannot be used, in words."""


class UnusableImageError(UnusableError):
    """A file that goes to quarantine; the message is the reason, in words for a person."""


@dataclass(frozen=True, slots=True)
class Raster:
    """The values of a decoded file, as it means them: more is white, and colours are RGB."""

    values: NDArray[Any]
    """(H, W) for grey, (H, W, 3) for RGB, (H, W, C) for other bands; as stored, before `orientation` is applied."""
    top: int | None
    """The value that is white, where 0 is black; None where the file does not say."""
    mode: str
    """What the file holds, after Pillow's names: L, RGB, LA, I;16, RGB;16, ..."""
    alpha: NDArray[np.uint8] | None = None
    """(H, W), 255 is opaque."""
    premultiplied: bool = False
    """Whether `values` are multiplied by `alpha` already."""
    orientation: int = 1
    """As EXIF counts them, 1 to 8."""


def format_of(data: bytes) -> Format:
    """What these bytes are.

    Raises:
        UnusableImageError: none of FORMATS; names what it is instead, where that is known.
    """
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF":
        if data[8:12] in (b"WAVE", b"AVI "):
            raise UnusableImageError("a sound (WAV), not an image" if data[8:12] == b"WAVE" else "a video (AVI), not an image")
        return "WebP"
    if data[4:8] == b"ftyp":
        return _isobmff(data)
    if data.startswith(b"PK\x03\x04") and data[30 : 30 + int.from_bytes(data[26:28], "little")].endswith(b".npy"):
        return "NumPy"
    for offset, signature, what in _STRANGERS:
        if data.startswith(signature, offset):
            raise UnusableImageError(what)
    start = data[:512].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise UnusableImageError("a web page (HTML), not an image")
    if b"<svg" in start:
        raise UnusableImageError("an SVG drawing, which is not read here")
    raise UnusableImageError(f"not an image: none of {', '.join(FORMATS)}")


def read(kind: Format, data: bytes, check_size: CheckSize, least: int | None, bands: int | None = None) -> Raster | None:
    """The values of a file that Pillow reads wrongly, not at all, or slower; None where it is Pillow's to read.

    Args:
        kind: as `format_of` says.
        data: the whole file.
        check_size: see `CheckSize`.
        least: what no side may fall below where a decoder can make a picture smaller at once, which only Pillow does.
        bands: how many are asked for; None: grey or RGB.

    Raises:
        UnusableImageError: broken, refused by `check_size`, or of a sort that is not read; anything else that a decoder raises is a broken
            file.
    """
    reader = _READERS.get(kind)
    return None if reader is None else reader(data, check_size, least, None if bands in (1, 3) else bands)


def is_plain(data: bytes) -> bool:
    """Whether a file is of a common format, whose decoder browsers hand hostile bytes to every day; or of none, so that none is started."""
    try:
        kind = format_of(data)
    except UnusableImageError:
        return True
    if kind == "JPEG":
        frame = _jpeg_frame(data)
        return frame is None or (frame.process <= 2 and frame.precision == 8)
    # A zipped array may be far larger than its file.
    return kind in ("PNG", "GIF", "BMP", "WebP", "PPM") or data.startswith(b"\x93NUMPY")


def readable() -> tuple[list[str], dict[str, str]]:
    """Formats that are read on this machine, and of each of the others what reads it."""
    missing = {}
    if not features.check("avif"):
        missing["AVIF"] = "a build of Pillow with libavif"
    if find_spec("pillow_heif") is None:
        missing["HEIC"] = HEIC_EXTRA
    return [name for name in FORMATS if name not in missing], missing


def unread(what: str) -> UnusableImageError:
    """The reason of a file that is sound, and of a sort that is not read."""
    return UnusableImageError(f"{what}, which is not read here")


def _isobmff(data: bytes) -> Format:
    """What a file of boxes is, by the brands in its first."""
    length = min(int.from_bytes(data[:4], "big"), 512)
    brands = {data[at : at + 4] for at in (8, *range(16, length, 4))}
    if brands & _AVIF_BRANDS:
        if not features.check("avif"):
            raise UnusableImageError("an AVIF file, which this build of Pillow does not read")
        return "AVIF"
    if brands & _HEIC_BRANDS:
        if find_spec("pillow_heif") is None:
            raise UnusableImageError(f"a HEIC file, which is read after {HEIC_EXTRA}")
        return "HEIC"
    raise UnusableImageError(
        "a Canon raw file, which is not read here" if b"crx " in brands else "a video (MP4 or QuickTime), not an image"
    )


def _mode(channels: int, bits: int, alpha: bool, kind: str = "u") -> str:
    if channels == 1 and not alpha and kind != "f":
        return "1" if bits == 1 else "L" if bits <= 8 else "I;16" if bits <= 16 else "I"
    if channels == 1 and kind == "f":
        return "F"
    name = ("RGB" if channels == 3 else "L") + ("A" if alpha else "")
    return name if bits <= 8 else f"{name};{'F' if kind == 'f' else 16 if bits <= 16 else 32}"


def _raster(array: NDArray[Any], bits: int, bands: int | None, orientation: int = 1) -> Raster:
    """Samples (H, W) or (H, W, 1 to 4) of so many bits, unsigned, with alpha last."""
    samples = array.shape[2] if array.ndim == 3 else 1
    if samples == bands:
        return Raster(array, (1 << bits) - 1, f"bands;{array.dtype.name}", orientation=orientation)
    channels, top = 3 if samples >= 3 else 1, (1 << bits) - 1
    values = array if array.ndim == 2 else array[..., 0] if channels == 1 else array[..., :3]
    alpha = _to_8_bits(array[..., -1], top) if samples in (2, 4) else None
    return Raster(values, top, _mode(channels, bits, alpha is not None), alpha, orientation=orientation)


def _to_8_bits(values: NDArray[Any], top: int) -> NDArray[np.uint8]:
    """Unsigned values 0 to `top` as 0 to 255, rounded."""
    if top == 255:
        return values.astype(np.uint8)
    return ((values.astype(np.uint64) * 510 + top) // (2 * top)).astype(np.uint8)


# PNG


def _read_png(data: bytes, check_size: CheckSize, least: int | None, bands: int | None) -> Raster | None:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    head = data[: max(data.find(b"IDAT"), 0)]
    if depth != 16 and not (colour == 0 and depth < 8 and b"tRNS" in head):
        return None
    check_size(width, height)
    import imagecodecs

    turned = _orientation_by_pillow(data) if b"eXIf" in data or b"XML:" in data else 1
    return _raster(imagecodecs.png_decode(data), max(depth, 8), bands, turned)


def _orientation_by_pillow(data: bytes) -> int:
    """What the metadata of a file says, decoded for it alone: few files of such depth have any."""
    with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as image:
        try:
            return int(image.getexif().get(0x0112, 1))
        except Exception:  # Broken metadata raises anything; the picture itself may be fine.
            return 1


# JPEG


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a JPEG file's markers say."""

    process: int
    """0 baseline, 1 extended, 2 progressive, 3 lossless, 9 and 10 arithmetic, ..."""
    precision: int
    width: int
    height: int
    components: int
    tagged: bool
    """Whether there is EXIF or XMP."""
    whole: bool
    """Whether the end of the picture is there."""


@lru_cache(maxsize=1)  # asked twice of a file, one after another
def _jpeg_frame(data: bytes) -> _Frame | None:
    """The frame of the first picture, or None where the markers are not in order."""
    at, tagged, frame = 2, False, None
    try:
        while True:
            if data[at] != 0xFF:
                return None
            marker = data[at + 1]
            if marker == 0xFF:  # padding
                at += 1
                continue
            if marker == 0xDA:
                break
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                if frame is not None:
                    return None
                frame = marker - 0xC0, *struct.unpack_from(">BHHB", data, at + 4)
            elif marker == 0xE1:
                tagged = True
            at += 2 + (data[at + 2] << 8 | data[at + 3])
    except (IndexError, struct.error):
        return None
    if frame is None:
        return None
    process, precision, height, width, components = frame
    # In coded data every 0xFF is followed by something else, so this is the end, and what follows it no part of the picture.
    return _Frame(process, precision, width, height, components, tagged, data.find(b"\xff\xd9", at) > 0)


def _read_jpeg(data: bytes, check_size: CheckSize, least: int | None, bands: int | None) -> Raster | None:
    frame = _jpeg_frame(data)
    if frame is None or not frame.width or not frame.height or frame.components not in (1, 3):
        return None
    plain = frame.process <= 2 and frame.precision == 8
    if plain and (not frame.whole or frame.tagged or (least is not None and min(frame.width, frame.height) >= 2 * least)):
        return None
    if not plain and (frame.process > 3 or (frame.precision == 8 and frame.process != 3)):
        return None
    check_size(frame.width, frame.height)
    if not frame.whole:
        raise UnusableImageError("truncated: the file ends before the picture does")
    import imagecodecs

    orientation = _orientation_in_exif(data) if frame.tagged else 1
    return _raster(imagecodecs.jpeg8_decode(data), frame.precision, None, orientation)


def _orientation_in_exif(data: bytes) -> int:
    start = data.find(b"Exif\0\0")
    if start < 4:
        return 1
    exif = Image.Exif()
    try:
        exif.load(data[start : start - 2 + int.from_bytes(data[start - 2 : start], "big")])
        return int(exif.get(0x0112, 1))
    except Exception:  # as in `_orientation_by_pillow`
        return 1


# TIFF

_BLACK_IS_ZERO, _WHITE_IS_ZERO, _RGB, _PALETTE = 1, 0, 2, 3
_PILLOW_COLOURS = {5: "CMYK", 6: "YCbCr", 8: "LAB"}
_JPEG = 7
_PILLOW_COMPRESSIONS = {2, 3, 4, 6, _JPEG}
"""Fax and JPEG, whose details of colour and bit order Pillow's libtiff knows."""
_COMPRESSIONS = {1, 5, 7, 8, 32_773, 32_946, 34_712, 34_925, 34_926, 34_927, 50_000, 50_001, 50_002}
"""None, LZW, JPEG, deflate, PackBits, deflate again, JPEG 2000, LZMA, Zstandard, WebP, Zstandard again, WebP, JPEG XL."""
_UNSIGNED, _SIGNED, _FLOAT = {1, 4}, 2, 3
_PREMULTIPLIED, _ALPHA = 1, 2
_MOST_BYTES = 1 << 30
_LARGEST_PIECE = 1 << 26
"""Values in a tile or strip that is larger than the picture, at most: memory is taken for what the header says."""


def _read_tiff(data: bytes, check_size: CheckSize, least: int | None, bands: int | None) -> Raster | None:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # odd metadata is harmless, and what is not is raised
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = file.pages.first
        check_size(page.imagewidth, page.imagelength)
        bits, colour, sample, compression = page.bitspersample, int(page.photometric), int(page.sampleformat), int(page.compression)
        kind = {_SIGNED: "signed ", _FLOAT: "float "}.get(sample, "")
        named = f"a TIFF file of {bits}-bit {kind}{_PILLOW_COLOURS.get(colour, 'pixels')}"
        if not isinstance(bits, int):
            raise unread("a TIFF file whose channels differ in bits")
        if colour in _PILLOW_COLOURS or compression in _PILLOW_COMPRESSIONS:
            if bits in (1, 8) and sample in _UNSIGNED:
                return None
            if colour in _PILLOW_COLOURS or compression != _JPEG:
                raise unread(named)
        if colour > _PALETTE:
            raise unread(f"a TIFF file of {getattr(page.photometric, 'name', colour)} pixels")
        if compression not in _COMPRESSIONS:
            raise unread(f"a TIFF file compressed by {getattr(page.compression, 'name', compression)}")
        if page.imagedepth != 1:
            raise unread("a TIFF file that holds a volume")
        if sample not in (*_UNSIGNED, _SIGNED, _FLOAT) or (colour in (_WHITE_IS_ZERO, _PALETTE) and sample not in _UNSIGNED) or bits > 64:
            raise unread(named)
        if page.nbytes > _MOST_BYTES:
            raise UnusableImageError(f"too large: {page.nbytes:,} bytes of pixels, more than {_MOST_BYTES:,}")
        if math.prod(page.chunks) > max(math.prod(page.shape), _LARGEST_PIECE):
            raise UnusableImageError(f"broken: it is said to be in tiles of {' x '.join(map(str, page.chunks))} pixels")
        if compression == _JPEG:
            _check_jpeg_pieces(page)
        pages = _pages_of_bands(file, page, bands)
        arrays = [_tiff_values(one) for one in pages]
        return _tiff_raster(arrays[0] if len(arrays) == 1 else np.dstack(arrays), page, bits, colour, sample, bands)


def _tiff_values(page: Any) -> NDArray[Any]:
    """The samples of a page, (H, W) or (H, W, C)."""
    array = tiff_pieces.values(page) if int(page.compression) in tiff_pieces.COMPRESSIONS else page.asarray(maxworkers=1)
    if page.axes not in ("YX", "YXS", "SYX"):
        raise unread(f"a TIFF file with axes {page.axes}")
    return np.moveaxis(array, 0, 2) if page.axes == "SYX" else array


def _pages_of_bands(file: Any, first: Any, bands: int | None) -> list[Any]:
    """The pages of which a picture is made: where so many bands are asked for and there are as many pages of one each, all of them."""
    if bands is None or first.samplesperpixel != 1 or len(file.pages) != bands:
        return [first]
    if bands * first.nbytes > _MOST_BYTES:
        raise UnusableImageError(f"too large: {bands * first.nbytes:,} bytes of pixels, more than {_MOST_BYTES:,}")
    pages = [file.pages[number] for number in range(bands)]
    keys = ("shape", "dtype", "bitspersample", "photometric", "sampleformat", "compression")
    if any(getattr(one, key) != getattr(first, key) for one in pages for key in keys):
        raise unread(f"a TIFF file whose {bands} pages differ in shape or kind")
    return pages


def _check_jpeg_pieces(page: Any) -> None:
    """Decode each piece of a TIFF file of JPEG by libjpeg-turbo and by nothing else.

    Where that fails, tifffile goes on to a small decoder of raw camera files (liblj92), which is not made for damaged bytes.
    """
    import imagecodecs

    most = math.prod(page.chunks)
    for _, data in tiff_pieces.stored(page):
        frame = _jpeg_frame(data)
        if frame is None or frame.width * frame.height > most:
            raise UnusableImageError("broken: a strip or tile of it is no JPEG picture of its size")
        imagecodecs.jpeg8_decode(data, tables=page.jpegtables)


def _tiff_raster(array: NDArray[Any], page: Any, bits: int, colour: int, sample: int, bands: int | None) -> Raster:
    channels = 3 if colour == _RGB else 1
    samples = array.shape[2] if array.ndim == 3 else 1
    if samples == bands and colour in (_BLACK_IS_ZERO, _RGB) and bits >= 8:
        of_type = (1 << bits) - 1 if bits <= 16 else 65_535 if array.max() <= 65_535 else None
        return Raster(array, of_type if sample in _UNSIGNED else None, f"bands;{array.dtype.name}", orientation=_turned(page))
    extra = [int(one) for one in page.extrasamples][: samples - channels]
    extra += [0] * (samples - channels - len(extra))
    if samples < channels or len(extra) > 1 or (extra == [0] and channels == 3):
        raise UnusableImageError(f"{unread(f'a TIFF file of {samples} channels')} unless data.channels: {samples} asks for them as bands")
    alpha_kind = extra[0] if extra and extra[0] in (_PREMULTIPLIED, _ALPHA) else 0
    values = array if array.ndim == 2 else array[..., :3] if channels == 3 else array[..., 0]
    turned = _turned(page)
    if sample not in _UNSIGNED:
        if alpha_kind:
            raise unread(f"a TIFF file of {bits}-bit {'float' if sample == _FLOAT else 'signed'} pixels with alpha")
        return Raster(values, None, _mode(channels, bits, alpha=False, kind="f" if sample == _FLOAT else "i"), orientation=turned)
    top = (1 << bits) - 1
    alpha = _to_8_bits(array[..., channels], top) if alpha_kind else None
    if colour == _PALETTE:
        if page.colormap is None or page.colormap.shape[1] <= int(values.max()):
            raise UnusableImageError("broken: its palette has too few colours")
        # The high bytes: some writers repeat a byte in both halves, and others leave the lower one empty.
        palette = (page.colormap >> 8).astype(np.uint8).T
        return Raster(palette[values.astype(np.intp)], 255, "PA" if alpha is not None else "P", alpha, orientation=turned)
    if colour == _WHITE_IS_ZERO:
        values = ~values if bits == 1 and values.dtype == bool else values.dtype.type(top) - values
    if bits < 8:
        values, top = _to_8_bits(values, top), 255
    if bits > 16:
        top = 65_535 if values.max() <= 65_535 else 0
    return Raster(
        values, top or None, _mode(channels, bits, alpha is not None), alpha, alpha_kind == _PREMULTIPLIED and alpha is not None, turned
    )


def _turned(page: Any) -> int:
    orientation = page.tags.get(274)
    return int(orientation.value) if orientation is not None and isinstance(orientation.value, int) else 1


# JPEG 2000, JPEG XL


def _read_jpeg_2000(data: bytes, check_size: CheckSize, least: int | None, bands: int | None) -> Raster | None:
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 42:
        return None
    right, below, left, above = struct.unpack_from(">IIII", data, start + 8)
    (components,) = struct.unpack_from(">H", data, start + 40)
    depths = [data[start + 42 + 3 * i : start + 45 + 3 * i] for i in range(min(components, 5))]
    if not depths or any(len(depth) < 3 for depth in depths):
        return None
    if any(depth[0] & 0x80 for depth in depths):
        raise unread("a JPEG 2000 file of signed pixels")
    bits = {depth[0] + 1 for depth in depths}
    if max(bits) <= 8:
        return None
    check_size(right - left, below - above)
    if len(bits) > 1 or max(bits) > 16 or components > 4 or any(depth[1:] != b"\1\1" for depth in depths):
        raise unread(f"a JPEG 2000 file of {components} channels of {' or '.join(map(str, sorted(bits)))} bits, some of them coarser")
    import imagecodecs

    return _raster(imagecodecs.jpeg2k_decode(data), bits.pop(), bands)


def _read_jpeg_xl(data: bytes, check_size: CheckSize, least: int | None, bands: int | None) -> Raster | None:
    width, height, bits = _jpeg_xl_header(data)
    check_size(width, height)
    import imagecodecs

    array = imagecodecs.jpegxl_decode(data, index=0)
    if array.dtype.kind == "f":
        if array.ndim == 3 and array.shape[2] not in (1, 3):
            raise unread("a JPEG XL file of float pixels with alpha")
        values = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        return Raster(values, None, _mode(1 if values.ndim == 2 else 3, bits, alpha=False, kind="f"))
    return _raster(array, bits, bands)


class _Bits:
    """Numbers as JPEG XL packs them, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """Of four choices one: a number, and how many more bits are added to it."""
        least, count = choices[self.take(2)]
        return least + self.take(count)

    def size(self) -> tuple[int, int]:
        """Width and height."""
        small = self.take(1)

        def side() -> int:
            return (self.take(5) + 1) * 8 if small else self.choose((1, 9), (1, 13), (1, 18), (1, 30))

        height = side()
        ratio = self.take(3)
        if not ratio:
            return side(), height
        over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
        return height * over // under, height


def _jpeg_xl_header(data: bytes) -> tuple[int, int, int]:
    """Width, height and bits a sample, by the size header and the image metadata of ISO/IEC 18181-1.

    The decoder gives 10 and 12 bits as they are, in 16, and does not say which they were.
    """
    start = 0
    if data.startswith(b"\0\0\0\x0cJXL "):
        starts = [at + skip for box, skip in ((b"jxlc", 4), (b"jxlp", 8)) if (at := data.find(box)) > 0]
        start = min(starts, default=len(data))
    if data[start : start + 2] != b"\xff\x0a":
        raise UnusableImageError("broken: begins like a JPEG XL file, but its header cannot be read")
    bits = _Bits(data[start + 2 : start + 66])
    width, height = bits.size()
    if bits.take(1):  # all of the metadata is as usual
        return width, height, 8
    if bits.take(1):  # there are more fields
        bits.take(3)  # the orientation, which the decoder applies
        if bits.take(1):  # the size that it is meant to be shown in
            bits.size()
        if bits.take(1):
            raise unread("a JPEG XL file with a preview")
        if bits.take(1):  # of an animation: ticks a second, loops, timecodes
            bits.choose((100, 0), (1_000, 0), (1, 10), (1, 30)), bits.choose((1, 0), (1_001, 0), (1, 8), (1, 10))
            bits.choose((0, 0), (0, 3), (0, 16), (0, 32)), bits.take(1)
    if bits.take(1):  # float
        return width, height, bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
    return width, height, bits.choose((8, 0), (10, 0), (12, 0), (1, 6))


# NumPy


def _read_numpy(data: bytes, check_size: CheckSize, least: int | None, bands: int | None) -> Raster:
    """An array (H, W), (H, W, C) or (C, H, W); C is what is asked for, or 1 or 3. Nothing in it is unpickled."""
    array = _unzipped(data, check_size, bands) if data.startswith(b"PK") else _array(data, check_size, bands)
    return raster_of(np.moveaxis(array, *_AXES[_layout(array.shape, bands)]) if array.ndim == 3 else array)


def raster_of(array: NDArray[Any]) -> Raster:
    """An array of numbers (H, W) or (H, W, C)."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    array = array[..., 0] if array.shape[2:] == (1,) else array
    channels, kind = array.shape[2] if array.ndim == 3 else 1, array.dtype.kind
    if kind == "b":
        array = array.astype(np.uint8) * 255
    bits = 8 * array.dtype.itemsize
    mode = f"bands;{array.dtype.name}" if channels not in (1, 3) else _mode(channels, bits, alpha=False, kind=kind)
    top = (1 << bits) - 1 if bits <= 16 else 65_535 if kind == "u" and array.max() <= 65_535 else None
    return Raster(array, top if kind in "bu" else None, mode)


_AXES = {"last": (2, 2), "first": (0, 2)}
"""Which axis the channels are moved from, and to."""


def _layout(shape: tuple[int, ...], bands: int | None) -> Literal["last", "first"]:
    """Where the channels of an array of three axes stand.

    Raises:
        UnusableImageError: neither of them is their number.
    """
    wanted = (1, 3) if bands is None else (bands,)
    if shape[2] in wanted:
        return "last"
    if shape[0] in wanted:
        return "first"
    likely = min(shape[0], shape[2])
    raise UnusableImageError(
        f"an array of {' x '.join(map(str, shape))}, of which neither the first nor the last side is {' or '.join(map(str, wanted))} "
        f"channels (data.channels); where it has {likely}, say data.channels: {likely}"
    )


def _array(data: bytes, check_size: CheckSize, bands: int | None) -> NDArray[Any]:
    file = BytesIO(data)
    version = np.lib.format.read_magic(file)
    head = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if head is None:
        raise unread(f"a NumPy array of version {version[0]}.{version[1]}")
    shape, _, dtype = head(file)
    if dtype.kind not in "buif":
        raise UnusableImageError(f"a NumPy array of {dtype}, and numbers are taken")
    if len(shape) not in (2, 3) or 0 in shape:
        raise UnusableImageError(
            f"a NumPy array of {' x '.join(map(str, shape)) or 'one value'}, and a file is one image: H x W, H x W x C or C x H x W"
        )
    sides = shape if len(shape) == 2 else shape[:2] if _layout(shape, bands) == "last" else shape[1:]
    check_size(sides[1], sides[0])
    if math.prod(shape) * dtype.itemsize > _MOST_BYTES:
        raise UnusableImageError(f"too large: {math.prod(shape) * dtype.itemsize:,} bytes of pixels, more than {_MOST_BYTES:,}")
    array: NDArray[Any] = np.load(BytesIO(data), allow_pickle=False)
    return array


def _unzipped(data: bytes, check_size: CheckSize, bands: int | None) -> NDArray[Any]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        inside = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        if len(inside) != 1:
            names = ", ".join(info.filename[:40] for info in inside[:8])
            raise UnusableImageError(f"holds {len(inside)} arrays ({names}), and a file is one image")
        # What the archive says of its length is held to: a bomb is cut off there.
        if inside[0].file_size > _MOST_BYTES:
            raise UnusableImageError(f"too large: {inside[0].file_size:,} bytes of pixels, more than {_MOST_BYTES:,}")
        with archive.open(inside[0]) as member:
            return _array(member.read(inside[0].file_size), check_size, bands)


_READERS: dict[Format, Callable[[bytes, CheckSize, int | None, int | None], Raster | None]] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "TIFF": _read_tiff,
    "JPEG 2000": _read_jpeg_2000,
    "JPEG XL": _read_jpeg_xl,
    "NumPy": _read_numpy,
}
