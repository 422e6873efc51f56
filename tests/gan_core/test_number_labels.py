"""Labels that are numbers: what is asked for and refused, what networks learn of them, a training by them that is resumed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core import GanParams, Generator, data_from_arrays, train
from gan_core.data.dataset import Dataset
from gan_core.data.labels import Classes, Numbers
from gan_core.data.replay import Replay
from gan_core.errors import ConfigError, DataError
from gan_core.kinds.images import Images
from gan_core.metrics import features
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.regression import RegressorExtractor
from gan_core.networks import build_discriminator, build_generator
from gan_core.networks.common import NumberEmbedding
from gan_core.networks.residual import ConditionalBatchNorm
from gan_core.params.networks import DISCRIMINATORS, GENERATORS
from gan_core.watch import Spread, diversity_within_labels

LENGTHS = Numbers(10.0, 60.0)
FAMILIES = ("mlp", "dcgan", "residual", "modern")


def bars(numbers: NDArray[Any]) -> NDArray[np.uint8]:
    """Pictures (N, 8, 8) of bars as long as their number says, with a little noise."""
    images = np.random.default_rng(0).integers(0, 20, (len(numbers), 8, 8), dtype=np.uint8)
    for image, number in zip(images, numbers, strict=True):
        image[2:6, : round(number / 8)] += 200
    return images


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    numbers = np.concatenate([[10.0, 60.0], np.random.default_rng(1).uniform(10, 60, 198)])
    return data_from_arrays(bars(numbers), numbers)


def small(**changes: Any) -> GanParams:
    told: dict[str, Any] = {
        "images": 192, "batch": 16, "condition": "number", "latent": 4, "mismatch": 0.5,
        "generator": {"network": "residual", "width": 4}, "discriminator": {"network": "residual", "width": 4},
    }  # fmt: skip
    return GanParams(**{**told, **changes})


class TestWhatIsAskedFor:
    @pytest.mark.parametrize(("asked", "number"), [("37.5", 37.5), (10, 10.0), (" 60 ", 60.0), ("1e1", 10.0)])
    def test_a_number_of_the_range(self, asked: float | str, number: float) -> None:
        assert LENGTHS.read(asked) == number

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            (9.99, "9.99 is outside what it was trained on; this generator knows numbers from 10 to 60"),
            ("61", "61 is outside what it was trained on"),
            ("nan", "'nan' is no number"),
            ("inf", "'inf' is no number"),
            ("old", "'old' is no number; this generator knows numbers from 10 to 60"),
            ("9" * 5_000, "' is no number"),
            (10**400, "' is no number"),
        ],
    )
    def test_others_are_refused_with_the_range(self, asked: float | str, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as raised:
            LENGTHS.read(asked)
        assert len(str(raised.value)) < 250

    def test_the_ends_as_a_person_reads_them_can_be_asked_for(self) -> None:
        numbers = Numbers.of([0.1, 1 / 3])
        assert numbers.in_words == "numbers from 0.1 to 0.33333334"
        assert [numbers.fits(np.array([numbers.read(end)])) for end in ("0.1", "0.33333334")] == [True, True]

    def test_all_the_same_are_refused(self) -> None:
        with pytest.raises(DataError, match="every sample has the number 7, so there is nothing to tell apart by it"):
            Numbers.of([7.0, 7.0])

    def test_another_number_is_far_away(self) -> None:
        labels = torch.linspace(10, 60, 1_000)
        away = (LENGTHS.others(labels) - labels).abs()
        assert torch.minimum(away, 50 - away).min() >= 12.5 - 1e-3
        assert LENGTHS.fits(LENGTHS.others(labels).numpy())

    def test_the_generator_is_asked(self, dataset: Dataset) -> None:
        params = GENERATORS["mlp"]()
        data = dataset.spec
        generator = Generator(config_of(dataset, params), build_generator(params, data, 4))
        drawn = generator.sample(5, label="20:60")
        assert drawn.labels is not None
        assert drawn.labels.tolist() == [20, 30, 40, 50, 60]
        assert drawn.label_names(None) == [20, 30, 40, 50, 60]
        one = generator.sample(5, label=40)
        assert np.array_equal(drawn.samples[2], generator.sample(1, label="40:40").samples[0])
        assert not np.array_equal(one.samples[0], one.samples[1])
        assert generator.sample(3).labels.tolist() == [10, 35, 60]  # type: ignore[union-attr]
        assert generator.sample(3, walk=True).labels.tolist() == [35, 35, 35]  # type: ignore[union-attr]
        given = generator.sample(2, labels=np.array([10.0, 59.5]))
        assert given.labels.tolist() == [10, 59.5]  # type: ignore[union-attr]
        for told, message in (
            ({"label": "20:90"}, "90 is outside what it was trained on; this generator knows numbers from 10 to 60"),
            ({"labels": np.array([10.0, np.nan])}, r"labels: expected \(2,\) of numbers from 10 to 60"),
            ({"labels": np.array([10.0, 20.0]), "label": 10}, r"labels: expected \(2,\) of numbers"),
        ):
            with pytest.raises(ConfigError, match=message):
                generator.sample(2, **told)


def config_of(dataset: Dataset, params: Any) -> Any:
    from gan_core.generator import GeneratorConfig

    return GeneratorConfig("gan", dataset.spec, 4, params, 1, 0, dataset.spec.digest)


class TestWhatIsLearned:
    def test_a_row_at_each_knot_and_a_mixture_between(self) -> None:
        embedding = NumberEmbedding(Numbers(0.0, 80.0), 3)
        with torch.no_grad():
            at, between, outside = (
                embedding(torch.tensor([0.0, 20.0, 80.0])),
                embedding(torch.tensor([25.0])),
                embedding(torch.tensor([99.0])),
            )
        rows = embedding.weight.detach()
        torch.testing.assert_close(at, rows[[0, 2, 8]])
        torch.testing.assert_close(between[0], (rows[2] + rows[3]) / 2)
        torch.testing.assert_close(outside[0], rows[8])

    @pytest.mark.parametrize("family", FAMILIES)
    def test_every_family_is_told(self, family: str) -> None:
        data = Images((1, 8, 8), numbers=(10.0, 60.0))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            sizes = {} if family == "mlp" else {"width": 4}
            generator = build_generator(GENERATORS[family].model_validate(sizes), data, 4).eval()
            judge = build_discriminator(DISCRIMINATORS[family].model_validate(sizes), data).eval()
            samples, latents = torch.rand(3, 1, 8, 8), torch.randn(3, 4)
            # The norm of a residual block tells labels apart once it has learned to.
            for module in generator.modules():
                if isinstance(module, ConditionalBatchNorm):
                    assert module.affine is not None
                    torch.testing.assert_close(module.affine(torch.tensor([11.3])).chunk(2, 1)[0], torch.ones(1, module.norm.num_features))
            for network, first in ((generator, latents), (judge, samples)):
                one, other = (network(first, torch.tensor([12.0, 12.0, last])) for last in (12.0, 55.0))
                assert torch.allclose(one[:2], other[:2], atol=1e-6)
                assert not torch.allclose(one[2], other[2], atol=1e-6)

    def test_a_generator_that_draws_one_sample_a_number_is_seen(self) -> None:
        labels = np.random.default_rng(0).uniform(10, 60, 400)
        real = np.random.default_rng(1).normal(size=(400, 3)) + labels[:, None]
        alike = labels[:, None].repeat(3, 1)
        groups = LENGTHS.groups(labels)
        assert {*groups.tolist()} == {*range(8)}
        spread = Spread.of(real, groups)
        found = diversity_within_labels(alike, groups, spread)
        assert found is not None
        assert found < diversity_within_labels(real, groups, spread) == 1  # type: ignore[operator]


class TestTraining:
    def test_a_run_that_was_killed_ends_where_an_undisturbed_one_does(self, dataset: Dataset, tmp_path: Path) -> None:
        class KilledError(Exception):
            pass

        def killed(progress: Any) -> None:
            if progress.images >= 96:
                raise KilledError

        params = small(checkpoint_every=48)
        train(params, dataset, tmp_path / "whole")
        with pytest.raises(KilledError):
            train(params, dataset, tmp_path / "killed", on_progress=killed)
        train(params, dataset, tmp_path / "killed")
        whole, resumed = (Generator.load(tmp_path / run / "generator") for run in ("whole", "killed"))
        assert whole.config.sha256 == resumed.config.sha256
        assert whole.config.data.numbers == (10.0, 60.0)
        text = (tmp_path / "whole" / "metrics.jsonl").read_text()
        assert "wrong_label_score" in text
        assert "diversity_within_labels" in text

    @pytest.mark.parametrize(
        ("condition", "labelled", "message"),
        [
            ("label", "numbers", "label was asked for, and the data is labelled with numbers; use number"),
            ("number", "classes", "number was asked for, and the data has classes; set data.label_as: number"),
            ("number", "none", "number was asked for, and the data has no labels"),
        ],
    )
    def test_labels_of_another_sort_are_refused(
        self, dataset: Dataset, tmp_path: Path, condition: str, labelled: str, message: str
    ) -> None:
        images = dataset.samples["train"][:40, 0]
        labels = {"numbers": np.linspace(0, 1, 40), "classes": np.arange(40) % 2, "none": None}[labelled]
        with pytest.raises(ConfigError, match=message):
            train(small(condition=condition), data_from_arrays(images, labels), tmp_path / "run")

    def test_an_unconditional_one_is_asked_for_no_number(self, dataset: Dataset, tmp_path: Path) -> None:
        train(small(images=16, condition="none", mismatch=0), dataset, tmp_path / "run")
        generator = Generator.load(tmp_path / "run" / "generator")
        assert (generator.config.condition, generator.sample(2).labels) == (None, None)
        with pytest.raises(ConfigError, match="label: this generator is unconditional; leave the label out"):
            generator.sample(2, label=20)

    def test_older_samples_come_with_their_numbers(self, dataset: Dataset) -> None:
        numbers = np.random.default_rng(5).uniform(0, 90, 100)
        old = data_from_arrays(bars(numbers) // 2, numbers)
        replay = Replay.of(dataset, old, 0.25, 16)
        assert replay.labels is not None
        assert np.array_equal(replay.labels, old.labels["train"][replay.rows])
        classes = data_from_arrays(bars(numbers), np.arange(100) % 2)
        with pytest.raises(DataError, match="is labelled with classes, unlike this one"):
            Replay.of(dataset, classes, 0.25, 16)


def test_a_regressor_reads_numbers_and_is_kept(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_FEWEST", 2_000)
    fitted = RegressorExtractor.fit(dataset)
    images, labels = dataset.samples["holdout"], dataset.labels["holdout"]
    assert fitted.errors(images, labels).mean() < 0.1
    assert fitted.errors(images, labels[::-1]).mean() > 0.2
    np.testing.assert_allclose(fitted.errors(images, labels), np.abs(fitted.read(images) - labels) / 50, rtol=1e-5)
    saved = fitted.save(tmp_path / "features")
    kept = FeatureExtractor.load(tmp_path / "features")
    assert isinstance(kept, RegressorExtractor)
    assert (kept.hash, kept.config) == (saved.hash, saved.config)
    assert np.array_equal(kept.read(images), fitted.read(images))
    assert np.array_equal(kept.features(images), fitted.features(images))
    assert kept.fits(dataset.spec)
    assert not kept.fits(dataset.spec.unlabelled)
    with pytest.raises(DataError, match="a regressor needs images with a number each"):
        RegressorExtractor.fit(data_from_arrays(np.array(images[:, 0]), np.arange(len(images)) % 2))


def test_a_class_is_found_however_its_accents_are_stored() -> None:
    classes = Classes(("winter", "e\u0301te\u0301"))
    assert classes.read("\u00e9t\u00e9") == classes.read("e\u0301te\u0301") == 1
    with pytest.raises(ConfigError, match="no class 'ete'"):
        classes.read("ete")
