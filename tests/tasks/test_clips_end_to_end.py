"""Clips through all five stages, and what a person does with the result."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from five_stages import Done, through_all
from PIL import Image

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.clips import Clips
from gan_core.metrics import features
from gan_core.training import train as train_until
from tasks import kinds
from tasks.evaluate import evaluate
from tasks.export import export
from tasks.params import Entry, parse
from tasks.records.registry import Registry
from tasks.register import register
from tasks.sample_files import write_samples
from tasks.serving.answers import encoded, forms
from tasks.train import train
from tasks.workspace import Workspace

SIDE, FRAMES, FILES = 8, 8, 32
NETWORK = {"network": "dcgan", "width": 4}


def strip(number: int, axis: int) -> Image.Image:
    """A bright square on a dark ground that moves up (0) or to the left (1) and comes in again on the other side: two clips and a rest."""
    draw = np.random.default_rng(number)
    first = draw.integers(0, 20, (SIDE, SIDE, 3))
    place = draw.integers(0, SIDE, 2)
    rows, columns = ((place[side] + np.arange(3)) % SIDE for side in (0, 1))
    first[np.ix_(rows, columns)] += draw.integers(120, 230, 3)
    frames = [np.roll(first, -moment, axis=axis) for moment in range(2 * FRAMES + 3)]
    return Image.fromarray(np.concatenate(frames, axis=1).astype(np.uint8))


def entry(folder: Path, **train: Any) -> Entry:
    sections = {
        "data": {"source": f"folder://{folder}", "layout": "clips", "size": SIDE, "frames": FRAMES, "holdout": 0.3},
        "validate": {"min_samples": 10, "max_quarantined": 0.1, "near_twins": "off"},
        "train": {
            "recipe": "gan", "condition": "label", "images": 64, "batch": 8, "threads": 1, "checkpoint_every": 24,
            "generator": NETWORK, "discriminator": NETWORK, "augment": True, **train,
        },
        "evaluate": {"samples": 40},
        "register": {},
    }  # fmt: skip
    return parse({"generators": {"squares": sections}})["squares"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Squares that move one way or the other, run through all five stages."""
    folder = tmp_path_factory.mktemp("clips")
    for axis, label in enumerate(("up", "left")):
        (folder / "files" / label).mkdir(parents=True)
        for number in range(FILES // 2):
            strip(2 * number + axis, axis).save(folder / "files" / label / f"{number}.png")
    Image.new("RGB", (SIDE, SIDE), "red").save(folder / "files" / "up" / "still.png")
    one, workspace = entry(folder / "files"), Workspace(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_FEWEST", 2_000)  # enough to tell two directions apart
        return through_all(workspace, "squares", one)


@pytest.fixture(scope="module")
def second(done: Done, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of their workspace, in which a second version was trained and compared with the first."""
    workspace = Workspace(Path(shutil.copytree(done.workspace.root, tmp_path_factory.mktemp("second") / "clips", symlinks=True)))
    again = entry(done.workspace.root / "files", seed=1)
    for stage in (train, evaluate, register):
        stage(workspace, "squares", again)
    return workspace


def test_a_version_is_scored_beside_real_clips_and_becomes_the_champion(done: Done) -> None:
    report = done.workspace.report("squares")
    metrics, evaluation, decision = (json.loads((report / f"{name}.json").read_text()) for name in ("metrics", "evaluation", "decision"))
    assert {"fid", "kid", "precision", "recall", "copies", "label_accuracy", "motion_distance"} <= metrics.keys()
    real = evaluation["real_against_real"]
    assert real.keys() == {"fid", "inception_score", "label_accuracy", "motion_distance"}
    assert real["label_accuracy"] >= 0.9  # the direction is all that tells the two classes apart
    assert real["motion_distance"] < 0.5
    assert evaluation["extractor"]["kind"] == "classifier"
    assert evaluation["motion"]["real"] > 1
    assert decision["outcome"] == "first"
    assert Registry.open(done.workspace).champion("squares").number == 1


def test_a_second_version_is_compared_by_features_by_direction_and_by_motion(second: Workspace) -> None:
    decision = json.loads((second.report("squares") / "decision.json").read_text())
    assert {"motion_distance", "label_accuracy"} <= {*json.dumps(decision).replace('"', " ").split()}
    assert decision["outcome"] != "first"


def test_clips_of_one_file_are_on_one_side(done: Done) -> None:
    ready = done.workspace.ready("squares")
    manifest = pd.read_parquet(ready / "manifest.parquet")
    files = manifest["path"].str.partition("#")[0]
    assert len(manifest) == 2 * FILES
    assert manifest.groupby(files)["split"].nunique().max() == 1
    assert all(sorted(starts) == [0, FRAMES] for _, starts in manifest.groupby(files)["start"])
    assert manifest["split"].value_counts()["holdout"] >= 10
    assert f"{FILES} files became {2 * FILES} clips of {FRAMES} frames; those of one file are held out together or not at all" in done.said
    assert f"{3 * FILES} frames at their ends" in done.said
    assert (manifest["frames"] == 2 * FRAMES + 3).all()
    assert (manifest["motion"] > 0).all()
    assert "up/still.png,one frame: a still picture, and a clip moves" in (ready / "quarantine.csv").read_text().replace('"', "")
    dataset = Dataset.open(ready)
    assert isinstance(dataset.spec, Clips)
    assert (dataset.spec.shape, dataset.spec.classes) == ((3, FRAMES, SIDE, SIDE), ("left", "up"))
    for label, axis in (("up", 2), ("left", 3)):
        clips = dataset.samples["train"][dataset.labels["train"] == dataset.spec.classes.index(label)]
        np.testing.assert_array_equal(np.roll(clips[:, :, 0], -1, axis=axis), clips[:, :, 1])


def test_the_page_shows_clips_that_move(second: Workspace) -> None:
    report = second.report("squares")
    assert (report / "grids" / "generated.webp").is_file()
    with Image.open(report / "grids" / "real.webp") as film, Image.open(report / "grids" / "real.png") as still:
        assert film.n_frames == FRAMES
        assert film.width == film.height  # 64 in eight columns
        assert still.width > still.height  # strips of some frames
    page = (report / "report.html").read_text()
    assert page.count("data:image/webp;base64,") >= 2
    assert "motion_distance" in page
    assert "motion_distance" in (report / "card.md").read_text()


def test_samples_are_written_as_films_frames_and_arrays(done: Done, tmp_path: Path) -> None:
    samples, classes = done.generator.sample(3, seed=1), done.generator.config.classes
    for suffix in (".gif", ".webp"):
        write_samples(samples, tmp_path / f"x{suffix}", classes)
        with Image.open(tmp_path / f"x{suffix}") as film:
            assert 2 <= film.n_frames <= FRAMES
    write_samples(samples, tmp_path / "x.npz", classes)
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["clips"], samples.samples.swapaxes(1, 2))
        assert arrays["labels"].tolist() == [0, 1, 0]
    write_samples(samples, tmp_path / "folder", classes)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["0-left.webp", "1-up.webp", "2-left.webp"]
    with Image.open(tmp_path / "folder" / "1-up.webp") as film:
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), samples.samples[1, :, 0].transpose(1, 2, 0))
    write_samples(samples, tmp_path / "x.png", classes)
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.width > 2 * picture.height  # a row each
        assert not getattr(picture, "is_animated", False)
    with pytest.raises(ConfigError, match=r"\.wav is no form that clips are written in; use .*\.gif"):
        write_samples(samples, tmp_path / "x.wav", classes)


def test_the_served_model_and_http_answer_with_clips(done: Done) -> None:
    samples = done.generator.sample(2, seed=3)
    kind = kinds.of("clips")
    assert kind.answered(done.generator.config) == [("string", "webp"), ("string", "label")]
    frame = kind.answer(samples, done.generator.config.classes)
    assert frame["label"].tolist() == ["left", "up"]
    with Image.open(io.BytesIO(base64.b64decode(frame["webp"][1]))) as film:
        film.seek(film.n_frames - 1)
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), samples.samples[1, :, -1].transpose(1, 2, 0))
    assert {"image/gif", "image/webp", "image/png", "application/x-npz"} <= {*forms(samples)}
    one = done.generator.sample(1, seed=3)
    with Image.open(io.BytesIO(encoded(done.generator, 1, one, "image/webp"))) as film:
        assert film.n_frames > 1
        assert film.size == (128, 128)  # alone, and so enlarged


def test_a_clip_is_the_same_whatever_is_drawn_beside_it(done: Done) -> None:
    together = done.generator.draw([done.generator.order(1, seed=5, label="up"), done.generator.order(6, seed=1)])
    np.testing.assert_array_equal(together[0].samples, done.generator.sample(1, seed=5, label="up").samples)
    np.testing.assert_array_equal(together[1].samples, done.generator.sample(6, seed=1).samples)


def test_a_graph_and_a_folder_are_written(done: Done, tmp_path: Path) -> None:
    assert export(done.generator, "torch-export", tmp_path / "squares.pt2", "squares").difference == pytest.approx(0, abs=1e-4)
    export(done.generator, "folder", tmp_path / "squares", "squares")


def test_training_resumes_bit_for_bit(done: Done, tmp_path: Path) -> None:
    dataset = Dataset.open(done.workspace.ready("squares"))
    stops: Callable[[], bool] = iter([False, False, False, True]).__next__
    assert not train_until(done.entry.train, dataset, tmp_path / "run", should_stop=stops)
    assert train_until(done.entry.train, dataset, tmp_path / "run")
    assert Generator.load(tmp_path / "run" / "generator").config.sha256 == done.generator.config.sha256


def test_what_does_not_fit_clips_is_refused(tmp_path: Path) -> None:
    def refused(match: str, layout: str = "clips", validate: dict[str, Any] | None = None, **data: Any) -> None:
        sections = {"data": {"source": f"folder://{tmp_path}", "layout": layout, **data}, "train": {"recipe": "gan"}}
        with pytest.raises(ConfigError, match=match):
            parse({"generators": {"squares": {"validate": validate or {}, "evaluate": {}, "register": {}, **sections}}})

    refused(r"data\.size: 30 cannot be halved", size=30)
    refused("fit: random-crop takes parts of pictures, and clips are shown whole", fit="random-crop")
    refused("data: frames: only for clips", layout="images", frames=8)
    refused("validate.max_frames: only for clips", layout="images", validate={"max_frames": 8})
    refused("labels: clips of layout frame-folders have folders as their classes, or none", layout="frame-folders", labels="labels.csv")
    refused("rate: only for sounds", rate=8_000)
