"""Paired translation and restoration through all five stages, and what a person does with the result."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from raw_sets import png
from real_mlflow import tiny_generator

from flows import cli
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.pairs import Pairs
from gan_core.params import Pix2pixParams
from gan_core.params.common import Corruption
from gan_core.recipes import build_recipe
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.inputs import read_inputs
from tasks.params import Entry, parse
from tasks.records.registry import Registry
from tasks.register import register
from tasks.samples import encode_png
from tasks.start import Origin, pinned, start
from tasks.train import train
from tasks.validate import validate
from tasks.workspace import Workspace

TRAIN = {"recipe": "pix2pix", "images": 32, "batch": 4, "threads": 1, "generator": {"width": 4}, "discriminator": {"width": 4}}


def entry(data: dict[str, Any], **evaluation: Any) -> Entry:
    sections = {"data": {"size": 16, "holdout": 0.4, **data}, "validate": {"min_samples": 10}, "train": TRAIN}
    return parse({"generators": {"tiny": {**sections, "evaluate": evaluation, "register": {}}}})["tiny"]


def photo_and_map(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright rectangle on dark ground, and its label map in two colours."""
    draw = np.random.default_rng(number)
    inside = np.zeros((16, 16, 1), dtype=bool)
    top, left, bottom, right = *draw.integers(0, 7, 2), *draw.integers(9, 17, 2)
    inside[top:bottom, left:right] = True
    photo = np.where(inside, 190, 60) + draw.integers(-20, 21, (16, 16, 3))
    return photo.astype(np.uint8), np.where(inside, np.uint8([255, 85, 0]), np.uint8([0, 0, 170]))


def run(workspace: Workspace, one: Entry) -> dict[str, Any]:
    for stage in (fetch, validate, train, evaluate, register):
        stage(workspace, "tiny", one)
    report = workspace.report("tiny")
    found: dict[str, Any] = {key: json.loads((report / f"{key}.json").read_text()) for key in ("metrics", "evaluation", "decision")}
    return found


def served(workspace: Workspace, folder: Path) -> Any:
    from mlflow import pyfunc

    registry = Registry.open(workspace)
    champion = registry.champion("tiny")
    assert champion is not None
    return pyfunc.load_model(str(registry.download(champion, folder)))


def test_label_maps_become_photos_in_all_five_stages(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(50):
        (source / f"{number:02}.png").write_bytes(png(np.concatenate(photo_and_map(number), axis=1)))
    one = entry({"source": f"folder://{source}", "layout": "side-by-side", "direction": "b-to-a"}, features="segmentation")
    found = run(workspace, one)
    assert list(found["metrics"]) == ["copies", "fid", "kid", "l1", "partner_recall", "psnr", "segmentation_ratio", "ssim"]
    assert 0 < found["metrics"]["segmentation_ratio"] < 1.1
    assert found["evaluation"]["extractor"]["kind"] == "segmentation"
    assert found["evaluation"]["extractor"]["holdout_accuracy"] > 0.9
    assert "baseline" not in found["evaluation"]
    assert found["decision"]["outcome"] == "first"

    # The same map by Python, by the command line and by the served model gives the same photo.
    _, label_map = photo_and_map(99)
    (tmp_path / "map.png").write_bytes(png(label_map))
    generator = Generator.load(workspace.model("tiny") / "generator")
    expected = generator.translate(label_map.transpose(2, 0, 1)[None]).samples[0]
    monkeypatch.chdir(workspace.root)
    out = tmp_path / "photos"
    cli.sample("tiny", given=tmp_path / "map.png", out=out)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "0-map.png")), expected.transpose(1, 2, 0))
    model = served(workspace, tmp_path / "download")
    answer = model.predict(pd.DataFrame({"input": [base64.b64encode((tmp_path / "map.png").read_bytes()).decode()]}))
    assert list(answer["png"]) == [base64.b64encode(encode_png(expected)).decode()]
    for rows, message in (
        (pd.DataFrame({"input": ["no base64!"]}), "input: row 0 holds no base64"),
        (pd.DataFrame({"input": [base64.b64encode(b"GIF8 and no more").decode()]}), "input: row 0: broken: begins like a GIF file"),
    ):
        with pytest.raises(Exception, match=message):
            model.predict(rows)

    # Trained again with another seed, it is compared with the champion.
    settings = one.train.model_copy(update={"seed": 1})
    again = run(workspace, one.model_copy(update={"train": settings}))
    assert again["decision"]["metrics"]["champion"]["psnr"] == pytest.approx(found["metrics"]["psnr"])

    # The other way round a training starts from it with a discriminator that judges exchanged pairs.
    back = entry({"source": f"folder://{source}", "layout": "side-by-side", "direction": "a-to-b"})
    told, unsaid = (
        "run the other way round: input and output exchanged in players/discriminator",
        "is not known, and is taken to be",
    )

    def started(what: str, **options: Any) -> tuple[bool, str]:
        train = one.train.model_validate({**TRAIN, "start": what, **options})
        start(workspace, "back", back.model_copy(update={"train": train}))
        found = pinned(workspace, "back", train)
        assert found is not None
        return found.checkpoint.facts.get("reversed", False), capsys.readouterr().out

    for stage in (fetch, validate):
        stage(workspace, "back", back)
    is_reversed, said = started("./models/tiny")  # the arrays are the same
    assert (is_reversed, told in said) == (True, True)
    for number in range(50, 55):
        (source / f"{number}.png").write_bytes(png(np.concatenate(photo_and_map(number), axis=1)))
    for stage in (fetch, validate):
        stage(workspace, "back", back)
    is_reversed, said = started("./models/tiny")
    assert (is_reversed, told in said, unsaid in said) == (False, False, True)
    _, said = started("./models/tiny", reversed=True)
    assert (told in said, unsaid in said) == (True, False)
    version = Origin("tiny/1", None, workspace.model("tiny") / "checkpoint", described=one.data)  # which says its source and direction
    monkeypatch.setattr("tasks.start.look_up", lambda *_: version)
    is_reversed, said = started("tiny")
    assert (is_reversed, told in said) == (True, True)
    with pytest.raises(ConfigError, match=r"train\.replay: tiny/1 was trained on pairs that run the other way round; leave train\.replay"):
        started("tiny", replay=0.25)


@pytest.mark.parametrize("corruption", ["mask", "grey"])
def test_spoiled_images_are_restored_in_all_five_stages(workspace: Workspace, tmp_path: Path, corruption: Corruption) -> None:
    for number in range(40):
        folder = tmp_path / "source" / ("even" if number % 2 == 0 else "odd")
        folder.mkdir(parents=True, exist_ok=True)
        photo, label_map = photo_and_map(number)
        (folder / f"{number}.png").write_bytes(png(photo // 2 + label_map // 2))
    found = run(workspace, entry({"source": f"folder://{tmp_path / 'source'}", "corruption": corruption}))
    more = {"hole_psnr", "hole_psnr_gain"} if corruption == "mask" else set()
    assert (
        set(found["metrics"])
        == {"copies", "fid", "kid", "whitened_kid", "l1", "partner_recall", "psnr", "ssim", "psnr_gain", "fid_ratio"} | more
    )
    baseline = found["evaluation"]["baseline"]
    assert found["metrics"]["fid_ratio"] == pytest.approx(found["metrics"]["fid"] / baseline["fid"], rel=1e-4)
    assert found["metrics"]["psnr_gain"] == pytest.approx(found["metrics"]["psnr"] - baseline["psnr"], abs=1e-3)
    config = Generator.load(workspace.model("tiny") / "generator").config
    assert (config.kind, config.inputs) == ("pairs", (3 if corruption == "mask" else 1, 16, 16))


class TestAsking:
    """What a person is told who asks a generator for what it cannot do."""

    @pytest.fixture
    def translating(self, tmp_path: Path) -> Path:
        spec = Pairs((3, 16, 16), {"train": 4, "holdout": 1}, inputs=(1, 16, 16))
        recipe = build_recipe(Pix2pixParams.model_validate(TRAIN), spec, torch.device("cpu"))
        Generator(recipe.generator_config(1), recipe.players["generator"]).save(tmp_path / "translating")
        return tmp_path / "translating"

    def test_a_folder_of_pictures_is_translated(self, translating: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "in" / "deeper").mkdir(parents=True)
        (tmp_path / "in" / "notes.txt").write_text("no picture")
        for name, size in (("b.png", (20, 16, 3)), ("deeper/a b.png", (8, 8)), ("plain.png", (16, 16))):
            pixels = np.full(size, 40, np.uint8) if name == "plain.png" else np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
            (tmp_path / "in" / name).write_bytes(png(pixels))
        cli.sample(None, source=translating, given=tmp_path / "in", out=tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0-b.png", "1-a_b.png", "2-plain.png"]
        assert "3 samples in" in capsys.readouterr().out
        cli.sample(None, source=translating, given=tmp_path / "in", out=tmp_path / "out.png")
        sheet = np.asarray(Image.open(tmp_path / "out.png"))
        assert sheet.shape == (3 * 34 + 2, 2 * 34 + 2, 3)
        given = read_inputs(tmp_path / "in", Pairs((1, 16, 16), inputs=(1, 16, 16))).images[0, 0]
        np.testing.assert_array_equal(sheet[2:34:2, 2:34:2, 0], given)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "makes images from images; say from which with --input FILE"),
            ({"given": Path("nowhere.png")}, "--input nowhere.png: not there"),
            ({"given": Path()}, "no pictures in it"),
            ({"given": Path("x.png"), "count": 3}, "leave all but --input, --tile and --out out"),
            ({"given": Path("x.png"), "label": "cat"}, "leave all but --input, --tile and --out out"),
        ],
    )
    def test_a_translating_generator_needs_pictures_and_nothing_else(
        self, translating: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
    ) -> None:
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
        with pytest.raises(ConfigError, match=message):
            cli.sample(None, source=translating, out=tmp_path / "out.png", **options)
        assert not (tmp_path / "out.png").exists()

    def test_every_broken_picture_is_named(self, translating: Path, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "1.png").write_bytes(b"")
        (tmp_path / "in" / "2.png").write_bytes(b"<html>")
        with pytest.raises(ConfigError, match=r"1\.png: empty file\n.*2\.png: a web page"):
            cli.sample(None, source=translating, given=tmp_path / "in", out=tmp_path / "out.png")

    def test_a_drawing_generator_takes_no_pictures(self, generator_folder: Path, tmp_path: Path, workspace: Workspace) -> None:
        with pytest.raises(ConfigError, match="draws samples and is given no pictures; leave --input out"):
            cli.sample(None, source=generator_folder, given=tmp_path, out=tmp_path / "out.png")
        tiny_generator().save(tmp_path / "served" / "generator")
        from mlflow import pyfunc

        from tasks.records import tracking

        registry = Registry.open(workspace)
        with tracking.run(workspace, "tiny") as record:
            version = registry.add("tiny", record.id, tmp_path / "served" / "generator", {}, "a test")
        model = pyfunc.load_model(str(registry.download(version, tmp_path / "download")))
        with pytest.raises(Exception, match="input: this generator draws samples and is given no pictures; leave it out"):
            model.unwrap_python_model().predict(None, pd.DataFrame({"input": ["aGk="]}))
