"""How well images match captions, told by a network that saw real pairs alone.

A matcher is fitted once on the training split's images and captions and then frozen, as the other feature extractors are; it shares
nothing with any generator's own text encoder and never sees a generated image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gan_core.augment import augment
from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.errors import DataError
from gan_core.kinds.captions import Captioned
from gan_core.kinds.text import Captions, Vocabulary
from gan_core.losses import matching_loss
from gan_core.metrics.features import ExtractorConfig, ExtractorKind, FeatureNetwork, RandomConvExtractor, in_float32, values_of
from gan_core.metrics.fitting import one_cycle, steps_for
from gan_core.networks.text import ImageEncoder, TextEncoder, similarities

CANDIDATES = 100
"""Captions among which an image has to find its own."""

_EPOCHS, _FEWEST, _MOST = 15, 10_000, 200_000  # how long a matcher is fitted: 15 epochs, within these bounds in images seen
_BATCH, _LEARNING_RATE, _WEIGHT_DECAY = 64, 2e-3, 0.05
_WORD_DROPOUT = 0.2
_CHUNK = 500
_SIDE = 32
_CHECKED = 2_000  # held-out captions that tell how well a matcher does


class MatchingNetwork(FeatureNetwork):
    """The random network of `RandomConvExtractor`, and beside it an encoder of images and one of captions."""

    def __init__(self, shape: tuple[int, ...], words: int) -> None:
        super().__init__(shape, 0)
        channels, *sides = shape
        # At most 32 pixels a side: what a picture shows does not hang on more, and larger ones cost several times as much.
        self.pooled = max(1, max(sides) // _SIDE)
        self.images = ImageEncoder((channels, *(side // self.pooled for side in sides)), width=32)
        self.texts = TextEncoder(words, word_dropout=_WORD_DROPOUT)

    def encode(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) of images in -1..1."""
        encoded: Tensor = self.images(F.avg_pool2d(images, self.pooled))
        return encoded


class MatchingExtractor(RandomConvExtractor):
    """A random network's features for distances between images, and a matcher of images with captions."""

    kind: ClassVar[ExtractorKind] = "matching"

    @classmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu") -> Self:
        """Draw the random network, and fit the matcher on the training split; the same data and seed give the same weights.

        AdamW under a one-cycle learning rate on the loss of `losses.matching_loss`, for 15 epochs within 10,000 to 200,000 images; images
        are shifted and cut, words dropped, so that no single word stands for a picture.

        Raises:
            DataError: the data set has no captions.
            TrainingError: the loss is not finite.
        """
        spec = Captioned.of(dataset.spec)
        drawn = RandomConvExtractor.fit(dataset, seed, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = cls._empty(ExtractorConfig("matching", drawn.config.shape, None, seed, spec.digest, vocabulary=spec.vocabulary))
            network.to(torch.device(device)).load_state_dict(drawn.network.state_dict(), strict=False)
            _fit(network, dataset, seed, torch.device(device))
        config = replace(drawn.config, kind="matching", vocabulary=spec.vocabulary)
        fitted = cls(config, network)
        held_out = dataset.captions["holdout"]
        right = fitted.recall(dataset.samples["holdout"], held_out.take(np.arange(min(len(held_out.texts), _CHECKED))), seed)
        return cls(replace(config, holdout_accuracy=round(float(right.mean()), 6)), network)

    @staticmethod
    def _empty(config: ExtractorConfig) -> MatchingNetwork:
        return MatchingNetwork(config.shape, len(Vocabulary(config.vocabulary or ())))

    def fits(self, spec: DatasetSpec) -> bool:
        own = self.config.shape, self.config.values, self.config.vocabulary
        return isinstance(spec, Captioned) and own == (spec.shape, values_of(spec), spec.vocabulary)

    def similarities(self, images: NDArray[Any], texts: tuple[str, ...]) -> NDArray[np.float32]:
        """Cosines between images (N, C, H, W) and M captions: float32 (N, M)."""
        network = cast(MatchingNetwork, self.network)
        device = next(network.parameters()).device
        tokens = Vocabulary(self.config.vocabulary or ()).encode(texts)
        found = np.empty((len(images), len(texts)), dtype=np.float32)
        with torch.inference_mode(), in_float32():
            encoded = network.texts(torch.from_numpy(tokens).to(device))
            for start in range(0, len(images), _CHUNK):
                chunk = torch.from_numpy(np.array(images[start : start + _CHUNK])).to(device)
                found[start : start + _CHUNK] = similarities(network.encode(self.prepared(chunk)), encoded).cpu().numpy()
        return found

    def recall(self, images: NDArray[Any], captions: Captions, seed: int) -> NDArray[np.bool_]:
        """Whether each caption's image is matched to it among 100 captions: bool (M,) for the M captions of a split.

        Args:
            images: (N, C, H, W), the split's samples.
            captions: of these samples.
            seed: chooses the other captions.
        """
        return found_first(self.similarities(images, captions.texts)[captions.samples], captions, seed)


def found_first(similarity: NDArray[np.float32], captions: Captions, seed: int) -> NDArray[np.bool_]:
    """Whether the image made for each caption is closer to it than to 99 others, drawn by `seed`; a draw between two is none.

    Args:
        similarity: (M, M) of image i and caption j.
        captions: the M captions. Those of the same image, and equal ones, are never among the others.
        seed: the same others for every generator.

    Returns:
        bool (M,).

    Raises:
        DataError: for some caption there is no other.
    """
    draw = np.random.default_rng(seed)
    texts = np.array(captions.texts)
    own = np.array(captions.samples)
    found = np.zeros(len(texts), dtype=bool)
    for i, (text, image) in enumerate(zip(texts, own, strict=True)):
        others = np.flatnonzero((own != image) & (texts != text))
        if not len(others):
            raise DataError("captions: all held-out captions are the same, so an image cannot be matched to its own")
        # Each text once: a caption that stands there often would be one candidate, not several.
        others = others[np.unique(texts[others], return_index=True)[1]]
        others = draw.permutation(others)[: CANDIDATES - 1]
        found[i] = similarity[i, i] > similarity[i, others].max()
    return found


def _fit(network: MatchingNetwork, dataset: Dataset, seed: int, device: torch.device) -> None:
    """Fit both encoders; draws from torch's global random state."""
    batches, count = Batches(dataset, seed, device), dataset.spec.counts["train"]
    size = min(_BATCH, count)

    def loss_at(step: int) -> Tensor:
        batch = batches.after(step * size, size)
        assert batch.tokens is not None  # noqa: S101
        seen = network.encode(augment(batch.real, colour=False))
        return matching_loss(similarities(seen, network.texts(batch.tokens)))

    network.images.train()
    network.texts.train()
    weights = [*network.images.parameters(), *network.texts.parameters()]
    with in_float32():
        steps = steps_for(count, size, _EPOCHS, _FEWEST, _MOST)
        one_cycle(weights, loss_at, steps, _LEARNING_RATE, _WEIGHT_DECAY, "matcher", has_substitute=False)
