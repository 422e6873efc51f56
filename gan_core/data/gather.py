"""Samples gathered from an array in a file, so that what is resident does not grow with how many have been looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError

_LARGE = 64 << 20
"""Bytes from which on a file is read instead of mapped."""


class Gather:
    """Rows of an array by their numbers.

    Of a memory-mapped file the kernel counts each page near one that was touched as the process's memory, until somebody else wants it:
    in the end the whole file. So the rows of a large one are read, from the same cache of the kernel, at a microsecond or two each.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self._file = None
        if isinstance(array, np.memmap) and array.filename is not None and array.nbytes > _LARGE and hasattr(os, "preadv"):
            self._file = Path(array.filename).open("rb", buffering=0)  # noqa: SIM115  open as long as the mapping
            self._start = array.offset

    def __len__(self) -> int:
        return len(self._array)

    def rows(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of the rows (N, ...) of these numbers, (N,).

        Raises:
            DataError: the file has become shorter.
        """
        if self._file is None:
            rows: NDArray[Any] = self._array[indices]
            return rows
        rows = np.empty((len(indices), *self._array.shape[1:]), self._array.dtype)
        file, size, places = self._file.fileno(), self._array[:1].nbytes, rows.data.cast("B")
        for number, index in enumerate(indices.tolist()):
            place = places[number * size : (number + 1) * size]
            if os.preadv(file, [place], self._start + index * size) != size:
                raise DataError(f"{self._file.name}: has become shorter since it was opened; run the validate stage again")
        return rows
