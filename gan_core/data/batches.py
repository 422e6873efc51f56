"""Which samples a step sees: a function of (seed, samples seen so far), so that a resumed run sees what an undisturbed one would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.data.dataset import Dataset
from gan_core.data.gather import Gather
from gan_core.data.replay import Joined, Mixed, Replay
from gan_core.data.shuffle import Balanced, ByChance, Shuffle
from gan_core.randomness import mix

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

    With `replay`, older samples are among them, whose numbers follow those of the new ones.

    Without `paired`, inputs come in an order of their own even where each belongs to a sample. With a `balance` above 0, samples of rare
    classes come more often (`Balanced`). With `is_private`, batches vary in size (`ByChance`).
    """

    def __init__(
        self,
        dataset: Dataset,
        seed: int,
        device: torch.device,
        paired: bool = True,
        replay: Replay | None = None,
        balance: float = 0.0,
        is_private: bool = False,
    ) -> None:
        self.spec = dataset.spec
        self.labels = dataset.labels.get("train")
        if self.labels is not None and replay is not None and replay.labels is not None:
            self.labels = np.concatenate([self.labels, replay.labels])
        self.captions = dataset.captions.get("train")
        self.seed = seed
        self.device = device
        count = dataset.spec.counts["train"]
        new = Balanced(np.asarray(dataset.labels["train"]), balance, seed) if balance else Shuffle(count, seed)
        self.order: Shuffle | Balanced | ByChance | Mixed = new if replay is None else Mixed(new, replay, seed)
        if is_private:  # with neither of the two
            self.order = ByChance(count, seed)

        def rows(arrays: Mapping[str, NDArray[Any]], old: Mapping[str, NDArray[Any]]) -> Gather | Joined:
            return Gather(arrays["train"]) if replay is None else Joined(arrays["train"], old["train"], replay.rows)

        self.samples = rows(dataset.samples, {} if replay is None else replay.dataset.samples)
        self.inputs = rows(dataset.inputs, {} if replay is None else replay.dataset.inputs) if "train" in dataset.inputs else None
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
