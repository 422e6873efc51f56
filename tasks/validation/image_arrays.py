"""Images in arrays of many: MNIST's four files, or NumPy's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.data.labels import number_in
from gan_core.errors import DataError
from gan_core.kinds.pixels import Spool
from tasks.params import DataParams, ValidateParams
from tasks.sources.array_heads import ArrayHead, paired
from tasks.sources.idx import CLASSES, read_idx
from tasks.sources.raw import RawReader, safe_path
from tasks.validation.bands import extent_in, picture_of
from tasks.validation.formats import UnusableImageError, raster_of
from tasks.validation.image_files import row_of
from tasks.validation.images import Bounds, Extent, Shape, array_statistics, as_pixels, check_blank, check_size, fit, to_levels
from tasks.validation.inspection import Inspection, OnRow, Row, each_told, read_npy
from tasks.validation.ranges import Ranges

_ARRAY_BLOCK = 4_096


@dataclass(frozen=True)
class _Array:
    path: str
    images: NDArray[Any]
    """Of numbers, (N, H, W) or (N, H, W, C)."""
    labels: Sequence[str] | None
    """The name of each one's class, or its number; None where there are none."""

    @property
    def is_plain(self) -> bool:
        """Whether they are of 8 bits in grey or RGB."""
        return self.images.dtype == np.uint8 and (self.images.ndim == 3 or self.images.shape[3] in (1, 3))


def inspect_arrays(raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
    """Look at every image of the arrays.

    Raises:
        DataError: a file does not hold what it should, or raw is damaged.
    """
    arrays, classes = _read_idx_files(raw) if raw.kind == "idx" else _read_npy_files(raw, data)
    sides = data.asked_sides or (min(arrays[0].images.shape[1:3]),) * 2
    shape = Shape(sides, data.fit, channels=data.channels, depth=data.depth)
    images = Spool(spool, shape.size, shape.dtype, shape.channels)
    if shape.is_plain and all(one.is_plain for one in arrays):
        extents = [Extent(int(one.images.min()), int(one.images.max()), 255) for one in arrays if one.images.size]
        ranges = Ranges.of(data.range, extents)
        for extent in extents:
            ranges.add(extent)
        rows = (row for one in arrays for row in _plain_rows(one, limits, ranges.bounds, images, shape))
    else:
        ranges = Ranges.of(data.range, (one for array in arrays for one in _extents(array)))
        rows = (row for one in arrays for row in _deep_rows(one, limits, ranges, images, shape))
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
        arrays.append(_Array(images_path, images, _named(labels, classes)))
    if arrays[0].images.shape[1:] != arrays[1].images.shape[1:]:
        raise DataError(f"{raw.folder}: images of {arrays[0].path} and {arrays[1].path} differ in size")
    return arrays, classes


def _read_npy_files(raw: RawReader, data: DataParams) -> tuple[list[_Array], tuple[str, ...] | None]:
    paths = [member.path for member in raw.members]
    arrays = {path.removesuffix(".npy"): read_npy(raw, path) for path in paths if path.endswith(".npy")}
    heads = [ArrayHead(name, array.shape, array.dtype, is_fortran=False, start=0) for name, array in arrays.items()]
    try:
        pairs, left = paired(heads)
    except DataError as error:
        raise DataError(f"{raw.folder}: {error}") from None
    if left or not pairs:
        raise DataError(f"{raw.folder}: holds {', '.join(left) or 'no array'}; expected arrays of images, N x H x W, and of their labels")
    classes = _read_classes(raw) if "classes.json" in paths else None
    found = []
    for one in pairs:
        where = f"{raw.folder}: {one.images.name}.npy"
        images = _channels_last(arrays[one.images.name], data.channels, where)
        labels = None if one.labels is None or data.labels == "none" else arrays[one.labels.name]
        if classes is not None and labels is not None and one.labels is not None:
            _check_pair(images, where, labels, f"{raw.folder}: {one.labels.name}.npy", classes)
            found.append(_Array(f"{one.images.name}.npy", images, _named(labels, classes)))
        else:
            found.append(_Array(f"{one.images.name}.npy", images, None if labels is None else _as_names(labels.reshape(-1))))
    first = found[0]
    for other in found[1:]:
        if other.images.shape[1:] != first.images.shape[1:] or other.images.dtype != first.images.dtype:
            raise DataError(f"{raw.folder}: images of {first.path} and {other.path} differ in size or type")
        if (other.labels is None) != (first.labels is None):
            bare = next(one.path for one in (first, other) if one.labels is None)
            raise DataError(f"{raw.folder}: {bare} has no labels, and others have; set data.labels: none to take all without")
    return found, classes if classes is not None or first.labels is None else _classes_of(found, data, raw)


def _read_classes(raw: RawReader) -> tuple[str, ...]:
    try:
        return tuple(map(str, json.loads(raw.read_path("classes.json"))))
    except (ValueError, TypeError) as error:
        raise DataError(f"{raw.folder}: classes.json: no list of names ({error})") from None


def _channels_last(images: NDArray[Any], asked: int | None, where: str) -> NDArray[Any]:
    """Images as (N, H, W) or (N, H, W, C).

    Raises:
        DataError: which axis the channels are is not told; begins with `where`.
    """
    if images.ndim == 3:
        if asked not in (None, 1, 3):
            raise DataError(f"{where}: grey images, {' x '.join(map(str, images.shape))}, and data.channels asks for {asked}")
        return images
    wanted = (1, 3) if asked in (None, 1, 3) else (asked,)
    if images.shape[3] in wanted:
        return images
    if images.shape[1] in wanted:
        return np.moveaxis(images, 1, 3)
    likely = min(images.shape[1], images.shape[3])
    raise DataError(
        f"{where}: images of {' x '.join(map(str, images.shape[1:]))}, of which neither the first nor the last side is "
        f"{' or '.join(map(str, wanted))} channels (data.channels); where they have {likely}, say data.channels: {likely}"
    )


def _named(labels: NDArray[Any], classes: Sequence[str]) -> list[str]:
    return [classes[index] for index in labels.tolist()]


def _as_names(labels: NDArray[Any]) -> list[str]:
    """Labels (N,), numbers or words, as words."""
    if labels.dtype.kind == "f":
        return [f"{value:.9g}" for value in labels.tolist()]
    return [safe_path(" ".join(str(value).split())) for value in labels.tolist()]


def _classes_of(arrays: Sequence[_Array], data: DataParams, raw: RawReader) -> tuple[str, ...]:
    """The classes that labels name, in the order of numbers where they are these.

    Raises:
        DataError: they are no classes.
    """
    names = sorted({label for one in arrays for label in one.labels or ()})
    numbers = {name: number_in(name) for name in names}
    if any(number is None for number in numbers.values()):
        return tuple(names)
    is_number = data.label_as == "number" or data.bins is not None
    if not is_number and any(number is not None and number != int(number) for number in numbers.values()):
        broken = next(name for name, number in numbers.items() if number is not None and number != int(number))
        say = "set data.label_as: number, data.bins, or data.labels: none"
        raise DataError(f"{raw.folder}: labels are numbers that are not whole, such as {broken}; {say}")
    return tuple(sorted(names, key=lambda name: numbers[name] or 0.0))


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


def _plain_rows(array: _Array, limits: ValidateParams, bounds: Bounds | None, spool: Spool, shape: Shape) -> Iterator[Row]:
    """Rows of images of 8 bits in grey or RGB, many at once."""
    count, height, width = array.images.shape[:3]
    mode = "RGB" if array.images.ndim == 4 and array.images.shape[3] == 3 else "L"
    for start in range(0, count, _ARRAY_BLOCK):
        stored = np.ascontiguousarray(array.images[start : start + _ARRAY_BLOCK])
        images = stored if bounds is None else to_levels(stored, bounds)
        means, stds = array_statistics(images)
        for i, image in enumerate(images):
            path, label = f"{array.path}#{start + i}", None if array.labels is None else array.labels[start + i]
            sha256 = hashlib.sha256(stored[i].data).hexdigest()
            mean, std = float(means[i]), float(stds[i])
            try:
                check_size(width, height, limits)
                check_blank(std, limits)
            except UnusableImageError as reason:
                yield Row(path, sha256, label, str(reason))
            else:
                yield Row(path, sha256, label, None, spool.append(_fitted(image, shape)), None, width, height, mode, mean, std)


def _deep_rows(array: _Array, limits: ValidateParams, ranges: Ranges, spool: Spool, shape: Shape) -> Iterator[Row]:
    """Rows of images of any type and number of bands."""
    height, width = array.images.shape[1:3]
    for number in range(len(array.images)):
        path, label = f"{array.path}#{number}", None if array.labels is None else array.labels[number]
        image = np.ascontiguousarray(array.images[number])
        sha256 = hashlib.sha256(image.data).hexdigest()
        try:
            check_size(width, height, limits)
            picture = picture_of(raster_of(image), shape, limits, ranges.bounds)
        except UnusableImageError as reason:
            yield Row(path, sha256, label, str(reason))
        else:
            ranges.add(picture.extent)
            yield row_of(path, sha256, label, picture, spool.append(picture.pixels))


def _extents(array: _Array) -> Iterator[Extent]:
    for image in array.images:
        with suppress(UnusableImageError):
            yield extent_in(raster_of(np.ascontiguousarray(image)))


def _fitted(image: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """One picture (H, W) or (H, W, C) as (C, *size)."""
    if image.shape[:2] != shape.size:
        flat = image[..., 0] if image.shape[2:] == (1,) else image
        return as_pixels(fit(Image.fromarray(flat), shape))
    return np.atleast_3d(image).transpose(2, 0, 1)
