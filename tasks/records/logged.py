"""What the MLflow run of an entry shows of its stages, made of the files that they leave.

A stage logs it as it goes (`tracking.Logbook`); `level` makes up for what it could not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_core.data.dataset import DatasetSpec
from gan_core.params import TrainParams
from tasks.params import Entry
from tasks.records import tracking
from tasks.workspace import Workspace

_BEGUN, _TRAINED, _EVALUATED = "logged.parameters", "logged.training", "logged.evaluation"
"""Tags that are set when all of it is there: to the seed of the training, or the hash of a file that was logged."""


def begun(run: tracking.Run, workspace: Workspace, name: str, entry: Entry, params: TrainParams, spec: DatasetSpec) -> None:
    """What a training is told, and of which data.

    Args:
        params: the entry's, with the seed of this try and the processes of all hosts.
    """
    run.log_params({"data": entry.data.of_kind(), "train": params.model_dump(exclude_none=True)})
    run.log_dataset(spec, entry.data.source, tracking.dvc_hash(workspace, workspace.ready(name)))
    run.set_tags({_BEGUN: str(params.seed)})


def trained(run: tracking.Run, folder: Path, cost: Mapping[str, Any]) -> None:
    """What a training has come to: its record and its previews, both in `folder`, and what it took."""
    run.log_record(folder / "metrics.jsonl")
    for picture in sorted((folder / "samples").glob("*.png")):
        run.log_image(picture, key="samples", step=int(picture.stem))
    took = {key: str(cost[key]) for key in ("device", "seconds", "images_per_second", "processor_seconds", "peak_memory") if key in cost}
    run.set_tags({**took, _TRAINED: _hash(folder / "metrics.jsonl")})


def evaluated(run: tracking.Run, report: Path, images: int) -> None:
    """What a generator that has seen so many images scored, and how that was measured."""
    record = json.loads((report / "evaluation.json").read_text())
    run.log_metrics(json.loads((report / "metrics.json").read_text()), step=images)
    for path in ("metrics.json", "evaluation.json", "grids"):
        if (report / path).exists():
            run.log_artifact(report / path, "evaluation/grids" if path == "grids" else "evaluation")
    tags = {f"evaluation.{key}": str(record[key]) for key in ("n_real", "n_generated", "seed", "dataset_digest") if key in record}
    if record.get("extractor"):
        tags["evaluation.extractor"] = record["extractor"]["hash"]
    if "resizer" in record:
        tags["evaluation.resizer"] = record["resizer"]
    run.set_tags({**tags, _EVALUATED: _hash(report / "evaluation.json")})


def level(run: tracking.Run, workspace: Workspace, name: str, entry: Entry, params: TrainParams, spec: DatasetSpec, images: int) -> None:
    """Log what is not there yet, since MLflow was out of reach, or is another one by now; arguments as of the others."""
    model, report, there = workspace.model(name), workspace.report(name), run.tags()
    if there.get(_BEGUN) != str(params.seed):
        begun(run, workspace, name, entry, params, spec)
    if there.get(_TRAINED) != _hash(model / "metrics.jsonl"):
        trained(run, model, json.loads((model / "run.json").read_text()))
    if there.get(_EVALUATED) != _hash(report / "evaluation.json"):
        evaluated(run, report, images)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.exists() else "no such file"
