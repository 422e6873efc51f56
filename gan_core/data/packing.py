"""From arrays, or anything that is gone through like one, to the files of a packed data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gan_core.errors import DataError


class Rows(Protocol):
    """An array (N, ...), or what gives such an array's rows one after another, so that memory does not grow with their number."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


def pack(
    folder: Path,
    rows: Mapping[str, Rows],  # of each split
    dtype: DTypeLike,  # that they have, and are kept in
    labels: Mapping[str, Sequence[float]] | None = None,  # of each, in the same order
    label_type: DTypeLike = np.int64,  # that these are kept in
    ending: str = "",  # of the files' names
) -> dict[str, int]:
    """Write each split's array, and its labels; returns how many rows each has.

    Raises:
        DataError: the rows of the splits differ in shape, or are of another type.
    """
    for split in rows:
        if rows[split].shape[1:] != rows["train"].shape[1:] or rows[split].dtype != dtype:
            had = " and ".join(f"{rows[one].dtype} {rows[one].shape}" for one in rows)
            raise DataError(f"{folder}: expected {np.dtype(dtype)} (N, ...) alike in all splits, {' and '.join(rows)}, and got {had}")
        write_rows(folder / f"{split}{ending}.npy", rows[split], rows[split].shape, dtype)
        if labels is not None:
            np.save(folder / f"{split}_labels.npy", np.asarray(labels[split], dtype=label_type), allow_pickle=False)
    return {split: rows[split].shape[0] for split in rows}


def sample_shape(rows: Mapping[str, Rows]) -> tuple[int, ...]:
    """The shape of one row."""
    return tuple(rows["train"].shape[1:])


def write_rows(path: Path, rows: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Stream rows into a .npy file. Plain writes: pages of a memory map would count as this process's memory."""
    if isinstance(rows, np.ndarray):
        np.save(path, np.ascontiguousarray(rows), allow_pickle=False)
        return
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with path.open("wb", buffering=1 << 16) as file:  # rows are small, and calls to the system are not
        np.lib.format.write_array_header_1_0(file, header)
        for row in rows:
            file.write(row.tobytes())
