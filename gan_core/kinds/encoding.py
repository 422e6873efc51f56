"""Between a row of a table as it is stored and as networks see it: mode-specific normalisation (CTGAN, Xu et al., 2019, section 4.2).

A number becomes a scalar in -1..1, its distance from the mean of one mode in units of four deviations, and a one-hot choice of that
mode. Its spikes, and a gap where a cell may be missing, are further options of that choice, for which the scalar is 0. A category becomes
a one-hot choice. Encoded rows are laid out as

    scalars | options of the first number | options of the second | ... | first category | second category | ...

where numbers without modes, which have no scalar, come behind those that have one; of rows with children (`gan_core.kinds.children`), the
choice of how many they are comes first. What cannot differ takes no room: a constant column
has none, and the only option of a number no choice. Where rules tell columns by others (`gan_core.kinds.ruled`), what they leave free is
encoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_core.kinds.ruled import Ruled
from gan_core.kinds.schema import MODE_WIDTH, Column, Schema

if TYPE_CHECKING:
    from gan_core.kinds.children import Children

_NEVER = -1e9  # of a logit; without a bound, it would make NaN of the options that are closed for other counts


class Choices:
    """Several choices of different sizes beside each other, as one-hot or logits: flat (N, sum of sizes) and padded (N, B, K)."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.width = sum(sizes)
        self._most = max(sizes, default=0)
        self.room = len(sizes) * self._most
        """Entries of a padded row."""
        # Of each entry of a flat row, its place among the padded ones. By index, since a mask leaves the width of its result to the data.
        self._places = torch.tensor([choice * self._most + option for choice, size in enumerate(sizes) for option in range(size)]).long()

    def padded(self, flat: Tensor) -> Tensor:
        """(N, width) -> (N, B, K) with minus infinity where a choice has fewer than K options."""
        filled = flat.new_full((flat.shape[0], self.room), -torch.inf)
        filled[:, self._places.to(flat.device)] = flat
        return filled.view(flat.shape[0], len(self.sizes), self._most)

    def softmax(self, flat: Tensor) -> Tensor:
        """Each choice's softmax, (N, width) -> (N, width)."""
        return self._flat(self.padded(flat).softmax(dim=-1))

    def one_hot(self, chosen: Tensor) -> Tensor:
        """Options (N, B) int64 -> one-hot float32 (N, width)."""
        if not self.sizes:
            return torch.zeros((len(chosen), 0), device=chosen.device)
        return self._flat(F.one_hot(chosen, self._most).to(torch.float32))

    def chosen(self, flat: Tensor) -> Tensor:
        """The likeliest option of each: (N, width) -> (N, B) int64."""
        if not self.sizes:
            return torch.zeros((flat.shape[0], 0), dtype=torch.long, device=flat.device)
        return torch.stack([one.argmax(dim=1) for one in torch.split(flat, list(self.sizes), dim=1)], dim=1)

    def _flat(self, padded: Tensor) -> Tensor:
        return padded.flatten(1)[:, self._places.to(padded.device)]


class Encoding:
    """Encodes and decodes the rows of a table, whose schema is fitted."""

    def __init__(self, schema: Schema) -> None:
        self._ruled = Ruled(schema.columns, schema.rules) if schema.free else None
        self._columns = schema.free or schema.columns
        self._children = _Places(schema.children, self._columns) if schema.children is not None else None
        columns = list(enumerate(self._columns))[: None if self._children is None else self._children.live]
        scaled = [i for i, column in columns if column.modes]
        pointed = [i for i, column in columns if column.kind == "number" and not column.modes and _points(column) > 1]
        self._numbers = scaled + pointed
        self._categories = [i for i, column in columns if column.categories is not None and len(column.categories) > 1]
        numbers = [self._columns[i] for i in self._numbers]
        sizes = [len(column.modes or ()) + _points(column) for column in numbers]
        most = max(sizes, default=1)

        def table(of: Callable[[Column], Sequence[float]], fill: float) -> Tensor:
            padded = [[*values, *[fill] * (most - len(values))] for values in map(of, numbers)]
            return torch.tensor(padded, dtype=torch.float64).view(-1, most)

        # Of each number a row, of each of its options an entry: modes, then spikes, then the gap.
        self._weights = table(lambda column: [mode.weight for mode in column.modes or ()], 0.0)
        self._means = table(lambda column: [mode.mean for mode in column.modes or ()], 0.0)
        self._stds = table(lambda column: [mode.std for mode in column.modes or ()], 1.0)
        self._spikes = table(lambda column: [math.nan for _ in column.modes or ()] + list(column.spikes), math.nan)
        bounds = [column.between or (-math.inf, math.inf) for column in numbers]
        self._lows, self._highs = torch.tensor(bounds, dtype=torch.float64).view(-1, 2).T
        self._gaps = torch.tensor(
            [size - 1 if column.missing else -1 for size, column in zip(sizes, numbers, strict=True)], dtype=torch.long
        )
        self._chosen = [k for k, size in enumerate(sizes) if size > 1]
        count = None if self._children is None else self._children.count
        self.leading = int(count in self._numbers)
        """Choices that stand before those of the scalars: how many children there are, which says what the places for them hold."""
        if count in self._numbers:
            self._chosen.sort(key=lambda k: self._numbers[k] != count)
        self._has_points = any(map(_points, numbers))
        self.scalars = len(scaled)
        """Numbers in -1..1 at the front of an encoded row."""
        self.modes = tuple(len(column.modes or ()) if size > 1 else 0 for size, column in zip(sizes, numbers, strict=True))[: len(scaled)]
        """Of each scalar, how many options of its choice, the first ones, it belongs to; 0 where it has no choice. Empty where all do."""
        if not self._has_points:
            self.modes = ()
        self.choices = Choices(tuple([sizes[k] for k in self._chosen] + [len(self._columns[i].categories or ()) for i in self._categories]))
        """What follows them."""
        self.width = self.scalars + self.choices.width
        """Length of an encoded row; 0 where every column is constant."""
        at = [*(self._numbers[k] for k in self._chosen), *self._categories]
        self.closed = self._children.closed(at, self.choices.sizes, self._columns) if self._children is not None and self.leading else None
        """What the logits of all choices are lowered by where so many children are chosen, (options of the first choice, width): without a
        bound, unless a place without one is a gap, and one with one is none that its column has not. None: nothing is."""

    def encode(self, rows: Tensor) -> Tensor:
        """Rows float64 (N, D) -> float32 (N, width). A number's mode is drawn by its likelihood from torch's global random state."""
        rows = rows if self._ruled is None else self._ruled.to_free(rows)
        values = rows[:, self._numbers]
        gaps = values.isnan()
        means, stds = self._means.to(rows.device), self._stds.to(rows.device)
        # Half of the squared distance stays far from the smallest double, whose logarithm would leave all modes equal.
        logits = self._weights.to(rows.device).log() - stds.log() - 0.5 * ((values.nan_to_num()[..., None] - means) / stds).square()
        noise = torch.rand(logits.shape, device=rows.device, dtype=torch.float64).clamp_min(1e-300)
        option = (logits - (-noise.log()).log()).argmax(dim=-1)
        mean, std = (_picked(table, option) for table in (means, stds))
        scalars = ((values - mean) / (MODE_WIDTH * std)).clamp(-1, 1)
        if self._has_points:
            distance = (values[..., None] - self._spikes.to(rows.device)).abs().nan_to_num(nan=torch.inf)
            nearest, spike = distance.min(dim=-1)
            # Where there are no modes, a value that training never had is the spike beside it.
            at_spike = (nearest == 0) | ((torch.arange(len(self._numbers), device=rows.device) >= self.scalars) & nearest.isfinite())
            option = torch.where(gaps, self._gaps.to(rows.device).clamp_min(0), torch.where(at_spike, spike, option))
            scalars = torch.where(gaps | at_spike, 0.0, scalars)
        chosen = torch.cat([option[:, self._chosen], rows[:, self._categories].long()], dim=1)
        return torch.cat([scalars[:, : self.scalars].to(torch.float32), self.choices.one_hot(chosen)], dim=1)

    def decode(self, encoded: Tensor) -> Tensor:
        """Encoded rows (N, width), choices as any scores -> float64 (N, D): in range, rounded as the column is, categories as index, and
        NaN for a gap in a column of numbers."""
        rows = torch.zeros((encoded.shape[0], len(self._columns)), dtype=torch.float64, device=encoded.device)
        chosen = self.choices.chosen(encoded[:, self.scalars :])
        option = torch.zeros((encoded.shape[0], len(self._numbers)), dtype=torch.long, device=encoded.device)
        option[:, self._chosen] = chosen[:, : len(self._chosen)]
        mean, std, spike = (_picked(table.to(encoded.device), option) for table in (self._means, self._stds, self._spikes))
        scalars = F.pad(encoded[:, : self.scalars].double(), (0, len(self._numbers) - self.scalars))
        drawn = (scalars * MODE_WIDTH * std + mean).clamp(self._lows.to(encoded.device), self._highs.to(encoded.device))
        values = torch.where(spike.isnan(), drawn, spike)
        rows[:, self._numbers] = values.masked_fill(option == self._gaps.to(encoded.device), torch.nan)
        rows[:, self._categories] = chosen[:, len(self._chosen) :].double()
        for i, column in enumerate(self._columns):
            if column.kind == "number":
                rows[:, i] = restored(rows[:, i], column)
        if self._children is not None:
            rows = self._children.without_absent(rows)
        return rows if self._ruled is None else self._ruled.to_rows(rows)


class _Places:
    """The places for children of a packed row, whose columns are fitted."""

    def __init__(self, children: Children, columns: Sequence[Column]) -> None:
        self._first, self._of_each = children.count_at(len(columns)) + 1, len(children.columns)
        self._has_gaps = [column.gap is not None for column in children.columns]
        self._gaps = torch.from_numpy(children.gaps).repeat(children.most)
        self._place = torch.arange(children.most).repeat_interleave(self._of_each)
        self.live = children.live(columns)
        self.count = self._first - 1

    def closed(self, at: Sequence[int], sizes: Sequence[int], columns: Sequence[Column]) -> Tensor:
        """`Encoding.closed`, of choices of these sizes, of the columns `at`, the first of which is how many children there are."""
        counts = torch.tensor(columns[self.count].spikes)
        found = []
        for i, size in zip(at, sizes, strict=True):
            lowered = torch.zeros(len(counts), size)
            if (cell := i - self._first) >= 0:
                gap = torch.arange(size) == (size - 1 if columns[i].gap is not None else -1)
                is_there = counts > self._place[cell]
                lowered[~is_there[:, None] & ~gap] = _NEVER
                if not self._has_gaps[cell % self._of_each]:
                    lowered[is_there[:, None] & gap] = _NEVER
            found.append(lowered)
        return torch.cat(found, dim=1)

    def without_absent(self, rows: Tensor) -> Tensor:
        """Rows (N, D) with gaps in the places that have no child."""
        is_there = rows[:, self.count, None] > self._place.to(rows.device)
        cells = torch.where(is_there, rows[:, self._first :], self._gaps.to(rows.device))
        return torch.cat([rows[:, : self._first], cells], dim=1)


def _points(column: Column) -> int:
    """Of a number, options without a scalar: its spikes and the gap."""
    return len(column.spikes) + (column.missing > 0)


def _picked(table: Tensor, option: Tensor) -> Tensor:
    """Of each number the entry of its option: (C, K), (N, C) -> (N, C)."""
    return table.expand(option.shape[0], -1, -1).gather(2, option[..., None])[..., 0]


def restored(values: Tensor, column: Column) -> Tensor:
    """Values (N,) float64 as those of a fitted column of numbers are: rounded to its decimals, and within its range."""
    assert column.low is not None  # noqa: S101  the schema is fitted
    rounded = values if column.decimals is None else values.round(decimals=column.decimals)
    return rounded.clamp(column.low, column.high)
