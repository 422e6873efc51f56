"""Rows of a table that are to be so: `plan=pro`, `age>=65`.

What is said of the label is exact, since the generator is asked for it. Anything else is met by drawing until enough rows are so.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from gan_core.generator import MAX_COUNT, Generator, GeneratorConfig, Samples
from gan_core.kinds.schema import GAP, Column
from gan_core.randomness import mix
from gan_core.written import NumberForm

ATTEMPTS = 1_000
"""Rows drawn for each that is asked for, at most; and as many as 100 times of that for the first ones."""

_FEWEST_ATTEMPTS, _MOST_ATTEMPTS = 100 * ATTEMPTS, 20_000_000
_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "=": operator.eq, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_ORDERED = ("<=", ">=", "<", ">")
_SPLIT = re.compile(rf"\s*({'|'.join(_OPERATORS)})\s*")
_LABELS, _ROUND = 2, 3  # apart from other seeds
_SHOWN = 10  # values in a message
_DAY = 86_400.0


@dataclass(frozen=True)
class Where:
    """Conditions on rows, all of which hold."""

    text: str
    """As a person wrote them."""
    labels: tuple[int, ...] | None
    """The classes that are so; None: all."""
    rest: tuple[Callable[[NDArray[np.float64]], NDArray[np.bool_]], ...]
    """Of rows (N, D), whether each is so: a function for each condition on another column than the label."""

    @classmethod
    def of(cls, config: GeneratorConfig, texts: Sequence[str], label: int | None = None) -> Self:
        """Read conditions such as `plan=pro`, several in one text parted by commas.

        Args:
            config: of the generator of rows that is asked.
            texts: operators are =, !=, <, <=, > and >=; nothing behind = or != stands for a missing cell.
            label: a class that is asked for beside them.

        Raises:
            ConfigError: no generator of rows, no such column or value (there are said), or rows that are so cannot be.
        """
        if config.schema is None:
            raise ConfigError("where: says what rows of a table are like, and this generator draws none; leave it out")
        names = {column.name: i for i, column in enumerate(config.schema.columns)}
        label_columns = {column.name: (column, k) for k, column in enumerate(config.schema.label_columns(config.classes))}
        known = [*names, *label_columns]
        classes = np.arange(len(config.classes or ()))
        allowed = None if config.classes is None else set(classes.tolist())
        if label is not None and allowed is not None:
            allowed &= {label}
        rest = []
        for name, sign, value in (piece for text in texts for piece in _pieces(text, known)):
            if name not in names:
                column, k = label_columns[name]
                cells = config.schema.label_cells(classes)[:, k].astype(np.float64)
                allowed = (allowed or set()) & {*np.flatnonzero(_test(column, sign, value)(cells)).tolist()}
            else:
                test, i = _test(config.schema.columns[names[name]], sign, value), names[name]
                rest.append(lambda rows, test=test, i=i: test(rows[:, i]))
        if allowed is not None and not allowed:
            what = f"combination of {config.schema.label} that occurs" if config.schema.labels else config.schema.label
            raise ConfigError(f"where: no row can be so, as {', '.join(texts)} leaves no {what}")
        narrowed = allowed is not None and len(allowed) < len(config.classes or ())
        return cls(", ".join(texts), tuple(sorted(allowed)) if allowed is not None and narrowed else None, tuple(rest))

    def holds(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of rows (N, D), whether each is so, its label apart: (N,)."""
        return np.asarray(np.logical_and.reduce([np.ones(len(rows), bool), *(test(rows) for test in self.rest)]))


@dataclass(frozen=True)
class Found:
    """Rows that are as they were asked for."""

    samples: Samples
    drawn: int
    """How many were drawn for them."""

    @property
    def acceptance(self) -> float:
        """Share of the rows that were drawn and are so."""
        return len(self.samples.samples) / self.drawn


def sample_where(generator: Generator, n: int, where: Where, seed: int = 0, truncation: float | None = None) -> Found:
    """Draw `n` rows that are so; the same arguments give the same rows on the same machine.

    Classes are drawn with the shares that they have in the training data, among those that are allowed; where other columns are
    conditions, in rows that are so.

    Raises:
        ConfigError: as `Generator.sample`, or too few of very many rows are so.
    """
    if not where.rest:
        return Found(generator.sample(n, seed, labels=_labels(generator, n, where, seed), truncation=truncation), n)
    bound = max(_FEWEST_ATTEMPTS, min(ATTEMPTS * n, _MOST_ATTEMPTS))
    kept: list[Samples] = []
    have = drawn = rounds = 0
    while have < n and drawn < bound:
        rate = max(have, 1) / drawn if drawn else 1.0
        count = int(min(max(1.2 * (n - have) / rate, 1_000), 100_000, bound - drawn, MAX_COUNT))
        of_round = mix(seed, _ROUND, rounds)
        labels = _labels(generator, count, where, of_round)
        made = generator.sample(count, of_round, labels=labels, truncation=truncation, unique=False)
        fitting = np.flatnonzero(where.holds(made.samples))
        together = np.concatenate([*(one.samples for one in kept), made.samples[fitting]])
        is_new = np.ones(len(fitting), bool) if made.schema is None else ~made.schema.repeats(together)[have:]
        at = fitting[is_new][: n - have]
        # What comes after the last row that is needed counts as not drawn.
        drawn += int(at[-1]) + 1 if have + len(at) == n else count
        kept.append(replace(made, samples=made.samples[at], labels=None if made.labels is None else made.labels[at]))
        have, rounds = have + len(at), rounds + 1
    if have < n:
        raise ConfigError(
            f"where: of {drawn:,} rows that were drawn, {have:,} are so ({where.text}), and {n:,} are asked for; "
            + ("ask for fewer, or for what is less rare" if have else "ask for what is less rare")
        )
    labels = None if kept[0].labels is None else np.concatenate([one.labels for one in kept if one.labels is not None])
    return Found(replace(kept[0], samples=np.concatenate([one.samples for one in kept]), labels=labels), drawn)


def _labels(generator: Generator, n: int, where: Where, seed: int) -> NDArray[np.int64] | None:
    """Classes of `n` rows, among those that are allowed; None: all are, and the generator draws them."""
    if where.labels is None:
        return None
    schema = generator.config.schema
    allowed = np.array(where.labels, dtype=np.int64)
    shares = np.ones(len(allowed)) if schema is None or schema.shares is None else np.array(schema.shares)[allowed]
    shares = shares if shares.sum() else np.ones(len(allowed))
    return np.random.default_rng(mix(seed, _LABELS)).choice(allowed, n, p=shares / shares.sum())


def _pieces(text: str, names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Column, operator and value of each condition in a text; a comma parts two where a column and an operator follow it."""
    starts = [0, *(match.end() for match in re.finditer(",", text) if _begun(text[match.end() :].lstrip(), names) is not None)]
    for start, end in zip(starts, [*(start - 1 for start in starts[1:]), len(text)], strict=True):
        piece = text[start:end].strip()
        found = _begun(piece, names)
        if found is None:
            name, sign, _ = (*_SPLIT.split(piece, maxsplit=1), "", "")[:3]
            if not sign:
                raise ConfigError(f"where: {piece[:80]!r} is no condition; write COLUMN=VALUE, or one with !=, <, <=, > or >=")
            near = difflib.get_close_matches(name, names, n=1)
            raise ConfigError(f"where: no column {name[:80]!r}; " + (f"did you mean {near[0]}?" if near else f"there are {_listed(names)}"))
        yield found


def _begun(piece: str, names: Sequence[str]) -> tuple[str, str, str] | None:
    """The condition, if the text begins with the name of a column, the longest that fits, and an operator."""
    for name in sorted(names, key=len, reverse=True):
        if piece.startswith(name) and (sign := _SPLIT.match(piece, len(name))) is not None:
            return name, sign[1], piece[sign.end() :].strip()
    return None


def _test(column: Column, sign: str, value: str) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    """Whether packed values (N,) of a column are so."""
    compare = _OPERATORS[sign]
    if value == "":
        if sign not in ("=", "!="):
            raise ConfigError(f"where: {column.name} {sign} nothing; write a value, or {column.name}= for a missing one")
        can_be = column.missing > 0 if column.categories is None else GAP in column.categories
        if sign == "=" and not can_be:
            raise ConfigError(f"where: {column.name} is never missing in the data; write a value")
        gap = math.nan if column.categories is None else float(column.categories.index(GAP)) if can_be else -1.0
        return lambda values: compare(np.isnan(values) if math.isnan(gap) else values == gap, True)
    if column.categories is None:
        number = _number(column, sign, value)
        return lambda values: compare(values, number) & ~np.isnan(values)
    ordered = [None if text == GAP else _as_number(text) for text in column.categories]
    if sign in _ORDERED:
        limit = _as_number(value)
        if limit is None or any(number is None and text != GAP for number, text in zip(ordered, column.categories, strict=True)):
            raise ConfigError(f"where: {column.name} {sign} {value[:80]}: its values have no order; write {column.name}=VALUE")
        fitting = [number is not None and bool(compare(number, limit)) for number in ordered]
    else:
        fitting = [text != GAP and bool(compare(text, _category(column, value))) for text in column.categories]
    if not any(fitting):
        raise ConfigError(f"where: no value of {column.name} is {sign} {value[:80]}; there are {_values(column)}")
    codes = np.array(fitting)
    return lambda values: codes[values.astype(np.int64)]


def _category(column: Column, value: str) -> str:
    categories = [text for text in column.categories or () if text != GAP]
    fitting = [text for text in categories if text == value] or [text for text in categories if text.lower() == value.lower()]
    if len(fitting) != 1:
        near = difflib.get_close_matches(value, categories, n=1) if len(categories) > _SHOWN else []
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"where: {column.name} is never {value[:80]!r}; {hint}there are {_values(column)}")
    return fitting[0]


def _number(column: Column, sign: str, value: str) -> float:
    low, high = column.extent
    if column.dtype in ("date", "datetime"):
        number, shown = _moment(column, value), _days_of(column)
        if number is None:
            example = datetime(2020, 1, 31).strftime(column.format or "%Y-%m-%d")
            raise ConfigError(f"where: {column.name}: {value[:80]!r} is no date; write it as {example}")
    else:
        form = None if column.format is None else NumberForm.of_example(column.format).read(value)
        number, shown = form if form is not None else _as_number(value), f"{low:.12g} to {high:.12g}"
        if number is None:
            raise ConfigError(f"where: {column.name}: {value[:80]!r} is no number; it goes from {shown}")
    can_be = {"=": low <= number <= high, "<": low < number, "<=": low <= number, ">": high > number, ">=": high >= number}
    if not can_be.get(sign, True):
        raise ConfigError(f"where: {column.name} is never {sign} {value[:80]}; it goes from {shown}")
    return number


def _moment(column: Column, value: str) -> float | None:
    """A day or moment as it is packed."""
    for read in (partial(datetime.strptime, value, column.format or "%Y-%m-%d"), partial(datetime.fromisoformat, value)):
        with suppress(ValueError):
            moment = read()
            seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
            return seconds // _DAY if column.dtype == "date" else seconds
    return None


def _days_of(column: Column) -> str:
    unit = _DAY if column.dtype == "date" else 1.0
    first, last = ((datetime(1970, 1, 1) + timedelta(seconds=one * unit)).strftime(column.format or "%Y-%m-%d") for one in column.extent)
    return f"{first} to {last}"


def _as_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _values(column: Column) -> str:
    return _listed([text for text in column.categories or () if text != GAP])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
