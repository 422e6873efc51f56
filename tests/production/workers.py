"""Workspaces with real stages, workers that run them, and what the servers know afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import loopback
from servers import SCRIPTS, Process, Production

from tasks.scaffold import init_workspace
from tasks.workspace import Workspace

POOL = "trainers"
ENTRY = """
  {name}:
    data: {{source: "sklearn://digits", size: 8}}
    validate: {{}}
    train:
      recipe: gan
      condition: label
      images: {images}
      batch: 64
      threads: 1
      seed: {seed}
      generator: {{network: mlp}}
      discriminator: {{network: mlp}}
    evaluate: {{samples: 500}}
    register: {{}}
"""


def make_workspace(folder: Path, entries: str, made_by: Callable[[Path], Workspace] = init_workspace) -> Workspace:
    """A workspace with these entries, whose remote `shared` is the store."""
    workspace = made_by(folder)
    workspace.private.mkdir(exist_ok=True)  # Prefect's home is inside
    (folder / "params.yaml").write_text(f"generators:{entries}")
    with (folder / ".dvc" / "config").open("a") as config:
        config.write("['remote \"shared\"']\n    url = s3://dvc/cache\n")
    return workspace


def environment(servers: Production, workspace: Workspace) -> dict[str, str]:
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "AWS_", "GANTRY_"))}
    private = {"PREFECT_HOME": str(workspace.private / "prefect"), "GANTRY_WORKSPACE": str(workspace.root), "OMP_NUM_THREADS": "1"}
    return {**outside, **servers.environment, **private, "DO_NOT_TRACK": "true"}


def worker(servers: Production, workspace: Workspace, clock: Clock | None = None) -> Process:
    """A Prefect worker as it is started on a machine of its own; `stop(SIGKILL)` takes all that it runs along, as a machine would."""
    command = [str(SCRIPTS / "prefect"), "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"]
    command += ["--name", workspace.root.name]
    folder = workspace.root.parent
    variables = environment(servers, workspace) | ({} if clock is None else clock.environment)
    return Process(command, variables, folder, folder / f"worker-{workspace.root.name}.log")


@dataclass(frozen=True)
class Clock:
    """A machine's clock, for the processes that are started with its environment."""

    file: Path
    library: Path

    @classmethod
    def made(cls, folder: Path) -> Self | None:
        """A clock that shows the true time; None where there is no C compiler."""
        compiler = shutil.which("cc")
        if compiler is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        library = folder / "clock.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(Path(__file__).with_name("clock.c"))], check=True)
        clock = cls(folder / "clock", library)
        clock.set(0)
        return clock

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "CLOCK_FILE": str(self.file)}

    def set(self, hours: float) -> None:
        """So many hours from the true time."""
        self.file.write_text(f"{hours * 3600:.0f}")


def gantry(servers: Production, workspace: Workspace, *arguments: str, **variables: str) -> str:
    """What `gantry ARGUMENTS` says in a workspace, with `variables` in its environment."""
    command = [sys.executable, "-P", "-m", "flows.cli", *arguments]
    told = environment(servers, workspace) | variables
    done = subprocess.run(command, cwd=workspace.root, env=told, capture_output=True, text=True, timeout=1_200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kill_all_of(workspace: Workspace) -> list[int]:
    """SIGKILL to every process that works for a workspace, at once, as the loss of its machine; returns their ids."""
    from toy_workspace import processes_in

    found = list(processes_in(workspace.root))
    for number in found:
        os.kill(number, signal.SIGKILL)
    return found


@dataclass(frozen=True)
class Records:
    """What the servers know."""

    servers: Production

    def prefect(self, path: str, body: Any = None, method: str = "POST") -> Any:
        user, _, password = self.servers.environment["PREFECT_API_AUTH_STRING"].partition(":")
        url = f"{self.servers.environment['PREFECT_API_URL']}/{path}"
        answer = loopback.request(method, url, json=None if method == "GET" else body or {}, auth=(user, password), timeout=60)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def mlflow(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Asks with POST where there is a body, and with GET otherwise."""
        user, password = "gantry", self.servers.secrets["mlflow"]
        url = f"{self.servers.mlflow_address}/api/2.0/mlflow/{path}"
        answer = loopback.request("GET" if body is None else "POST", url, json=body, auth=(user, password), timeout=60)
        answer.raise_for_status()
        return answer.json()

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The flow runs of an entry that were begun, oldest first."""
        found = self.prefect("flow_runs/filter", {"sort": "START_TIME_ASC"})
        return [run for run in found if run["parameters"].get("name") == name and run["start_time"]]

    def stages(self, run: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Name and message of the state of each of a run's stages."""
        tasks = self.prefect("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"})
        return {task["name"]: (task["state"]["name"], task["state"]["message"] or "") for task in tasks}

    def log(self, run: Mapping[str, Any]) -> str:
        lines = self.prefect("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "sort": "TIMESTAMP_ASC"})
        return "\n".join(line["message"] for line in lines)

    def versions(self, name: str) -> list[dict[str, Any]]:
        found = self.mlflow(f"model-versions/search?filter=name%3D%27{name}%27")
        return list(found.get("model_versions", []))

    def training_runs(self, name: str) -> list[dict[str, Any]]:
        """MLflow's runs in the experiment of an entry."""
        experiment = self.mlflow(f"experiments/get-by-name?experiment_name={name}")["experiment"]["experiment_id"]
        return list(self.mlflow("runs/search", {"experiment_ids": [experiment], "max_results": 100}).get("runs", []))

    def start(self, name: str) -> None:
        """Emit the event that starts an entry, as a program does that has brought new data."""
        event = {"event": "gantry.retrain", "resource": {"prefect.resource.id": f"gantry.entry.{name}"}, "id": str(uuid4())}
        self.prefect("events", [{**event, "occurred": datetime.now(UTC).isoformat()}])

    def wait_for(self, name: str, number: int, patience: float = 540) -> dict[str, Any]:
        """The `number`th run of an entry, once it has ended."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            runs = self.runs(name)
            if len(runs) >= number and runs[number - 1]["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                return runs[number - 1]
            time.sleep(0.5)
        raise AssertionError(f"run {number} of {name} did not end: {[(run['name'], run['state_name']) for run in self.runs(name)]}")
