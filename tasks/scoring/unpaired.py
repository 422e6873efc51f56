"""Translation between two kinds of images without partners: whether translations are taken for their target kind, and what comes back.

A classifier that tells the two kinds apart is fitted on real training images alone. `translated` is the share of held-out inputs
whose translation it takes for the target kind; fid and kid compare, in its features, translations with held-out images of the target
kind; `cycle_l1` is the mean absolute difference, of pixels in 0 to 1, between an input and what comes back of its translation;
`input_recall` the share of inputs that what comes back of them is nearest to, of 100, in pixels averaged down: it alone sees a
translation that shows another input, or the same whatever the input.

The classifier is no better than its data: evaluation.json says how many real held-out images it gets right, and what share of inputs it
takes for the target kind before they are translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError, TrainingError
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.unpaired import Unpaired, round_trip_picture
from gan_core.metrics.features import ClassifierExtractor, FeatureExtractor
from gan_core.metrics.pairs import mean_absolute_errors, partners_found
from gan_core.pictures import grid
from tasks.params import EvaluateParams
from tasks.scoring.by_features import FeatureEvidence, real_distance
from tasks.scoring.copies import Copies, find_copies, most_compared, of_images, picture, shrunk
from tasks.scoring.scoring import PICTURES, Scoring, on_best_device, rounded

_COLUMNS = 12  # inputs in the picture of translations
_TARGET = 1  # the class of the samples


class UnpairedEvidence(FeatureEvidence):
    """Translations of held-out inputs beside held-out images of the target kind: fid, kid, translated and cycle_l1."""

    def __init__(
        self,
        real: NDArray[np.float32],  # (N, D) features of the target kind
        translated: NDArray[np.float32],  # (M, D) of translations
        taken: NDArray[np.bool_] | None,  # (M,) whether each is taken for the target kind, where there is a classifier
        cycle: NDArray[np.float64] | None,  # (M,) mean absolute difference of each to what comes back, where there is a way back
        recalled: NDArray[np.bool_] | None = None,  # (M,) whether what comes back is nearest to its own input
    ) -> None:
        told = (("translated", taken), ("cycle_l1", cycle), ("input_recall", recalled))
        each = {key: value for key, value in told if value is not None}
        super().__init__(real, translated, each)


class UnpairedScoring(Scoring):
    """By a classifier of the two kinds; by the features of a random network alone where `evaluate.features` asks for that."""

    def extractor_data(self, dataset: Dataset) -> Dataset:
        """Both kinds as one data set of labelled images: first the inputs, class 0, then the samples, class 1."""
        spec = Unpaired.of(dataset.spec)
        counts = {split: spec.input_counts[split] + spec.counts[split] for split in spec.splits}
        samples = {split: np.concatenate([dataset.inputs[split], dataset.samples[split]]) for split in spec.splits}
        labels = {split: (np.arange(counts[split]) >= spec.input_counts[split]).astype(np.int64) for split in spec.splits}
        as_images = Images(spec.shape, counts, spec.domains, sha256=spec.sha256, range=spec.range, depth=spec.depth)
        return Dataset(as_images, samples, labels)

    def fit(self, extractor: type[FeatureExtractor], dataset: Dataset, seed: int, device: torch.device) -> FeatureExtractor:
        """Augmented: a few hundred photographs of each kind are usual here, and a classifier of no use knows each by heart."""
        if issubclass(extractor, ClassifierExtractor):
            return extractor.fit(self.extractor_data(dataset), seed, device, augmented=True)
        return super().fit(extractor, dataset, seed, device)

    def gather(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> UnpairedEvidence:
        assert extractor is not None, "images are compared by features"  # noqa: S101
        spec = Unpaired.of(dataset.spec)
        inputs, targets = (_some(images["holdout"], params) for images in (dataset.inputs, dataset.samples))
        with on_best_device(generator.network, extractor.network):
            try:
                translations = generator.translate(inputs).samples
            except ConfigError as error:
                raise DataError(f"the generator does not fit the data ({error}); train it again") from None
            cycle = recalled = None
            if generator.goes_back:
                returned = generator.translate(translations, back=True).samples
                cycle = mean_absolute_errors(*map(spec.levels, (returned, inputs)))
                recalled = partners_found(shrunk(inputs), shrunk(returned))
            real, translated = extractor.features(targets), extractor.features(translations)
            if _alike(translated) and not _alike(extractor.features(inputs)):
                raise TrainingError(
                    "the generator makes the same image of every input: it has collapsed; train it again with other settings"
                )
            taken = extractor.classify(translated) == _TARGET if isinstance(extractor, ClassifierExtractor) else None
        return UnpairedEvidence(real, translated, taken, cycle, recalled)

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        """What perfect translations would get, and the shares of both kinds that the classifier takes for the target kind as they are."""
        assert extractor is not None, "images are compared by features"  # noqa: S101
        with on_best_device(extractor.network):
            inputs, targets = (extractor.features(_some(images["holdout"], params)) for images in (dataset.inputs, dataset.samples))
            scores = {"fid": rounded(real_distance(targets, len(inputs), params.seed))}
            if isinstance(extractor, ClassifierExtractor):
                for key, features in (("translated", targets), ("untranslated", inputs)):
                    scores[key] = rounded(float((extractor.classify(features) == _TARGET).mean()))
        return scores

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        """Whether translations are training images of the target kind."""
        assert extractor is not None, "images are compared by features"  # noqa: S101
        train, most = dataset.samples["train"], most_compared(dataset.spec.shape)
        inputs, targets = (_some(images["holdout"], params)[:most] for images in (dataset.inputs, dataset.samples))
        with on_best_device(generator.network, extractor.network):
            translations = generator.translate(inputs).samples
            found = find_copies(translations, targets, train, of_images(extractor))
        return found, picture(found, translations, train, Unpaired.of(dataset.spec).pictured)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, NDArray[np.uint8]]:
        """`generated`: held-out inputs, their translations and what comes back, in three rows; `real`: images of the target kind."""
        order = np.random.default_rng(seed)
        inputs, targets = (order.permutation(images["holdout"]) for images in (dataset.inputs, dataset.samples))
        real = grid(Unpaired.of(dataset.spec).pictured(targets[:PICTURES]))
        return {"generated": round_trip_picture(generator, inputs[:_COLUMNS]), "real": real}


def _some(images: NDArray[Any], params: EvaluateParams) -> NDArray[Any]:
    """At most `evaluate.samples` of the images, chosen by its seed, in their order."""
    chosen = np.sort(np.random.default_rng(params.seed).permutation(len(images))[: params.samples])
    return np.array(images[chosen])


def _alike(features: NDArray[np.float32]) -> bool:
    """Whether all are of one image, apart from float32's rounding."""
    return bool(np.ptp(features, axis=0).max() <= 1e-5 * np.abs(features).max())
