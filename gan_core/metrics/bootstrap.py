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

_LEAST_VARIANCE = 1 / 9  # of a replicate, beside that of all samples
_SKEWED = 1e-9


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
        self._added: NDArray[np.float64] = random.poisson(1.0, size=(replicates, 2)).astype(np.float64)
        """(B, 2) how often each takes the two that `likely_means` adds."""

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

    def likely_means(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Where the mean may lie of what `values` (size,) are samples of: (B,), as the replicates' own means do not tell it.

        Few large values among many small ones, and a sample that happens to hold few of them has too low a mean and too small a
        deviation at once. So each replicate is asked by how many of its own deviations it lies beside the mean, its skewness taken away
        (the bootstrap's t; Hall, 1992, doi:10.1111/j.2517-6161.1992.tb01876.x). And where a handful of values differ from all others, as
        two shares near 1 do, these may be on one side by chance: a bag on either side of the mean is added, as far off as those
        that make the deviation (as Agresti and Caffo, 2000, do with shares).

        >>> found = Draws(50, replicates=1_000, seed=0).likely_means(np.repeat([0.0, 1.0], [47, 3]))
        >>> bool(found.mean() > 0.07), bool(np.quantile(found, 0.025) < 0)
        (True, True)
        """
        mean = float(np.mean(values))
        parts = (self.of_bags(values) - mean * self.bag_sizes) * len(self.members) / self.size
        squares = float(np.square(parts).sum())
        if squares <= (1e-12 * mean) ** 2 * len(parts):  # all are alike, apart from rounding
            return np.full(len(self), mean)
        edge = np.copysign(np.sqrt((parts**4).sum() / squares), (parts**3).sum())  # so that -values have the same with the other sign
        parts, counts = np.array([*parts, edge, -edge]), np.hstack([self.counts, self._added])

        def moments(taken: NDArray[np.float64]) -> list[NDArray[np.float64]]:
            """Of what is taken: its mean, how far that deviates, and the skewness of the mean."""
            total = taken.sum(axis=1)
            first, second, third = (taken @ parts**order / total for order in (1, 2, 3))
            # A replicate that takes none of the few that differ has no deviation of its own.
            variance = np.maximum(second - first**2, _LEAST_VARIANCE * np.square(parts).mean())
            skewness = (third - 3 * first * second + 2 * first**3) / variance**1.5
            return [first, np.sqrt(variance / total), skewness / np.sqrt(total)]

        ((_, deviation, skewness),) = zip(*moments(np.ones((1, len(parts)))), strict=True)
        shifts, deviations, skews = moments(counts)
        beside = shifts / deviations
        straight = beside + skews * beside**2 / 3 + skews**2 * beside**3 / 27 + skews / 6
        if abs(skewness) > _SKEWED:
            straight = 3 / skewness * (np.cbrt(1 + skewness * (straight - skewness / 6)) - 1)
        return np.asarray(mean - deviation * straight, dtype=np.float64)

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
