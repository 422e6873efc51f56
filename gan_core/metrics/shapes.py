"""Volumes beside volumes: by how much two overlap, and what a set of them looks like beside another (Achlioptas et al., 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HALF = 128  # from which on a voxel counts as filled


@dataclass(frozen=True)
class Matches:
    """What the nearest neighbours of real and of generated volumes say, as many of both at best."""

    nearest: NDArray[np.int64]
    """(M,) which real one each generated one is nearest to; -1 where it overlaps with none."""
    told_real: NDArray[np.float64]
    """(N,) 1 for a real one whose nearest neighbour among all others is real, 0.5 where a generated one is as near."""
    told_generated: NDArray[np.float64]
    """(M,) likewise for generated ones."""

    @property
    def coverage(self) -> float:
        """The share of real volumes that are the nearest of some generated one, 0 to 1."""
        return self.coverage_of(np.arange(len(self.told_real)), np.arange(len(self.nearest)))

    def coverage_of(self, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        """The same among some of both, by indices."""
        covered = np.zeros(len(self.told_real), dtype=bool)
        nearest = self.nearest[generated]
        covered[nearest[nearest >= 0]] = True
        return float(covered[real].mean())

    @property
    def accuracy(self) -> float:
        """Of telling the two sets apart by the nearest neighbour (1-NNA: Yang et al., 2019): 0.5 where nothing does, 1 where all does."""
        return float((self.told_real.mean() + self.told_generated.mean()) / 2)


def matches(real: NDArray[np.uint8], generated: NDArray[np.uint8]) -> Matches:
    """The nearest neighbours, by overlap, of real volumes (N, 1, X, Y, Z) and generated ones (M, 1, X, Y, Z), at least two of each."""
    across = overlaps(real, generated)
    among_real, among_generated = overlaps(real, real), overlaps(generated, generated)
    for one in (among_real, among_generated):
        np.fill_diagonal(one, -1.0)

    def told(own: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
        nearest, others = own.max(axis=1), other.max(axis=1)
        closer: NDArray[np.float64] = (nearest > others) + 0.5 * (nearest == others)
        return closer

    nearest = np.where(across.max(axis=0) > 0, across.argmax(axis=0), -1)
    return Matches(nearest, told(among_real, across), told(among_generated, across.T))


def overlaps(volumes: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What two volumes share of what both fill together (intersection over union), 0 to 1: (N, 1, X, Y, Z), (M, 1, X, Y, Z) -> (N, M).

    Two empty ones are equal: 1.
    """
    first, second = (_filled(some).reshape(len(some), -1).astype(np.float32) for some in (volumes, others))
    shared = first @ second.T
    both = first.sum(axis=1)[:, None] + second.sum(axis=1)[None, :] - shared
    return np.asarray(np.where(both > 0, shared / np.maximum(both, 1), 1.0), dtype=np.float32)


def in_one_piece(volumes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the largest piece has of all filled voxels of each volume (N, 1, X, Y, Z), 0 to 1; 0 for an empty one. Faces join voxels."""
    return np.array([largest / max(filled, 1) for largest, filled, _ in map(_pieces, _filled(volumes)[:, 0])])


def pieces(filled: NDArray[np.bool_]) -> int:
    """How many pieces a volume (X, Y, Z) consists of. Faces join voxels."""
    return _pieces(filled)[2]


def _pieces(filled: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Voxels of the largest piece, of all, and how many pieces there are."""
    from scipy import ndimage

    labels, count = ndimage.label(filled)
    sizes = np.bincount(labels.ravel())[1:]
    return int(sizes.max(initial=0)), int(sizes.sum()), int(count)


def _filled(volumes: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(volumes >= _HALF)
