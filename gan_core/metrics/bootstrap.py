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
    ([3, 3], 3)
    """

    def __init__(self, size: int, replicates: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        bags = min(size, BAGS)
        dealt = random.permutation(size)
        self.size = size
        self.members = [dealt[bag::bags] for bag in range(bags)]
        """Indices of the samples in each bag."""
        counts = random.multinomial(bags, np.full(bags, 1 / bags), size=replicates) if bags else np.zeros((replicates, 0))
        self.counts: NDArray[np.float64] = counts.astype(np.float64)
        """(B, bags) how often each replicate takes each bag: whole numbers, as floats for products with sums over bags."""

    def __len__(self) -> int:
        return len(self.counts)

    def indices(self, replicate: int) -> NDArray[np.int64]:
        """The samples that a replicate takes, with repetitions: about `size` of them (exactly, where the bags are equal)."""
        taken = [np.tile(members, int(count)) for members, count in zip(self.members, self.counts[replicate], strict=True) if count]
        return np.concatenate(taken) if taken else np.zeros(0, dtype=np.int64)

    @property
    def bag_sizes(self) -> NDArray[np.float64]:
        """(bags,) how many samples are in each bag."""
        return np.array([len(members) for members in self.members], dtype=np.float64)

    def of_bags(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The sum of `values` (size, ...) over each bag: (bags, ...)."""
        return np.stack([values[members].sum(axis=0, dtype=np.float64) for members in self.members])
