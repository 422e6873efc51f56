"""`data.columns`: what a column is said to be holds, and what it is not is refused, all at once and by name."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML
from test_table_cases import NOISE, csv, drawn, read

from gan_core.errors import ConfigError, DataError
from tasks.params import DataParams, parse
from tasks.samples import table_frame
from tasks.validation.column_kinds import Asked, as_yaml
from tasks.validation.columns import DATE_FORMATS
from tasks.validation.table_files import read_table
from tasks.validation.tables import inspect_table

DAYS = [f"{i % 12 + 1:02}/{i % 11 + 1:02}/2020" for i in range(400)]  # either way round


def entry_with(**data: Any) -> DataParams:
    sections = {"validate": {}, "train": {"recipe": "tabular", "images": 100}, "evaluate": {}, "register": {}}
    return parse({"generators": {"t": {"data": {"source": "table:///t.csv", **data}, **sections}}})["t"].data


class TestWhatIsSaidHolds:
    def test_a_number_of_few_values(self) -> None:
        _, _, found = read(csv({"rooms": [1, 2, 3, 4] * 100, "x": NOISE}), columns={"rooms": "number"})
        assert (found["rooms"].kind, found["rooms"].dtype) == ("number", "int64")

    def test_a_category_of_many_numbers(self) -> None:
        _, _, found = read(csv({"zip": [10_000 + i % 50 for i in range(400)], "x": NOISE}), columns={"zip": "category"})
        assert len(found["zip"].categories or ()) == 50

    @pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
    def test_a_date_in_the_format_that_is_named(self, form: str) -> None:
        _, table, found = read(csv({"day": DAYS, "x": NOISE}), columns={"day": f"date {form}"})
        assert (found["day"].dtype, found["day"].format) == ("date", form)
        assert table_frame(drawn(table), None)["day"].tolist() == DAYS[:60]
        as_days = [(date(2020, *((b, a) if form.startswith("%d") else (a, b))) - date(1970, 1, 1)).days for a, b in _parts()]
        assert table.values[:, 0].tolist() == as_days

    def test_what_fits_two_formats_is_said_with_what_to_write(self) -> None:
        _, table, found = read(csv({"day": DAYS, "x": NOISE}))
        assert found["day"].format == "%d/%m/%Y"
        assert table.found[0].remark.endswith("all of them fit %m/%d/%Y too: if it is that, write `date %m/%d/%Y`")

    @pytest.mark.parametrize("values", [["0", "1"], ["Yes", "no"], ["T", "F"]])
    def test_a_boolean(self, values: list[str]) -> None:
        _, table, _ = read(csv({"b": values * 200, "x": NOISE}), columns={"b": "boolean"})
        assert [str(cell) for cell in table_frame(drawn(table), None)["b"]] == values * 30

    def test_drop(self) -> None:
        _, table, found = read(csv({"a": NOISE, "x": NOISE}), columns={"a": "drop"})
        assert (list(found), table.found[0].remark) == (["x"], "left out, as the entry says")

    def test_a_cell_that_is_no_number_is_set_aside(self) -> None:
        rows, _, _ = read(csv({"n": [*map(str, range(399)), "many"], "x": NOISE}), columns={"n": "number"})
        assert rows[-1].reason == "n: 'many' is no number, as other values are"


def _parts() -> list[tuple[int, int]]:
    return [(int(text[:2]), int(text[3:5])) for text in DAYS]


class TestTheBlock:
    def test_it_reads_as_what_was_found_and_then_nothing_is_left_to_say(self) -> None:
        columns = {
            "x": NOISE, "two words": ["a", "b"] * 200, "yes": ["yes", "no"] * 200, "größe: m": [f"{value:.1f} €" for value in NOISE * 100],
            "day": DAYS, "at": [f"2020-01-{i % 28 + 1:02}T10:{i % 60:02}" for i in range(400)], "id": np.arange(400), "-1": [1, 2] * 200,
        }  # fmt: skip
        data = csv(columns)
        rows, table, found = read(data)
        block = list(table.said("t.csv"))[-1].partition("\n")[2]
        read_back = YAML(typ="safe").load("data:\n" + block)["data"]["columns"]
        assert list(read_back) == list(columns)
        assert read_back.pop("id") == "id"  # which would be invented
        again, known, same = read(data, columns={**read_back, "id": "drop"})
        assert (again, same) == (rows, found)
        np.testing.assert_array_equal(known.values, table.values)
        assert [line for line in known.said("t.csv") if "columns:" in line.partition("\n")[2]] == []

    @pytest.mark.parametrize("text", ["a", "two words", "no", "a: b", "#1", "1", "ä", "- x", "", "'q'", '"', "true", "1e3", "a #b", "~"])
    def test_names_come_back_from_yaml(self, text: str) -> None:
        assert YAML(typ="safe").load(f"{as_yaml(text)}: 1") == {text: 1}

    def test_every_format_that_is_found_can_be_said(self) -> None:
        for form in DATE_FORMATS:
            assert str(Asked.of(f"date {form}")) == f"date {form}"


class TestRefused:
    def test_all_that_is_wrong_is_said_at_once(self) -> None:
        cells = {"price": ["cheap", "dear"] * 200, "day": ["soon", "late"] * 200, "b": ["a", "b", "c", "d"] * 100, "x": NOISE}
        asked = {"price": "number", "day": "date", "b": "boolean"}
        with pytest.raises(DataError) as refused:
            read(csv(cells), columns=asked)
        assert str(refused.value).splitlines() == [
            "data.columns: price of t.csv is said to be a number, and it holds 'cheap', 'dear'; write category, or drop",
            "data.columns: day of t.csv is said to be a date, and it holds 'soon', 'late'; "
            "write category or with its format, such as `date %d/%m/%Y`, or drop",
            "data.columns: b of t.csv is said to be a boolean, and it holds 'a', 'b', 'c' and 1 more; write category",
        ]

    def test_names_that_are_not_there(self) -> None:
        with pytest.raises(DataError) as refused:
            read(csv({"price": NOISE, "x": NOISE}), columns={"prize": "number"}, drop=["day"], label="z")
        assert str(refused.value).splitlines() == [
            "data.label: t.csv has no column 'z'; it has price, x",
            "data.drop: t.csv has no column 'day'; it has price, x",
            "data.columns: t.csv has no column 'prize'; did you mean price?",
        ]

    def test_the_user_s_own_file_is_named(self) -> None:
        data = DataParams(source="table:///srv/sales of may.csv", label="z")
        with pytest.raises(DataError, match=r"data\.label: sales of may\.csv has no column 'z'"):
            inspect_table(read_table(csv({"x": NOISE}), "table.csv"), data, data.file_name)

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"columns": {"a": "numbr"}}, "data.columns: a: 'numbr' is no kind of column; did you mean number?"),
            (
                {"columns": {"a": "float"}},
                "'float' is no kind of column; there are number, date, boolean, category, id, email, phone, name, drop",
            ),
            ({"columns": {"a": "number %d"}}, "only a date has a format behind it"),
            ({"columns": {"a": "date %H:%M"}}, "only a date has a format behind it, with year, month and day"),
            ({"columns": {"a": 3}}, "data.columns.a: "),
            ({"columns": {"a": "number"}, "drop": ["a"]}, "drop: a is number in columns; take it out of one of them"),
            ({"columns": {"a": "date"}, "categorical": ["a"]}, "categorical: a is date in columns"),
            ({"columns": {"a": "date"}, "label": "a"}, "columns: a is the label, whose values are categories or numbers, and not date"),
            ({"columns": {"a": "number"}, "source": "sklearn://digits"}, "columns: only for tables"),
        ],
    )
    def test_a_wrong_entry(self, keys: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError) as refused:
            entry_with(**keys)
        assert message in str(refused.value)
