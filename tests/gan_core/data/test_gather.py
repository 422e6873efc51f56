"""Rows are those of the array, and a large file does not become the process's memory."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gan_core.data.gather import Gather
from gan_core.errors import DataError

_COUNT, _WIDTH, _BATCH = 24_576, 4_096, 64  # 96 MiB


@pytest.fixture
def mapped() -> Iterator[NDArray[np.uint8]]:
    """A file of rows that all begin with their number, on a disk: one in memory is counted otherwise."""
    with tempfile.TemporaryDirectory(prefix="gantry-") as folder:
        yield rows_in(Path(folder) / "rows.npy")


def rows_in(path: Path) -> NDArray[np.uint8]:
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (_COUNT, _WIDTH))
    for start in range(0, _COUNT, 4_096):
        array[start : start + 4_096, 0] = np.arange(start, start + 4_096) % 251
    array.flush()
    del array
    return np.lib.format.open_memmap(path, mode="r")


def order() -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(_COUNT)


def resident_mib_of_files() -> float:
    found = re.search(r"RssFile:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def test_rows_are_the_array_s(mapped: NDArray[np.uint8]) -> None:
    gather = Gather(mapped)
    assert len(gather) == _COUNT
    for indices in order().reshape(-1, _BATCH):
        rows = gather.rows(indices)
        assert rows.shape == (_BATCH, _WIDTH)
        np.testing.assert_array_equal(rows[:, 0], indices % 251)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_memory_does_not_grow_with_what_was_looked_at(mapped: NDArray[np.uint8]) -> None:
    before, most = resident_mib_of_files(), 0.0
    gather = Gather(mapped)
    for indices in order().reshape(-1, _BATCH):
        gather.rows(indices)
        most = max(most, resident_mib_of_files() - before)
    assert most < 8
    for indices in order().reshape(-1, _BATCH):
        mapped[indices]
    assert resident_mib_of_files() - before > 80, "a plain gather keeps the file, so the test tells something"


def test_a_file_that_has_become_shorter_is_named(tmp_path: Path) -> None:
    gather = Gather(rows_in(tmp_path / "rows.npy"))
    os.truncate(tmp_path / "rows.npy", _COUNT * _WIDTH // 2)
    with pytest.raises(DataError, match=r"rows\.npy: has become shorter"):
        gather.rows(np.array([0, _COUNT - 1]))


def test_arrays_in_memory_and_small_files_are_gathered_too(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(6, 2)
    np.save(tmp_path / "small.npy", values)
    for array in (values, np.load(tmp_path / "small.npy", mmap_mode="r")):
        np.testing.assert_array_equal(Gather(array).rows(np.array([4, 0])), values[[4, 0]])
