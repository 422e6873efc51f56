"""Which samples a step sees: a function of (seed, samples seen so far), so that a resumed run sees what an undisturbed one would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.data.dataset import Dataset
from gan_core.data.gather import Gather
from gan_core.randomness import mix


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


_INPUTS, _CAPTIONS = 1, 2  # apart from the order of the samples


@dataclass(frozen=True)
class Batch:
    """Real samples scaled or encoded for the networks, (N, C, H, W) or (N, D) float32, and what belongs to them."""

    real: Tensor
    labels: Tensor | None
    """(N,) int64, where there are any."""
    inputs: Tensor | None = None
    """(N, C, H, W) float32 in -1..1, where the generator is given something: of each sample, or unpaired ones of their own order."""
    tokens: Tensor | None = None
    """(N, T) int64, where samples have captions: of each sample one of its captions, drawn anew each time."""


class Batches:
    """Batches of a data set's training split on a device, by the number of samples seen before them.

    Without `paired`, inputs come in an order of their own even where each belongs to a sample.
    """

    def __init__(self, dataset: Dataset, seed: int, device: torch.device, paired: bool = True) -> None:
        self.spec = dataset.spec
        self.samples = Gather(dataset.samples["train"])
        self.labels = dataset.labels.get("train")
        self.captions = dataset.captions.get("train")
        self.seed = seed
        self.device = device
        self.order = Shuffle(len(self.samples), seed)
        self.inputs = Gather(dataset.inputs["train"]) if "train" in dataset.inputs else None
        apart = not (paired and self.spec.has_partners)
        self.input_order = Shuffle(len(self.inputs), mix(seed, _INPUTS)) if self.inputs is not None and apart else self.order

    def after(self, seen: int, size: int, part: int = 0, parts: int = 1) -> Batch:
        """The batch of `size` that follows the first `seen` samples of the run, or of its equal `parts` the one of that number."""
        start, stop = part * size // parts, (part + 1) * size // parts
        indices = self.order.indices(seen + start, stop - start)
        real = self.spec.to_networks(self._moved(self.samples.rows(indices)))
        labels = None if self.labels is None else self._moved(self.labels[indices])
        inputs = tokens = None
        if self.inputs is not None:
            inputs = self.spec.to_networks(self._moved(self.inputs.rows(self.input_order.indices(seen + start, stop - start))))
        if self.captions is not None:
            draws = np.random.default_rng((self.seed, _CAPTIONS, seen)).random(size)[start:stop]
            tokens = self._moved(self.captions.tokens[self.captions.drawn(indices, draws)]).to(torch.int64)
        return Batch(real, labels, inputs, tokens)

    def _moved(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)
