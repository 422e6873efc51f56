"""Sounds of one length, which networks see as spectrograms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, PROBE, Dataset, DatasetSpec, write_spec
from gan_core.data.packing import Rows, pack, sample_shape

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator, Samples
    from gan_core.spectrogram import Spectrogram

FULL = 32_768
"""What a wave of -1..1 is multiplied by on disk."""
BANDS = 64
"""Rows of a spectrogram, where nobody says otherwise."""
_PREVIEW_COUNT = 64
_CHUNK = 256  # sounds that are transformed at once


@dataclass(frozen=True)
class Sounds(DatasetSpec):
    """Sounds (1, T), of one channel; to networks they are spectrograms (1, bands, columns) in -1..1."""

    kind: ClassVar[str] = "sounds"
    unit: ClassVar[str] = "sounds"
    dtype: ClassVar[type[np.generic]] = np.int16

    rate: int = 8_000
    """Values a second."""
    bands: int = BANDS
    """Rows of a spectrogram: how many pitches are told apart."""
    top: float = 0.0
    """The loudest that a band gets in the training split, in decibels of full scale; 1 in a spectrogram."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, Rows],  # int16 (N, 1, T) of each split
        rate: int,  # values a second
        bands: int = BANDS,
        labels: Mapping[str, Sequence[int]] | None = None,  # index into classes of each, in the same order
        classes: tuple[str, ...] | None = None,
    ) -> Self:
        """Write sounds into `folder` as a packed data set; dataset.json, with the training split's loudest band, is written last."""
        counts = pack(folder, samples, cls.dtype, labels)
        spec = cls(sample_shape(samples), counts, classes, rate=rate, bands=bands)
        train = np.load(folder / "train.npy", mmap_mode="r", allow_pickle=False)
        top = max(float(spec.spectrogram.decibels(waves).max()) for waves in _waves(train))
        return write_spec(folder, replace(spec, top=round(top, 2)))

    @cached_property
    def spectrogram(self) -> Spectrogram:
        """Between a sound as it is stored and as networks see it."""
        from gan_core.spectrogram import Spectrogram

        return Spectrogram(self.rate, self.shape[-1], self.bands, self.top)

    @property
    def network_shape(self) -> tuple[int, ...]:
        return self.spectrogram.shape

    @property
    def seconds(self) -> float:
        """How long a sound is."""
        return self.shape[-1] / self.rate

    def to_networks(self, samples: Tensor) -> Tensor:
        return self.spectrogram.of(samples.float() / FULL)

    def to_samples(self, made: Tensor) -> Tensor:
        waves = self.spectrogram.waves(made)
        return (waves * FULL).round_().clamp_(-FULL, FULL - 1).short().cpu()

    def pictured(self, samples: NDArray[np.int16]) -> NDArray[np.uint8]:
        """Spectrograms of sounds (N, 1, T) as pictures, uint8 (N, 1, bands, columns): high pitches above, later moments on the right."""
        found = [as_picture(self.spectrogram.of(waves)) for waves in _waves(samples)]
        return np.concatenate(found) if found else np.empty((0, *self.network_shape), dtype=np.uint8)

    def comparable(self, samples: NDArray[Any]) -> NDArray[Any]:
        """As spectrograms, which those of `probe` are already: equal sounds differ as waves as soon as one begins a moment later."""
        return samples if samples.dtype == np.uint8 else self.pictured(samples)

    def probe(self, generator: Generator, dataset: Dataset) -> Samples:
        """Spectrograms, as pictures: from them back to sounds would take longer than many steps."""
        return _drawn(generator, PROBE)

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        return pictures.grid(_drawn(generator, _PREVIEW_COUNT).samples)


def as_picture(spectrograms: Tensor) -> NDArray[np.uint8]:
    """Spectrograms (N, 1, bands, columns) in -1..1 as pictures, uint8 of the same shape, turned so that high pitches are above."""
    from gan_core.data.scaling import images_to_bytes

    picture: NDArray[np.uint8] = images_to_bytes(spectrograms.flip(2)).cpu().contiguous().numpy()
    return picture


def lengths(samples: NDArray[np.int16], rate: int) -> NDArray[np.float64]:
    """Seconds from the beginning of sounds (N, 1, T) to the last value above a hundredth of their peak: (N,)."""
    loud = np.abs(samples[:, 0].astype(np.int32))
    heard = loud * 100 > loud.max(axis=1, keepdims=True)
    last: NDArray[np.float64] = (heard.shape[1] - heard[:, ::-1].argmax(axis=1)) * heard.any(axis=1) / rate
    return last


def middles(pictured: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of sounds' spectrograms as pictures (N, 1, bands, columns) how high their middle is, 0 to 1 of the bands: (N,)."""
    bands = pictured[:, 0].astype(np.float64).sum(axis=2)
    heights = np.linspace(1, 0, bands.shape[1])
    middle: NDArray[np.float64] = (bands * heights).sum(axis=1) / np.maximum(bands.sum(axis=1), 1.0)
    return middle


def _drawn(generator: Generator, n: int) -> Samples:
    from gan_core.generator import Samples

    order = generator.order(n, PREVIEW_SEED)
    return Samples(as_picture(generator.made(order)), order.labels, generator.config.kind)


def _waves(samples: NDArray[np.int16]) -> Iterator[Tensor]:
    """Sounds (N, 1, T) as waves in -1..1, some at a time."""
    import torch

    for start in range(0, len(samples), _CHUNK):
        yield torch.from_numpy(np.array(samples[start : start + _CHUNK])).float() / FULL
