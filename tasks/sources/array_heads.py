"""What NumPy's files (.npy, .npz) say of the arrays in them; nothing is unpickled, and no value read."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from gan_core.errors import DataError

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class ArrayHead:
    """Of one array."""

    name: str
    """In the archive, without `.npy`; empty, where the file is the array."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    """Whether the first axis runs fastest."""
    start: int
    """Of its values, in bytes from the beginning of its .npy file."""

    @property
    def size(self) -> int:
        """Bytes of its .npy file."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def array_heads(stream: BinaryIO, where: str) -> list[ArrayHead]:
    """Of each array in a .npy or .npz file, in its order.

    Raises:
        DataError: it is none of the two, or damaged; begins with `where`.
    """
    start = stream.read(4)
    stream.seek(0)
    if start != b"PK\x03\x04":
        return [npy_head(stream, where)]
    try:
        with zipfile.ZipFile(stream) as archive:
            found = []
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        found.append(npy_head(member, f"{where}: {info.filename}", info.filename.removesuffix(".npy")))
            return found
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise DataError(f"{where}: no archive of arrays, or damaged ({error})") from None


def npy_head(stream: Any, where: str, name: str = "") -> ArrayHead:
    """Of a .npy file that begins where the stream stands.

    Raises:
        DataError: it is none; begins with `where`.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _READERS:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not read here")
        shape, is_fortran, dtype = _READERS[version](stream)
        return ArrayHead(name, shape, dtype, is_fortran, stream.tell())
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: no readable .npy file ({' '.join(str(error).split())[:200]})") from None
