"""Several columns as labels of a table, and a number as one: from the file to rows that are drawn by them, and what is told of each."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper
from raw_sets import entry, write_table
from row_generator import untrained

from gan_core.conditions import Where, sample_where
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.metrics.rows import explained
from gan_core.params import TabularParams
from gan_core.training import train
from tasks.entry_from_data import draft
from tasks.export import _apart, described
from tasks.export_loader import write_loader
from tasks.judging import gather
from tasks.params import Entry, EvaluateParams, parse
from tasks.samples import table_frame
from tasks.scoring.labels_told import in_words
from tasks.scoring.table import TableEvidence
from tasks.validate import validate
from tasks.validation.table_files import read_table
from tasks.validation.tables import TableRow, inspect_table
from tasks.workspace import Workspace

LABELS = ("churned", "plan")


def clients(count: int = 400, seed: int = 0) -> pd.DataFrame:
    """Who pays more has the better plan and earns more; no free plan is left by anybody."""
    draw = np.random.default_rng(seed)
    plan = draw.choice(3, count, p=[0.5, 0.3, 0.2])
    churned = (draw.random(count) < 0.3) & (plan > 0)
    price = np.round(10.0 * plan + draw.normal(size=count), 2)
    return pd.DataFrame(
        {
            "plan": np.array(["free", "pro", "team"])[plan],
            "price": price,
            "income": np.round(1_000 * price + draw.normal(size=count) * 500, 2),
            "churned": np.where(churned, "yes", "no"),
            "visits": np.round(50 - 30 * churned + draw.normal(size=count)).astype(int),
        }
    )


def an_entry(**data: Any) -> Entry:
    return entry({"source": "table:///srv/t.csv", **data})


def looked(frame: pd.DataFrame, **keys: Any) -> tuple[list[TableRow], tuple[str, ...] | None, Schema]:
    """The rows, the classes and the schema."""
    rows, classes, table = inspect_table(read_table(frame.to_csv(index=False).encode(), "t.csv"), an_entry(**keys).data, "t.csv")
    return rows, classes, table.schema


class TestSeveral:
    def test_classes_are_the_combinations_that_occur(self) -> None:
        frame = clients()
        rows, classes, schema = looked(frame, label=["churned", "plan"])
        assert [column.name for column in schema.columns] == ["price", "income", "visits"]
        assert classes == (
            "churned=no, plan=free", "churned=no, plan=pro", "churned=no, plan=team", "churned=yes, plan=pro", "churned=yes, plan=team",
        )  # fmt: skip
        assert [row.label for row in rows] == [f"churned={one.churned}, plan={one.plan}" for one in frame.itertuples()]
        assert (schema.label, [column.name for column in schema.labels]) == ("churned, plan", ["churned", "plan"])

    def test_rows_are_drawn_by_any_of_them_with_the_shares_of_the_rest(self) -> None:
        generator = by_plan_and_churn()
        asked = Where.of(generator.config, ["churned=yes"])
        assert (asked.labels, asked.rest) == ((2, 3), ())
        drawn = sample_where(generator, 2_000, asked)
        frame = table_frame(drawn.samples, generator.config.classes)
        assert list(frame.columns) == ["x", "churned", "plan"]
        assert drawn.acceptance == 1.0
        assert set(frame["churned"]) == {"yes"}
        # 1 of 10 rows is of a pro who left, 2 of 10 of a team.
        assert (frame["plan"] == "team").mean() == pytest.approx(2 / 3, abs=0.03)
        assert (frame["plan"] == "free").sum() == 0
        both = table_frame(
            sample_where(generator, 50, Where.of(generator.config, ["churned=no,plan!=free"])).samples, generator.config.classes
        )
        assert set(zip(both["churned"], both["plan"], strict=True)) == {("no", "pro")}
        named = table_frame(generator.sample(20, label="churned=yes, plan=pro"), generator.config.classes)
        assert set(zip(named["churned"], named["plan"], strict=True)) == {("yes", "pro")}

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            (
                "churned=yes,plan=free",
                "where: no row can be so, as churned=yes,plan=free leaves no combination of churned, plan that occurs",
            ),
            ("plan=gold", "where: plan is never 'gold'; there are free, pro, team"),
            ("chruned=yes", "where: no column 'chruned'; did you mean churned?"),
        ],
    )
    def test_what_does_not_occur_is_refused(self, asked: str, message: str) -> None:
        with pytest.raises(ConfigError) as refused:
            Where.of(by_plan_and_churn().config, [asked])
        assert str(refused.value) == message

    def test_a_saved_generator_knows_them(self, tmp_path: Path) -> None:
        generator = by_plan_and_churn().save(tmp_path / "generator")
        assert Generator.load(tmp_path / "generator").config.schema == generator.config.schema

    def test_what_is_told_of_each_is_scored_by_the_columns_that_are_no_labels(self) -> None:
        """Planted: x tells the plan and y the churn. Rows in which y is shuffled teach the plan alone."""
        rows, labels = told_rows(600, 0)
        real, real_labels = told_rows(300, 1)
        generated, drawn_labels = told_rows(1_800, 2)
        generated[:, 1] = np.random.default_rng(3).permutation(generated[:, 1])
        evidence = TableEvidence(schema_of_two(), real, generated, real_labels, drawn_labels, rows, labels)
        told = evidence.details()["told"]
        assert told["plan"]["share"] > 0.97
        assert told["churned"]["share"] == pytest.approx(0.875, abs=0.05)  # of the pro plan alone x does not tell it
        assert evidence.scores()["utility"] == pytest.approx((told["plan"]["share"] + told["churned"]["share"]) / 2, abs=1e-6)
        faultless = TableEvidence(schema_of_two(), real, told_rows(1_800, 4)[0], real_labels, told_rows(1_800, 4)[1], rows, labels)
        assert faultless.scores()["utility"] > 0.97


def schema_of_two() -> Schema:
    labels = (Column("churned", "category", "string", ("no", "yes")), Column("plan", "category", "string", ("free", "pro", "team")))
    columns = (Column("x", "number", "float64"), Column("y", "number", "float64"))
    return Schema(columns, "churned, plan", labels=labels, combinations=((0, 0), (0, 1), (1, 1), (1, 2)))


def told_rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(4, size=count)
    cells = np.array(schema_of_two().combinations)[labels]
    return np.stack([cells[:, 1] + 0.2 * draw.normal(size=count), cells[:, 0] + 0.2 * draw.normal(size=count)], axis=1), labels


def by_plan_and_churn() -> Generator:
    """Of weights as they begin: four combinations, of 4, 3, 1 and 2 of 10 rows."""
    labels = np.repeat(np.arange(4), [40, 30, 10, 20])
    classes = ("churned=no, plan=free", "churned=no, plan=pro", "churned=yes, plan=pro", "churned=yes, plan=team")
    schema = Schema(
        (Column("x", "number", "float64"),), "churned, plan", labels=schema_of_two().labels, combinations=((0, 0), (0, 1), (1, 1), (1, 2))
    )
    return untrained(schema, np.random.default_rng(0).normal(size=(100, 1)), classes, labels)


class TestNumber:
    def test_it_is_a_column_like_others_and_told_by_them(self) -> None:
        _, classes, schema = looked(clients(), label="income")
        assert (classes, schema.label, schema.targets) == (None, None, ("income",))
        assert [column.name for column in schema.columns] == ["plan", "price", "income", "churned", "visits"]

    def test_few_values_are_classes_unless_the_entry_says_number(self) -> None:
        frame = clients().assign(visits=lambda known: known["visits"] // 20)
        assert looked(frame, label="visits")[2].targets == ()
        assert looked(frame, label="visits", columns={"visits": "number"})[2].targets == ("visits",)

    def test_beside_a_label_of_classes(self) -> None:
        _, classes, schema = looked(clients(), label=["churned", "income"])
        assert (classes, schema.label, schema.targets, schema.labels) == (("no", "yes"), "churned", ("income",), ())

    def test_what_teaches_nothing_of_it_and_what_teaches_all(self) -> None:
        schema = Schema((Column("x", "number", "float64"), Column("y", "number", "float64")), targets=("y",))

        def rows(count: int, seed: int, slope: float = 3.0) -> np.ndarray:
            draw = np.random.default_rng(seed)
            x = draw.normal(size=count)
            return np.stack([x, slope * x + draw.normal(size=count)], axis=1)

        def utility(generated: np.ndarray) -> tuple[float, dict[str, float]]:
            evidence = TableEvidence(schema, rows(400, 1), generated, None, None, rows(600, 0), None)
            return evidence.scores()["utility"], evidence.details()["told"]["y"]["r2"]

        share, r2 = utility(rows(1_800, 2))
        assert share == pytest.approx(1.0, abs=0.03)
        assert r2["trained_on_real"] == pytest.approx(0.88, abs=0.04)  # 9 of 10 parts of the variance are told by x
        independent = rows(1_800, 3)
        independent[:, 1] = np.random.default_rng(4).permutation(independent[:, 1])
        assert utility(independent)[0] < 0.6
        assert utility(rows(1_800, 5, slope=-3.0))[0] < 0.05  # what teaches the opposite is worth less than nothing

    def test_r2_is_the_one_of_scikit_learn_and_its_weights_are_its_derivative(self) -> None:
        from sklearn.metrics import r2_score

        draw = np.random.default_rng(0)
        numbers = draw.normal(size=200) * 5 + 3
        told = numbers + draw.normal(size=200)
        found, weights = explained(told, numbers)
        assert found == pytest.approx(r2_score(numbers, told))
        assert weights.mean() == pytest.approx(0, abs=1e-12)
        without = [r2_score(np.delete(numbers, i), np.delete(told, i)) for i in range(200)]
        np.testing.assert_allclose(found - np.array(without), weights / 199, atol=0.01 * np.abs(weights).max() / 199 + 2e-5)


@pytest.mark.parametrize(
    ("keys", "change", "message"),
    [
        ({"label": ["churned", "plna"]}, {}, "data.label: t.csv has no column 'plna'; did you mean plan?"),
        (
            {"label": ["churned", "plan"]},
            {"churned": "no"},
            "data.label: column churned of t.csv is 'no' in every row; leave the label out",
        ),
        (
            {"label": "price", "columns": {"price": "number"}},
            {"price": 7.0},
            "data.label: column price of t.csv is 7 in every row; leave the label out",
        ),
        (
            {"label": ["plan", "visits"]},
            {"visits": np.arange(400) % 60},
            "data.label: columns plan, visits of t.csv have 166 different combinations, and at most 100 can be asked for; "
            "name fewer of them, and the others are columns like any other",
        ),
        ({"label": ["plan", "price", "income", "churned", "visits"]}, {}, "data: t.csv has no column left beside the label; "),
    ],
)
def test_what_cannot_be_a_label_is_refused(keys: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as refused:
        looked(clients().assign(**change), **keys)
    assert message in str(refused.value)


def test_a_row_without_the_number_is_set_aside_and_said() -> None:
    frame = clients()
    frame.loc[frame.index[:4], "income"] = np.nan
    rows, _, _ = looked(frame, label="income")
    assert [row.reason for row in rows[:5]] == ["income: missing"] * 4 + [None]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"label": ["a", "b", "a"]}, "label: a is named twice; name each column once"),
        ({"label": []}, "label: [] is no list of columns; write their names, such as [churned, plan]"),
        ({"label": ["a", 3]}, "label: ['a', 3] is no list of columns"),
        ({"label": ["a", "b"], "source": "sklearn://digits"}, "label"),
        ({"label": ["a", "b"], "drop": ["b"]}, "drop: b is the label already"),
        ({"label": ["a", "b"], "rules": ["b <= c"]}, "rules: b <= c: b is the label, which is drawn before the row"),
    ],
)
def test_a_wrong_entry(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        an_entry(**keys)
    assert message in str(refused.value)


def test_one_name_in_a_list_is_that_name() -> None:
    assert an_entry(label=["churned"]).data == an_entry(label="churned").data


def test_a_number_that_is_a_label_may_stand_in_a_rule() -> None:
    assert an_entry(label="total", columns={"total": "number"}, rules=["total = a + b"]).data.label == "total"


def test_an_entry_is_written_with_both(tmp_path: Path) -> None:
    clients().to_csv(tmp_path / "clients.csv", index=False)
    found = draft(Workspace(tmp_path), tmp_path / "clients.csv", labels=["churned", "income"])
    assert "      label: [churned, income]  # rows are drawn by them: " in found.text
    assert "        income: number " in found.text
    assert "        churned:" not in found.text


def test_through_training_and_evaluation(tmp_path: Path) -> None:
    """Two labels of classes and one of numbers, to the scores of each and files with all of them."""
    place, frame = Workspace(tmp_path), clients()
    write_table(place.raw("t"), frame.to_csv(index=False).encode(), ".csv")
    known = an_entry(label=["churned", "plan", "income"], holdout=0.3)
    validate(place, "t", known)
    dataset = Dataset.open(place.ready("t"))
    spec = Table.of(dataset.spec)
    assert spec.schema.shares is not None
    of_all = [((frame["churned"] == yes) & (frame["plan"] == plan)).mean() for yes, plan in (("no", "free"), ("yes", "team"))]
    np.testing.assert_allclose([spec.schema.shares[0], spec.schema.shares[-1]], of_all, atol=0.05)
    assert train(TabularParams(images=500), dataset, tmp_path / "trained")
    generator = Generator.load(tmp_path / "trained" / "generator")
    evidence = gather(generator, dataset, None, EvaluateParams())
    assert 0 < evidence.scores()["utility"] < 1.1
    assert {name: set(told) for name, told in evidence.details()["told"].items()} == {
        "churned": {"area", "share"}, "plan": {"area", "share"}, "income": {"r2", "share"},
    }  # fmt: skip
    assert generator.config.schema == spec.schema
    file = io.StringIO()
    table_frame(generator.sample(100), generator.config.classes).to_csv(file, index=False)
    drawn = pd.read_csv(io.StringIO(file.getvalue()))
    assert list(drawn.columns) == ["price", "income", "visits", "churned", "plan"]
    assert not ((drawn["churned"] == "yes") & (drawn["plan"] == "free")).any()


def test_the_program_beside_an_exported_network_writes_each_label(tmp_path: Path) -> None:
    """A network of the same inputs, outputs and metadata is enough to see it; what ONNX makes of a generator is seen elsewhere."""
    generator = by_plan_and_churn()
    named = {
        name: helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (
            ("latents", TensorProto.FLOAT, ["n", 64]), ("labels", TensorProto.INT64, ["n"]),
            ("samples", TensorProto.DOUBLE, ["n", 64]), ("values", TensorProto.FLOAT, ["n", 64]),
        )
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["latents"], ["samples"], to=TensorProto.DOUBLE),
        helper.make_node("Identity", ["latents"], ["values"]),
    ]
    inputs, outputs = ([named[key] for key in keys] for keys in (("latents", "labels"), ("samples", "values")))
    model = helper.make_model(helper.make_graph(nodes, "rows", inputs, outputs), opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {key: json.dumps(value) for key, value in described(generator, "clients", 1).items()})
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    write_loader(generator.config, tmp_path)
    done = subprocess.run([sys.executable, "load.py", "50"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drawn = pd.read_csv(tmp_path / "samples.csv")
    assert list(drawn.columns) == ["x", "churned", "plan"]
    assert set(zip(drawn["churned"], drawn["plan"], strict=True)) == {("no", "free"), ("no", "pro"), ("yes", "pro"), ("yes", "team")}


def test_a_single_row_at_the_beginning_of_its_range_is_compared_by_the_range() -> None:
    generator = by_plan_and_churn()
    assert generator.config.schema is not None
    low, high = generator.config.schema.columns[0].extent
    at_low = torch.tensor([[low]], dtype=torch.float64)
    assert _apart(generator, at_low, at_low + 1e-9) == 0
    assert _apart(generator, at_low, at_low + (high - low) / 2) == 1


def test_the_page_says_what_is_told_of_each_of_several() -> None:
    one = {"area": {"trained_on_real": 0.9, "trained_on_generated": 0.85}, "share": 0.944}
    other = {"r2": {"trained_on_real": 0.5, "trained_on_generated": 0.25}, "share": 0.833}
    assert in_words({}) == in_words({"told": {"churned": one}}) == []
    said = in_words({"told": {"churned": one, "income": other}})
    assert said[0].startswith("Trees that learned churned from generated rows get 0.85 on held-out real ones")
    assert said[1].endswith("learned it from training rows 0.5 (R2): 0.833 of what real rows teach.")


def test_rows_of_a_rare_class_are_shown_more_often_in_an_entry_that_is_written(tmp_path: Path) -> None:
    frame = clients()
    frame["fraud"] = np.where(np.arange(len(frame)) % 100 == 0, "yes", "no")
    frame.to_csv(tmp_path / "clients.csv", index=False)
    rare, common = (draft(Workspace(tmp_path), tmp_path / "clients.csv", labels=[label]).text for label in ("fraud", "churned"))
    assert "      balance: 0.5  # the rarest class has 4 rows: " in rare
    assert "balance" not in common


@pytest.mark.parametrize(
    ("data", "why"), [({}, "there is no data.label"), ({"label": "income", "columns": {"income": "number"}}, "data.label is of numbers")]
)
def test_balance_needs_a_label_of_classes(data: dict[str, Any], why: str) -> None:
    sections = {"data": {"source": "table:///srv/t.csv", **data}, "train": {"recipe": "tabular", "balance": 0.5}}
    with pytest.raises(ConfigError, match=rf"train\.balance: .* {re.escape(why)}; name one of classes, or leave it out"):
        parse({"generators": {"t": {**sections, "validate": {}, "evaluate": {}, "register": {}}}})


def test_balance_with_a_label_that_turns_out_to_be_of_numbers_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    write_table(place.raw("t"), clients().to_csv(index=False).encode(), ".csv")
    sections = {"data": {"source": "table:///srv/t.csv", "label": "income"}, "train": {"recipe": "tabular", "balance": 0.5}}
    known = parse({"generators": {"t": {**sections, "validate": {}, "evaluate": {}, "register": {}}}})["t"]
    with pytest.raises(DataError, match=r"t: train\.balance: .*, and data\.label is of numbers; leave it out"):
        validate(place, "t", known)
    assert [path.name for path in place.ready("t").iterdir()] == ["quarantine.csv"]


def test_rows_that_are_too_few_for_the_privacy_asked_for_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    place = Workspace(tmp_path)
    write_table(place.raw("t"), clients().to_csv(index=False).encode(), ".csv")
    asked = {"recipe": "tabular", "generator": {"network": "autoregressive"}, "privacy": {"epsilon": 1.0, "delta": 0.01}}
    sections = {"data": {"source": "table:///srv/t.csv"}, "train": asked, "validate": {}, "evaluate": {}, "register": {}}
    with pytest.raises(ConfigError, match=r"train\.privacy\.delta: 0\.01 is no less than one in \d+ rows"):
        validate(place, "t", parse({"generators": {"t": sections}})["t"])


def test_what_is_written_of_other_tables_is_as_before() -> None:
    """The start of a training and a packed data set are told apart by these bytes."""
    assert not {"labels", "combinations", "targets"} & Schema((Column("x", "number", "float64"),), "kind").as_json().keys()
    assert Schema.from_json(schema_of_two().as_json()) == schema_of_two()
