"""Images by caption: as other images by their features, and by whether a matcher finds the caption that each was drawn for.

An image is drawn for every held-out caption, `DRAWS` times with other latents. `caption_recall` is the share of them that the matcher
(`gan_core.metrics.matching`) puts closer to their own caption than to 99 other held-out ones: 1 % by chance. A caption whose words are all
unknown counts as any other. How often the held-out images themselves find their captions stands in evaluation.json, as part of
`real_against_real`: the ceiling.

Of a generator with two stages, `stage1_fid` is the Frechet distance of the first stage's images, enlarged, and `stage2_gain` the share of
it that the second stage takes away.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator
from gan_core.kinds.pixels import Pixels
from gan_core.kinds.text import Captions
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.matching import MatchingExtractor, found_first
from gan_core.randomness import mix
from tasks.params import EvaluateParams
from tasks.scoring.by_features import FeatureEvidence
from tasks.scoring.copies import Copies, find_copies, most_compared, of_images, picture
from tasks.scoring.images import Counts, ImageEvidence, ImageScoring, all_alike, features_of, held_out_features
from tasks.scoring.scoring import PICTURES, chosen, chunks, on_best_device, rounded

DRAWS = 4
"""Images drawn for each held-out caption."""
MOST_CAPTIONS = 2_000
"""Held-out captions that images are drawn for, at most."""

_COLUMNS = 8


class CaptionEvidence(ImageEvidence):
    """As `ImageEvidence`, with caption_recall, and with stage1_fid and stage2_gain for a generator with two stages."""

    def __init__(
        self,
        real: NDArray[np.float32],  # (N, D)
        generated: NDArray[np.float32],  # (M, D)
        found: NDArray[np.bool_],  # (M,) whether each generated image found its caption
        drafts: NDArray[np.float32] | None,  # (M, D) of the first stage
        clusters: NDArray[np.int64] | None = None,  # (M,) held-out image whose caption each was drawn for
    ) -> None:
        super().__init__(real, generated, None, None, clusters=clusters)
        self.each = {"caption_recall": found}
        self.first = None if drafts is None else FeatureEvidence(real, drafts, clusters=clusters)

    @property
    def measured(self) -> list[str]:
        return [*super().measured, *(["stage1_fid", "stage2_gain"] if self.first is not None else [])]

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        if self.first is not None and metric == "stage1_fid":
            return self.first.resampled("fid", real, generated)
        if self.first is not None and metric == "stage2_gain":
            return 1 - super().resampled("fid", real, generated) / self.first.resampled("fid", real, generated)
        return super().resampled(metric, real, generated)

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        if self.first is not None and metric == "stage1_fid":
            return self.first.replicates("fid", real, generated)
        if self.first is not None and metric == "stage2_gain":
            return 1 - super().replicates("fid", real, generated) / self.first.replicates("fid", real, generated)
        return super().replicates(metric, real, generated)

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        if self.first is not None and metric == "stage1_fid":
            return self.first.unbiased("fid", real, generated)
        if self.first is not None and metric == "stage2_gain":
            return 1 - super().unbiased("fid", real, generated) / self.first.unbiased("fid", real, generated)
        return super().unbiased(metric, real, generated)


class CaptionScoring(ImageScoring):
    """By a random network's features and a matcher."""

    def gather(self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> CaptionEvidence:
        assert isinstance(extractor, MatchingExtractor), "captions are compared by a matcher"  # noqa: S101
        captions = _asked(dataset, params)
        draws = _draws(len(captions.texts), params)
        has_draft = hasattr(generator.network, "draft")
        found, generated, drafts = [], [], []
        with on_best_device(generator.network, extractor.network):
            real = held_out_features(dataset, extractor, Counts.of(dataset, params), params.seed)
            for draw in range(draws):
                seed = mix(params.seed, draw)
                images = np.concatenate(list(_draw(generator, captions.texts, seed)))
                generated.append(extractor.features(images))
                found.append(found_first(extractor.similarities(images, captions.texts), captions, params.seed))
                if has_draft:
                    drafts.append(features_of(_draw(generator, captions.texts, seed, draft=True), extractor))
        joined = np.concatenate(generated)
        if all_alike(joined):
            raise TrainingError("the generator draws the same image each time: it has collapsed; train it again with other settings")
        clusters = np.tile(captions.samples, draws)
        return CaptionEvidence(real, joined, np.concatenate(found), np.concatenate(drafts) if drafts else None, clusters)

    def n_generated(self, dataset: Dataset, params: EvaluateParams) -> int:
        captions = len(_asked(dataset, params).texts)
        return captions * _draws(captions, params)

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        """With caption_recall: how often the matcher finds the caption of a real held-out image, which no generator should surpass."""
        assert isinstance(extractor, MatchingExtractor), "captions are compared by a matcher"  # noqa: S101
        captions = _asked(dataset, params)
        found = extractor.recall(dataset.samples["holdout"], captions, params.seed)
        scores = super().real_against_real(dataset, extractor, params)
        return {**scores, "caption_recall": rounded(float(found.mean())), "captions": len(captions.texts)}

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        """Of what is drawn for held-out captions: asked for a training image's own caption, a generator ought to draw what it shows."""
        assert extractor is not None, "images are compared by features"  # noqa: S101
        prompts = _asked(dataset, params).texts[: most_compared(dataset.spec.shape)]
        train, held_out = dataset.samples["train"], dataset.samples["holdout"]
        real = np.array(held_out[np.sort(chosen(dataset, "holdout", min(len(held_out), len(prompts)), params.seed))])
        with on_best_device(generator.network, extractor.network):
            generated = generator.sample(len(prompts), seed=params.seed, prompts=prompts).samples
            found = find_copies(generated, real, train, of_images(extractor))
        return found, picture(found, generated, train, Pixels.of(dataset.spec).pictured)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """A held-out caption each, at the same place in all pictures;"""
        captions = dataset.captions["holdout"]
        # One of each image, so that no two places are of the same one.
        first = np.unique(captions.samples, return_index=True)[1]
        asked = captions.take(np.sort(np.random.default_rng(seed).permutation(first)[:PICTURES]))
        shown = {"generated": generator.sample(len(asked.texts), seed, prompts=asked.texts).samples}
        if hasattr(generator.network, "draft"):
            shown["stage1"] = generator.sample(len(asked.texts), seed, prompts=asked.texts, draft=True).samples
        shown["real"] = np.array(dataset.samples["holdout"][asked.samples])
        return {name: pictures.grid(self.pictured(dataset.spec, images), _COLUMNS) for name, images in shown.items()}


def _asked(dataset: Dataset, params: EvaluateParams) -> Captions:
    """The held-out captions that images are drawn for, in packed order."""
    captions = dataset.captions["holdout"]
    n = min(len(captions.texts), params.samples, MOST_CAPTIONS)
    return captions.take(np.sort(np.random.default_rng(params.seed).permutation(len(captions.texts))[:n]))


def _draws(captions: int, params: EvaluateParams) -> int:
    """How many images are drawn for each of so many captions."""
    return max(1, min(DRAWS, params.samples // captions))


def _draw(generator: Generator, prompts: tuple[str, ...], seed: int, draft: bool = False) -> Iterator[NDArray[np.uint8]]:
    for chunk in chunks(len(prompts), generator.config.shape):
        asked = prompts[chunk]
        yield generator.sample(len(asked), seed=mix(seed, chunk.start), prompts=asked, draft=draft).samples
