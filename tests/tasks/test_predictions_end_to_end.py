"""Predictions of clips through all five stages, and what a person does with the result."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from five_stages import Done, through_all
from PIL import Image

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.predictions import Predictions, repeated
from gan_core.metrics.pairs import psnrs
from gan_core.training import train as train_until
from tasks import kinds
from tasks.clips import encode_beginning, encode_sample
from tasks.inputs import Inputs, read_input, read_inputs
from tasks.params import Entry, parse
from tasks.sample_files import write_samples
from tasks.workspace import Workspace

SIDE, FRAMES, GIVEN, FILES = 8, 6, 2, 30


def strip(number: int) -> np.ndarray:
    """A bright square that moves to the left, every frame twice: uint8 (2 * FRAMES, SIDE, SIDE, 3)."""
    draw = np.random.default_rng(number)
    first = np.full((SIDE, SIDE, 3), 10)
    place = draw.integers(0, SIDE, 2)
    first[np.ix_((place[0] + np.arange(3)) % SIDE, (place[1] + np.arange(3)) % SIDE)] = 200
    return np.stack([np.roll(first, -(moment // 2), axis=1) for moment in range(2 * FRAMES)]).astype(np.uint8)


def entry(folder: Path, given: int | None = GIVEN) -> Entry:
    sections = {
        "data": {
            "source": f"folder://{folder}", "layout": "clips", "size": SIDE, "frames": FRAMES, "every": 2, "holdout": 0.4,
            **({} if given is None else {"given": given}),
        },
        "validate": {"min_samples": 10, "near_twins": "off", "max_quarantined": 0.2},
        "train": {
            "recipe": "pix2pix", "images": 320, "batch": 4, "threads": 1, "checkpoint_every": 120, "flip": False, "jitter": 0,
            "generator": {"width": 8}, "discriminator": {"width": 4}, "optimizer": {"learning_rate": 0.004},
        },
        "evaluate": {"samples": 40},
        "register": {"require": {"copies": "<= 1"}},
    }  # fmt: skip
    return parse({"generators": {"squares": sections}})["squares"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Squares, of whose six places two are given, run through all five stages."""
    folder = tmp_path_factory.mktemp("predictions")
    (folder / "files").mkdir()
    for number in range(FILES):
        Image.fromarray(np.concatenate(list(strip(number)), axis=1)).save(folder / "files" / f"{number}.png")
    one, workspace = entry(folder / "files"), Workspace(folder)
    return through_all(workspace, "squares", one)


def test_the_first_frames_are_given_and_the_others_predicted(done: Done) -> None:
    dataset = Dataset.open(done.workspace.ready("squares"))
    assert isinstance(dataset.spec, Predictions)
    assert (dataset.spec.shape, dataset.spec.inputs) == ((3, FRAMES - GIVEN, SIDE, SIDE), (3, GIVEN, SIDE, SIDE))
    assert dataset.spec.network_shape == (3 * (FRAMES - GIVEN), SIDE, SIDE)
    inputs, ends = dataset.inputs["train"], dataset.samples["train"]
    np.testing.assert_array_equal(np.roll(inputs[:, :, -1], -1, axis=3), ends[:, :, 0])
    np.testing.assert_array_equal(np.roll(ends[:, :, 0], -1, axis=3), ends[:, :, 1])


def test_it_is_scored_beside_repeating_the_last_frame(done: Done) -> None:
    report = done.workspace.report("squares")
    metrics, evaluation = (json.loads((report / f"{name}.json").read_text()) for name in ("metrics", "evaluation"))
    assert {"fid", "psnr", "ssim", "psnr_gain", "last_ssim", "last_ssim_gain", "partner_recall", "copies"} <= metrics.keys()
    dataset = Dataset.open(done.workspace.ready("squares"))
    inputs, real = (np.array(part["holdout"]) for part in (dataset.inputs, dataset.samples))
    plain = psnrs(repeated(inputs, FRAMES - GIVEN).reshape(len(real), -1, SIDE, SIDE), real.reshape(len(real), -1, SIDE, SIDE)).mean()
    assert evaluation["baseline"]["psnr"] == pytest.approx(plain, rel=1e-4)
    assert metrics["psnr_gain"] == pytest.approx(metrics["psnr"] - plain, abs=1e-3)
    assert metrics["psnr_gain"] > 1  # 80 steps see where the square goes
    with Image.open(report / "grids" / "generated.webp") as film:
        assert film.n_frames >= 3
    assert "last_ssim_gain" in (report / "report.html").read_text()
    assert "Making clips that go on from the frames that are given, as in " in (report / "card.md").read_text()


def test_files_of_clips_are_continued(done: Done, tmp_path: Path) -> None:
    frames = strip(1_000)
    frames[1::2] //= 2  # frames that are alike would be written as one that is shown longer
    first, *others = map(Image.fromarray, frames[: 2 * GIVEN])
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=40, lossless=True)
    given = read_inputs(tmp_path / "a.webp", Predictions.of(done.generator.config.data))
    np.testing.assert_array_equal(given.images[0], frames[[0, 2]].transpose(3, 0, 1, 2))  # each second frame, as in training
    samples = done.generator.translate(given.images)
    assert samples.samples.shape == (1, 3, FRAMES - GIVEN, SIDE, SIDE)
    write_samples(samples, tmp_path / "x.npz", given=given)
    with np.load(tmp_path / "x.npz") as arrays:
        whole = arrays["clips"]
    np.testing.assert_array_equal(whole[:, :GIVEN], given.images.swapaxes(1, 2))
    np.testing.assert_array_equal(whole[:, GIVEN:], samples.samples.swapaxes(1, 2))
    for suffix in (".gif", ".webp", ".png"):
        write_samples(samples, tmp_path / f"x{suffix}", given=given)
    write_samples(samples, tmp_path / "folder", given=given)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["0-a.webp"]
    (tmp_path / "in").mkdir()
    for name in ("b.webp", "a.webp"):
        (tmp_path / "in" / name).write_bytes((tmp_path / "a.webp").read_bytes())
    (tmp_path / "in" / "film.mkv").write_bytes(b"no film")
    with pytest.raises(ConfigError, match=r"--input .*film\.mkv: ") as refused:  # videos are clips too, and broken ones are named
        read_inputs(tmp_path / "in", Predictions.of(done.generator.config.data))
    assert "a.webp" not in str(refused.value)
    (tmp_path / "in" / "film.mkv").unlink()
    assert read_inputs(tmp_path / "in", Predictions.of(done.generator.config.data)).names == ("a", "b")
    spec = Predictions.of(done.generator.config.data)
    clip = np.random.default_rng(0).integers(0, 256, (12, SIDE, SIDE, 3), dtype=np.uint8)
    for film, frames in (("x", clip), ("y", clip[::-1])):
        (tmp_path / "films" / film).mkdir(parents=True)
        for number, pixels in enumerate(frames):
            Image.fromarray(pixels).save(tmp_path / "films" / film / f"{number + 1}.png")  # 10 stands before 2 by name
    found = read_inputs(tmp_path / "films", spec)
    assert found.names == ("x", "y")
    np.testing.assert_array_equal(found.images[0], clip[: GIVEN * spec.every : spec.every].transpose(3, 0, 1, 2))
    assert read_inputs(tmp_path / "films" / "y", spec).names == ("y",)
    (tmp_path / "films" / "y" / "1.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"^--input .*y: frame 1: not an image[^\n]*$"):
        read_inputs(tmp_path / "films", spec)
    Image.fromarray(frames[0]).save(tmp_path / "still.png")
    with pytest.raises(ConfigError, match=r"still\.png: one frame: a still picture, and a clip moves"):
        read_inputs(tmp_path / "still.png", Predictions.of(done.generator.config.data))


def test_the_served_model_is_asked_with_clips(done: Done) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (3, GIVEN, SIDE, SIDE), dtype=np.uint8)
    assert encode_sample(clip)[1] == "image/webp"
    spec = Predictions.of(done.generator.config.data)
    given = read_input(encode_beginning(clip, spec), spec, "it")
    np.testing.assert_array_equal(given, clip)
    kind = kinds.of("predictions")
    samples = done.generator.translate(clip[None])
    frame = kind.answer(samples, None)
    with Image.open(io.BytesIO(base64.b64decode(frame["webp"][0]))) as film:
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), samples.samples[0, :, 0].transpose(1, 2, 0))
    assert kind.written(samples, None, Inputs(clip[None], ("a",))).arrays["clips"].shape[1] == FRAMES


def test_training_resumes_bit_for_bit(done: Done, tmp_path: Path) -> None:
    dataset = Dataset.open(done.workspace.ready("squares"))
    stops = iter([False, False, False, True])
    assert not train_until(done.entry.train, dataset, tmp_path / "run", should_stop=lambda: next(stops, False))
    assert train_until(done.entry.train, dataset, tmp_path / "run")
    assert Generator.load(tmp_path / "run" / "generator").config.sha256 == done.generator.config.sha256


def test_what_does_not_fit_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="given: 6 of 6 frames leave none to predict; lower it, or raise frames"):
        entry(tmp_path, given=FRAMES)
    with pytest.raises(ConfigError, match=r"train\.recipe: pix2pix takes pairs or predictions, and .* has clips"):
        entry(tmp_path, given=None)
