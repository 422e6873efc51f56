"""The idx format of MNIST and its siblings, read strictly: the header has to say exactly what is there.

Format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, the type of the values, the number of dimensions, then each dimension as a
big-endian 32-bit integer, then the values).
"""

from __future__ import annotations

import math
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError

_UNSIGNED_BYTE = 0x08
_MOST_BYTES = 2**31
_GZIP = 31  # zlib's name for gzip with checksum

CLASSES = {
    "FashionMNIST": ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
"""Names of the labels 0 to 9, where they are not the digits themselves."""


def read_idx(data: bytes, dimensions: int, path: str) -> NDArray[np.uint8]:
    """The values of a gzip-compressed idx file of unsigned bytes, with the shape that its header states.

    Never decompresses more than the header announces, so that a lying file costs no memory.

    Raises:
        DataError: naming `path`: not gzip, damaged, another type or number of dimensions, or not the stated number of values.
    """
    inflate = zlib.decompressobj(_GZIP)
    header = 4 + 4 * dimensions
    try:
        head = inflate.decompress(data, header)
        if len(head) < header:
            raise DataError(f"{path}: ends within its header")
        if head[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
            found, expected_head = head[:4].hex(), f"000008{dimensions:02x}"
            raise DataError(f"{path}: begins with {found}, and an idx file of bytes in {dimensions} dimensions with {expected_head}")
        shape = struct.unpack(f">{dimensions}I", head[4:])
        expected = math.prod(shape)
        # A dimension of its own too: beside one of zero, it would be beyond what an array can have.
        if max(expected, *shape) > _MOST_BYTES:
            raise DataError(f"{path}: its header states {' x '.join(map(str, shape))} values, more than {_MOST_BYTES:,}")
        # One byte more than expected also makes zlib read and compare the checksum at the end.
        values = inflate.decompress(inflate.unconsumed_tail, expected + 1)
        if len(values) != expected:
            found = "more" if len(values) > expected else f"{len(values):,}"
            raise DataError(f"{path}: its header states {' x '.join(map(str, shape))} values, and there are {found}")
        if not inflate.eof:
            raise DataError(f"{path}: damaged, its last bytes are missing")
    except zlib.error as error:
        raise DataError(f"{path}: not gzip, or damaged ({error})") from None
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)
