"""Every entry that Gantry brings along, made tiny, through all five stages: on real data, against a real MLflow.

What is small is the data and the budget; networks, losses and sizes are the entry's own.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from gan_core.generator import read_config
from gan_core.metrics import features, matching, segmentation
from tasks import params, scaffold
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.register import register
from tasks.train import train
from tasks.validate import validate
from tasks.workspace import Workspace

_FILES = 40  # of each folder of real data
_LINES = 600  # of a text
_BATCH = 4
_STEPS = 3
_TONED = 60  # emoji more, of figures in five skin tones each


@pytest.fixture(scope="session")
def small_data(gantry_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of real data, with a few files of each of its folders, the first lines of texts and the first images of MNIST."""
    root = tmp_path_factory.mktemp("small-data")
    for folder, below, files in os.walk(gantry_data):
        below[:] = sorted(name for name in below if name != "odd")
        target = root / Path(folder).relative_to(gantry_data)
        target.mkdir(exist_ok=True)
        for name in sorted(files)[:_FILES]:
            if name.endswith("ubyte.gz"):
                (target / name).write_bytes(_first(Path(folder, name).read_bytes(), 300))
            elif name.endswith(".txt"):
                (target / name).write_bytes(b"".join(Path(folder, name).read_bytes().splitlines(keepends=True)[:_LINES]))
            else:
                shutil.copyfile(Path(folder, name), target / name)
        if "captions.csv" in files:
            images = sorted(path.name for path in Path(folder, "images").iterdir())
            there = {f"images/{name}" for name in [*images[:_FILES], *[name for name in images if "_1f3f" in name][:_TONED]]}
            (target / "images").mkdir()
            for name in there:
                shutil.copyfile(Path(folder, name), target / name)
            of_all = Path(folder, "metadata.jsonl").read_text().splitlines(keepends=True)
            (target / "metadata.jsonl").write_text("".join(line for line in of_all if json.loads(line)["file"] in there))
            head, *rows = (target / "captions.csv").read_text().splitlines()
            (target / "captions.csv").write_text("\n".join([head, *(row for row in rows if row.split(",")[0] in there)]) + "\n")
    return root


def _first(idx: bytes, count: int) -> bytes:
    """The first samples of a gzipped idx file."""
    data = gzip.decompress(idx)
    sides = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    head, size = 4 + 4 * len(sides), 1
    for side in sides[1:]:
        size *= side
    return gzip.compress(data[:4] + count.to_bytes(4, "big") + data[8:head] + data[head : head + count * size])


def _made_tiny(entry: dict[str, Any]) -> dict[str, Any]:
    training = entry["train"]
    steps = _STEPS * training.get("discriminator_steps", 1)
    tiny: dict[str, Any] = {"images": _BATCH * steps, "batch": _BATCH, "threads": 1, "log_every": _BATCH, "preview_every": _BATCH * steps}
    if entry["data"].get("layout") == "volumes":  # three steps at the entry's own rate empty them all, and equal ones are refused
        tiny["optimizer"] = {"learning_rate": 0.0001}
    limits = {"min_samples": 10, "min_per_class": 1, "max_quarantined": 0.5}
    return {
        **entry,
        "data": {**entry["data"], "holdout": 0.4, **({"count": 200} if "count" in entry["data"] else {})},
        "validate": {**entry["validate"], **limits},
        "train": {**training, **tiny},
        "evaluate": {**entry["evaluate"], "samples": 60},
    }


def _entries() -> list[Any]:
    found = {}
    for path in [scaffold.template("params.yaml"), *sorted(scaffold.template("examples").glob("*.yaml"))]:
        found.update(YAML(typ="safe", pure=True).load(path)["generators"])
    return [pytest.param(name, entry, id=name) for name, entry in found.items()]


@pytest.mark.parametrize(("name", "entry"), _entries())
def test_an_entry_goes_through_all_five_stages(
    workspace: Workspace, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, name: str, entry: dict[str, Any]
) -> None:
    if "$GANTRY_DATA" in json.dumps(entry):
        monkeypatch.setenv("GANTRY_DATA", str(request.getfixturevalue("small_data")))
    # What is fitted learns little from so few images anyway.
    for fitted in (features, matching, segmentation):
        monkeypatch.setattr(fitted, "_EPOCHS", 1)
        monkeypatch.setattr(fitted, "_FEWEST", 200)
    tiny = params.parse({"generators": {name: _made_tiny(entry)}})[name]
    stages: list[Callable[[Workspace, str, params.Entry], None]] = [fetch, validate, train, evaluate, register]
    for stage in stages:
        stage(workspace, name, tiny)
    assert read_config(workspace.model(name) / "generator").images == tiny.train.images
    assert list((workspace.report(name) / "grids").glob("*.png"))
    scores = json.loads((workspace.report(name) / "metrics.json").read_text())
    assert scores
    decision = json.loads((workspace.report(name) / "decision.json").read_text())
    assert decision["metrics"]["challenger"] == scores
    assert decision["outcome"] == "first" or decision["outcome"].startswith("vetoed: ")
