"""The packed form of a data set: what the validate stage writes and everything after it reads.

A folder with

    dataset.json           format, kind, shape, classes, counts, sha256 of each array, and what is known of the truth
    train.npy              uint8 (N, C, H, W) for images, float32 (N, D) for points
    train_labels.npy       int64 (N,), only where there are classes
    holdout.npy            as train.npy: samples that training never sees
    holdout_labels.npy     as train_labels.npy

Arrays are memory-mapped, so a data set may be larger than memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError

FORMAT = 1
SPLITS = ("train", "holdout")
Split = Literal["train", "holdout"]


@dataclass(frozen=True)
class DatasetSpec:
    """What a data set is, apart from its samples."""

    kind: Literal["images", "points"]
    shape: tuple[int, ...]
    """(C, H, W) for images, (D,) for points."""
    classes: tuple[str, ...] | None
    """Name of each label, or None where samples have no labels."""
    counts: Mapping[str, int]
    """Samples in each split."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Digest of each array file's bytes."""
    mean: tuple[float, ...] | None = None
    """Points: mean of each column over the training split."""
    std: tuple[float, ...] | None = None
    """Points: standard deviation of each column over the training split, never 0."""
    truth: Mapping[str, Any] | None = None
    """Points: the distribution they were drawn from.

    `{"shape": "circle", "radius": r, "sigma": s}`, or `{"shape": "ring" | "grid", "centers": [[x, y], ...], "sigma": s}`.
    """

    @property
    def digest(self) -> str:
        """One hash over everything that training can see (hexadecimal, 64 characters)."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A packed data set, opened."""

    spec: DatasetSpec
    samples: Mapping[str, NDArray[Any]]
    labels: Mapping[str, NDArray[np.int64]]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a packed data set without reading its samples.

        Raises:
            DataError: a file is missing or does not hold what dataset.json says.
        """
        try:
            text = json.loads((folder / "dataset.json").read_text())
        except FileNotFoundError:
            raise DataError(f"{folder}/dataset.json: not there; run the validate stage first") from None
        except ValueError as error:
            raise DataError(f"{folder}/dataset.json: damaged ({error}); run the validate stage again") from None
        if text.pop("format", None) != FORMAT:
            raise DataError(f"{folder}/dataset.json: not of format {FORMAT}; run the validate stage again")
        for key in ("shape", "classes", "mean", "std"):
            text[key] = None if text[key] is None else tuple(text[key])
        spec = DatasetSpec(**text)
        samples = {split: _open_array(folder / f"{split}.npy", (spec.counts[split], *spec.shape)) for split in SPLITS}
        labels = {}
        if spec.classes is not None:
            labels = {split: _open_array(folder / f"{split}_labels.npy", (spec.counts[split],)) for split in SPLITS}
        return cls(spec, samples, labels)


def write_spec(folder: Path, spec: DatasetSpec) -> DatasetSpec:
    """Write dataset.json beside arrays that are already there; returns `spec` with their digests filled in."""
    names = [f"{split}{suffix}.npy" for split in SPLITS for suffix in ("", "_labels" if spec.classes is not None else "")]
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(set(names))}
    complete = DatasetSpec(**{**asdict(spec), "sha256": digests})
    text = json.dumps({"format": FORMAT, **asdict(complete)}, indent=2, sort_keys=True)
    (folder / "dataset.json").write_text(text + "\n")
    return complete


def _open_array(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run the validate stage again") from None
    if array.shape != shape:
        raise DataError(f"{path}: has shape {array.shape}, and dataset.json says {shape}; run the validate stage again")
    return array
