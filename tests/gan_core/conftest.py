"""Fixtures of the tests of gan_core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core.data.dataset import Dataset, DatasetSpec, write_spec

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
        spec = DatasetSpec(
            kind="points" if points else "images",
            shape=shape,
            classes=tuple(f"class-{i}" for i in range(classes)) if classes else None,
            counts=counts,
            mean=(0.0, 0.0) if points else None,
            std=(1.5, 1.4) if points else None,
            truth={"shape": "circle", "radius": 2.0, "sigma": 0.0} if points else None,
        )
        write_spec(folder, spec)
        return Dataset.open(folder)

    return make
