"""`data.rules` beside the rows of a table: whether its columns fit them, which rows break them, and what occurs."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.schema import Column, decimals_of
from gan_core.rules import Rule, names_in
from tasks.sources.raw import safe_path
from tasks.validation.column_kinds import as_yaml
from tasks.validation.columns import MOST_CATEGORIES, Reading

Values = NDArray[np.float64]

_FEWEST_ROWS = 50
"""Below which nothing is suggested."""
_SOME_ROWS = 5_000  # in which is looked first
_BROKEN_BY_CHANCE = 0.05
_FEWEST_TOLD, _MOST_TOLD = 3, 100  # values of a column
_NEARLY = 0.9


def counted_columns(rules: Sequence[Rule]) -> set[str]:
    """The columns that rules compute with, which are numbers or dates even where they have few values."""
    return {name for rule, name in names_in(rules) if rule.kind in ("order", "sum")}


def misfits(rules: Sequence[Rule], known: Sequence[str], readings: Mapping[str, Reading], path: str) -> Iterator[str]:
    """What is wrong with rules for a table of these columns, a line each.

    Args:
        known: all columns of the file.
        readings: of those that are used.
        path: what messages call it.
    """
    for rule, name in names_in(rules):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            yield f"data.rules: {rule}: {path} has no column {name!r}" + (f"; did you mean {near[0]}?" if near else "")
        elif name not in readings:
            yield f"data.rules: {rule}: {safe_path(name)} is left out; say in data.columns what it is, or leave the rule out"
        elif rule.kind in ("order", "sum") and not readings[name].is_measured:
            yield f"data.rules: {rule}: {safe_path(name)} holds {readings[name].kind} cells, and this is for numbers and dates"
    for rule in rules:
        if rule.kind not in ("order", "sum") or not {*rule.columns} <= readings.keys():
            continue
        dated = [readings[name].dtype if readings[name].kind == "date" else "" for name in rule.columns]
        if rule.kind == "order" and dated[0] != dated[1]:
            yield f"data.rules: {rule}: one is {_what(dated[0])} and the other {_what(dated[1])}; they cannot be compared"
        if rule.kind == "sum" and any(dated):
            yield f"data.rules: {rule}: sums are of numbers, and {rule.columns[[bool(one) for one in dated].index(True)]} holds dates"


def _what(dtype: str) -> str:
    return {"date": "a day", "datetime": "a moment"}.get(dtype, "a number")


def broken(rules: Sequence[Rule], names: Sequence[str], rows: Sequence[tuple[Any, ...]], readings: Sequence[Reading]) -> dict[int, str]:
    """Of rows that are whole, None for missing cells, those that break a rule, and how: by index."""
    found: dict[int, str] = {}
    at = {name: k for k, name in enumerate(names)}

    def numbers(name: str) -> Values:
        parse = readings[at[name]].parse
        return np.array([math.nan if row[at[name]] is None else parse(row[at[name]]) for row in rows], dtype=np.float64)

    for rule in rules:
        if rule.kind == "order":
            low, high = map(numbers, rule.columns)
            wrong = low >= high if rule.strict else low > high
            what = f"{safe_path(rule.columns[1])} is {'not above' if rule.strict else 'below'} {safe_path(rule.columns[0])}"
        elif rule.kind == "sum":
            total, *terms = map(numbers, rule.columns)
            off = np.abs(total - sum(sign * term for sign, term in zip(rule.signs, terms, strict=True)))
            decimals = decimals_of(total[~np.isnan(total)])
            near = 1e-9 * np.abs(total) + (0.0 if decimals is None else 0.5 * 10.0**-decimals)
            wrong, what = off > near * (1 + 1e-6), f"{safe_path(rule.columns[0])} is another sum"
        elif rule.kind == "unique":
            first: dict[tuple[Any, ...], int] = {}
            for k, row in enumerate(rows):
                cells = tuple(_value(row[at[name]], readings[at[name]]) for name in rule.columns)
                if None not in cells and first.setdefault(cells, k) != k:
                    found.setdefault(k, f"{rule}: equal to a row before it (data.rules)")
            continue
        else:
            continue
        for at_fault in np.flatnonzero(wrong).tolist():
            found.setdefault(at_fault, f"{rule}: {what} (data.rules)")
    return found


def _value(cell: Any, reading: Reading) -> Any:
    return reading.parse(cell) if reading.is_measured and cell is not None else cell


def resolved(rules: Sequence[Rule], columns: Sequence[Column], values: Sequence[Values]) -> tuple[Rule, ...]:
    """Rules with the combinations that occur in good rows, as they are packed.

    Raises:
        ValueError: there are too many.
    """
    at = {column.name: k for k, column in enumerate(columns)}

    def seen(rule: Rule) -> Rule:
        if rule.kind != "combinations":
            return rule
        cells = zip(*(values[at[name]].tolist() for name in rule.columns), strict=True)
        occurring = {tuple(None if math.isnan(value) else value for value in one) for one in cells}
        if len(occurring) > MOST_CATEGORIES:
            raise ValueError(f"data.rules: {rule}: {len(occurring):,} different ones occur, and at most {MOST_CATEGORIES:,} are held")
        return replace(rule, occurring=tuple(sorted(occurring, key=lambda one: [-math.inf if value is None else value for value in one])))

    return tuple(map(seen, rules))


def suggested(columns: Sequence[Column], values: Sequence[Values], rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """What holds in every row and is no rule yet: orders of two dates, and combinations of a column with those that it tells.

    An order counts where independent columns would break it in a row of twenty at least. A column tells another where each of its values
    has one beside it, in ten rows on the average, and neither has fewer than three or nearly always the same.

    Args:
        columns: those that rules can be about.
        values: (N,) each, as they are packed.
        rules: those that there are; what they name is left alone.
    """
    count = len(values[0]) if values else 0
    if count < _FEWEST_ROWS:
        return ()
    taken = {name for _, name in names_in(rules)}
    free = {column.name: (column, numbers) for column, numbers in zip(columns, values, strict=True) if column.name not in taken}
    return (*_orders(free), *_combinations(free, count))


def _orders(free: Mapping[str, tuple[Column, Values]]) -> Iterator[Rule]:
    dated = [name for name, (column, _) in free.items() if column.dtype in ("date", "datetime") and column.categories is None]
    found = set()
    for low, high in itertools.permutations(dated, 2):
        if free[low][0].dtype == free[high][0].dtype:
            first, second = free[low][1], free[high][1]
            both = ~np.isnan(first) & ~np.isnan(second)
            first, second = first[both], second[both]
            by_chance = np.random.default_rng(0).permutation(second)
            if 2 * both.sum() >= len(both) and (first <= second).all() and (first > by_chance).mean() >= _BROKEN_BY_CHANCE:
                found.add((low, high))
    for low, high in sorted(found, key=lambda pair: (dated.index(pair[0]), dated.index(pair[1]))):
        follows = any((low, between) in found and (between, high) in found for between in dated)
        rule = Rule("order", (low, high))
        with suppress(ValueError):  # of names that cannot stand in a rule
            if not follows and Rule.of(str(rule)) == rule:
                yield rule


def _combinations(free: Mapping[str, tuple[Column, Values]], count: int) -> Iterator[Rule]:
    some = slice(None, None, max(1, count // _SOME_ROWS))
    codes: dict[str, NDArray[np.int64]] = {}
    for name, (column, numbers) in free.items():
        if column.categories is not None or (column.dtype == "int64" and len(np.unique(numbers[some])) <= _MOST_TOLD):
            distinct, code, shares = np.unique(numbers, return_inverse=True, return_counts=True)
            if len(distinct) >= _FEWEST_TOLD and shares.max() < _NEARLY * count and 10 * len(distinct) <= count:
                codes[name] = code.ravel()
    claimed: set[str] = set()
    for name in sorted(codes, key=lambda name: -int(codes[name].max())):
        many = int(codes[name].max()) + 1

        def is_told(other: str, rows: slice, name: str = name) -> bool:
            mine, theirs = codes[name][rows], codes[other][rows]
            pairs = np.unique(mine * (int(codes[other].max()) + 1) + theirs)
            return len(pairs) == len(np.unique(mine))

        others = [other for other in codes if other != name and not {name, other} & claimed]
        told = [other for other in others if is_told(other, some) and is_told(other, slice(None))]
        if told and many <= MOST_CATEGORIES:
            claimed |= {name, *told}
            yield Rule("combinations", (name, *told))


def as_lines(rules: Sequence[Rule]) -> Iterator[str]:
    """Rules as items of a list in YAML."""
    for rule in rules:
        if rule.kind in ("combinations", "unique"):
            yield f"- {rule.kind}: [{', '.join(map(as_yaml, rule.columns))}]"
        else:
            yield f"- {as_yaml(str(rule))}"


def notes_on(rules: Sequence[Rule], columns: Sequence[Column], values: Sequence[Values]) -> Iterator[str]:
    """What generated rows have otherwise than the data, since rules hold in them."""
    at = {column.name: k for k, column in enumerate(columns)}
    for rule in rules:
        if rule.kind == "sum":
            is_told = ~np.logical_or.reduce([np.isnan(values[at[name]]) for name in rule.tellers])
            missing = np.isnan(values[at[rule.columns[0]]])
            name = safe_path(rule.columns[0])
            for which, what in ((is_told & missing, "is missing where its terms are not"), (~is_told & ~missing, "is there without them")):
                if which.any():
                    yield f"{rule}: {name} {what} in {which.mean():.1%} of the rows; generated rows are as the rule says"
