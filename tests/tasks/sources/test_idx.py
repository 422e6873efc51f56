"""idx files that lie, one fault each: refused with the fault and the file named."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from raw_sets import idx

from gan_core.errors import DataError
from tasks.sources.idx import read_idx

VALUES = np.arange(10 * 4 * 3, dtype=np.uint8).reshape(10, 4, 3)
PLAIN = gzip.decompress(idx(VALUES))


def test_reads_what_is_there() -> None:
    np.testing.assert_array_equal(read_idx(idx(VALUES), 3, "file"), VALUES)
    np.testing.assert_array_equal(read_idx(idx(VALUES[:, 0, 0].copy()), 1, "file"), VALUES[:, 0, 0])
    assert read_idx(idx(VALUES[:0]), 3, "file").shape == (0, 4, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends within its header"),
        (b"<!DOCTYPE html><html></html>", "not gzip, or damaged"),
        (PLAIN, "not gzip, or damaged"),
        (gzip.compress(PLAIN[:15]), "ends within its header"),
        (gzip.compress(PLAIN[:-1]), "states 10 x 4 x 3 values, and there are 119"),
        (gzip.compress(PLAIN + b"\0"), "states 10 x 4 x 3 values, and there are more"),
        (gzip.compress(b"\1" + PLAIN[1:]), "begins with 01000803, and an idx file of bytes in 3 dimensions with 00000803"),
        (gzip.compress(PLAIN[:2] + b"\x0d" + PLAIN[3:]), "begins with 00000d03"),
        (idx(VALUES[0]), "begins with 00000802"),
        (gzip.compress(PLAIN[:4] + struct.pack(">III", 2**32 - 1, 28, 28) + PLAIN[16:]), "more than 2,147,483,648"),
        (gzip.compress(PLAIN[:4] + struct.pack(">III", 0, 2**32 - 1, 2**32 - 1)), "more than 2,147,483,648"),
        (gzip.compress(PLAIN[:4] + struct.pack(">III", 60_000, 28, 28) + PLAIN[16:]), "states 60000 x 28 x 28 values, and there are 120"),
        (idx(VALUES)[:-3], "its last bytes are missing"),
        (idx(VALUES)[:-30], "values, and there are"),
    ],
)
def test_names_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^t10k-images: .*{message}"):
        read_idx(data, 3, "t10k-images")


@pytest.mark.parametrize("place", [-6, -2, 30])
def test_notices_a_flipped_bit(place: int) -> None:
    data = bytearray(idx(VALUES))
    data[place] ^= 4
    with pytest.raises(DataError, match=r"^file: "):
        read_idx(bytes(data), 3, "file")


def test_a_bomb_is_never_inflated() -> None:
    # 64 MiB of zeros behind a header that states 120 values.
    data = gzip.compress(PLAIN + bytes(64 << 20))
    assert len(data) < 100_000
    with pytest.raises(DataError, match="and there are more"):
        read_idx(data, 3, "file")
