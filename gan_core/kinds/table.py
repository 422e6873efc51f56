"""Rows of a table: numbers as they are, categories as their index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import PREVIEW_SEED, Dataset, DatasetSpec, write_spec
from gan_core.data.packing import pack, sample_shape
from gan_core.kinds.schema import DEFAULT_MODES, Schema
from gan_core.randomness import mix

if TYPE_CHECKING:
    from torch import Tensor

    from gan_core.generator import Generator
    from gan_core.kinds.encoding import Encoding

_TOGETHER, _TOGETHER_CHOICES = 2_048, 2**21  # rows that are drawn at once, and entries of their choices, padded
_LABELS = 1  # apart from the latents
_PREVIEW_ROWS = 1_000
_APART = -0.5  # a gap, beside the values of a column's range as 0..1


@dataclass(frozen=True)
class Table(DatasetSpec):
    """Rows (D,)."""

    kind: ClassVar[str] = "table"
    unit: ClassVar[str] = "rows"
    dtype: ClassVar[type[np.generic]] = np.float64
    draws_a_pass_a_core: ClassVar[bool] = True

    schema: Schema = field(default_factory=lambda: Schema(()))
    """The columns, fitted."""

    @classmethod
    def pack(
        cls,
        folder: Path,
        samples: Mapping[str, NDArray[np.float64]],  # (N, D) of each split
        schema: Schema,  # not yet fitted
        labels: Mapping[str, Sequence[int]] | None = None,  # index into classes of each, in the same order
        classes: tuple[str, ...] | None = None,
        modes: int = DEFAULT_MODES,  # most that a number is described by
    ) -> Self:
        """Write rows of a table into `folder` as a packed data set; dataset.json, with the columns as training needs them, comes last."""
        counts = pack(folder, samples, cls.dtype, labels)
        train_labels = None if labels is None else np.asarray(labels["train"], dtype=np.int64)
        fitted = schema.fitted(samples["train"], train_labels, len(classes or ()), modes)
        return write_spec(folder, cls(sample_shape(samples), counts, classes, schema=fitted))

    def as_json(self) -> dict[str, Any]:
        facts = super().as_json()
        later = [key for key in ("rules", "free", "invented") if not facts["schema"][key]]
        return {**facts, "schema": {key: value for key, value in self.schema.as_json().items() if key not in later}}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        return super().from_json({**facts, "schema": Schema.from_json(facts["schema"])})

    @cached_property
    def encoding(self) -> Encoding:
        """Between a row as it is stored and as networks see it."""
        from gan_core.kinds.encoding import Encoding

        return Encoding(self.schema)

    @property
    def together(self) -> int:
        """More than of others, since a pass over few rows is mostly the time of its calls; fewer of tables with very many categories."""
        return max(super().together, min(_TOGETHER, _TOGETHER_CHOICES // max(self.encoding.choices.room, 1)))

    def to_networks(self, samples: Tensor) -> Tensor:
        """A number's mode is drawn by its likelihood from torch's global random state."""
        return self.encoding.encode(samples)

    def to_samples(self, made: Tensor) -> Tensor:
        return self.encoding.decode(made.cpu())

    def labels_drawn(self, n: int, seed: int) -> Tensor:
        """With the shares that they have in the training data."""
        if self.schema.shares is None:
            return super().labels_drawn(n, seed)
        import torch

        shares = torch.tensor(self.schema.shares, dtype=torch.float64)
        return torch.multinomial(shares, n, replacement=True, generator=torch.Generator().manual_seed(mix(seed, _LABELS)))

    def misfit(self, other: DatasetSpec) -> str | None:
        found = super().misfit(other)
        if found is None and not self.stands_beside(other):
            return "knows other columns than the data has"
        return found

    def stands_beside(self, other: DatasetSpec) -> bool:
        return isinstance(other, Table) and self.schema.is_like(other.schema)

    def comparable(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Each column by its range: units are not comparable, and a single outlier must not make all else look collapsed."""
        low, high = np.array([column.extent for column in self.schema.columns]).T
        shares = (samples - low) / np.where(high > low, high - low, 1.0)
        return np.asarray(np.nan_to_num(shares, nan=_APART))

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        real = np.array(dataset.samples["train"][:_PREVIEW_ROWS])
        return self.histograms(real, generator.sample(len(real), PREVIEW_SEED, unique=False).samples)

    def histograms(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The columns of generated rows (M, D) over those of real ones (N, D), as `pictures.histograms` draws them; below them those of
        their children, each of all children together."""
        children, own = self.schema.children, len(self.schema.own)
        if children is None:
            return pictures.histograms(real, generated, self.schema.columns)
        first = pictures.histograms(real[:, : own + 1], generated[:, : own + 1], self.schema.columns[: own + 1])
        if not len(drawn := children.pooled(generated)[0]):
            return first
        return pictures.below(first, pictures.histograms(children.pooled(real)[0], drawn, children.named))
