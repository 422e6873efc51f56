"""A new champion's score, told by what had no part in its choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from real_mlflow import tiny_generator

from gan_core.data.dataset import Dataset
from gan_core.kinds.images import Images
from gan_core.metrics.features import RandomConvExtractor
from tasks.judging import score
from tasks.params import EvaluateParams
from tasks.register import scored_afresh

PARAMS = EvaluateParams(samples=100)


def packed(folder: Path, *splits: str) -> Dataset:
    folder.mkdir()
    random = np.random.default_rng(0)
    Images.pack(folder, {split: random.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8) for split in splits})
    return Dataset.open(folder)


def test_from_other_latents_and_beside_other_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, generator = packed(tmp_path / "three", "train", "holdout", "selection"), tiny_generator(classes=None)
    extractor = RandomConvExtractor.fit(dataset)
    found = scored_afresh(generator, dataset, extractor, PARAMS, "fid")
    assert found is not None
    again = PARAMS.model_copy(update={"seed": found["seed"]})
    assert found["seed"] != PARAMS.seed
    assert found["score"] == score(generator, dataset, extractor, again)["fid"] != score(generator, dataset, extractor, PARAMS)["fid"]
    assert found["elsewhere"] == score(generator, dataset.selecting, extractor, again)["fid"] != found["score"]
    said = f"the new champion from other latents: fid {found['score']:.4g}, beside the part for selection {found['elsewhere']:.4g}\n"
    assert capsys.readouterr().out == said


def test_without_a_second_part(tmp_path: Path) -> None:
    dataset, generator = packed(tmp_path / "two", "train", "holdout"), tiny_generator(classes=None)
    found = scored_afresh(generator, dataset, RandomConvExtractor.fit(dataset), PARAMS, "fid")
    assert found is not None
    assert found["elsewhere"] is None
