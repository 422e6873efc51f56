"""Ends of clips, each with the frames that come before: what is to be predicted, and what from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, write_spec
from gan_core.data.packing import Rows, pack, sample_shape
from gan_core.data.scaling import images_to_bytes
from gan_core.kinds.pixels import Translated

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator

_PREVIEW_ROWS = 4


@dataclass(frozen=True)
class Predictions(Translated):
    """Clips (C, F, H, W), each with the clip (C, G, H, W) before it; to networks the frames of either are channels of one image."""

    kind: ClassVar[str] = "predictions"
    unit: ClassVar[str] = "clips"

    every: int = 1
    """Of the frames of files each so-many-th was taken."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # uint8 (N, C, F, H, W) of each split: what is to be predicted
        inputs: Mapping[str, Rows],  # uint8 (N, C, G, H, W): what comes before each, in the same order
        every: int = 1,  # of the frames of files each so-many-th was taken
    ) -> Self:
        """Write clips with what comes before them into `folder` as a packed data set; dataset.json is written last."""
        counts = pack(folder, samples, np.uint8)
        pack(folder, inputs, np.uint8, ending="_inputs")
        return write_spec(folder, cls(sample_shape(samples), counts, inputs=sample_shape(inputs), every=every))

    @property
    def network_shape(self) -> tuple[int, ...]:
        return _flat(self.shape)

    @property
    def network_inputs(self) -> tuple[int, ...] | None:
        return None if self.inputs is None else _flat(self.inputs)

    def to_networks(self, samples: Tensor) -> Tensor:
        return super().to_networks(samples.flatten(1, 2))

    def to_samples(self, made: Tensor) -> Tensor:
        return images_to_bytes(made).cpu().contiguous().view(made.shape[0], *self.shape[:2], *made.shape[2:])

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        """Rows of frames, those given first: a generated end of each of the first held-out clips, and the real one below it."""
        split = "holdout" if len(dataset.samples["holdout"]) else "train"
        inputs, real = (np.array(part[split][:_PREVIEW_ROWS]) for part in (dataset.inputs, dataset.samples))
        return in_rows(inputs, generator.translate(inputs).samples, real)


def _flat(shape: tuple[int, ...]) -> tuple[int, ...]:
    channels, frames, *sides = shape
    return channels * frames, *sides


def continued(inputs: NDArray[np.uint8], clips: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Clips (N, C, F, H, W) behind what came before them, (N, C, G, H, W): (N, C, G + F, H, W)."""
    return np.concatenate([inputs, clips], axis=2)


def repeated(inputs: NDArray[np.uint8], frames: int) -> NDArray[np.uint8]:
    """The last frame of clips (N, C, G, H, W), so often that it is an end of theirs: (N, C, frames, H, W). It needs no learning."""
    return inputs[:, :, -1:].repeat(frames, axis=2)


def in_rows(inputs: NDArray[np.uint8], *ends: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Strips of all frames, a row each: of each clip with its first end, with its second, and so on; uint8 (rows, columns, 3)."""
    frames = inputs.shape[2] + ends[0].shape[2]
    strips = [pictures.strips(continued(inputs, end), frames) for end in ends]
    return pictures.grid(np.stack(strips, axis=1).reshape(-1, *strips[0].shape[1:]), columns=1)


def flattened(clips: NDArray[Any]) -> NDArray[Any]:
    """Clips (N, C, F, H, W) as images (N, C * F, H, W), by which metrics of images take them."""
    return clips.reshape(len(clips), -1, *clips.shape[3:])
