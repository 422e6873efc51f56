"""Every sample of a raw data set, looked at once: what it is, and whether it can be used.

Each of the five kinds of raw gives the same thing, an `Inspection`: a row a sample, in the order of the source, and the samples
themselves, decoded and scaled (images, in a spool) or as they are (points, rows of tables).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.errors import DataError
from gan_core.kinds.pixels import Spool
from tasks.params import FOLDER_LAYOUTS, DataParams, ValidateParams
from tasks.sources.idx import CLASSES, read_idx
from tasks.sources.raw import Member, RawReader, class_of
from tasks.validation.annotated import Annotated, by_file, by_folder
from tasks.validation.decoding import decoded
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import (
    Bounds,
    Extent,
    Picture,
    array_statistics,
    check_blank,
    check_size,
    decode,
    decode_halves,
    extent_of,
    fit,
    to_levels,
)
from tasks.validation.pairing import Partners, have_one_shape, pair_up
from tasks.validation.ranges import Ranges
from tasks.validation.tables import TableRows, inspect_table, read_table

DEFAULT_SIZE = 64
"""Height and width of image files after validation, where the entry does not say."""
_ARRAY_BLOCK = 4_096


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of the source."""

    path: str
    """Of the file; for a sample in an array, of the array's file with `#` and its index; for a row of a table, with its number from 1."""
    sha256: str
    """Of the file's bytes, or of the sample's values in the array."""
    label: str | None = None
    """Name of its class."""
    reason: str | None = None
    """Why it cannot be used, in words; None for a good sample."""
    number: int | None = None
    """Of a good sample, where to find it: in the spool or the array of points."""
    given: int | None = None
    """Of a good pair, where in the spool the image is that a generator is given; `number` is the one that it is to make."""
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    mean: float | None = None
    std: float | None = None
    """As in `tasks.validation.images.Picture`; None for points."""
    repeat: int = 0
    """Of a row of a table so common that it may well be there again by chance: how many equal ones stand before it."""


@dataclass(frozen=True)
class Inspection:
    """What is in a raw data set."""

    rows: list[Row]
    classes: tuple[str, ...] | None
    """Sorted as labels count, with those that have no good sample; None where there are no labels."""
    samples: Spool | NDArray[np.float32] | TableRows
    """A spool of images, points (N, D), or the good rows of a table."""
    captions: Mapping[str, tuple[str, ...]] | None = None
    """By path the captions of each image, where there are any."""
    range: Bounds | None = None
    """Images: the values that became black and white, where `data.range` says so, or asks for the data's own."""
    notes: Sequence[str] = ()
    """What a person should know of the whole."""


def inspect(
    raw: RawReader,
    data: DataParams,
    limits: ValidateParams,
    spool: Path,  # file to put decoded images in
    on_row: Callable[[int, int], None] = lambda done, total: None,  # told how many samples are done, of how many
) -> Inspection:
    """Look at every sample of `raw`.

    Raises:
        DataError: a file that holds many samples (idx, .npy) does not hold what it should, or raw is damaged.
    """
    if raw.kind == "points":
        points = _read_points(raw)
        return Inspection(_counted(_point_rows(points), len(points), on_row), None, points)
    if raw.kind == "table":
        (member,) = raw.members
        found, classes, table = inspect_table(read_table(raw.read(member), member.path), data, data.file_name)
        rows = (
            Row(f"{member.path}#{number}", row.sha256, row.label, row.reason, row.number, repeat=row.repeat)
            for number, row in enumerate(found, start=1)
        )
        return Inspection(_counted(rows, len(found), on_row), classes, table, notes=[*table.said(data.file_name)])
    if raw.kind == "files":
        return _inspect_files(raw, data, limits, spool, on_row)
    arrays, classes = _read_idx_files(raw) if raw.kind == "idx" else _read_npy_files(raw)
    images = Spool(spool, data.size or min(arrays[0].images.shape[1:3]))
    extents = [Extent(int(one.images.min()), int(one.images.max()), 255) for one in arrays if one.images.size]
    ranges = _ranges(data, extents)
    for extent in extents:
        ranges.add(extent)
    rows = (row for one in arrays for row in _array_rows(one, classes, limits, ranges.bounds, images))
    counted = _counted(rows, sum(len(one.images) for one in arrays), on_row)
    return Inspection(counted, classes, images, range=ranges.bounds, notes=ranges.notes())


def _ranges(data: DataParams, extents: Iterable[Extent]) -> Ranges:
    """What `data.range` comes to for data of these extents, which are looked at only where it asks for the data's own."""
    if data.range == "type":
        return Ranges(None)
    if data.range != "data":
        return Ranges(data.range)
    found = Ranges(None)
    for extent in extents:
        found.add(extent)
    return Ranges(found.own)


def _counted(rows: Iterator[Row], total: int, on_row: Callable[[int, int], None]) -> list[Row]:
    done = []
    for row in rows:
        done.append(row)
        on_row(len(done), total)
    return done


# Image files


@dataclass(frozen=True)
class _Files:
    """The image files of a raw data set, and how they are decoded."""

    raw: RawReader
    data: DataParams
    limits: ValidateParams
    spool: Spool
    ranges: Ranges

    def pictures(self, members: Sequence[Member]) -> Iterator[Picture | str]:
        """Of each of these in order the picture, or the reason why there is none."""
        decoder = partial(decode, size=self.spool.size, limits=self.limits, bounds=self.ranges.bounds)
        for member, picture in zip(members, decoded(self.raw, members, decoder, self.spool.size), strict=True):
            if not isinstance(picture, str):
                self.ranges.add(picture.extent, class_of(member.path) if self.data.layout in FOLDER_LAYOUTS else None)
            yield picture

    def halves(self) -> Iterator[tuple[Picture, Picture] | str]:
        """Of each file in order its two pictures, or the reason why there are none."""
        decoder = partial(decode_halves, size=self.spool.size, limits=self.limits, bounds=self.ranges.bounds)
        for halves in decoded(self.raw, self.raw.members, decoder, self.spool.size):
            if not isinstance(halves, str):
                self.ranges.add(halves[0].extent)
            yield halves


def _inspect_files(raw: RawReader, data: DataParams, limits: ValidateParams, path: Path, on_row: Callable[[int, int], None]) -> Inspection:
    about = by_file(raw, data) if data.annotations is not None else by_folder(raw, data)
    size = data.size or DEFAULT_SIZE
    extents = (one for one in decoded(raw, about.images, partial(extent_of, size=size, limits=limits), size) if not isinstance(one, str))
    files = _Files(RawReader(raw.folder, raw.about, about.images), data, limits, Spool(path, size), _ranges(data, extents))
    rows: Iterator[Row]
    total = len(about.images)
    if data.layout == "side-by-side":
        rows = _side_by_side_rows(files)
    elif data.layout == "paired-folders":
        partners = pair_up(raw.members, data.folders)
        rows, total = _partner_rows(files, partners), len(partners)
    else:
        rows = _file_rows(files, about)
    refused = [
        Row(where, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), reason=reason)
        for where, text, reason in about.refused
    ]
    counted = [*_counted(rows, total, on_row), *refused]
    return Inspection(counted, about.classes, files.spool, about.captions, files.ranges.bounds, [*about.notes, *files.ranges.notes()])


def _file_rows(files: _Files, about: Annotated) -> Iterator[Row]:
    for member, picture in zip(about.images, files.pictures(about.images), strict=True):
        label = about.labels.get(member.path)
        reason = picture if isinstance(picture, str) else about.reasons.get(member.path)
        if isinstance(picture, str) or reason is not None:
            yield Row(member.path, member.sha256, label, reason=reason)
        else:
            yield _row(member.path, member.sha256, label, picture, files.spool.append(picture.pixels))


def _row(path: str, sha256: str, label: str | None, picture: Picture, number: int, given: int | None = None) -> Row:
    return Row(path, sha256, label, None, number, given, picture.width, picture.height, picture.mode, picture.mean, picture.std)


def _side_by_side_rows(files: _Files) -> Iterator[Row]:
    for member, halves in zip(files.raw.members, files.halves(), strict=True):
        if isinstance(halves, str):
            yield Row(member.path, member.sha256, reason=halves)
        else:
            yield _pair_row(member.path, member.sha256, halves, files)


def _partner_rows(files: _Files, partners: Sequence[Partners]) -> Iterator[Row]:
    """A row a pair, under the path of the image that a generator is to make; a row for each file that is in no pair."""
    members = [member for one in partners if one.reason is None for member in one.members]
    pictures = files.pictures(members)
    for one in partners:
        target = one.members[-1 if one.reason else 1 - files.data.given]
        sha256 = hashlib.sha256("".join(member.sha256 for member in one.members).encode()).hexdigest()
        if one.reason is not None:
            yield Row(target.path, sha256, reason=one.reason)
            continue
        first, second = next(pictures), next(pictures)
        if isinstance(first, str) or isinstance(second, str):
            broken = [f"{member.path}: {what}" for member, what in zip(one.members, (first, second), strict=True) if isinstance(what, str)]
            yield Row(target.path, sha256, reason="; ".join(broken))
        elif not have_one_shape(first.upright, second.upright):
            shapes = " and ".join(
                f"{member.path} is {picture.upright[0]} x {picture.upright[1]} pixels"
                for member, picture in zip(one.members, (first, second), strict=True)
            )
            yield Row(target.path, sha256, reason=f"partners of different shape, whose central squares show different parts: {shapes}")
        else:
            yield _pair_row(target.path, sha256, (first, second), files)


def _pair_row(path: str, sha256: str, pair: tuple[Picture, Picture], files: _Files) -> Row:
    given, target = pair[files.data.given], pair[1 - files.data.given]
    number, given_number = files.spool.append(target.pixels), files.spool.append(given.pixels)
    return _row(path, sha256, None, target, number, given_number)


# Arrays of images


@dataclass(frozen=True)
class _Array:
    path: str
    images: NDArray[np.uint8]
    """(N, H, W) or (N, H, W, C) with C = 1 or 3."""
    labels: NDArray[Any]


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
    images, labels = _read_npy(raw, "images.npy"), _read_npy(raw, "labels.npy")
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


def _array_rows(array: _Array, classes: tuple[str, ...], limits: ValidateParams, bounds: Bounds | None, spool: Spool) -> Iterator[Row]:
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
                yield Row(path, sha256, label, None, spool.append(_fitted(image, spool.size)), None, width, height, mode, mean, std)


def _fitted(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """One picture (H, W) or (H, W, C) as (C, size, size)."""
    if image.shape[:2] != (size, size):
        flat = image[..., 0] if image.shape[2:] == (1,) else image
        image = np.asarray(fit(Image.fromarray(flat), size))
    return np.atleast_3d(image).transpose(2, 0, 1)


def _read_npy(raw: RawReader, path: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(BytesIO(raw.read_path(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{raw.folder}: {path}: no readable .npy file ({error})") from None
    return array


# Points


def _read_points(raw: RawReader) -> NDArray[np.float32]:
    points = _read_npy(raw, "points.npy")
    if points.dtype != np.float32 or points.ndim != 2 or points.shape[1] < 1:
        raise DataError(f"{raw.folder}: points.npy: holds {points.dtype} {points.shape}; expected float32 (N, D)")
    return points


def _point_rows(points: NDArray[np.float32]) -> Iterator[Row]:
    finite = np.isfinite(points)
    for i, point in enumerate(np.ascontiguousarray(points)):
        path, sha256 = f"points.npy#{i}", hashlib.sha256(point.data).hexdigest()
        if finite[i].all():
            yield Row(path, sha256, number=i)
        else:
            yield Row(path, sha256, reason=f"not finite: ({', '.join(f'{value:g}' for value in point)})")
