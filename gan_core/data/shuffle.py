"""An order of samples that is a function of the seed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.randomness import mix

_BY_CHANCE = 3  # apart from other draws of a seed


class Shuffle:
    """An endless order of 0..count-1: each epoch a fresh permutation, drawn from (seed, epoch)."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def indices(self, seen: int, size: int) -> NDArray[np.int64]:
        """The `size` indices that follow the first `seen` ones: int64 (size,)."""
        parts = []
        while size:
            epoch, start = divmod(seen, self.count)
            part = self._permutation(epoch)[start : start + size]
            parts.append(part)
            seen, size = seen + len(part), size - len(part)
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if epoch not in self._epochs:
            for old in [key for key in self._epochs if key < epoch]:
                del self._epochs[old]
            generator = torch.Generator().manual_seed(mix(self.seed, epoch))
            self._epochs[epoch] = torch.randperm(self.count, generator=generator).numpy()
        return self._epochs[epoch]


class ByChance:
    """Batches that hold each of 0..count-1 with the same chance, apart from all others (Poisson sampling), so they vary in size."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed

    def indices(self, seen: int, size: int) -> NDArray[np.int64]:
        """Those of the batch before which `seen` were due, in order: int64, `size` of them on average."""
        generator = np.random.default_rng((self.seed, _BY_CHANCE, seen))
        return np.flatnonzero(generator.random(self.count) < size / self.count)


class Balanced:
    """An endless order of samples in which those of rare classes come more often: `Shuffle` of each as often as it is shown in an epoch.

    A sample of a class of n is shown (N / n) ** balance times, rounded, where N is the number of the most frequent class's: 0 is `Shuffle`,
    1 shows each class about equally often.
    """

    def __init__(self, labels: NDArray[np.int64], balance: float, seed: int) -> None:
        """Of samples with these labels (N,), 0 upwards."""
        counts = np.bincount(labels)
        times = np.round((counts.max() / np.maximum(counts, 1)) ** balance).astype(np.int64)
        self.count = len(labels)
        self._samples = np.repeat(np.arange(self.count), times[labels])
        self._order = Shuffle(len(self._samples), seed)

    def indices(self, seen: int, size: int) -> NDArray[np.int64]:
        """The `size` indices that follow the first `seen` ones: int64 (size,)."""
        return self._samples[self._order.indices(seen, size)]
