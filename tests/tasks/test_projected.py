"""`gantry project` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from real_mlflow import tiny_generator
from typer.testing import CliRunner

from flows.cli import app


def test_pictures_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generator = tiny_generator()
    for weights in generator.network.parameters():
        weights.data *= 3
    generator.save(tmp_path / "models" / "digits" / "generator")
    drawn = generator.sample(2, seed=3)
    (tmp_path / "pictures").mkdir()
    for index, image in enumerate(drawn.samples):
        Image.fromarray(image[0]).save(tmp_path / "pictures" / f"{index}.png")

    def gantry(*words: str) -> str:
        done = CliRunner().invoke(app, ["project", "--from", "models/digits", "--input", "pictures", "--steps", "40", *words])
        return done.output if done.exception is None else str(done.exception)

    said = gantry("--out", "found.png")
    assert "0: its pixels differ by" in said
    assert Image.open("found.png").size == (2 * 34 + 2, 2 * 34 + 2)
    told = json.loads(gantry("--out", "found.npz", "--json"))
    assert all(one["distance"] < one["drawn"] for one in told)
    with np.load("found.npz") as arrays:
        assert {key: arrays[key].shape for key in arrays} == {
            "latents": (2, 4), "images": (2, 1, 8, 8), "targets": (2, 1, 8, 8), "distances": (2,), "labels": (2,),
        }  # fmt: skip
        np.testing.assert_array_equal(arrays["targets"], drawn.samples)
    assert "use .png" in gantry("--out", "found.gif")
    tiny_generator(kind="points").save(tmp_path / "models" / "digits2")
    assert "makes no images from latents" in str(
        CliRunner().invoke(app, ["project", "--from", "models/digits2", "--input", "pictures"]).exception
    )
