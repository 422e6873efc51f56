"""`data.rules` beside the rows of a table: whether its columns fit them, which rows break them, and what occurs."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.kinds.schema import Column, decimals_of
from gan_core.rules import Rule, names_in
from tasks.sources.raw import safe_path
from tasks.validation.columns import MOST_CATEGORIES, Reading

Values = NDArray[np.float64]


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
