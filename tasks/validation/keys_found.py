"""Which of two tables belongs to the other, told by their cells: a key names each row of the one, and every row of the other holds one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gan_core.errors import DataError
from gan_core.rules import Rule
from tasks.sources.raw import safe_path
from tasks.validation.families import as_text
from tasks.validation.table_files import Cells
from tasks.validation.table_rules import suggested
from tasks.validation.tables import TableRows, cell_of

MOST_CHILDREN = 100
"""Of a row, that can be learned (`data.children.most`)."""
_FEWEST_NAMED = 0.1
"""The share of a table's rows that a column of another name has to hold: small numbers are among ids by chance."""


@dataclass(frozen=True)
class FoundKey:
    """The rows of the one table, the children, each belong to a row of the other."""

    first: int
    """Which of the two tables has the rows that children belong to, 0 or 1."""
    key: str
    """Its column that names each of its rows."""
    foreign: str
    """The children's column that holds it."""
    rows: int
    """How many rows the key names."""
    with_children: int
    """How many of them have some."""
    most: int
    """Children of a row, at most."""
    is_named: bool
    """Whether the children's column is called as the key, or as its table."""

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """The greater, the likelier it is the one that is meant: several rows of one, by its name, of many."""
        return self.most > 1, self.is_named, self.with_children / self.rows


def found_keys(tables: Sequence[Cells], names: Sequence[str], missing: Collection[str]) -> list[FoundKey]:
    """The keys by which one of two tables belongs to the other, the likeliest first.

    Args:
        names: what messages call the tables.
        missing: texts that stand for no value.

    Raises:
        DataError: there is none; says what comes nearest.
    """
    columns = [dict(_columns(table, missing)) for table in tables]
    found, nearly = list[FoundKey](), list[tuple[float, str]]()
    for first in (0, 1):
        of_parents = columns[first]
        of_children = {foreign: Counter(held) for foreign, held in columns[1 - first].items()}
        table = _plain(names[first].partition(".")[0])
        for key, values in of_parents.items():
            if None in (ids := {*values}) or len(ids) < max(len(values), 2):
                continue
            for foreign, counts in of_children.items():
                others = [value for value in counts if value not in ids]
                with_children, most = len(counts) - len(others), max(counts.values(), default=0)
                is_named = _plain(foreign) == _plain(key) or _plain(foreign).startswith((table, table.removesuffix("s")))
                if not others and with_children > 1 and most <= MOST_CHILDREN and (is_named or with_children >= _FEWEST_NAMED * len(ids)):
                    found.append(FoundKey(first, key, foreign, len(ids), with_children, most, is_named))
                elif others and with_children > 1:
                    wrong, held = sum(counts[value] for value in others), counts.total()
                    example = "missing" if others[0] is None else f"{others[0][:40]!r}"
                    shown = f"{safe_path(foreign)} of {names[1 - first]} is no {safe_path(key)} of {names[first]}"
                    nearly.append((wrong / held, f"{shown} in {wrong:,} of {held:,} rows, such as {example}"))
    if not found:
        hint = "give each by itself"
        if nearly:
            hint = f"the nearest: {min(nearly)[1]}. Where an entry names the keys (data.key, data.children), such rows go to quarantine"
        raise DataError(
            f"--from: {names[0]} and {names[1]} have no key: no column of one holds in every row what a column of the other names a row by"
            f"; {hint}"
        )
    return sorted(found, key=lambda one: one.rank, reverse=True)


def _columns(table: Cells, missing: Collection[str]) -> Iterator[tuple[str, list[str | None]]]:
    """Those that may hold keys, as text: no fractions."""
    whole = [row for row in table.rows if not isinstance(row, str)]
    for at, name in enumerate(table.names):
        cells = [cell_of(row[at]) for row in whole]
        if name and whole and not any(isinstance(cell, float) and not cell.is_integer() for cell in cells):
            yield name, [as_text(cell, missing) for cell in cells]


def rules_of_both(table: TableRows) -> tuple[Rule, ...]:
    """Orders of a date of rows and one of their children that hold in all, and are no rules yet."""
    children = table.schema.children
    assert children is not None, "only where there are children"  # noqa: S101
    pooled, owners = children.pooled(table.values)
    own = table.schema.columns[: children.count_at(len(table.schema.columns))]
    columns = [*zip(own, table.values[owners, : len(own)].T, strict=True), *zip(children.named, pooled.T, strict=True)]
    dated = [(column, values) for column, values in columns if column.dtype in ("date", "datetime") and column.categories is None]
    found = suggested([column for column, _ in dated], [values for _, values in dated], ())
    names = {column.name for column in own}
    return tuple(rule for rule in found if len(names & {*rule.columns}) == 1)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())
