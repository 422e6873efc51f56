"""A workspace whose circle is fetched, validated, trained and registered in a second: what the stages leave, without their checks."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np

from gan_core.data.dataset import Dataset
from gan_core.generator import read_config
from gan_core.kinds.points import Points
from tasks.params import load_entry
from tasks.records import lineage
from tasks.records.registry import Registry
from tasks.start import write_scratch
from tasks.workspace import GRAPH, Workspace

NAME = "circle"


def configure(workspace: Workspace, data_seed: int, seed: int, **train: Any) -> None:
    entry = {
        "data": {"source": "points://circle", "seed": data_seed},
        "validate": {},
        "train": {
            "recipe": "gan", "images": 640, "seed": seed,
            "generator": {"network": "mlp", "widths": [8]}, "discriminator": {"network": "mlp", "widths": [8]}, **train,
        },
        "evaluate": {},
        "register": {},
    }  # fmt: skip
    (workspace.root / "params.yaml").write_text(json.dumps({"generators": {NAME: entry}}))


def write_data(workspace: Workspace, seed: int) -> None:
    """What fetch, validate and start would have left, told apart by a seed."""
    write_scratch(workspace.start(NAME))
    for folder in (workspace.raw(NAME), workspace.ready(NAME), workspace.validation(NAME)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, 300)
    points = (2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    np.save(workspace.raw(NAME) / "points.npy", points)
    (workspace.validation(NAME) / "results.json").write_text(f"{seed}")
    Points.pack(workspace.ready(NAME), {"train": points[:250], "holdout": points[250:]}, {"shape": "circle"})


def commit(workspace: Workspace) -> None:
    """Have DVC take the outputs of the stages up to train into its cache and its lock file."""
    from dvc.repo import Repo

    with Repo(str(workspace.root)) as repo:
        for stage in GRAPH[:4]:
            repo.commit(f"{stage}@{NAME}", force=True)


def register(workspace: Workspace) -> int:
    """Make what was trained a version, as the register stage does; returns its number."""
    model, entry = workspace.model(NAME), load_entry(workspace.root, NAME)
    run = json.loads((model / "run.json").read_text())
    tags = {
        **lineage.tags(workspace, NAME, entry, run, {}),
        "training_run": run["run_id"],
        "generator_sha256": read_config(model / "generator").sha256,
        "dataset_digest": Dataset.open(workspace.ready(NAME)).spec.digest,
    }
    return Registry.open(workspace).add(NAME, run["run_id"], model / "generator", tags, "").number
