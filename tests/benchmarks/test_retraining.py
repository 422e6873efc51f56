"""The benchmark of retraining, of a few points and steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import retraining
from benchmarks.retraining import Record, lines_of, measure, reached
from benchmarks.retraining_cases import Case, Start
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.points import Points
from gan_core.params import GanParams


def test_the_share_is_the_first_at_which_the_curve_is_as_near() -> None:
    curve = [9.0] * 4 + [5.0] + [6.0] * (retraining.POINTS - 5)
    assert [reached(curve, distance) for distance in (9.0, 5.5, 4.0)] == ["0.05", "0.25", "never"]


def test_what_a_record_holds_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retraining, "POINTS", 2)
    points = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    Points.pack(tmp_path, {"train": points[:40], "holdout": points[40:]}, {"shape": "ring"})
    dataset = Dataset.open(tmp_path)
    network = {"network": "mlp", "widths": [8]}
    params = GanParams.model_validate({"images": 64, "batch": 16, "generator": network, "discriminator": network})

    def spread(generator: Generator) -> float:
        return float(np.abs(generator.sample(20, seed=0).samples).mean())

    case = Case("toy", dataset, params, {"": spread, ", twice": lambda generator: 2 * spread(generator)}, {"itself": Start(dataset)})
    kept, picture = tmp_path / "curves.json", tmp_path / "curves.png"
    measure(case, 0, tmp_path / "first", Record(kept))
    monkeypatch.setattr(retraining, "train", None)  # whatever trains now raises
    record = Record(kept)
    measure(case, 0, tmp_path / "second", record)

    whole, twice = (record.of(case.name, part, 0) for part in case.scores)
    assert {name: [2 * score for score in scores] for name, scores in whole.items()} == twice
    assert whole["itself"] != whole["scratch"]
    assert lines_of(case, "", [whole])[0].startswith("| toy | itself | 64 | ")
    record.draw(picture)
    with Image.open(picture) as image:
        assert len(np.unique(np.asarray(image).reshape(-1, 4), axis=0)) > 10  # lines of two colours, not an empty sheet
