"""Images that are nearly the same, as re-encoded uploads and neighbouring frames are: found by their pixels.

A held-out image with a near-twin in training is no new one: scores look better than they are, and copies of training images pass for
what the data are like. `data.seed` draws equal files together, since they have one digest; near-twins have to be looked for.

Images are averaged down to 16 x 16 pixels, and two are near-twins where these correlate by 0.995 or more: brightness and contrast do not
count, and colours do. Candidates are the nearest in a few main directions of 4 x 4 pixels, in which no two images are further apart than
in all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.pixels import Spool
from tasks.validation.inspection import Inspection, Row
from tasks.validation.packing import joined

CORRELATION = 0.995
"""Of the small pictures of two near-twins, at least."""

_SIDE = 16
_APART = math.sqrt(2 * (1 - CORRELATION))  # of two such pictures, each of mean 0 and length 1
_COARSE = 4
_DIRECTIONS, _CANDIDATES = 12, 16
_FEW = 1 << 24  # pairs of images of which each is looked at, before a tree would be there
_ROWS = 32
_BATCH = 256


_MOST_HELD_OUT, _MOST = 1_000, 20_000  # images that are looked at for a word about them
_SHARE = 0.01  # of the held-out ones, from which there is one

Pictures = Callable[[Sequence[Row]], NDArray[np.float32]]
"""From rows of good samples to `small` of their images."""


def of_spool(inspection: Inspection) -> Pictures | None:
    """The pictures of what was inspected; None where that is no images."""
    spool = inspection.samples
    if not isinstance(spool, Spool):
        return None
    return lambda rows: small(_still(spool.read(row.number)) for row in rows if row.number is not None)


def _still(pixels: NDArray[Any]) -> NDArray[Any]:
    """Of an image what counts; of a clip (C, F, H, W) four of its frames, from the first to the last, in a square."""
    pixels = pixels[: 3 if len(pixels) >= 3 else 1]
    if pixels.ndim == 3:
        return pixels
    one, two, three, four = (pixels[:, round(share * (pixels.shape[1] - 1) / 3)] for share in range(4))
    return np.concatenate([np.concatenate([one, two], axis=2), np.concatenate([three, four], axis=2)], axis=1)


def across(packed: Mapping[str, Sequence[Row]], pictures: Pictures) -> str | None:
    """What a person should know of near-twins on both sides of the split; None where they are less than 1 % of the held-out images.

    Up to 1,000 held-out and 20,000 training images are looked at. Equal files are on one side anyway.
    """
    train = packed["train"][:: math.ceil(len(packed["train"]) / _MOST) or 1]
    held_out = packed["holdout"][:_MOST_HELD_OUT]
    pairs = pairs_of_twins(pictures(held_out), pictures(train))
    met = len(np.unique(pairs[:, 0]))
    if met <= _SHARE * len(held_out):
        return None
    one, other = pairs[0]
    return (
        f"{met:,} of {len(held_out):,} held-out images have a near-twin in training, such as {held_out[one].path} and {train[other].path}: "
        "scores look better than they are; set validate.near_twins: together, which keeps near-twins on one side"
    )


def small(images: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    """Pictures (N, 768), each of mean 0 and length 1, of images (C, H, W) of one size; of other than 1 or 3 channels the first counts, or
    the first three."""
    pictures = [_averaged(np.stack(list(batch)), _SIDE) for batch in _alike(images)]
    if not pictures:
        return np.zeros((0, 3 * _SIDE**2), dtype=np.float32)
    found = np.concatenate(pictures).reshape(-1, 3 * _SIDE**2)
    found -= found.mean(axis=1, keepdims=True)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return found


def _alike(images: Iterable[NDArray[Any]]) -> Iterator[list[NDArray[Any]]]:
    """Runs of images of one shape, at most `_BATCH` of them."""
    for _, run in groupby(images, key=lambda image: image.shape):
        while batch := list(islice(run, _BATCH)):
            yield batch


def _averaged(images: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Images (N, C, H, W) with 1 or 3 channels averaged down to (N, 3, side, side); a pixel on a border counts on both sides in part."""
    down, across = (shares_of_boxes(length, side) for length in images.shape[2:])
    made: NDArray[np.float32] = down @ (images.astype(np.float32) @ across.T)
    return np.broadcast_to(made, (len(made), 3, side, side))


@lru_cache
def shares_of_boxes(length: int, side: int) -> NDArray[np.float32]:
    """The share (side, length) that each of `length` pixels has of each of `side` boxes of equal width."""
    edges = np.linspace(0, length, side + 1)
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares: NDArray[np.float32] = (np.maximum(covered, 0) * side / length).astype(np.float32)
    return shares


def pairs_of_twins(pictures: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    """Near-twins of pictures (N, D) among others (M, D), as `small` gives them: rows of two indices (P, 2)."""
    if not len(pictures) or not len(others):
        return np.zeros((0, 2), dtype=np.int64)
    coarse = _coarse(others)
    directions = np.linalg.eigh(coarse.T @ coarse)[1][:, -_DIRECTIONS:]
    found = _candidates(_coarse(pictures) @ directions, coarse @ directions)
    near: NDArray[np.int64] = found[np.linalg.norm(pictures[found[:, 0]] - others[found[:, 1]], axis=1) <= _APART]
    return near


def _coarse(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (N, 768) in the directions (N, 48) that blocks of their pixels share."""
    block = _SIDE // _COARSE  # of so many pixels square, whose mean times it is a length in their common direction
    return block * _averaged(pictures.reshape(-1, 3, _SIDE, _SIDE), _COARSE).reshape(len(pictures), -1)


def _candidates(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    """Of each point (N, D) the nearest others (M, D) that are near enough for a twin, at most 16 where they are many: (P, 2)."""
    bound = _APART * 1.001
    if len(points) * len(others) <= _FEW:
        of_others, directions = np.square(others).sum(axis=1), np.ascontiguousarray(-2 * others.T)
        most = bound**2 - np.square(points).sum(axis=1)
        found: list[NDArray[np.int64]] = []
        for start in range(0, len(points), _ROWS):  # so few at once that they stay in the processor's cache
            # Squared, and without the part that is the points' own.
            beyond = points[start : start + _ROWS] @ directions + of_others
            found.append(np.argwhere(beyond <= most[start : start + _ROWS, None]) + np.array([start, 0]))
        return np.concatenate(found)
    from scipy.spatial import cKDTree  # slow to import

    distances, nearest = cKDTree(others).query(points, k=min(_CANDIDATES, len(others)), distance_upper_bound=bound)
    rows, columns = np.nonzero(np.isfinite(distances.reshape(len(points), -1)))
    return np.stack([rows, nearest.reshape(len(points), -1)[rows, columns]], axis=1).astype(np.int64)


def together(keys: Sequence[str], pictures: NDArray[np.float32]) -> list[str]:
    """The keys (N) that sides are drawn by, with one for all near-twins, and twins of twins: the first of theirs by alphabet."""
    return joined(keys, pairs_of_twins(pictures, pictures).tolist())
