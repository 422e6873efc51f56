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
        path = folder / "dataset.json"
        try:
            fields = json.loads(path.read_text())
            if fields.pop("format", None) != FORMAT:
                raise DataError(f"{path}: not of format {FORMAT}; run the validate stage again")
            for key in ("shape", "classes", "mean", "std"):
                fields[key] = None if fields[key] is None else tuple(fields[key])
            spec = DatasetSpec(**fields)
            counts = [(split, spec.counts[split]) for split in SPLITS]
        except FileNotFoundError:
            raise DataError(f"{path}: not there; run the validate stage first") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: damaged ({error}); run the validate stage again") from None
        dtype = np.uint8 if spec.kind == "images" else np.float32
        samples = {split: _open_array(folder / f"{split}.npy", (count, *spec.shape), dtype) for split, count in counts}
        labels = {}
        if spec.classes is not None:
            labels = {split: _open_array(folder / f"{split}_labels.npy", (count,), np.int64) for split, count in counts}
        return cls(spec, samples, labels)


def write_spec(folder: Path, spec: DatasetSpec) -> DatasetSpec:
    """Write dataset.json beside arrays that are already there; returns `spec` with their digests filled in."""
    names = [f"{split}{suffix}.npy" for split in SPLITS for suffix in ("", "_labels" if spec.classes is not None else "")]
    digests = {name: _digest(folder / name) for name in sorted(set(names))}
    complete = DatasetSpec(**{**asdict(spec), "sha256": digests})
    text = json.dumps({"format": FORMAT, **asdict(complete)}, indent=2, sort_keys=True)
    (folder / "dataset.json").write_text(text + "\n")
    return complete


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_array(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run the validate stage again") from None
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{path}: has shape {array.shape} of {array.dtype}, and dataset.json says {shape} of {np.dtype(dtype)}; "
            "run the validate stage again"
        )
    return array
