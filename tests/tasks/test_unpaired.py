"""Two folders of images without partners, through all five stages; its scores; and what is refused."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import pyfunc
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray
from PIL import Image
from raw_sets import png
from torch import Tensor, nn

from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import ConfigError, DataError, TrainingError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.unpaired import Unpaired
from gan_core.metrics import features
from gan_core.metrics.features import ClassifierExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.kernel import kernel_distance
from gan_core.networks.translator import RoundTrip
from gan_core.params.networks import TranslatorParams
from tasks import kinds
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.judging import gather, score
from tasks.params import DataParams, Entry, EvaluateParams, parse
from tasks.records.registry import Registry
from tasks.register import register
from tasks.scaffold import init_workspace
from tasks.sources import open_source
from tasks.train import train
from tasks.validate import validate
from tasks.workspace import Workspace

UNPAIRED = {"layout": "unpaired-folders", "folders": ["red", "blue"]}


def textured(seed: int, channel: int) -> NDArray[np.uint8]:
    """A grey picture (16, 16, 3) with random squares in one colour."""
    image = np.full((16, 16, 3), 128, dtype=np.uint8)
    image[..., channel] = np.random.default_rng(seed).integers(0, 2, (4, 4)).repeat(4, 0).repeat(4, 1) * 160 + 48
    return image


def fill(root: Path, count: int = 60) -> Path:
    """Red pictures, blue ones, and files that belong to neither."""
    for folder, channel in (("red", 0), ("blue", 2), ("tested", 1)):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            (root / folder / f"{i:03}.png").write_bytes(png(textured(1_000 * channel + i, channel)))
    (root / "read me.txt").write_text("not a picture")
    return root


def entry(source: Path, data: dict[str, Any] | None = None, **sections: Any) -> Entry:
    train = {
        "recipe": "cyclegan",
        "images": 400,
        "batch": 4,
        "threads": 1,
        "identity": 0.0,
        "cycle": 5.0,
        "optimizer": {"learning_rate": 2e-3, "betas": [0.5, 0.999]},
        "generator": {"width": 8, "blocks": 1, "downsamplings": 1},
        "discriminator": {"width": 8},
    }
    document = {
        "data": {"source": f"folder://{source}", "size": 16, "holdout": 0.25, **UNPAIRED, **(data or {})},
        "validate": {},
        "train": train,
        "evaluate": {},
        "register": {},
        **sections,
    }
    return parse({"generators": {"paint": document}})["paint"]


def test_all_five_stages(workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """From two folders to a champion that is served; each stage's files hold what they should."""
    monkeypatch.setattr(features, "_FEWEST", 2_000)  # enough to tell red from blue
    shutil.copytree(init_workspace(tmp_path / "fresh").root, workspace.root, dirs_exist_ok=True)
    # Half are held out: of the 16 of a quarter, a single one that lies near a training picture by chance is 6 %, and a veto.
    one = entry(fill(tmp_path / "source"), {"holdout": 0.5}, register={"require": {"translated": ">= 0.5"}})
    for stage in (fetch, validate, train, evaluate, register):
        stage(workspace, "paint", one)
    said = capsys.readouterr().out
    assert "left out beside red and blue: read me.txt, tested" in said

    dataset = Dataset.open(workspace.ready("paint"))
    assert (dataset.spec.kind, dataset.spec.domains) == ("unpaired", ("red", "blue"))
    for images, channel in ((dataset.inputs, 0), (dataset.samples, 2)):
        assert len(images["train"]) + len(images["holdout"]) == 60
        for split in ("train", "holdout"):
            assert (np.ptp(images[split], axis=(0, 2, 3)) > 0).tolist() == [channel == one for one in range(3)]
    manifest = pd.read_parquet(workspace.ready("paint") / "manifest.parquet")
    assert manifest.groupby("label").size().to_dict() == {"red": 60, "blue": 60}
    assert dataset.spec.counts["holdout"] == ((manifest.label == "blue") & (manifest.split == "holdout")).sum()

    metrics = json.loads((workspace.report("paint") / "metrics.json").read_text())
    assert metrics.keys() == {"fid", "kid", "translated", "cycle_l1", "input_recall", "copies"}
    assert metrics["translated"] > 0.5
    assert 0 < metrics["cycle_l1"] < 0.25
    record = json.loads((workspace.report("paint") / "evaluation.json").read_text())
    assert record["extractor"]["holdout_accuracy"] == 1
    assert record["real_against_real"]["translated"] == 1
    assert record["real_against_real"]["untranslated"] == 0
    assert {path.name for path in (workspace.report("paint") / "grids").iterdir()} == {"generated.png", "real.png", "copies.png"}

    decision = json.loads((workspace.report("paint") / "decision.json").read_text())
    assert decision["outcome"] == "first"
    registry = Registry.open(workspace)
    champion = registry.champion("paint")
    assert champion is not None
    check_served(registry.download(champion, tmp_path / "served"), registry.load(champion), dataset)


def check_served(folder: Path, generator: Generator, dataset: Dataset) -> None:
    """It answers with translations, whatever kind of file it gets, and refuses what is no picture."""
    served = pyfunc.load_model(str(folder))
    image = np.array(dataset.inputs["holdout"][0])
    sent = base64.b64encode(png(image.transpose(1, 2, 0))).decode()
    answer = served.predict(pd.DataFrame({"input": [sent, sent]}))
    expected = png(generator.translate(image[None]).samples[0].transpose(1, 2, 0))
    for text in answer["png"]:
        assert np.array_equal(np.asarray(Image.open(BytesIO(base64.b64decode(text)))), np.asarray(Image.open(BytesIO(expected))))
    refusals = {
        "give each row one": pd.DataFrame(),
        "row 1 holds no base64": pd.DataFrame({"input": [sent, "?"]}),
        "row 0: not an image": pd.DataFrame({"input": [base64.b64encode(b"a letter").decode()]}),
    }
    for message, rows in refusals.items():
        with pytest.raises(MlflowException, match=message):
            served.predict(rows)


def test_direction_says_which_folder_is_given(workspace: Workspace, tmp_path: Path) -> None:
    one = entry(fill(tmp_path / "source", 24), {"direction": "b-to-a"}, validate={"min_samples": 20})
    for stage in (fetch, validate):
        stage(workspace, "paint", one)
    dataset = Dataset.open(workspace.ready("paint"))
    assert dataset.spec.domains == ("blue", "red")
    assert np.ptp(dataset.inputs["train"][:, 2]) > 0
    assert np.ptp(dataset.samples["train"][:, 0]) > 0


def test_equal_images_in_both_folders_are_quarantined_and_equal_ones_in_one_stay_on_one_side(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "source")
    shutil.copy(source / "red" / "000.png", source / "blue" / "same.png")
    for i in range(8):
        shutil.copy(source / "red" / "001.png", source / "red" / f"copy {i}.png")
    one = entry(source, validate={"max_quarantined": 0.1})
    for stage in (fetch, validate):
        stage(workspace, "paint", one)
    quarantine = pd.read_csv(workspace.ready("paint") / "quarantine.csv")
    assert set(quarantine.path) == {"red/000.png", "blue/same.png"}
    assert quarantine.reason.str.contains("equal samples stand in blue and red").all()
    manifest = pd.read_parquet(workspace.ready("paint") / "manifest.parquet")
    copies = manifest[manifest.path.str.startswith("red/copy") | (manifest.path == "red/001.png")]
    assert len(copies) == 9
    assert copies.split.nunique() == 1


def test_a_folder_of_which_nothing_is_held_out_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    source = fill(tmp_path / "source")
    for path in sorted((source / "blue").iterdir())[2:]:
        path.unlink()
    one = entry(source, {"holdout": 0.01}, validate={"min_samples": 20})
    fetch(workspace, "paint", one)
    with pytest.raises(
        DataError, match=r"1 held-out images of blue are too few to score with, at least 10 are needed; raise data\.holdout"
    ):
        validate(workspace, "paint", one)
    assert {path.name for path in workspace.ready("paint").iterdir()} == {"quarantine.csv"}


class TestSource:
    def opened(self, tmp_path: Path, source: Path, **data: Any) -> Any:
        return open_source(Workspace(tmp_path), DataParams(source=f"folder://{source}", **{**UNPAIRED, **data}))

    def test_takes_the_two_folders_alone_at_any_depth(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "source", 3)
        (source / "red" / "deep" / "er").mkdir(parents=True)
        shutil.copy(source / "red" / "000.png", source / "red" / "deep" / "er" / "x.png")
        (source / "blue" / "notes.md").write_text("left out")
        opened = self.opened(tmp_path, source)
        paths = {file.path for file in opened.look()}
        assert paths == {*(f"{folder}/{i:03}.png" for folder in ("red", "blue") for i in range(3)), "red/deep/er/x.png"}
        assert "left out: 1 .md" in opened.notes[0]
        assert opened.notes[-1] == "left out beside red and blue: read me.txt, tested"

    def test_the_folders_are_those_of_the_paper_unless_named(self, tmp_path: Path) -> None:
        for folder in "AB":
            (tmp_path / "source" / folder).mkdir(parents=True)
            (tmp_path / "source" / folder / "1.png").write_bytes(png(textured(0, 0)))
        opened = open_source(Workspace(tmp_path), DataParams(source=f"folder://{tmp_path / 'source'}", layout="unpaired-folders"))
        assert {file.path for file in opened.look()} == {"A/1.png", "B/1.png"}
        assert opened.notes == []

    def test_a_folder_that_is_missing_is_named_with_its_neighbour(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="there is no folder 'blu'; did you mean blue\\?"):
            self.opened(tmp_path, fill(tmp_path / "source", 1), folders=("red", "blu")).look()

    def test_an_empty_folder_is_named(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "source", 1)
        (source / "blue" / "000.png").unlink()
        with pytest.raises(DataError, match=r"no images in blue, and data\.folders asks for some in each of its two"):
            self.opened(tmp_path, source).look()

    def test_a_link_is_no_folder(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "source", 1)
        shutil.rmtree(source / "blue")
        (tmp_path / "elsewhere").mkdir()
        (source / "blue").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(DataError, match="there is no folder 'blue'"):
            self.opened(tmp_path, source).look()

    def test_files_that_lead_elsewhere_are_left_out(self, tmp_path: Path) -> None:
        source = fill(tmp_path / "source", 2)
        (source / "red" / "link.png").symlink_to("/etc/hostname")
        opened = self.opened(tmp_path, source)
        assert len(opened.look()) == 4
        assert "1 linked elsewhere" in opened.notes[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"folders": ["../other", "blue"]}, "data.folders: '../other' is not the name of a folder in the source"),
        ({"folders": ["/etc", "blue"]}, "data.folders: '/etc' is not the name of a folder"),
        ({"folders": ["..", "blue"]}, "data.folders: '..' is not the name of a folder"),
        ({"folders": ["", "blue"]}, "data.folders: '' is not the name of a folder"),
        ({"folders": ["red", "a\0b"]}, "is not the name of a folder"),
        ({"folders": ["red", "red"]}, "data.folders: 'red' stands there twice"),
        ({"folders": ["red"]}, "data.folders.1: missing"),
        ({"layout": "unpaired"}, "data.layout: 'unpaired' is not allowed"),
        ({"layout": "images"}, "folders: only with layout paired-folders or unpaired-folders, not images"),
        ({"layout": None}, "data.layout: None is not allowed"),
        ({"direction": "a2b"}, "data.direction: 'a2b' is not allowed; 'a-to-b' or 'b-to-a' is"),
        ({"source": "sklearn://digits"}, "layout: only for folders, archives and buckets of images, not sklearn://digits"),
        ({"size": 30}, "train.generator.downsamplings: data.size is 30, no multiple of 4 from 16 on; the nearest that fits is 28"),
    ],
)
def test_keys_that_do_not_fit_are_named(data: dict[str, Any], message: str) -> None:
    document = {"source": "folder:///pictures", "size": 16, **UNPAIRED, **data}
    sections: dict[str, Any] = {"train": {"recipe": "cyclegan", "images": 10}, "validate": {}, "evaluate": {}, "register": {}}
    with pytest.raises(ConfigError) as raised:
        parse({"generators": {"paint": {"data": document, **sections}}})
    assert message in str(raised.value)


def test_the_game_and_the_layout_need_each_other() -> None:
    sections: dict[str, Any] = {"validate": {}, "evaluate": {}, "register": {}}
    for data, recipe, message in (
        (
            {},
            "cyclegan",
            "train.recipe: cyclegan takes unpaired or pairs, and folder:///p has images; data.layout: unpaired-folders",
        ),
        (
            UNPAIRED,
            "gan",
            "train.recipe: gan takes images or points or sounds or volumes or clips or sentences, and folder:///p has unpaired",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            parse({"generators": {"x": {"data": {"source": "folder:///p", **data}, "train": {"recipe": recipe, "images": 10}, **sections}}})


# Scores, on translators whose effect is known.


class Known(nn.Module):
    """Exchanges red and blue as a share `right` of images asks for, and leaves the others alone; `back` exchanges them all."""

    def __init__(self, right: float) -> None:
        super().__init__()
        self.right = right
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        turned = round(self.right * len(images))
        return torch.cat([images[:turned].flip(1), images[turned:]])


class Exchange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return images.flip(1)


class KnownTrip(RoundTrip):
    def __init__(self, right: float) -> None:
        nn.Module.__init__(self)
        self.there = Known(right)  # type: ignore[assignment]
        self.back = Exchange()  # type: ignore[assignment]


def generator_of(network: nn.Module, dataset: Dataset) -> Generator:
    return Generator(GeneratorConfig("cyclegan", dataset.spec, 0, TranslatorParams(), 1, 0, dataset.spec.digest), network)


@pytest.fixture(scope="module")
def paints(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("paints") / "ready"
    folder.mkdir()
    counts = {"train": 60, "holdout": 20}
    for suffix, channel in (("_inputs", 0), ("", 2)):
        for start, (split, count) in enumerate(counts.items()):
            images = [textured(10_000 * start + 1_000 * channel + i, channel).transpose(2, 0, 1) for i in range(count)]
            np.save(folder / f"{split}{suffix}.npy", np.stack(images))
    shape = (3, 16, 16)
    write_spec(folder, Unpaired(shape, counts, inputs=shape, input_counts=counts, domains=("red", "blue")))
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def judge(paints: Dataset) -> ClassifierExtractor:
    return ClassifierExtractor.fit(kinds.of("unpaired").scoring.extractor_data(paints))


class TestScores:
    def test_the_judge_is_fitted_on_real_training_images_of_both_kinds(self, paints: Dataset, judge: ClassifierExtractor) -> None:
        both = kinds.of("unpaired").scoring.extractor_data(paints)
        assert both.spec.classes == ("red", "blue")
        assert both.labels["train"].tolist() == [0] * 60 + [1] * 60
        assert both.samples["train"].tobytes() == paints.inputs["train"].tobytes() + paints.samples["train"].tobytes()
        assert judge.config.holdout_accuracy == 1
        assert judge.fits(both.spec)
        # The other direction has another target: its judge is another one.
        swapped = replace(paints.spec, domains=("blue", "red"))
        assert not judge.fits(kinds.of("unpaired").scoring.extractor_data(Dataset(swapped, paints.samples, {}, paints.inputs)).spec)

    @pytest.mark.parametrize("right", [0.0, 0.25, 1.0])
    def test_translated_is_the_share_that_is_taken_for_the_target(self, paints: Dataset, judge: ClassifierExtractor, right: float) -> None:
        scores = score(generator_of(KnownTrip(right), paints), paints, judge, EvaluateParams())
        assert scores["translated"] == right

    def test_cycle_l1_is_the_mean_difference_to_what_comes_back(self, paints: Dataset, judge: ClassifierExtractor) -> None:
        """Of a quarter that was turned nothing is lost; the others come back with red and blue exchanged."""
        scores = score(generator_of(KnownTrip(0.25), paints), paints, judge, EvaluateParams())
        inputs = paints.inputs["holdout"].astype(np.float64)
        expected = np.abs(inputs - inputs[:, ::-1])[5:].sum() / inputs.size / 255
        assert scores["cycle_l1"] == pytest.approx(expected, rel=1e-5)
        assert score(generator_of(KnownTrip(1.0), paints), paints, judge, EvaluateParams())["cycle_l1"] == 0

    def test_fid_and_kid_are_of_translations_against_the_target_kind(self, paints: Dataset, judge: ClassifierExtractor) -> None:
        scores = score(generator_of(KnownTrip(1.0), paints), paints, judge, EvaluateParams())
        real = judge.features(np.array(paints.samples["holdout"]))
        made = judge.features(np.ascontiguousarray(paints.inputs["holdout"][:, ::-1]))
        assert scores["fid"] == pytest.approx(frechet_distance(FeatureStatistics.of(real), FeatureStatistics.of(made)), rel=1e-5)
        assert scores["kid"] == pytest.approx(kernel_distance(real, made), rel=1e-4, abs=1e-9)
        assert score(generator_of(KnownTrip(0.0), paints), paints, judge, EvaluateParams())["fid"] > 10 * scores["fid"]

    def test_resampled_scores_are_those_of_the_samples_drawn(self, paints: Dataset, judge: ClassifierExtractor) -> None:
        evidence = gather(generator_of(KnownTrip(0.25), paints), paints, judge, EvaluateParams())
        everything = np.arange(evidence.n_real), np.arange(evidence.n_generated)
        for metric, value in evidence.scores().items():
            assert evidence.resampled(metric, *everything) == pytest.approx(value, rel=1e-9)
        assert evidence.resampled("translated", everything[0], np.array([0, 1, 19, 19])) == 0.5
        assert evidence.resampled("cycle_l1", everything[0], np.array([0, 1, 2, 3])) == 0
        assert evidence.resampled("fid", everything[0], np.arange(5).repeat(4)) < evidence.resampled("fid", *everything)

    def test_what_cannot_be_judged_is_refused(self, paints: Dataset, judge: ClassifierExtractor) -> None:
        class One(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(1))

            def forward(self, images: Tensor) -> Tensor:
                return torch.zeros_like(images)

        with pytest.raises(TrainingError, match="the same image of every input: it has collapsed"):
            score(generator_of(One(), paints), paints, judge, EvaluateParams())
        few = Dataset(paints.spec, paints.samples, {}, {**paints.inputs, "holdout": paints.inputs["holdout"][:9]})
        with pytest.raises(DataError, match="9 held-out images of red are too few"):
            score(generator_of(KnownTrip(1.0), paints), few, judge, EvaluateParams())

    def test_without_a_way_back_there_is_no_cycle(self, paints: Dataset, judge: ClassifierExtractor) -> None:
        scores = score(generator_of(Exchange(), paints), paints, judge, EvaluateParams())
        assert scores.keys() == {"fid", "kid", "translated"}
