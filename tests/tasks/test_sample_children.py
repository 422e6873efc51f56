"""Rows with children as files and answers: every key is one of a row that stands there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from planted_children import planted
from row_generator import untrained

from gan_core.conditions import Where, sample_where
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from tasks import kinds
from tasks.export import Format, export
from tasks.sample_files import write_samples


@pytest.fixture(scope="module")
def generator() -> Generator:
    schema, rows, _, _ = planted()
    return untrained(schema, rows)


def test_both_tables_are_written_and_every_key_is_there(tmp_path: Path, generator: Generator) -> None:
    drawn = generator.sample(300, seed=1)
    for name in ("one", "again"):
        write_samples(drawn, tmp_path / name)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["customers.csv", "orders.csv"]
    customers, orders = (pd.read_csv(tmp_path / "one" / f"{name}.csv") for name in ("customers", "orders"))
    assert [*customers.columns] == ["id", "age"]
    assert [*orders.columns] == ["order", "customer", "amount", "item", "rating", "weight"]
    counts = orders["customer"].value_counts().reindex(customers["id"], fill_value=0)
    assert (customers["id"].is_unique, orders["order"].is_unique) == (True, True)
    assert counts.tolist() == drawn.samples[:, 1].tolist()
    assert int(counts.sum()) == len(orders)
    assert orders["customer"].isin(customers["id"]).all()
    for name in ("customers.csv", "orders.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    write_samples(drawn, tmp_path / "rows.csv")
    whole = pd.read_csv(tmp_path / "rows.csv")
    assert whole["id"].tolist() == customers["id"].tolist()
    assert [order["order"] for one in whole["orders"] for order in json.loads(one)] == orders["order"].tolist()


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_no_graph_of_two_tables_is_written(tmp_path: Path, generator: Generator, form: Format) -> None:
    with pytest.raises(ConfigError, match=r"writes a network as a graph, and rows with children are two tables"):
        export(generator, form, tmp_path / ("g.onnx" if form == "onnx" else "g.pt2"), "shop")


def test_an_answer_has_the_children_of_each_row_in_it(generator: Generator) -> None:
    drawn = generator.sample(50, seed=2)
    frame = kinds.of("table").answer(drawn, None)
    assert [len(json.loads(one)) for one in frame["orders"]] == drawn.samples[:, 1].tolist()
    assert {*json.loads(next(one for one in frame["orders"] if one != "[]"))[0]} == {"order", "amount", "item", "rating", "weight"}
    assert kinds.of("table").answered(generator.config) == [("string", "id"), ("long", "age"), ("string", "orders")]
    nobody = replace(drawn, samples=drawn.samples[drawn.samples[:, 1] == 0])
    assert {*kinds.of("table").answer(nobody, None)["orders"]} == {"[]"}


def test_rows_are_asked_for_by_how_many_children_they_have(generator: Generator) -> None:
    found = sample_where(generator, 40, Where.of(generator.config, ["orders>=2"]), seed=0)
    assert {*found.samples.samples[:, 1].tolist()} == {2.0, 3.0}
