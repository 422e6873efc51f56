"""What the judging of one kind of data consists of, and what all kinds share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset, Split
from gan_core.device import choose_device
from gan_core.generator import Generator
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import FeatureExtractor
from gan_core.randomness import mix
from tasks.params import EvaluateParams

if TYPE_CHECKING:
    from tasks.scoring.copies import Copies
    from tasks.scoring.privacy import Privacy

PICTURES = 64
"""Samples on a grid."""

_CHUNK, _CHUNK_BYTES = 1_000, 64 * 2**20  # most images held at once
_DIGITS = 6


class Evidence(ABC):
    """What a generator made, beside what it is compared with: all that its scores are computed from.

    Two generators that are compared are gathered with the same seeds against the same real samples, so index i means the same latent,
    or the same real sample, in both.
    """

    n_real: int
    """Real samples that are compared with; 0 where the truth is known in closed form."""
    n_generated: int
    paired: bool = False
    """Whether generated sample i was made for real sample i."""
    clusters: NDArray[np.int64] | None = None
    """(n_generated,) which generated samples were drawn for one and the same thing, as a caption; None: each for itself."""

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """Every score."""

    @abstractmethod
    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        """One of the scores on a resample, for bootstraps.

        Args:
            metric: one that `scores` has.
            real: (n_real,) indices of real samples, with repetitions.
            generated: (n_generated,) indices of generated samples, with repetitions.
        """

    def averaged(self, metric: str) -> NDArray[np.float64] | None:
        """(M,) what the score is the mean of, a number for each generated sample; None where it is no such mean."""
        return None

    def draws(self, replicates: int, seed: int) -> tuple[Draws, Draws]:
        """What each replicate of a bootstrap takes of the real, and of the generated samples: whatever one chance made goes together."""
        real = Draws(self.n_real, replicates, mix(seed, 1))
        return real, real if self.paired else Draws(self.n_generated, replicates, mix(seed, 2), self.clusters)

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        """One of the scores on each replicate of a bootstrap: (B,). Overridden where it is a sum of what each sample adds.

        Only differences between replicates count, not where they lie: `tasks.promotion.comparison` puts them around `unbiased`.

        Args:
            metric: one that `scores` has.
            real: what each replicate takes of the real samples.
            generated: the same of the generated ones.
        """
        return np.array([self.resampled(metric, real.indices(index), generated.indices(index)) for index in range(len(generated))])

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        """One of the scores over all samples, less the bias that few samples give it where that differs between generators."""
        return self.resampled(metric, np.arange(self.n_real), np.arange(self.n_generated))

    def undecided(self, metric: str) -> str | None:
        """Why two generators cannot be told apart by one of the scores here, as the end of a sentence; None where they can."""
        return None

    def score(self, metric: str) -> float:
        """One of the scores, as `scores` has it, to six significant digits."""
        return rounded(self.resampled(metric, np.arange(self.n_real), np.arange(self.n_generated)))

    def details(self) -> dict[str, Any]:
        """What evaluation.json holds beside the scores, such as each column's share in one; by default nothing."""
        return {}


class Scoring(ABC):
    """How generators of one kind of data are judged and shown."""

    def extractor_data(self, dataset: Dataset) -> Dataset:
        """What the features are fitted on; by default the data set itself."""
        return dataset

    def fit(self, extractor: type[FeatureExtractor], dataset: Dataset, seed: int, device: torch.device) -> FeatureExtractor:
        """Fit the features on `extractor_data`."""
        return extractor.fit(self.extractor_data(dataset), seed, device)

    @abstractmethod
    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> Evidence:
        """What the generator makes, and what it is compared with; see `tasks.scoring.gather`."""

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        """Scores as a perfect generator would get them, from samples that no fit has seen; empty where there are none."""
        return {}

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]] | None:
        """Whether the generator repeats its training samples, and a picture of the closest pairs; None where that is not asked."""
        return None

    def privacy(self, evidence: Any, dataset: Dataset, params: EvaluateParams) -> Privacy | None:
        """What samples that were gathered tell of those that the generator was trained on; None where that is not asked."""
        return None

    @abstractmethod
    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, NDArray[np.uint8]]:
        """Pictures of generated and of real samples, uint8 (H, W, 3), by file name without suffix."""

    def films(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, NDArray[np.uint8]]:
        """What moves of these, uint8 (F, H, W, 3), frame after frame, by the same names; by default nothing."""
        return {}

    def read(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, Sequence[str]]:
        """What can be read of these, in lines by the same names; by default nothing."""
        return {}

    def heard(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, bytes]:
        """What can be heard of these, as WAV files by the same names; by default nothing."""
        return {}


def chosen(dataset: Dataset, split: Split, n: int, seed: int) -> NDArray[np.int64]:
    """Which `n` samples of a split are used, in random order (the packed order may follow the classes)."""
    return np.random.default_rng(seed).permutation(dataset.spec.counts[split])[:n]


def chunks(n: int, shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices that cover `n` samples of a shape, few enough at once for memory."""
    size = max(1, min(_CHUNK, _CHUNK_BYTES // math.prod(shape)))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def rounded(value: float) -> float:
    """To six significant digits; counts stay as they are."""
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")


@contextmanager
def on_best_device(*networks: Any) -> Iterator[None]:
    """Networks on the GPU where there is one, and back where they were."""
    device = choose_device("auto")
    before = [next(network.parameters()).device for network in networks]
    try:
        for network in networks:
            network.to(device)
        yield
    finally:
        for network, origin in zip(networks, before, strict=True):
            network.to(origin)
