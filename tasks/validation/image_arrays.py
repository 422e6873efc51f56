"""Images in arrays of many: MNIST's four files, or NumPy's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.errors import DataError
from gan_core.kinds.pixels import Spool
from tasks.params import DataParams, ValidateParams
from tasks.sources.idx import CLASSES, read_idx
from tasks.sources.raw import RawReader
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import Bounds, Extent, Shape, array_statistics, as_pixels, check_blank, check_size, fit, to_levels
from tasks.validation.inspection import Inspection, OnRow, Row, each_told, read_npy
from tasks.validation.ranges import Ranges

_ARRAY_BLOCK = 4_096


@dataclass(frozen=True)
class _Array:
    path: str
    images: NDArray[np.uint8]
    """(N, H, W) or (N, H, W, C) with C = 1 or 3."""
    labels: NDArray[Any]


def inspect_arrays(raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
    """Look at every image of the arrays.

    Raises:
        DataError: a file does not hold what it should, or raw is damaged.
    """
    arrays, classes = _read_idx_files(raw) if raw.kind == "idx" else _read_npy_files(raw)
    shape = Shape(data.asked_sides or (min(arrays[0].images.shape[1:3]),) * 2, data.fit)
    images = Spool(spool, shape.size)
    extents = [Extent(int(one.images.min()), int(one.images.max()), 255) for one in arrays if one.images.size]
    ranges = Ranges.of(data.range, extents)
    for extent in extents:
        ranges.add(extent)
    rows = (row for one in arrays for row in _array_rows(one, classes, limits, ranges.bounds, images, shape))
    counted = each_told(rows, sum(len(one.images) for one in arrays), on_row)
    return Inspection(counted, classes, images, range=ranges.bounds, notes=ranges.notes())


def _read_idx_files(raw: RawReader) -> tuple[list[_Array], tuple[str, ...]]:
    name = raw.about.source.partition("://")[2]
    classes = CLASSES.get(name, tuple(map(str, range(10))))
    arrays = []
    for part in ("train", "t10k"):
        images_path, labels_path = f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"
        images = read_idx(raw.read_path(images_path), 3, f"{raw.folder}: {images_path}")
        labels = read_idx(raw.read_path(labels_path), 1, f"{raw.folder}: {labels_path}")
        _check_pair(images, f"{raw.folder}: {images_path}", labels, f"{raw.folder}: {labels_path}", classes)
        arrays.append(_Array(images_path, images, labels))
    if arrays[0].images.shape[1:] != arrays[1].images.shape[1:]:
        raise DataError(f"{raw.folder}: images of {arrays[0].path} and {arrays[1].path} differ in size")
    return arrays, classes


def _read_npy_files(raw: RawReader) -> tuple[list[_Array], tuple[str, ...]]:
    images, labels = read_npy(raw, "images.npy"), read_npy(raw, "labels.npy")
    where = f"{raw.folder}: images.npy"
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise DataError(f"{where}: holds {images.dtype} {images.shape}; expected uint8 (N, H, W) or (N, H, W, 1 or 3)")
    try:
        classes = tuple(map(str, json.loads(raw.read_path("classes.json"))))
    except (ValueError, TypeError) as error:
        raise DataError(f"{raw.folder}: classes.json: no list of names ({error})") from None
    _check_pair(images, where, labels, f"{raw.folder}: labels.npy", classes)
    return [_Array("images.npy", images, labels)], classes


def _check_pair(images: NDArray[Any], images_path: str, labels: NDArray[Any], labels_path: str, classes: tuple[str, ...]) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{labels_path}: holds {labels.dtype} {labels.shape}; expected one whole number a sample")
    if len(images) != len(labels):
        raise DataError(f"{labels_path}: has {len(labels):,} labels, and {images_path} {len(images):,} images")
    if min(images.shape[1:3]) < 1:
        raise DataError(f"{images_path}: images of {images.shape[1]} x {images.shape[2]} pixels")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise DataError(
            f"{labels_path}: label {labels[wrong[0]]} at index {wrong[0]:,}, and there are {len(classes)} classes, counted from 0"
            + (f" (and {len(wrong) - 1:,} more such labels)" if len(wrong) > 1 else "")
        )


def _array_rows(
    array: _Array, classes: tuple[str, ...], limits: ValidateParams, bounds: Bounds | None, spool: Spool, shape: Shape
) -> Iterator[Row]:
    count, height, width = array.images.shape[:3]
    mode = "RGB" if array.images.ndim == 4 and array.images.shape[3] == 3 else "L"
    for start in range(0, count, _ARRAY_BLOCK):
        stored = np.ascontiguousarray(array.images[start : start + _ARRAY_BLOCK])
        images = stored if bounds is None else to_levels(stored, bounds)
        means, stds = array_statistics(images)
        for i, image in enumerate(images):
            path, label = f"{array.path}#{start + i}", classes[int(array.labels[start + i])]
            sha256 = hashlib.sha256(stored[i].data).hexdigest()
            mean, std = float(means[i]), float(stds[i])
            try:
                check_size(width, height, limits)
                check_blank(std, limits)
            except UnusableImageError as reason:
                yield Row(path, sha256, label, str(reason))
            else:
                yield Row(path, sha256, label, None, spool.append(_fitted(image, shape)), None, width, height, mode, mean, std)


def _fitted(image: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """One picture (H, W) or (H, W, C) as (C, *size)."""
    if image.shape[:2] != shape.size:
        flat = image[..., 0] if image.shape[2:] == (1,) else image
        return as_pixels(fit(Image.fromarray(flat), shape))
    return np.atleast_3d(image).transpose(2, 0, 1)
