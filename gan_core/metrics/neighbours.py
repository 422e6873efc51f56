"""The two nearest of very many reference samples, which go by in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.errors import DataError

_ROUNDING = 16 * torch.finfo(torch.float64).eps  # of a difference of squares, beside their sum


class TwoNearest:
    """Of each of (N, D) queries, the two nearest references so far, in float64; memory does not grow with how many references go by.

    >>> found = TwoNearest(np.array([[0.0], [10.0]]))
    >>> found.update(np.array([[1.0], [4.0], [9.0]]))
    >>> found.index.tolist(), found.distances.tolist()
    ([0, 2], [[1.0, 4.0], [1.0, 6.0]])
    """

    def __init__(self, queries: NDArray[Any]) -> None:
        self._queries = torch.from_numpy(queries.astype(np.float64))
        self._squares = self._queries.square().sum(dim=1)
        self._nearest = torch.full((len(queries), 2), torch.inf, dtype=torch.float64)
        self._index = torch.zeros(len(queries), dtype=torch.int64)
        self.seen = 0
        """References that went by."""

    def update(self, references: NDArray[Any]) -> None:
        """Take in a block of references (M, D).

        Raises:
            DataError: their width is another one, or something is not finite.
        """
        if references.ndim != 2 or references.shape[1] != self._queries.shape[1]:
            raise DataError(f"nearest neighbours: expected references (M, {self._queries.shape[1]}), got {references.shape}")
        block = torch.from_numpy(references.astype(np.float64))
        squares = block.square().sum(dim=1)
        if not (squares.isfinite().all() and self._squares.isfinite().all()):
            raise DataError(f"nearest neighbours: not finite among references {self.seen} to {self.seen + len(block) - 1}, or in a query")
        squared = torch.addmm(squares[None, :], self._queries, block.T, alpha=-2.0)  # up to the queries' own squares
        rows = torch.arange(len(squared))
        for _ in range(min(2, len(block))):  # twice the least takes a third of what sorting out the least two does
            least, place = squared.min(dim=1)
            squared[rows, place] = torch.inf
            self._take(least + self._squares, place, self._squares + squares[place])
        self.seen += len(block)

    def _take(self, squared: Tensor, place: Tensor, scale: Tensor) -> None:
        """Take in one reference for each query, by squared distance (N,) and place in the block (N,)."""
        # Of equal samples only rounding is left, which would make a ratio of two such distances anything.
        found = squared.masked_fill(squared <= _ROUNDING * scale, 0.0)
        nearest, second = self._nearest.T
        closest = found < nearest
        self._index = torch.where(closest, self.seen + place, self._index)
        self._nearest = torch.stack([torch.minimum(found, nearest), torch.where(closest, nearest, torch.minimum(found, second))], dim=1)

    @property
    def index(self) -> NDArray[np.int64]:
        """(N,) place of the nearest reference."""
        index: NDArray[np.int64] = self._index.numpy()
        return index

    @property
    def distances(self) -> NDArray[np.float64]:
        """(N, 2) Euclidean distance to the nearest and to the second nearest reference; infinite while there is none."""
        distances: NDArray[np.float64] = self._nearest.clamp(min=0.0).sqrt().numpy()
        return distances

    @property
    def ratio(self) -> NDArray[np.float64]:
        """(N,) nearest over second nearest, 0 to 1; 0 where the nearest is the query itself."""
        nearest, second = self.distances.T
        ratio: NDArray[np.float64] = np.divide(nearest, second, out=np.zeros_like(nearest), where=nearest > 0)
        return ratio
