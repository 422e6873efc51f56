"""What samples are labelled with: classes, or numbers, such as ages and angles. Everything else asks one of the two.

A data set's labels are stored as an index into its classes, int64, or as the numbers themselves, float32. A generator by label is asked
for one of the classes, or for a number within the range of those that it was trained on.
"""

from __future__ import annotations

import math
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

Labels = NDArray[Any]
"""(N,) of samples: int64 or float32."""
_SHOWN = 20  # classes in a message
_GROUPS = 8  # parts of a range in which numbers are taken for alike


class Condition(ABC):
    """What labels are, and so what a generator by label can be asked for."""

    dtype: ClassVar[type[np.generic]]
    """Of labels as they are stored."""

    @abstractmethod
    def read(self, label: float | str) -> float:
        """The label as it is stored that a person names.

        Raises:
            ConfigError: there is no such label.
        """

    @abstractmethod
    def named(self, label: float) -> str | float:
        """A stored label as a person reads it."""

    @abstractmethod
    def evenly(self, n: int) -> Labels:
        """Labels (n,) of samples that nobody asked a label for."""

    @abstractmethod
    def fits(self, labels: NDArray[Any]) -> bool:
        """Whether stored labels (n,) are all of those that there are."""

    @abstractmethod
    def others(self, labels: Tensor) -> Tensor:
        """Of each label (N,) another one, drawn from torch's global random state."""

    @abstractmethod
    def groups(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Which labels (N,) are alike: (N,), for each the place of its group among `group_names`."""

    @property
    @abstractmethod
    def group_names(self) -> tuple[str, ...]:
        """What such groups are called."""

    @property
    @abstractmethod
    def usual(self) -> float:
        """The label of samples that are all to have the same, where none is named."""

    @property
    @abstractmethod
    def stored(self) -> str:
        """What stored labels are, in words."""

    @property
    @abstractmethod
    def in_words(self) -> str:
        """What there is to ask for, of many classes the first."""

    @property
    def listed(self) -> str:
        """The same, all of it."""
        return self.in_words

    @property
    def in_short(self) -> str:
        """The same, of classes how many."""
        return self.in_words


@dataclass(frozen=True)
class Classes(Condition):
    """Each sample is of one of some classes."""

    dtype: ClassVar[type[np.generic]] = np.int64

    names: tuple[str, ...]

    def read(self, label: float | str) -> int:
        """The index of a class given by name, or by index where no class is named by a number.

        Of classes such as -1 and 1, or 1 to 10, a number that is none of them is a mistake, not a place among them.
        """
        text = str(label)
        if text in self.names:
            return self.names.index(text)
        # Keyboards write composed accents, and macOS folders others.
        composed, *names = (unicodedata.normalize("NFC", one) for one in (text, *self.names))
        if names.count(composed) == 1:
            return names.index(composed)
        named_by_number = any(number_in(name) is not None for name in self.names)
        if not named_by_number and text.isdecimal() and len(text) < 10 and int(text) < len(self.names):
            return int(text)
        hint = "; numbers are names here, so it is asked by name" if named_by_number and number_in(text) is not None else ""
        raise ConfigError(f"label: no class {text[:80]!r}; this generator knows {self.in_words}{hint}")

    def named(self, label: float) -> str:
        return self.names[int(label)]

    def evenly(self, n: int) -> NDArray[np.int64]:
        """Each class in turn."""
        return np.arange(n) % len(self.names)

    def fits(self, labels: NDArray[Any]) -> bool:
        return bool(labels.min() >= 0 and labels.max() < len(self.names))

    def others(self, labels: Tensor) -> Tensor:
        import torch

        return (labels + torch.randint_like(labels, 1, len(self.names))) % len(self.names)

    def groups(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        return labels

    @property
    def group_names(self) -> tuple[str, ...]:
        return self.names

    @property
    def usual(self) -> int:
        """The first."""
        return 0

    @property
    def stored(self) -> str:
        return f"0 to {len(self.names) - 1}"

    @property
    def in_words(self) -> str:
        return ", ".join(self.names[:_SHOWN]) + (", ..." if len(self.names) > _SHOWN else "")

    @property
    def listed(self) -> str:
        return ", ".join(self.names)

    @property
    def in_short(self) -> str:
        return f"{len(self.names)} classes"


@dataclass(frozen=True)
class Numbers(Condition):
    """Each sample has a number."""

    dtype: ClassVar[type[np.generic]] = np.float32

    low: float
    high: float
    """The least and the greatest of the training split."""

    @classmethod
    def of(cls, numbers: Sequence[float] | NDArray[Any]) -> Numbers:
        """The range of a training split's labels, (N,), as float32 holds them.

        Raises:
            DataError: they are all the same.
        """
        low, high = float(np.min(np.asarray(numbers, cls.dtype))), float(np.max(np.asarray(numbers, cls.dtype)))
        if not low < high:
            raise DataError(f"labels: every sample has the number {_short(low)}, so there is nothing to tell apart by it")
        return cls(low, high)

    def read(self, label: float | str) -> float:
        """A number within the range."""
        number = number_in(label)
        if number is None or not self.fits(np.array([number])):
            what = f"{str(label)[:80]!r} is no number" if number is None else f"{_short(number)} is outside what it was trained on"
            raise ConfigError(f"label: {what}; this generator knows {self.in_words}")
        return number

    def read_range(self, text: str) -> tuple[float, float] | None:
        """The two ends of `20:60`; None where the text is no range.

        Raises:
            ConfigError: as `read`, of an end.
        """
        first, mark, last = text.partition(":")
        return (self.read(first), self.read(last)) if mark else None

    def named(self, label: float) -> float:
        return named_number(label)

    def evenly(self, n: int) -> NDArray[np.float32]:
        """From the least to the greatest in equal steps."""
        return np.linspace(self.low, self.high, n, dtype=self.dtype) if n > 1 else np.full(n, self.usual, dtype=self.dtype)

    def fits(self, labels: NDArray[Any]) -> bool:
        stored = labels.astype(self.dtype)
        return bool((stored >= self.low).all() and (stored <= self.high).all())

    def others(self, labels: Tensor) -> Tensor:
        """At least a quarter of the range away, where its two ends are one."""
        import torch

        span = self.high - self.low
        away = (labels - self.low + span * (0.25 + 0.5 * torch.rand_like(labels))) % span
        return self.low + away

    def groups(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Those of one eighth of the range."""
        return np.asarray(np.clip(self.shares(labels) * _GROUPS, 0, _GROUPS - 1), dtype=np.int64)

    @property
    def group_names(self) -> tuple[str, ...]:
        ends = np.linspace(self.low, self.high, _GROUPS + 1)
        return tuple(f"{one:.4g} to {other:.4g}" for one, other in pairwise(ends))

    def shares(self, labels: Any) -> Any:
        """Where labels, an array or a tensor, lie in the range: 0 to 1."""
        return (labels - self.low) / (self.high - self.low)

    def within(self, labels: NDArray[Any]) -> NDArray[np.float32]:
        """Labels with those outside the range at its ends, as those of held-out samples may be."""
        return np.asarray(np.clip(labels, self.low, self.high), dtype=self.dtype)

    @property
    def usual(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def stored(self) -> str:
        return self.in_words

    @property
    def in_words(self) -> str:
        return f"numbers from {' to '.join(self.ends)}"

    @property
    def ends(self) -> tuple[str, str]:
        """The least and the greatest as texts, which can be asked for."""
        return _short(self.low), _short(self.high)


def named_number(label: float) -> float:
    """A stored number with as few digits as tell it from others."""
    return float(str(np.float32(label)))


def number_in(text: float | str) -> float | None:
    """The finite number that a text is; None where it is none."""
    with suppress(ValueError, OverflowError):
        return number if math.isfinite(number := float(text)) else None
    return None


def _short(number: float) -> str:
    return str(np.float32(number)).removesuffix(".0")
