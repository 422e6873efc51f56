"""The values of TIFF files compressed by LZW or PackBits: libtiff decompresses their strips and tiles, tifffile makes sense of them.

tifffile decompresses both by code of imagecodecs' own, which damaged bytes can crash (2026.3.6, LZW); libtiff has been fuzzed for years,
and Pillow brings it. It is handed no file from outside: the compressed bytes stand as strips in a file written here, of one sample of 8
bits, without a predictor. Predictors, byte order, planes and bits stay tifffile's, as they are of files without compression.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

COMPRESSIONS = {5, 32_773}
"""LZW (of both bit orders, the old one too) and PackBits."""

_BATCH = 1 << 25
"""Bytes that are decompressed at once, so far as pieces are smaller: bounds memory, and a file of short strips takes few calls."""
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class _Piece:
    """A strip or a tile."""

    index: int
    compressed: bytes
    rows: int
    width: int
    """Bytes of a row."""


def values(page: Any) -> NDArray[Any]:
    """What `tifffile.TiffPage.asarray` gives of a page of one of COMPRESSIONS. The page is good for nothing else afterwards.

    Raises:
        OSError: libtiff cannot decompress a piece.
        ValueError: or any other: tifffile cannot make sense of the page.
    """
    compression, reversed_bits = int(page.compression), page.fillorder == 2
    page.compression, page.fillorder = 1, 1
    decode = page.decode
    result = np.full(page.shaped, page.nodata, page.dtype)  # pieces without bytes stay so
    for batch in _batches(_pieces(page, reversed_bits)):
        for piece, raw in zip(batch, _decompressed(batch, compression), strict=True):
            decoded, (plane, depth, top, left, _), (_, rows, columns, _) = decode(raw, piece.index)
            part = decoded[:, : page.imagelength - top, : page.imagewidth - left]
            result[plane, depth : depth + 1, top : top + rows, left : left + columns] = part
    return result.reshape(page.shape)


def stored(page: Any) -> Iterator[tuple[int, bytes]]:
    """Index and bytes of each strip or tile that has any."""
    file = page.parent.filehandle
    for index, (offset, length) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False)):
        if offset and length and index < math.prod(page.chunked):
            file.seek(offset)
            yield index, file.read(length)


def _pieces(page: Any, reversed_bits: bool) -> Iterator[_Piece]:
    for index, data in stored(page):
        _, _, (_, rows, columns, samples) = page.decode(None, index)
        compressed = data.translate(_BITS_REVERSED) if reversed_bits else data
        yield _Piece(index, compressed, rows, (columns * samples * page.bitspersample + 7) // 8)


def _batches(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces of equal rows, but that the last of a batch may have fewer."""
    batch: list[_Piece] = []
    for piece in pieces:
        first = batch[0] if batch else piece
        full = (len(batch) + 1) * first.rows * first.width > _BATCH
        if batch and (full or batch[-1].rows != first.rows or piece.rows > first.rows):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _decompressed(batch: list[_Piece], compression: int) -> list[bytes]:
    """The bytes of each piece."""
    first, lengths = batch[0], [len(piece.compressed) for piece in batch]
    rows, count = sum(piece.rows for piece in batch), len(batch)
    short, long = 3, 4
    after = 8 + 2 + 9 * 12 + 4
    data_at = after + (8 * count if count > 1 else 0)
    offsets = [data_at + start for start in np.cumsum([0, *lengths[:-1]]).tolist()]
    entries = (
        (256, long, 1, first.width),
        (257, long, 1, rows),
        (258, short, 1, 8),
        (259, short, 1, compression),
        (262, short, 1, 1),  # black is zero
        (273, long, count, offsets[0] if count == 1 else after),
        (277, short, 1, 1),
        (278, long, 1, first.rows),
        (279, long, count, lengths[0] if count == 1 else after + 4 * count),
    )
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    tables = b"" if count == 1 else struct.pack(f"<{2 * count}I", *offsets, *lengths)
    file = BytesIO(b"".join((b"II*\0", struct.pack("<I", 8), directory, tables, *(piece.compressed for piece in batch))))
    with TiffImageFile(file) as image:
        flat = image.tobytes()
    ends = np.cumsum([piece.rows * piece.width for piece in batch]).tolist()
    return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]
