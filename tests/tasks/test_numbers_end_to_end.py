"""Images by a number through all five stages: what is set aside, measured, shown, asked for and refused."""

from __future__ import annotations

import csv
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from five_stages import Done, through_all
from mlflow import pyfunc
from numpy.typing import NDArray
from PIL import Image
from raw_sets import png
from served import STRICT, running

from flows import cli
from gan_core.data.dataset import Dataset
from gan_core.data.labels import Numbers
from gan_core.errors import ConfigError, DataError
from gan_core.metrics import features
from tasks.export import described
from tasks.fetch import fetch
from tasks.params import Entry, parse
from tasks.records.registry import Registry
from tasks.scaffold import init_workspace
from tasks.serving.app import Server
from tasks.studio.app import Studio
from tasks.validate import validate
from tasks.validation import drift
from tasks.workspace import Workspace

COUNT = 120


def bar(length: float, number: int) -> NDArray[np.uint8]:
    """A grey picture (8, 8) of a bar as long as it says, with a little noise."""
    image = np.random.default_rng(number).integers(0, 20, (8, 8), dtype=np.uint8)
    image[2:6, : round(length / 8)] += 200
    return image


def fill(root: Path, lengths: NDArray[np.float64], extra: tuple[str, ...] = ()) -> Path:
    """Bars whose lengths a file tells; `extra` are labels of more of them."""
    root.mkdir(parents=True)
    with (root / "lengths.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "length"])
        for number, length in enumerate([*map(str, lengths), *extra]):
            (root / f"{number:03}.png").write_bytes(png(bar(float(lengths[number % len(lengths)]), number)))
            rows.writerow([f"{number:03}.png", length])
    (root / "none.png").write_bytes(png(bar(20, 999)))
    return root


def entry(source: Path, data: dict[str, Any] | None = None, condition: str = "number", **sections: Any) -> Entry:
    recipe = {
        "recipe": "gan", "condition": condition, "images": 640, "batch": 16, "threads": 1, "latent": 8, "ema": 100,
        "generator": {"network": "dcgan", "width": 8}, "discriminator": {"network": "dcgan", "width": 8},
    }  # fmt: skip
    told = {"source": f"folder://{source}", "size": 8, "holdout": 0.2, "labels": "lengths.csv", "label": "length", "label_as": "number"}
    document = {
        "data": {**told, **(data or {})}, "validate": {"max_quarantined": 0.1}, "train": recipe, "evaluate": {}, "register": {}, **sections,
    }  # fmt: skip
    return parse({"generators": {"bars": document}})["bars"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("numbers")
    lengths = np.random.default_rng(0).uniform(10, 60, COUNT)
    lengths[:2] = 10, 60.5
    one = entry(fill(folder / "source", lengths, ("nan", "long", "1e99")))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(features, "_FEWEST", 2_000)
        return through_all(init_workspace(folder / "workspace"), "bars", one)


def test_the_data(done: Done) -> None:
    reasons = (done.workspace.ready("bars") / "quarantine.csv").read_text()
    for reason in (
        "label 'nan', and a finite number is expected (data.label_as)",
        "label 'long'",
        "label '1e99'",
        "no label in lengths.csv",
    ):
        assert reason in reasons
    assert "labels are numbers from 10 to 60.5, half of them up to" in done.said
    dataset = Dataset.open(done.workspace.ready("bars"))
    assert (dataset.spec.classes, dataset.spec.numbers) == (None, (dataset.labels["train"].min(), dataset.labels["train"].max()))
    manifest = pd.read_parquet(done.workspace.ready("bars") / "manifest.parquet")
    assert len(manifest) == COUNT
    for split in ("train", "holdout"):
        np.testing.assert_allclose(dataset.labels[split], manifest["number"][manifest["split"] == split], rtol=1e-6)
    assert "every sample has a number (data.label_as)" in (done.workspace.validation("bars") / "results.json").read_text()


def test_drift_of_the_numbers_is_seen(done: Done) -> None:
    dataset = Dataset.open(done.workspace.ready("bars"))
    old = drift.Statistics.of(dataset)
    assert drift.Statistics.from_json(old.as_json()) == old
    later = Dataset(dataset.spec, dataset.samples, {split: of + 20 for split, of in dataset.labels.items()})
    (finding,) = drift.compare(old, drift.Statistics.of(later), 1, done.entry.validation).findings
    assert finding.startswith("label is higher")


def test_the_scores_and_the_page(done: Done) -> None:
    report = done.workspace.report("bars")
    metrics, record = (json.loads((report / name).read_text()) for name in ("metrics.json", "evaluation.json"))
    assert metrics.keys() == {"fid", "kid", "whitened_kid", "precision", "recall", "density", "coverage", "label_error", "copies"}
    assert record["extractor"]["kind"] == "regressor"
    assert 0 < record["real_against_real"]["label_error"] < metrics["label_error"] < 0.5
    assert f"(real against real {record['real_against_real']['label_error']:.4g})" in done.said
    decision = json.loads((report / "decision.json").read_text())
    assert decision["version"] == 1
    page, card = (report / "report.html").read_text(), (report / "card.md").read_text()
    assert "held-out samples, numbers from 1" in page
    assert "how far the number that generated samples show is from the one asked for" in page
    assert "by numbers from 1" in card
    for stem in ("generated", "real"):
        with Image.open(report / "grids" / f"{stem}.png") as picture:
            assert picture.size == (8 * 34 + 2, 8 * 34 + 2)
    # Real ones stand in columns by their numbers.
    with Image.open(report / "grids" / "real.png") as picture:
        columns = [np.asarray(picture.convert("L"))[:, 2 + 34 * i : 34 + 34 * i].mean() for i in range(8)]
    assert columns == sorted(columns)


def test_a_version_is_served(done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = Registry.open(done.workspace)
    version = registry.version("bars", 1)
    served = pyfunc.load_model(str(registry.download(version, tmp_path / "served")))
    answer = served.predict(pd.DataFrame({"label": [12.5, 40]}))
    assert answer["label"].tolist() == [12.5, 40.0]
    assert served.predict(pd.DataFrame(), params={"n": 3, "label": "20:40"})["label"].tolist() == [20.0, 30.0, 40.0]
    with pytest.raises(Exception, match=r"900 is outside what it was trained on; this generator knows numbers from 1\d"):
        served.predict(pd.DataFrame({"label": [900]}))
    assert "by numbers from 1" in registry.client.get_model_version("bars", "1").description


def test_a_server_and_the_studio_take_numbers(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    drawn = done.generator.sample(2, 4, labels=np.array([12.5, 40.0]))
    in_words = done.generator.config.condition.in_words  # type: ignore[union-attr]
    registry = Registry.open(done.workspace)
    if registry.champion("bars") is None:  # so short a training may not pass the gate
        registry.move_champion(registry.version("bars", 1), None, "promoted")
    with running(Server(done.workspace, "bars", STRICT, look_every=3_600)) as client:
        answer = client.post("/samples", json={"label": [12.5, "40"], "seed": 4})
        assert [one["label"] for one in answer.json()["samples"]] == [12.5, 40.0]
        found = client.post("/samples", json={"label": ["12.5", "40"], "seed": 4}, headers={"Accept": "application/x-npz"})
        with np.load(BytesIO(found.content)) as arrays:
            assert np.array_equal(arrays["images"], drawn.samples)
        refused = client.get("/samples?label=900")
        assert (refused.status_code, in_words in refused.json()["error"]) == (400, True)
        assert f"Labels: {in_words}." in client.get("/").text
    with running(Studio(done.workspace, STRICT), lifespan="off") as client:
        page = client.get("/g/bars?label=37.5").text
        low, high = Numbers(*done.generator.config.data.numbers or ()).ends
        assert f'<input name="label" id="number" type="number" min="{low}" max="{high}" step="any" value="37.5"' in page
        assert re.search(rf'<input type="range" id="to" min="{low}" max="{high}" step="[0-9.]+" value="37.5"', page)
        kept = client.get("/g/bars/1/samples?n=2&seed=4&label=37.5&form=npz")
        with np.load(BytesIO(kept.content)) as arrays:
            assert np.array_equal(arrays["images"], done.generator.sample(2, 4, label=37.5).samples)
        for view in ("mix", "directions"):
            assert client.get(f"/g/bars/1/{view}?seed=4").status_code == 200
        assert client.get("/g/bars/1/samples?label=900").status_code == 400


def test_a_person_asks_by_number(done: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = done.workspace.model("bars")
    cli.sample(None, source=folder, label="37.5", count=4, out=tmp_path / "some")
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == [f"{i}-37.5.png" for i in range(4)]
    cli.sample(None, source=folder, label="20:50", count=7, out=tmp_path / "longer.npz")
    with np.load(tmp_path / "longer.npz") as arrays:
        assert arrays["labels"].tolist() == [20, 25, 30, 35, 40, 45, 50]
    cli.sample(None, source=folder, label="20:50", count=7, out=tmp_path / "longer.png")
    cli.sample(None, source=folder, identify=tmp_path / "longer.png")
    assert "drawn again it is the same, to the pixel" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="900 is outside what it was trained on"):
        cli.sample(None, source=folder, label="900", out=tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_an_exported_network_says_which_numbers_it_takes(done: Done) -> None:
    assert described(done.generator, "bars", 1)["inputs"]["labels"] == {
        "type": "float32", "shape": ["batch"], "holds": done.generator.config.condition.in_words,  # type: ignore[union-attr]
    }  # fmt: skip


def test_numbers_that_are_all_the_same_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    one = entry(fill(tmp_path / "source", np.full(COUNT, 7.0)))
    fetch(workspace, "bars", one)
    with pytest.raises(DataError, match="labels: every sample has the number 7, so there is nothing to tell apart by it"):
        validate(workspace, "bars", one)


def test_numbers_that_were_taken_for_classes_are_told(workspace: Workspace, tmp_path: Path) -> None:
    one = entry(fill(tmp_path / "source", np.linspace(0, 60, COUNT)), {"label_as": "class"}, "label")
    fetch(workspace, "bars", one)
    with pytest.raises(DataError, match=r"the labels are all numbers; if they are ages, angles or the like, set data\.label_as: number"):
        validate(workspace, "bars", one)


def test_bins_make_classes_in_order(workspace: Workspace, tmp_path: Path) -> None:
    lengths = np.linspace(0, 120, COUNT + 1)
    one = entry(fill(tmp_path / "source", lengths, ("130",)), {"label_as": "class", "bins": [0, 40, 100, 120]}, "label")
    fetch(workspace, "bars", one)
    validate(workspace, "bars", one)
    dataset = Dataset.open(workspace.ready("bars"))
    assert dataset.spec.classes == ("0-40", "40-100", "100-120")
    manifest = pd.read_parquet(workspace.ready("bars") / "manifest.parquet").set_index("path")
    labels = [manifest["label"][f"{i:03}.png"] for i in (0, 39, 40, 99, 100, 120)]
    assert labels == [name for name in dataset.spec.classes for _ in range(2)]
    assert "label 130 lies outside data.bins, 0 to 120" in (workspace.ready("bars") / "quarantine.csv").read_text()


@pytest.mark.parametrize(
    ("data", "condition", "message"),
    [
        ({"label_as": "class"}, "number", "train.condition: number, and data.label_as is class; set data.label_as: number"),
        ({}, "label", "train.condition: label, and data.label_as is number; set condition: number"),
        ({"bins": [0, 20, 40]}, "number", "bins: makes classes of numbers, and label_as is number"),
        ({"label_as": "class", "bins": [0, 20, 20]}, "label", "are no bins; write three numbers or more, each larger than the one before"),
        ({"stack": True}, "number", "stack: combines classes, and label_as: number makes none"),
        ({"labels": "none", "label": None}, "none", "label_as: says what labels of images mean, and there are none here"),
    ],
)
def test_keys_that_do_not_fit_are_named(tmp_path: Path, data: dict[str, Any], condition: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        entry(tmp_path, data, condition)
