"""What trainings for equal processor seconds share: data made ready with their features, and how many images a game sees in that time."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from gan_core.data.dataset import Dataset
from gan_core.metrics.features import FeatureExtractor
from gan_core.params import TrainParams
from gan_core.training import Progress, train
from tasks.evaluate import kept_or_fitted
from tasks.fetch import fetch
from tasks.params import Entry
from tasks.scaffold import init_workspace
from tasks.validate import validate
from tasks.workspace import Workspace

_ROUND, _MEASURED = 8, 3.0
"""Steps from one lazy penalty to the next, which come before speed is measured and are whole in it; and its least processor seconds."""


def prepared(folder: Path, name: str, entry: Entry) -> tuple[Dataset, FeatureExtractor | None]:
    """The entry's data and the features it is scored by, made in a workspace at `folder` unless they are there already."""
    workspace = Workspace(folder) if folder.exists() else init_workspace(folder)
    if not workspace.ready(name).exists():
        fetch(workspace, name, entry)
        validate(workspace, name, entry)
    dataset = Dataset.open(workspace.ready(name))
    return dataset, kept_or_fitted(workspace.features(name), name, dataset, entry.evaluation)


def images_in(seconds: float, params: TrainParams, dataset: Dataset) -> int:
    """How many images a training sees in some processor seconds, as far as a few of them tell."""
    started: list[tuple[float, int]] = []
    steps = 0

    def on_progress(now: Progress) -> None:
        nonlocal steps
        steps += 1
        if steps >= _ROUND:
            started.append((time.process_time(), now.images))

    def is_measured() -> bool:
        return len(started) > 1 and len(started) % _ROUND == 1 and started[-1][0] - started[0][0] > _MEASURED

    with tempfile.TemporaryDirectory() as folder:
        never = dict.fromkeys(("images", "log_every", "preview_every", "checkpoint_every"), 10**9)
        train(params.model_copy(update=never), dataset, Path(folder), on_progress, should_stop=is_measured)
    (first, before), (last, after) = started[0], started[-1]
    step = params.batch * getattr(params, "discriminator_steps", 1)
    return max(int(seconds * (after - before) / (last - first)) // step * step, step)
