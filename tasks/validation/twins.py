"""Images that are nearly the same, as re-encoded uploads and neighbouring frames are: found by their pixels.

A held-out image with a near-twin in training is no new one: scores look better than they are, and copies of training images pass for
what the data are like. `data.seed` draws equal files together, since they have one digest; near-twins have to be looked for.

Images are averaged down to 16 x 16 pixels, and two are near-twins where these correlate by 0.995 or more: brightness and contrast do not
count, and colours do. Candidates are the nearest in a few main directions, in which no two images are further apart than in all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.kinds.pixels import Spool
from tasks.validation.inspection import Inspection, Row

CORRELATION = 0.995
"""Of the small pictures of two near-twins, at least."""

_SIDE = 16
_APART = math.sqrt(2 * (1 - CORRELATION))  # of two such pictures, each of mean 0 and length 1
_DIRECTIONS, _CANDIDATES = 12, 16
_FITTED_ON = 5_000  # images that the directions are found on


_MOST_HELD_OUT, _MOST = 1_000, 20_000  # images that are looked at for a word about them
_SHARE = 0.01  # of the held-out ones, from which there is one

Pictures = Callable[[Sequence[Row]], NDArray[np.float32]]
"""From rows of good samples to `small` of their images."""


def of_spool(inspection: Inspection) -> Pictures | None:
    """The pictures of what was inspected; None where that is no images."""
    spool = inspection.samples
    if not isinstance(spool, Spool):
        return None
    return lambda rows: small(spool.read(row.number) for row in rows if row.number is not None)


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


def small(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Pictures (N, 768), each of mean 0 and length 1, of uint8 images (C, H, W) with 1 or 3 channels."""
    rows = [np.asarray(_rgb(image).resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float32).ravel() for image in images]
    pictures: NDArray[np.float32] = np.stack(rows) if rows else np.zeros((0, 3 * _SIDE**2), dtype=np.float32)
    pictures -= pictures.mean(axis=1, keepdims=True)
    pictures /= np.maximum(np.linalg.norm(pictures, axis=1, keepdims=True), 1e-6)
    return pictures


def _rgb(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(np.repeat(image, 3 // image.shape[0], axis=0).transpose(1, 2, 0)))


def pairs_of_twins(pictures: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    """Near-twins of pictures (N, D) among others (M, D), as `small` gives them: rows of two indices (P, 2)."""
    from scipy.spatial import cKDTree  # slow to import

    if not len(pictures) or not len(others):
        return np.zeros((0, 2), dtype=np.int64)
    some = others[:: math.ceil(len(others) / _FITTED_ON)].astype(np.float64)
    directions = np.linalg.eigh(some.T @ some)[1][:, -_DIRECTIONS:]
    tree = cKDTree(others @ directions)
    distances, nearest = tree.query(pictures @ directions, k=min(_CANDIDATES, len(others)), distance_upper_bound=_APART * 1.001)
    rows, columns = np.nonzero(np.isfinite(distances.reshape(len(pictures), -1)))
    found: NDArray[np.int64] = np.stack([rows, nearest.reshape(len(pictures), -1)[rows, columns]], axis=1).astype(np.int64)
    found = found[np.linalg.norm(pictures[found[:, 0]] - others[found[:, 1]], axis=1) <= _APART]
    return found


def together(keys: Sequence[str], pictures: NDArray[np.float32]) -> list[str]:
    """The keys (N) that sides are drawn by, with one for all near-twins, and twins of twins: the first of theirs by alphabet."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = pairs_of_twins(pictures, pictures)
    n = len(keys)
    graph: Any = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    groups = connected_components(graph, directed=False)[1]
    first: dict[int, str] = {}
    for group, key in zip(groups.tolist(), keys, strict=True):
        first[group] = min(key, first.get(group, key))
    return [first[group] for group in groups.tolist()]
