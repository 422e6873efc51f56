"""Fixtures of the tests of gan_core."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset, write_spec
from gan_core.kinds.captions import Captioned
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.kinds.text import Vocabulary

MakeDataset = Callable[..., Dataset]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Equality bit by bit holds for one number of threads, and tests share the processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """Writes and opens a small packed data set of random images, or of points on a circle of radius 2 where `shape` is (2,)."""

    def make(shape: tuple[int, ...] = (1, 16, 16), classes: int = 0, count: int = 40, folder: Path = tmp_path / "ready") -> Dataset:
        folder.mkdir()
        draw = np.random.default_rng(0)
        counts = {"train": count, "holdout": 10}
        for split, n in counts.items():
            if len(shape) == 1:
                angle = draw.uniform(0, 2 * np.pi, n)
                samples = (2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)
            else:
                samples = draw.integers(0, 256, (n, *shape), dtype=np.uint8)
            np.save(folder / f"{split}.npy", samples)
            if classes:
                np.save(folder / f"{split}_labels.npy", np.arange(n, dtype=np.int64) % classes)
        points = len(shape) == 1
        if points:
            truth = {"shape": "circle", "radius": 2.0, "sigma": 0.0}
            write_spec(folder, Points(shape, counts, mean=(0.0, 0.0), std=(1.5, 1.4), truth=truth))
        else:
            write_spec(folder, Images(shape, counts, tuple(f"class-{i}" for i in range(classes)) if classes else None))
        return Dataset.open(folder)

    return make


COLOURS = {"red": (220, 30, 30), "green": (30, 160, 60), "blue": (40, 60, 220), "yellow": (240, 220, 40)}
SHAPES = ("square", "bar", "column")


def drawn(colour: str, shape: str, side: int, shift: int) -> NDArray[np.uint8]:
    """A shape of a colour on white, uint8 (3, side, side)."""
    image = np.full((3, side, side), 255, dtype=np.uint8)
    quarter = side // 4
    rows = slice(quarter + shift, 3 * quarter + shift) if shape != "bar" else slice(side // 2 + shift, side // 2 + shift + 2)
    columns = slice(quarter, 3 * quarter) if shape != "column" else slice(side // 2, side // 2 + 2)
    image[:, rows, columns] = np.array(COLOURS[colour], dtype=np.uint8)[:, None, None]
    return image


@pytest.fixture
def captioned(tmp_path: Path) -> MakeDataset:
    """Writes and opens a small packed data set of coloured shapes; every second image has two captions."""

    def make(side: int = 16, count: int = 48, folder: Path = tmp_path / "captioned") -> Dataset:
        return write_captioned(folder, side, count)

    return make


@pytest.fixture(scope="session")
def captioned_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one that tests share."""
    folder = tmp_path_factory.mktemp("captioned") / "ready"
    write_captioned(folder, side=16, count=48)
    return folder


def write_captioned(folder: Path, side: int, count: int) -> Dataset:
    folder.mkdir()
    counts = {"train": count, "holdout": 12}
    texts: dict[str, list[str]] = {}
    for split, n in counts.items():
        kinds = [(list(COLOURS)[i % 4], SHAPES[i // 4 % 3]) for i in range(n)]
        np.save(folder / f"{split}.npy", np.stack([drawn(*kind, side, i // 12 % 3) for i, kind in enumerate(kinds)]))
        captions = [[f"{colour} {shape}", *([f"A {shape}, {colour}!"] if i % 2 else [])] for i, (colour, shape) in enumerate(kinds)]
        texts[split] = [text for one in captions for text in one]
        np.save(folder / f"{split}_captioned.npy", np.repeat(np.arange(n), [len(one) for one in captions]))
        (folder / f"{split}_captions.json").write_text(json.dumps(texts[split]))
    vocabulary = Vocabulary.of(texts["train"])
    for split in counts:
        np.save(folder / f"{split}_tokens.npy", vocabulary.encode(texts[split], 3).astype(np.int32))
    spec = Captioned(
        (3, side, side),
        counts,
        vocabulary=vocabulary.words,
        caption_counts={split: len(texts[split]) for split in counts},
        caption_length=3,
        examples=tuple(texts["train"][:6]),
    )
    write_spec(folder, spec)
    return Dataset.open(folder)
