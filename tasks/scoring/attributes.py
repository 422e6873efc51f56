"""Translation by label: whether the label that was asked for is found, what else was changed, and how near the true partner is.

Each held-out image is translated to every other label. A classifier of the labels, fitted on real training images alone, says which label
each translation shows: `label_accuracy`. fid and kid compare translations, every label as often, with held-out images in its features;
`intra_fid` the translations to each label with real images of it, the mean over the labels (Miyato and Koyama, 2018). `source_l1` is what
a translation changed; `cycle_l1` what is lost on the way to it and back to the image's own label; `input_recall` the share of images that
what comes back is nearest to, of 100. Where a group (`data.group`) has one image of each label, an image's translation has a partner, which
training never saw: `partner_l1` is the distance to it, and `partner_ratio` that distance over the one of the untouched image.

Where labels are numbers, such as ages, each image is translated to those of some others, or where groups are known to those of the others
of its group, which are then its partners. A regressor reads which number a translation shows: `label_error` is how far that is from the one
asked for. Scores by label are then those of eighths of the range.

The classifier is no better than its data: evaluation.json says how many real held-out images it gets right, in `real_against_real`. By
label, and with intervals that take the translations of one image together, its scores stand there too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.data.labels import Labels, Numbers
from gan_core.errors import ConfigError, DataError, TrainingError
from gan_core.generator import Generator
from gan_core.kinds.attributes import MOST_SHOWN, Attributed, translations_picture
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import ClassifierExtractor, FeatureExtractor
from gan_core.metrics.frechet import SAMPLES_A_DIRECTION, FeatureStatistics, directions, frechet_distance
from gan_core.metrics.pairs import mean_absolute_errors, partners_found
from gan_core.metrics.regression import RegressorExtractor
from gan_core.pictures import grid, rows
from gan_core.randomness import mix
from tasks.params import EvaluateParams
from tasks.scoring.by_features import FeatureEvidence, real_distance
from tasks.scoring.copies import Copies, find_copies, most_compared, of_images, picture, shrunk
from tasks.scoring.images import all_alike, real_label_error
from tasks.scoring.scoring import PICTURES, Scoring, chosen, chunks, on_best_device, rounded

_ROWS = 8  # of the picture of translations
_NUMBERS = 4  # that each image is translated to
_REPLICATES, _MIDDLE = 1_000, (0.025, 0.975)
_PARTNER = ("partner_l1", "partner_ratio")
_ORDER = 1  # apart from other seeds

Columns = Mapping[str, NDArray[Any]]
"""A number a translation, (M,), by name."""


class AttributeEvidence(FeatureEvidence):
    """Translations of held-out images to every other label, beside held-out images."""

    def __init__(
        self,
        real: NDArray[np.float32],  # (N, D)
        labels: NDArray[np.int64],  # (N,) that they have
        translated: NDArray[np.float32],  # (M, D)
        asked: NDArray[np.int64],  # (M,) the label that each is a translation to; of numbers the part of the range, here and above
        sources: NDArray[np.int64],  # (M,) number of the image that each is one of
        each: Columns,  # scores that are means
        partner: NDArray[np.float64],  # (M,) distance to the true partner; NaN where none is known
        untouched: NDArray[np.float64],  # (M,) that of the image itself, likewise
        classes: tuple[str, ...],  # names of the labels, or of the parts
    ) -> None:
        super().__init__(real, translated, each, clusters=sources)
        self.labels, self.asked, self.classes = labels, asked, classes
        self.partner, self.untouched = partner, untouched
        self.has_partners = bool(np.isfinite(partner).any())

    @property
    def measured(self) -> list[str]:
        fewest = np.minimum(*(np.bincount(labels, minlength=len(self.classes)) for labels in (self.labels, self.asked)))
        by_label = ["intra_fid"] if fewest.max() > 1 else []
        return [*super().measured, *by_label, *(_PARTNER if self.has_partners else ())]

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if metric == "intra_fid":
            distances = self._distances(real, generated)
            return float(np.mean([distance for distance in distances if distance is not None]))
        if metric in _PARTNER:
            below = np.isfinite(self.partner) if metric == "partner_l1" else self.untouched
            return float(np.nansum(self.partner[generated]) / np.nansum(below[generated]))
        return super().resampled(metric, real, generated)

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        if metric in _PARTNER:
            below = np.isfinite(self.partner) if metric == "partner_l1" else np.nan_to_num(self.untouched)
            ratios: NDArray[np.float64] = generated.means(np.nan_to_num(self.partner)) / generated.means(below)
            return ratios
        return super().replicates(metric, real, generated)

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        if metric == "intra_fid":
            return self.score(metric)
        return super().unbiased(metric, real, generated)

    def undecided(self, metric: str) -> str | None:
        if metric != "intra_fid":
            return super().undecided(metric)
        least = int(np.bincount(self.labels, minlength=len(self.classes)).min())
        asked = round(SAMPLES_A_DIRECTION * directions(self.real))
        return None if least >= asked else f"{least:,} held-out images of a label are too few for it; at least {asked:,} are needed"

    def details(self) -> dict[str, Any]:
        """Intervals of the scores that are means over translations, and the scores of each label."""
        draws = Draws(self.n_generated, _REPLICATES, 0, self.clusters)
        metrics = [metric for metric in ("label_accuracy", "label_error", "input_recall", *_PARTNER) if metric in self.measured]
        intervals = {metric: np.quantile(self.replicates(metric, draws, draws), _MIDDLE) for metric in metrics}
        distances = self._distances(np.arange(self.n_real), np.arange(self.n_generated))
        by_label: dict[str, dict[str, Any]] = {}
        for label, (name, distance) in enumerate(zip(self.classes, distances, strict=True)):
            of = self.asked == label
            known = {"fid": distance} | {key: self.each[key][of].mean() if of.any() else None for key in self.each}
            if np.isfinite(self.partner[of]).any():
                known["partner_ratio"] = np.nansum(self.partner[of]) / np.nansum(self.untouched[of])
            told = {key: rounded(float(value)) for key, value in known.items() if value is not None}
            by_label[name] = {**told, "real": int((self.labels == label).sum()), "translations": int(of.sum())}
        partners = {"translations_with_partner": int(np.isfinite(self.partner).sum())} if self.has_partners else {}
        return {
            "intervals": {metric: [rounded(float(bound)) for bound in bounds] for metric, bounds in intervals.items()},
            "by_label": by_label,
            **partners,
        }

    def _distances(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> list[float | None]:
        """Of each label the Frechet distance of translations to it from real images of it; None where there are too few."""
        found: list[float | None] = []
        for label in range(len(self.classes)):
            sides = self.real[real[self.labels[real] == label]], self.generated[generated[self.asked[generated] == label]]
            found.append(frechet_distance(*map(FeatureStatistics.of, sides)) if min(map(len, sides)) > 1 else None)
        return found


@dataclass(frozen=True)
class _Round:
    """Held-out images, by their places, and what each is translated to."""

    given: NDArray[np.int64]
    asked: Labels
    partners: NDArray[np.int64]
    """The place of the image that it should become; -1 where that is not known."""


@dataclass(frozen=True)
class _Partners:
    """Which held-out image is what another one should become with a label."""

    labels: Labels
    groups: NDArray[np.int64] | None
    """(N,) of each held-out image, -1: of none; None: groups are not known."""

    def of(self, images: NDArray[np.int64], label: int) -> NDArray[np.int64]:
        """(n,) the one image with that label in the group of each of `images`; -1 where there is none, or several."""
        if self.groups is None:
            return np.full(len(images), -1)
        there = np.flatnonzero((self.labels == label) & (self.groups >= 0))
        names, first, counts = np.unique(self.groups[there], return_index=True, return_counts=True)
        known = {int(name): int(there[at]) for name, at, count in zip(names, first, counts, strict=True) if count == 1}
        return np.array([known.get(int(group), -1) for group in self.groups[images]], dtype=np.int64)

    def rounds(self, spec: Attributed, order: NDArray[np.int64]) -> Iterator[_Round]:
        """What the held-out images at some places are translated to: each to every other label; or to numbers of others of its group, and
        where it has no more of them of others at all."""
        if spec.classes is not None:
            for label in range(spec.n_classes):
                given = order[self.labels[order] != label]
                yield _Round(given, np.full(len(given), label), self.of(given, label))
            return
        for number in range(_NUMBERS):
            others = np.array([self._other(place, number) for place in order], dtype=np.int64)
            elsewhere = np.roll(order, number + 1)
            yield _Round(order, self.labels[np.where(others < 0, elsewhere, others)], others)

    def _other(self, place: int, number: int) -> int:
        """The held-out image that is so many places behind this one in its group; -1 where it has none."""
        if self.groups is None or self.groups[place] < 0:
            return -1
        theirs = np.flatnonzero(self.groups == self.groups[place])
        return int(theirs[(np.searchsorted(theirs, place) + 1 + number) % len(theirs)]) if number + 1 < len(theirs) else -1


class AttributeScoring(Scoring):
    """By a classifier of the labels, or a regressor of numbers; by features that know none where `evaluate.features` asks for that."""

    def gather(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> AttributeEvidence:
        assert extractor is not None, "images are compared by features"  # noqa: S101
        spec, labels = Attributed.of(dataset.spec), np.asarray(dataset.labels["holdout"])
        order = _sources(dataset, params)
        partners = _Partners(labels, dataset.groups.get("holdout"))
        parts: dict[str, list[NDArray[Any]]] = {}
        with on_best_device(generator.network, extractor.network):
            real = _features(dataset, extractor, order)
            if all_alike(real):
                raise DataError("all held-out images are the same, so there is nothing to compare with; check the source")
            for one in partners.rounds(spec, order):
                for name, column in self._of_round(generator, dataset, extractor, one).items():
                    parts.setdefault(name, []).append(column)
        columns = {name: np.concatenate(of) for name, of in parts.items()}
        features, asked, sources = (columns.pop(name) for name in ("features", "asked", "sources"))
        if all_alike(features):
            raise TrainingError("the generator makes the same image of every input: it has collapsed; train it again with other settings")
        partner, untouched = columns.pop("partner"), columns.pop("untouched")
        assert spec.condition is not None  # noqa: S101
        groups, names = spec.condition.groups, spec.condition.group_names
        return AttributeEvidence(real, groups(labels[order]), features, groups(asked), sources, columns, partner, untouched, names)

    def _of_round(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor, one: _Round) -> Columns:
        """What is measured of the translations of images, (n, ...) by name."""
        knows = generator.config.condition
        samples, labels, levels = dataset.samples["holdout"], dataset.labels["holdout"], Attributed.of(dataset.spec).levels
        parts = dict[str, list[NDArray[Any]]]()
        for chunk in chunks(len(one.given), dataset.spec.shape):
            places, asked, theirs = one.given[chunk], one.asked[chunk], one.partners[chunk]
            inputs, own = np.array(samples[places]), np.asarray(labels[places])
            if isinstance(knows, Numbers):  # held-out ones may lie a little outside
                asked, own = knows.within(asked), knows.within(own)
            try:
                made = generator.translate(inputs, labels=asked).samples
            except ConfigError as error:
                raise DataError(f"the generator does not fit the data ({error}); train it again") from None
            returned = generator.translate(made, labels=own).samples
            known, features = np.flatnonzero(theirs >= 0), extractor.features(made)
            partner, untouched = np.full((2, len(inputs)), np.nan)
            if len(known):
                true = np.array(samples[theirs[known]])
                partner[known], untouched[known] = (mean_absolute_errors(*map(levels, (images[known], true))) for images in (made, inputs))
            found = {
                "features": features,
                "asked": asked,
                "sources": places,
                "source_l1": mean_absolute_errors(*map(levels, (made, inputs))),
                "cycle_l1": mean_absolute_errors(*map(levels, (returned, inputs))),
                "partner": partner,
                "untouched": untouched,
                "given small": shrunk(inputs),
                "returned small": shrunk(returned),
            }
            if isinstance(extractor, ClassifierExtractor):
                found["label_accuracy"] = extractor.classify(features) == asked
            if isinstance(extractor, RegressorExtractor):
                found["label_error"] = extractor.errors(made, asked)
            for name, column in found.items():
                parts.setdefault(name, []).append(column)
        if not parts:  # every image that is looked at has this label
            return {}
        columns = {name: np.concatenate(of) for name, of in parts.items()}
        small, returned_small = columns.pop("given small"), columns.pop("returned small")
        recalled = partners_found(small, returned_small) if len(small) > 1 else np.ones(len(small), dtype=bool)
        return {**columns, "input_recall": recalled}

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        """What perfect translations would get; of a classifier how many held-out images it gets right."""
        assert extractor is not None, "images are compared by features"  # noqa: S101
        order = _sources(dataset, params)
        with on_best_device(extractor.network):
            features = _features(dataset, extractor, order)
            scores = {"fid": rounded(real_distance(features, len(order) * _n_rounds(dataset), params.seed))}
            if isinstance(extractor, ClassifierExtractor):
                right = extractor.classify(features) == dataset.labels["holdout"][order]
                scores["label_accuracy"] = rounded(float(right.mean()))
            if isinstance(extractor, RegressorExtractor):
                scores["label_error"] = rounded(real_label_error(dataset, extractor, len(order), params.seed))
        return scores

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        """Whether translations, one of each image, are training images."""
        assert extractor is not None, "images are compared by features"  # noqa: S101
        order, train = _sources(dataset, params)[: most_compared(dataset.spec.shape)], dataset.samples["train"]
        inputs, n_classes, asked = np.array(dataset.samples["holdout"][order]), dataset.spec.n_classes, dataset.labels["holdout"][order]
        if isinstance(knows := generator.config.condition, Numbers):
            asked = knows.within(np.roll(asked, 1))
        else:
            asked = (asked + 1 + np.arange(len(order)) % (n_classes - 1)) % n_classes
        with on_best_device(generator.network, extractor.network):
            made = generator.translate(inputs, labels=asked).samples
            found = find_copies(made, inputs, train, of_images(extractor))
        return found, picture(found, made, train, Attributed.of(dataset.spec).pictured)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, NDArray[np.uint8]]:
        """`generated`: a row for each of some held-out images, and what it becomes with each label; `real`: the images that it is in truth
        with each label, white where that is not known; or, where groups are not, held-out images. Those of numbers are put in order."""
        order = chosen(dataset, "holdout", dataset.spec.counts["holdout"], seed)
        inputs, pictured = np.array(dataset.samples["holdout"][order[:_ROWS]]), Attributed.of(dataset.spec).pictured
        shown = {"generated": translations_picture(generator, inputs)}
        if dataset.spec.numbers is not None:
            some = order[:PICTURES][np.argsort(dataset.labels["holdout"][order[:PICTURES]], kind="stable")]
            return {**shown, "real": grid(pictured(np.array(dataset.samples["holdout"][some])))}
        if "holdout" not in dataset.groups:
            return {**shown, "real": grid(pictured(np.array(dataset.samples["holdout"][order[:PICTURES]])))}
        inputs = pictured(inputs)
        partners, columns = _Partners(np.asarray(dataset.labels["holdout"]), dataset.groups["holdout"]), []
        for label in range(min(dataset.spec.n_classes, MOST_SHOWN)):
            theirs, column = partners.of(order[:_ROWS], label), np.full_like(inputs, 255)
            column[theirs >= 0] = pictured(np.array(dataset.samples["holdout"][theirs[theirs >= 0]]))
            columns.append(column)
        return {**shown, "real": rows(inputs, *columns)}


def _n_rounds(dataset: Dataset) -> int:
    """How often each held-out image is translated."""
    return _NUMBERS if dataset.spec.numbers is not None else max(dataset.spec.n_classes - 1, 1)


def _sources(dataset: Dataset, params: EvaluateParams) -> NDArray[np.int64]:
    """The held-out images that are translated, each to all other labels, in their order."""
    count = max(params.samples // _n_rounds(dataset), 1)
    return np.sort(chosen(dataset, "holdout", min(count, dataset.spec.counts["holdout"]), mix(params.seed, _ORDER)))


def _features(dataset: Dataset, extractor: FeatureExtractor, order: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of held-out images, by their place: (n, D)."""
    samples = dataset.samples["holdout"]
    return np.concatenate([extractor.features(np.array(samples[order[chunk]])) for chunk in chunks(len(order), dataset.spec.shape)])
