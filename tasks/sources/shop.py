"""`shop://customers` and `shop://orders`: two drawn tables, the second of which belongs to the first, whose true relation is known.

Of 3,000 customers those with plan pro order more often and for more, the older ones other things, and each order of a customer is later
than the one before; some have none.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from tasks.params import DataParams
from tasks.sources.raw import Kind, RawReader
from tasks.sources.source import SourceFile, made

CUSTOMERS = 3_000

_FIRST_DAY = date(2023, 1, 1)
_COUNTRIES, _OF_COUNTRIES = ("DE", "FR", "NL", "PL"), (0.4, 0.3, 0.2, 0.1)
_ITEMS = ("book", "game", "tool")


class ShopSource:
    """One of the two tables, drawn by the entry's seed."""

    kind: Kind = "table"
    fingerprint = None
    truth = None
    notes: Sequence[str] = ()

    def __init__(self, data: DataParams) -> None:
        self._table, self._seed = data.location, data.seed
        self.identity = data.source

    def look(self) -> Sequence[SourceFile]:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(self._rows())
        return [made("table.csv", text.getvalue().encode())]

    def check(self, before: RawReader | None = None) -> int:
        return sum(1 for _ in self._rows()) - 1

    def _rows(self) -> Iterator[Sequence[Any]]:
        return (_customers if self._table == "customers" else _orders)(self._seed)


def _customers(seed: int) -> Iterator[Sequence[Any]]:
    yield "id", "country", "age", "plan", "since"
    for number, (country, age, plan, since) in enumerate(_facts(seed), start=1):
        yield f"C-{number:05}", country, age, plan, _FIRST_DAY + timedelta(days=since)


def _orders(seed: int) -> Iterator[Sequence[Any]]:
    yield "order", "customer", "day", "item", "amount", "rating"
    random = np.random.default_rng([seed, 1])
    order = 0
    for number, (_, age, plan, since) in enumerate(_facts(seed), start=1):
        is_pro, older = plan == "pro", min(max((age - 18) / 60, 0), 1)
        day = since
        for _ in range(random.poisson(3.0 if is_pro else 0.9)):
            order, day = order + 1, day + 1 + int(random.exponential(60))
            item = _ITEMS[random.choice(3, p=(0.2 + 0.6 * older, 0.7 - 0.6 * older, 0.1))]
            amount = np.exp(random.normal(3.6 if is_pro else 2.8, 0.4))
            rating = "" if random.random() < 0.4 else int(random.choice((3, 4, 5)))
            yield order, f"C-{number:05}", _FIRST_DAY + timedelta(days=day), item, f"{amount:.2f}", rating


def _facts(seed: int) -> Iterator[tuple[str, int, str, int]]:
    """Of each customer country, age, plan and days since the first one."""
    random = np.random.default_rng([seed, 0])
    for _ in range(CUSTOMERS):
        country = _COUNTRIES[random.choice(len(_COUNTRIES), p=_OF_COUNTRIES)]
        age = int(np.clip(random.normal(42, 14), 18, 90))
        plan = "pro" if random.random() < (0.5 if country == "NL" else 0.25) else "free"
        yield country, age, plan, int(random.integers(0, 700))
