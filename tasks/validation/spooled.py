"""Samples of one shape in a file, on their way into arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SpooledRows:
    """Samples of a file, gone through as the rows of an array (N, *of), one of them in memory at a time."""

    path: Path
    of: tuple[int, ...]
    """Shape of a sample."""
    dtype: np.dtype[Any]
    numbers: Sequence[int]
    """Which, in this order."""

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.numbers), *self.of

    def __iter__(self) -> Iterator[NDArray[Any]]:
        length = math.prod(self.of) * self.dtype.itemsize
        with self.path.open("rb") as file:
            for number in self.numbers:
                file.seek(number * length)
                yield np.frombuffer(file.read(length), dtype=self.dtype).reshape(self.of)
