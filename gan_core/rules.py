"""What holds in every row of a table, beyond what a column holds by itself: rules, as people write them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

RuleKind = Literal["order", "sum", "combinations", "unique"]
_LISTS: tuple[RuleKind, ...] = ("combinations", "unique")
_WORDS = re.compile(r"\s+(<=|<|>=|>|=|\+|-)\s+")


@dataclass(frozen=True)
class Rule:
    """One rule.

    order           `start <= end`, or <, of numbers or dates; where one of the two is missing, there is nothing to hold
    sum             `total = price + shipping - rebate`; missing where one of them is
    combinations    of several columns, only those that occur
    unique          no two rows are equal in these columns; a missing cell is equal to none
    """

    kind: RuleKind
    columns: tuple[str, ...]
    """order: the lower, then the higher one. sum: the sum, then its terms."""
    strict: bool = False
    """order: whether they never are equal."""
    signs: tuple[int, ...] = ()
    """sum: 1 or -1 of each term."""
    occurring: tuple[tuple[float | None, ...], ...] = ()
    """combinations: those that occur, as they are packed, None for a missing number; empty until the data was seen."""

    @classmethod
    def of(cls, given: Any) -> Self:
        """Read a rule as params.yaml has it: a text, or a mapping of `combinations` or `unique` to columns.

        Raises:
            ValueError: it is none.
        """
        if isinstance(given, Mapping):
            return cls._of_list(given)
        if not isinstance(given, str):
            raise ValueError(f"{str(given)[:80]!r} is no rule; {_how()}")
        name, *rest = (part.strip() for part in _WORDS.split(given.strip()))
        signs, names = rest[::2], [name, *rest[1::2]]
        if not signs or not all(names):
            raise ValueError(f"{given[:80]!r} is no rule; {_how()}")
        if signs[0] == "=" and len(signs) > 1 and set(signs[1:]) <= {"+", "-"}:
            return cls("sum", _different(names, given), signs=(1, *(1 if sign == "+" else -1 for sign in signs[1:])))
        if len(signs) != 1 or signs[0] not in ("<", "<=", ">", ">="):
            raise ValueError(f"{given[:80]!r} is no rule; {_how()}")
        columns = _different(names if signs[0][0] == "<" else names[::-1], given)
        return cls("order", columns, strict=len(signs[0]) == 1)

    @classmethod
    def _of_list(cls, given: Mapping[Any, Any]) -> Self:
        ((kind, columns),) = given.items() if len(given) == 1 else [("", ())]
        if kind not in _LISTS:
            near = difflib.get_close_matches(str(kind), _LISTS, n=1)
            raise ValueError(f"{str(dict(given))[:80]} is no rule; " + (f"did you mean {near[0]}?" if near else _how()))
        if isinstance(columns, str) or not isinstance(columns, Sequence) or not all(isinstance(name, str) and name for name in columns):
            raise ValueError(f"{kind}: {str(columns)[:80]!r} are no columns; write {kind}: [a, b]")
        fewest = 2 if kind == "combinations" else 1
        if len(columns) < fewest:
            raise ValueError(f"{kind}: names {len(columns)} columns, and {fewest} at least; write {kind}: [a, b]")
        return cls(kind, _different(columns, f"{kind}: {', '.join(columns)}"))

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        occurring = tuple(tuple(one) for one in fields.get("occurring", ()))
        return cls(**{**fields, "columns": tuple(fields["columns"]), "signs": tuple(fields.get("signs", ())), "occurring": occurring})

    @property
    def told(self) -> tuple[str, ...]:
        """The columns that the rule tells of others."""
        if self.kind == "order":
            return self.columns[1:]
        return self.columns[:1] if self.kind == "sum" else self.columns if self.kind == "combinations" else ()

    @property
    def tellers(self) -> tuple[str, ...]:
        """What they are told of."""
        return {"order": self.columns[:1], "sum": self.columns[1:]}.get(self.kind, ())

    def __str__(self) -> str:
        if self.kind == "order":
            return f"{self.columns[0]} {'<' if self.strict else '<='} {self.columns[1]}"
        if self.kind == "sum":
            terms = "".join(f" {'+' if sign > 0 else '-'} {name}" for name, sign in zip(self.columns[1:], self.signs, strict=True))
            return f"{self.columns[0]} = {terms.removeprefix(' + ')}"
        return f"{self.kind}: {', '.join(self.columns)}"


assert {*_LISTS} < {*get_args(RuleKind)}  # noqa: S101


def contradiction(rules: Sequence[Rule]) -> str | None:
    """Why rules cannot all be held; None where they can, whatever the data."""
    told: dict[str, Rule] = {}
    for rule in rules:
        for name in rule.told:
            other = told.setdefault(name, rule)
            if other is not rule and (other.kind, rule.kind) != ("order", "order"):
                return f"{other} and {rule} both say what {name} is; leave one of them out"
    try:
        in_order(rules)
    except ValueError as error:
        return str(error)
    return None


def in_order(rules: Sequence[Rule]) -> list[str]:
    """The columns that sums and orders tell, each behind those that tell it.

    Raises:
        ValueError: they go round in a circle.
    """
    needs: dict[str, set[str]] = {}
    for rule in rules:
        if rule.kind in ("order", "sum"):
            needs.setdefault(rule.told[0], set()).update(rule.tellers)
    done: list[str] = []
    while len(done) < len(needs):
        ready = [name for name in needs if name not in done and not needs[name] - {*done} & needs.keys()]
        if not ready:
            left = [name for name in needs if name not in done]
            raise ValueError(f"{', '.join(left)}: each is told by another one of them, round in a circle; leave one of their rules out")
        done += ready
    return done


def _different(names: Sequence[str], shown: str) -> tuple[str, ...]:
    if len({*names}) < len(names):
        raise ValueError(f"{shown[:80]!r} names a column twice")
    return tuple(names)


def _how() -> str:
    return "write start <= end, total = price + shipping (with blanks around the signs), or combinations: [a, b], or unique: [a]"


def names_in(rules: Sequence[Rule]) -> Iterator[tuple[Rule, str]]:
    """Each column that a rule names."""
    return ((rule, name) for rule in rules for name in rule.columns)
