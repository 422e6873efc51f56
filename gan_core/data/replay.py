"""Data of the past beside new data: a share of each batch from what a start was trained on, so that nothing of it is forgotten.

Rehearsal (Robins, 1995), in the simplest form: old samples as they are, a fixed number in every batch. Which ones is, like the order of
the new samples, a function of the seed and of the samples seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.data.gather import Gather
from gan_core.data.labels import Labels
from gan_core.data.shuffle import Balanced, Shuffle
from gan_core.errors import ConfigError, DataError
from gan_core.randomness import mix

_OLD = 3  # apart from the orders of the new samples
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Replay:
    """What of an older data set's training split is shown again."""

    dataset: Dataset
    rows: NDArray[np.int64]
    """(N,) those of its training split that are."""
    labels: Labels | None
    """(N,) of each, among the classes of the new data, or its number."""
    of_batch: tuple[int, int]
    """So many samples of every batch of so many."""

    @classmethod
    def of(cls, new: Dataset, old: Dataset, share: float, batch: int) -> Self:
        """What can be shown again beside new data: not what these hold out by now, nor of classes that they no longer have.

        Args:
            share: of every batch, 0 to 1; at least one sample, and not all.

        Raises:
            ConfigError: a batch is too small, or the data are of a kind that is not replayed.
            DataError: the two do not fit together, or nothing is left.
        """
        count = min(max(round(share * batch), 1), batch - 1)
        if old.captions or new.captions or not new.spec.has_partners:
            raise ConfigError(f"train.replay: is not for {new.spec.kind}; leave it out")
        if reason := _misfit(new, old):
            raise DataError(f"train.replay: the data that the start was trained on {reason}; leave it out")
        rows, labels = np.arange(old.spec.counts["train"]), None
        if new.spec.numbers is not None:
            labels = old.labels["train"]
        if new.spec.classes is not None:
            index = {name: number for number, name in enumerate(new.spec.classes)}
            labels = np.array([index.get(name, -1) for name in old.spec.classes or ()])[old.labels["train"]]
            rows = rows[labels >= 0]
        kept_apart = {one for split in new.spec.splits[1:] for one in _digests(new.samples[split], np.arange(new.spec.counts[split]))}
        rows = rows[np.array([one not in kept_apart for one in _digests(old.samples["train"], rows)], dtype=bool)]
        if not len(rows):
            raise DataError("train.replay: nothing is left of the data that the start was trained on; leave it out")
        return cls(old, rows, None if labels is None else labels[rows], (count, batch))

    @property
    def in_words(self) -> str:
        """In a line."""
        count, batch = self.of_batch
        return f"{count} samples of each batch of {batch} are of the {len(self.rows):,} that it was trained on"


def _misfit(new: Dataset, old: Dataset) -> str | None:
    """Why samples of one cannot stand beside those of the other, as the end of a sentence."""
    here, there = new.spec, old.spec
    if (here.kind, here.shape, here.inputs) != (there.kind, there.shape, there.inputs):
        return f"has {there.kind} of shape {there.shape}, and this one has {here.kind} of shape {here.shape}"
    if (here.condition is None) != (there.condition is None):
        return f"has {'no ' if there.condition is None else ''}labels, unlike this one"
    if (here.classes is None) != (there.classes is None):
        return f"is labelled with {'numbers' if there.classes is None else 'classes'}, unlike this one"
    if not here.stands_beside(there):
        return "has other columns, or values of another kind, than this one"
    return None


def _digests(samples: NDArray[Any], rows: NDArray[np.int64]) -> list[bytes]:
    """Of each of these samples, (N,)."""
    gather, found = Gather(samples), list[bytes]()
    for start in range(0, len(rows), _AT_ONCE):
        found += [hashlib.sha256(row.tobytes()).digest() for row in gather.rows(rows[start : start + _AT_ONCE])]
    return found


class Mixed:
    """An endless order of new samples, 0..count-1, and among them old ones, whose numbers follow: a fixed number in every batch."""

    def __init__(self, new: Shuffle | Balanced, replay: Replay, seed: int) -> None:
        self._new = new
        self._old = Shuffle(len(replay.rows), mix(seed, _OLD))
        self._of_batch = replay.of_batch

    def indices(self, seen: int, size: int) -> NDArray[np.int64]:
        """The `size` indices that follow the first `seen` ones: int64 (size,)."""
        count, batch = self._of_batch
        old_before = np.arange(seen, seen + size + 1) * count // batch
        is_old = np.diff(old_before).astype(bool)
        found, first, many = np.empty(size, dtype=np.int64), int(old_before[0]), int(is_old.sum())
        found[is_old] = self._new.count + self._old.indices(first, many) if many else 0
        found[~is_old] = self._new.indices(seen - first, size - many) if many < size else 0
        return found


class Joined:
    """Rows of two arrays by their numbers, those of the second after those of the first."""

    def __init__(self, first: NDArray[Any], second: NDArray[Any], rows: NDArray[np.int64]) -> None:
        self._first, self._second, self._rows = Gather(first), Gather(second), rows

    def __len__(self) -> int:
        return len(self._first) + len(self._rows)

    def rows(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of the rows (N, ...) of these numbers, (N,)."""
        count, is_second = len(self._first), indices >= len(self._first)
        first, second = self._first.rows(indices[~is_second]), self._second.rows(self._rows[indices[is_second] - count])
        found = np.empty((len(indices), *first.shape[1:]), first.dtype)
        found[~is_second], found[is_second] = first, second
        return found
