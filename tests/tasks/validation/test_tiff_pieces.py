"""Strips and tiles decompressed by libtiff are the values that were written, in all ways that a file can be cut."""

from __future__ import annotations

import io
import itertools
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from tasks.validation import tiff_pieces

_RANDOM = np.random.default_rng(0)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def written(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def values(data: bytes) -> NDArray[Any]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return tiff_pieces.values(file.pages.first)


@pytest.mark.parametrize("compression", ["lzw", "packbits"])
@pytest.mark.parametrize("cut", [{}, {"rowsperstrip": 1}, {"rowsperstrip": 7}, {"tile": (16, 32)}], ids=str)
@pytest.mark.parametrize("batch", [1 << 25, 2_000])
def test_every_cut_type_order_and_plane(compression: str, cut: dict[str, Any], batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_pieces, "_BATCH", batch)
    for dtype, channels, planes, order in itertools.product((np.uint8, np.int16, np.float32), (1, 3), ("contig", "separate"), "<>"):
        noise = (_RANDOM.integers(0, 4, (channels, 53, 71)) * _RANDOM.integers(0, 60, (channels, 53, 71))).astype(dtype)
        array = noise[0] if channels == 1 else noise if planes == "separate" else np.ascontiguousarray(np.moveaxis(noise, 0, 2))
        options = {"photometric": "rgb", "planarconfig": planes} if channels == 3 else {"photometric": "minisblack"}
        for predictor in (False, True) if compression == "lzw" else (False,):
            found = values(written(array, compression=compression, byteorder=order, predictor=predictor, **cut, **options))
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("compression", ["lzw", "packbits"])
def test_single_bits(compression: str) -> None:
    array = _RANDOM.integers(0, 2, (53, 71)).astype(bool)
    np.testing.assert_array_equal(values(written(array, compression=compression, rowsperstrip=9, photometric="minisblack")), array)


@pytest.mark.parametrize("compression", ["lzw", "packbits"])
def test_bytes_whose_bits_are_reversed(compression: str) -> None:
    array = _RANDOM.integers(0, 9, (53, 71)).astype(np.uint8)
    data = bytearray(written(array, compression=compression, rowsperstrip=9, photometric="minisblack"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
            data[start : start + length] = data[start : start + length].translate(_REVERSED)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        page.fillorder = 2
        np.testing.assert_array_equal(tiff_pieces.values(page), array)


def test_lzw_as_it_was_before_1988() -> None:
    array = _RANDOM.integers(0, 256, (10, 40)).astype(np.uint8)

    def old(piece: bytes) -> bytes:
        # Codes of 9 bits, lowest first: a table that is cleared so often never grows out of them.
        codes = [code for start in range(0, len(piece), 100) for code in (256, *piece[start : start + 100])] + [257]
        bits = sum(code << 9 * at for at, code in enumerate(codes))
        return bits.to_bytes((9 * len(codes) + 7) // 8, "little")

    roomy = written(array, compression="lzw", rowsperstrip=10, photometric="minisblack")
    with tifffile.TiffFile(io.BytesIO(roomy)) as file:
        page = file.pages.first
        offset_at, count_at = page.tags[273].valueoffset, page.tags[279].valueoffset
        sizes = page.tags[273].dtype, page.tags[279].dtype
    coded, whole = old(array.tobytes()), bytearray(roomy)
    for at, size, value in zip((offset_at, count_at), sizes, (len(roomy), len(coded)), strict=True):
        struct.pack_into("<I" if size == 4 else "<H", whole, at, value)
    np.testing.assert_array_equal(values(bytes(whole) + coded), array)


def test_pieces_that_are_not_there_are_black() -> None:
    array = _RANDOM.integers(1, 9, (48, 32)).astype(np.uint8)
    data = written(array, compression="lzw", tile=(16, 16), photometric="minisblack")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        page.databytecounts = (page.databytecounts[0], 0, *page.databytecounts[2:])
        found = tiff_pieces.values(page)
    array[:16, 16:] = 0
    np.testing.assert_array_equal(found, array)


def test_a_piece_that_ends_early_is_an_error_and_not_a_picture() -> None:
    data = written(_RANDOM.integers(0, 256, (48, 32)).astype(np.uint8), compression="lzw", photometric="minisblack")
    with pytest.raises(OSError, match="decod"):
        values(data[: len(data) // 2])
