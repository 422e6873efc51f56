"""The evaluate stage on real digits and points: its scores, its files, its MLflow run, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from real_mlflow import tiny_generator
from sklearn.datasets import load_digits
from torch import Tensor, nn

from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import ConfigError, DataError, RegistryError, TrainingError
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.metrics import features as features_module
from gan_core.metrics.features import ClassifierExtractor, ExtractorConfig, FeatureExtractor, RandomConvExtractor
from gan_core.metrics.inception_features import InceptionExtractor, InceptionNetwork
from gan_core.pictures import grid
from tasks import evaluate as stage
from tasks import kinds
from tasks.evaluate import evaluate
from tasks.judging import gather, score
from tasks.params import Entry, EvaluateParams, RegisterParams, parse
from tasks.promotion.gate import Measured, Record, decide
from tasks.records import tracking
from tasks.scaffold import init_workspace
from tasks.scoring import copies
from tasks.scoring import scoring as scoring_module
from tasks.workspace import Workspace

CLASSES = tuple("0123456789")
SECTIONS: dict[str, Any] = {"data": {"source": "sklearn://digits"}, "validate": {}, "train": {"images": 640}, "evaluate": {}}
CIRCLE = {"shape": "circle", "radius": 2.0, "sigma": 0.0}


def pack(folder: Path, samples: NDArray[Any], labels: NDArray[np.int64] | None, holdout: int, **facts: Any) -> Dataset:
    """Write a packed data set whose last `holdout` samples are held out."""
    folder.mkdir(parents=True)
    parts = {"train": slice(None, -holdout), "holdout": slice(-holdout, None)}
    for split, part in parts.items():
        np.save(folder / f"{split}.npy", samples[part])
        if labels is not None:
            np.save(folder / f"{split}_labels.npy", labels[part])
    kind = Images if samples.ndim == 4 else Points
    classes = None if labels is None else CLASSES
    write_spec(folder, kind(samples.shape[1:], {"train": len(samples) - holdout, "holdout": holdout}, classes, **facts))
    return Dataset.open(folder)


@pytest.fixture(scope="session")
def real_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """scikit-learn's handwritten digits, 8 x 8, and their labels."""
    loaded = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.images))
    return (loaded.images[order, None] * 255 / 16).round().astype(np.uint8), loaded.target[order].astype(np.int64)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory, real_digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> Dataset:
    return pack(tmp_path_factory.mktemp("digits") / "ready", *real_digits, holdout=180)


@pytest.fixture(scope="session")
def classifier(digits: Dataset) -> ClassifierExtractor:
    return ClassifierExtractor.fit(digits)


class Replay(nn.Module):
    """Draws training images, of the asked class where there is one, with a little noise: as good as a generator can be."""

    def __init__(self, dataset: Dataset, draw_only: tuple[int, ...] = tuple(range(10)), noise: float = 0.03, one: bool = False) -> None:
        super().__init__()
        self.images = torch.from_numpy(np.array(dataset.samples["train"])).float() / 127.5 - 1
        labels = dataset.labels["train"]
        self.of_class = [np.flatnonzero(labels == (label if label in draw_only else draw_only[0])) for label in range(10)]
        self.noise = nn.Parameter(torch.tensor(noise))
        self.one = one
        self.asked: list[int] = []

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        if self.one:
            return self.images[:1].expand(len(latents), -1, -1, -1)
        choices = (latents[:, 0].double().sigmoid() * 1e6).long().numpy()
        classes = choices % 10 if labels is None else labels.numpy()
        self.asked += classes.tolist()
        images = self.images[
            [self.of_class[label][choice % len(self.of_class[label])] for label, choice in zip(classes, choices, strict=True)]
        ]
        return images + self.noise * latents[:, 1:].reshape(images.shape)


def replaying(dataset: Dataset, by_label: bool = True, **manner: Any) -> Generator:
    config = tiny_generator().config
    data = Images((1, 8, 8), classes=CLASSES if by_label else None)
    config = dataclasses.replace(config, data=data, latent=65)
    return Generator(config, Replay(dataset, **manner))


def of_points(points: Callable[[Tensor], Tensor]) -> Generator:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
            return points(latents)

    config = tiny_generator(kind="points", classes=None).config
    data = dataclasses.replace(Points.of(config.data), mean=(0.0, 0.0), std=(1.0, 1.0))
    return Generator(dataclasses.replace(config, data=data), Network())


class TestImages:
    def test_a_very_good_generator(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        scores = score(replaying(digits), digits, classifier, EvaluateParams())
        floor = kinds.of("images").scoring.real_against_real(digits, classifier, EvaluateParams())["fid"]
        measured = {"fid", "kid", "precision", "recall", "density", "coverage", "inception_score", "modes", "label_accuracy"}
        assert set(scores) == measured
        assert scores["fid"] < 1.5 * floor
        assert abs(scores["kid"]) < 0.05
        assert min(scores["precision"], scores["recall"], scores["coverage"]) > 0.8
        assert scores["modes"] == 10
        assert scores["label_accuracy"] > 0.97

    def test_faults_show_in_the_scores_that_name_them(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        params = EvaluateParams()
        good = score(replaying(digits), digits, classifier, params)
        noisy = score(replaying(digits, noise=0.6), digits, classifier, params)
        lost = score(replaying(digits, draw_only=(0, 1, 2, 3, 4)), digits, classifier, params)
        assert good["fid"] < lost["fid"]
        assert good["kid"] < lost["kid"]
        assert good["fid"] < noisy["fid"]
        assert good["kid"] < noisy["kid"]
        assert noisy["precision"] < good["precision"] - 0.1
        assert lost["precision"] > 0.8
        assert lost["recall"] < good["recall"] - 0.3
        assert lost["coverage"] < good["coverage"] - 0.3
        assert lost["modes"] < 10
        assert lost["label_accuracy"] == pytest.approx(0.5, abs=0.1)

    def test_what_does_not_apply_is_left_out(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        params = EvaluateParams(samples=200)
        assert "label_accuracy" not in score(replaying(digits, by_label=False), digits, classifier, params)
        extractor = RandomConvExtractor.fit(digits)
        random, noisy = (score(replaying(digits, noise=noise), digits, extractor, params) for noise in (0.0, 0.5))
        assert set(random) == {"fid", "kid", "whitened_kid", "precision", "recall", "density", "coverage"}
        by_chance = kinds.of("images").scoring.real_against_real(digits, extractor, params)["whitened_kid"]
        assert abs(random["whitened_kid"]) < 4 * by_chance < noisy["whitened_kid"]

    def test_the_extrapolated_distance_is_there_where_it_is_asked_for(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        scores = score(replaying(digits), digits, classifier, EvaluateParams(fid_infinity=True))
        assert scores["fid_infinity"] < scores["fid"]

    def test_is_a_function_of_its_arguments(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        first = score(replaying(digits), digits, classifier, EvaluateParams(samples=300))
        assert score(replaying(digits), digits, classifier, EvaluateParams(samples=300)) == first
        assert score(replaying(digits), digits, classifier, EvaluateParams(samples=300, seed=1)) != first
        for value in first.values():
            assert float(f"{value:.6g}") == value

    @pytest.mark.parametrize(("samples", "real", "generated"), [(10_000, 180, 1_800), (1_000, 180, 1_000), (50, 50, 50)])
    def test_counts(self, digits: Dataset, classifier: ClassifierExtractor, samples: int, real: int, generated: int) -> None:
        params = EvaluateParams(samples=samples)
        generator = replaying(digits)
        score(generator, digits, classifier, params)
        assert len(generator.network.asked) == generated  # type: ignore[arg-type]
        record = stage._record(gather(generator, digits, classifier, params), generator, digits, classifier, params)
        assert (record["n_real"], record["n_generated"]) == (real, generated)

    def test_classes_are_asked_for_as_often_as_they_are_in_the_data(
        self, tmp_path: Path, real_digits: tuple[NDArray[np.uint8], NDArray[np.int64]], classifier: ClassifierExtractor
    ) -> None:
        images, labels = real_digits
        some = np.flatnonzero((labels < 2) | (np.arange(len(labels)) < 60))
        dataset = pack(tmp_path / "ready", images[some], labels[some], holdout=40)
        generator = replaying(dataset)
        score(generator, dataset, classifier, EvaluateParams())
        asked = np.bincount(generator.network.asked, minlength=10) / 400  # type: ignore[arg-type]
        np.testing.assert_allclose(asked, np.bincount(dataset.labels["train"], minlength=10) / len(dataset.labels["train"]), atol=0.05)

    def test_a_collapsed_generator(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        with pytest.raises(TrainingError, match="has collapsed"):
            score(replaying(digits, one=True), digits, classifier, EvaluateParams())

    def test_a_generator_of_nothing_finite(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        with pytest.raises(TrainingError, match="weights are not finite"):
            score(replaying(digits, noise=float("nan")), digits, classifier, EvaluateParams())

    def test_too_few_or_equal_held_out_images(
        self, tmp_path: Path, real_digits: tuple[NDArray[np.uint8], NDArray[np.int64]], classifier: ClassifierExtractor
    ) -> None:
        images, labels = real_digits
        few = pack(tmp_path / "few", images[:200], labels[:200], holdout=3)
        with pytest.raises(DataError, match="3 held-out samples are too few to score with, at least 10"):
            score(replaying(few), few, classifier, EvaluateParams())
        alike = pack(tmp_path / "alike", np.concatenate([images[:200], images[:1].repeat(20, axis=0)]), labels[:220], holdout=20)
        with pytest.raises(DataError, match="all held-out images are the same"):
            score(replaying(alike), alike, classifier, EvaluateParams())


class TestCopies:
    """Noise is given in units of -1..1: 0.03 are 4 of 256 grey levels."""

    @staticmethod
    def found(generator: Generator, dataset: Dataset, extractor: FeatureExtractor) -> tuple[copies.Copies, NDArray[np.uint8]]:
        answer = kinds.of("images").scoring.copies(generator, dataset, extractor, EvaluateParams())
        assert answer is not None
        return answer

    @pytest.mark.parametrize("noise", [0.0, 0.03, 0.08])
    def test_training_images_with_noise_are_vetoed(self, digits: Dataset, classifier: ClassifierExtractor, noise: float) -> None:
        found, _ = self.found(replaying(digits, noise=noise), digits, classifier)
        assert found.compared == 1_000
        assert found.share > 0.9
        assert found.held_out_share < 0.02
        measured = Measured.of({"fid": 1.0, "copies": found.share}, {"copies": found.as_record()})
        assert decide(Record(measured), RegisterParams(), "images").outcome == f"vetoed: copies {found.share:.4g} is not <= 0.05"

    def test_held_out_images_pass(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        held_out = np.array(digits.samples["holdout"])
        found = copies.find_copies(held_out, held_out, digits.samples["train"], copies.of_images(classifier))
        assert found.generated_share == found.held_out_share < 0.02
        assert found.share == 0
        assert decide(Record(Measured({"fid": 1.0, "copies": found.share}, {})), RegisterParams(), "images").outcome == "first"

    def test_the_entry_may_ask_for_more_or_less(self) -> None:
        record = Record(Measured({"fid": 1.0, "copies": 0.03}, {}))
        assert decide(record, RegisterParams(require={"copies": "<= 0.01"}), "images").outcome == "vetoed: copies 0.03 is not <= 0.01"
        lax = RegisterParams(require={"copies": "<= 1"})
        assert decide(Record(Measured({"fid": 1.0, "copies": 0.9}, {})), lax, "images").outcome == "first"

    def test_twins_between_training_and_held_out_do_not_hide_copies(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        """A tenth of the held-out images are frames of one scene with training images, and the generator draws training images."""
        train = np.array(digits.samples["train"])
        held_out = np.array(digits.samples["holdout"])
        held_out[::10] = train[: len(held_out[::10])] ^ 1
        noisy = (train[:500] + np.random.default_rng(0).normal(0, 2, train[:500].shape)).clip(0, 255).astype(np.uint8)
        found = copies.find_copies(noisy, held_out, train, copies.of_images(classifier))
        assert found.held_out_share > 0.09
        assert found.share > 0.8
        measured = Measured.of({"fid": 1.0, "copies": found.share}, {"copies": found.as_record()})
        assert decide(Record(measured), RegisterParams(), "images").outcome.startswith("vetoed: copies")

    def test_the_interval_is_newcombes(self) -> None:
        """His table II, method 10: 56/70 - 48/80, 9/10 - 3/10, and 10/10 - 0/20."""
        for one, n, other, m, low, high in ((56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (10, 10, 0, 20, 0.6791, 1.0)):
            found = copies.Copies(one / n, other / m, n, m, ())
            assert found.interval == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))

    @pytest.mark.parametrize(("generated", "held_out", "vetoed"), [((1, 16), (0, 16), False), ((12, 16), (0, 16), True)])
    def test_one_in_sixteen_is_no_veto(self, generated: tuple[int, int], held_out: tuple[int, int], vetoed: bool) -> None:
        found = copies.Copies(generated[0] / generated[1], held_out[0] / held_out[1], generated[1], held_out[1], ())
        measured = Measured.of({"fid": 1.0, "copies": found.share}, {"copies": found.as_record()})
        assert decide(Record(measured), RegisterParams(), "images").outcome.startswith("vetoed") == vetoed

    def test_each_copy_is_shown_above_its_original(self, digits: Dataset, classifier: ClassifierExtractor) -> None:
        train = digits.samples["train"]
        planted = np.concatenate([np.array(train[:1_600:100]), np.array(digits.samples["holdout"][:50])])
        found = copies.find_copies(planted, np.array(digits.samples["holdout"]), train, copies.of_images(classifier))
        assert found.generated_share == pytest.approx(16 / 66)
        assert sorted(found.pairs) == [(index, 100 * index) for index in range(16)]
        originals = [np.array(train[index]) for _, index in found.pairs]
        expected = grid(np.stack([*originals[:8], *originals[:8], *originals[8:], *originals[8:]]), 8)
        np.testing.assert_array_equal(copies.picture(found, planted, train, Images.of(digits.spec).pictured), expected)

    def test_blocks_of_the_training_split_make_no_difference(
        self, digits: Dataset, classifier: ClassifierExtractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held_out = np.array(digits.samples["holdout"])
        whole = copies.find_copies(held_out, held_out, digits.samples["train"], copies.of_images(classifier))
        monkeypatch.setattr(scoring_module, "_CHUNK", 97)
        assert copies.find_copies(held_out, held_out, digits.samples["train"], copies.of_images(classifier)) == whole

    def test_large_images_are_compared_in_fewer_numbers(self) -> None:
        assert copies.most_compared((1, 28, 28)) == 1_000
        assert copies.most_compared((3, 1024, 1024)) == 42
        assert copies.most_compared((3, 4096, 4096)) == copies.PAIRS

    def test_no_two_generators_are_compared_by_it(self) -> None:
        with pytest.raises(ConfigError, match=r"register\.improve: copies compares no two generators; set a floor by require"):
            parse({"generators": {"it": {**SECTIONS, "register": {"improve": "copies"}}}}, where="params.yaml")


class TestPoints:
    @pytest.fixture
    def circle(self, tmp_path: Path) -> Dataset:
        return circle_data(tmp_path / "ready")

    def test_a_perfect_circle(self, circle: Dataset) -> None:
        generator = of_points(lambda latents: 2 * nn.functional.normalize(latents[:, :2]))
        perfect = {"radius_error": pytest.approx(0, abs=1e-6), "bins_filled": 36, "reverse_kl": pytest.approx(0, abs=0.02)}
        assert score(generator, circle, None, EvaluateParams()) == perfect

    def test_each_column_is_described_beside_the_held_out_one(self, circle: Dataset) -> None:
        generator = of_points(lambda latents: latents[:, :1] * 0 + torch.tensor([1.0, -3.0]))
        columns = gather(generator, circle, None, EvaluateParams()).details()["columns"]
        assert columns["generated"] == [{"mean": at, "std": 0, "min": at, "max": at} for at in (1, -3)]
        held_out = circle.samples["holdout"].astype(np.float64)
        assert [column["std"] for column in columns["held_out"]] == pytest.approx(held_out.std(axis=0).tolist(), rel=1e-5)

    def test_half_a_circle(self, circle: Dataset) -> None:
        generator = of_points(lambda latents: 3 * nn.functional.normalize(latents[:, :2]).abs() * torch.tensor([1, -1]))
        quarter = {"radius_error": pytest.approx(1), "bins_filled": 9, "reverse_kl": pytest.approx(np.log(4), abs=0.02)}
        assert score(generator, circle, None, EvaluateParams()) == quarter

    def test_not_finite(self, circle: Dataset) -> None:
        with pytest.raises(TrainingError, match="not finite"):
            score(of_points(lambda latents: latents[:, :2] / 0), circle, None, EvaluateParams())

    def test_an_unknown_distribution(self, circle: Dataset) -> None:
        unknown = dataclasses.replace(circle, spec=dataclasses.replace(circle.spec, truth=None))
        with pytest.raises(DataError, match="not known"):
            score(of_points(lambda latents: latents[:, :2]), unknown, None, EvaluateParams())


def circle_data(folder: Path) -> Dataset:
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 300)
    points = (2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    return pack(folder, points, None, holdout=100, mean=(0.0, 0.0), std=(1.4, 1.4), truth=CIRCLE)


def an_entry(source: str, **params: Any) -> Entry:
    sections = {"data": {"source": source}, "validate": {}, "train": {"recipe": "gan", "images": 640}, "register": {}}
    return parse({"generators": {"it": {**sections, "evaluate": {"samples": 200, **params}}}}, where="params.yaml")["it"]


def images_entry(**params: Any) -> Entry:
    return an_entry("sklearn://digits", **params)


def trained(workspace: Workspace, generator: Generator) -> str:
    """Leave what the train stage leaves; returns the id of its MLflow run."""
    model = workspace.model("it")
    shutil.rmtree(model, ignore_errors=True)
    generator.save(model / "generator")
    lines = [
        {"images": 64, "generator_loss": 1.5, "r1": 0.25},
        {"images": 128, "generator_loss": 1.0},
        {"images": 640, "generator_loss": 0.5},
    ]
    (model / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with tracking.run(workspace, "it") as run:
        (model / "run.json").write_text(json.dumps({"run_id": run.id}))
        return run.id


def digits_generator(seed: int = 0, classes: tuple[str, ...] | None = CLASSES) -> Generator:
    return tiny_generator(seed, classes=classes)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier of a few steps, for what does not depend on its quality."""
    monkeypatch.setattr(features_module, "_EPOCHS", 1)
    monkeypatch.setattr(features_module, "_FEWEST", 200)


@pytest.fixture
def trained_digits(workspace: Workspace, real_digits: tuple[NDArray[np.uint8], NDArray[np.int64]], quick: None) -> str:
    """The workspace after training on the digits; the id of the run."""
    pack(workspace.ready("it"), *real_digits, holdout=180)
    return trained(workspace, digits_generator())


class TestStage:
    def test_images(self, workspace: Workspace, trained_digits: str, capsys: pytest.CaptureFixture[str]) -> None:
        evaluate(workspace, "it", images_entry())
        report = workspace.report("it")
        assert set(tree(report)) == {
            "metrics.json", "evaluation.json", "grids/generated.png", "grids/real.png", "grids/copies.png",
            "curves/generator_loss.csv", "curves/r1.csv",
        }  # fmt: skip
        scores = json.loads((report / "metrics.json").read_text())
        assert list(scores) == sorted(scores)
        measured = {"fid", "kid", "precision", "recall", "density", "coverage", "inception_score", "modes", "label_accuracy"}
        assert set(scores) == {*measured, "copies"}

        record = json.loads((report / "evaluation.json").read_text())
        extractor = FeatureExtractor.load(workspace.features("it"))
        assert record["dataset_digest"] == Dataset.open(workspace.ready("it")).spec.digest
        assert record["generator_sha256"] == Generator.load(workspace.model("it") / "generator").config.sha256
        assert record["extractor"]["hash"] == extractor.hash
        assert (record["n_real"], record["n_generated"], record["neighbours"], record["seed"]) == (180, 200, 5, 0)
        assert 0 < record["real_against_real"]["fid"] < scores["fid"]

        assert (report / "curves" / "generator_loss.csv").read_text() == "images,generator_loss\n64,1.5\n128,1.0\n640,0.5\n"
        assert (report / "curves" / "r1.csv").read_text() == "images,r1\n64,0.25\n"
        sizes = {Image.open(report / "grids" / f"{name}.png").size for name in ("generated", "real")}
        assert len(sizes) == 1

        # On a busy machine it says before that how far the fit is.
        lines = [line for line in capsys.readouterr().out.splitlines() if ": fitting " not in line]
        assert lines.pop(0) == "evaluate it: scoring the generator of 640 images"
        assert lines[0].startswith("evaluate it: fitted a classifier network for features, ")
        assert lines[1].startswith(f"evaluate it: fid {scores['fid']:.4g} (real against real ")
        assert lines[1].endswith("(n=180 real, 200 generated)")

    def test_again_gives_the_same_bytes_with_the_same_extractor(
        self, workspace: Workspace, trained_digits: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        evaluate(workspace, "it", images_entry())
        report, features = tree(workspace.report("it")), tree(workspace.features("it"))
        inode = (workspace.features("it") / "extractor.safetensors").stat().st_ino
        capsys.readouterr()
        shutil.rmtree(workspace.report("it"))
        evaluate(workspace, "it", images_entry())
        assert tree(workspace.report("it")) == report
        assert tree(workspace.features("it")) == features
        assert (workspace.features("it") / "extractor.safetensors").stat().st_ino == inode
        assert len(capsys.readouterr().out.splitlines()) == 2

    def test_the_extractor_is_fitted_again_only_where_it_does_not_serve(
        self, workspace: Workspace, trained_digits: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        evaluate(workspace, "it", images_entry())
        evaluate(workspace, "it", images_entry(seed=3))
        capsys.readouterr()
        evaluate(workspace, "it", images_entry(features="random"))
        first = capsys.readouterr().out.splitlines()[1]
        expected = "fitting the feature extractor again (the kept one is a classifier network for 1x8x8 images of 10 classes)"
        assert first == f"evaluate it: {expected}; scores before and after cannot be compared"
        assert FeatureExtractor.load(workspace.features("it")).kind == "random"
        assert "modes" not in json.loads((workspace.report("it") / "metrics.json").read_text())

        before = FeatureExtractor.load(workspace.features("it")).hash
        evaluate(workspace, "it", images_entry(features="random", features_seed=1))
        assert "network for 1x8x8 images, of features_seed 0); scores before" in capsys.readouterr().out
        assert FeatureExtractor.load(workspace.features("it")).hash != before

        weights = workspace.features("it") / "extractor.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        evaluate(workspace, "it", images_entry(features="random"))
        assert "fitting the feature extractor again" in capsys.readouterr().out
        FeatureExtractor.load(workspace.features("it"))

    def test_inceptions_features_where_they_are_asked_for(self, digits: Dataset) -> None:
        params = EvaluateParams(features="inception", samples=12)
        assert kinds.of("images").features("it", digits.spec, params) == "inception"
        torch.manual_seed(0)
        network = InceptionNetwork()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        extractor = InceptionExtractor(ExtractorConfig("inception", (1, 8, 8), None, 0, digits.spec.digest), network)
        scores = score(replaying(digits), digits, extractor, params)
        assert scores.keys() == {"fid", "kid", "rbf_kid", "precision", "recall", "density", "coverage"}
        noisy = score(replaying(digits, noise=0.5), digits, extractor, params)
        assert noisy["fid"] > scores["fid"]
        assert noisy["rbf_kid"] > kinds.of("images").scoring.real_against_real(digits, extractor, params)["rbf_kid"]

    @pytest.mark.parametrize("kind", ["captions", "stacked"])
    def test_inception_is_refused_where_something_else_has_to_judge(self, digits: Dataset, kind: str) -> None:
        spec = dataclasses.replace(digits.spec, stacked=CLASSES) if kind == "stacked" else digits.spec
        with pytest.raises(ConfigError, match=r"generators.it.evaluate.features: .* are compared by a .*; use auto"):
            kinds.of("images" if kind == "stacked" else "captions").features("it", spec, EvaluateParams(features="inception"))

    def test_mlflow_has_the_scores_and_pictures(self, workspace: Workspace, trained_digits: str) -> None:
        evaluate(workspace, "it", images_entry())
        client = tracking.client(workspace)
        run = client.get_run(trained_digits)
        scores = json.loads((workspace.report("it") / "metrics.json").read_text())
        assert {key: run.data.metrics[key] for key in scores} == scores
        assert client.get_metric_history(trained_digits, "fid")[0].step == 640
        assert run.data.tags["evaluation.dataset_digest"] == Dataset.open(workspace.ready("it")).spec.digest
        assert "Lanczos" in run.data.tags["evaluation.resizer"]
        assert run.data.tags["evaluation.extractor"] == FeatureExtractor.load(workspace.features("it")).hash
        assert (run.data.tags["evaluation.n_real"], run.data.tags["evaluation.n_generated"]) == ("180", "200")
        assert {file.path for file in client.list_artifacts(trained_digits, "evaluation/grids")} == {
            "evaluation/grids/generated.png", "evaluation/grids/real.png", "evaluation/grids/copies.png",
        }  # fmt: skip
        assert run.info.status == "FINISHED"

    def test_points(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        circle_data(workspace.ready("it"))
        trained(workspace, tiny_generator(kind="points", classes=None))
        evaluate(workspace, "it", an_entry("points://circle"))
        scores = json.loads((workspace.report("it") / "metrics.json").read_text())
        assert set(scores) == {"radius_error", "bins_filled", "reverse_kl"}
        assert isinstance(scores["bins_filled"], int)
        assert json.loads((workspace.report("it") / "evaluation.json").read_text())["extractor"] is None
        assert set(tree(workspace.features("it"))) == {"config.json"}  # DVC wants the output to be there
        assert capsys.readouterr().out == (
            "evaluate it: scoring the generator of 640 points\n"
            f"evaluate it: radius_error {scores['radius_error']:.4g}, bins_filled {scores['bins_filled']}, "
            f"reverse_kl {scores['reverse_kl']:.4g} (n=200)\n"
        )

    def test_unlabelled_images(self, workspace: Workspace, real_digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
        pack(workspace.ready("it"), real_digits[0], None, holdout=180)
        trained(workspace, digits_generator(classes=None))
        evaluate(workspace, "it", images_entry())
        assert FeatureExtractor.load(workspace.features("it")).kind == "random"
        with pytest.raises(ConfigError, match=r"generators\.it\.evaluate\.features: a classifier needs at least two classes"):
            evaluate(workspace, "it", images_entry(features="classifier"))


class TestRefusals:
    def test_a_failure_leaves_the_last_report_alone(self, workspace: Workspace, trained_digits: str) -> None:
        evaluate(workspace, "it", images_entry())
        before = tree(workspace.root / "reports")
        run_id = trained(workspace, collapsed_generator())
        with pytest.raises(TrainingError, match="has collapsed"):
            evaluate(workspace, "it", images_entry())
        assert tree(workspace.root / "reports") == before
        assert tracking.client(workspace).get_run(run_id).info.status == "FAILED"

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("models/it/metrics.jsonl", None, r"metrics\.jsonl: cannot be read .*run the train stage first"),
            ("models/it/metrics.jsonl", '{"images": 3\n', r"metrics\.jsonl: damaged"),
            ("models/it/metrics.jsonl", "[1]\n", r"metrics\.jsonl: damaged"),
            ("models/it/run.json", None, r"run\.json: cannot be read .*run the train stage first"),
            ("models/it/run.json", "{}", r"run\.json: holds no run_id"),
            ("models/it/generator/config.json", "{}", r"config\.json"),
            ("data/it/ready/dataset.json", None, r"dataset\.json: not there; run the validate stage first"),
        ],
    )
    def test_missing_and_damaged_files(
        self, workspace: Workspace, trained_digits: str, file: str, content: str | None, message: str
    ) -> None:
        path = workspace.root / file
        path.unlink()
        if content is not None:
            path.write_text(content)
        with pytest.raises(DataError, match=message):
            evaluate(workspace, "it", images_entry())
        assert not workspace.report("it").exists()
        assert not workspace.features("it").exists()

    @pytest.mark.parametrize(
        ("generator", "message"),
        [
            (tiny_generator(kind="points", classes=None), r"draws points of shape \(2,\), and the data has images of shape \(1, 8, 8\)"),
            (tiny_generator(classes=tuple("abcdefghij")), "knows other classes"),
        ],
    )
    def test_a_generator_of_other_data(self, workspace: Workspace, trained_digits: str, generator: Generator, message: str) -> None:
        trained(workspace, generator)
        with pytest.raises(DataError, match=message):
            evaluate(workspace, "it", images_entry())
        assert not workspace.features("it").exists()

    def test_too_few_held_out_images(self, workspace: Workspace, real_digits: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
        images, labels = real_digits
        pack(workspace.ready("it"), images[:100], labels[:100], holdout=3)
        trained(workspace, digits_generator())
        with pytest.raises(DataError, match="3 held-out samples are too few"):
            evaluate(workspace, "it", images_entry())
        assert not workspace.features("it").exists(), "said before anything was fitted"

    def test_a_tracking_server_that_is_gone(self, workspace: Workspace, trained_digits: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:9"):
            evaluate(workspace, "it", images_entry())
        assert not workspace.report("it").exists()


def collapsed_generator() -> Generator:
    generator = digits_generator()
    with torch.no_grad():
        for weight in generator.network.parameters():
            weight.zero_()
    return generator


def test_dvc_runs_the_stage_and_shows_its_metrics_and_plots(tmp_path: Path, mlflow_database: Path) -> None:
    """The stage as dvc.yaml has it, in a workspace of its own; and expected errors without a traceback."""
    workspace = init_workspace(tmp_path / "workspace")
    shutil.copy(mlflow_database, workspace.root / "mlflow.db")
    params = {"circle": {**circle_sections(), "evaluate": {}, "register": {}}}
    (workspace.root / "params.yaml").write_text(json.dumps({"generators": params}))
    circle_data(workspace.ready("circle"))
    trained(workspace, tiny_generator(kind="points", classes=None))
    workspace.model("it").rename(workspace.model("circle"))
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(stage.__file__).parents[1]),
    }

    def dvc(*command: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "dvc", *command]
        return subprocess.run(whole, cwd=workspace.root, env=environment, capture_output=True, text=True, timeout=300)

    reproduced = dvc("repro", "--single-item", "evaluate@circle")
    assert reproduced.returncode == 0, reproduced.stdout + reproduced.stderr
    assert "evaluate circle: radius_error " in reproduced.stdout
    metrics = json.loads(dvc("metrics", "show", "--json").stdout)
    assert set(metrics[""]["data"]["reports/circle/metrics.json"]["data"]) == {"radius_error", "bins_filled", "reverse_kl"}
    plots = dvc("plots", "show", "reports/circle/curves", "reports/circle/grids")
    assert plots.returncode == 0, plots.stderr
    page = (workspace.root / "dvc_plots" / "index.html").read_text()
    assert "reports/circle/curves/generator_loss.csv" in page
    assert '"field": "generator_loss"' in page
    assert '"field": "images"' in page
    assert "reports_circle_grids_generated.png" in page

    (workspace.model("circle") / "generator" / "config.json").write_text("{}")
    failed = dvc("repro", "--single-item", "evaluate@circle")
    assert failed.returncode != 0
    assert "error: " in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr


def circle_sections() -> dict[str, Any]:
    return {"data": {"source": "points://circle"}, "validate": {}, "train": {"recipe": "gan", "images": 640}}
