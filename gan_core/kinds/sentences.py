"""Sentences: words and marks in order, of at most so many, which networks see as a choice among all words at each place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, Dataset, DatasetSpec, write_spec
from gan_core.data.packing import pack, sample_shape
from gan_core.kinds.spelling import joined, pieces
from gan_core.kinds.text import PADDING, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator

UNKNOWN_SHOWN = "_"
"""What stands for a word that the vocabulary lacks, where a sentence is shown."""
_PREVIEW_COUNT = 24
_CODES = 8  # random numbers that stand for a word where spreads are compared


@dataclass(frozen=True)
class Sentences(DatasetSpec):
    """Sentences (T,), a token each place as `gan_core.kinds.text` has them, 0 after the end; to networks one-hot (T, V)."""

    kind: ClassVar[str] = "sentences"
    unit: ClassVar[str] = "sentences"
    dtype: ClassVar[type[np.generic]] = np.int32

    vocabulary: tuple[str, ...] = ()
    """Words and marks of the training split, in order of their tokens, from 2 on: the most frequent first."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        texts: Mapping[str, Sequence[str]],  # of each split, none empty
        length: int,  # places of each; what is longer is cut
        most: int,  # words and marks in the vocabulary
        labels: Mapping[str, Sequence[int]] | None = None,  # index into classes of each, in the same order
        classes: tuple[str, ...] | None = None,
    ) -> Self:
        """Write sentences into `folder` as a packed data set; dataset.json, with the training split's vocabulary, is written last."""
        vocabulary = Vocabulary.of(texts["train"], pieces, most)
        tokens = {split: vocabulary.encode(of, length).astype(np.int32) for split, of in texts.items()}
        counts = pack(folder, tokens, cls.dtype, labels)
        return write_spec(folder, cls(sample_shape(tokens), counts, classes, vocabulary=vocabulary.words))

    @cached_property
    def words(self) -> Vocabulary:
        """The words and marks, by token."""
        return Vocabulary(self.vocabulary, pieces)

    @property
    def row_words(self) -> tuple[str, ...]:
        return ("", UNKNOWN_SHOWN, *self.vocabulary)

    @property
    def network_shape(self) -> tuple[int, ...]:
        return self.shape[0], len(self.words)

    def to_networks(self, samples: Tensor) -> Tensor:
        import torch

        chosen = samples.long()[..., None]
        return torch.zeros(*samples.shape, len(self.words), device=samples.device).scatter_(-1, chosen, 1.0)

    def to_samples(self, made: Tensor) -> Tensor:
        return made.argmax(dim=-1).int().cpu()

    def texts(self, samples: NDArray[np.int32]) -> list[str]:
        """Sentences (N, T) as they are read: N of them."""
        shown = self.row_words
        return [joined(shown[token] for token in row[row != PADDING]) for row in samples]

    def encoded(self, other: Sentences, samples: NDArray[np.int32]) -> NDArray[np.int32]:
        """Sentences (N, T) of another vocabulary in this one's tokens."""
        if other.vocabulary == self.vocabulary:
            return samples
        tokens = self.words.encode(["", *other.vocabulary], 1)[:, 0]
        return np.concatenate([[PADDING], np.where(tokens == PADDING, 1, tokens)]).astype(np.int32)[samples]

    def stands_beside(self, other: DatasetSpec) -> bool:
        return isinstance(other, Sentences) and self.vocabulary == other.vocabulary

    def comparable(self, samples: NDArray[Any]) -> NDArray[Any]:
        """A word as a few random numbers: tokens that lie beside each other are not alike."""
        codes = np.random.default_rng(0).standard_normal((len(self.words), _CODES), dtype=np.float32)
        return np.asarray(codes[samples])

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        return pictures.lines(self.texts(generator.sample(_PREVIEW_COUNT, PREVIEW_SEED).samples))


def lengths(samples: NDArray[np.int32]) -> NDArray[np.int64]:
    """Words and marks of sentences (N, T): (N,)."""
    found: NDArray[np.int64] = (samples != PADDING).sum(axis=1)
    return found
