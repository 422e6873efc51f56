"""Many schedules on one server: `python tests/production/load.py [--entries 50] [--hours 24]`.

Real servers on loopback, PostgreSQL among them, and two workers in two folders. The stages do next to nothing, so what is looked at is
all that is around them. First every entry is due in the same minute, and has to run once. Then a day of hourly schedules of four entries
goes by as fast as the workers take them, with new data each hour, and what servers, workers and database hold is looked at after each.
Prints tables in Markdown; exit code 1 where a run was lost or made twice, or where something would not last a month.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import toy_workspace as toy
from servers import Process, Production, missing
from workers import ENTRY, POOL, Records, gantry, kill_all_of, make_workspace, worker

from tasks.workspace import STAGES, Workspace

_ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_HOURLY = 4
"""Entries of the day that goes by."""
_SETTLED = 6
"""Hours after which caches are warm, and growth counts."""
_MONTH = 30 * 24
_MOST = {"prefect_mib": 2_048, "mlflow_mib": 2_048, "workers_mib": 2_048, "files": 1_024, "database_mib": 10_240}
"""What each may come to within a month."""


@dataclass(frozen=True)
class Look:
    """What is held at a moment."""

    prefect_mib: float
    """Resident, of the server with all its processes."""
    mlflow_mib: float
    workers_mib: float
    """Of the two workers, without the runs."""
    files: int
    """Open, of both servers and both workers."""
    database_mib: float
    """Prefect's."""


@dataclass
class Scene:
    """Servers, two workspaces, and their workers."""

    servers: Production
    workspaces: Sequence[Workspace]
    workers: Sequence[Process]

    @property
    def records(self) -> Records:
        return Records(self.servers)

    def write_params(self, schedules: Mapping[str, str]) -> None:
        """The same entries in both workspaces, which the workers' server is told of."""
        entries = "".join(ENTRY.format(name=name, images="2_000", seed=0) + f'    schedule: "{cron}"\n' for name, cron in schedules.items())
        for workspace in self.workspaces:
            (workspace.root / "params.yaml").write_text(f"generators:{entries}")
        gantry(self.servers, self.workspaces[0], "deploy", "--pool", POOL)

    def runs(self, before: datetime) -> list[dict[str, Any]]:
        """The runs that were due before a time."""
        due = {"flow_runs": {"expected_start_time": {"before_": before.isoformat()}}, "limit": 200}
        found: list[dict[str, Any]] = []
        while page := self.records.prefect("flow_runs/filter", {**due, "offset": len(found)}):
            found += page
        return found

    def ran(self) -> Counter[str]:
        """How often each stage ran, in both workspaces together; it is forgotten with that."""
        found = Counter(
            line for workspace in self.workspaces if (path := workspace.root / "ran.txt").exists() for line in path.read_text().split()
        )
        for workspace in self.workspaces:
            toy.forget(workspace)
        return found

    def look(self) -> Look:
        servers = {name: _tree(getattr(self.servers, name)) for name in ("prefect", "mlflow")}
        workers = [psutil.Process(process.child.pid) for process in self.workers if process.child is not None]
        return Look(
            prefect_mib=_mib(servers["prefect"]),
            mlflow_mib=_mib(servers["mlflow"]),
            workers_mib=_mib(workers),
            files=sum(process.num_fds() for process in (*servers["prefect"], *servers["mlflow"], *workers)),
            database_mib=int(self.servers.postgres("psql", "-At", "-c", "SELECT pg_database_size('prefect')", "prefect")) / 2**20,
        )


def _tree(process: Process) -> list[psutil.Process]:
    assert process.child is not None
    root = psutil.Process(process.child.pid)
    return [root, *root.children(recursive=True)]


def _mib(processes: Iterable[psutil.Process]) -> float:
    return sum(process.memory_info().rss for process in processes) / 2**20


def same_minute(scene: Scene, entries: int) -> list[str]:
    """All of so many entries due at once: prints what was seen, and returns what is wrong."""
    names = [f"generator-{number:02d}" for number in range(entries)]
    due = (datetime.now() + timedelta(seconds=120 + 2 * entries)).replace(second=0, microsecond=0)
    scene.write_params(dict.fromkeys(names, f"{due.minute} {due.hour} * * *"))
    left = (due - datetime.now()).total_seconds()
    assert left > 0, "deploying took so long that the time has passed"
    print(f"{entries} entries are deployed and due at {due:%H:%M}, in {left:.0f} s", flush=True)
    before, end = scene.look(), due.astimezone(UTC) + timedelta(seconds=30)
    time.sleep(left)
    started, most = time.monotonic(), before
    while len(runs := scene.runs(end)) < entries or any(run["state_type"] not in _ENDED for run in runs):
        if time.monotonic() - started > 60 * entries:
            break
        look = scene.look()
        most = Look(**{field.name: max(getattr(most, field.name), getattr(look, field.name)) for field in fields(Look)})
        time.sleep(5)
    seconds = time.monotonic() - started
    of_entry = Counter(run["parameters"]["name"] for run in runs)
    problems = [f"{name}: {of_entry[name]} runs" for name in names if of_entry[name] != 1]
    problems += [f"{run['parameters']['name']}: {run['state_name']}" for run in runs if run["state_type"] != "COMPLETED"]
    ran = scene.ran()
    problems += [f"{stage}@{name} ran {ran[f'{stage}@{name}']} times" for name in names for stage in STAGES if ran[f"{stage}@{name}"] != 1]
    late = [(_time(run["start_time"]) - _time(run["expected_start_time"])).total_seconds() for run in runs if run["start_time"]]
    print(f"{len(runs)} runs ended within {seconds:.0f} s; the last began {max(late, default=0):.0f} s after it was due")
    print("\n| | " + " | ".join(_titles()) + " |\n|---|" + "---|" * len(_titles()))
    for title, look in (("before", before), ("at most", most), ("after", scene.look())):
        print(f"| {title} | {_cells(look)} |")
    return problems


def a_day(scene: Scene, hours: int) -> list[str]:
    """So many hours of hourly schedules, one after the other without a pause."""
    names = [f"hourly-{number}" for number in range(_HOURLY)]
    scene.write_params(dict.fromkeys(names, "0 0 1 1 *"))  # begun by hand, so that an hour lasts no longer than its runs
    found = scene.records.prefect("deployments/filter", {"deployments": {"name": {"any_": names}}})
    looks, problems = [], []
    for hour in range(hours):
        for workspace in scene.workspaces:
            toy.behave(workspace, **{stage: {"source": f"new in hour {hour}"} for stage in STAGES[:-1]})
        made = [scene.records.prefect(f"deployments/{one['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"] for one in found]
        runs = _ended(scene.records, made)
        problems += [f"hour {hour}: {run['parameters']['name']}: {run['state_name']}" for run in runs if run["state_type"] != "COMPLETED"]
        ran = scene.ran()
        problems += [f"hour {hour}: {what} ran {times} times" for what, times in ran.items() if times != 1]
        problems += [f"hour {hour}: {stage}@{name} did not run" for name in names for stage in STAGES if not ran[f"{stage}@{name}"]]
        looks.append(scene.look())
        print(f"hour {hour + 1}: {_cells(looks[-1])}", file=sys.stderr, flush=True)
    print(f"\n| hour | {' | '.join(_titles())} |\n|---|" + "---|" * len(_titles()))
    for hour in sorted({0, *range(_SETTLED - 1, hours, _SETTLED), hours - 1}):
        print(f"| {hour + 1} | {_cells(looks[hour])} |")
    if hours < 3 * _SETTLED:
        return [*problems, f"{hours} hours tell nothing of growth; make it {3 * _SETTLED} at least"]
    month = _in_a_month(looks)
    print(f"| in a month, if it goes on so | {_cells(month)} |")
    return [*problems, *(f"{key}: {getattr(month, key):,.0f} in a month" for key, most in _MOST.items() if getattr(month, key) > most)]


def _ended(records: Records, made: Sequence[str], patience: float = 600) -> list[dict[str, Any]]:
    """These runs, once all have ended, or after so many seconds."""
    deadline = time.monotonic() + patience
    while True:
        runs: list[dict[str, Any]] = records.prefect("flow_runs/filter", {"flow_runs": {"id": {"any_": made}}})
        if all(run["state_type"] in _ENDED for run in runs) or time.monotonic() > deadline:
            return runs
        time.sleep(1)


def _in_a_month(looks: Sequence[Look]) -> Look:
    """What each comes to if it goes on growing as from the settled hours to the last ones."""

    def of(key: str, part: slice) -> float:
        return statistics.median(getattr(look, key) for look in looks[part])

    first, last = slice(_SETTLED, 2 * _SETTLED), slice(-_SETTLED, None)
    hours = len(looks) - 2 * _SETTLED
    keys = [field.name for field in fields(Look)]
    return Look(**{key: of(key, last) + (of(key, last) - of(key, first)) / hours * _MONTH for key in keys})  # type: ignore[arg-type]


def _titles() -> list[str]:
    return [field.name.replace("_mib", ", MiB").replace("files", "open files") for field in fields(Look)]


def _cells(look: Look) -> str:
    return " | ".join(f"{getattr(look, field.name):,.0f}" for field in fields(Look))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@contextmanager
def _scene(folder: Path) -> Iterator[Scene]:
    with Production(folder / "servers") as servers:
        workspaces = [make_workspace(folder / name, "", toy.make) for name in ("east", "west")]
        workers = [worker(servers, workspace) for workspace in workspaces]
        try:
            scene = Scene(servers, workspaces, workers)
            scene.write_params({"first": "0 0 1 1 *"})  # makes the pool
            for process in workers:
                process.start()
            yield scene
        finally:
            for process, workspace in zip(workers, workspaces, strict=True):
                process.stop()
                kill_all_of(workspace)


def main() -> None:
    """Run both, and judge."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--entries", type=int, default=50, help="due in the same minute; 0 leaves that out")
    parser.add_argument("--hours", type=int, default=24, help="of the day that goes by; 0 leaves that out")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # servers and workers are ended on the way out
    if why := missing():
        sys.exit(f"error: {why}")
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gantry-load-") as folder, _scene(Path(folder)) as scene:
        for phase, size in ((same_minute, arguments.entries), (a_day, arguments.hours)):
            if size:
                found = phase(scene, size)
                print(*(found or ["as it has to be"]), sep="\n", flush=True)
                problems += found
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
