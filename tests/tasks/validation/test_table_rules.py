"""`data.rules` from params.yaml to rows: what the data breaks is set aside, what does not fit is refused, and generated rows hold them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from row_generator import untrained
from ruamel.yaml import YAML
from test_columns_asked import entry_with
from test_table_cases import NOISE, csv, read

from gan_core.errors import ConfigError, DataError
from tasks.samples import table_frame
from tasks.validation.table_files import read_table
from tasks.validation.tables import TableRows, inspect_table

DRAW = np.random.default_rng(1)


def generated(table: TableRows, count: int = 3_000) -> pd.DataFrame:
    """What a generator that has learned nothing yet draws."""
    return table_frame(untrained(table.schema, table.values).sample(count, seed=5), None)


def orders() -> dict[str, Any]:
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(DRAW.integers(0, 500, 400), unit="D")
    end = start + pd.to_timedelta(DRAW.integers(0, 40, 400), unit="D")
    price, shipping = DRAW.gamma(2, 90, 400).round(2), DRAW.choice([0, 4.95], 400)
    city = DRAW.integers(0, 3, 400)
    return {
        "start": start.strftime("%d.%m.%Y"), "end": end.strftime("%d.%m.%Y"), "price": [f"{one:.2f} €".replace(".", ",") for one in price],
        "shipping": shipping, "total": (price + shipping).round(2), "city": np.array(["Bonn", "Oslo", "Rome"])[city],
        "zip": np.array([53_111, 150, 118])[city], "low": DRAW.integers(1, 4, 400), "high": DRAW.integers(4, 6, 400),
    }  # fmt: skip


RULES = ["start <= end", "total = price + shipping", {"combinations": ["city", "zip"]}, "low < high"]


def test_they_hold_in_generated_rows_whatever_form_they_are_written_in() -> None:
    rows, table, _ = read(csv(orders()), rules=RULES)
    assert not any(row.reason for row in rows)
    frame = generated(table)
    start, end = (pd.to_datetime(frame[name], format="%d.%m.%Y") for name in ("start", "end"))
    assert (start <= end).all()
    price = frame["price"].str.removesuffix(" €").str.replace(",", ".").astype(float)
    assert (np.abs(price + frame["shipping"] - frame["total"]) < 0.006).all()
    assert set(zip(frame["city"], frame["zip"], strict=True)) <= {("Bonn", 53_111), ("Oslo", 150), ("Rome", 118)}
    assert (frame["low"] < frame["high"]).all()
    _, loose, _ = read(csv(orders()))  # without, they do not
    free = generated(loose)
    assert (pd.to_datetime(free["start"], format="%d.%m.%Y") > pd.to_datetime(free["end"], format="%d.%m.%Y")).mean() > 0.05
    assert len(set(zip(free["city"], free["zip"], strict=True))) == 9


def test_rows_that_break_one_are_set_aside_and_named() -> None:
    columns = orders()
    columns["end"] = ["01.01.2020", *columns["end"][1:]]
    columns["total"] = [*columns["total"][:1], columns["total"][1] + 0.01, *columns["total"][2:]]
    columns["high"] = [*columns["high"][:2], *columns["low"][2:3], *columns["high"][3:]]
    rows, _, _ = read(csv(columns), rules=RULES)
    assert {number: row.reason for number, row in enumerate(rows) if row.reason} == {
        0: "start <= end: end is below start (data.rules)",
        1: "total = price + shipping: total is another sum (data.rules)",
        2: "low < high: high is not above low (data.rules)",
    }


def test_a_row_that_is_there_twice_where_none_may_be() -> None:
    columns = {"seat": ["1", "1.0", "2", "", ""] + [str(i) for i in range(3, 398)], "x": NOISE}
    rows, _, _ = read(csv(columns), rules=[{"unique": ["seat"]}])
    assert [(number, row.reason) for number, row in enumerate(rows) if row.reason] == [
        (1, "unique: seat: equal to a row before it (data.rules)")
    ]


def test_a_sum_that_is_missing_beside_its_terms_is_said() -> None:
    columns = orders()
    columns["total"] = [None if i % 10 == 0 else one for i, one in enumerate(columns["total"])]
    _, table, _ = read(csv(columns), rules=RULES)
    assert table.notes == (
        "total = price + shipping: total is missing where its terms are not in 10.0% of the rows; generated rows are as the rule says",
    )
    assert not generated(table)["total"].isna().any()


def test_what_does_not_fit_the_table_is_refused_all_at_once() -> None:
    columns = {**orders(), "id": [f"C-{i:03x}" for i in range(400)], "at": ["2020-01-31 10:30", "2020-02-01 11:45"] * 200}
    rules = ["strat <= end", "city <= high", "start <= at", "end <= price", "total = end + price", {"unique": ["id"]}]
    with pytest.raises(DataError) as refused:
        read(csv(columns), rules=rules)
    assert str(refused.value).splitlines() == [
        "data.rules: strat <= end: t.csv has no column 'strat'; did you mean start?",
        "data.rules: city <= high: city holds category cells, and this is for numbers and dates",
        "data.rules: unique: id: id is left out; say in data.columns what it is, or leave the rule out",
        "data.rules: start <= at: one is a day and the other a moment; they cannot be compared",
        "data.rules: end <= price: one is a day and the other a number; they cannot be compared",
        "data.rules: total = end + price: sums are of numbers, and end holds dates",
    ]


def test_too_many_combinations_are_refused() -> None:
    columns = {"x": NOISE, "y": NOISE[::-1], "z": DRAW.normal(size=400)}
    rows = pd.concat([pd.DataFrame(columns)] * 3, ignore_index=True)
    rows["y"] = DRAW.normal(size=1_200)
    with pytest.raises(DataError, match=r"combinations: x, y: 1,200 different ones occur, and at most 1,000 are held; leave the rule out"):
        read(csv(dict(rows)), rules=[{"combinations": ["x", "y"]}])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rules": ["a <= b", "b < a"]}, "round in a circle"),
        ({"rules": ["a"]}, "data.rules: 'a' is no rule; write start <= end"),
        ({"rules": ["a <= b"], "label": "b"}, "rules: a <= b: b is the label, which is drawn before the row; take it out of the rule"),
        ({"rules": ["a <= b"], "source": "sklearn://digits"}, "rules: only for tables"),
    ],
)
def test_a_wrong_entry(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        entry_with(**keys)
    assert message in str(refused.value)


def test_education_of_adult(gantry_data: Path) -> None:
    data = entry_with(label="income", rules=[{"combinations": ["education", "education-num"]}])
    lines = (gantry_data / "adult" / "adult.csv").read_bytes().splitlines(keepends=True)[:5_001]
    cells = read_table(b"".join(lines), "adult.csv")
    _, classes, table = inspect_table(cells, data, "adult.csv")
    real = pd.read_csv(io.BytesIO(b"".join(lines)), skipinitialspace=True)
    labels = np.arange(len(table.values)) % 2
    frame = table_frame(untrained(table.schema, table.values, classes, labels).sample(20_000), classes)
    pairs = [set(zip(rows["education"], rows["education-num"].astype(int), strict=True)) for rows in (real, frame)]
    assert len(pairs[0]) == 16
    assert pairs[1] <= pairs[0]


class TestSuggested:
    def test_what_holds_in_every_row_is_said_as_rules_that_can_stand_there(self) -> None:
        columns = orders()
        _, table, _ = read(csv({**columns, "born": _days(-9_000, -6_000), "shop": DRAW.choice(list("abc"), 400)}))
        assert [str(rule) for rule in table.suggested] == ["start <= end", "combinations: city, zip"]
        said = [*table.said("t.csv")][-1]
        rules = YAML(typ="safe").load(said.partition("below data:")[2])["rules"]
        again = read(csv(columns), rules=rules)
        assert not any(row.reason for row in again[0])
        assert again[1].suggested == ()

    def test_neither_what_breaks_once_nor_what_cannot_break(self) -> None:
        columns = orders()
        columns["end"] = columns["end"].to_numpy().copy()
        columns["end"][7], columns["zip"][7] = "01.01.2020", 150 if columns["zip"][7] == 118 else 118
        columns["later"] = _days(20_000, 20_100)  # after all others, as the ranges say
        assert read(csv(columns))[1].suggested == ()

    def test_a_column_that_tells_two_is_one_rule(self) -> None:
        kind = DRAW.integers(0, 4, 400)
        columns = {
            "kind": np.array(list("abcd"))[kind],
            "code": kind * 11,
            "group": np.array(list("xxyz"))[kind],
            "n": DRAW.normal(size=400),
        }
        assert [str(rule) for rule in read(csv(columns))[1].suggested] == ["combinations: kind, code, group"]


def _days(low: int, high: int) -> Any:
    return pd.to_datetime(DRAW.integers(low, high, 400), unit="D").strftime("%Y-%m-%d")
