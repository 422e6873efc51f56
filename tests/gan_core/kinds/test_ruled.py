"""Rules of a table hold in whatever a generator draws, and rows that hold them come back from what is left free."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from row_generator import untrained

from gan_core.conditions import Where, sample_where
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.encoding import Encoding
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.rules import Rule, contradiction

DRAW = np.random.default_rng(0)
COUNT = 1_500
NAMES = ("start", "end", "paid", "price", "shipping", "rebate", "total", "city", "zip", "most")
DTYPES = ("date", "date", "date", "float64", "float64", "int64", "float64", "string", "int64", "float64")
COLUMNS = tuple(
    Column(name, "category" if name == "city" else "number", dtype, ("Bonn", "Oslo", "Rome", "") if name == "city" else None)  # type: ignore[arg-type]
    for name, dtype in zip(NAMES, DTYPES, strict=True)
)
PAIRS = [(0, 53_111), (0, 53_113), (1, 10), (2, 118), (3, math.nan)]
RULES = tuple(
    Rule.of(rule)
    for rule in (
        "start <= end", "start < paid", "end <= paid", "total <= most", "total = price + shipping - rebate",
        {"combinations": ["city", "zip"]},
    )
)  # fmt: skip


def table() -> np.ndarray:
    start = DRAW.integers(0, 900, COUNT).astype(float)
    end = start + DRAW.integers(0, 60, COUNT)
    paid = np.maximum(start + 1, end) + DRAW.integers(0, 5, COUNT)
    price, shipping, rebate = (
        DRAW.gamma(2, 50, COUNT).round(2),
        DRAW.choice([0, 4.9, 9.9], COUNT),
        DRAW.integers(0, 20, COUNT).astype(float),
    )
    total = (price + shipping - rebate).round(2)
    pair = np.array(PAIRS)[DRAW.choice(len(PAIRS), COUNT, p=[0.4, 0.3, 0.15, 0.1, 0.05])]
    most = np.ceil(total) + DRAW.choice([0.0, 10.0, 100.0], COUNT)
    start[::11], end[::7], price[::13] = math.nan, math.nan, math.nan
    total[::13] = math.nan
    return np.column_stack([start, end, paid, price, shipping, rebate, total, pair, most])


def breaks(rows: np.ndarray, grid: float = 0.005) -> list[int]:
    start, end, paid, price, shipping, rebate, total, _, _, most = rows.T
    pairs = {(int(a), -1 if math.isnan(b) else int(b)) for a, b in rows[:, 7:9]}
    known = {(int(a), -1 if math.isnan(b) else int(b)) for a, b in PAIRS}
    off = np.abs(total - (price + shipping - rebate)) > grid + 1e-9
    unlike = np.isnan(total) != np.isnan(price)
    return [int(wrong.sum()) for wrong in (start > end, start >= paid, end > paid, off | unlike, total > most)] + [len(pairs - known)]


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    found = table()
    assert breaks(found) == [0] * 6
    return found


@pytest.fixture(scope="module")
def generator(rows: np.ndarray) -> Generator:
    occurring = tuple((float(a), None if math.isnan(b) else float(b)) for a, b in PAIRS)
    rules = [replace(rule, occurring=occurring) if rule.kind == "combinations" else rule for rule in RULES]
    return untrained(Schema(COLUMNS, rules=tuple(rules)), rows)


def test_rows_come_back_from_what_networks_see(rows: np.ndarray, generator: Generator) -> None:
    assert generator.config.schema is not None
    free = [column.name for column in generator.config.schema.free]
    assert free == ["start", "end beyond start", "paid beyond start, end", "price", "shipping", "rebate", "city, zip", "most beyond total"]
    encoding = Encoding(generator.config.schema)
    torch.manual_seed(0)
    again = encoding.decode(encoding.encode(torch.from_numpy(rows))).numpy()
    assert breaks(again) == [0] * 6
    for name in ("city", "zip", "shipping", "rebate"):
        np.testing.assert_array_equal(again[:, NAMES.index(name)], rows[:, NAMES.index(name)])
    for name in ("start", "end", "paid", "total", "most"):  # up to what four deviations of a mode cut off
        at = NAMES.index(name)
        assert np.isnan(again[:, at]).tolist() == np.isnan(rows[:, at]).tolist()
        near = np.abs(again[:, at] - rows[:, at]) <= 1
        assert near[~np.isnan(rows[:, at])].mean() > 0.95


def test_they_hold_in_every_drawn_row(generator: Generator) -> None:
    drawn = generator.sample(5_000, seed=1).samples
    assert breaks(drawn) == [0] * 6
    assert np.isnan(drawn[:, 0]).any()
    assert np.isnan(drawn[:, 1]).any()
    assert np.isnan(drawn[:, 8]).any()


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.01, 50), seed=st.integers(0, 1_000))
def test_they_hold_in_whatever_a_network_makes(rows: np.ndarray, generator: Generator, scale: float, seed: int) -> None:
    assert isinstance(generator.config.data, Table)
    encoding = generator.config.data.encoding
    made = torch.randn(400, encoding.width, generator=torch.Generator().manual_seed(seed)) * scale
    made[:, : encoding.scalars].clamp_(-1, 1)
    assert breaks(encoding.decode(made).numpy()) == [0] * 6


@pytest.mark.parametrize(("low", "high"), [(2, 0), (0, 2), (2, 2), (None, 1), (1, None), (None, None)])
@pytest.mark.parametrize("sign", ["<", "<="])
def test_whatever_decimals_the_two_have(low: int | None, high: int | None, sign: str) -> None:
    def grid(values: np.ndarray, decimals: int | None) -> np.ndarray:
        return values if decimals is None else values.round(decimals)

    a = grid(DRAW.normal(0, 30, 600), low)
    b = a + DRAW.gamma(1, 10, 600)
    b = b if high is None else np.ceil(b * 10**high) / 10**high
    b = np.where(b > a, b, b + 1)
    schema = Schema((Column("a", "number", "float64"), Column("b", "number", "float64")), rules=(Rule.of(f"a {sign} b"),))
    drawn = untrained(schema, np.column_stack([a, b])).sample(4_000, seed=2).samples
    assert ((drawn[:, 0] < drawn[:, 1]) if sign == "<" else (drawn[:, 0] <= drawn[:, 1])).all()
    if high is not None:
        np.testing.assert_array_equal(drawn[:, 1], drawn[:, 1].round(high))
    assert drawn[:, 1].max() <= b.max()


def test_the_schema_comes_back_from_its_file(rows: np.ndarray, generator: Generator, tmp_path: Path) -> None:
    saved = generator.save(tmp_path / "g")
    assert Generator.load(tmp_path / "g").config == saved.config
    np.testing.assert_array_equal(Generator.load(tmp_path / "g").sample(50).samples, generator.sample(50).samples)


def test_without_rules_a_data_set_keeps_its_digest() -> None:
    spec = Table((1,), {"train": 2}, schema=Schema((Column("a", "number", "float64"),)).fitted(np.array([[1.0], [2.0]]), None, 0))
    assert not {"rules", "free"} & spec.as_json()["schema"].keys()
    assert Table.from_json(json.loads(json.dumps({**spec.as_json()})) | {"kind": None}) == spec


class TestUnique:
    def made(self, values: int, *more: str) -> Generator:
        columns = (Column("seat", "category", "int64", (*map(str, range(values)), "")), Column("day", "category", "string", ("a", "b")))
        rows = np.column_stack([DRAW.integers(0, values + 1, 400), DRAW.integers(0, 2, 400)]).astype(float)
        return untrained(Schema(columns, rules=(Rule.of({"unique": ["seat", *more]}),)), rows)

    def test_rows_are_drawn_again_until_they_are(self) -> None:
        generator = self.made(60, "day")
        made = generator.sample(90, seed=3)
        there = made.samples[made.samples[:, 0] != 60]
        assert len(np.unique(there, axis=0)) == len(there)
        assert made.again > 0
        np.testing.assert_array_equal(generator.sample(90, seed=3).samples, made.samples)
        assert generator.sample(90, seed=3, unique=False).again == 0

    def test_too_few_are_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"count: 5,000 rows are asked for, and [\d,]+ were found of which no two are equal in seat"):
            self.without_gaps().sample(5_000)

    def without_gaps(self) -> Generator:
        rows = np.column_stack([np.arange(40) % 20]).astype(float)
        return untrained(
            Schema((Column("seat", "category", "int64", tuple(map(str, range(20)))),), rules=(Rule.of({"unique": ["seat"]}),)), rows
        )

    def test_among_rows_that_are_asked_to_be_so_too(self) -> None:
        generator = self.made(60)
        found = sample_where(generator, 20, Where.of(generator.config, ["day=a", "seat!="]))
        assert len(np.unique(found.samples.samples[:, 0])) == 20


@pytest.mark.parametrize(
    ("given", "kind", "columns"),
    [
        ("start <= end", "order", ("start", "end")),
        ("  hours per week   >=  min hours ", "order", ("min hours", "hours per week")),
        ("education-num < x", "order", ("education-num", "x")),
        ("total = a + b - c", "sum", ("total", "a", "b", "c")),
        ({"combinations": ["a", "b"]}, "combinations", ("a", "b")),
        ({"unique": ["a"]}, "unique", ("a",)),
    ],
)
def test_how_rules_are_written(given: object, kind: str, columns: tuple[str, ...]) -> None:
    rule = Rule.of(given)
    assert (rule.kind, rule.columns) == (kind, columns)
    assert kind not in ("order", "sum") or Rule.of(str(rule)) == rule


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("start", "'start' is no rule; write start <= end"),
        ("a<=b", "is no rule; write start <= end, total = price + shipping (with blanks around the signs)"),
        *((text, "is no rule") for text in ("a = b", "a <= b <= c", "a + b = c", 3)),
        ("a <= a", "names a column twice"),
        ({"unqiue": ["a"]}, "did you mean unique?"),
        ({"unique": "a"}, "unique: 'a' are no columns; write unique: [a, b]"),
        ({"combinations": ["a"]}, "combinations: names 1 columns, and 2 at least"),
        ({"unique": ["a"], "combinations": ["a", "b"]}, "is no rule"),
    ],
)
def test_what_is_no_rule_is_refused(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Rule.of(given)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["a <= b", "b <= a"], "b, a: each is told by another one of them, round in a circle"),
        (["a <= b", "b <= c", "c < a"], "round in a circle"),
        (["a = b + c", "x <= a"], "a = b + c and x <= a both say what a is"),
        (["a = b + c", "a = d + e"], "both say what a is"),
        ([{"combinations": ["a", "b"]}, {"combinations": ["b", "c"]}], "both say what b is"),
        ([{"combinations": ["a", "b"]}, "x <= b"], "both say what b is"),
        ([{"combinations": ["a", "b"]}, "a <= x", "y = a + b", "y <= z", "x <= z", {"unique": ["z"]}], None),
    ],
)
def test_what_cannot_hold_together(rules: list[object], message: str | None) -> None:
    found = contradiction([Rule.of(rule) for rule in rules])
    assert (found is None) if message is None else message in str(found)
