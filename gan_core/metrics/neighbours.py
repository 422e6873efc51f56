"""The two nearest of very many reference samples, which go by in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

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
        squared = torch.addmm(squares[None, :], self._queries, block.T, alpha=-2.0).add_(self._squares[:, None])
        # Of equal samples only rounding is left, which would make a ratio of two such distances anything.
        squared.masked_fill_(squared <= _ROUNDING * (self._squares[:, None] + squares[None, :]), 0.0)
        if not squared.isfinite().all():
            raise DataError(f"nearest neighbours: not finite among references {self.seen} to {self.seen + len(block) - 1}, or in a query")
        found = torch.cat([self._nearest, squared], dim=1).topk(2, dim=1, largest=False)
        # The first two columns are the nearest so far, and keep their index.
        first = found.indices[:, 0]
        self._index = torch.where(first < 2, self._index, self.seen + first - 2)
        self._nearest = found.values
        self.seen += len(block)

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
