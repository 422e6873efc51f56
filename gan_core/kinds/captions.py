"""Images with one or several captions each.

Beside the arrays of all kinds there are, of each split, `captions.json`, a list of captions, those of one sample after another;
`tokens.npy`, int32 (M, T) of each caption, 0 after its end, where 1 is every word that the vocabulary lacks; and `captioned.npy`, int64
(M,), which sample each caption belongs to, ascending.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, Dataset, write_spec
from gan_core.data.packing import Rows, pack, sample_shape
from gan_core.errors import DataError
from gan_core.kinds.pixels import Pixels, depth_of
from gan_core.kinds.text import Captions, Vocabulary

if TYPE_CHECKING:
    from gan_core.generator import Generator

_EXAMPLES = 64
_PREVIEW_PROMPTS, _PREVIEW_DRAWS = 8, 6


@dataclass(frozen=True)
class Captioned(Pixels):
    """Images of one size and their captions."""

    kind: ClassVar[str] = "captions"

    vocabulary: tuple[str, ...] = ()
    """Words of the training split's captions, in order of their tokens, from 2 on."""
    caption_counts: Mapping[str, int] = field(default_factory=dict)
    """Captions in each split, at least one a sample."""
    caption_length: int = 0
    """Tokens of each caption, with padding."""
    examples: tuple[str, ...] = ()
    """Some captions of the training split: what a generator is asked for where nobody says what to draw."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # (N, C, H, W) of each split: uint8, uint16 or float32
        captions: Mapping[str, Sequence[Sequence[str]]],  # at least one of each, in the same order
    ) -> Self:
        """Write images and their captions into `folder` as a packed data set; dataset.json is written last.

        The vocabulary is that of the training split.
        """
        depth, counts = depth_of(samples), pack(folder, samples, samples["train"].dtype)
        texts = {split: [text for one in of for text in one] for split, of in captions.items()}
        vocabulary = Vocabulary.of(texts["train"])
        length = vocabulary.encode([text for of in texts.values() for text in of]).shape[1]
        for split in texts:
            owners = np.repeat(np.arange(len(captions[split])), [len(one) for one in captions[split]])
            np.save(folder / f"{split}_captioned.npy", owners.astype(np.int64), allow_pickle=False)
            np.save(folder / f"{split}_tokens.npy", vocabulary.encode(texts[split], length).astype(np.int32), allow_pickle=False)
            text = json.dumps(texts[split], ensure_ascii=False, indent=0)
            (folder / f"{split}_captions.json").write_text(text + "\n", encoding="utf-8")
        # Spread over the split, whose order is that of the paths.
        spread = np.linspace(0, len(texts["train"]) - 1, min(_EXAMPLES, len(texts["train"]))).astype(int)
        spec = cls(
            shape=sample_shape(samples),
            counts=counts,
            depth=depth,
            vocabulary=vocabulary.words,
            caption_counts={split: len(of) for split, of in texts.items()},
            caption_length=length,
            examples=tuple(texts["train"][i] for i in spread),
        )
        return write_spec(folder, spec)

    @cached_property
    def words(self) -> Vocabulary:
        """The words, by token."""
        return Vocabulary(self.vocabulary)

    def arrays(self, split: str) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        count = self.caption_counts[split]
        return {**super().arrays(split), "_tokens": ((count, self.caption_length), np.int32), "_captioned": ((count,), np.int64)}

    def files(self, split: str) -> list[str]:
        return [*super().files(split), f"{split}_captions.json"]

    def captions(self, folder: Path, split: str, arrays: Mapping[str, NDArray[Any]]) -> Captions:
        path, count = folder / f"{split}_captions.json", self.caption_counts[split]
        try:
            texts = tuple(map(str, json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path}: cannot be read ({error}); run the validate stage again") from None
        if len(texts) != count:
            raise DataError(f"{path}: holds {len(texts):,} captions, and dataset.json says {count:,}; run the validate stage again")
        return Captions(arrays["_tokens"], arrays["_captioned"], texts)

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        """A row for each of eight captions, drawn from the same latents each time."""
        return prompt_grid(generator, self.examples[:_PREVIEW_PROMPTS], _PREVIEW_DRAWS, PREVIEW_SEED)


def prompt_grid(generator: Generator, prompts: Sequence[str], draws: int, seed: int) -> NDArray[np.uint8]:
    """A picture, uint8 (H, W, 3), of `draws` images for each of the prompts, a row a prompt."""
    repeated = [prompt for prompt in prompts for _ in range(draws)]
    drawn = generator.sample(len(repeated), seed, prompts=repeated).samples
    return pictures.grid(Pixels.of(generator.config.data).pictured(drawn), columns=draws)
