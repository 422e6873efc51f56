"""Translation by label through all five stages; its scores, on translators whose effect is known; and what is refused."""

from __future__ import annotations

import base64
import csv
import json
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import pyfunc
from numpy.typing import NDArray
from PIL import Image
from raw_sets import png
from torch import Tensor, nn

from flows import cli
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError, TrainingError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.attributes import Attributed
from gan_core.metrics import features
from gan_core.metrics.features import ClassifierExtractor
from gan_core.params.networks import LabelledTranslatorParams
from gan_core.randomness import mix
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.judging import gather, score
from tasks.params import Entry, EvaluateParams, parse
from tasks.records.registry import Registry
from tasks.register import register
from tasks.scaffold import init_workspace
from tasks.scoring.attributes import AttributeEvidence
from tasks.train import train
from tasks.validate import validate
from tasks.workspace import Workspace

COLOURS = ("blue", "green", "red")  # sorted, as classes are
_FEWEST = 2_000  # images that a judge of such clear colours is fitted on, in place of 20,000
CHANNELS = {"red": 0, "green": 1, "blue": 2}


def figure(number: int, colour: str) -> NDArray[np.uint8]:
    """A grey picture (16, 16, 3) with the squares of a figure in one colour."""
    image = np.full((16, 16, 3), 128, dtype=np.uint8)
    image[..., CHANNELS[colour]] = np.random.default_rng(number).integers(0, 2, (4, 4)).repeat(4, 0).repeat(4, 1) * 160 + 48
    return image


def fill(root: Path, count: int = 40) -> Path:
    """Figures in three colours, of which a file tells the colour; one picture has none."""
    (root / "pictures").mkdir(parents=True)
    with (root / "metadata.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "name"])
        for number in range(count):
            for colour in COLOURS:
                (root / "pictures" / f"{number:03}-{colour}.png").write_bytes(png(figure(number, colour)))
                rows.writerow([f"pictures/{number:03}-{colour}.png", f"figure: {colour} paint"])
        (root / "pictures" / "plain.png").write_bytes(png(np.full((16, 16, 3), 128, dtype=np.uint8)))
        rows.writerow(["pictures/plain.png", "nothing"])
    return root


DATA = {"layout": "attributes", "labels": "metadata.csv", "label": "name", "label_pattern": ": ([a-z]+) paint", "group": "/([0-9]+)-"}


def entry(source: Path, data: dict[str, Any] | None = None, **sections: Any) -> Entry:
    recipe = {
        "recipe": "stargan", "images": 480, "batch": 8, "threads": 1, "mirror": False, "cycle": 5.0, "identity": 2.0, "ema": 100,
        "optimizer": {"learning_rate": 2e-3, "betas": [0.5, 0.99]},
        "generator": {"width": 8, "blocks": 1, "downsamplings": 1}, "discriminator": {"width": 8},
    }  # fmt: skip
    document = {
        "data": {"source": f"folder://{source}", "size": 16, "holdout": 0.3, **DATA, **(data or {})},
        "validate": {}, "train": recipe, "evaluate": {}, "register": {}, **sections,
    }  # fmt: skip
    return parse({"generators": {"paint": document}})["paint"]


class Done(NamedTuple):
    workspace: Workspace
    said: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Figures in three colours, through all five stages."""
    folder = tmp_path_factory.mktemp("attributes")
    one, workspace = entry(fill(folder / "source")), init_workspace(folder / "workspace")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(features, "_FEWEST", _FEWEST)
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        for stage in (fetch, validate, train, evaluate, register):
            stage(workspace, "paint", one)
    return Done(workspace, "\n".join(said))


def test_the_data(done: Done) -> None:
    assert "left out: 1 files in whose label data.label_pattern is not found, such as 'nothing'" in done.said
    assert "120 samples are of 40 groups, each held out as a whole" in done.said
    dataset = Dataset.open(done.workspace.ready("paint"))
    assert (dataset.spec.kind, dataset.spec.classes, dataset.spec.inputs) == ("attributes", COLOURS, (3, 16, 16))
    assert not {*dataset.groups["train"].tolist()} & {*dataset.groups["holdout"].tolist()}
    for images, label, group in zip(dataset.samples["holdout"], dataset.labels["holdout"], dataset.groups["holdout"], strict=True):
        assert np.array_equal(images, figure(int(group), COLOURS[label]).transpose(2, 0, 1))


def test_the_scores(done: Done) -> None:
    metrics = json.loads((done.workspace.report("paint") / "metrics.json").read_text())
    several = {"fid", "kid", "intra_fid", "source_l1", "cycle_l1", "input_recall", "label_accuracy", "partner_l1", "partner_ratio"}
    assert metrics.keys() == {*several, "copies"}
    assert metrics["label_accuracy"] > 0.5
    assert metrics["partner_ratio"] < 1
    record = json.loads((done.workspace.report("paint") / "evaluation.json").read_text())
    assert record["n_generated"] == 2 * record["n_real"]
    assert record["real_against_real"]["label_accuracy"] == 1
    low, high = record["intervals"]["label_accuracy"]
    assert low <= metrics["label_accuracy"] <= high
    assert record["by_label"].keys() == {*COLOURS}
    shares = [one["label_accuracy"] for one in record["by_label"].values()]
    assert np.mean(shares) == pytest.approx(metrics["label_accuracy"], rel=1e-5)
    assert record["translations_with_partner"] == record["n_generated"]
    assert {path.stem for path in (done.workspace.report("paint") / "grids").iterdir()} == {"generated", "real", "copies"}
    for stem in ("generated", "real"):  # a row each of eight pictures: as it is, and with each of three labels
        with Image.open(done.workspace.report("paint") / "grids" / f"{stem}.png") as picture:
            assert picture.size == (4 * 34 + 2, 8 * 34 + 2)


def test_the_page_and_the_card_say_what_it_does(done: Done) -> None:
    decision = json.loads((done.workspace.report("paint") / "decision.json").read_text())
    assert decision["outcome"] == "first" or decision["outcome"].startswith("vetoed")
    assert "distance of translations to their true partners" in (done.workspace.report("paint") / "report.html").read_text()
    card = (done.workspace.report("paint") / "card.md").read_text()
    assert "--input FILE --label LABEL --out made.png" in card
    assert "What a picture is to become: blue, green, red." in card


def test_a_version_is_served(done: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = Registry.open(done.workspace)
    version = registry.version("paint", 1)
    served, generator = pyfunc.load_model(str(registry.download(version, tmp_path / "served"))), registry.load(version)
    image = figure(7, "red")
    sent = base64.b64encode(png(image)).decode()
    made = generator.translate(image.transpose(2, 0, 1)[None], label="blue").samples[0].transpose(1, 2, 0)
    for answer in (
        served.predict(pd.DataFrame({"input": [sent, sent], "label": ["blue", "blue"]})),
        served.predict(pd.DataFrame({"input": [sent]}), params={"label": "blue"}),
    ):
        for row in answer.to_dict("records"):
            assert row["label"] == "blue"
            assert np.array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(row["png"])))), made)
    for asked, message in (
        ({}, "say which, of blue, green, red"),
        ({"label": "pink"}, "no class 'pink'"),
        ({"seed": 3}, "leave all but input"),
    ):
        with pytest.raises(Exception, match=message):
            served.predict(pd.DataFrame({"input": [sent]}), params=asked)


def test_a_person_asks_by_label(done: Done, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = done.workspace.model("paint")
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        (tmp_path / "in" / f"{number}.png").write_bytes(png(figure(number, "red")))
    generator = Generator.load(folder / "generator")
    expected = generator.translate(figure(1, "red").transpose(2, 0, 1)[None], label="green").samples[0].transpose(1, 2, 0)
    cli.sample(None, source=folder, given=tmp_path / "in", label="green", out=tmp_path / "out")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "0-1.png")), expected)
    cli.sample(None, source=folder, given=tmp_path / "in" / "1.png", label="green", tile=64, out=tmp_path / "whole.png")
    assert np.abs(np.asarray(Image.open(tmp_path / "whole.png")).astype(int) - expected).max() <= 1
    capsys.readouterr()
    for made in ("out/0-1.png", "whole.png"):
        given = tmp_path / "in" if made.startswith("out") else tmp_path / "in" / "1.png"
        cli.sample(None, source=folder, given=given, identify=tmp_path / made)
    said = capsys.readouterr().out
    assert said.count("drawn again it is the same, to the pixel") == 2
    assert "a picture translated whole, to green, in tiles of 64 pixels" in said
    for options, message in (
        ({}, "makes of a picture what it is with a label; say which, of blue, green, red"),
        ({"tile": 64}, "say which, of blue, green, red"),
        ({"label": "pink"}, "no class 'pink'"),
        ({"label": "red", "count": 3}, "leave all but --input, --label, --tile and --out out"),
    ):
        with pytest.raises(ConfigError, match=message):
            cli.sample(None, source=folder, given=tmp_path / "in", out=tmp_path / "none", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


def test_a_label_of_which_little_is_held_out_is_refused_before_training(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "source", 40)
    rows = (source / "metadata.csv").read_text().splitlines()
    few = [row for row in rows if "red" not in row] + [row for row in rows if "red" in row][:6]
    (source / "metadata.csv").write_text("\n".join(few) + "\n")
    one = entry(source, validate={"min_samples": 20, "max_quarantined": 0.5})
    fetch(workspace, "paint", one)
    with pytest.raises(
        DataError, match=r"held-out images with label red are too few to score with, at least 4 are needed; raise data\.holdout"
    ):
        validate(workspace, "paint", one)
    assert {path.name for path in workspace.ready("paint").iterdir()} == {"quarantine.csv"}


def test_images_without_labels_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for number in range(20):
        (tmp_path / "flat" / f"{number}.png").write_bytes(png(figure(number, "red")))
    one = entry(tmp_path / "flat", {"labels": "folders", "label": None, "label_pattern": None, "group": None}, validate={"min_samples": 10})
    fetch(workspace, "paint", one)
    with pytest.raises(DataError, match="translates between labels, and the images have none; name a source with a folder a label"):
        validate(workspace, "paint", one)


@pytest.mark.parametrize(
    ("data", "recipe", "message"),
    [
        ({"labels": "none"}, "stargan", "labels: none, and layout attributes translates between labels; leave it out, or name a file"),
        (
            {"layout": "images"},
            "stargan",
            "stargan takes attributes, and folder:///p has images; data.layout: attributes takes a folder a label",
        ),
        ({}, "gan", "gan takes images or .*, and folder:///p has attributes"),
        ({"corruption": "mask"}, "stargan", "corruption: makes pairs of plain images, and layout attributes has others"),
        (
            {"size": 18},
            "stargan",
            "train.generator.downsamplings: data.size is 18, no multiple of 4 from 16 on; the nearest that fits is 16",
        ),
    ],
)
def test_keys_that_do_not_fit_are_named(data: dict[str, Any], recipe: str, message: str) -> None:
    sections: dict[str, Any] = {"validate": {}, "train": {"recipe": recipe, "images": 10}, "evaluate": {}, "register": {}}
    with pytest.raises(ConfigError, match=message):
        parse({"generators": {"x": {"data": {"source": "folder:///p", "size": 16, "layout": "attributes", **data}, **sections}}})


# Scores, on translators whose effect is known.


class Known(nn.Module):
    """Paints the squares of a figure in the colour that is asked for, exactly, as a share of the figures has it; leaves the others."""

    def __init__(self, right: float, always: int | None = None) -> None:
        super().__init__()
        self.right, self.always = right, always
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        grey = images[:, :1, 0, 0] * 0 + (128 / 127.5 - 1)
        made = []
        for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            squares = image[int((image.amax((1, 2)) - image.amin((1, 2))).argmax())]
            painted = grey[index].view(1, 1, 1).expand_as(image).clone()
            painted[CHANNELS[COLOURS[label if self.always is None else self.always]]] = squares
            made.append(painted if index < round(self.right * len(images)) else image)
        return torch.stack(made)


def known(dataset: Dataset, right: float, always: int | None = None) -> Generator:
    config = GeneratorConfig("stargan", dataset.spec, 0, LabelledTranslatorParams(), 1, 0, dataset.spec.digest)
    return Generator(config, Known(right, always))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("figures")
    those = {"train": range(30), "holdout": range(100, 108)}
    each = {split: [(number, colour) for number in numbers for colour in COLOURS] for split, numbers in those.items()}
    Attributed.pack(
        folder,
        {split: np.stack([figure(*one).transpose(2, 0, 1) for one in of]) for split, of in each.items()},
        {split: [COLOURS.index(colour) for _, colour in of] for split, of in each.items()},
        COLOURS,
        {split: [number for number, _ in of] for split, of in each.items()},
    )
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def judge(figures: Dataset) -> ClassifierExtractor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_FEWEST", _FEWEST)
        return ClassifierExtractor.fit(figures)


class TestScores:
    def test_of_true_partners(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        scores = score(known(figures, 1.0), figures, judge, EvaluateParams())
        assert (scores["label_accuracy"], scores["partner_l1"], scores["partner_ratio"]) == (1, 0, 0)
        assert (scores["cycle_l1"], scores["input_recall"]) == (0, 1)
        assert scores["fid"] < 0.05  # each real one twice, so no more than a deviation of few samples
        samples, labels = figures.samples["holdout"].astype(float), figures.labels["holdout"]
        of_figure = samples.reshape(8, 3, 3, 16, 16)
        changed = [np.abs(of_figure[:, one] - of_figure[:, other]).mean() for one in range(3) for other in range(3) if one != other]
        assert scores["source_l1"] == pytest.approx(np.mean(changed) / 255, rel=1e-5)
        assert labels.tolist() == [0, 1, 2] * 8

    def test_of_untouched_pictures(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        """They are real ones, so the distance to all real ones is none: the label, the partner and the distance by label see it."""
        evidence = gather(known(figures, 0.0), figures, judge, EvaluateParams())
        scores = evidence.scores()
        assert (scores["label_accuracy"], scores["partner_ratio"], scores["source_l1"]) == (0, 1, 0)
        assert scores["fid"] < 0.05
        assert scores["intra_fid"] > 100 * scores["fid"]

    def test_resampled_scores_are_those_of_the_samples_drawn(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        evidence = gather(known(figures, 0.5), figures, judge, EvaluateParams())
        assert isinstance(evidence, AttributeEvidence)
        everything = np.arange(evidence.n_real), np.arange(evidence.n_generated)
        for metric, value in evidence.scores().items():
            assert evidence.resampled(metric, *everything) == pytest.approx(value, rel=1e-9)
        right = np.flatnonzero(evidence.partner == 0)
        wrong = np.flatnonzero(evidence.partner > 0)
        assert len(right) == len(wrong) == evidence.n_generated / 2
        some = np.array([right[0], wrong[0], wrong[0], right[1]])
        assert evidence.resampled("label_accuracy", everything[0], some) == 0.5
        assert evidence.resampled("partner_ratio", everything[0], wrong) == 1
        assert evidence.resampled("partner_l1", everything[0], right) == 0

    def test_translations_of_one_image_are_drawn_together(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        evidence = gather(known(figures, 0.5), figures, judge, EvaluateParams())
        assert evidence.clusters is not None
        assert sorted(np.unique(evidence.clusters, return_counts=True)[1]) == [2] * 24
        real, generated = evidence.draws(300, 0)
        for metric in ("partner_ratio", "partner_l1", "label_accuracy"):
            by_index = [evidence.resampled(metric, real.indices(i), generated.indices(i)) for i in range(300)]
            np.testing.assert_allclose(evidence.replicates(metric, real, generated), by_index, rtol=1e-9)

    def test_without_groups_there_are_no_partners(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        alone = Dataset(figures.spec, figures.samples, figures.labels)
        assert "partner_ratio" not in score(known(alone, 1.0), alone, judge, EvaluateParams())

    def test_several_images_of_a_group_with_a_label_are_no_partner(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        groups = figures.groups["holdout"].copy()
        groups[groups == groups[0]] = groups[-1]
        doubled = Dataset(figures.spec, figures.samples, figures.labels, groups={**figures.groups, "holdout": groups})
        evidence = gather(known(doubled, 1.0), doubled, judge, EvaluateParams())
        assert evidence.details()["translations_with_partner"] == 6 * 3 * 2

    def test_few_samples_are_of_all_labels(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        evidence = gather(known(figures, 1.0), figures, judge, EvaluateParams(samples=20, seed=mix(3, 4) % 2**31))
        assert (evidence.n_real, evidence.n_generated) == (10, 20)
        assert {*np.unique(evidence.asked).tolist()} == {0, 1, 2}  # type: ignore[attr-defined]

    def test_what_cannot_be_judged_is_refused(self, figures: Dataset, judge: ClassifierExtractor) -> None:
        class One(Known):
            def forward(self, images: Tensor, labels: Tensor) -> Tensor:
                return torch.zeros_like(images)

        one = Generator(known(figures, 1.0).config, One(1.0))
        with pytest.raises(TrainingError, match="the same image of every input: it has collapsed"):
            score(one, figures, judge, EvaluateParams())
