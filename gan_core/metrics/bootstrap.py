"""Which samples each replicate of a bootstrap takes (Efron, 1979): drawn with replacement, as many as there are.

Samples are taken by the bag: they are dealt at random into at most 256 bags, and whole bags are drawn. Up to 256 samples that is the
ordinary bootstrap. Beyond, sums over a bag need computing only once, which makes replicates of moments a matrix product; the spread of
the replicates is then itself uncertain by 1 / sqrt(2 * 255), 4 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BAGS = 256


class Draws:
    """How often each of B replicates takes each of `size` samples. A function of its arguments.

    >>> draws = Draws(3, replicates=2, seed=0)
    >>> draws.counts.sum(axis=1).tolist(), len(draws.indices(0))
    ([3.0, 3.0], 3)
    """

    def __init__(self, size: int, replicates: int, seed: int, clusters: NDArray[np.int64] | None = None) -> None:
        """`clusters` (size,): samples of one number are never parted, as what is drawn for one caption; None: each is one of its own."""
        random = np.random.default_rng(seed)
        cluster = np.arange(size) if clusters is None else np.unique(clusters, return_inverse=True)[1]
        units = cluster.max(initial=-1) + 1
        bags = min(units, BAGS)
        bag_of = np.empty(units, dtype=np.int64)
        bag_of[random.permutation(units)] = np.arange(units) % max(bags, 1)
        bag = bag_of[cluster]
        self.size = size
        self._by_bag, self._lengths = np.argsort(bag, kind="stable"), np.bincount(bag, minlength=bags)
        self._begins = np.cumsum(self._lengths) - self._lengths
        self.members = np.split(self._by_bag, self._begins[1:]) if bags else []
        """Indices of the samples in each bag."""
        counts = random.multinomial(bags, np.full(bags, 1 / bags), size=replicates) if bags else np.zeros((replicates, 0))
        self.counts: NDArray[np.float64] = counts.astype(np.float64)
        """(B, bags) how often each replicate takes each bag: whole numbers, as floats for products with sums over bags."""

    def __len__(self) -> int:
        return len(self.counts)

    def indices(self, replicate: int) -> NDArray[np.int64]:
        """The samples that a replicate takes, with repetitions: about `size` of them (exactly, where the bags are equal)."""
        # Bag after bag, each as often as it is taken: where its samples begin among all, and then one by one.
        begin, length = (np.repeat(each, self.counts[replicate].astype(np.int64)) for each in (self._begins, self._lengths))
        indices: NDArray[np.int64] = self._by_bag[np.arange(length.sum()) + np.repeat(begin - length.cumsum() + length, length)]
        return indices

    @property
    def bag_sizes(self) -> NDArray[np.float64]:
        """(bags,) how many samples are in each bag."""
        return np.array([len(members) for members in self.members], dtype=np.float64)

    def means(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The mean of `values` (size,) over what each replicate takes: (B,)."""
        means: NDArray[np.float64] = (self.counts @ self.of_bags(values)) / (self.counts @ self.bag_sizes)
        return means

    def shifts(self, influences: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each replicate moves a score, to first order: (B,). `influences` (size,), of mean 0, as `frechet_influences` has them."""
        shifts: NDArray[np.float64] = self.counts @ self.of_bags(influences) / self.size
        return shifts

    def folds(self, count: int) -> list[NDArray[np.int64]]:
        """All samples, whole bags at a time, in at most `count` parts of about equal size, for a jackknife: indices in each."""
        return [np.concatenate(self.members[fold::count]) for fold in range(min(count, len(self.members)))]

    def of_bags(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The sum of `values` (size, ...) over each bag: (bags, ...)."""
        return np.stack([values[members].sum(axis=0, dtype=np.float64) for members in self.members])
