"""Two tables with a key: what is refused, what goes to quarantine, and what is packed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from row_generator import untrained

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.kinds.table import Table
from tasks import params
from tasks.fetch import fetch
from tasks.validate import validate
from tasks.workspace import Workspace

CUSTOMERS = "id,age\n" + "".join(f"{k},{20 + k % 41}\n" for k in range(1, 201))
ORDERS = "order,customer,item,amount\n" + "".join(
    f"{10 * k + i},{k},{'book' if k % 3 else 'game'},{k % 17}.{i}5\n" for k in range(1, 201) for i in range(k % 4)
)


def entry_of(data: dict[str, Any] | None = None, children: dict[str, Any] | None = None, **sections: Any) -> params.Entry:
    document = {
        "data": {
            "source": "table://customers.csv",
            "key": "id",
            "holdout": 0.3,
            "children": {"source": "table://orders.csv", "key": "customer", "columns": {"order": "id"}, **(children or {})},
            **(data or {}),
        },
        "validate": {"max_quarantined": 0.1},
        "train": {"recipe": "tabular", "generator": {"network": "autoregressive"}},
        "evaluate": {},
        "register": {},
        **sections,
    }
    return params.parse({"generators": {"shop": document}})["shop"]


def ready(root: Path, customers: str = CUSTOMERS, orders: str = ORDERS, entry: params.Entry | None = None) -> Workspace:
    """A workspace in which the two tables were fetched and validated."""
    place, entry = Workspace(root), entry or entry_of()
    (root / "customers.csv").write_text(customers)
    (root / "orders.csv").write_text(orders)
    fetch(place, "shop", entry)
    validate(place, "shop", entry)
    return place


def quarantined(place: Workspace) -> dict[str, str]:
    with (place.ready("shop") / "quarantine.csv").open() as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def test_each_row_is_packed_with_its_children_in_their_order(tmp_path: Path) -> None:
    dataset = Dataset.open(ready(tmp_path).ready("shop"))
    schema = Table.of(dataset.spec).schema
    children = schema.children
    assert children is not None
    assert ([one.name for one in schema.own], [one.name for one in children.columns]) == (["age"], ["item", "amount"])
    assert (schema.invented[0].name, children.invented[0].name, children.place) == ("id", "order", 1)
    rows = np.concatenate([dataset.samples[split] for split in ("train", "holdout")])
    below, owners = children.pooled(rows)
    assert (len(rows), len(below)) == (200, 300)
    # Of a customer with k orders, whose amounts end with 05, 15, 25 in turn.
    places = np.concatenate([np.arange(count) for count in np.bincount(owners, minlength=len(rows))])
    assert np.allclose((below[:, 1] % 1) * 10, places + 0.5)
    assert len({*below[:, 0].tolist()}) == 2


def test_a_child_of_nobody_goes_to_quarantine_and_a_damaged_one_takes_its_parent_along(tmp_path: Path) -> None:
    orders = ORDERS + "9001,999,book,1.00\n9002,,book,1.00\n9003,7,book,much\n"
    place = ready(tmp_path, CUSTOMERS + ",33\n", orders)
    assert quarantined(place) == {
        "table.csv#7": "row 303 of orders.csv: amount: 'much' is no number, as other values are",
        "table.csv#201": "id: missing",
        "children.csv#301": "customer: '999' is no id of customers.csv",
        "children.csv#302": "customer: missing",
    }


def test_a_row_and_its_children_are_on_one_side_and_equal_ones_too(tmp_path: Path) -> None:
    twins = "".join(f"{k + 1000},{20 + k % 41}\n" for k in range(1, 201))
    parts = [line.split(",") for line in ORDERS.splitlines()[1:]]
    of_twins = "".join(f"{int(order) + 9000},{int(customer) + 1000},{item},{amount}\n" for order, customer, item, amount in parts)
    dataset = Dataset.open(ready(tmp_path, CUSTOMERS + twins, ORDERS + of_twins).ready("shop"))
    sides = [{row.tobytes() for row in np.array(dataset.samples[split]) if row[1] == 3} for split in ("train", "holdout")]
    assert sides[0]
    assert sides[1]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize(
    ("customers", "orders", "data", "children", "message"),
    [
        (CUSTOMERS, ORDERS, {"key": "idd"}, {}, r"data\.key: customers\.csv has no column 'idd'; did you mean id\?"),
        (CUSTOMERS, ORDERS, {}, {"key": "client"}, r"data\.children\.key: orders\.csv has no column 'client'; it has order"),
        (CUSTOMERS + "7,30\n", ORDERS, {}, {}, r"data\.key: id of customers\.csv is '7' in row 7 and in row 201; name the column in which"),
        (
            CUSTOMERS,
            "customer,amount\nA,1.5\nB,2.5\n",
            {},
            {"columns": {}},
            r"no row of orders\.csv belongs to one of customers\.csv: customer is A, B, and id 1, 2, 3, 4, 5 and 195 more",
        ),
        (CUSTOMERS, ORDERS, {}, {"most": 2}, r"data\.children\.most: 3 rows of orders\.csv belong to 3 of customers\.csv, and at"),
        (CUSTOMERS, ORDERS, {}, {"columns": {"amont": "number"}}, r"data\.children\.columns: orders\.csv has no column 'amont'; did"),
        (CUSTOMERS, ORDERS, {}, {"name": "age"}, r"data\.children: age is a column of customers\.csv, or its name"),
    ],
)  # fmt: skip
def test_what_is_no_pair_of_tables_is_refused_and_says_why(
    tmp_path: Path, customers: str, orders: str, data: dict[str, Any], children: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        ready(tmp_path, customers, orders, entry_of(data, children))


@pytest.mark.parametrize(
    ("data", "sections", "message"),
    [
        ({"children": None}, {}, r"data: key: names the rows that children belong to, and there is no `children`"),
        ({"key": None}, {}, r"data: children: belong to rows that a column names; say which in data\.key"),
        ({"columns": {"id": "number"}}, {}, r"data: key: id is drawn anew, as an id"),
        ({"label": "id"}, {}, r"data: key: id is drawn anew, as an id"),
        ({}, {"train": {"recipe": "tabular"}}, r"train\.generator: rows with children are drawn by `network: autoregressive`"),
    ],
)
def test_keys_that_do_not_fit_are_refused_when_they_are_read(data: dict[str, Any], sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        entry_of(data, **sections)


def test_children_are_of_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.children\.source: folder://x names no table"):
        entry_of(children={"source": "folder://x"})
    with pytest.raises(ConfigError, match=r"data\.children: drop: customer is the key already"):
        entry_of(children={"drop": ["customer"]})


DAYS = "id,since\n" + "".join(f"{k},2024-{1 + k % 6:02}-{1 + k % 28:02}\n" for k in range(1, 201))
ORDERED = "customer,day,cost\n" + "".join(
    f"{k},2024-{12 - 2 * i:02}-{1 + k % 28:02},{k % 17}.5\n" for k in range(1, 201) for i in range(k % 3)
)


def rules_of(rule: str, order: str | None = "day") -> params.Entry:
    return entry_of({"rules": [rule]}, {"columns": {}, "order": order})


def test_an_order_of_both_tables_holds_in_all_that_is_drawn(tmp_path: Path) -> None:
    """In the file each customer's last order stands first."""
    place = ready(tmp_path, DAYS, ORDERED + "9,2023-01-01,1.5\n10,,1.5\n", rules_of("since <= orders.day"))
    assert quarantined(place) == {
        "table.csv#9": "since <= orders.day: broken by a row of orders.csv (data.rules)",
        "table.csv#10": "day: missing in a row of orders.csv, which are in its order",
    }
    dataset = Dataset.open(place.ready("shop"))
    spec = Table.of(dataset.spec)
    schema = spec.schema
    assert schema.children is not None
    real = np.array(dataset.samples["train"])
    drawn = untrained(schema, real).sample(1_000, seed=0).samples
    for rows in (real, drawn):
        below, owners = schema.children.pooled(rows)
        assert (below[:, 0] >= rows[owners, 0]).all()
        assert (np.diff(below[:, 0])[np.diff(owners) == 0] >= 0).all()
        assert not np.isnan(below).any()
    assert {*drawn[:, 1].tolist()} == {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    ("rule", "order", "message"),
    [
        ("since <= orders.dya", "day", r"data\.rules: since <= orders\.dya: orders\.dya is no column that is learned; did"),
        ("since = orders.day + orders.cost", None, r"of columns of two tables only an order is held, such as since <= orders\.day"),
        ("since <= orders.cost", None, r"data\.rules: since <= orders\.cost: one is a day and the other a number"),
        ("orders.cost <= orders.day", "kost", r"data\.rules: .*: one is a number and the other a day; they cannot be compared"),
        ("since <= orders.day", "cots", r"data\.children\.order: orders\.cots is no column that is learned; did you mean orders\.cost"),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_the_two_tables_are_refused(tmp_path: Path, rule: str, order: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ready(tmp_path, DAYS, ORDERED, rules_of(rule, order))


def test_what_is_wrong_with_the_second_file_is_said_of_its_own_key(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    for source, error, message in (
        ("table://none.csv", DataError, r"none\.csv is not there; put it there or correct data\.children\.source"),
        ("table://$NOT_SET/orders.csv", ConfigError, r"data\.children\.source: .*: the environment variable NOT_SET is not set"),
    ):
        with pytest.raises(error, match=message):
            fetch(Workspace(tmp_path), "shop", entry_of(children={"source": source}))


def test_a_column_more_at_the_source_is_no_other_table(tmp_path: Path) -> None:
    """And one that shares no column with the last is not taken in its place."""
    place = ready(tmp_path)
    (tmp_path / "customers.csv").write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(DataError, match=r"has none of the columns of the table that was fetched last \(age, id\), but x, y"):
        fetch(place, "shop", entry_of())
    (tmp_path / "customers.csv").write_text("".join(f"{line},1\n" for line in CUSTOMERS.replace("id,age", "id,age,z").splitlines()))
    fetch(place, "shop", entry_of())
