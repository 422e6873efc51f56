"""The train stage: `python -m tasks.train NAME` turns data/NAME/ready into models/NAME.

DVC removes a stage's outputs before it runs, so an unfinished training keeps its state in `.gantry/unfinished/NAME/KEY`, where KEY
is a hash of all that the result depends on. Started again after a crash, a kill or Ctrl-C, it goes on from there; when it is done,
the results are copied to models/NAME and the state is removed.

A run that is lost (it has collapsed or diverged) is started again with the next seed as often as `train.restarts` says; each try has
a folder below KEY and an MLflow run of its own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from gan_core.data.dataset import Dataset
from gan_core.device import choose_device
from gan_core.errors import LostRunError
from gan_core.params import TrainParams
from gan_core.training import Progress
from gan_core.training import train as train_generator
from tasks import progress, tracking
from tasks.params import Entry
from tasks.stage_main import stage_main
from tasks.workspace import Workspace

_STATE_FORMAT = 2
_LOST = "lost.txt"  # why a try was given up
_OUTS = ("generator", "checkpoint", "samples", "metrics.jsonl")
_LEVEL_SECONDS = 10
"""How often the record is copied to MLflow."""


def train(workspace: Workspace, name: str, entry: Entry, until: int | None = None) -> Path | None:
    """Train `name`'s generator, or go on where an interrupted run of the same parameters and data stopped.

    Args:
        until: pause when so many images were seen, for a look at what it has come to; the next call goes on from there.

    Returns:
        Where the state of a paused training lies; None where it is done.

    Raises:
        GantryError: the data is damaged, the parameters do not fit it, the tracking server does not answer, or training diverged.
        SystemExit: asked to stop by SIGINT or SIGTERM; the state is saved.
    """
    dataset = Dataset.open(workspace.ready(name))
    # Nothing in a step on points or rows is large enough to share: a second thread only waits, and takes a core from the next training.
    torch.set_num_threads(entry.train.threads or (1 if dataset.spec.kind in ("points", "table") else torch.get_num_threads()))
    state = workspace.unfinished(name) / state_key(entry.train, dataset)
    for number in range(entry.train.restarts + 1):
        again = number < entry.train.restarts
        folder = state / f"try-{number}"
        try:
            params = entry.train.model_copy(update={"seed": entry.train.seed + number})
            if not _try(workspace, name, entry, dataset, folder, params, until):
                return folder
            break
        except LostRunError as lost:
            (folder / _LOST).write_text(str(lost))
            if not again:
                raise
            _note(f"{lost}; starting again with seed {entry.train.seed + number + 1}")
    shutil.rmtree(workspace.unfinished(name), ignore_errors=True)
    return None


def _try(workspace: Workspace, name: str, entry: Entry, dataset: Dataset, unfinished: Path, params: TrainParams, until: int | None) -> bool:
    """Train once, or go on with it, and publish the results; False where it pauses. `params` are the entry's with the seed of this try."""
    if (unfinished / _LOST).exists():
        raise LostRunError((unfinished / _LOST).read_text())
    unfinished.mkdir(parents=True, exist_ok=True)
    with _stop_signals() as received, tracking.run(workspace, name, _run_id(unfinished), system_metrics=True) as run:
        _write_json(unfinished / "run.json", {"run_id": run.id})
        run.log_params({"data": entry.data.model_dump(), "train": params.model_dump()})
        ready = workspace.ready(name)
        run.log_dataset(dataset.spec, entry.data.source, tracking.dvc_hash(workspace, ready))
        record = _Record(run, unfinished / "metrics.jsonl")
        started, first, seen = time.monotonic(), None, 0
        with progress.shown(name) as show:

            def on_progress(now: Progress) -> None:
                nonlocal started, first, seen
                seen = now.images
                if first is None:
                    started, first = time.monotonic(), now.images
                show(now)
                record.follow()

            def should_stop() -> bool:
                return bool(received) or (until is not None and seen >= until)

            done = train_generator(params, dataset, unfinished, on_progress, _note, should_stop)
        record.level()
        if not done and not received:
            return False
        if not done:
            _note(f"stopped, the state is saved; run it again to go on (in {unfinished})")
            sys.exit(128 + received[0])
        seconds = time.monotonic() - started
        images = max(params.images - (first or 0), 0)
        _log_previews(run, unfinished / "samples")
        cost = {
            "run_id": run.id,
            "tracking_uri": tracking.without_password(tracking.address(workspace)),
            "device": choose_device(params.device).type,
            "threads": torch.get_num_threads(),
            "seconds": round(seconds, 1),
            "images_per_second": round(images / seconds) if seconds else 0,
        }
        run.set_tags({key: str(cost[key]) for key in ("device", "images_per_second")})
        _publish(unfinished, workspace.model(name), cost)
    print(f"train {name}: {params.images:,} images in {seconds:,.0f} s, {cost['images_per_second']:,} images/s on {cost['device']}")
    return True


def state_key(params: TrainParams, dataset: Dataset) -> str:
    """Names a training by all that its result depends on."""
    depends = {"format": _STATE_FORMAT, "train": params.model_dump(mode="json"), "dataset": dataset.spec.digest}
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def _run_id(unfinished: Path) -> str | None:
    """The MLflow run of an interrupted training, so that its second half does not open another."""
    try:
        return str(json.loads((unfinished / "run.json").read_text())["run_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Record:
    """Keeps MLflow level with metrics.jsonl while the training goes on."""

    def __init__(self, run: tracking.Run, path: Path) -> None:
        self.run = run
        self.path = path
        self.logged = 0
        self.last = time.monotonic()

    def follow(self) -> None:
        """Bring MLflow level, if that was not done just now."""
        if time.monotonic() - self.last >= _LEVEL_SECONDS:
            self.level()

    def level(self) -> None:
        self.logged = self.run.log_record(self.path, self.logged)
        self.last = time.monotonic()


def _log_previews(run: tracking.Run, samples: Path) -> None:
    for picture in sorted(samples.glob("*.png")):
        run.log_image(picture, key="samples", step=int(picture.stem))


def _publish(unfinished: Path, model: Path, cost: dict[str, Any]) -> None:
    """Copy the results to where DVC expects them; run.json, the sign that they are complete, comes last.

    Copied, not moved: after a crash in between, the state still holds all that the next try publishes.
    """
    model.mkdir(parents=True, exist_ok=True)
    for out in _OUTS:
        source, target = unfinished / out, model / out
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)
    _write_json(model / "run.json", cost)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
    temporary.replace(path)


def _note(text: str) -> None:
    with suppress(BrokenPipeError):  # whoever listened is gone, which is no reason to end otherwise than was asked
        print(f"note: {text}", file=sys.stderr, flush=True)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Yields a list that takes the number of the first SIGINT or SIGTERM, so that a step is never left half-made."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    stage_main(train)
