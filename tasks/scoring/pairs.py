"""Pairs: what a generator makes of held-out inputs, against their real partners one by one, and as a set by features.

With a segmentation network as extractor (`evaluate.features: segmentation`, where inputs are label maps) images are also judged by
the labels that are found in them. Where the inputs are spoiled images, the scores stand beside those of the plain restoration that
`gan_core.kinds.corruptions` has.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator
from gan_core.kinds.corruptions import holes, plain_restoration
from gan_core.kinds.pairs import Pairs
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.pairs import mean_absolute_errors, partners_found, psnrs, ssims
from gan_core.metrics.segmentation import SegmentationExtractor
from gan_core.metrics.whitening import Whitening
from gan_core.params.common import is_pretrained
from tasks.params import EvaluateParams
from tasks.scoring.by_features import FeatureEvidence
from tasks.scoring.copies import Copies, find_copies, most_compared, of_images, picture
from tasks.scoring.images import Counts, ImageScoring, all_alike, whitening_of
from tasks.scoring.scoring import chosen, chunks, on_best_device, rounded

_ROWS = 12
_EACH = ("l1", "psnr", "ssim", "hole_psnr", "last_ssim")
_GAINS = ("psnr", "hole_psnr", "last_ssim")
"""Those of which it is said, too, how far they are above the plain way's."""

Columns = Mapping[str, NDArray[np.float64]]
"""Scores a pair, (N,), by name."""


class PairEvidence(FeatureEvidence):
    """Scores of each pair, and the features of generated and of real images; of the plain restoration too, where there is one.

    fid, kid, l1, psnr, ssim; by random features whitened_kid, by a pretrained network's rbf_kid; partner_recall: the share of generated
    images that lie nearest to their own partner, which alone sees that one was made for another input; segmentation_ratio: the share of
    pixels whose label is found in generated images, divided by that in real ones. Beside a plain restoration psnr_gain, its decibels
    above it, and fid_ratio, its distance divided by that one's; where the input has a hole hole_psnr and hole_psnr_gain, the same
    inside the hole alone; of ends of clips last_ssim and last_ssim_gain, of their last frames. Pairs are drawn as wholes.
    """

    def __init__(
        self,
        real: NDArray[np.float32],  # (N, D)
        generated: NDArray[np.float32],  # (N, D)
        columns: Columns,
        plain: NDArray[np.float32] | None = None,  # (N, D)
        plain_columns: Columns | None = None,
        whitening: Whitening | None = None,
        published: bool = False,
    ) -> None:
        self.columns = columns
        self.plain = plain
        self.plain_columns = plain_columns or {}
        gains = {f"{key}_gain": columns[key] - self.plain_columns[key] for key in _GAINS if key in self.plain_columns}
        each = {key: columns[key] for key in _EACH if key in columns} | {"partner_recall": partners_found(real, generated)}
        super().__init__(real, generated, each | gains, paired=True, whitening=whitening, published=published)

    @property
    def measured(self) -> list[str]:
        metrics = [*super().measured, *(["segmentation_ratio"] if "found" in self.columns else [])]
        return metrics + (["fid_ratio"] if self.plain is not None else [])

    def details(self) -> dict[str, Any]:
        """`baseline`: the scores of the plain restoration, where there is one."""
        if self.plain is None:
            return {}
        scores = {"fid": self._plain_distance, **{key: float(column.mean()) for key, column in self.plain_columns.items()}}
        return {"baseline": {key: rounded(value) for key, value in scores.items()}}

    @cached_property
    def _plain_distance(self) -> float:
        assert self.plain is not None, "there is a plain restoration"  # noqa: S101
        return frechet_distance(FeatureStatistics.of(self.real), FeatureStatistics.of(self.plain))

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if metric == "segmentation_ratio":
            return float(self.columns["found"][real].mean() / self.columns["found_in_real"][real].mean())
        if metric == "fid_ratio":
            return super().resampled("fid", real, generated) / self._plain_distance
        return super().resampled(metric, real, generated)

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        if metric == "segmentation_ratio":
            return real.means(self.columns["found"]) / real.means(self.columns["found_in_real"])
        if metric == "fid_ratio":  # what it is divided by is the same for every generator, and so no matter of chance between two
            return super().replicates("fid", real, generated) / self._plain_distance
        return super().replicates(metric, real, generated)

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        if metric == "fid_ratio":
            return super().unbiased("fid", real, generated) / self._plain_distance
        return super().unbiased(metric, real, generated)


class PairScoring(ImageScoring):
    """By the features of a fixed random network, unless the entry says otherwise."""

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> PairEvidence:
        """Every held-out pair, at most `evaluate.samples` of them. Runs on a GPU where there is one."""
        assert extractor is not None, "images are compared by features"  # noqa: S101
        spec = dataset.spec
        order = chosen(dataset, "holdout", min(spec.counts["holdout"], params.samples), params.seed)
        features: dict[str, list[NDArray[np.float32]]] = {"real": [], "generated": [], "plain": []}
        columns: dict[str, list[NDArray[np.float64]]] = {}
        plain_columns: dict[str, list[NDArray[np.float64]]] = {}
        with on_best_device(generator.network, extractor.network):
            for chunk in chunks(len(order), spec.shape):
                real = np.array(dataset.samples["holdout"][order[chunk]])
                inputs = np.array(dataset.inputs["holdout"][order[chunk]])
                generated = generator.translate(inputs).samples
                features["real"].append(extractor.features(real))
                features["generated"].append(extractor.features(generated))
                _add(columns, self.columns(dataset, generated, real, inputs))
                if isinstance(extractor, SegmentationExtractor):
                    _add(columns, {"found": extractor.accuracies(generated, inputs), "found_in_real": extractor.accuracies(real, inputs)})
                plain = self.plain(dataset, inputs)
                if plain is not None:
                    features["plain"].append(extractor.features(plain))
                    _add(plain_columns, self.columns(dataset, plain, real, inputs))
            whitening = whitening_of(dataset, extractor, params.seed)
        generated_features = np.concatenate(features["generated"])
        if all_alike(generated_features):
            raise TrainingError("the generator makes the same image of each input: it has collapsed; train it again with other settings")
        return PairEvidence(
            np.concatenate(features["real"]),
            generated_features,
            {key: np.concatenate(parts) for key, parts in columns.items()},
            np.concatenate(features["plain"]) if features["plain"] else None,
            {key: np.concatenate(parts) for key, parts in plain_columns.items()},
            whitening,
            is_pretrained(extractor.kind),
        )

    def plain(self, dataset: Dataset, inputs: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """What can be made of inputs without learning; None where there is no such way."""
        spec = Pairs.of(dataset.spec)
        return None if spec.corruption is None else plain_restoration(inputs, spec.corruption, spec.shape[0])

    def columns(self, dataset: Dataset, made: NDArray[np.uint8], real: NDArray[np.uint8], inputs: NDArray[np.uint8]) -> Columns:
        """Scores of each that was made of an input, beside its real partner."""
        spec = Pairs.of(dataset.spec)
        found = columns_of(spec.levels(made), spec.levels(real))
        return found | {"hole_psnr": psnrs(made, real, holes(inputs))} if spec.corruption == "mask" else found

    def n_generated(self, dataset: Dataset, params: EvaluateParams) -> int:
        return Counts.of(dataset, params).real

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        assert extractor is not None, "images are compared by features"  # noqa: S101
        most = min(Counts.of(dataset, params).real, most_compared(dataset.spec.shape))
        order = chosen(dataset, "holdout", most, params.seed)
        inputs, held_out = (np.array(part["holdout"][order]) for part in (dataset.inputs, dataset.samples))
        train = dataset.samples["train"]
        with on_best_device(generator.network, extractor.network):
            generated = generator.translate(inputs).samples
            found = find_copies(generated, held_out, train, of_images(extractor))
        return found, picture(found, generated, train, partial(self.pictured, dataset.spec))

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """`generated` has rows of input, generated and real; `real` the real images alone."""
        order = chosen(dataset, "holdout", _ROWS, seed)
        inputs, real = (np.array(part["holdout"][order]) for part in (dataset.inputs, dataset.samples))
        given, made, there = map(Pairs.of(dataset.spec).pictured, (inputs, generator.translate(inputs).samples, real))
        return {"generated": pictures.rows(given, made, there), "real": pictures.grid(there)}


def columns_of(images: NDArray[Any], real: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """l1, psnr and ssim of images (N, C, H, W) beside their partners, (N,) each."""
    return {"l1": mean_absolute_errors(images, real), "psnr": psnrs(images, real), "ssim": ssims(images, real)}


def _add(columns: dict[str, list[NDArray[np.float64]]], more: Columns) -> None:
    for key, column in more.items():
        columns.setdefault(key, []).append(column)
