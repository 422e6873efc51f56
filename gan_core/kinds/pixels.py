"""What kinds of data made of images share: bytes on disk, -1..1 in the networks, and pictures that pass through a spool."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.data.scaling import channels_last, images_to_bytes, images_to_unit
from gan_core.params.common import FITS, Fit, Sides

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator, Samples

_PROBE_INPUTS = 16
_BUFFER = 1 << 16  # bytes: pictures are small, and calls to the system are not


@dataclass(frozen=True)
class Pixels(DatasetSpec):
    """A kind of data whose samples are images of one size, (C, H, W) with C of 1 or 3, or clips of such, (C, F, H, W)."""

    dtype: ClassVar[type[np.generic]] = np.uint8

    range: tuple[float, float] | None = None
    """The values of the files that became 0 and 255; None: those of each file's type."""
    fit: Fit | None = None
    """How files of another shape were brought to this one, as `data.fit` has it; None: by their central part."""

    @property
    def fit_in_words(self) -> str:
        """How files of another shape were brought to this one."""
        return FITS[self.fit or "crop"]

    def to_networks(self, samples: Tensor) -> Tensor:
        return images_to_unit(samples).contiguous(memory_format=channels_last(samples.dim()))

    def to_samples(self, made: Tensor) -> Tensor:
        return images_to_bytes(made).cpu().contiguous()


@dataclass(frozen=True)
class Translated(Pixels):
    """Images, and images that they are to be made of."""

    def probe(self, generator: Generator, dataset: Dataset) -> Samples:
        return generator.translate(np.array(dataset.inputs["train"][:_PROBE_INPUTS]))


class Spool:
    """Pictures (C, H, W) of one size with C = 1 or 3, or clips (C, F, H, W), put down one after another in a file and read back by number.

    The number of samples in each split and the number of channels are only known when every source file was read once, and neither side
    ever holds more than a few samples in memory.
    """

    def __init__(self, path: Path, size: Sides) -> None:
        self._file = path.open("w+b", buffering=_BUFFER)
        self.size = size
        """Height and width of every picture; before them the frames of a clip."""
        self._channels = array("B")
        self._offsets = array("Q")
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._channels)

    def append(self, pixels: NDArray[np.uint8]) -> int:
        """Put down one picture, uint8 (C, H, W), or clip; returns its number."""
        channels, *size = pixels.shape
        if pixels.dtype != np.uint8 or (*size,) != self.size or channels not in (1, 3):
            raise ValueError(f"expected uint8 (1 or 3, {', '.join(map(str, self.size))}), not {pixels.dtype} {pixels.shape}")
        self._file.write(np.ascontiguousarray(pixels).data)
        self._channels.append(channels)
        self._offsets.append(self._end)
        self._end += pixels.nbytes
        return len(self._channels) - 1

    def read(self, number: int) -> NDArray[np.uint8]:
        """The picture of that number."""
        shape = (self._channels[number], *self.size)
        self._file.flush()
        data = os.pread(self._file.fileno(), math.prod(shape), self._offsets[number])
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)

    def usual_channels(self, numbers: Iterable[int]) -> int:
        """1 where most of these pictures are grey, 3 otherwise."""
        counts = [0, 0]
        for number in numbers:
            counts[self._channels[number] == 3] += 1
        return 1 if counts[0] > counts[1] else 3

    def rows(self, numbers: Sequence[int], channels: int) -> SpoolRows:
        """The pictures of these numbers, in grey or RGB, as an array's rows."""
        return SpoolRows(self, numbers, channels)


@dataclass(frozen=True)
class SpoolRows:
    """Pictures of a spool that are gone through as the rows of an array, uint8 (N, C, H, W), one of them in memory at a time."""

    spool: Spool
    numbers: Sequence[int]
    channels: int

    dtype: ClassVar[np.dtype[np.uint8]] = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.numbers), self.channels, *self.spool.size

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (with_channels(self.spool.read(number), self.channels) for number in self.numbers)


def with_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Pixels (C, H, W), or (C, F, H, W), as grey or RGB: grey is repeated, RGB becomes ITU-R 601 luma."""
    if pixels.shape[0] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=0)
    flat = pixels.reshape(3, -1, pixels.shape[-1]).transpose(1, 2, 0)
    return np.asarray(Image.fromarray(np.ascontiguousarray(flat)).convert("L")).reshape(1, *pixels.shape[1:])
