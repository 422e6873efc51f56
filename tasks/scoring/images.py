"""Images, with or without labels, by their features against those of held-out ones.

At most `evaluate.samples` real images are used, and ten times as many generated ones (again at most `evaluate.samples`), so that what
the scores owe to chance comes from the real side alone, which is the same for every generator.

A small held-out split makes scores coarse. The Frechet distance is then too high as well, by an amount that depends on the counts, the
data and the generator: numbers are comparable only at equal counts, data and features, and generators are compared without it
(`FeatureEvidence`). The kernel distance has no such bias. Precision, recall, density and coverage compare equal numbers of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, DatasetSpec, Split
from gan_core.data.labels import Labels, Numbers
from gan_core.errors import DataError, TrainingError
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.pixels import Pixels
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import ClassifierExtractor, FeatureExtractor, RandomConvExtractor
from gan_core.metrics.frechet import frechet_infinity
from gan_core.metrics.inception import inception_score
from gan_core.metrics.kernel import gaussian
from gan_core.metrics.manifold import Membership, membership
from gan_core.metrics.modes import modes_found, reverse_kl
from gan_core.metrics.regression import RegressorExtractor
from gan_core.metrics.stacked import mode_shares, unstacked
from gan_core.metrics.whitening import Whitening
from gan_core.params.common import is_pretrained
from gan_core.randomness import mix
from tasks.params import EvaluateParams
from tasks.scoring.beside_features import labels_asked
from tasks.scoring.by_features import FeatureEvidence, real_distance, real_kernel_distance
from tasks.scoring.copies import Copies, find_copies, most_compared, of_images, picture
from tasks.scoring.scoring import PICTURES, Evidence, Scoring, chosen, chunks, on_best_device, rounded

GENERATED_PER_REAL = 10
_WHITENED_BY = 2_000  # training images

MANIFOLD = ("precision", "recall", "density", "coverage")

_MOST_COLUMNS = 20  # classes that a grid shows in columns
_NUMBERS = 8  # numbers that it does


class ImageEvidence(FeatureEvidence):
    """Features of generated and of held-out images, and with a classifier as extractor the classes it sees.

    fid, kid, precision, recall, density, coverage; by random features whitened_kid, by a pretrained network's rbf_kid; with a
    classifier also inception_score (by its probabilities) and modes (number of classes that at least one generated image is classified
    as), and for a generator by label label_accuracy; by a number label_error, the mean difference between the number asked for and the
    one that a regressor reads, as a share of the range. For stacks of images, in place of inception_score, reverse_kl: how far the
    shares of the modes are from those in the training data. Where it is asked for, fid_infinity, by which two generators are compared
    as by fid: neither then has the bias of few samples.
    """

    def __init__(
        self,
        real: NDArray[np.float32],  # (N, D)
        generated: NDArray[np.float32],  # (M, D)
        predicted: NDArray[np.int64] | None,  # (M,) class of each generated image
        asked: Labels | None,  # (M,) class that each was asked for
        probabilities: NDArray[np.float64] | None = None,  # (M, K) of the classes, for each generated image
        mode_shares: NDArray[np.float64] | None = None,  # (K,) of each class in the data, where the classes are all modes there are
        infinity: bool = False,  # whether fid_infinity is asked for
        clusters: NDArray[np.int64] | None = None,  # (M,) as `Evidence.clusters`
        label_errors: NDArray[np.float64] | None = None,  # (M,) how far the number that is read in each is from the one asked for
        whitening: Whitening | None = None,
        published: bool = False,
    ) -> None:
        right = None if predicted is None or asked is None else predicted == asked
        each = {"label_accuracy": right, "label_error": label_errors}
        told = {name: column for name, column in each.items() if column is not None}
        super().__init__(real, generated, told, clusters=clusters, whitening=whitening, published=published)
        self.predicted = predicted
        self.probabilities = probabilities
        self.mode_shares = mode_shares
        self.infinity = infinity

    @property
    def measured(self) -> list[str]:
        metrics = [*super().measured, *MANIFOLD]
        metrics += ["fid_infinity"] if self.infinity else []
        metrics += ["inception_score"] if self.probabilities is not None else []
        metrics += ["modes"] if self.predicted is not None else []
        metrics += ["reverse_kl"] if self.predicted is not None and self.mode_shares is not None else []
        return metrics

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if metric in MANIFOLD:
            return float(getattr(self._membership.scores(), metric))
        if metric == "fid_infinity":
            return frechet_infinity(self.real[real], self.generated[generated])
        if metric == "inception_score" and self.probabilities is not None:
            return inception_score(self.probabilities[generated])
        if metric == "modes" and self.predicted is not None:
            return modes_found(self.predicted[generated])
        if metric == "reverse_kl" and self.predicted is not None and self.mode_shares is not None:
            return reverse_kl(self.predicted[generated], self.mode_shares)
        return super().resampled(metric, real, generated)

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        if metric in MANIFOLD:
            of_real, of_generated = self._membership.influences(metric)
            # Of the generated ones that are left out here, none weighs anything.
            weights = np.zeros(self.n_generated)
            weights[: self._compared] = of_generated * (self.n_generated / self._compared)
            return self.score(metric) + real.shifts(of_real) + generated.shifts(weights)
        return super().replicates("fid" if metric == "fid_infinity" else metric, real, generated)

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        return super().unbiased("fid" if metric == "fid_infinity" else metric, real, generated)

    @property
    def _compared(self) -> int:
        """Generated images that precision, recall, density and coverage look at: as many as there are real ones."""
        return min(self.n_real, self.n_generated)

    @cached_property
    def _membership(self) -> Membership:
        return membership(self.real, self.generated[: self._compared])


class ImageScoring(Scoring):
    """By a classifier's features where there are classes, by those of a fixed random network otherwise; by Inception's where it is asked.
    Where labels are numbers, a regressor reads them."""

    def extractor_data(self, dataset: Dataset) -> Dataset:
        return unstacked(dataset) if _stacked(dataset.spec) else dataset

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> Evidence:
        """The labels asked for are those of training images: were they those of the held-out ones, both sets would deviate alike by
        chance, and the kernel distance would be biased below 0. Runs on a GPU where there is one."""
        assert extractor is not None, "images are compared by features"  # noqa: S101
        counts = Counts.of(dataset, params)
        with on_best_device(generator.network, extractor.network):
            real = held_out_features(dataset, extractor, counts, params.seed)
            asked = labels_asked(generator, dataset, counts.generated, params.seed)
            errors = None if asked is None or not isinstance(extractor, RegressorExtractor) else _Errors(extractor, asked)
            drawn = _draw(generator, counts.generated, asked, params.seed)
            generated = features_of(drawn if errors is None else errors.of(drawn), extractor)
            if all_alike(generated):
                raise TrainingError("the generator draws the same image each time: it has collapsed; train it again with other settings")
            predicted = probabilities = shares = None
            if isinstance(extractor, ClassifierExtractor):
                predicted = extractor.classify(generated)
                if not _stacked(dataset.spec):
                    probabilities = extractor.probabilities(generated)
                else:
                    shares = mode_shares(dataset)
            whitening = whitening_of(dataset, extractor, params.seed)
        measured = None if errors is None else np.concatenate(errors.measured)
        return ImageEvidence(
            *(real, generated, predicted, asked, probabilities, shares, params.fid_infinity),
            label_errors=measured,
            whitening=whitening,
            published=is_pretrained(extractor.kind),
        )

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        assert extractor is not None, "images are compared by features"  # noqa: S101
        counts = Counts.of(dataset, params)
        with on_best_device(extractor.network):
            held_out = held_out_features(dataset, extractor, counts, params.seed)
            generated = self.n_generated(dataset, params)
            scores = {"fid": rounded(real_distance(held_out, generated, params.seed))}
            if (whitening := whitening_of(dataset, extractor, params.seed)) is not None:
                scores["whitened_kid"] = rounded(real_kernel_distance(whitening(held_out), generated, params.seed))
            if is_pretrained(extractor.kind):
                scores["rbf_kid"] = rounded(real_kernel_distance(held_out, generated, params.seed, gaussian))
            if isinstance(extractor, RegressorExtractor):
                scores["label_error"] = rounded(real_label_error(dataset, extractor, counts.real, params.seed))
        return scores

    def n_generated(self, dataset: Dataset, params: EvaluateParams) -> int:
        """How many generated images are compared."""
        return Counts.of(dataset, params).generated

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        assert extractor is not None, "images are compared by features"  # noqa: S101
        counts, most = Counts.of(dataset, params), most_compared(dataset.spec.shape)
        train = dataset.samples["train"]
        with on_best_device(generator.network, extractor.network):
            generated = generator.sample(min(counts.generated, most), seed=params.seed).samples
            held_out = np.concatenate(list(_read(dataset, "holdout", min(counts.real, most), params.seed)))
            found = find_copies(generated, held_out, train, of_images(extractor))
        return found, picture(found, generated, train, partial(self.pictured, dataset.spec))

    def pictured(self, spec: DatasetSpec, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """What is shown of samples of a data set, uint8 (N, 1 or 3, H, W)."""
        return Pixels.of(spec).pictured(samples)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """Images by label stand in columns, a class each, in both pictures alike."""
        generated, real, columns = self.shown(generator, dataset, seed)
        seen = {"generated": generated, "real": real}
        return {name: pictures.grid(self.pictured(dataset.spec, some), columns) for name, some in seen.items()}

    def shown(self, generator: Generator, dataset: Dataset, seed: int) -> tuple[NDArray[Any], NDArray[Any], int]:
        """The generated and the real samples that are shown, and in how many columns."""
        classes, numbers = generator.config.classes, generator.config.data.condition
        if isinstance(numbers, Numbers):
            return *self._by_number(generator, dataset, numbers, seed), _NUMBERS
        by_class = classes is not None and len(classes) <= _MOST_COLUMNS
        columns = len(classes) if classes is not None and by_class else int(math.sqrt(PICTURES))
        n = PICTURES // columns * columns if by_class else PICTURES
        generated = generator.sample(n, seed=seed)
        order = chosen(dataset, "holdout", dataset.spec.counts["holdout"], seed)
        if by_class and generated.labels is not None:
            order = _in_turn(order, dataset.labels["holdout"][order], generated.labels)
        real = np.array(dataset.samples["holdout"][order[:n]])
        return generated.samples, real, columns

    def _by_number(self, generator: Generator, dataset: Dataset, numbers: Numbers, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Columns of rising numbers: generated images, and the held-out ones that are nearest to each number."""
        rows = PICTURES // _NUMBERS
        generated = generator.sample(PICTURES, seed, labels=np.tile(numbers.evenly(_NUMBERS), rows))
        distances = np.abs(dataset.labels["holdout"][None] - numbers.evenly(_NUMBERS)[:, None])
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :rows]  # of each number
        order = nearest[:, np.arange(rows) % nearest.shape[1]].T.reshape(-1)
        return generated.samples, np.array(dataset.samples["holdout"][order])


@dataclass
class _Errors:
    """How far the numbers that images show are from those asked for, measured while they pass by."""

    extractor: RegressorExtractor
    asked: Labels
    """(M,) of all of them, in order."""
    measured: list[NDArray[np.float64]] = field(default_factory=list)

    def of(self, images: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """The same images."""
        done = 0
        for chunk in images:
            self.measured.append(self.extractor.errors(chunk, self.asked[done : done + len(chunk)]))
            done += len(chunk)
            yield chunk


@dataclass(frozen=True)
class Counts:
    """How many images are compared."""

    real: int
    generated: int

    @classmethod
    def of(cls, dataset: Dataset, params: EvaluateParams) -> Counts:
        real = min(len(dataset.samples["holdout"]), params.samples)
        return cls(real, min(GENERATED_PER_REAL * real, params.samples))


_LATEST: WeakKeyDictionary[FeatureExtractor, dict[Split, tuple[Any, tuple[int, int], NDArray[np.float32]]]] = WeakKeyDictionary()
"""Of each extractor and split, the real images that it saw last, how many, drawn by which seed, and their features: a training asks for the
same ones at each snapshot that it scores."""


def held_out_features(dataset: Dataset, extractor: FeatureExtractor, counts: Counts, seed: int) -> NDArray[np.float32]:
    """Features of held-out images, (N, D).

    Raises:
        DataError: they are all of one image.
    """
    features = _features_of_real(dataset, "holdout", extractor, counts.real, seed)
    if all_alike(features):
        raise DataError("all held-out images are the same, so there is nothing to compare with; check the source")
    return features


def whitening_of(dataset: Dataset, extractor: FeatureExtractor, seed: int) -> Whitening | None:
    """By the features of up to 2,000 training images; None but for those of a random network, which nothing has taught what counts."""
    if not isinstance(extractor, RandomConvExtractor):
        return None
    return Whitening.of(_features_of_real(dataset, "train", extractor, _WHITENED_BY, seed))


def _features_of_real(dataset: Dataset, split: Split, extractor: FeatureExtractor, n: int, seed: int) -> NDArray[np.float32]:
    """Features of at most `n` images of a split."""
    images, drawn = dataset.samples[split], (min(n, dataset.spec.counts[split]), seed)
    latest = _LATEST.setdefault(extractor, {})
    if split not in latest or latest[split][0] is not images or latest[split][1] != drawn:
        latest[split] = images, drawn, features_of(_read(dataset, split, *drawn), extractor)
    return latest[split][2]


def real_by_classifier(dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
    """What held-out samples get of inception_score and label_accuracy; nothing without a classifier."""
    if not isinstance(extractor, ClassifierExtractor):
        return {}
    counts = Counts.of(dataset, params)
    features = held_out_features(dataset, extractor, counts, params.seed)
    labels = dataset.labels["holdout"][chosen(dataset, "holdout", counts.real, params.seed)]
    return {
        "inception_score": rounded(inception_score(extractor.probabilities(features))),
        "label_accuracy": rounded(float((extractor.classify(features) == labels).mean())),
    }


def real_label_error(dataset: Dataset, extractor: RegressorExtractor, n: int, seed: int) -> float:
    """The mean difference between the number that a regressor reads in `n` held-out images and their own, as a share of the range."""
    errors = _Errors(extractor, dataset.labels["holdout"][chosen(dataset, "holdout", n, seed)])
    for _ in errors.of(_read(dataset, "holdout", n, seed)):
        pass
    return float(np.concatenate(errors.measured).mean())


def features_of(images: Iterator[NDArray[Any]], extractor: FeatureExtractor) -> NDArray[np.float32]:
    """Features of a stream of images, (N, D)."""
    return np.concatenate([extractor.features(chunk) for chunk in images])


def all_alike(features: NDArray[np.float32]) -> bool:
    """Whether all are of one image, apart from float32's rounding."""
    return bool(np.ptp(features, axis=0).max() <= 1e-5 * np.abs(features).max())


def _read(dataset: Dataset, split: Split, n: int, seed: int) -> Iterator[NDArray[Any]]:
    indices = chosen(dataset, split, n, seed)
    for chunk in chunks(n, dataset.spec.shape):
        yield dataset.samples[split][indices[chunk]]


def _draw(generator: Generator, n: int, asked: Labels | None, seed: int) -> Iterator[NDArray[Any]]:
    for chunk in chunks(n, generator.config.shape):
        labels = None if asked is None else asked[chunk]
        yield generator.sample(chunk.stop - chunk.start, seed=mix(seed, chunk.start), labels=labels).samples


def _in_turn(indices: NDArray[np.int64], labels: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of `indices` with their `labels`, one of each wanted class in turn; repeated where there are too few."""
    by_class = {int(label): indices[labels == label] for label in np.unique(labels)}
    used = dict.fromkeys(by_class, 0)
    order = []
    for label in wanted.tolist():
        some = by_class.get(label, indices)
        order.append(some[used.get(label, 0) % len(some)])
        used[label] = used.get(label, 0) + 1
    return np.array(order)


def _stacked(spec: DatasetSpec) -> bool:
    """Whether channels are images of their own."""
    return isinstance(spec, Images) and spec.stacked is not None
