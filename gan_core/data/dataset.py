"""The packed form of a data set: what the validate stage writes and everything after it reads.

A folder with

    dataset.json           format, kind, shape, classes, counts, sha256 of each array, and what is known of the truth
    train.npy              uint8 (N, C, H, W) for images, float32 (N, D) for points, float64 (N, D) for tables
    train_labels.npy       int64 (N,), only where there are classes
    train_captions.json    list of captions, those of one sample after another; only where samples have captions
    train_tokens.npy       int32 (M, T) of each caption, 0 after its end; 1 is every word that dataset.json's vocabulary lacks
    train_captioned.npy    int64 (M,) which sample each caption belongs to, ascending
    train_inputs.npy       what the generator is given to make each sample of, only where it is given something
    holdout.npy            as train.npy: samples that training never sees
    holdout_labels.npy     as train_labels.npy
    holdout_inputs.npy     as train_inputs.npy
    holdout_captions.json  as train_captions.json, and likewise the other two

Arrays are memory-mapped, so a data set may be larger than memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.data.schema import Schema
from gan_core.errors import DataError
from gan_core.params.common import Corruption, Kind

FORMAT = 1
SPLITS = ("train", "holdout")
Split = Literal["train", "holdout"]

_DTYPES: Mapping[Kind, type[np.generic]] = {
    "images": np.uint8,
    "points": np.float32,
    "unpaired": np.uint8,
    "table": np.float64,
    "captions": np.uint8,
    "pairs": np.uint8,
}


@dataclass(frozen=True)
class DatasetSpec:
    """What a data set is, apart from its samples."""

    kind: Kind
    shape: tuple[int, ...]
    """(C, H, W) for images, (D,) for points and tables."""
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

    inputs: tuple[int, ...] | None = None
    """Of what the generator is given for one sample: (C, H, W), uint8, for images; None where it draws from latents alone."""
    input_counts: Mapping[str, int] | None = None
    """Inputs in each split, where they are not paired one to one with the samples."""
    domains: tuple[str, str] | None = None
    """Names of what the inputs are and of what the samples are, where they are not paired."""
    schema: Schema | None = None
    """Tables: the columns."""
    vocabulary: tuple[str, ...] | None = None
    """Words of the training split's captions, in order of their tokens, from 2 on; None where samples have no captions."""
    caption_counts: Mapping[str, int] | None = None
    """Captions in each split, at least one a sample."""
    caption_length: int | None = None
    """Tokens of each caption, with padding."""
    examples: tuple[str, ...] | None = None
    """Some captions of the training split, to show what a generator can be asked for."""
    corruption: Corruption | None = None
    """How the inputs were made of the samples; None where they were not."""

    stacked: tuple[str, ...] | None = None
    """Images whose channels are images of their own: the classes of a channel; `classes` are then all combinations of them."""

    @property
    def digest(self) -> str:
        """One hash over everything that training can see (hexadecimal, 64 characters)."""
        # Without what is not set, so that a kind of data that comes later leaves the digests of the others alone.
        facts = {key: value for key, value in asdict(self).items() if value is not None}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Captions:
    """The captions of a split."""

    tokens: NDArray[np.int32]
    """(M, T)."""
    samples: NDArray[np.int64]
    """(M,) index of the sample that each belongs to, ascending."""
    texts: tuple[str, ...]
    """As they were written."""

    def drawn(self, samples: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """One caption for each of `samples` (N,), chosen by `draws` (N,) in [0, 1): indices int64 (N,)."""
        first, end = np.searchsorted(self.samples, samples), np.searchsorted(self.samples, samples, side="right")
        return first + (draws * (end - first)).astype(np.int64)

    def take(self, indices: NDArray[np.int64]) -> Captions:
        """Some of them, by ascending indices."""
        return Captions(self.tokens[indices], self.samples[indices], tuple(self.texts[i] for i in indices))


@dataclass(frozen=True)
class Dataset:
    """A packed data set, opened."""

    spec: DatasetSpec
    samples: Mapping[str, NDArray[Any]]
    labels: Mapping[str, NDArray[np.int64]]
    inputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    captions: Mapping[str, Captions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.spec.sha256:  # was never written: its digest is of the arrays themselves
            object.__setattr__(self, "spec", replace(self.spec, sha256=self._digests()))

    def _digests(self) -> dict[str, str]:
        """Of each array what its file would have."""
        arrays = {f"{split}{ending}.npy": array for ending, of in self._arrays() for split, array in of.items()}
        texts = {f"{split}_captions.json": json.dumps(captions.texts).encode() for split, captions in self.captions.items()}
        written = {name: _ArrayDigest.of(array) for name, array in arrays.items()}
        return dict(sorted({**written, **{name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}}.items()))

    def _arrays(self) -> list[tuple[str, Mapping[str, NDArray[Any]]]]:
        tokens = {split: captions.tokens for split, captions in self.captions.items()}
        captioned = {split: captions.samples for split, captions in self.captions.items()}
        return [("", self.samples), ("_labels", self.labels), ("_inputs", self.inputs), ("_tokens", tokens), ("_captioned", captioned)]

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
            for key in ("shape", "classes", "mean", "std", "inputs", "domains", "vocabulary", "examples", "stacked"):
                fields[key] = None if fields.get(key) is None and key != "shape" else tuple(fields[key])
            if fields.get("schema") is not None:
                fields["schema"] = Schema.from_json(fields["schema"])
            spec = DatasetSpec(**fields)
            counts = [(split, spec.counts[split]) for split in SPLITS]
        except FileNotFoundError:
            raise DataError(f"{path}: not there; run the validate stage first") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: damaged ({error}); run the validate stage again") from None
        dtype = _DTYPES[spec.kind]
        samples = {split: _open_array(folder / f"{split}.npy", (count, *spec.shape), dtype) for split, count in counts}
        labels = {}
        if spec.classes is not None:
            labels = {split: _open_array(folder / f"{split}_labels.npy", (count,), np.int64) for split, count in counts}
        inputs = {}
        if spec.inputs is not None:
            counts = [(split, (spec.input_counts or spec.counts)[split]) for split in SPLITS]
            inputs = {split: _open_array(folder / f"{split}_inputs.npy", (count, *spec.inputs), np.uint8) for split, count in counts}
        captions = {split: _open_captions(folder, split, spec) for split in SPLITS} if spec.vocabulary is not None else {}
        return cls(spec, samples, labels, inputs, captions)


def write_spec(folder: Path, spec: DatasetSpec) -> DatasetSpec:
    """Write dataset.json beside arrays that are already there; returns `spec` with their digests filled in."""
    endings = [".npy", *(["_labels.npy"] if spec.classes is not None else []), *(["_inputs.npy"] if spec.inputs is not None else [])]
    endings += ["_captions.json", "_captioned.npy", "_tokens.npy"] if spec.vocabulary is not None else []
    digests = {name: _digest(folder / name) for name in sorted(f"{split}{ending}" for split in SPLITS for ending in endings)}
    complete = replace(spec, sha256=digests)
    text = json.dumps({"format": FORMAT, **asdict(complete)}, indent=2, sort_keys=True)
    (folder / "dataset.json").write_text(text + "\n")
    return complete


class _ArrayDigest:
    """A file that keeps nothing but the sha256 of what is written to it."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._sha256.update(data)

    @classmethod
    def of(cls, array: NDArray[Any]) -> str:
        """Of the .npy file that `array` would be."""
        file = cls()
        np.lib.format.write_array(file, array, allow_pickle=False)  # type: ignore[arg-type]
        return file._sha256.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open_captions(folder: Path, split: str, spec: DatasetSpec) -> Captions:
    assert spec.caption_counts is not None  # noqa: S101
    assert spec.caption_length is not None  # noqa: S101
    count = spec.caption_counts[split]
    tokens = _open_array(folder / f"{split}_tokens.npy", (count, spec.caption_length), np.int32)
    samples = _open_array(folder / f"{split}_captioned.npy", (count,), np.int64)
    path = folder / f"{split}_captions.json"
    try:
        texts = tuple(map(str, json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run the validate stage again") from None
    if len(texts) != count:
        raise DataError(f"{path}: holds {len(texts):,} captions, and dataset.json says {count:,}; run the validate stage again")
    return Captions(tokens, samples, texts)


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
