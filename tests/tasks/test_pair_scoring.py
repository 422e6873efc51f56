"""How generators of pairs are judged: against references, resampled as whole pairs, and refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import ConfigError, DataError, TrainingError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.corruptions import corrupt, holes, plain_restoration
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.metrics.features import RandomConvExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.pairs import psnrs
from gan_core.params.common import Corruption
from gan_core.params.networks import UnetParams
from tasks import kinds
from tasks.judging import score
from tasks.params import EvaluateParams
from tasks.scoring.pairs import PairEvidence

PARAMS = EvaluateParams()
SCORING = kinds.of("pairs").scoring


class Made(nn.Module):
    """A generator that does to its input, in -1..1, what it is told."""

    def __init__(self, change: Any) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.change = change

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = self.change(inputs)
        return made


def generator(change: Any = lambda inputs: inputs) -> Generator:
    return Generator(GeneratorConfig("pix2pix", Pairs((3, 16, 16), inputs=(3, 16, 16)), 0, UnetParams(), 1, 0, "d"), Made(change))


def restoration(folder: Path, corruption: Corruption) -> Dataset:
    folder.mkdir()
    counts, draw = {"train": 20, "holdout": 15}, np.random.default_rng(0)
    for split, n in counts.items():
        tones = draw.integers(40, 216, (n, 3, 4, 4), dtype=np.uint8).repeat(4, axis=2).repeat(4, axis=3)
        images = (tones + draw.integers(0, 20, tones.shape)).astype(np.uint8)
        np.save(folder / f"{split}.npy", images)
        np.save(folder / f"{split}_inputs.npy", np.stack([corrupt(image, corruption, seed) for seed, image in enumerate(images)]))
    write_spec(folder, Pairs((3, 16, 16), counts, inputs=(3, 16, 16), corruption=corruption))
    return Dataset.open(folder)


def gathered(dataset: Dataset, made: Generator) -> PairEvidence:
    evidence = SCORING.gather(made, dataset, RandomConvExtractor.fit(dataset), PARAMS)
    assert isinstance(evidence, PairEvidence)
    return evidence


def test_a_generator_that_changes_nothing_gains_nothing(tmp_path: Path) -> None:
    dataset = restoration(tmp_path / "ready", "noise")
    evidence = gathered(dataset, generator())
    scores = evidence.scores()
    assert scores["psnr_gain"] == 0
    assert scores["fid_ratio"] == pytest.approx(1)
    assert scores["psnr"] == pytest.approx(psnrs(dataset.inputs["holdout"], dataset.samples["holdout"]).mean())
    assert evidence.details()["baseline"]["psnr"] == pytest.approx(scores["psnr"], rel=1e-5)
    assert "hole_psnr" not in scores
    assert (evidence.n_real, evidence.n_generated) == (15, 15)


def test_inside_a_hole_the_mean_fill_is_what_is_gained_upon(tmp_path: Path) -> None:
    dataset = restoration(tmp_path / "ready", "mask")
    inputs, real = dataset.inputs["holdout"], dataset.samples["holdout"]
    scores = gathered(dataset, generator()).scores()
    where, plain = holes(inputs), plain_restoration(inputs, "mask", 3)
    assert scores["hole_psnr"] == pytest.approx(psnrs(inputs, real, where).mean())
    assert scores["hole_psnr_gain"] == pytest.approx((psnrs(inputs, real, where) - psnrs(plain, real, where)).mean())
    assert scores["psnr"] > scores["hole_psnr"]  # outside the hole the input is right


def test_a_better_generator_has_better_scores(tmp_path: Path) -> None:
    dataset = restoration(tmp_path / "ready", "noise")
    blurring = generator(lambda inputs: nn.functional.avg_pool2d(inputs, 3, 1, 1, count_include_pad=False))
    better, same = gathered(dataset, blurring).scores(), gathered(dataset, generator()).scores()
    assert better["psnr_gain"] > 0.5
    assert better["l1"] < same["l1"]


def test_pairs_are_resampled_as_wholes(tmp_path: Path) -> None:
    evidence = gathered(restoration(tmp_path / "ready", "mask"), generator(lambda inputs: inputs * 0.9))
    everything, some = np.arange(15), np.array([3, 3, 3, 7, 9, 1, 0, 14, 14, 2, 5, 5, 11, 12, 6])
    scores = evidence.scores()
    for metric, value in scores.items():
        assert evidence.resampled(metric, everything, some[::-1]) == pytest.approx(value)
    assert evidence.resampled("psnr", some, everything) == pytest.approx(evidence.columns["psnr"][some].mean())
    expected = frechet_distance(FeatureStatistics.of(evidence.real[some]), FeatureStatistics.of(evidence.generated[some]))
    assert evidence.resampled("fid", some, everything) == pytest.approx(expected)


def test_segmentation_compares_with_real_images() -> None:
    columns = {"found": np.array([0.2, 0.4, 0.6]), "found_in_real": np.array([0.8, 0.8, 0.8])}
    evidence = PairEvidence(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32), columns)
    assert evidence.resampled("segmentation_ratio", np.arange(3), np.arange(3)) == pytest.approx(0.5)
    assert evidence.resampled("segmentation_ratio", np.array([2, 2, 1]), np.arange(3)) == pytest.approx((1.6 / 3) / 0.8)


def test_one_image_for_every_input_is_a_collapse(tmp_path: Path) -> None:
    dataset = restoration(tmp_path / "ready", "noise")
    with pytest.raises(TrainingError, match="makes the same image of each input: it has collapsed"):
        score(generator(lambda inputs: torch.zeros_like(inputs)), dataset, RandomConvExtractor.fit(dataset), PARAMS)


def test_what_cannot_be_asked_for_is_refused() -> None:
    counts = {"train": 20, "holdout": 15}
    spoiled = Pairs((3, 16, 16), counts, inputs=(3, 16, 16), corruption="noise")
    with pytest.raises(ConfigError, match=r"generators\.a\.evaluate\.features: segmentation needs label maps"):
        kinds.of("pairs").features("a", spoiled, EvaluateParams(features="segmentation"))
    with pytest.raises(ConfigError, match="a classifier needs at least two classes"):
        kinds.of("pairs").features("a", spoiled, EvaluateParams(features="classifier"))
    plain = Images((3, 16, 16), counts)
    with pytest.raises(ConfigError, match="segmentation is for pairs of label map and image"):
        kinds.of("images").features("a", plain, EvaluateParams(features="segmentation"))


def test_too_few_held_out_pairs_are_refused(tmp_path: Path) -> None:
    dataset = restoration(tmp_path / "ready", "noise")
    few = Dataset(replace(dataset.spec, counts={"train": 20, "holdout": 9}), dataset.samples, {}, dataset.inputs)
    with pytest.raises(DataError, match="9 held-out samples are too few"):
        kinds.of("pairs").check(few, PARAMS)


def test_the_grid_shows_rows_of_input_generated_and_real(tmp_path: Path) -> None:
    dataset = restoration(tmp_path / "ready", "noise")
    grids = SCORING.grids(generator(lambda inputs: inputs * 0), dataset, 0)
    first = grids["generated"][2:34, 36:68]
    assert set(grids) == {"generated", "real"}
    assert (first == 128).all()  # 0 in -1..1, in the middle column
