"""Snapshots are scored by what decides between versions, on a part of the data that neither training nor the gate looks at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from circle_workspace import NAME, configure
from numpy.typing import NDArray

from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.captions import Captioned
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.points import Points
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.kinds.unpaired import Unpaired
from gan_core.metrics.features import FeatureExtractor
from gan_core.params import RECIPES
from gan_core.recipes import build_recipe
from tasks.params import load_entry
from tasks.selecting import scorer
from tasks.start import write_scratch
from tasks.train import train
from tasks.workspace import Workspace

COUNTS = {"train": 60, "holdout": 20, "selection": 24}


def pictures(channels: int = 1) -> dict[str, NDArray[Any]]:
    draw = np.random.default_rng(0)
    return {split: draw.integers(0, 256, (count, channels, 16, 16), dtype=np.uint8) for split, count in COUNTS.items()}


def labels() -> dict[str, list[int]]:
    return {split: [number % 2 for number in range(count)] for split, count in COUNTS.items()}


def circle(folder: Path) -> None:
    angles = {split: np.random.default_rng(count).uniform(0, 2 * np.pi, count) for split, count in COUNTS.items()}
    points = {split: (2 * np.stack([np.cos(at), np.sin(at)], axis=1)).astype(np.float32) for split, at in angles.items()}
    Points.pack(folder, points, {"shape": "circle", "radius": 2.0, "sigma": 0.0})


def table(folder: Path) -> None:
    rows = {split: np.random.default_rng(count).normal(size=(count, 3)) for split, count in COUNTS.items()}
    columns = tuple(Column(name, "number", "float64") for name in "abc")
    Table.pack(folder, rows, Schema(columns, "kind", "string"), labels(), ("no", "yes"), modes=1)


def captions(folder: Path) -> None:
    told = {split: [[f"picture of {('one', 'two', 'three')[i % 3]}"] for i in range(count)] for split, count in COUNTS.items()}
    Captioned.pack(folder, pictures(3), told)


DCGAN = {"network": "dcgan", "width": 4}
KINDS: Mapping[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "points": (circle, {"recipe": "gan"}, "radius_error"),
    "images": (
        lambda folder: Images.pack(folder, pictures()),
        {"recipe": "gan", "generator": DCGAN, "discriminator": DCGAN},
        "whitened_kid",
    ),
    "labels": (
        lambda folder: Images.pack(folder, pictures(), labels(), ("no", "yes")),
        {"recipe": "gan", "condition": "label", "generator": DCGAN, "discriminator": DCGAN},
        "fid",
    ),
    "pairs": (lambda folder: Pairs.pack(folder, pictures(), pictures()), {"recipe": "pix2pix"}, "whitened_kid"),
    "unpaired": (lambda folder: Unpaired.pack(folder, pictures(), pictures()), {"recipe": "cyclegan"}, "fid"),
    "captions": (captions, {"recipe": "stackgan"}, "kid"),
    "table": (table, {"recipe": "tabular"}, "detection"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind == "captions" else []) for kind in KINDS])
def test_each_kind_is_scored_by_what_decides_on_what_is_kept_for_it(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant in ("_FEWEST", "_MOST"):  # a classifier that is fitted for a moment scores as well here
        monkeypatch.setattr(f"gan_core.metrics.features.{constant}", 200)
    pack, given, metric = KINDS[kind]
    (tmp_path / "ready").mkdir()
    pack(tmp_path / "ready")
    dataset = Dataset.open(tmp_path / "ready")
    params = RECIPES.named(given["recipe"]).model_validate({"images": 1_000, "batch": 4, **given})
    recipe = build_recipe(params, dataset.spec, torch.device("cpu"))
    generator = Generator(recipe.generator_config(0), recipe.players[recipe.shipped].eval())
    found = scorer("x", dataset, tmp_path / "features", 1_000)(generator)
    assert found is not None
    assert (found.metric, found.lower_is_better, np.isfinite(found.value)) == (metric, True, True)
    # What is held out may be anything, and the features that were fitted are kept.
    blind = replace(dataset, samples={**dataset.samples, "holdout": np.zeros_like(dataset.samples["holdout"])})
    assert scorer("x", blind, tmp_path / "features", 1_000)(generator) == found
    if kind == "images":  # the truth about points is known, and the others are as these
        other = np.roll(np.array(dataset.samples["selection"]), 1, axis=-1)[:12]
        moved = replace(dataset, samples={**dataset.samples, "selection": np.concatenate([other, other])})
        elsewhere = scorer("x", moved, tmp_path / "features", 1_000)(generator)
        assert elsewhere is not None
        assert elsewhere.value != found.value


def test_what_snapshots_are_compared_with_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ready").mkdir()
    Images.pack(tmp_path / "ready", pictures())
    dataset, seen, features = Dataset.open(tmp_path / "ready"), list[int](), FeatureExtractor.features

    def counted(self: FeatureExtractor, images: NDArray[Any]) -> NDArray[np.float32]:
        seen.append(len(images))
        return features(self, images)

    monkeypatch.setattr(FeatureExtractor, "features", counted)
    params = RECIPES.named("gan").model_validate({"images": 1_000, "generator": DCGAN, "discriminator": DCGAN})
    recipe = build_recipe(params, dataset.spec, torch.device("cpu"))
    score = scorer("x", dataset, tmp_path / "features", 1_000)
    generator = Generator(recipe.generator_config(0), recipe.players[recipe.shipped].eval())
    assert score(generator) == score(generator)
    assert seen == [24, 240, 60, 240]  # held-out, generated, training images, and generated ones again


def test_a_generator_that_draws_one_sample_has_no_score(tmp_path: Path) -> None:
    (tmp_path / "ready").mkdir()
    Images.pack(tmp_path / "ready", pictures())
    dataset = Dataset.open(tmp_path / "ready")
    params = RECIPES.named("gan").model_validate({"images": 1_000, "generator": DCGAN, "discriminator": DCGAN})
    recipe = build_recipe(params, dataset.spec, torch.device("cpu"))
    network = recipe.players[recipe.shipped].eval()
    for weight in network.parameters():
        weight.data.zero_()
    assert scorer("x", dataset, tmp_path / "features", 1_000)(Generator(recipe.generator_config(0), network)) is None


def test_the_stage_ships_the_best_and_says_which(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    # Rates that are far too high at the end of the budget, where nothing decays them: it gets worse again.
    configure(workspace, 0, 1, select="best", patience=0.5, log_every=64)
    entries = json.loads((workspace.root / "params.yaml").read_text())
    with pytest.raises(ConfigError, match=r"train\.select: best .* data\.selection is not set; write a share, such as 0\.1"):
        load_entry(workspace.root, NAME)
    entries["generators"][NAME]["data"]["selection"] = 24
    (workspace.root / "params.yaml").write_text(json.dumps(entries))
    write_scratch(workspace.start(NAME))
    workspace.ready(NAME).mkdir(parents=True)
    circle(workspace.ready(NAME))
    entry = load_entry(workspace.root, NAME)
    assert train(workspace, NAME, entry) is None
    model = workspace.model(NAME)
    told = json.loads((model / "run.json").read_text())["selected"]
    curve = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    scores = {line["images"]: line["selection_radius_error"] for line in curve if "selection_radius_error" in line}
    assert (told["metric"], told["value"], told["scored"]) == ("radius_error", min(scores.values()), len(scores))
    assert scores[told["images"]] == told["value"]
    assert Generator.load(model / "generator").config.images == checkpoint.read(model / "checkpoint").images == told["images"]
    assert "is shipped, its radius_error of" in capsys.readouterr().err
    # Stopped half-way and gone on with: the same, though what the best was is known from the checkpoint alone.
    expected = {path: (model / path).read_bytes() for path in ("generator/generator.safetensors", "metrics.jsonl")}
    shutil.rmtree(model)
    assert train(workspace, NAME, entry, until=told["images"] + 64) is not None
    assert train(workspace, NAME, entry) is None
    assert {path: (model / path).read_bytes() for path in expected} == expected
    assert json.loads((model / "run.json").read_text())["selected"] == told
