"""The train stage: `python -P -m tasks.train NAME` turns data/NAME/ready, and data/NAME/start, into models/NAME.

DVC removes a stage's outputs before it runs, so an unfinished training keeps its state in `.gantry/unfinished/NAME/KEY`, where KEY
is a hash of all that the result depends on. Started again after a crash, a kill or Ctrl-C, it goes on from there; when it is done,
the results are copied to models/NAME and the state is removed.

With `train.processes`, or on several hosts, the training runs in ranks (`tasks.system.ranks`), each of them this stage again. The first one
talks to MLflow, keeps the state and publishes; the others only train.

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
from gan_core.distributed import Group
from gan_core.errors import LostRunError
from gan_core.files import write_whole
from gan_core.params import TabularParams, TrainParams
from gan_core.privacy import promised
from gan_core.start import described_as
from gan_core.training import Progress, identity
from gan_core.training import train as train_generator
from tasks import kinds
from tasks.params import Entry
from tasks.records import logged, tracking
from tasks.records.stage_files import if_there, run_begun
from tasks.selecting import scorer
from tasks.stage_main import stage_main
from tasks.start import Pinned, pinned, settled
from tasks.system import cores, progress, ranks
from tasks.system.energy import EnergyMeter
from tasks.system.graphs import keep_compiled
from tasks.system.spent import Meter, Spent
from tasks.workspace import Workspace

_STATE_FORMAT = 2
_LOST = "lost.txt"  # why a try was given up
_THREADS = "threads.txt"  # of each process, as chosen when the training began
_OUTS = ("generator", "checkpoint", "samples", "metrics.jsonl")
_LEVEL_SECONDS = 10
"""How often the record is copied to MLflow."""


def train(workspace: Workspace, name: str, entry: Entry, until: int | None = None) -> Path | None:
    """Train `name`'s generator, or go on where an interrupted run of the same parameters and data stopped.

    Args:
        until: pause when so many images were seen, for a look at what it has come to; the next call goes on from there. Of a training in
            one process.

    Returns:
        Where the state of a paused training lies; None where it is done.

    Raises:
        GantryError: the data is damaged, the parameters do not fit it, the tracking server does not answer, or training diverged.
        SystemExit: asked to stop by SIGINT or SIGTERM; the state is saved.
    """
    dataset = Dataset.open(workspace.ready(name))
    kinds.check(name, dataset, entry.evaluation)  # validate did, of the entry as it was then
    device = choose_device(entry.train.device)
    hosts = ranks.Hosts.from_environment()
    here = ranks.processes_here(entry.train, hosts, device)
    start = pinned(workspace, name, entry.train)
    params = settled(workspace, name, entry.train, dataset, start).model_copy(update={"processes": here * hosts.count})
    key = _key(params, dataset, start)
    if here * hosts.count > 1 and not ranks.is_rank():
        ranks.launch(name, key, workspace.ranks(name), hosts, here)
        return None
    state = workspace.unfinished(name) / key
    dataset, _ = described_as(dataset, None if start is None else start.schema)
    torch.set_num_threads(params.threads or _threads(dataset, state, here))
    if params.compile != "off":
        keep_compiled(workspace)
    with ranks.joined(hosts, device) as group:
        return _train(workspace, name, entry, dataset, start, state, params, group, until)


def _threads(dataset: Dataset, state: Path, here: int) -> int:
    """Of this process, one of `here`: a share of the cores that it may use, and the same again when the training is resumed.

    Results are equal bit for bit at equal numbers of threads only.
    """
    with suppress(OSError, ValueError):
        return max(int((state / _THREADS).read_text()), 1)
    return cores.threads(kinds.of(dataset.spec.kind).keeps_one_core, torch.get_num_threads(), here)


def _train(
    workspace: Workspace,
    name: str,
    entry: Entry,
    dataset: Dataset,
    start: Pinned | None,
    state: Path,
    params: TrainParams,
    group: Group,
    until: int | None,
) -> Path | None:
    """Try until a run is not lost; `params` are the entry's, with the processes of all hosts."""
    for number in range(params.restarts + 1):
        again = number < params.restarts
        folder = state / f"try-{number}"
        try:
            seeded = params.model_copy(update={"seed": params.seed + number})
            if not _try(workspace, name, entry, dataset, start, folder, seeded, group, until):
                return folder
            break
        except LostRunError as lost:
            if group.is_first:
                (folder / _LOST).write_text(str(lost))
            if not again:
                raise
            if group.is_first:
                _note(f"{lost}; starting again with seed {params.seed + number + 1}")
    if group.is_first:
        shutil.rmtree(workspace.unfinished(name), ignore_errors=True)
    return None


def _try(
    workspace: Workspace,
    name: str,
    entry: Entry,
    dataset: Dataset,
    start: Pinned | None,
    unfinished: Path,
    params: TrainParams,
    group: Group,
    until: int | None,
) -> bool:
    """Train once, or go on with it, and publish the results; False where it pauses. `params` have the seed of this try."""
    lost = (unfinished / _LOST).read_text() if group.is_first and (unfinished / _LOST).exists() else ""
    if lost := group.share(lost.encode(), choose_device(params.device)).decode():
        raise LostRunError(lost)
    begin, replay = (None, None) if start is None else (start.checkpoint, start.replay)
    if not group.is_first:
        with _stop_signals() as received:
            if not train_generator(
                params, dataset, unfinished, should_stop=lambda: bool(received), group=group, start=begin, replay=replay
            ):
                sys.exit(128 + (received or [signal.SIGTERM])[0])
        return True
    if ranks.was_restarted():
        _note(f"a process of this training died; all start again from the last checkpoint ({ranks.was_restarted()} of {ranks.RESTARTS})")
    unfinished.mkdir(parents=True, exist_ok=True)
    write_whole(unfinished.parent / _THREADS, f"{torch.get_num_threads()}\n")
    with _stop_signals() as received, tracking.run(workspace, name, run_begun(unfinished), system_metrics=True) as run:
        device, energy = choose_device(params.device), EnergyMeter.asked_for()
        meter = Meter(energy)
        before = Spent.of(if_there(unfinished / "run.json"))

        def note_spent() -> Spent:
            """Kept with the state, so that what a later start goes on from counts, too."""
            held = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0
            spent = before.and_then(meter.spent(group.size, held))
            _write_json(unfinished / "run.json", {"run_id": run.id, **spent.as_record()})
            return spent

        note_spent()
        meanwhile, after = ((folder / "samples").relative_to(workspace.root) for folder in (unfinished, workspace.model(name)))
        _note(f"pictures of what it draws: in {meanwhile} while it trains, then in {after}")
        book = tracking.Logbook(run)
        book.log(lambda run: logged.begun(run, workspace, name, entry, params, dataset.spec))
        record = _Record(book, unfinished / "metrics.jsonl")
        seen, crowd = 0, cores.Crowd(torch.get_num_threads() if device.type == "cpu" else 1)
        with progress.shown(name, dataset.spec.unit) as show:

            def on_progress(now: Progress) -> None:
                nonlocal seen
                seen = now.images
                meter.step(seen)
                show(now)
                if crowded := crowd.noticed():
                    _note(crowded)
                if record.follow():
                    note_spent()

            def should_stop() -> bool:
                return bool(received) or (until is not None and seen >= until)

            chosen = scorer(name, dataset, unfinished.parent / "selection", params.budget) if params.select == "best" else None
            done = train_generator(params, dataset, unfinished, on_progress, _note, should_stop, group, begin, replay, chosen)
        spent = note_spent()
        if energy is not None:
            energy.end()
        record.level()
        if not done and not received and until is not None and seen >= until:
            return False
        if not done:
            _note(f"stopped, the state is saved; run it again to go on (in {unfinished})")
            sys.exit(128 + (received or [signal.SIGTERM])[0])
        cost = {
            "run_id": run.id,
            "tracking_uri": tracking.address_in_words(workspace),
            "device": device.type,
            "processes": group.size,
            "threads": torch.get_num_threads(),
            "seconds": round(spent.seconds, 1),
            "images_per_second": spent.images_per_second,
            "processor_seconds": round(spent.processor_seconds, 1),
            "peak_memory": spent.peak_memory,
        }
        if spent.peak_device_memory:
            cost["peak_device_memory"] = spent.peak_device_memory
        if entry.train.images != params.images:
            cost["images"] = params.budget
        if spent.energy_kwh:
            cost |= {"energy_kwh": float(f"{spent.energy_kwh:.4g}"), "co2_kg": float(f"{spent.co2_kg:.4g}")}
        if params.compile != "off":
            cost |= json.loads((unfinished / "step.json").read_text())
        if isinstance(params, TabularParams) and params.privacy is not None:
            cost["privacy"] = promised(params.privacy, dataset.spec.counts["train"], params.batch, params.budget).as_record()
        if start is not None:
            cost["start"] = {**start.facts, **json.loads((unfinished / "start.json").read_text())}
        if chosen is not None:
            cost["selected"] = json.loads((unfinished / "selected.json").read_text())
        book.log(lambda run: logged.trained(run, unfinished, cost))
        _publish(unfinished, workspace.model(name), cost)
    unit, shown = dataset.spec.unit, min(seen, params.budget) or params.budget
    print(f"train {name}: {shown:,} {unit} in {spent.seconds:,.0f} s, {cost['images_per_second']:,} {unit}/s on {cost['device']}")
    return True


def state_key(params: TrainParams, dataset: Dataset, start: Pinned | None = None) -> str:
    """Names the training that `train` would begin here, or go on with; its state lies in a folder of this name."""
    hosts = ranks.Hosts.from_environment()
    here = ranks.processes_here(params, hosts, choose_device(params.device))
    return _key(params.model_copy(update={"processes": here * hosts.count}), dataset, start)


def _key(params: TrainParams, dataset: Dataset, start: Pinned | None) -> str:
    """Names a training by all that its result depends on."""
    begin = (None, None) if start is None else (start.checkpoint, start.replay)
    depends = {"format": _STATE_FORMAT, **identity(params, dataset, *begin)}
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


class _Record:
    """Keeps MLflow level with metrics.jsonl while the training goes on."""

    def __init__(self, book: tracking.Logbook, path: Path) -> None:
        self.book = book
        self.path = path
        self.logged = 0
        self.last = time.monotonic()

    def follow(self) -> bool:
        """Bring MLflow level, if that was not done just now; whether it was time for it."""
        if time.monotonic() - self.last < _LEVEL_SECONDS:
            return False
        self.level()
        return True

    def level(self) -> None:
        self.logged = self.book.log(lambda run: run.log_record(self.path, self.logged), in_passing=True) or self.logged
        self.last = time.monotonic()


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
    write_whole(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


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
