"""A production on one machine, and what it makes of trouble: `make demo-production`.

Real servers on loopback: PostgreSQL, an S3 store, Prefect and MLflow with their logins. Two workers in two folders that share nothing but
these, three entries on schedules. Then things are broken while a training runs: a worker is killed with all that it had started, PostgreSQL
crashes, MLflow is gone for two minutes, refuses, is slow, loses answers or is moved, S3 refuses for one, Prefect's server is started anew,
a clock goes back, somebody presses Pause, two hosts want to move one champion. After each, the run has to end right, or the next one has to
go on; with one new version, every metric of the training's record in MLflow, and no run left open in either book. Prints a table in
Markdown; exit code 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from servers import Process, Production, free_port, missing
from toy_workspace import processes_in
from unruly_network import Network, unruly
from workers import ENTRY, POOL, Clock, Records, environment, gantry, kill_all_of, make_workspace, worker

from tasks.records.registry import unfolded
from tasks.workspace import Workspace

NAME = "circle"
POINTS = """
  circle:
    data: {source: "points://circle", count: 1_000}
    validate: {}
    train: {recipe: gan, images: IMAGES, batch: 64, threads: 1, seed: SEED, generator: {network: mlp}, discriminator: {network: mlp}}
    evaluate: {samples: 500}
    register: {}
"""
SCHEDULE = '    schedule: "*/{minutes} * * * *"\n'
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
_PATIENCE = 1_800.0
RACES = 20
# A host that moves the champion when it is told to, if it still is the one that it was told of.
RACER = """
import sys
from gan_core.errors import RegistryError
from tasks.records.registry import Registry
from tasks.workspace import current
registry = Registry.open(current())
versions = {number: registry.version(sys.argv[1], number) for number in registry.versions(sys.argv[1])}
print("ready", flush=True)
for line in sys.stdin:
    number, expected = map(int, line.split())
    try:
        registry.move_champion(versions[number], expected, "promoted")
        print("won", flush=True)
    except RegistryError:
        print("lost", flush=True)
"""


def unfinished_records(workspace: Workspace) -> Iterator[Path]:
    """Of the trainings that have not ended."""
    return workspace.unfinished(NAME).glob("*/try-*/metrics.jsonl")


@dataclass(frozen=True)
class Happened:
    """One row of the table."""

    what: str
    runs: str
    problems: Sequence[str]
    seconds: float


@dataclass
class Stage:
    """The scene: servers, workspaces and workers."""

    servers: Production
    workspaces: dict[str, Workspace]
    workers: dict[str, Process]
    clocks: dict[str, Clock]
    network: Network
    """Between the workers and MLflow's server."""
    images: int
    minutes: int
    """From one run of a schedule to the next."""
    beside: Sequence[str]
    """Entries that are retrained meanwhile."""
    seed: int = 0

    @property
    def records(self) -> Records:
        return Records(self.servers)

    def write_params(self) -> None:
        """The same params.yaml in both folders, as a pull from git would bring it."""
        points = POINTS.replace("IMAGES", str(self.images)).replace("SEED", str(self.seed))
        due = SCHEDULE.format(minutes=self.minutes)
        others = "".join(ENTRY.format(name=name, images="2_000", seed=0) + due for name in self.beside)
        for workspace in self.workspaces.values():
            (workspace.root / "params.yaml").write_text(f"generators:{points}{due}{others}")

    def train_anew(self) -> str:
        """Ask for another seed, start the entry by its event, and return the worker that trains it, once it is under way."""
        since = time.time()
        self.seed += 1
        self.write_params()
        self.records.start(NAME)

        def training() -> str | None:
            for name, workspace in self.workspaces.items():
                records = [path for path in unfinished_records(workspace) if path.stat().st_mtime > since]
                if records and any(f"tasks.train {NAME}" in command for command in processes_in(workspace.root).values()):
                    return name
            return None

        return str(until(training, "the training did not begin"))

    def settle(self) -> None:
        """Wait until no run of the entry is under way, and the last seed's version is there; the schedule goes on with what was killed."""

        def settled() -> bool:
            if any(run["state_type"] not in ENDED for run in self.records.runs(NAME)) or self.is_at_work():
                return False
            return any(f'"seed":{self.seed}' in _tag(version, "params") for version in self.records.versions(NAME))

        until(settled, f"no version came of seed {self.seed}")

    def is_at_work(self) -> bool:
        """Whether a stage of the entry runs anywhere; Prefect may believe its run to be dead."""
        commands = [command for workspace in self.workspaces.values() for command in processes_in(workspace.root).values()]
        return any(command.endswith(f" {NAME}") and "tasks." in command for command in commands)

    def problems(self) -> list[str]:
        """What is not as it has to be, once all is settled."""
        found = []
        versions = self.records.versions(NAME)
        seeds = [json.loads(_tag(version, "params"))["train"]["seed"] for version in versions]
        found += [f"{seeds.count(seed)} versions of seed {seed}" for seed in set(seeds) if seeds.count(seed) > 1]
        for run in self.records.training_runs(NAME):
            if run["info"]["status"] in ("RUNNING", "SCHEDULED"):
                found.append(f"MLflow run {run['info']['run_id'][:8]} is left {run['info']['status']}")
        (newest,) = [version for version in versions if f'"seed":{self.seed}' in _tag(version, "params")]
        record = self.record_of(_tag(newest, "generator_sha256"))
        history = f"metrics/get-history?run_id={_tag(newest, 'training_run')}&metric_key=losses/generator_loss&max_results=25000"
        lost = {line["images"] for line in record} - {int(point["step"]) for point in self.records.mlflow(history).get("metrics", [])}
        return [*found, *([f"{len(lost)} of {len(record)} points are not in MLflow"] if lost else [])]

    def record_of(self, sha256: str) -> list[dict[str, Any]]:
        """The record of the training that made these weights, from the workspace that has it."""
        for workspace in self.workspaces.values():
            config = workspace.model(NAME) / "generator" / "config.json"
            if config.exists() and json.loads(config.read_text())["sha256"] == sha256:
                return [json.loads(line) for line in (workspace.model(NAME) / "metrics.jsonl").read_text().splitlines()]
        raise AssertionError(f"no workspace has the weights {sha256}")


def _tag(version: dict[str, Any], key: str) -> str:
    return unfolded({tag["key"]: tag["value"] for tag in version.get("tags", ())}).get(key, "")


def until(look: Callable[[], Any], otherwise: str, patience: float = _PATIENCE) -> Any:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError, OSError):  # a server that is starting again, a file that has just gone
            if found := look():
                return found
        time.sleep(1)
    raise AssertionError(otherwise)


def race_for(scene: Stage) -> None:
    """Two hosts move the champion at once, each if it still is the one that both saw: one of them wins, each time.

    Raises:
        AssertionError: both won, or neither; or alias and history tell of something else.
    """
    aliases = scene.records.mlflow(f"registered-models/get?name={NAME}")["registered_model"]["aliases"]
    (champion,) = [int(alias["version"]) for alias in aliases if alias["alias"] == "champion"]
    numbers = sorted(int(version["version"]) for version in scene.records.versions(NAME))
    racers = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", RACER, NAME],
            cwd=workspace.root,
            env=environment(scene.servers, workspace),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for workspace in scene.workspaces.values()
    ]
    try:
        assert [_answer(racer) for racer in racers] == ["ready", "ready"]
        for _ in range(RACES):
            wanted = next(number for number in numbers if number != champion)
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(f"{wanted} {champion}\n")
                racer.stdin.flush()
            won = [_answer(racer) for racer in racers]
            assert sorted(won) == ["lost", "won"], f"two hosts at once: {won}"
            champion = wanted
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    rows = json.loads(gantry(scene.servers, scene.workspaces["east"], "list", "--json"))
    (row,) = [row for row in rows if row["name"] == NAME]
    assert row["champion"] == champion, f"the champion is {row['champion']}, and {champion} won last"


def copy_registry(scene: Stage, here: Workspace) -> None:
    """Copy the registry to another server: what is asked there has to be what is asked here, and its champion has to draw.

    Raises:
        AssertionError: it is otherwise.
    """
    address = f"http://127.0.0.1:{free_port()}"
    folder = scene.servers.folder / "moved"
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder / "artifacts")]
    other = Process(command, scene.servers.mlflow.environment, folder, folder / "mlflow.log")
    other.start()
    try:
        other.wait(f"{address}/health")
        print(gantry(scene.servers, here, "registry", "copy", NAME, "--to", address), end="", flush=True)
        both = [json.loads(gantry(scene.servers, here, "list", "--json", **told)) for told in ({}, {"MLFLOW_TRACKING_URI": address})]
        found = [[row[key] for key in ("champion", "before", "score")] for rows in both for row in rows if row["name"] == NAME]
        assert found[0] == found[1], f"{found[0]} here, {found[1]} there"
        gantry(scene.servers, here, "sample", NAME, "--count", "16", "--out", str(folder / "drawn.png"), MLFLOW_TRACKING_URI=address)
    finally:
        other.stop()


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def broken(scene: Stage, what: str, act: Callable[[str], None], before: Callable[[], None] = lambda: None) -> Happened:
    """Break something while a training runs, and see what becomes of it.

    Args:
        act: breaks it, once the training runs; is told the worker that trains.
        before: breaks what meets the training's beginning.
    """
    print(f"-- {what}", flush=True)
    begin, earlier = time.monotonic(), len(scene.records.runs(NAME))
    try:
        before()
        trainer = scene.train_anew()
        act(trainer)
        scene.settle()
        problems = scene.problems()
        runs = ", ".join(run["state_name"] for run in scene.records.runs(NAME)[earlier:])
    except AssertionError as error:
        problems, runs = [str(error)], "?"
    row = Happened(what, runs, problems, time.monotonic() - begin)
    print(f"   {row.runs}; {'; '.join(row.problems) or 'as it should be'} ({row.seconds:.0f} s)", flush=True)
    return row


def faults(scene: Stage, only: Sequence[str]) -> Iterator[Happened]:
    """One after the other, those whose name holds one of `only`."""
    servers = scene.servers

    def kill_worker(trainer: str) -> None:
        kill_all_of(scene.workspaces[trainer])
        scene.workers[trainer].stop(signal.SIGKILL)
        time.sleep(10)
        scene.workers[trainer].start()

    def away(process: Process, seconds: float) -> Callable[[str], None]:
        def act(trainer: str) -> None:
            process.stop(signal.SIGKILL)
            time.sleep(seconds)
            process.start()

        return act

    def wait_for_the_last_step(trainer: str) -> None:
        def is_over() -> bool:
            lines = [path.read_text().splitlines()[-1:] for path in unfinished_records(scene.workspaces[trainer])]
            # Without a record the training has ended between two looks.
            return not lines or any(json.loads(line)["images"] >= scene.images for (line,) in filter(None, lines))

        until(is_over, "the training did not come to its last step")

    def refuse(trainer: str) -> None:
        """From now until a minute after the training's last step: its results find the store closed."""
        servers.s3.stop(signal.SIGKILL)
        wait_for_the_last_step(trainer)
        time.sleep(60)
        servers.s3.start()

    def turn_back(trainer: str) -> None:
        """An hour, and set right when the run has ended."""
        clock = scene.clocks[trainer]
        clock.set(-1)
        until(lambda: scene.records.runs(NAME)[-1]["state_type"] in ENDED, "the run did not end")
        clock.set(0)

    def pause(trainer: str) -> None:
        """Pause, as Prefect's page asks it; then Resume, which finds nothing to resume; then the deployment is started again."""
        (run,) = [run for run in scene.records.runs(NAME) if run["state_type"] == "RUNNING"]
        details = {"pause_timeout": (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "pause_reschedule": True}
        paused = {"type": "PAUSED", "name": "Suspended", "state_details": details}
        scene.records.prefect(f"flow_runs/{run['id']}/set_state", {"state": paused})

        def message() -> str | None:
            state = scene.records.prefect(f"flow_runs/{run['id']}", method="GET")["state"]
            return str(state["message"]) if state["type"] in ENDED else None

        said = until(message, "a paused run did not end")
        assert said.startswith("instead of pausing it was stopped in train, and its state is saved"), said
        resumed = scene.records.prefect(f"flow_runs/{run['id']}/resume")
        assert resumed["status"] == "ABORT", resumed
        scene.records.start(NAME)

    def expire(trainer: str) -> None:
        """Every request is answered with 401 until the training's last step."""
        scene.network.refusals[401] = float("inf")
        wait_for_the_last_step(trainer)
        scene.network.refusals[401] = 0
        assert scene.network.refused, "nobody asked meanwhile"

    def lose_first(end: str) -> None:
        scene.network.losses[end] = 1

    def lose_version(trainer: str) -> None:
        lose_first("model-versions/create")
        until(lambda: {"runs/create", "model-versions/create"} <= {*scene.network.lost}, "no answer was lost")

    def race(trainer: str) -> None:
        while len(scene.records.versions(NAME)) < 2:
            scene.settle()
            scene.train_anew()
        race_for(scene)

    def move(trainer: str) -> None:
        scene.settle()  # what registers meanwhile would be in one of the two
        copy_registry(scene, scene.workspaces[trainer])

    def slow(trainer: str) -> None:
        """Twenty seconds an answer, for two minutes."""
        scene.network.delay = 20
        time.sleep(120)
        scene.network.delay = 0

    acts: dict[str, Callable[[str], None]] = {
        "nothing is broken": lambda trainer: None,
        "a worker is killed in training, with all that it started": kill_worker,
        "PostgreSQL crashes and is started again": lambda trainer: servers.control("restart", "-m", "immediate"),
        "MLflow's server is gone for two minutes": away(servers.mlflow, 120),
        "S3 refuses until a minute after the training's last step": refuse,
        "Prefect's server is killed and started again": away(servers.prefect, 5),
        "somebody presses Pause, then Resume, and starts the deployment again": pause,
        "MLflow answers 401 until the training's last step": expire,
        "the answers are lost by which MLflow tells of a new run and of a new version": lose_version,
        f"two hosts race for one champion, {RACES} times": race,
        "the registry is copied to another server, which is asked in its place": move,
        "MLflow takes twenty seconds for each answer, for two minutes": slow,
    }
    befores = {lose_version: lambda: lose_first("runs/create")}
    if scene.clocks:
        acts["the worker's clock goes back by an hour, and is set right after the run"] = turn_back
    else:
        print("no clock is set: that takes a C compiler", flush=True)
    for what, act in acts.items():
        if any(words in what for words in only):
            yield broken(scene, what, act, befores.get(act, lambda: None))


@contextmanager
def scene(folder: Path, images: int, minutes: int, beside: Sequence[str]) -> Iterator[Stage]:
    """Everything up, deployed, and two workers at work."""
    with Production(folder / "servers") as servers, unruly(servers.mlflow_address) as network:
        servers.way_to_mlflow = network.address
        workspaces = {name: make_workspace(folder / name, "") for name in ("east", "west")}
        clocks = {name: clock for name in workspaces if (clock := Clock.made(folder / "servers" / name))}
        workers = {name: worker(servers, workspace, clocks.get(name)) for name, workspace in workspaces.items()}
        stage = Stage(servers, workspaces, workers, clocks, network, images, minutes, beside)
        stage.write_params()
        print(gantry(servers, workspaces["east"], "deploy", "--pool", POOL))
        for name in ("prefect", "mlflow"):
            print(f"{name}: http://127.0.0.1:{servers.ports[name]}, name gantry, password {servers.secrets[name]}", flush=True)
        try:
            for process in workers.values():
                process.start()
            yield stage
        finally:
            for name, process in workers.items():
                process.stop()
                kill_all_of(workspaces[name])


def main() -> None:
    """Run the demonstration and print its table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--images", type=int, default=300_000, help="of each training that is disturbed")
    parser.add_argument("--minutes", type=int, default=4, help="from one run of a schedule to the next")
    parser.add_argument(
        "--only",
        action="append",
        metavar="WORDS",
        help="only what holds these words, such as PostgreSQL, and no entries beside; may be given several times",
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # servers and workers are ended on the way out
    if why := missing():
        sys.exit(f"error: {why}")
    with tempfile.TemporaryDirectory(prefix="gantry-production-") as folder, ExitStack() as stack:
        beside = () if arguments.only else ("digits", "numerals")
        stage = stack.enter_context(scene(Path(folder), arguments.images, arguments.minutes, beside))
        rows = list(faults(stage, arguments.only or [""]))
        planned = [run for name in (NAME, *beside) for run in stage.records.runs(name) if run["auto_scheduled"]]
        print(f"{len(planned)} runs were begun by the schedules: {_counted(run['state_name'] for run in planned)}\n")
        print("| what happened in a training | runs of the entry, in order | afterwards | seconds |\n|---|---|---|---|")
        for row in rows:
            afterwards = "; ".join(row.problems) or "one version, whole record, nothing left open"
            print(f"| {row.what} | {row.runs} | {afterwards} | {row.seconds:.0f} |")
    sys.exit(any(row.problems for row in rows))


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).items())


if __name__ == "__main__":
    main()
