"""Over 300 files of every depth, sign, photometry, planes, alpha and compression, read as they were made and as libvips reads them.

libvips stands on libtiff, libspng, libjpeg and libheif, which is another way than tifffile, imagecodecs and Pillow. What it does not
read, such as 12 bits, is compared with the pixels that were written alone.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tasks.params import ValidateParams
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import decode

SIZE = 24
LIMITS = ValidateParams(min_std=0)
_RANDOM = np.random.default_rng(0)
_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1)


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    truth: NDArray[np.float64]
    """(H, W) or (H, W, 3), 0 to 255, on white."""
    bounds: tuple[float, float] | None = None
    """`data.range`, without which it is refused."""
    apart: float = 1.01
    """By how many levels it may be off."""


def picture(channels: int, smooth: bool = False) -> NDArray[np.float64]:
    """(H, W, channels) from 0 to 1; both ends are reached."""
    ramps = np.stack([_ROWS, _COLUMNS, 1 - _ROWS, _COLUMNS[::-1]], axis=2)[..., :channels]
    if smooth:
        return ramps
    values = np.clip(ramps + _RANDOM.normal(0, 0.2, ramps.shape), 0, 1)
    values[0, 0], values[0, 1] = 0, 1
    return values


def on_white(values: NDArray[np.float64], alpha: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Values (H, W, C) from 0 to 1 as levels, without an axis of one channel."""
    shown = values if alpha is None else values * alpha + 1 - alpha
    return 255 * (shown[..., 0] if shown.shape[2] == 1 else shown)


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def integers(values: NDArray[np.float64], bits: int) -> NDArray[Any]:
    """0 to 1 as unsigned numbers of so many bits."""
    return np.rint(values * ((1 << bits) - 1)).astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


_COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma")


def grey_tiffs() -> Iterator[Case]:
    for bits, photometric, compression, order in itertools.product(
        (1, 2, 4, 8, 10, 12, 14, 16), ("minisblack", "miniswhite"), _COMPRESSIONS, "<>"
    ):
        # tifffile 2026.3 reads packed bits of either order, and writes garbage for ">".
        if (bits not in (1, 8, 16) and compression is not None) or (bits != 16 and order == ">"):
            continue
        stored = integers(picture(1), bits)[..., 0]
        top = (1 << bits) - 1
        truth = stored / top if photometric == "minisblack" else 1 - stored / top
        options = {"photometric": photometric, "compression": compression, "byteorder": order}
        data = tiff(stored.astype(bool) if bits == 1 else stored, bitspersample=bits, **options)
        yield Case(f"grey {bits} {photometric} {compression} {order}", data, 255 * truth)


def colour_tiffs() -> Iterator[Case]:
    for bits, planes, alpha, compression, order in itertools.product(
        (8, 16), ("contig", "separate"), (None, "unassalpha", "assocalpha"), _COMPRESSIONS, "<>"
    ):
        if bits == 8 and order == ">":
            continue
        for channels in (1, 3):
            if channels == 1 and (alpha is None or planes == "separate"):
                continue
            values, opacity = picture(channels), picture(1) if alpha else None
            stored = integers(values if alpha != "assocalpha" else values * opacity, bits)
            exact = stored / ((1 << bits) - 1)
            if opacity is not None:
                covered = integers(opacity, bits)
                opacity = covered / ((1 << bits) - 1)
                stored = np.concatenate([stored, covered], axis=2)
            shown = exact + 1 - opacity if alpha == "assocalpha" and opacity is not None else None
            truth = on_white(exact, opacity) if shown is None else on_white(np.minimum(shown, 1), None)
            data = tiff(
                np.ascontiguousarray(np.moveaxis(stored, 2, 0) if planes == "separate" else stored),
                photometric="rgb" if channels == 3 else "minisblack",
                planarconfig=planes,
                extrasamples=[alpha] if alpha else None,
                compression=compression,
                byteorder=order,
            )
            # Unmultiplied and multiplied again, a dark value of 8 bits may be off by one more.
            yield Case(f"{channels} channels {bits} {planes} {alpha} {compression} {order}", data, truth, apart=2.01)


def tiffs_without_a_range() -> Iterator[Case]:
    for dtype, channels, compression in itertools.product(
        (np.int8, np.int16, np.int32, np.uint32, np.float16, np.float32, np.float64), (1, 3), (None, "zlib", "lzw")
    ):
        kind = np.dtype(dtype)
        low, high = (0.0, 1.0) if kind.kind == "f" else (float(np.iinfo(kind).min), float(np.iinfo(kind).max))
        values = picture(channels)
        stored = np.clip(np.rint(values * (high - low) + low) if kind.kind != "f" else values, low, high).astype(dtype)
        data = tiff(
            stored if channels == 3 else stored[..., 0], photometric="rgb" if channels == 3 else "minisblack", compression=compression
        )
        yield Case(f"{kind} {channels} {compression}", data, on_white(values, None), (low, high))


def other_tiffs() -> Iterator[Case]:
    for compression in ("lzw", "zlib"):
        for bits in (8, 16):
            stored = integers(picture(3), bits)
            data = tiff(stored, photometric="rgb", compression=compression, predictor=True)
            yield Case(f"predictor {bits} {compression}", data, 255.0 * stored / ((1 << bits) - 1))
    for bits in (8, 16):
        stored = integers(picture(3), bits)
        truth = 255.0 * stored / ((1 << bits) - 1)
        yield Case(f"tiles {bits}", tiff(stored, photometric="rgb", tile=(16, 16)), truth)
        yield Case(f"strips {bits}", tiff(stored, photometric="rgb", rowsperstrip=5), truth)
        yield Case(f"big {bits}", tiff(stored, photometric="rgb", bigtiff=True), truth)
        for planes in ("contig", "separate"):
            array = np.ascontiguousarray(np.moveaxis(stored, 2, 0)) if planes == "separate" else stored
            yield Case(f"fifth channels {bits} {planes}", tiff(array, photometric="rgb", planarconfig=planes), truth)
    colours = _RANDOM.integers(0, 256, (256, 3)).astype(np.uint16)
    for shift in (256, 257):  # writers differ in how they fill the lower byte
        index = _RANDOM.integers(0, 256, (SIZE, SIZE)).astype(np.uint8)
        data = tiff(index, photometric="palette", colormap=colours.T * shift)
        yield Case(f"palette times {shift}", data, colours[index].astype(float))
    for lossy in ("webp", "jpeg"):
        smooth = integers(picture(3, smooth=True), 8)
        options = {"compressionargs": {"level": 100}} if lossy == "webp" else {"compressionargs": {"level": 98}}
        yield Case(f"compressed by {lossy}", tiff(smooth, photometric="rgb", compression=lossy, **options), smooth.astype(float), apart=16)
    ink = integers(picture(4), 8)
    truth = (255.0 - ink[..., :3]) * (255 - ink[..., 3:]) / 255
    yield Case("ink contig", tiff(ink, photometric="separated"), truth, apart=1.5)


def png(depth: int, colour: int, samples: NDArray[Any], extra: list[tuple[bytes, bytes]]) -> bytes:
    """(H, W, C) of `depth` bits as a PNG file."""
    rows = samples.reshape(SIZE, -1)
    if depth == 16:
        coded = [row.astype(">u2").tobytes() for row in rows]
    else:
        coded = [np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]).tobytes() for row in rows]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, depth, colour, 0, 0, 0)), *extra]
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in coded))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pngs() -> Iterator[Case]:
    for colour, channels, depths in ((0, 1, (1, 2, 4, 8, 16)), (2, 3, (8, 16)), (4, 2, (8, 16)), (6, 4, (8, 16))):
        for depth in depths:
            values = integers(picture(channels), depth)
            exact = values / ((1 << depth) - 1)
            shown = exact[..., : 3 if channels >= 3 else 1]
            truth = on_white(shown, exact[..., -1:] if channels in (2, 4) else None)
            yield Case(f"png {colour} {depth}", png(depth, colour, values, []), truth, apart=1.51)
            if channels in (1, 3):
                clear = values[5, 5]
                seen = np.where((values == clear).all(axis=2, keepdims=True), 1.0, shown)
                transparent = [(b"tRNS", struct.pack(f">{channels}H", *map(int, clear)))]
                yield Case(f"png {colour} {depth} tRNS", png(depth, colour, values, transparent), on_white(seen, None))
    colours = _RANDOM.integers(0, 256, (256, 3), dtype=np.uint8)
    for depth in (1, 2, 4, 8):
        index = _RANDOM.integers(0, 1 << depth, (SIZE, SIZE, 1), dtype=np.uint8)
        palette = (b"PLTE", colours[: 1 << depth].tobytes())
        yield Case(f"png palette {depth}", png(depth, 3, index, [palette]), colours[index[..., 0]].astype(float))
        opacity = _RANDOM.integers(0, 256, 1 << depth, dtype=np.uint8)
        truth = on_white(colours[index[..., 0]] / 255, opacity[index] / 255)
        yield Case(f"png palette {depth} tRNS", png(depth, 3, index, [palette, (b"tRNS", opacity.tobytes())]), truth)


def others() -> Iterator[Case]:
    for channels, alpha in itertools.product((1, 3), (False, True)):
        for bits in (8, 10, 12, 16):
            values = integers(picture(channels + alpha), bits)
            exact = values / ((1 << bits) - 1)
            truth = on_white(exact[..., :channels], exact[..., -1:] if alpha else None)
            stored = values if values.shape[2] > 1 else values[..., 0]
            yield Case(
                f"jxl {channels} {alpha} {bits}", imagecodecs.jpegxl_encode(stored, lossless=True, bitspersample=bits), truth, apart=2.01
            )
            if not alpha:
                coded = imagecodecs.jpeg2k_encode(stored, level=0, reversible=True, bitspersample=bits, codecformat="jp2")
                yield Case(f"jp2 {channels} {bits}", coded, truth)
    for channels, bits in itertools.product((1, 3), (8, 12)):
        stored = integers(picture(channels, smooth=True), bits)
        stored = stored if channels == 3 else stored[..., 0]
        data = imagecodecs.jpeg8_encode(stored, level=98, bitspersample=bits)
        yield Case(f"jpeg {channels} {bits}", data, 255.0 * stored / ((1 << bits) - 1), apart=16)
        data = imagecodecs.jpeg8_encode(stored, lossless=True, bitspersample=bits)
        yield Case(f"lossless jpeg {channels} {bits}", data, 255.0 * stored / ((1 << bits) - 1))
    for bits in (8, 10, 12):
        stored = integers(picture(3, smooth=True), bits)
        data = imagecodecs.avif_encode(stored, level=98, bitspersample=bits)
        yield Case(f"avif {bits}", data, 255.0 * stored / ((1 << bits) - 1), apart=16)
    for top, channels in itertools.product((1, 15, 255, 4_095, 65_535), (1, 3)):
        stored = np.rint(picture(channels) * top).astype(np.uint16)
        kind = 5 if channels == 1 else 6
        header = f"P{kind}\n{SIZE} {SIZE}\n{top}\n".encode()
        yield Case(
            f"pnm {channels} {top}", header + stored.astype(np.uint8 if top < 256 else ">u2").tobytes(), on_white(stored / top, None)
        )
    for form in ("GIF", "BMP", "WEBP"):
        stored = integers(picture(1), 8)[..., 0]
        file = io.BytesIO()
        Image.fromarray(stored).convert("RGB" if form != "GIF" else "L").save(file, form, **({"lossless": True} if form == "WEBP" else {}))
        yield Case(form, file.getvalue(), np.dstack([stored.astype(float)] * 3))


@cache
def matrix() -> tuple[Case, ...]:
    return (*grey_tiffs(), *colour_tiffs(), *tiffs_without_a_range(), *other_tiffs(), *pngs(), *others())


def read(case: Case) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3), as validation has it."""
    pixels = decode(case.data, SIZE, LIMITS, case.bounds).pixels
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)


def differs(case: Case, other: NDArray[np.float64]) -> str | None:
    """By how much a case is off, in words, where that is too much."""
    try:
        mine = read(case)
    except UnusableImageError as reason:
        return f"{case.name}: {reason}"
    if mine.shape != other.shape:
        return f"{case.name}: {mine.shape}, not {other.shape}"
    apart = np.abs(mine - other).max()
    return f"{case.name}: {apart:.1f} levels" if apart > case.apart else None


def test_every_file_is_read_as_it_was_made() -> None:
    assert len(matrix()) > 300
    assert [said for case in matrix() if (said := differs(case, case.truth)) is not None] == []


def test_what_states_no_range_is_refused_without_one() -> None:
    for case in matrix():
        if case.bounds is not None:
            with pytest.raises(UnusableImageError, match="whose range the file does not state"):
                decode(case.data, SIZE, LIMITS)


def test_every_file_is_read_as_libvips_reads_it() -> None:
    try:
        import pyvips
    except (ImportError, OSError) as error:
        pytest.skip(f"libvips, the independent reader, cannot be had: {error}")
    compared, wrong = 0, []
    for case in matrix():
        try:
            image = pyvips.Image.new_from_buffer(case.data, "", fail_on="error")
            other = image.numpy().astype(np.float64)
        except pyvips.Error:
            continue  # it has no decoder for it
        if image.interpretation in ("cmyk", "lab"):
            continue  # it converts these by colour profiles, which are not applied here
        low, high = case.bounds or (0, 65_535 if image.format == "ushort" else 255)
        other = other.reshape(SIZE, SIZE, -1)
        values, alpha = other[..., : 3 if other.shape[2] >= 3 else 1], other[..., -1:] if other.shape[2] in (2, 4) else None
        said = differs(case, on_white((values - low) / (high - low), None if alpha is None else alpha / (high - low)))
        compared, wrong = compared + 1, [*wrong, said] if said is not None else wrong
    assert wrong == []
    assert compared >= 200
