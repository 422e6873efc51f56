"""What kinds of data made of images share: 8 or 16 bits or floats on disk, -1..1 in the networks, and pictures that pass through a spool.

Images of 8 bits are 0 to 255, from black to white. Deeper ones are as their files have them, and `range` says what is black and white.
An image has any number of channels, of which a picture of it for people shows three or one.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.data.labels import Numbers
from gan_core.data.packing import Rows
from gan_core.data.scaling import channels_last, images_to_bytes, images_to_unit, unit_to_values, values_to_unit
from gan_core.errors import DataError
from gan_core.params.common import FITS, Fit, Sides

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator, Samples

PROBE_INPUTS = 16
"""Images that a look at a generator in training has translated."""
_BUFFER = 1 << 16  # bytes: pictures are small, and calls to the system are not


KEPT: Mapping[Literal[16, "float"] | None, type[np.generic]] = {None: np.uint8, 16: np.uint16, "float": np.float32}
"""The type of values by `Pixels.depth`."""
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R 601)."""


@dataclass(frozen=True)
class Pixels(DatasetSpec):
    """A kind of data whose samples are images of one size, (C, H, W), or clips of such, (C, F, H, W)."""

    range: tuple[float, float] | None = None
    """The values of the files that are black and white: they became 0 and 255, or, of deeper images, are kept; None: those of each file's
    type."""
    fit: Fit | None = None
    """How files of another shape were brought to this one, as `data.fit` has it; None: by their central part."""
    depth: Literal[16, "float"] | None = None
    """The values are kept as 16-bit numbers or floats; None: in 8 bits."""
    show: tuple[int, ...] | None = None
    """The channels that a picture shows, counted from 1: three as red, green and blue, or one as grey; None: the first three where there
    are so many, otherwise the first."""

    @property
    def dtype(self) -> type[np.generic]:  # type: ignore[override]  # a kind of one type has it for the class
        return KEPT[self.depth]

    @property
    def bounds(self) -> tuple[float, float]:
        """The values, as they are kept, that are black and white: -1 and 1 in the networks."""
        return (0.0, 255.0) if self.depth is None else self.range or (0.0, 65_535.0)

    @property
    def is_plain(self) -> bool:
        """Whether every program shows such images: 8 bits, grey or RGB."""
        return self.depth is None and self.shape[0] in (1, 3)

    @property
    def values_in_words(self) -> str:
        """What values are, such as `16-bit values from 0 (black) to 4095 (white)`."""
        low, high = self.bounds
        return f"{ {None: '8-bit', 16: '16-bit', 'float': 'float'}[self.depth] } values from {low:.10g} (black) to {high:.10g} (white)"

    @property
    def shown_in_words(self) -> str | None:
        """Which channels a picture shows; None where it shows all."""
        shown = self.shown(self.shape[0])
        if shown == tuple(range(1, self.shape[0] + 1)):
            return None
        many = f"channels {', '.join(map(str, shown))} as red, green and blue" if len(shown) == 3 else f"channel {shown[0]} in grey"
        return f"pictures show {many}"

    def shown(self, channels: int) -> tuple[int, ...]:
        """The channels, counted from 1, that a picture of images of so many shows: those of `show` where there are so many."""
        if self.show is not None and max(self.show) <= channels:
            return self.show
        return (1, 2, 3) if channels >= 3 else (1,)

    def levels(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Samples, or inputs, on the scale of 0 (black) to 255 (white): those of 8 bits as they are, others float32, not rounded."""
        if self.depth is None:
            return samples
        low, high = self.bounds
        return np.asarray((samples.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))).clip(0, 255)

    def pictured(self, samples: NDArray[Any]) -> NDArray[np.uint8]:
        """What a person sees of samples, or inputs, (..., C, H, W): uint8 (..., 1 or 3, H, W); likewise of clips."""
        axis = samples.ndim - len(self.shape)
        shown, channels = self.shown(samples.shape[axis]), samples.shape[axis]
        if shown != tuple(range(1, channels + 1)):
            samples = samples.take([number - 1 for number in shown], axis=axis)
        return samples if self.depth is None else np.rint(self.levels(samples)).astype(np.uint8)

    def noise(self, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
        """Values of all that there may be, drawn alike: inputs for where it does not matter what they show."""
        draw, (low, high) = np.random.default_rng(seed), self.bounds
        if self.depth == "float":
            return draw.uniform(low, high, shape).astype(np.float32)
        return draw.integers(math.ceil(low), math.floor(high) + 1, shape, dtype=self.dtype)

    def misfit(self, other: DatasetSpec) -> str | None:
        found = super().misfit(other)
        if found is None and isinstance(other, Pixels) and not self.stands_beside(other):
            return f"draws {self.values_in_words}, and the data has {other.values_in_words}"
        return found

    def stands_beside(self, other: DatasetSpec) -> bool:
        return isinstance(other, Pixels) and (self.depth, self.bounds) == (other.depth, other.bounds)

    @property
    def fit_in_words(self) -> str:
        """How files of another shape were brought to this one."""
        return FITS[self.fit or "crop"]

    def to_networks(self, samples: Tensor) -> Tensor:
        unit = images_to_unit(samples) if self.depth is None else values_to_unit(samples, *self.bounds)
        return unit.contiguous(memory_format=channels_last(samples.dim()))

    def to_samples(self, made: Tensor) -> Tensor:
        import torch

        if self.depth is None:
            return images_to_bytes(made).cpu().contiguous()
        values = unit_to_values(made, *self.bounds)
        return (values if self.depth == "float" else values.round_().to(torch.uint16)).cpu().contiguous()


def depth_of(samples: Mapping[str, Rows]) -> Literal[16, "float"] | None:
    """As `Pixels.depth`, of rows of images.

    Raises:
        DataError: their values are of none of the types that images are kept in.
    """
    found = {np.dtype(kept): depth for depth, kept in KEPT.items()}
    if (dtype := np.dtype(samples["train"].dtype)) not in found:
        raise DataError(f"images: {dtype} values are not kept; make them {', '.join(one.name for one in found)}")
    return found[dtype]


def numbers_of(labels: Mapping[str, Sequence[float] | NDArray[Any]] | None, classes: tuple[str, ...] | None) -> tuple[float, float] | None:
    """The range of the training split's labels, by split, where these are numbers; None where they are classes, or there are none.

    Raises:
        DataError: they are all the same.
    """
    if labels is None or classes is not None:
        return None
    found = Numbers.of(labels["train"])
    return found.low, found.high


@dataclass(frozen=True)
class Translated(Pixels):
    """Images, and images that they are to be made of."""

    def probe(self, generator: Generator, dataset: Dataset) -> Samples:
        return generator.translate(np.array(dataset.inputs["train"][:PROBE_INPUTS]))


class Spool:
    """Pictures (C, H, W) of one size and type, or clips (C, F, H, W), put down one after another in a file and read back by number.

    The number of samples in each split and the number of channels are only known when every source file was read once, and neither side
    ever holds more than a few samples in memory.
    """

    def __init__(self, path: Path, size: Sides, dtype: DTypeLike = np.uint8, channels: int | None = None) -> None:
        self._file = path.open("w+b", buffering=_BUFFER)
        self.size = size
        """Height and width of every picture; before them the frames of a clip."""
        self.dtype = np.dtype(dtype)
        """Of their values."""
        self._taken = (1, 3) if channels in (1, 3, None) else (channels,)
        self._channels = array("H")
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

    def append(self, pixels: NDArray[Any]) -> int:
        """Put down one picture, (C, H, W) with C of 1 or 3, or as many as are asked for, or clip; returns its number."""
        channels, *size = pixels.shape
        if pixels.dtype != self.dtype or (*size,) != self.size or channels not in self._taken:
            wanted = f"{self.dtype} ({' or '.join(map(str, self._taken))}, {', '.join(map(str, self.size))})"
            raise ValueError(f"expected {wanted}, not {pixels.dtype} {pixels.shape}")
        self._file.write(np.ascontiguousarray(pixels).data)
        self._channels.append(channels)
        self._offsets.append(self._end)
        self._end += pixels.nbytes
        return len(self._channels) - 1

    def read(self, number: int) -> NDArray[Any]:
        """The picture of that number."""
        shape = (self._channels[number], *self.size)
        self._file.flush()
        data = os.pread(self._file.fileno(), math.prod(shape) * self.dtype.itemsize, self._offsets[number])
        return np.frombuffer(data, dtype=self.dtype).reshape(shape)

    def usual_channels(self, numbers: Iterable[int]) -> int:
        """1 where most of these pictures are grey, 3 otherwise; where another number is asked for, that."""
        if self._taken != (1, 3):
            return self._taken[0]
        counts = [0, 0]
        for number in numbers:
            counts[self._channels[number] == 3] += 1
        return 1 if counts[0] > counts[1] else 3

    def rows(self, numbers: Sequence[int], channels: int) -> SpoolRows:
        """The pictures of these numbers, in grey or RGB or with all their channels, as an array's rows."""
        return SpoolRows(self, numbers, channels)


@dataclass(frozen=True)
class SpoolRows:
    """Pictures of a spool that are gone through as the rows of an array (N, C, H, W), one of them in memory at a time."""

    spool: Spool
    numbers: Sequence[int]
    channels: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.spool.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.numbers), self.channels, *self.spool.size

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (with_channels(self.spool.read(number), self.channels) for number in self.numbers)


def with_channels(pixels: NDArray[Any], channels: int) -> NDArray[Any]:
    """Pixels (C, H, W), or (C, F, H, W), as grey or RGB: grey is repeated, RGB becomes ITU-R 601 luma; of another number as they are."""
    if pixels.shape[0] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=0)
    if pixels.dtype != np.uint8:
        grey = np.tensordot(np.array(LUMA), pixels.astype(np.float64), axes=1)[None]
        return np.asarray((grey if pixels.dtype.kind == "f" else np.rint(grey)).astype(pixels.dtype))
    flat = pixels.reshape(3, -1, pixels.shape[-1]).transpose(1, 2, 0)
    return np.asarray(Image.fromarray(np.ascontiguousarray(flat)).convert("L")).reshape(1, *pixels.shape[1:])
