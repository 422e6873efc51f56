"""Between a row of a table as it is stored and as networks see it: mode-specific normalisation (CTGAN, Xu et al., 2019, section 4.2).

A number becomes a scalar in -1..1, its distance from the mean of one mode in units of four deviations, and a one-hot choice of that
mode; a category becomes a one-hot choice. Encoded rows are laid out as

    scalars | modes of the first number | modes of the second | ... | first category | second category | ...

and what cannot differ takes no room: a constant column has none, and the only mode of a number no choice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_core.data.schema import Column, Schema

MODE_WIDTH = 4.0
"""Deviations from a mode's mean that the scalar's 1 stands for."""


class Choices:
    """Several choices of different sizes beside each other, as one-hot or logits: flat (N, sum of sizes) and padded (N, B, K)."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.width = sum(sizes)
        self._mask = torch.arange(max(sizes, default=0)) < torch.tensor(sizes, dtype=torch.long)[:, None]

    def padded(self, flat: Tensor) -> Tensor:
        """(N, width) -> (N, B, K) with minus infinity where a choice has fewer than K options."""
        mask = self._mask.to(flat.device)
        filled = flat.new_full((len(flat), *mask.shape), -torch.inf)
        filled[:, mask] = flat
        return filled

    def softmax(self, flat: Tensor) -> Tensor:
        """Each choice's softmax, (N, width) -> (N, width)."""
        return self.padded(flat).softmax(dim=-1)[:, self._mask.to(flat.device)]

    def one_hot(self, chosen: Tensor) -> Tensor:
        """Options (N, B) int64 -> one-hot float32 (N, width)."""
        if not self.sizes:
            return torch.zeros((len(chosen), 0), device=chosen.device)
        return F.one_hot(chosen, self._mask.shape[1]).to(torch.float32)[:, self._mask.to(chosen.device)]

    def chosen(self, flat: Tensor) -> Tensor:
        """The likeliest option of each: (N, width) -> (N, B) int64."""
        return self.padded(flat).argmax(dim=-1) if self.sizes else torch.zeros((len(flat), 0), dtype=torch.long, device=flat.device)


class Encoding:
    """Encodes and decodes the rows of a table, whose schema is fitted."""

    def __init__(self, schema: Schema) -> None:
        columns = list(enumerate(schema.columns))
        self._columns = schema.columns
        self._numbers = [i for i, column in columns if column.modes]
        self._categories = [i for i, column in columns if column.categories is not None and len(column.categories) > 1]
        modes = [schema.columns[i].modes or () for i in self._numbers]
        most = max(map(len, modes), default=1)

        def table(name: str, fill: float) -> Tensor:
            padded = [[*(getattr(mode, name) for mode in one), *[fill] * (most - len(one))] for one in modes]
            return torch.tensor(padded, dtype=torch.float64).view(-1, most)

        self._weights, self._means, self._stds = table("weight", 0.0), table("mean", 0.0), table("std", 1.0)
        self._mixed = [k for k, one in enumerate(modes) if len(one) > 1]
        self.scalars = len(self._numbers)
        """Numbers in -1..1 at the front of an encoded row."""
        sizes = [len(modes[k]) for k in self._mixed] + [len(schema.columns[i].categories or ()) for i in self._categories]
        self.choices = Choices(tuple(sizes))
        """What follows them."""
        self.width = self.scalars + self.choices.width
        """Length of an encoded row; 0 where every column is constant."""

    def encode(self, rows: Tensor) -> Tensor:
        """Rows float64 (N, D) -> float32 (N, width). A number's mode is drawn by its likelihood from torch's global random state."""
        values = rows[:, self._numbers]
        means, stds = self._means.to(rows.device), self._stds.to(rows.device)
        # Half of the squared distance stays far from the smallest double, whose logarithm would leave all modes equal.
        logits = self._weights.to(rows.device).log() - stds.log() - 0.5 * ((values[..., None] - means) / stds).square()
        noise = torch.rand(logits.shape, device=rows.device, dtype=torch.float64).clamp_min(1e-300)
        mode = (logits - (-noise.log()).log()).argmax(dim=-1)
        mean, std = (table.expand(len(rows), -1, -1).gather(2, mode[..., None])[..., 0] for table in (means, stds))
        scalars = ((values - mean) / (MODE_WIDTH * std)).clamp(-1, 1)
        chosen = torch.cat([mode[:, self._mixed], rows[:, self._categories].long()], dim=1)
        return torch.cat([scalars.to(torch.float32), self.choices.one_hot(chosen)], dim=1)

    def decode(self, encoded: Tensor) -> Tensor:
        """Encoded rows (N, width), choices as any scores -> float64 (N, D): in range, rounded as the column is, categories as index."""
        rows = torch.zeros((len(encoded), len(self._columns)), dtype=torch.float64, device=encoded.device)
        chosen = self.choices.chosen(encoded[:, self.scalars :])
        mode = torch.zeros((len(encoded), self.scalars), dtype=torch.long, device=encoded.device)
        mode[:, self._mixed] = chosen[:, : len(self._mixed)]
        mean, std = (
            table.to(encoded.device).expand(len(encoded), -1, -1).gather(2, mode[..., None])[..., 0] for table in (self._means, self._stds)
        )
        rows[:, self._numbers] = encoded[:, : self.scalars].double() * MODE_WIDTH * std + mean
        rows[:, self._categories] = chosen[:, len(self._mixed) :].double()
        for i, column in enumerate(self._columns):
            if column.kind == "number":
                rows[:, i] = _restored(rows[:, i], column)
        return rows


def _restored(values: Tensor, column: Column) -> Tensor:
    """A number's values as the column's own are: rounded, and within its range."""
    assert column.low is not None  # noqa: S101  the schema is fitted
    rounded = values if column.decimals is None else values.round(decimals=column.decimals)
    return rounded.clamp(column.low, column.high)
