"""A table through all five stages, and out again as rows: files, the served model, and what its generator is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import planted_table
import pytest
import torch
from test_tables import as_csv, planted_frame

from gan_core.data.dataset import Dataset, Split
from gan_core.errors import ConfigError, DataError, TrainingError
from gan_core.generator import Generator, Samples
from gan_core.kinds.encoding import Encoding
from gan_core.kinds.schema import Column
from gan_core.metrics.rows import Forest, class_areas, column_distances, correlation_distance
from gan_core.params import TabularParams
from gan_core.recipes import build_recipe
from tasks import kinds
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.judging import gather, score
from tasks.params import Entry, EvaluateParams, RegisterParams, parse
from tasks.promotion.gate import Measured, Record, decide
from tasks.records.registry import Registry, load_generator
from tasks.register import register
from tasks.sample_files import write_samples
from tasks.samples import formulas, table_frame
from tasks.scoring.copies import Copies, find_copies
from tasks.scoring.table import deviations, repeated_rows
from tasks.train import train
from tasks.validate import validate
from tasks.workspace import Workspace

COLUMNS = ["height", "age", "always", "colour", "rooms", "bought"]


def an_entry(path: Path, **changes: Any) -> Entry:
    sections = {
        "data": {"source": f"table://{path}", "label": "bought", "holdout": 0.3, **changes.get("data", {})},
        "validate": {},
        "train": {"recipe": "tabular", "images": 20_000, "optimizer": {"learning_rate": 2e-3}, **changes.get("train", {})},
        "evaluate": {},
        "register": {},
    }
    return parse({"generators": {"rows": sections}})["rows"]


@pytest.fixture
def done(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A workspace in which all five stages have run on the planted table."""
    (tmp_path / "rows.csv").write_bytes(as_csv(planted_frame(400)))
    entry = an_entry(tmp_path / "rows.csv")
    for stage in (fetch, validate, train, evaluate, register):
        stage(workspace, "rows", entry)
    return workspace


def test_from_a_file_to_a_champion_and_back_to_files(done: Workspace, tmp_path: Path) -> None:
    scores = json.loads((done.report("rows") / "metrics.json").read_text())
    assert set(scores) == {"detection", "utility", "column_distance", "correlation_distance", "copies", "membership", "class_membership"}
    assert scores["copies"] < 0.05
    assert scores["utility"] > 0.9  # classes that lie 20 deviations apart
    assert scores["column_distance"] < 0.4
    evaluation = json.loads((done.report("rows") / "evaluation.json").read_text())
    assert set(evaluation["column_distances"]) == set(COLUMNS[:-1])
    assert evaluation["column_distances"]["always"] == 0
    assert 0 < evaluation["real_against_real"]["column_distance"] < 0.2
    assert {path.name for path in (done.report("rows") / "grids").iterdir()} == {"generated.png", "real.png", "copies.png"}
    assert json.loads((done.report("rows") / "decision.json").read_text())["outcome"] == "first"

    generator = load_generator(done, "rows")
    drawn = generator.sample(300, seed=3)
    for name, read in (("rows.csv", pd.read_csv), ("rows.parquet", pd.read_parquet)):
        write_samples(drawn, tmp_path / "out" / name, generator.config.classes)
        frame = read(tmp_path / "out" / name)
        assert list(frame.columns) == COLUMNS
        assert [frame[name].dtype.kind for name in ("height", "age", "always", "rooms")] == ["f", "i", "i", "i"]
        assert set(frame["colour"]) <= {"blue", "green", "red"}
        assert set(frame["rooms"]) <= {1, 2, 4}
        assert set(frame["bought"]) == {"no", "yes"}
        assert (frame["always"] == 7).all()
        np.testing.assert_array_equal(frame["height"], frame["height"].round(2))
        assert frame["height"].between(-15, 15).all()
    # Where none is asked for, labels come in the shares that they have: a third, not a half.
    assert 0.2 < (frame["bought"] == "yes").mean() < 0.45
    # What is drawn is of the label that it was asked for: the classes differ in the sign of their height.
    assert (table_frame(generator.sample(200, label="yes"), generator.config.classes)["height"] > 0).mean() > 0.9
    assert (table_frame(generator.sample(200, label="no"), generator.config.classes)["height"] < 0).mean() > 0.9

    from mlflow import pyfunc

    registry = Registry.open(done)
    champion = registry.champion("rows")
    assert champion is not None
    model = pyfunc.load_model(str(registry.download(champion, tmp_path / "download")))
    served = model.predict(pd.DataFrame(), params={"n": 300, "seed": 3})
    pd.testing.assert_frame_equal(served, pd.read_parquet(tmp_path / "out" / "rows.parquet"))
    assert list(model.predict(pd.DataFrame({"label": ["yes", "no"]}))["bought"]) == ["yes", "no"]
    assert [column.name for column in model.metadata.get_output_schema()] == COLUMNS


def test_a_table_as_people_have_it_goes_through_all_five_stages(workspace: Workspace, tmp_path: Path) -> None:
    """Gaps in numbers, categories, booleans and days; money; a zero in most rows; an id and an empty column."""
    draw = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            "id": np.arange(n),
            "since": pd.Series(pd.to_datetime(draw.integers(10_000, 20_000, n), unit="D")).dt.strftime("%d.%m.%Y"),
            "price": [f"${value:,.2f}" for value in draw.normal(5_000, 1_000, n)],
            "gain": pd.array(np.where(draw.random(n) < 0.8, 0, draw.integers(100, 900, n)), "Int64"),
            "plan": draw.choice(["free", "pro"], n),
            "active": pd.array(draw.random(n) < 0.5, "boolean"),
            "empty": [None] * n,
            "churned": draw.choice(["no", "yes"], n),
        }
    )
    for column in ("since", "gain", "plan", "active"):
        frame.loc[draw.random(n) < 0.2, column] = None
    frame.to_csv(tmp_path / "rows.csv", index=False)
    entry = an_entry(tmp_path / "rows.csv", data={"label": "churned"}, train={"images": 2_000})
    for stage in (fetch, validate, train, evaluate, register):
        stage(workspace, "rows", entry)
    names = ["since", "price", "gain", "plan", "active", "churned"]
    assert json.loads((workspace.report("rows") / "decision.json").read_text())["outcome"] == "first"
    generator = load_generator(workspace, "rows")
    drawn = generator.sample(300, seed=1)
    write_samples(drawn, tmp_path / "out.csv", generator.config.classes)
    write_samples(drawn, tmp_path / "out.parquet", generator.config.classes)
    written = pd.read_csv(tmp_path / "out.csv")
    assert list(written.columns) == names
    days = pd.to_datetime(written["since"].dropna(), format="%d.%m.%Y")
    assert days.between("1997-05-19", "2024-10-04").all()
    assert written["price"].str.fullmatch(r"\$\d,\d{3}\.\d\d|\$\d{3}\.\d\d").all()
    assert set(written["plan"].dropna()) <= {"free", "pro"}
    gaps = written.isna().any()
    assert not gaps["price"]
    assert gaps[["since", "gain", "plan", "active"]].any()
    assert pd.read_parquet(tmp_path / "out.parquet")["gain"].dropna().between(0, 900).all()

    from mlflow import pyfunc

    registry = Registry.open(workspace)
    champion = registry.champion("rows")
    assert champion is not None
    model = pyfunc.load_model(str(registry.download(champion, tmp_path / "download")))
    assert [(column.name, column.type.name) for column in model.metadata.get_output_schema()] == [
        ("since", "string"), ("price", "string"), ("gain", "long"), ("plan", "string"), ("active", "string"), ("churned", "string"),
    ]  # fmt: skip
    served = model.predict(pd.DataFrame(), params={"n": 300, "seed": 1})
    expected = table_frame(drawn, generator.config.classes)
    pd.testing.assert_frame_equal(served.astype(object), expected.astype(object).where(expected.notna(), None))
    assert None in served["plan"].tolist() + served["gain"].tolist()


def test_samples_as_arrays_and_folders_but_not_as_pictures(tmp_path: Path) -> None:
    values, labels = planted_table.rows(20)
    samples = Samples(values, labels, "table", planted_table.schema(values, labels))
    write_samples(samples, tmp_path / "rows.npz", planted_table.CLASSES)
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["rows"], values)
        np.testing.assert_array_equal(arrays["labels"], labels)
        assert arrays["columns"].tolist() == COLUMNS[:-1]
    write_samples(samples, tmp_path / "folder", planted_table.CLASSES)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "folder" / "rows.csv"), planted_frame(20))
    with pytest.raises(ConfigError, match=r"rows of a table are written in; use \.parquet, \.npz, \.csv"):
        write_samples(samples, tmp_path / "rows.png", planted_table.CLASSES)


def test_texts_are_written_as_they_are(tmp_path: Path) -> None:
    """Quotes and formulas too: changing them would change the data."""
    frame = planted_frame(12).assign(colour=["=1+1", 'a "b", c', "@x"] * 4)
    column = planted_table.COLUMNS[3]
    values, labels = planted_table.rows(12)
    values[:, 3] = np.arange(12) % 3
    schema = planted_table.schema(values, labels)
    columns = (*schema.columns[:3], type(column)("colour", "category", "string", ("=1+1", 'a "b", c', "@x")), schema.columns[4])
    samples = Samples(values, labels, "table", type(schema)(columns, "bought"))
    assert formulas(samples, planted_table.CLASSES) == ["colour"]
    assert formulas(samples, ("no", "-yes")) == ["colour", "bought"]
    write_samples(samples, tmp_path / "rows.csv", planted_table.CLASSES)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "rows.csv"), frame)


class Replay(torch.nn.Module):
    """Draws the rows of a split of the asked class: as good as a generator can be."""

    def __init__(self, dataset: Dataset, confused: bool = False, one: bool = False, split: Split = "train") -> None:
        super().__init__()
        assert dataset.spec.schema is not None
        torch.manual_seed(0)
        encoded = Encoding(dataset.spec.schema).encode(torch.from_numpy(np.array(dataset.samples[split])))
        labels = torch.from_numpy(np.array(dataset.labels[split])) if dataset.labels else torch.zeros(len(encoded), dtype=torch.long)
        self.of_class = [encoded if confused else encoded[labels == label] for label in range(2)]
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.one = one

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        classes = [0] * len(latents) if labels is None else labels.tolist()
        choices = (latents[:, 0].double().sigmoid() * 1e6).long().tolist()
        rows = [
            self.of_class[label][0 if self.one else choice % len(self.of_class[label])]
            for label, choice in zip(classes, choices, strict=True)
        ]
        return torch.stack(rows)


def replaying(dataset: Dataset, **manner: Any) -> Generator:
    recipe = build_recipe(TabularParams(images=100), dataset.spec, torch.device("cpu"))
    return Generator(recipe.generator_config(100), Replay(dataset, **manner))


class TestCopies:
    @staticmethod
    def found(generator: Generator, dataset: Dataset) -> Copies:
        answer = kinds.of("table").scoring.copies(generator, dataset, None, EvaluateParams())
        assert answer is not None
        return answer[0]

    def test_training_rows_are_vetoed(self, tmp_path: Path) -> None:
        dataset = planted_table.pack(tmp_path / "ready")
        found = self.found(replaying(dataset), dataset)
        assert found.generated_share > 0.9
        measured = Measured.of({"detection": 0.6, "copies": found.share}, {"copies": found.as_record()})
        assert decide(Record(measured), RegisterParams(), "table").outcome.startswith("vetoed: copies")

    def test_rows_that_were_held_out_pass(self, tmp_path: Path) -> None:
        """Of two numbers and two categories: a fifth of them lie twice as near to one training row as to the next, by chance."""
        dataset = planted_table.pack(tmp_path / "ready")
        found = self.found(replaying(dataset, split="holdout"), dataset)
        assert found.held_out_share > 0.1
        assert found.share < 0.05

    def test_common_rows_are_no_copies(self, tmp_path: Path) -> None:
        """A table of categories alone has few different rows, and everybody draws those of the training split."""
        dataset = planted_table.pack(tmp_path / "ready")
        rows = np.array(dataset.samples["train"])
        rows[:, :3] = 0.0
        held_out = np.array(dataset.samples["holdout"])
        held_out[:, :3] = 0.0
        found = find_copies(rows, held_out, rows, (deviations(rows, planted_table.COLUMNS),))
        assert (found.generated_share, found.held_out_share, found.share) == (1, 1, 0)

    def test_what_training_rows_repeat_is_no_copy_though_the_split_holds_none_of_it_out(self, tmp_path: Path) -> None:
        """A survey: few different answers, each given many times, and equal rows stay on one side of the split."""
        dataset = planted_table.pack(tmp_path / "ready")
        train, held_out = np.array(dataset.samples["train"]), np.array(dataset.samples["holdout"])
        train = train[np.arange(300) % 60]
        repeating = Dataset(dataset.spec, {"train": train, "holdout": held_out}, {**dataset.labels, "train": dataset.labels["train"]})
        found = self.found(replaying(repeating), repeating)
        assert (found.repeated, found.generated_share) == ((300, 300), pytest.approx(1, abs=0.05))
        assert found.share == 0
        assert repeated_rows(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])) == 2


class TestScores:
    def test_a_perfect_generator(self, tmp_path: Path) -> None:
        dataset = planted_table.pack(tmp_path / "ready")
        scores = score(replaying(dataset), dataset, None, EvaluateParams())
        floor = kinds.of("table").scoring.real_against_real(dataset, None, EvaluateParams())
        assert scores["utility"] == pytest.approx(1, abs=0.02)
        assert scores["column_distance"] == pytest.approx(floor["column_distance"], abs=0.03)
        assert scores["correlation_distance"] == pytest.approx(floor["correlation_distance"], abs=0.03)

    def test_rows_of_the_wrong_class_are_worth_nothing_to_a_classifier(self, tmp_path: Path) -> None:
        dataset = planted_table.pack(tmp_path / "ready")
        scores = score(replaying(dataset, confused=True), dataset, None, EvaluateParams())
        assert scores["utility"] < 0.8
        assert scores["column_distance"] < 0.2  # although the columns are right

    def test_labels_of_others_are_detected(self, tmp_path: Path) -> None:
        """Columns as they are, and each row's class by lot: the label is a column like the others."""
        dataset = planted_table.pack(tmp_path / "ready")
        real, confused = (score(replaying(dataset, confused=confused), dataset, None, EvaluateParams()) for confused in (False, True))
        assert real["detection"] == pytest.approx(0.5, abs=0.1)
        assert confused["detection"] > 0.7
        assert kinds.of("table").scoring.real_against_real(dataset, None, EvaluateParams())["detection"] == pytest.approx(0.5, abs=0.12)

    def test_without_a_label_detection_decides(self, tmp_path: Path) -> None:
        dataset = planted_table.pack(tmp_path / "ready", labelled=False)
        scores = score(replaying(dataset), dataset, None, EvaluateParams())
        assert set(scores) == {"detection", "column_distance", "correlation_distance"}
        assert scores["detection"] == pytest.approx(0.5, abs=0.1)

    def test_scores_are_those_of_the_functions(self, tmp_path: Path) -> None:
        dataset = planted_table.pack(tmp_path / "ready")
        evidence: Any = gather(replaying(dataset), dataset, None, EvaluateParams())
        assert (evidence.n_real, evidence.n_generated) == (100, 900)
        columns = planted_table.COLUMNS
        found = evidence.scores()
        distances = column_distances(evidence.real, evidence.generated, columns)
        assert found["column_distance"] == pytest.approx(np.mean(list(distances.values())))
        labelled = (*columns, Column("", "category", "string", ("0", "1")))
        held_out = np.column_stack([evidence.real, evidence.real_labels])
        drawn = np.column_stack([evidence.generated, evidence.generated_labels])
        assert found["correlation_distance"] == pytest.approx(correlation_distance(held_out, drawn, labelled))

        def worth(rows: Any, labels: Any) -> float:
            return class_areas(Forest(rows, labels, columns).probabilities(evidence.real, 2), evidence.real_labels)[0]

        parts = (slice(300), slice(300, 600), slice(600, 900))
        areas = [worth(evidence.generated[part], evidence.generated_labels[part]) for part in parts]
        real = worth(np.array(dataset.samples["train"]), np.array(dataset.labels["train"]))
        assert found["utility"] == pytest.approx(np.mean(areas) / real)

    @pytest.mark.parametrize("labelled", [True, False])
    def test_a_resample_of_everything_once_is_the_score(self, tmp_path: Path, labelled: bool) -> None:
        dataset = planted_table.pack(tmp_path / "ready", labelled=labelled)
        evidence = gather(replaying(dataset), dataset, None, EvaluateParams())
        everything = np.arange(evidence.n_real), np.arange(evidence.n_generated)
        draw = np.random.default_rng(0)
        for metric, value in evidence.scores().items():
            assert evidence.resampled(metric, *everything) == value
            assert np.isfinite(evidence.resampled(metric, draw.integers(0, 100, 100), draw.integers(0, 900, 900)))

    def test_a_generator_that_draws_one_row_is_refused(self, tmp_path: Path) -> None:
        dataset = planted_table.pack(tmp_path / "ready", labelled=False)
        with pytest.raises(TrainingError, match="draws the same row each time: it has collapsed"):
            score(replaying(dataset, one=True), dataset, None, EvaluateParams())

    @pytest.mark.parametrize(("holdout", "message"), [(6, r"6 held-out rows are too few to score with"), (10, r"no held-out row of yes")])
    def test_too_little_held_out_is_refused(self, tmp_path: Path, holdout: int, message: str) -> None:
        dataset = planted_table.pack(tmp_path / "ready", holdout=holdout)
        labels = dict(dataset.labels)
        labels["holdout"] = np.zeros(holdout, dtype=np.int64)
        with pytest.raises(DataError, match=message):
            kinds.of("table").check(Dataset(dataset.spec, dataset.samples, labels), EvaluateParams())
