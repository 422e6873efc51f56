"""Translation by a number: its scores, on translators whose effect is known; through all five stages; what is asked for and refused."""

from __future__ import annotations

import base64
import csv
import json
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from five_stages import Done, through_all
from mlflow import pyfunc
from numpy.typing import NDArray
from PIL import Image
from raw_sets import png
from served import STRICT, running
from torch import Tensor, nn

from flows import cli
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.attributes import Attributed
from gan_core.metrics import features
from gan_core.metrics.regression import RegressorExtractor
from gan_core.params.networks import LabelledTranslatorParams
from tasks.judging import score
from tasks.params import Entry, EvaluateParams, parse
from tasks.records.registry import Registry
from tasks.scaffold import init_workspace
from tasks.studio.app import Studio

LENGTHS = (8, 24, 40, 64, 88, 112, 128)  # whole pixels of 8


def figure(number: int, length: float) -> NDArray[np.uint8]:
    """A picture (16, 16) of a bar as long as it says, at a height of its own."""
    image = np.full((16, 16), 16, dtype=np.uint8)
    top = number % 12
    image[top : top + 4, : round(length / 8)] = 100 + 10 * (number % 13)
    return image


def fill(root: Path, count: int = 36) -> Path:
    """Bars in several lengths, of which a file tells the length."""
    root.mkdir(parents=True)
    with (root / "lengths.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "length"])
        for number in range(count):
            for length in LENGTHS[number % 2 :: 2]:
                (root / f"{number:03}-{length}.png").write_bytes(png(figure(number, length)))
                rows.writerow([f"{number:03}-{length}.png", length])
    return root


def entry(source: Path, data: dict[str, Any] | None = None, **sections: Any) -> Entry:
    recipe = {
        "recipe": "stargan", "condition": "number", "images": 320, "batch": 8, "threads": 1, "mirror": False, "ema": 100, "mismatch": 0.5,
        "optimizer": {"learning_rate": 2e-3, "betas": [0.5, 0.99]},
        "generator": {"width": 8, "blocks": 1, "downsamplings": 1}, "discriminator": {"width": 8},
    }  # fmt: skip
    told = {
        "source": f"folder://{source}", "size": 16, "holdout": 0.3, "layout": "attributes", "labels": "lengths.csv", "label": "length",
        "label_as": "number", "group": "([0-9]+)-",
    }  # fmt: skip
    document = {
        "data": {**told, **(data or {})}, "validate": {}, "train": recipe, "evaluate": {}, "register": {}, **sections,
    }  # fmt: skip
    return parse({"generators": {"longer": document}})["longer"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("longer")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(features, "_FEWEST", 2_000)
        return through_all(init_workspace(folder / "workspace"), "longer", entry(fill(folder / "source")))


def test_the_scores_and_the_page(done: Done) -> None:
    dataset = Dataset.open(done.workspace.ready("longer"))
    assert (dataset.spec.kind, dataset.spec.classes, dataset.spec.numbers) == ("attributes", None, (8.0, 128.0))
    report = done.workspace.report("longer")
    metrics, record = (json.loads((report / name).read_text()) for name in ("metrics.json", "evaluation.json"))
    several = {"fid", "kid", "intra_fid", "source_l1", "cycle_l1", "input_recall", "label_error", "partner_l1", "partner_ratio"}
    assert metrics.keys() == {*several, "copies"}
    assert record["n_generated"] == 4 * record["n_real"]
    # Of two or three others of its group each, and as many beyond that are of other groups.
    assert record["translations_with_partner"] == sum(
        (count - 1) * count for count in np.unique(dataset.groups["holdout"], return_counts=True)[1]
    )
    assert record["real_against_real"]["label_error"] < 0.1
    low, high = record["intervals"]["label_error"]
    assert low <= metrics["label_error"] <= high
    assert record["by_label"].keys() <= {f"{8 + 15 * i} to {23 + 15 * i}" for i in range(8)}
    assert "numbers from 8 to 128" in (report / "report.html").read_text()
    assert "What a picture is to become: numbers from 8 to 128." in (report / "card.md").read_text()
    with Image.open(report / "grids" / "generated.png") as picture:  # as it is, and with each of eight numbers
        assert picture.size == (9 * 34 + 2, 8 * 34 + 2)


def test_a_version_is_served_and_a_person_asks(done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = Registry.open(done.workspace)
    served = pyfunc.load_model(str(registry.download(registry.version("longer", 1), tmp_path / "served")))
    image = figure(7, 40)
    made = done.generator.translate(image[None, None], label=90.5).samples[0, 0]
    (row,) = served.predict(pd.DataFrame({"input": [base64.b64encode(png(image)).decode()]}), params={"label": "90.5"}).to_dict("records")
    assert row["label"] == 90.5
    assert np.array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(row["png"])))), made)
    (tmp_path / "in.png").write_bytes(png(image))
    cli.sample(None, source=done.workspace.model("longer"), given=tmp_path / "in.png", label="90.5", out=tmp_path / "out")
    (written,) = (tmp_path / "out").iterdir()
    assert np.array_equal(np.asarray(Image.open(written)), made)
    for label, message in (
        (None, "say which, of numbers from 8 to 128"),
        ("900", "900 is outside what"),
        ("20:60", "'20:60' is no number"),
    ):
        with pytest.raises(ConfigError, match=message):
            cli.sample(None, source=done.workspace.model("longer"), given=tmp_path / "in.png", label=label, out=tmp_path / "none")
    with running(Studio(done.workspace, STRICT), lifespan="off") as client:
        page = client.get("/g/longer?version=1").text
        assert re.search(
            r'<label>to <input name="label" id="number" type="number" min="8" max="128" step="any" value="68.0" required>', page
        )
        assert '<input type="range" id="to" min="8" max="128"' in page
        answer = client.post("/g/longer/1/translate", files={"picture": ("a.png", png(image))}, data={"label": "90.5"})
        shown = [Image.open(BytesIO(base64.b64decode(one))) for one in re.findall(r'src="data:image/png;base64,([^"]+)"', answer.text)]
        assert [np.array_equal(np.asarray(one), expected) for one, expected in zip(shown, (image, made), strict=True)] == [True, True]
        assert 'type="number" min="8" max="128" step="any" value="90.5"' in answer.text
        assert client.post("/g/longer/1/translate", files={"picture": ("a.png", png(image))}, data={"label": "900"}).status_code == 400


class Known(nn.Module):
    """Makes of a bar one that is as long as is asked for, with its own height and brightness; or leaves it."""

    def __init__(self, right: bool) -> None:
        super().__init__()
        self.right = right
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        if not self.right:
            return images
        columns = torch.arange(16).view(1, 1, 1, 16) < (labels / 8).round().view(-1, 1, 1, 1)
        row = images[..., :1]  # every bar begins at the left
        return torch.where(columns, row, torch.full_like(row, 16 / 127.5 - 1))


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("bars")
    each = {
        split: [(number, length) for number in numbers for length in LENGTHS]
        for split, numbers in (("train", range(30)), ("holdout", range(100, 108)))
    }
    Attributed.pack(
        folder,
        {split: np.stack([figure(*one)[None] for one in of]) for split, of in each.items()},
        {split: [length for _, length in of] for split, of in each.items()},
        None,
        {split: [number for number, _ in of] for split, of in each.items()},
    )
    return Dataset.open(folder)


def test_scores_of_true_partners_and_of_untouched_pictures(bars: Dataset) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_FEWEST", 4_000)
        judge = RegressorExtractor.fit(bars)

    def scores(right: bool) -> dict[str, float]:
        config = GeneratorConfig("stargan", bars.spec, 0, LabelledTranslatorParams(), 1, 0, bars.spec.digest)
        return score(Generator(config, Known(right)), bars, judge, EvaluateParams())

    true, untouched = scores(True), scores(False)
    assert (true["partner_l1"], true["cycle_l1"], true["input_recall"]) == (0, 0, 1)
    assert (untouched["partner_ratio"], untouched["source_l1"]) == (1, 0)
    assert true["label_error"] < 0.1
    labels = bars.labels["holdout"].reshape(8, len(LENGTHS))
    apart = [np.abs(np.roll(labels, -shift, axis=1) - labels).mean() / 120 for shift in range(1, 5)]
    assert untouched["label_error"] == pytest.approx(np.mean(apart), abs=true["label_error"] + 0.02)
    assert untouched["intra_fid"] > 10 * true["intra_fid"]


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.condition: number, and data\.label_as is class; set data\.label_as: number"):
        entry(tmp_path, {"label_as": "class"})
