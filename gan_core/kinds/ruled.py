"""Rows in which rules hold, and rows of what is left free by them: what a generator learns and draws.

A combination of columns becomes one category. The higher of two columns becomes how much higher it is. A sum is left out. So whatever is
drawn for the free columns, the rules hold. Only `unique` is met by drawing again (`gan_core.generator`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.kinds.schema import Column
from gan_core.rules import Rule, in_order


class Ruled:
    """Between rows (N, D) and free ones (N, F), whose columns are `columns`, not yet fitted."""

    def __init__(self, columns: Sequence[Column], rules: Sequence[Rule]) -> None:
        """`columns` are those of a table, fitted."""
        self._columns = columns
        at = {column.name: i for i, column in enumerate(columns)}
        self._combinations = [rule for rule in rules if rule.kind == "combinations"]
        combined = [[at[name] for name in rule.columns] for rule in self._combinations]
        sums = {at[rule.told[0]]: rule for rule in rules if rule.kind == "sum"}
        orders: dict[int, list[Rule]] = {}
        for rule in rules:
            if rule.kind == "order":
                orders.setdefault(at[rule.told[0]], []).append(rule)
        self._told = [at[name] for name in in_order(rules)]
        self._sums = {i: ([at[name] for name in rule.tellers], rule.signs) for i, rule in sums.items()}
        self._lower = {i: [at[rule.tellers[0]] for rule in found] for i, found in orders.items()}
        self._strict = {i: any(rule.strict for rule in found) for i, found in orders.items()}
        gone = {*sums, *(i for group in combined for i in group[1:])}
        self._free = [i for i in range(len(columns)) if i not in gone]
        self._place = {i: k for k, i in enumerate(self._free)}
        self._combined = combined
        self._tables = [
            torch.tensor([[math.nan if value is None else value for value in one] for one in rule.occurring], dtype=torch.float64)
            for rule in self._combinations
        ]
        self.columns = tuple(self._free_column(i) for i in self._free)

    def _free_column(self, i: int) -> Column:
        column = self._columns[i]
        for rule, group in zip(self._combinations, self._combined, strict=True):
            if group[0] == i:
                return Column(", ".join(rule.columns), "category", "string", tuple(map(str, range(len(rule.occurring)))))
        if i in self._lower:
            lower = [self._columns[one] for one in self._lower[i]]
            whole = all(one.dtype in ("int64", "date") for one in (column, *lower))
            return Column(f"{column.name} beyond {', '.join(one.name for one in lower)}", "number", "int64" if whole else "float64")
        return column

    def to_free(self, rows: Tensor) -> Tensor:
        """Rows (N, D), in which the rules hold -> (N, F)."""
        free = rows[:, self._free].clone()
        for group, table in zip(self._combined, self._tables, strict=True):
            cells = rows[:, group]
            known = table.to(rows.device)
            equal = (cells[:, None] == known) | (cells[:, None].isnan() & known.isnan())
            free[:, self._place[group[0]]] = equal.all(dim=2).to(torch.uint8).argmax(dim=1).double()
        for i in self._lower:
            beyond = rows[:, i] - self._base(rows, i)
            decimals = self._decimals(i)
            free[:, self._place[i]] = beyond if decimals is None else beyond.round(decimals=decimals)
        return free

    def to_free_array(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """`to_free` of an array."""
        return np.asarray(self.to_free(torch.from_numpy(np.array(rows))).numpy())

    def to_rows(self, free: Tensor) -> Tensor:
        """Free rows (N, F) -> (N, D): the rules hold, in whatever is drawn."""
        rows = torch.zeros((free.shape[0], len(self._columns)), dtype=torch.float64, device=free.device)
        rows[:, self._free] = free
        for group, table in zip(self._combined, self._tables, strict=True):
            rows[:, group] = table.to(free.device)[free[:, self._place[group[0]]].long()]
        for i in self._told:
            if i in self._sums:
                terms, signs = self._sums[i]
                total = (rows[:, terms] * torch.tensor(signs, dtype=torch.float64, device=free.device)).sum(dim=1)
                rows[:, i] = _rounded(total, self._columns[i].decimals)
            else:
                rows[:, i] = self._above(self._base(rows, i), rows[:, i], i)
        return rows

    def _base(self, rows: Tensor, i: int) -> Tensor:
        """What a column is at least: the highest of those below it that are there; (N,)."""
        lower = self._lower[i]
        least = min(self._columns[one].extent[0] for one in (i, *lower))
        base = rows[:, lower].nan_to_num(nan=-math.inf).amax(dim=1)
        return torch.where(base.isinf(), least, base)

    def _above(self, base: Tensor, beyond: Tensor, i: int) -> Tensor:
        """A column's values, so much beyond what they are at least, on its grid and not beyond its range unless that is."""
        column = self._columns[i]
        drawn = _rounded(base + beyond, column.decimals).clamp(max=column.extent[1])
        strict = self._strict[i]
        if column.decimals is None:
            # The next double or the one behind it: ONNX knows no nextafter.
            higher = base + (base.abs() * 2.0**-52).clamp_min(1e-300) if strict else base
        else:
            beside = _rounded(base, column.decimals)
            is_below = beside <= base if strict else beside < base
            higher = torch.where(is_below, _rounded(beside + 10.0**-column.decimals, column.decimals), beside)
        too_low = drawn <= base if strict else drawn < base
        return torch.where(beyond.isnan(), beyond, torch.where(too_low, higher, drawn))

    def _decimals(self, i: int) -> int | None:
        found = [self._columns[one].decimals for one in (i, *self._lower[i])]
        return None if None in found else max(one for one in found if one is not None)


def _rounded(values: Tensor, decimals: int | None) -> Tensor:
    return values if decimals is None else values.round(decimals=decimals)
