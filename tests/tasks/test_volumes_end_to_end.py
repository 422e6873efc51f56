"""Volumes through all five stages, and what a person does with the result."""

from __future__ import annotations

import base64
import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
import trimesh
from five_stages import Done, through_all
from PIL import Image

from gan_core.data.dataset import PREVIEW_SEED, PROBE, Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.volumes import Volumes
from gan_core.training import train as train_until
from gan_core.watch import Spread, diversity
from tasks import kinds
from tasks.evaluate import evaluate
from tasks.export import export
from tasks.params import Entry, parse
from tasks.records.registry import Registry
from tasks.register import register
from tasks.sample_files import write_samples
from tasks.serving.answers import encoded, forms
from tasks.train import train
from tasks.validation.volumes import decode_volume
from tasks.workspace import Workspace

SIDE, OBJECTS = 8, 30
NETWORK = {"network": "dcgan", "width": 4}


def box(number: int) -> np.ndarray:
    """A box of a size and place of its own, bool (SIDE, SIDE, SIDE)."""
    draw = np.random.default_rng(number)
    sizes = draw.integers(2, SIDE - 1, 3)
    starts = [int(draw.integers(0, SIDE - size)) for size in sizes]
    grid = np.zeros((SIDE, SIDE, SIDE), dtype=bool)
    grid[tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))] = True
    return grid


def entry(folder: Path, **train: Any) -> Entry:
    sections = {
        "data": {"source": f"folder://{folder}", "layout": "volumes", "size": SIDE, "holdout": 0.3, "group": r"box_(\d+)_"},
        "validate": {"min_samples": 10, "max_quarantined": 0.1},
        "train": {
            "recipe": "gan", "images": 64, "batch": 8, "threads": 1, "checkpoint_every": 24,
            "generator": NETWORK, "discriminator": NETWORK, "augment": True, **train,
        },
        "evaluate": {"samples": 40},
        "register": {"require": {"connected": ">= 0"}},
    }  # fmt: skip
    return parse({"generators": {"boxes": sections}})["boxes"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Boxes, each turned twice, run through all five stages."""
    folder = tmp_path_factory.mktemp("volumes")
    (folder / "files").mkdir()
    for number in range(OBJECTS):
        for turn in (0, 1):
            grid = np.rot90(box(number), turn)
            scipy.io.savemat(folder / "files" / f"box_{number}_{turn}.mat", {"instance": grid.astype(np.int8)})
    (folder / "files" / "broken.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    one, workspace = entry(folder / "files"), Workspace(folder)
    return through_all(workspace, "boxes", one)


def test_a_version_is_scored_beside_real_volumes_and_becomes_the_champion(done: Done) -> None:
    report = done.workspace.report("boxes")
    metrics, evaluation, decision = (json.loads((report / f"{name}.json").read_text()) for name in ("metrics", "evaluation", "decision"))
    assert {"fid", "kid", "precision", "recall", "copies", "iou_coverage", "iou_nna", "connected"} <= metrics.keys()
    real = evaluation["real_against_real"]
    assert real.keys() == {"fid", "whitened_kid", "iou_coverage", "iou_nna", "connected"}
    assert real["connected"] == 1  # boxes are whole
    assert evaluation["extractor"]["kind"] == "random"
    assert decision["outcome"] == "first"
    assert Registry.open(done.workspace).champion("boxes").number == 1


def test_a_second_version_is_compared_by_features_and_by_overlap(done: Done) -> None:
    again = entry(done.workspace.root / "files", seed=1)
    for stage in (train, evaluate, register):
        stage(done.workspace, "boxes", again)
    decision = json.loads((done.workspace.report("boxes") / "decision.json").read_text())
    assert "iou_nna" in json.dumps(decision)
    assert decision["outcome"] != "first"


def test_turned_views_of_one_object_are_on_one_side(done: Done) -> None:
    ready = done.workspace.ready("boxes")
    manifest = pd.read_parquet(ready / "manifest.parquet")
    objects = manifest["path"].str.extract(r"box_(\d+)_")[0]
    assert manifest.groupby(objects)["split"].nunique().max() == 1
    assert manifest["split"].value_counts()["holdout"] >= 10
    assert "60 samples are of 30 groups, each held out as a whole" in done.said
    assert {"form", "voxels", "filled", "pieces"} <= {*manifest.columns}
    assert (manifest["form"] == "mat").all()
    assert (manifest["pieces"] == 1).all()
    assert "broken: no readable .mat file" in (ready / "quarantine.csv").read_text()
    dataset = Dataset.open(ready)
    assert isinstance(dataset.spec, Volumes)
    assert dataset.spec.shape == (1, SIDE, SIDE, SIDE)
    assert set(np.unique(dataset.samples["train"])) == {0, 255}


def test_the_page_shows_volumes_from_several_sides(done: Done) -> None:
    report = done.workspace.report("boxes")
    for name in ("generated", "real", "turned", "copies"):
        with Image.open(report / "grids" / f"{name}.png") as picture:
            assert picture.width >= 4 * 64
            assert len(set(picture.convert("L").getdata())) > 3 or name in ("generated", "turned")  # shaded
    assert "iou_nna" in (report / "report.html").read_text()
    assert "iou_coverage" in (report / "card.md").read_text()


def test_samples_are_written_as_meshes_voxels_pictures_and_arrays(done: Done, tmp_path: Path) -> None:
    samples = done.generator.sample(3, seed=1)
    samples.samples[:] = 0
    samples.samples[:, 0, 1:5, 2:4, 1:7] = 255
    for suffix in (".ply", ".stl", ".obj"):
        write_samples(samples, tmp_path / f"x{suffix}")
        mesh = trimesh.load_mesh(tmp_path / f"x{suffix}")
        assert len(mesh.split()) == 3
        assert mesh.volume == pytest.approx(3 * 4 * 2 * 6, rel=0.2)  # corners are cut, and it is not inside out
        assert mesh.bounds[0].tolist() == pytest.approx([1, 2, 1])
    write_samples(samples, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["volumes"], samples.samples[:, 0] > 0)
    write_samples(samples, tmp_path / "folder")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["0.ply", "1.ply", "2.ply"]
    write_samples(samples, tmp_path / "x.png")
    with pytest.raises(ConfigError, match=r"\.binvox holds one volume, and 3 were drawn"):
        write_samples(samples, tmp_path / "x.binvox")
    with pytest.raises(ConfigError, match=r"\.wav is no form that volumes are written in; use .*\.ply"):
        write_samples(samples, tmp_path / "x.wav")


def test_the_served_model_and_http_answer_with_volumes(done: Done) -> None:
    samples = done.generator.sample(2, seed=3)
    samples.samples[:, 0, 2:4, 1:5, 1:3] = 255
    samples.samples[:, 0, 0, 0, 0] = 0
    kind = kinds.of("volumes")
    assert kind.answered(done.generator.config) == [("string", "binvox")]
    data = base64.b64decode(kind.answer(samples, None)["binvox"][1])
    np.testing.assert_array_equal(decode_volume(data, SIDE, "z", done.entry.validation).voxels, samples.samples[1])
    assert {"model/stl", "model/obj", "image/png", "application/x-npz"} <= {*forms(samples)}
    assert encoded(done.generator, 1, samples, "model/stl")[80:84] != bytes(4)
    assert encoded(done.generator, 1, samples, "image/png").startswith(b"\x89PNG")


def test_a_volume_is_the_same_whatever_is_drawn_beside_it(done: Done) -> None:
    together = done.generator.draw([done.generator.order(1, seed=5), done.generator.order(6, seed=1)])
    np.testing.assert_array_equal(together[0].samples, done.generator.sample(1, seed=5).samples)
    np.testing.assert_array_equal(together[1].samples, done.generator.sample(6, seed=1).samples)


def test_a_graph_and_a_folder_are_written(done: Done, tmp_path: Path) -> None:
    assert export(done.generator, "torch-export", tmp_path / "boxes.pt2", "boxes").difference == pytest.approx(0, abs=1e-4)
    export(done.generator, "folder", tmp_path / "boxes", "boxes")


def test_a_generator_that_fills_nothing_yet_has_not_collapsed(done: Done) -> None:
    """As at the start of a training, when no voxel is above the middle."""
    dataset, early = Dataset.open(done.workspace.ready("boxes")), Generator(done.generator.config, copy.deepcopy(done.generator.network))
    last = next(module for module in reversed([*early.network.modules()]) if isinstance(module, torch.nn.Conv3d))
    with torch.no_grad():
        last.bias -= early.made(early.order(PROBE, PREVIEW_SEED)).atanh().max() + 0.01
    drawn, real = early.sample(PROBE, PREVIEW_SEED).samples, Spread.of(dataset.samples["train"])
    assert not drawn.any()
    assert diversity(dataset.spec.comparable(drawn), real) == 0
    assert diversity(dataset.spec.comparable(dataset.spec.probe(early, dataset).samples), real) > 0


def test_training_resumes_bit_for_bit(done: Done, tmp_path: Path) -> None:
    dataset = Dataset.open(done.workspace.ready("boxes"))
    stops: Callable[[], bool] = iter([False, False, False, True]).__next__
    assert not train_until(done.entry.train, dataset, tmp_path / "run", should_stop=stops)
    assert train_until(done.entry.train, dataset, tmp_path / "run")
    assert Generator.load(tmp_path / "run" / "generator").config.sha256 == done.generator.config.sha256


def test_what_does_not_fit_volumes_is_refused(tmp_path: Path) -> None:
    def refused(match: str, **data: Any) -> None:
        sections = {"data": {"source": f"folder://{tmp_path}", "layout": "volumes", **data}, "train": {"recipe": "gan"}}
        with pytest.raises(ConfigError, match=match):
            parse({"generators": {"boxes": {"validate": {}, "evaluate": {}, "register": {}, **sections}}})

    refused(re.escape("data: size: volumes have at most 128 voxels along each side, not 256"), size=256)
    refused("data: size: volumes are cubes; write one number of voxels, not", size=[32, 64])
    refused("data.size: 30 cannot be halved", size=30)
    refused("data.group: '[(]' is no regular expression", group="(")
    refused("rate: only for sounds", rate=8_000)
    refused("data: up: only for volumes", layout="images", up="y")
