"""Sounds, by their spectrograms, as images are judged: a classifier of real spectrograms where there are labels.

What is judged is the sound, as a listener gets it, not what the network drew: its spectrogram is taken anew. So what is lost on the way
from one to the other counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.generator import Generator, Samples
from gan_core.kinds.images import Images
from gan_core.kinds.sounds import Sounds
from gan_core.metrics.features import FeatureExtractor
from tasks.params import EvaluateParams
from tasks.scoring.copies import Copies
from tasks.scoring.images import ImageScoring, real_by_classifier
from tasks.scoring.scoring import Evidence
from tasks.sounds import encode_sound, one_after_another

_HEARD = 10
"""Sounds that a page plays of each generator."""


class SoundScoring(ImageScoring):
    """By a classifier's features where there are labels, by those of a fixed random network otherwise."""

    def extractor_data(self, dataset: Dataset) -> Dataset:
        return as_pictures(dataset)

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> Evidence:
        return super().gather(_Pictured.of(generator), as_pictures(dataset), extractor, params)

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        """With a classifier also what held-out sounds get of inception_score and label_accuracy."""
        seen = as_pictures(dataset)
        return {**super().real_against_real(seen, extractor, params), **real_by_classifier(seen, extractor, params)}

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        return super().copies(_Pictured.of(generator), as_pictures(dataset), extractor, params)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        return super().grids(_Pictured.of(generator), as_pictures(dataset), seed)

    def heard(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, bytes]:
        """The first of those whose spectrograms `grids` shows."""
        generated, real, _ = self.shown(generator, dataset, seed)
        rate = Sounds.of(dataset.spec).rate
        return {
            name: encode_sound(one_after_another(some[:_HEARD], rate), rate) for name, some in (("generated", generated), ("real", real))
        }


class _Pictured(Generator):
    """A generator of sounds that answers with the pictures of their spectrograms."""

    @classmethod
    def of(cls, generator: Generator) -> _Pictured:
        return cls(generator.config, generator.network)

    def sample(self, *asked: Any, **also: Any) -> Samples:
        drawn = super().sample(*asked, **also)
        return replace(drawn, samples=Sounds.of(self.config.data).pictured(drawn.samples))


@dataclass(frozen=True)
class _Pictures:
    """Sounds of a file, looked at as pictures, some at a time."""

    spec: Sounds
    sounds: NDArray[np.int16]

    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.sounds)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.sounds), *self.spec.network_shape

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        some = self.sounds[index]
        return self.spec.pictured(some) if some.ndim == 3 else self.spec.pictured(some[None])[0]


def as_pictures(dataset: Dataset) -> Dataset:
    """Sounds as the pictures of their spectrograms, with their labels."""
    spec = Sounds.of(dataset.spec)
    pictures: dict[str, Any] = {split: _Pictures(spec, sounds) for split, sounds in dataset.samples.items()}
    return Dataset(Images(spec.network_shape, spec.counts, spec.classes, sha256=spec.sha256), pictures, dataset.labels)
