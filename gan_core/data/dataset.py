"""The packed form of a data set: what the validate stage writes and everything after it reads.

A folder with

    dataset.json           format, kind, shape, classes, counts, sha256 of each array, and what else the kind of data has
    train.npy              samples, such as uint8 (N, C, H, W) for images or float32 (N, D) for points
    train_labels.npy       (N,), only where there are labels: int64, the index of a class, or float32, a number
    train_inputs.npy       what the generator is given to make each sample of, only where it is given something else than the samples
    train_groups.npy       int64 (N,), only where it is known which samples of a translation by label are of one group
    holdout.npy            as train.npy: samples that training never sees; and likewise the others
    selection.npy          likewise, only where some are kept apart for choosing among the snapshots of a training

Arrays are memory-mapped, so a data set may be larger than memory.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gan_core.data.labels import Classes, Condition, Labels, Numbers
from gan_core.errors import ConfigError, DataError
from gan_core.kinds import KINDS
from gan_core.kinds.text import Captions

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator, Samples

FORMAT = 1
SPLITS = ("train", "holdout")
"""The parts that every data set has."""
Split = Literal["train", "holdout", "selection"]
PREVIEW_SEED = 0
PROBE = 64
"""Samples that a look at the generator takes."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class DatasetSpec(ABC):
    """What a data set is, apart from its samples: a class a kind of data (`gan_core.kinds`), with only the fields that it has."""

    kind: ClassVar[str]
    """Its name in `KINDS`."""
    unit: ClassVar[str] = "images"
    """What messages call samples that training is shown."""
    dtype: ClassVar[type[np.generic]]
    """Of the samples' values, and of the inputs'."""
    draws_a_pass_a_core: ClassVar[bool] = False
    """Whether so little is to be multiplied in a pass that each core draws passes of its own, rather than all of them the same one."""
    halves_alike: ClassVar[bool] = True
    """Whether networks halve every side of a sample equally often; otherwise the first one, a clip's frames, as often as it can be."""
    has_partners: ClassVar[bool] = True
    """Whether inputs, where there are any, belong to samples one to one."""

    shape: tuple[int, ...]
    """Of one sample: (C, H, W) for images, (1, T) for sounds, (1, X, Y, Z) for volumes, (C, F, H, W) for clips, (D,) for points and
    tables."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Samples in each split."""
    classes: tuple[str, ...] | None = None
    """Name of each label; None where samples have no labels, or labels are numbers."""
    inputs: tuple[int, ...] | None = None
    """Shape of what the generator is given for one sample; None where it draws from latents alone."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Digest of each array file's bytes."""
    numbers: tuple[float, float] | None = None
    """Where labels are numbers, the least and the greatest of the training split."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The parts that there are: `SPLITS`, and where snapshots are selected by one of their own, that."""
        return (*SPLITS, "selection") if "selection" in self.counts else SPLITS

    @property
    def network_shape(self) -> tuple[int, ...]:
        """Of one sample as networks see it; by default as it is stored."""
        return self.shape

    @property
    def together(self) -> int:
        """How many samples are drawn at once: bounds memory, and never changes with how many are asked for."""
        return 256

    @property
    def row_words(self) -> tuple[str, ...] | None:
        """What each row of networks' tables of words stands for; None where they have no such tables."""
        return None

    @property
    def network_inputs(self) -> tuple[int, ...] | None:
        """Of what a generator is given for one sample, likewise."""
        return self.inputs

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 where samples have none."""
        return len(self.classes or ())

    @property
    def condition(self) -> Condition | None:
        """What labels are; None where samples have none."""
        if self.classes is not None:
            return Classes(self.classes)
        return None if self.numbers is None else Numbers(*self.numbers)

    @property
    def unlabelled(self) -> Self:
        """The same without labels."""
        return replace(self, classes=None, numbers=None)

    @classmethod
    def of(cls, spec: DatasetSpec) -> Self:
        """`spec`, which has to be of this kind.

        Raises:
            DataError: it is of another.
        """
        if not isinstance(spec, cls):
            raise DataError(f"expected a data set of {cls.kind}, and this one is of {spec.kind}")
        return spec

    @cached_property
    def digest(self) -> str:
        """One hash over everything that training can see (hexadecimal, 64 characters)."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Its facts, without what is not set, so that one which comes later leaves the digests of the others alone."""
        return {"kind": self.kind, **{key: value for key, value in asdict(self).items() if value is not None}}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """What `as_json` gave, without `kind`; older versions wrote null for what other kinds have."""
        known = {key: value for key, value in facts.items() if value is not None}
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
        return cls(**given)

    def arrays(self, split: str) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
        """Shape and type of each array of a split, by the end of its file's name."""
        count = self.counts[split]
        found: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {"": ((count, *self.shape), self.dtype)}
        if self.condition is not None:
            found["_labels"] = ((count,), self.condition.dtype)
        if self.inputs is not None:
            found["_inputs"] = ((count, *self.inputs), self.dtype)
        return found

    def files(self, split: str) -> list[str]:
        """Name of each file of a split."""
        return [f"{split}{ending}.npy" for ending in self.arrays(split)]

    def captions(self, folder: Path, split: str, arrays: Mapping[str, NDArray[Any]]) -> Captions | None:
        """What a split's samples are described by; None for all kinds but that one."""
        return None

    @abstractmethod
    def to_networks(self, samples: Tensor) -> Tensor:
        """Samples (N, *shape), or inputs, as networks see them: float32."""

    @abstractmethod
    def to_samples(self, made: Tensor) -> Tensor:
        """What a network made, (N, ...), as samples (N, *shape) on the CPU: the inverse of `to_networks`."""

    def labels_drawn(self, n: int, seed: int) -> Tensor:
        """Labels (n,) of samples that nobody asked a label for, of a data set that has some: by default as `Condition.evenly` has them."""
        import torch

        assert self.condition is not None, "only where there are labels"  # noqa: S101
        return torch.from_numpy(self.condition.evenly(n))

    def misfit(self, other: DatasetSpec) -> str | None:
        """Why samples of this kind cannot stand beside those of `other`, in words; None where they can.

        This is a generator's, which has no labels where it is unconditional.
        """
        if (self.kind, self.shape) != (other.kind, other.shape):
            return f"draws {self.kind} of shape {self.shape}, and the data has {other.kind} of shape {other.shape}"
        if self.inputs != other.inputs:
            return f"is given inputs of shape {self.inputs}, and the data has {other.inputs}"
        if self.classes is not None and self.classes != other.classes:
            return "knows other classes than the data has"
        if self.numbers is not None and other.numbers is None:
            return "is asked for a number, and the data's labels are none"
        return None

    def stands_beside(self, other: DatasetSpec) -> bool:
        """Whether samples of another data set of this kind and shape mean the same here."""
        return True

    def comparable(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Samples (N, ...) so scaled that no value counts for more than another where spreads are compared; by default as they are."""
        return samples

    def probe(self, generator: Generator, dataset: Dataset) -> Samples:
        """Samples of a generator in training, whose spread is compared with that of real samples."""
        return generator.sample(PROBE, PREVIEW_SEED)

    @abstractmethod
    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        """A picture, uint8 (H, W, 3), of what a generator in training makes: of fixed latents, so that pictures can be compared."""


@dataclass(frozen=True)
class Dataset:
    """A packed data set, opened: its specification, and the arrays of each split.

    Samples are (N, *spec.shape), such as uint8 (N, C, H, W) for images and float32 (N, D) for points; labels (N,), where there are any,
    int64, an index into the classes, or float32, numbers. `open` reads what the validate stage wrote; in a notebook
    `gan_core.data_from_arrays` and `data_from_folder` make one.

    >>> import numpy as np
    >>> from gan_core import Dataset, data_from_arrays
    >>> data = data_from_arrays(np.random.default_rng(0).normal(size=(100, 2)))
    >>> isinstance(data, Dataset), data.samples["train"].shape, data.samples["holdout"].shape
    (True, (90, 2), (10, 2))
    """

    spec: DatasetSpec
    samples: Mapping[str, NDArray[Any]]
    labels: Mapping[str, Labels]
    inputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    captions: Mapping[str, Captions] = field(default_factory=dict)
    groups: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    """(N,) a number for each sample, where it is known which are of one group: the same in a group, -1 for those of none."""

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
        plain = [("", self.samples), ("_labels", self.labels), ("_inputs", self.inputs), ("_groups", self.groups)]
        return [*plain, ("_tokens", tokens), ("_captioned", captioned)]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a packed data set without reading its samples.

        Raises:
            DataError: a file is missing or does not hold what dataset.json says.
        """
        path = folder / "dataset.json"
        try:
            facts = json.loads(path.read_text())
            if facts.pop("format", None) != FORMAT:
                raise DataError(f"{path}: not of format {FORMAT}; run the validate stage again")
            kind: type[DatasetSpec] = KINDS.named(facts.pop("kind"))
            spec = kind.from_json(facts)
            expected = {split: spec.arrays(split) for split in spec.splits}
        except FileNotFoundError:
            raise DataError(f"{path}: not there; run the validate stage first") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            raise DataError(f"{path}: damaged ({error}); run the validate stage again") from None
        arrays = {
            split: {ending: _open_array(folder / f"{split}{ending}.npy", *array) for ending, array in expected[split].items()}
            for split in spec.splits
        }
        captions = {split: spec.captions(folder, split, arrays[split]) for split in spec.splits}

        def of(ending: str) -> dict[str, NDArray[Any]]:
            return {split: found[ending] for split, found in arrays.items() if ending in found}

        described = {split: one for split, one in captions.items() if one is not None}
        return cls(spec, of(""), of("_labels"), of("_inputs"), described, of("_groups"))

    @property
    def selecting(self) -> Dataset:
        """The same with what is kept for selection in the place of what is held out, which it has no way to.

        Raises:
            DataError: nothing is kept for selection.
        """
        if "selection" not in self.spec.counts:
            raise DataError("the data has no part that snapshots are selected by; set data.selection, such as 0.1")

        def of(parts: Mapping[str, Part]) -> dict[str, Part]:
            return {"train": parts["train"], "holdout": parts["selection"]} if parts else {}

        facts = {one.name: getattr(self.spec, one.name) for one in fields(self.spec)}
        counts: dict[str, Any] = {key: of(value) for key, value in facts.items() if isinstance(value, Mapping) and "selection" in value}
        spec = replace(self.spec, **counts)
        return Dataset(spec, of(self.samples), of(self.labels), of(self.inputs), of(self.captions), of(self.groups))


Spec = TypeVar("Spec", bound=DatasetSpec)


def write_spec(folder: Path, spec: Spec) -> Spec:
    """Write dataset.json beside arrays that are already there; returns `spec` with their digests filled in."""
    names = sorted(name for split in spec.splits for name in spec.files(split))
    complete = replace(spec, sha256={name: _digest(folder / name) for name in names})
    text = json.dumps({"format": FORMAT, **complete.as_json()}, indent=2, sort_keys=True)
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
