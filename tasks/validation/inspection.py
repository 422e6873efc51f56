"""Every sample of a raw data set, looked at once: what it is, and whether it can be used.

Each of the five kinds of raw gives the same thing, an `Inspection`: a row a sample, in the order of the source, and the samples
themselves, decoded and scaled (images, in a spool) or as they are (points, rows of tables).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_core.errors import DataError
from tasks.params import DataParams, ValidateParams
from tasks.sources.idx import CLASSES, read_idx
from tasks.sources.raw import About, Member, RawReader, class_of, safe_path
from tasks.system.processes import die_with
from tasks.validation.captions import captions_by_image, read_captions
from tasks.validation.formats import UnusableImageError
from tasks.validation.images import Picture, array_statistics, check_blank, check_size, decode, decode_halves, fit
from tasks.validation.packing import Spool
from tasks.validation.pairing import Partners, pair_up
from tasks.validation.tables import TableRows, inspect_table, read_table

DEFAULT_SIZE = 64
"""Height and width of image files after validation, where the entry does not say."""
MAX_BYTES = 1 << 30
"""Files larger than this are refused unread."""

_ARRAY_BLOCK = 4_096
_CHUNK_BYTES = 1 << 20
_CHUNK_FILES = 64
# Below this, one process is done before others would have started (0.8 s): 1,500 to 2,500 small pictures, or 30 MB, a second.
_POOL_FILES = 4_000
_POOL_BYTES = 64 << 20


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
        found, classes, table = inspect_table(read_table(raw.read(member), member.path), data, member.path)
        rows = (Row(f"{member.path}#{number}", row.sha256, row.label, row.reason, row.number) for number, row in enumerate(found, start=1))
        return Inspection(_counted(rows, len(found), on_row), classes, table)
    if data.layout == "captions":
        return _inspect_captioned(raw, data, limits, Spool(spool, data.size or DEFAULT_SIZE), on_row)
    if raw.kind == "files":
        files = Spool(spool, data.size or DEFAULT_SIZE)
        if data.layout == "side-by-side":
            return Inspection(_counted(_side_by_side_rows(raw, data, limits, files), len(raw), on_row), None, files)
        if data.layout == "paired-folders":
            partners = pair_up(raw.members, data.folders)
            return Inspection(_counted(_partner_rows(raw, partners, data, limits, files), len(partners), on_row), None, files)
        labels = {label for label in raw.labels if label is not None}
        classes = tuple(sorted(labels)) or None
        return Inspection(_counted(_file_rows(raw, limits, files, classes), len(raw), on_row), classes, files)
    arrays, classes = _read_idx_files(raw) if raw.kind == "idx" else _read_npy_files(raw)
    images = Spool(spool, data.size or min(arrays[0].images.shape[1:3]))
    rows = (row for one in arrays for row in _array_rows(one, classes, limits, images))
    return Inspection(_counted(rows, sum(len(one.images) for one in arrays), on_row), classes, images)


def _counted(rows: Iterator[Row], total: int, on_row: Callable[[int, int], None]) -> list[Row]:
    done = []
    for row in rows:
        done.append(row)
        on_row(len(done), total)
    return done


# Image files


def _file_rows(raw: RawReader, limits: ValidateParams, spool: Spool, classes: tuple[str, ...] | None) -> Iterator[Row]:
    for member, picture in zip(raw.members, _decoded(raw, raw.members, decode, spool.size, limits), strict=True):
        label = class_of(member.path)
        if isinstance(picture, str):
            yield Row(member.path, member.sha256, label, reason=picture)
        elif classes and label is None:
            yield Row(member.path, member.sha256, reason="in no class: it lies beside the folders that are the classes")
        else:
            number = spool.append(picture.pixels)
            yield Row(
                member.path,
                member.sha256,
                label,
                None,
                number,
                None,
                picture.width,
                picture.height,
                picture.mode,
                picture.mean,
                picture.std,
            )


def _inspect_captioned(
    raw: RawReader, data: DataParams, limits: ValidateParams, spool: Spool, on_row: Callable[[int, int], None]
) -> Inspection:
    """Images with captions: a row for each image, then one for each row of the captions file that cannot be used."""
    name = safe_path(data.captions)
    read = read_captions(raw.read_path(name), name)
    there = {member.path for member in raw.members}
    read = [one if one.reason or one.image in there else replace(one, reason=f"there is no image {one.image}") for one in read]
    captions = captions_by_image(read)
    refused = [
        Row(f"{name}#{one.number}", hashlib.sha256(one.text.encode("utf-8", "surrogatepass")).hexdigest(), reason=one.reason)
        for one in read
        if one.reason
    ]
    images = RawReader(raw.folder, raw.about, [member for member in raw.members if member.path != name])
    rows = (_with_caption(row, name, captions) for row in _file_rows(images, limits, spool, None))
    return Inspection([*_counted(rows, len(images), on_row), *refused], None, spool, captions)


def _with_caption(row: Row, name: str, captions: Mapping[str, tuple[str, ...]]) -> Row:
    """An image's row, without the label that its folder would be, and in quarantine where it has no caption."""
    if row.reason is None and row.path not in captions:
        return replace(row, label=None, number=None, reason=f"no caption in {name}")
    return replace(row, label=None)


def _side_by_side_rows(raw: RawReader, data: DataParams, limits: ValidateParams, spool: Spool) -> Iterator[Row]:
    for member, halves in zip(raw.members, _decoded(raw, raw.members, decode_halves, spool.size, limits), strict=True):
        if isinstance(halves, str):
            yield Row(member.path, member.sha256, reason=halves)
        else:
            yield _pair_row(member.path, member.sha256, halves[data.given], halves[1 - data.given], spool)


def _partner_rows(raw: RawReader, partners: Sequence[Partners], data: DataParams, limits: ValidateParams, spool: Spool) -> Iterator[Row]:
    """A row a pair, under the path of the image that a generator is to make; a row for each file that is in no pair."""
    members = [member for one in partners if one.reason is None for member in one.members]
    pictures = _decoded(raw, members, decode, spool.size, limits)
    for one in partners:
        target = one.members[-1 if one.reason else 1 - data.given]
        sha256 = hashlib.sha256("".join(member.sha256 for member in one.members).encode()).hexdigest()
        if one.reason is not None:
            yield Row(target.path, sha256, reason=one.reason)
            continue
        first, second = next(pictures), next(pictures)
        if isinstance(first, str) or isinstance(second, str):
            broken = [f"{member.path}: {what}" for member, what in zip(one.members, (first, second), strict=True) if isinstance(what, str)]
            yield Row(target.path, sha256, reason="; ".join(broken))
        else:
            pair = first, second
            yield _pair_row(target.path, sha256, pair[data.given], pair[1 - data.given], spool)


def _pair_row(path: str, sha256: str, given: Picture, target: Picture, spool: Spool) -> Row:
    number, given_number = spool.append(target.pixels), spool.append(given.pixels)
    return Row(path, sha256, None, None, number, given_number, target.width, target.height, target.mode, target.mean, target.std)


_Decoded = TypeVar("_Decoded")
_Decoder = Callable[[bytes, int, ValidateParams], _Decoded]


def _decoded(
    raw: RawReader, members: Sequence[Member], decoder: _Decoder[_Decoded], size: int, limits: ValidateParams
) -> Iterator[_Decoded | str]:
    """Of each of `members` in order what `decoder` makes of it, or the reason why that is nothing; by several processes where that pays."""
    workers = _processors()
    total = sum(member.size for member in members)
    if workers == 1 or (len(members) < _POOL_FILES and total < _POOL_BYTES):
        yield from (_decode(raw, member, decoder, size, limits) for member in members)
        return
    length = max(1, min(_CHUNK_FILES, _CHUNK_BYTES // (3 * size * size)))
    chunks = [members[start : start + length] for start in range(0, len(members), length)]
    # Threads gain nothing: Pillow holds Python's lock while it decodes. Fork is not safe in a process that may have threads.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (os.getpid(), raw.folder, raw.about, decoder, size, limits))
    waiting: deque[tuple[Sequence[Member], Future[list[_Decoded | str]]]] = deque()
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_decode_chunk, chunk)))
            # A bounded queue: decoded pictures must not pile up.
            if len(waiting) > 4 * workers:
                yield from waiting[0][1].result()
                waiting.popleft()
        while waiting:
            yield from waiting[0][1].result()
            waiting.popleft()
    except BrokenProcessPool:
        first, last = waiting[0][0][0].path if waiting else "?", waiting[-1][0][-1].path if waiting else "?"
        raise DataError(
            f"a process that decodes images was killed, by lack of memory or by a damaged file, between {first} and {last}; "
            "lower validate.max_side, or remove the file that does it"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(raw: RawReader, member: Member, decoder: _Decoder[_Decoded], size: int, limits: ValidateParams) -> _Decoded | str:
    if member.size > MAX_BYTES:
        return f"too large: {member.size:,} bytes, more than {MAX_BYTES:,}"
    try:
        return decoder(raw.read(member), size, limits)
    except UnusableImageError as reason:
        return str(reason)


_worker: tuple[RawReader, _Decoder[Any], int, ValidateParams]


def _start_worker(parent: int, folder: Path, about: About, decoder: _Decoder[Any], size: int, limits: ValidateParams) -> None:
    global _worker
    die_with(parent)
    # Ctrl-C reaches the whole group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Members come with the work, so the index need not be read again.
    _worker = (RawReader(folder, about, ()), decoder, size, limits)


def _decode_chunk(chunk: Sequence[Member]) -> list[Any]:
    raw, decoder, size, limits = _worker
    return [_decode(raw, member, decoder, size, limits) for member in chunk]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def _array_rows(array: _Array, classes: tuple[str, ...], limits: ValidateParams, spool: Spool) -> Iterator[Row]:
    count, height, width = array.images.shape[:3]
    mode = "RGB" if array.images.ndim == 4 and array.images.shape[3] == 3 else "L"
    for start in range(0, count, _ARRAY_BLOCK):
        images = np.ascontiguousarray(array.images[start : start + _ARRAY_BLOCK])
        means, stds = array_statistics(images)
        for i, image in enumerate(images):
            path, label = f"{array.path}#{start + i}", classes[int(array.labels[start + i])]
            sha256 = hashlib.sha256(image.data).hexdigest()
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
