"""The columns of a table: what each one holds, and what training has to know of it to draw such values again."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.rules import Rule

if TYPE_CHECKING:
    from gan_core.kinds.children import Children

ColumnKind = Literal["number", "category"]
DType = Literal["float64", "int64", "bool", "string", "date", "datetime"]

DEFAULT_MODES = 3
MODE_WIDTH = 4.0
"""Deviations from a mode's mean that the 1 of networks stands for."""
LEAST_WEIGHT = 0.005
"""Modes with a smaller share of a column's values are left out, as in CTGAN."""

MOST_SPIKES = 10
LEAST_SPIKE = 0.02
"""Share of a column's values that a frequent one has at least."""
GAP = ""
"""The category that a missing cell of a column of categories is."""

_FEWEST = 10  # rows that a frequent value has at least, so that none is one by chance in a small table
_STANDS_OUT = 3  # times as frequent as the values beside it
_MOST_ROWS = 10_000  # that modes are fitted on
_MOST_DECIMALS = 8
_LATER = ("labels", "combinations", "targets", "children", "mark")  # fields of a schema that came after others
_BEYOND = 0.001  # share of a column's values that a description made for other rows may leave out, beside those that its own leaves out


@dataclass(frozen=True)
class Mode:
    """One normal distribution of the mixture that a column of numbers is described by."""

    weight: float
    mean: float
    std: float


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: ColumnKind
    dtype: DType
    """Of its values as they are written: whole numbers stay whole, categories keep their text. Dates are packed as days since 1970, and
    moments as seconds."""
    categories: tuple[str, ...] | None = None
    """The text of each category; packed rows hold its index. `GAP` stands for a missing cell."""
    low: float | None = None
    high: float | None = None
    """Range of a number in the training split; nothing beyond it is ever generated."""
    decimals: int | None = None
    """Digits after the point that its numbers have at most; None: more than 8, so nothing is rounded."""
    modes: tuple[Mode, ...] | None = None
    """Of a number apart from its spikes, heaviest first; empty where nothing else is left of it, or it never changes."""
    spikes: tuple[float, ...] = ()
    """Of a number, the values that stand out as frequent, the most frequent first: choices of their own beside the modes."""
    between: tuple[float, float] | None = None
    """Range of a number apart from its spikes; nothing else beyond it is ever generated."""
    missing: float = 0.0
    """Of a number, the share of cells that are missing: NaN in packed rows."""
    format: str | None = None
    """How a number, date or moment is written as text where it was read from one: an example of 1234.5, or a format of strftime."""

    @property
    def gap(self) -> float | None:
        """What stands for a missing cell in packed rows; None where none is ever missing."""
        if self.categories is not None:
            return float(self.categories.index(GAP)) if GAP in self.categories else None
        return math.nan if self.missing else None

    @property
    def extent(self) -> tuple[float, float]:
        """The smallest and the largest value that packed rows can hold in it."""
        if self.categories is not None:
            return 0.0, float(len(self.categories) - 1)
        return self.low or 0.0, self.high or 0.0

    @property
    def centre(self) -> float:
        """Of a number, a value in its midst: what stands for a missing one where distances are taken."""
        if self.modes:
            return sum(mode.weight * mode.mean for mode in self.modes)
        return self.spikes[0] if self.spikes else self.low or 0.0

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        modes, categories = fields.get("modes"), fields.get("categories")
        return cls(
            **{
                **fields,
                "categories": None if categories is None else tuple(categories),
                "modes": None if modes is None else tuple(Mode(**mode) for mode in modes),
                "spikes": tuple(fields.get("spikes", ())),
                "between": None if fields.get("between") is None else tuple(fields["between"]),
            }
        )


@dataclass(frozen=True)
class Invented:
    """A column that is not learned: its values are invented when rows are written, and none of the data's is kept."""

    name: str
    kind: str
    """id, email, phone or name."""
    place: int = 0
    """How many columns stand before it."""
    pattern: tuple[str, ...] = ()
    """What each place of a value is drawn from; of a counter, what stands before and behind it."""
    first: int | None = None
    """Of a counter, the next number."""
    width: int = 0
    """Of a counter, the digits that it is padded to."""
    dtype: DType = "string"
    missing: float = 0.0
    """Share of the rows that have none; of ids each has one."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(**{**fields, "pattern": tuple(fields["pattern"])})


@dataclass(frozen=True)
class Schema:
    """A table's columns, and its label's."""

    columns: tuple[Column, ...]
    """Without the label's, in the order of the source."""
    label: str | None = None
    """Name of the column that a generator is conditioned on; of several, all their names."""
    label_dtype: DType = "string"
    shares: tuple[float, ...] | None = None
    """Share of each class in the training split: what is drawn where no label is asked for."""
    rules: tuple[Rule, ...] = ()
    """What holds in every row."""
    invented: tuple[Invented, ...] = ()
    """Columns beside those of a packed row, as they are written, in their order."""
    free: tuple[Column, ...] = ()
    """What networks see in the place of the columns where rules tell some of them by others (`gan_core.kinds.ruled`); else none."""
    labels: tuple[Column, ...] = ()
    """Each column that a generator is conditioned on, where there are several: a class is one of their combinations that occur."""
    combinations: tuple[tuple[int, ...], ...] = ()
    """Of each class then, the index of its value in each of `labels`."""
    targets: tuple[str, ...] = ()
    """Columns of numbers that are labels: drawn with the rest of the row, and what others tell of them is scored."""
    children: Children | None = None
    """The rows of a second table that belong to each, which the last of the columns hold."""
    mark: str = ""
    """What parts the columns of a CSV, where it is no comma."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        from gan_core.kinds.children import Children

        shares, children = fields.get("shares"), fields.get("children")
        columns, free, labels = (tuple(Column.from_json(column) for column in fields.get(key, ())) for key in ("columns", "free", "labels"))
        known = {
            "labels": labels,
            "combinations": tuple(map(tuple, fields.get("combinations", ()))),
            "targets": tuple(fields.get("targets", ())),
            "shares": None if shares is None else tuple(shares),
            "rules": tuple(map(Rule.from_json, fields.get("rules", ()))),
            "invented": tuple(map(Invented.from_json, fields.get("invented", ()))),
            "children": None if children is None else Children.from_json(children),
        }
        return cls(**{**fields, "columns": columns, "free": free, **known})

    def as_json(self) -> dict[str, Any]:
        """What `from_json` takes, as older versions wrote it where there is nothing that they did not know."""
        fields = {key: value for key, value in asdict(self).items() if value or key not in _LATER}
        for one in (*fields["invented"], *(fields["children"]["invented"] if "children" in fields else ())):
            if not one["missing"]:
                del one["missing"]
        return fields

    @property
    def own(self) -> tuple[Column, ...]:
        """The columns of the table itself, without those of a second one."""
        return self.columns if self.children is None else self.columns[: self.children.count_at(len(self.columns))]

    @property
    def trimmed(self) -> Schema:
        """The same, fitted, for rows without their last columns where those never hold anything, as places for more children than any
        row has do."""
        if self.children is None:
            return self
        live = self.children.live(self.columns)
        most = self.children.most - (len(self.columns) - live) // len(self.children.columns)
        return replace(self, columns=self.columns[:live], children=replace(self.children, most=most))

    def label_columns(self, classes: Sequence[str] | None) -> tuple[Column, ...]:
        """The columns whose values the class of a row tells, of these classes, as they are written behind its own."""
        if self.labels:
            return self.labels
        return () if self.label is None or classes is None else (Column(self.label, "category", self.label_dtype, tuple(classes)),)

    def label_cells(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """What rows of these classes (N,) have in each of the label columns (L), as index: (N, L)."""
        return np.array(self.combinations)[labels] if self.combinations else np.asarray(labels)[:, None]

    def repeats(self, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Of rows (N, D), which are equal to one before them where a rule says that none are: (N,). A missing cell is equal to none."""
        at = {column.name: i for i, column in enumerate(self.columns)}
        found = np.zeros(len(rows), bool)
        for rule in self.rules:
            if rule.kind == "unique":
                places = [at[name] for name in rule.columns]
                cells = rows[:, places]
                is_gap = np.isnan(cells) | np.stack([cells[:, k] == self.columns[i].gap for k, i in enumerate(places)], axis=1)
                whole = np.flatnonzero(~is_gap.any(axis=1))
                repeated = np.ones(len(whole), bool)
                repeated[np.unique(cells[whole], axis=0, return_index=True)[1]] = False
                found[whole] |= repeated
        return found

    @property
    def unique_in_words(self) -> str:
        """The columns in which no two rows are equal."""
        return "; ".join(", ".join(rule.columns) for rule in self.rules if rule.kind == "unique")

    def is_like(self, other: Schema) -> bool:
        """Whether rows of one can stand beside rows of the other: the same columns and label, whatever their values' distribution."""

        def frame(schema: Schema) -> object:
            columns = [(column.name, column.kind, column.dtype, column.categories) for column in schema.columns]
            labels = [(column.name, column.dtype) for column in schema.labels]
            keyed = schema.children and (schema.children.name, schema.children.key, schema.children.foreign)
            return columns, schema.label, schema.label_dtype, labels, keyed

        return frame(self) == frame(other)

    def fitted(self, rows: NDArray[np.float64], labels: NDArray[np.int64] | None, classes: int, modes: int = DEFAULT_MODES) -> Schema:
        """The schema with what training has to know, from the training split.

        Args:
            rows: (N, D), numbers as they are, NaN where one is missing, and categories as their index.
            labels: (N,) class of each, where there is a label.
            classes: how many there are.
            modes: most normal distributions that a number is described by.
        """
        columns, children = tuple(_fitted(column, rows[:, i], modes) for i, column in enumerate(self.own)), self.children
        if children is not None:
            of_places, children = _fitted_children(self.columns[len(columns) :], children, rows, modes)
            columns += of_places
        shares = None if labels is None else tuple((np.bincount(labels, minlength=classes) / len(labels)).tolist())
        free: tuple[Column, ...] = ()
        if any(rule.told for rule in self.rules):
            from gan_core.kinds.ruled import Ruled  # brings torch

            ruled = Ruled(columns, self.rules)
            left = ruled.to_free_array(rows)
            free = tuple(one if one in columns else _fitted(one, left[:, i], modes) for i, one in enumerate(ruled.columns))
        return replace(self, columns=columns, shares=shares, free=free, children=children)

    def described_as(self, other: Schema, rows: NDArray[np.float64]) -> tuple[Schema, list[str]]:
        """This fitted schema with its numbers in the modes and spikes of `other`, so that networks that know those can go on.

        A number keeps its own description where `other` has no such column, or where that one does not suit the rows: a spike that no
        longer occurs, gaps in the one and none in the other, or values that lie beyond all its modes.

        Args:
            other: fitted to other rows.
            rows: (N, D), of the training split.

        Returns:
            The schema, and the names of the numbers that are described anew.
        """
        if self.free or other.free:  # what rules leave free is described apart
            return self, [column.name for column in self.columns if column.kind == "number"]
        known = {column.name: column for column in other.columns}
        columns, anew = [], []
        for number, column in enumerate(self.columns):
            as_there = _described_as(column, known.get(column.name), self._values(number, rows)) if column.kind == "number" else column
            columns.append(as_there or column)
            anew += [column.name] if as_there is None else []
        return replace(self, columns=tuple(columns)), anew

    def _values(self, number: int, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a column is described by, of rows (N, D): its values, and of one that holds a child's, those of all children."""
        if self.children is None or (place := number - len(self.own) - 1) < 0:
            return rows[:, number]
        return self.children.pooled(rows)[0][:, place % len(self.children.columns)]


def _fitted_children(
    columns: Sequence[Column], children: Children, rows: NDArray[np.float64], modes: int
) -> tuple[tuple[Column, ...], Children]:
    """The columns that say how many children rows (N, D) have, and that hold these, each place by the children of all; and the children."""
    counts, times = np.unique(rows[:, children.count_at(rows.shape[1])], return_counts=True)
    most, often = int(counts[-1]), counts[np.argsort(-times, kind="stable")]
    pooled, each = children.pooled(rows)[0], len(children.columns)
    count, *cells = columns
    # A place that is not always taken has gaps, whatever the second table has.
    missing = [max(cell.missing for cell in cells[number::each]) for number in range(each)]
    fitted = [_fitted(replace(one, missing=missing[k]), pooled[:, k], modes) for k, one in enumerate(children.columns)]
    # Each number of children is a choice, however many there are, so that as many rows have none as in the data.
    spikes = tuple(often.tolist()) if len(often) > 1 else ()
    found = [replace(count, low=float(counts[0]), high=float(most), decimals=0, modes=(), spikes=spikes)]
    for place, cell in enumerate(cells):
        if place < most * each:
            found.append(replace(fitted[place % each], name=cell.name, missing=cell.missing, categories=cell.categories))
        else:
            found.append(replace(cell, low=0.0, high=0.0, decimals=0, modes=()) if cell.kind == "number" else cell)
    of_children = tuple(replace(one, missing=known.missing) for one, known in zip(fitted, children.columns, strict=True))
    return tuple(found), replace(children, columns=of_children)


def _described_as(column: Column, theirs: Column | None, values: NDArray[np.float64]) -> Column | None:
    """A column of numbers in the modes and spikes of another one; None where they do not suit its values."""
    if theirs is None or (theirs.kind, theirs.dtype, theirs.missing > 0) != (column.kind, column.dtype, column.missing > 0):
        return None
    values = values[~np.isnan(values)]
    rest = values[~np.isin(values, theirs.spikes)]
    if not np.isin(theirs.spikes, values).all() or (len(rest) and not theirs.modes):
        return None
    if len(rest) and _beyond(rest, theirs) > _beyond(rest, column) + _BEYOND:
        return None
    between = (float(rest.min()), float(rest.max())) if len(rest) and theirs.spikes else None
    return replace(column, modes=theirs.modes, spikes=theirs.spikes, between=between)


def _beyond(values: NDArray[np.float64], column: Column) -> float:
    """Share of values (N,) that lie further from each mode than a scalar of -1..1 reaches."""
    reached = [np.abs(values - mode.mean) <= MODE_WIDTH * mode.std for mode in column.modes or ()]
    return 1.0 - float(np.any(reached, axis=0).mean()) if reached else 1.0


def _fitted(column: Column, values: NDArray[np.float64], modes: int) -> Column:
    if column.kind == "category":
        return column
    gaps = np.isnan(values)
    missing = column.missing or float(gaps.mean())
    values = values[~gaps]
    if not len(values):
        return replace(column, low=0.0, high=0.0, decimals=0, modes=(), missing=missing)
    spikes = fit_spikes(values)
    rest = values[~np.isin(values, spikes)]
    fitted = fit_modes(rest, modes) if len(rest) else ()
    if len(rest) and not fitted and (spikes or missing):
        spikes += (float(rest[0]),)
    whole = column.dtype in ("int64", "date")
    return replace(
        column,
        low=float(values.min()),
        high=float(values.max()),
        decimals=0 if whole else decimals_of(values),
        modes=fitted,
        spikes=spikes,
        between=(float(rest.min()), float(rest.max())) if fitted and spikes else None,
        missing=missing,
    )


def decimals_of(values: NDArray[np.float64]) -> int | None:
    """Digits after the point that values (N,) have at most; None: more than 8."""
    return next((digits for digits in range(_MOST_DECIMALS + 1) if np.array_equal(np.round(values, digits), values)), None)


def fit_spikes(values: NDArray[np.float64]) -> tuple[float, ...]:
    """The values of a column that stand out as frequent, the most frequent first: a zero where most have none, a rounded price.

    At most ten, each at least 2 % of all and three times as frequent as the median of the four values beside it; of a column of at most
    ten different values, all. None where a column never changes.

    Args:
        values: (N,), finite.
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < 2:
        return ()
    if len(distinct) <= MOST_SPIKES and len(values) >= _FEWEST * len(distinct):
        found = np.arange(len(distinct))
    else:
        frequent = np.flatnonzero(counts >= max(LEAST_SPIKE * len(values), _FEWEST))
        first = np.clip(frequent - 2, 0, max(len(distinct) - 5, 0))
        beside = [np.delete(counts[start : start + 5], at - start) for start, at in zip(first, frequent, strict=True)]
        found = np.array(
            [at for at, others in zip(frequent, beside, strict=True) if counts[at] >= _STANDS_OUT * np.median(others)], dtype=int
        )
    order = found[np.argsort(-counts[found], kind="stable")][:MOST_SPIKES]
    return tuple(distinct[order].tolist())


def fit_modes(values: NDArray[np.float64], most: int = DEFAULT_MODES) -> tuple[Mode, ...]:
    """The mixture of at most `most` normal distributions that a column's values come from; empty where they are all equal.

    A variational mixture gives weight to the modes that the data needs and leaves the rest (Xu et al., 2019, section 4.2). A function
    of the values.

    Args:
        values: (N,), finite.
    """
    # In units of the largest value, since squares of very large or small ones overflow or vanish; a deviation lost in rounding is none.
    unit = float(np.abs(values).max()) or 1.0
    values = values / unit
    mean, std = float(values.mean()), float(values.std())
    if std <= 1e-12:
        return ()
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    some = values if len(values) <= _MOST_ROWS else np.random.default_rng(0).choice(values, _MOST_ROWS, replace=False)
    mixture = BayesianGaussianMixture(
        n_components=min(most, len(some), len(np.unique(some))),
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=0.001,
        random_state=0,
    )
    with warnings.catch_warnings():
        # Not converged in 100 rounds is good enough: the modes only have to cover the values.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(((some - mean) / std)[:, None])
    found = zip(mixture.weights_, mixture.means_[:, 0], np.sqrt(mixture.covariances_[:, 0, 0]), strict=True)
    kept = sorted((one for one in found if one[0] > LEAST_WEIGHT), reverse=True)
    total = sum(weight for weight, _, _ in kept)
    # Nine digits are plenty, and do not depend on the order in which a machine sums.
    return tuple(
        Mode(float(f"{weight / total:.9g}"), float(f"{(centre * std + mean) * unit:.9g}"), float(f"{spread * std * unit:.9g}"))
        for weight, centre, spread in kept
    )
