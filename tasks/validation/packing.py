"""From checked samples to the packed form of `gan_core.data.dataset`: the held-out split and the array files.

Pixels pass through a spool, one file beside the result, because the number of samples in each split and the number of
channels are only known when every source file was read once. Neither side ever holds more than a few samples in memory.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.data.corruptions import FACTOR, corrupt
from gan_core.data.dataset import SPLITS, DatasetSpec, Split, write_spec
from gan_core.data.text import Vocabulary
from gan_core.errors import DataError
from gan_core.params.common import Corruption
from tasks.validation.images import with_channels
from tasks.validation.tables import TableRows

_EXAMPLES = 64
"""Captions that a generator is asked for where nobody says what to draw."""


def split_of(sha256: str, seed: int, holdout: float) -> Split:
    """Which split a sample belongs to: a function of its content's digest (hexadecimal), the seed and the share, and nothing else.

    The digest with the seed is hashed to a number uniform in [0, 1); below `holdout` the sample is held out. So equal files are
    always on one side, new files never move old ones, and a larger share only moves samples from train to holdout.
    """
    return "holdout" if _draw(sha256, seed) < holdout else "train"


def splits_of(
    keys: Sequence[str],  # of each sample, the digest (hexadecimal) that its side depends on
    labels: Sequence[str | None],
    seed: int,
    holdout: float,
    fewest: int,  # held-out samples that scores need
    fewest_of_each: int,  # the same of each label
) -> list[Split]:
    """The split of each sample, as `split_of` has it; where that holds out fewer than scores need, those that are next in the draw too.

    At most half of the samples, and of each label's, are held out that way: the rest is to train on.
    """
    held = {key for key in keys if split_of(key, seed, holdout) == "holdout"}

    def hold_out(members: Counter[str], fewest: int) -> None:
        count, most = sum(members[key] for key in members if key in held), sum(members.values()) // 2
        for key in sorted(members.keys() - held, key=lambda key: _draw(key, seed)):
            if count < fewest and count + members[key] <= most:
                held.add(key)
                count += members[key]

    if fewest_of_each:
        of_label: dict[str | None, Counter[str]] = defaultdict(Counter)
        for key, label in zip(keys, labels, strict=True):
            of_label[label][key] += 1
        for members in of_label.values():
            hold_out(members, fewest_of_each)
    hold_out(Counter(keys), fewest)
    return ["holdout" if key in held else "train" for key in keys]


def _draw(sha256: str, seed: int) -> float:
    """Of a digest (hexadecimal), uniform in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sha256}".encode()).digest()[:8], "big") / 2**64


def corruption_seed(sha256: str, seed: int) -> int:
    """What a sample's corruption is drawn from, 0 to 2**64 - 1: a function of its content's digest and the seed, as its split is."""
    return int.from_bytes(hashlib.sha256(f"corruption:{seed}:{sha256}".encode()).digest()[:8], "big")


class Spool:
    """Pictures (C, size, size) with C = 1 or 3, put down one after another in a file and read back by number."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = path.open("w+b")
        self.size = size
        """Height and width of every picture."""
        self._channels = array("B")
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

    def append(self, pixels: NDArray[np.uint8]) -> int:
        """Put down one picture, uint8 (C, size, size); returns its number."""
        channels = pixels.shape[0]
        if pixels.dtype != np.uint8 or pixels.shape != (channels, self.size, self.size) or channels not in (1, 3):
            raise ValueError(f"expected uint8 (1 or 3, {self.size}, {self.size}), not {pixels.dtype} {pixels.shape}")
        self._file.write(pixels.tobytes())
        self._channels.append(channels)
        self._offsets.append(self._end)
        self._end += pixels.nbytes
        return len(self._channels) - 1

    def read(self, number: int) -> NDArray[np.uint8]:
        """The picture of that number."""
        shape = (self._channels[number], self.size, self.size)
        self._file.flush()
        data = os.pread(self._file.fileno(), math.prod(shape), self._offsets[number])
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)

    def usual_channels(self, numbers: Iterable[int]) -> int:
        """1 where most of these pictures are grey, 3 otherwise."""
        counts = [0, 0]
        for number in numbers:
            counts[self._channels[number] == 3] += 1
        return 1 if counts[0] > counts[1] else 3


def pack_images(
    folder: Path,
    spool: Spool,
    numbers: Mapping[str, Sequence[int]],  # the spool's numbers of each split's pictures, in packed order
    labels: Mapping[str, Sequence[int]] | None,  # index into classes of each, in the same order
    channels: int,  # 1 or 3
    classes: tuple[str, ...] | None,
) -> DatasetSpec:
    """Write images into `folder` as a packed data set; dataset.json is written last."""
    shape = (channels, spool.size, spool.size)
    for split in SPLITS:
        _write_images(folder / f"{split}.npy", spool, numbers[split], shape)
    _write_labels(folder, labels)
    return write_spec(folder, DatasetSpec("images", shape, classes, {split: len(numbers[split]) for split in SPLITS}))


def pack_unpaired(
    folder: Path,
    spool: Spool,
    inputs: Mapping[str, Sequence[int]],  # the spool's numbers of each split's pictures that a generator is given
    targets: Mapping[str, Sequence[int]],  # of those that it is to make
    channels: int,  # 1 or 3
    domains: tuple[str, str],  # names of the two kinds, inputs first
) -> DatasetSpec:
    """Write two kinds of images, without partners, into `folder` as a packed data set; dataset.json is written last."""
    shape = (channels, spool.size, spool.size)
    for split in SPLITS:
        _write_images(folder / f"{split}.npy", spool, targets[split], shape)
        _write_images(folder / f"{split}_inputs.npy", spool, inputs[split], shape)
    counts, input_counts = ({split: len(numbers[split]) for split in SPLITS} for numbers in (targets, inputs))
    return write_spec(folder, DatasetSpec("unpaired", shape, None, counts, inputs=shape, input_counts=input_counts, domains=domains))


def pack_captions(
    folder: Path,
    spool: Spool,
    numbers: Mapping[str, Sequence[int]],  # the spool's numbers of each split's pictures, in packed order
    captions: Mapping[str, Sequence[Sequence[str]]],  # at least one of each, in the same order
    channels: int,  # 1 or 3
) -> DatasetSpec:
    """Write images and their captions into `folder` as a packed data set; dataset.json is written last.

    The vocabulary is that of the training split.
    """
    texts = {split: [text for one in captions[split] for text in one] for split in SPLITS}
    vocabulary = Vocabulary.of(texts["train"])
    length = vocabulary.encode([*texts["train"], *texts["holdout"]]).shape[1]
    shape = (channels, spool.size, spool.size)
    for split in SPLITS:
        _write_images(folder / f"{split}.npy", spool, numbers[split], shape)
        owners = np.repeat(np.arange(len(captions[split])), [len(one) for one in captions[split]])
        np.save(folder / f"{split}_captioned.npy", owners.astype(np.int64), allow_pickle=False)
        np.save(folder / f"{split}_tokens.npy", vocabulary.encode(texts[split], length).astype(np.int32), allow_pickle=False)
        text = json.dumps(texts[split], ensure_ascii=False, indent=0)
        (folder / f"{split}_captions.json").write_text(text + "\n", encoding="utf-8")
    # Spread over the split, whose order is that of the paths.
    spread = np.linspace(0, len(texts["train"]) - 1, min(_EXAMPLES, len(texts["train"]))).astype(int)
    spec = DatasetSpec(
        kind="captions",
        shape=shape,
        classes=None,
        counts={split: len(numbers[split]) for split in SPLITS},
        vocabulary=vocabulary.words,
        caption_counts={split: len(texts[split]) for split in SPLITS},
        caption_length=length,
        examples=tuple(texts["train"][i] for i in spread),
    )
    return write_spec(folder, spec)


def pack_pairs(
    folder: Path,
    spool: Spool,
    numbers: Mapping[str, Sequence[int]],  # the spool's numbers of each split's pictures that are to be made, in packed order
    given: Mapping[str, Sequence[int]],  # of those that they are made from, in the same order
    channels: int,  # 1 or 3
    given_channels: int,
) -> DatasetSpec:
    """Write pairs of images into `folder` as a packed data set; dataset.json is written last."""
    shape, inputs = (channels, spool.size, spool.size), (given_channels, spool.size, spool.size)
    for split in SPLITS:
        _write_images(folder / f"{split}.npy", spool, numbers[split], shape)
        _write_images(folder / f"{split}_inputs.npy", spool, given[split], inputs)
    return write_spec(folder, DatasetSpec("pairs", shape, None, {split: len(numbers[split]) for split in SPLITS}, inputs=inputs))


def pack_corrupted(folder: Path, spec: DatasetSpec, corruption: Corruption, seeds: Mapping[str, Sequence[int]]) -> DatasetSpec:
    """Add to the images packed in `folder` the same ones spoiled, which makes pairs of them; `seeds` has one for each image of a split.

    Raises:
        DataError: the images cannot be spoiled so.
    """
    channels, *sides = spec.shape
    if corruption == "grey" and channels == 1:
        raise DataError("data.corruption: grey takes the colour from images, and these have none; set data.channels: 3, or another one")
    if corruption == "downsample" and any(side % FACTOR for side in sides):
        raise DataError(f"data.corruption: downsample needs a size that {FACTOR} divides, and images have {sides[0]} pixels; set data.size")
    inputs = (1 if corruption == "grey" else channels, *sides)
    for split in SPLITS:
        images = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        spoiled = (corrupt(np.array(image), corruption, seed) for image, seed in zip(images, seeds[split], strict=True))
        _write_array(folder / f"{split}_inputs.npy", (len(images), *inputs), np.dtype(np.uint8), spoiled)
    return write_spec(folder, replace(spec, kind="pairs", inputs=inputs, corruption=corruption))


def pack_stacked(folder: Path, spec: DatasetSpec, seed: int) -> DatasetSpec:
    """Turn the grey images packed in `folder` into stacks of three, as colour channels: the protocol of stacked MNIST (Metz et al., 2017).

    Each split is shuffled among itself for the second and the third channel, so every image is in three stacks, and none of one split in
    a stack of the other. The classes are all combinations.

    Raises:
        DataError: the images have no labels.
    """
    if spec.classes is None:
        raise DataError(
            "data.stack: the images have no labels, and the modes are combinations of them; name a source with a folder a class"
        )
    count, height, width = len(spec.classes), *spec.shape[1:]
    for number, split in enumerate(SPLITS):
        images, labels = (np.load(folder / f"{split}{end}.npy", mmap_mode="r", allow_pickle=False) for end in ("", "_labels"))
        draw = np.random.default_rng((seed, number))
        members = np.stack([np.arange(len(images)), draw.permutation(len(images)), draw.permutation(len(images))], axis=1)
        stacks = (images[three].reshape(3, height, width) for three in members)
        _write_array(folder / "stacks.npy", (len(images), 3, height, width), np.dtype(np.uint8), stacks)
        modes = np.ravel_multi_index(tuple(labels[members].T), (count,) * 3)
        (folder / "stacks.npy").replace(folder / f"{split}.npy")
        np.save(folder / f"{split}_labels.npy", modes.astype(np.int64), allow_pickle=False)
    classes = tuple("+".join(names) for names in itertools.product(spec.classes, repeat=3))
    return write_spec(folder, replace(spec, shape=(3, height, width), classes=classes, stacked=spec.classes))


def pack_points(
    folder: Path,
    points: Mapping[str, NDArray[np.float32]],  # (N, D) of each split, in packed order
    truth: Mapping[str, Any] | None,
) -> DatasetSpec:
    """Write points into `folder` as a packed data set; dataset.json, with the training split's mean and deviation, is written last."""
    for split in SPLITS:
        np.save(folder / f"{split}.npy", np.ascontiguousarray(points[split], dtype=np.float32), allow_pickle=False)
    train = points["train"].astype(np.float64)
    std = train.std(axis=0)
    spec = DatasetSpec(
        kind="points",
        shape=train.shape[1:],
        classes=None,
        counts={split: len(points[split]) for split in SPLITS},
        mean=tuple(train.mean(axis=0).tolist()),
        # A column that never changes is left as it is when points are standardised.
        std=tuple(np.where(std > 0, std, 1.0).tolist()),
        truth=truth,
    )
    return write_spec(folder, spec)


def pack_table(
    folder: Path,
    table: TableRows,
    numbers: Mapping[str, Sequence[int]],  # into the table's rows, of each split, in packed order
    labels: Mapping[str, Sequence[int]] | None,  # index into classes of each, in the same order
    classes: tuple[str, ...] | None,
    modes: int,  # most that a number is described by
) -> DatasetSpec:
    """Write rows of a table into `folder` as a packed data set; dataset.json, with the columns as training needs them, comes last."""
    rows = {split: np.ascontiguousarray(table.values[np.asarray(numbers[split], dtype=np.int64)]) for split in SPLITS}
    for split in SPLITS:
        np.save(folder / f"{split}.npy", rows[split], allow_pickle=False)
    _write_labels(folder, labels)
    train_labels = None if labels is None else np.asarray(labels["train"], dtype=np.int64)
    spec = DatasetSpec(
        kind="table",
        shape=rows["train"].shape[1:],
        classes=classes,
        counts={split: len(rows[split]) for split in SPLITS},
        schema=table.schema.fitted(rows["train"], train_labels, len(classes or ()), modes),
    )
    return write_spec(folder, spec)


def _write_labels(folder: Path, labels: Mapping[str, Sequence[int]] | None) -> None:
    if labels is not None:
        for split in SPLITS:
            np.save(folder / f"{split}_labels.npy", np.asarray(labels[split], dtype=np.int64), allow_pickle=False)


def _write_images(path: Path, spool: Spool, numbers: Sequence[int], shape: tuple[int, int, int]) -> None:
    images = (with_channels(spool.read(number), shape[0]) for number in numbers)
    _write_array(path, (len(numbers), *shape), np.dtype(np.uint8), images)


def _write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], rows: Iterable[NDArray[Any]]) -> None:
    """Stream rows into a .npy file. Plain writes: pages of a memory map would count as this process's memory."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for row in rows:
            file.write(row.tobytes())
