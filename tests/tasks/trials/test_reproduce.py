"""A version made again from what DVC and the registry hold of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_core.errors import ConfigError, DataError
from gan_core.generator import read_config
from gan_core.kinds.points import Points
from tasks import params
from tasks.graph import repro
from tasks.graph.dvc_data import bringing
from tasks.params import Entry
from tasks.records import lineage, tracking
from tasks.records.registry import Registry
from tasks.scaffold import init_workspace
from tasks.train import train
from tasks.trials.reproduce import _entry, reproduce
from tasks.workspace import Workspace

SECTIONS: dict[str, Any] = {
    "data": {"source": "points://circle"},
    "validate": {},
    "train": {
        "recipe": "gan", "images": 640, "seed": 3,
        "generator": {"network": "mlp", "widths": [8]}, "discriminator": {"network": "mlp", "widths": [8]},
    },
    "evaluate": {},
    "register": {},
}  # fmt: skip


def dvc(workspace: Workspace, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=workspace.root, env=repro.environment(workspace), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Workspace:
    """A workspace with a trained circle as version 1, its data and checkpoint in DVC's cache; version 2 says another seed, 3 data that are
    gone, 4 nothing, and 5 that it was trained with privacy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = init_workspace(tmp_path_factory.mktemp("reproduce") / "w")
        shutil.copy(mlflow_database, workspace.root / "mlflow.db")
        entry = parsed(SECTIONS)
        ready = workspace.ready("circle")
        ready.mkdir(parents=True)
        angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 300)
        points = (2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
        spec = Points.pack(ready, {"train": points[:250], "holdout": points[250:]}, {"shape": "circle", "radius": 2.0, "sigma": 0.0})
        train(workspace, "circle", entry)
        model = workspace.model("circle")
        run = json.loads((model / "run.json").read_text())
        outs = {path: workspace.root / path for path in ("data/circle/ready", "models/circle/checkpoint")}
        # As the stages would have left it: added to the cache, and named in dvc.lock.
        (workspace.root / "dvc.yaml").rename(workspace.root / "dvc.yaml.aside")
        dvc(workspace, "add", "--quiet", *outs)
        lock = [{"path": path, "md5": _md5(folder.with_name(f"{folder.name}.dvc"))} for path, folder in outs.items()]
        for folder in outs.values():
            folder.with_name(f"{folder.name}.dvc").unlink()
        (workspace.root / "dvc.yaml.aside").rename(workspace.root / "dvc.yaml")
        (workspace.root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"s": {"cmd": "x", "outs": lock}}}))
        tags = {
            **lineage.tags(workspace, "circle", entry, run, {}),
            "generator_sha256": read_config(model / "generator").sha256,
            "dataset_digest": spec.digest,
        }
        registry = Registry.open(workspace)
        other = parsed({**SECTIONS, "train": {**SECTIONS["train"], "seed": 4}})
        for changed in ({}, {"params": lineage.params_text(other)}, {"dvc.ready": "0" * 32 + ".dir"}):
            registry.add("circle", run["run_id"], model / "generator", {**tags, **changed}, "")
        registry.add("circle", run["run_id"], model / "generator", {}, "")
        private = {"recipe": "tabular", "images": 100, "generator": {"network": "autoregressive"}, "privacy": {"epsilon": 1.0}}
        of_rows = parsed({**SECTIONS, "data": {"source": "table:///srv/t.csv"}, "train": private})
        registry.add("circle", run["run_id"], model / "generator", {**tags, "params": lineage.params_text(of_rows)}, "")
    return workspace


def parsed(sections: dict[str, Any]) -> Entry:
    return params.parse({"generators": {"circle": sections}})["circle"]


def _md5(pointer: Path) -> str:
    from ruamel.yaml import YAML

    return str(YAML(typ="safe", pure=True).load(pointer)["outs"][0]["md5"])


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_same_weights_come_out_though_the_workspace_has_lost_its_files(trained: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    for folder in ("data", "models"):
        (trained.root / folder).rename(trained.root / f"{folder}.lost")
    try:
        made = reproduce(trained, "circle/1", output=2)
    finally:
        for folder in ("data", "models"):
            assert not (trained.root / folder).exists(), "it worked in the workspace instead of aside"
            (trained.root / f"{folder}.lost").rename(trained.root / folder)
    assert made.equal
    assert made.registered == made.found
    assert made.checkpoint_equal
    assert made.notes == ()
    assert made.in_words.startswith("circle version 1: equal, ")
    assert capfd.readouterr().out == ""  # where a program reads the answer


def test_another_seed_is_not_equal(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "code_commit", lambda: "another")
    runs = len(Registry.open(trained).client.search_runs([Registry.open(trained).client.get_experiment_by_name("circle").experiment_id]))
    made = reproduce(trained, "circle/2")
    assert not made.equal
    assert made.checkpoint_equal is False
    assert made.largest_difference is not None
    assert made.largest_difference > 1e-3
    assert "not equal" in made.in_words
    said = Registry.open(trained).version("circle", 2).tags.get("code_commit")
    assert not said or made.notes == (f"the code's git commit is another now, and was {said}",)
    client = tracking.client(trained)
    assert len(client.search_runs([client.get_experiment_by_name("circle").experiment_id])) == runs


def test_data_that_left_the_cache_is_named(trained: Workspace) -> None:
    with pytest.raises(
        DataError, match=r"ready of DVC hash 0{32}\.dir is not whole in the cache, .*, nor in a remote, of which there is none"
    ):
        reproduce(trained, "circle/3")


def test_data_is_brought_from_a_remote(trained: Workspace, tmp_path: Path) -> None:
    copy = Workspace(Path(shutil.copytree(trained.root, tmp_path / "w", symlinks=True)))
    (copy.root / ".dvc/cache").rename(tmp_path / "remote")
    dvc(copy, "remote", "add", "--default", "store", str(tmp_path / "remote"))
    tags = Registry.open(trained).version("circle", 1).tags
    there = Workspace(tmp_path / "there")
    there.root.mkdir()
    with bringing(copy, there) as bring:
        bring(tags["dvc.ready"], there.ready("circle"))
    for name in ("train.npy", "dataset.json"):
        assert (there.ready("circle") / name).read_bytes() == (trained.ready("circle") / name).read_bytes()


def test_a_version_that_does_not_say_how_it_was_made(trained: Workspace) -> None:
    with pytest.raises(ConfigError, match="circle version 4 does not say by which parameters"):
        reproduce(trained, "circle/4")


def test_one_whose_noise_was_secret_is_refused_in_words(trained: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"circle version 5 was trained with train\.privacy: its noise is secret, and was not kept"):
        reproduce(trained, "circle/5")


@pytest.mark.parametrize(("step", "compile_"), [("compiled", "on"), ("eager", "off"), (None, "auto")])
def test_steps_are_played_as_they_were_and_not_as_auto_would_decide_here(trained: Workspace, step: str | None, compile_: str) -> None:
    made = Registry.open(trained).version("circle", 1)
    section = json.loads(made.tags["params"])
    section["train"]["compile"] = "auto"
    tags = {**made.tags, "params": json.dumps(section), **({} if step is None else {"step": step})}
    assert _entry(replace(made, tags=tags)).train.compile == compile_
