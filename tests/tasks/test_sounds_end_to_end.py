"""Sounds through all five stages, and what a person does with the result."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from five_stages import Done, through_all
from PIL import Image

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.sounds import Sounds
from gan_core.metrics import features
from gan_core.metrics.features import FeatureExtractor
from gan_core.training import train as train_until
from tasks import kinds
from tasks.export import export
from tasks.params import Entry, parse
from tasks.records.registry import Registry
from tasks.sample_files import write_samples
from tasks.scoring import sounds as scoring
from tasks.serving.answers import encoded, forms
from tasks.workspace import Workspace

RATE, COUNT = 2_000, 60
NETWORK = {"network": "dcgan", "width": 4}


def tone(number: int, pitch: float) -> np.ndarray:
    """A tone of a fifth of a second or more, fading, with an offset and a loudness of its own."""
    draw = np.random.default_rng(number)
    moments = np.arange(int(RATE * draw.uniform(0.2, 0.4))) / RATE
    wave = np.sin(2 * np.pi * pitch * draw.uniform(0.95, 1.05) * moments) * np.exp(-3 * moments)
    return draw.uniform(0.05, 0.8) * wave + 0.01 * draw.standard_normal(len(moments)) + 0.05


def entry(folder: Path, **train: Any) -> Entry:
    sections = {
        "data": {"source": f"folder://{folder}", "layout": "sounds", "rate": RATE, "seconds": 0.25, "bands": 16, "holdout": 0.4},
        "validate": {"min_samples": 10, "max_quarantined": 0.1},
        "train": {
            "recipe": "gan", "condition": "label", "images": 64, "batch": 8, "threads": 1, "checkpoint_every": 24,
            "generator": NETWORK, "discriminator": NETWORK, **train,
        },
        "evaluate": {"samples": 30},
        "register": {},
    }  # fmt: skip
    return parse({"generators": {"tones": sections}})["tones"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Two classes of tones, run through all five stages."""
    folder = tmp_path_factory.mktemp("sounds")
    for label, pitch in (("high", 700.0), ("low", 200.0)):
        (folder / "files" / label).mkdir(parents=True)
        for number in range(COUNT // 2):
            soundfile.write(folder / "files" / label / f"{number}.wav", tone(number, pitch), RATE)
    (folder / "files" / "low" / "broken.wav").write_bytes(b"RIFF" + bytes(100))
    one, workspace = entry(folder / "files"), Workspace(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_FEWEST", 2_000)  # enough to tell two pitches apart
        return through_all(workspace, "tones", one)


def test_a_version_is_scored_beside_real_sounds_and_becomes_the_champion(done: Done) -> None:
    report = done.workspace.report("tones")
    metrics, evaluation, decision = (json.loads((report / f"{name}.json").read_text()) for name in ("metrics", "evaluation", "decision"))
    assert {"fid", "kid", "precision", "recall", "copies", "inception_score", "label_accuracy", "modes"} <= metrics.keys()
    assert evaluation["real_against_real"].keys() == {"fid", "inception_score", "label_accuracy"}
    assert evaluation["real_against_real"]["label_accuracy"] >= 0.9  # two pitches, told apart by spectrograms
    assert evaluation["extractor"]["kind"] == "classifier"
    assert decision["outcome"] == "first"
    assert Registry.open(done.workspace).champion("tones").number == 1


def test_the_manifest_says_what_the_files_were_and_packed_sounds_are_alike(done: Done) -> None:
    import pandas as pd

    ready = done.workspace.ready("tones")
    manifest = pd.read_parquet(ready / "manifest.parquet")
    assert {"rate", "channels", "seconds", "level", "offset"} <= {*manifest.columns}
    assert manifest["seconds"].between(0.2, 0.4).all()
    assert manifest["level"].max() - manifest["level"].min() > 10  # decibels
    dataset = Dataset.open(ready)
    assert isinstance(dataset.spec, Sounds)
    assert dataset.spec.shape == (1, RATE // 4)
    assert dataset.spec.classes == ("high", "low")
    loudest = [scoring_loudness(wave) for wave in dataset.samples["train"][:, 0]]
    np.testing.assert_allclose(loudest, 0.1, rtol=0.01)
    assert "low/broken.wav" in (ready / "quarantine.csv").read_text()


def scoring_loudness(wave: np.ndarray) -> float:
    window = RATE // 10
    squares = (wave / 32_768.0) ** 2
    return float(np.sqrt(max(squares[start : start + window].mean() for start in range(len(wave) - window))))


def test_the_page_plays_sounds_and_shows_their_spectrograms(done: Done) -> None:
    report = done.workspace.report("tones")
    for name in ("generated", "real"):
        wave, rate = soundfile.read(report / "grids" / f"{name}.wav")
        assert rate == RATE
        assert np.abs(wave).max() > 0.01
        with Image.open(report / "grids" / f"{name}.png") as picture:
            assert picture.width >= 2 * 32  # a column each class
    page = (report / "report.html").read_text()
    assert page.count("<audio controls") == 2
    assert "media-src data:" in page


def test_samples_are_written_as_sounds_pictures_and_arrays(done: Done, tmp_path: Path) -> None:
    samples, classes = done.generator.sample(3, seed=1), done.generator.config.classes
    for suffix in (".wav", ".flac"):
        write_samples(samples, tmp_path / f"x{suffix}", classes)
        wave, rate = soundfile.read(tmp_path / f"x{suffix}", dtype="int16")
        assert rate == RATE
        assert len(wave) == 3 * RATE // 4 + 2 * RATE // 4  # two pauses
        np.testing.assert_array_equal(wave[: RATE // 4], samples.samples[0, 0])
    write_samples(samples, tmp_path / "x.npz", classes)
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["sounds"], samples.samples[:, 0])
        assert arrays["rate"] == RATE
        assert arrays["labels"].tolist() == [0, 1, 0]
    write_samples(samples, tmp_path / "folder", classes)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["0-high.wav", "1-low.wav", "2-high.wav"]
    np.testing.assert_array_equal(soundfile.read(tmp_path / "folder" / "1-low.wav", dtype="int16")[0], samples.samples[1, 0])
    write_samples(samples, tmp_path / "x.png", classes)
    with pytest.raises(ConfigError, match=r"\.gif is no form that sounds are written in; use .*\.wav"):
        write_samples(samples, tmp_path / "x.gif", classes)


def test_the_served_model_and_http_answer_with_sounds(done: Done) -> None:
    samples = done.generator.sample(2, seed=3)
    kind = kinds.of("sounds")
    assert kind.answered(done.generator.config) == [("string", "wav"), ("string", "label")]
    frame = kind.answer(samples, done.generator.config.classes)
    wave, rate = soundfile.read(BytesIO(base64.b64decode(frame["wav"][1])), dtype="int16")
    assert (rate, frame["label"].tolist()) == (RATE, ["high", "low"])
    np.testing.assert_array_equal(wave, samples.samples[1, 0])
    assert {"audio/wav", "audio/flac", "image/png"} <= {*forms(samples)}
    heard, _ = soundfile.read(BytesIO(encoded(done.generator, 1, samples, "audio/wav")), dtype="int16")
    np.testing.assert_array_equal(heard[: RATE // 4], samples.samples[0, 0])


def test_a_sound_is_the_same_whatever_is_drawn_beside_it(done: Done) -> None:
    together = done.generator.draw([done.generator.order(1, seed=5, label="low"), done.generator.order(6, seed=1)])
    np.testing.assert_array_equal(together[0].samples, done.generator.sample(1, seed=5, label="low").samples)
    np.testing.assert_array_equal(together[1].samples, done.generator.sample(6, seed=1).samples)


def test_a_graph_and_a_folder_are_written(done: Done, tmp_path: Path) -> None:
    assert export(done.generator, "torch-export", tmp_path / "tones.pt2", "tones").difference == pytest.approx(0, abs=1e-4)
    export(done.generator, "folder", tmp_path / "tones", "tones")
    assert any(path.suffix == ".wav" for path in (tmp_path / "tones").iterdir())


def test_training_resumes_bit_for_bit(done: Done, tmp_path: Path) -> None:
    dataset = Dataset.open(done.workspace.ready("tones"))
    stops: Callable[[], bool] = iter([False, False, False, True]).__next__
    assert not train_until(done.entry.train, dataset, tmp_path / "run", should_stop=stops)
    assert train_until(done.entry.train, dataset, tmp_path / "run")
    assert Generator.load(tmp_path / "run" / "generator").config.sha256 == done.generator.config.sha256


def test_the_judge_looks_at_pictures_of_sounds(done: Done) -> None:
    dataset = Dataset.open(done.workspace.ready("tones"))
    seen = scoring.as_pictures(dataset)
    assert isinstance(dataset.spec, Sounds)
    np.testing.assert_array_equal(seen.samples["holdout"][2:5], dataset.spec.pictured(dataset.samples["holdout"][2:5]))
    np.testing.assert_array_equal(seen.samples["holdout"][4], dataset.spec.pictured(dataset.samples["holdout"][4:5])[0])
    assert FeatureExtractor.load(done.workspace.features("tones")).fits(seen.spec)
