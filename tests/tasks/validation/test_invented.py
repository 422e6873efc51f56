"""Columns that are invented: of the same pattern, none twice, none of the data's, nothing of the data kept, and where they stood."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from row_generator import untrained
from test_columns_asked import entry_with

from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator
from tasks import invented as inventions
from tasks import kinds
from tasks.samples import formulas, table_frame
from tasks.validation.table_files import read_table
from tasks.validation.tables import TableRows, inspect_table

DRAW = np.random.default_rng(0)
COUNT = 300


def inspected(cells: dict[str, object], **keys: object) -> tuple[TableRows, tuple[str, ...] | None]:
    data = entry_with(**keys)
    read = read_table(pd.DataFrame(cells).to_csv(index=False).encode(), "t.csv")
    rows, classes, table = inspect_table(read, data, "t.csv")
    assert not any(row.reason for row in rows)
    return table, classes


def generator(cells: dict[str, object], **keys: object) -> Generator:
    table, classes = inspected(cells, **keys)
    return untrained(table.schema, table.values, classes, np.arange(len(table.values)) % len(classes) if classes else None)


def drawn(kind: str, values: list[str], count: int = 500, seed: int = 0) -> list[object]:
    made = generator({"key": values, "x": DRAW.normal(size=len(values)).round(3)}, columns={"key": kind})
    return table_frame(made.sample(count, seed=seed), None)["key"].tolist()


def _id(make: Callable[[int], str]) -> list[str]:
    return [make(i) for i in range(COUNT)]


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (_id(str), r"\d+"),
        (_id(lambda i: f"C-{i:05}"), r"C-\d{5}"),
        (_id(lambda i: f"ord{3 * i + 17}/x"), r"ord\d+/x"),
        (_id(lambda i: str(DRAW.integers(10**8, 10**9))), r"[1-9]\d{8}"),
        (_id(lambda i: str(uuid.UUID(bytes=DRAW.bytes(16), version=4))), r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f-]{16}"),
        (_id(lambda i: "".join(DRAW.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 6)) + f"{i % 10}"), r"[A-Z]{6}\d"),
    ],
)  # fmt: skip
def test_ids_are_new_of_the_same_pattern_and_none_twice(values: list[str], pattern: str) -> None:
    made = [str(one) for one in drawn("id", values, 1_000)]
    assert all(re.fullmatch(pattern, one) for one in made)
    assert len({*made}) == 1_000
    assert not {*made} & {*values}


def test_numbers_stay_numbers_and_a_counter_goes_on() -> None:
    assert drawn("id", _id(str), 3) == [300, 301, 302]
    assert drawn("id", _id(lambda i: f"{i:04}"), 2) == ["0300", "0301"]


def test_a_pattern_with_few_values_says_so_and_ends() -> None:
    values = [f"{a}{b}" for a in "ABCDEFGHIJKLMNOPQRST" for b in "abcdefghijklmnopqrst"]
    table, _ = inspected({"key": values, "x": np.arange(400) ** 2}, columns={"key": "id"})
    assert re.fullmatch(r"new ones are drawn, such as [A-T][a-t]; one in 1 may be one of the data's", table.found[0].remark)
    with pytest.raises(ConfigError, match=r"count: 500 rows are asked for, and key has 400 values of its pattern; ask for fewer"):
        drawn("id", values, 500)


def test_addresses_are_nobody_s_and_none_twice() -> None:
    values = [f"someone{i}@company.net" for i in range(COUNT)]
    made = [str(one) for one in drawn("email", values, 5_000)]
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+\d*@example\.(com|net|org)", one) for one in made)
    assert len({*made}) == 5_000


def test_telephone_numbers_begin_as_no_real_one_does() -> None:
    values = [f"+47 {DRAW.integers(20, 99)} {DRAW.integers(10, 99)} {DRAW.integers(10, 99)} 17" for _ in range(COUNT)]
    made = [str(one) for one in drawn("phone", values, 300)]
    assert all(re.fullmatch(r"\+47 0\d \d\d \d\d 17", one) for one in made)
    assert len({*made}) == 300


def test_what_a_spreadsheet_computes_is_named() -> None:
    cells = {
        "call": [f"+47 {i // 100:02} {i % 100:02} 33" for i in range(1_000, 1_300)],
        "x": DRAW.normal(size=300).round(2),
        "=id": _id(str),
    }
    made = generator(cells, columns={"call": "phone", "=id": "id"}).sample(5)
    assert formulas(made, None) == ["call", "=id"]


def test_names_are_first_and_last_ones() -> None:
    values = [f"Xq{chr(97 + i % 26)} Zv{chr(97 + i // 26)}ö" for i in range(COUNT)]
    made = [str(one) for one in drawn("name", values, 500)]
    assert all(re.fullmatch(r"[A-Z][A-Za-z']+ [A-Z][A-Za-z'-]+", one) for one in made)
    assert not {*made} & {*values}
    assert len({*made}) > 300


@pytest.mark.parametrize("kind", ["id", "email", "phone", "name"])
def test_a_seed_gives_the_same_ones(kind: str) -> None:
    column = inventions.invented("c", kind, ["ab12cd", "cd34xx", "zz99qq"] if kind == "id" else ["+47 22 33 44", "+47 99 88 77"])
    assert inventions.drawn(column, 20, 3) == inventions.drawn(column, 20, 3)
    assert inventions.drawn(column, 20, 3) != inventions.drawn(column, 20, 4)


def test_they_stand_where_they_stood_and_nothing_of_the_data_is_kept(tmp_path: Path) -> None:
    secrets = [f"k{DRAW.integers(10**9, 10**10)}z" for _ in range(COUNT)]
    columns = {
        "id": range(1, COUNT + 1), "x": DRAW.normal(size=COUNT).round(2), "mail": [f"p{i}@company.net" for i in range(COUNT)],
        "label": ["a", "b"] * (COUNT // 2), "y": DRAW.normal(size=COUNT).round(2), "key": secrets,
    }  # fmt: skip
    asked = {"id": "id", "mail": "email", "key": "id"}
    made = generator(columns, label="label", columns=asked)
    frame = table_frame(made.sample(50, seed=1), made.config.classes)
    assert list(frame) == ["id", "x", "mail", "y", "key", "label"]
    assert (frame["id"].dtype, frame["id"].tolist()[:2]) == ("int64", [301, 302])
    assert [name for _, name in kinds.of("table").answered(made.config)] == list(frame)
    made.save(tmp_path / "g")
    assert Generator.load(tmp_path / "g").config.schema == made.config.schema
    text = (tmp_path / "g" / "config.json").read_text()
    assert "company" not in text
    assert not any(secret in text for secret in secrets)
    assert not {*frame["key"]} & {*secrets}
    without = generator(columns, label="label", columns=dict.fromkeys(asked, "drop"))
    np.testing.assert_array_equal(made.sample(50, seed=1).samples, without.sample(50, seed=1).samples)
    assert "invented" not in json.loads(json.dumps(without.config.data.as_json()))["schema"]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (
            "id",
            ["a", "b", "c"] * 100,
            r"key of t\.csv is said to be an id, and its values repeat \(3 different ones in 300\); write category",
        ),
        ("email", _id(lambda i: f"w{i}"), r"said to be an e-mail address, and it holds 'w0', 'w1', 'w2' and 297 more; write id, or drop"),
        ("phone", _id(lambda i: f"w{i}"), r"said to be a telephone number, and it holds 'w0'"),
    ],
)
def test_what_is_none_is_refused(kind: str, values: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        inspected({"key": values, "x": DRAW.normal(size=300)}, columns={"key": kind})


def test_a_label_and_a_rule_are_about_what_is_learned() -> None:
    with pytest.raises(ConfigError, match="columns: key is the label, whose values are categories or numbers, and not id"):
        entry_with(columns={"key": "id"}, label="key")
    with pytest.raises(DataError, match="unique: key: key is left out"):
        inspected({"key": _id(str), "x": DRAW.normal(size=300)}, columns={"key": "id"}, rules=[{"unique": ["key"]}])


def test_gaps_are_drawn_as_often_as_they_are_and_ids_have_none() -> None:
    mails = [f"a{i}@b.org" if i % 4 else None for i in range(COUNT)]
    numbers = [f"0171 {DRAW.integers(10**6, 10**7)}" if i % 2 else None for i in range(COUNT)]
    cells = {"id": _id(lambda i: f"C-{i:05}"), "mail": mails, "phone": numbers, "x": DRAW.normal(size=COUNT).round(3)}
    made = generator(cells, columns={"id": "id", "mail": "email", "phone": "phone"})
    frame = table_frame(made.sample(2_000, seed=1), None)
    assert frame["mail"].isna().mean() == pytest.approx(0.25, abs=0.03)
    assert frame["phone"].isna().mean() == pytest.approx(0.5, abs=0.03)
    assert not frame["id"].isna().any()
    assert frame.equals(table_frame(made.sample(2_000, seed=1), None))
    without = inspected({"mail": [f"a{i}@b.org" for i in range(COUNT)], "x": cells["x"]}, columns={"mail": "email"})[0].schema
    assert "missing" not in without.as_json()["invented"][0]  # as earlier versions wrote it
