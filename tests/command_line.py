"""`gantry` as a person starts it, and what a Prefect server recorded of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import loopback
import pytest

from flows import cli
from tasks import stage_main
from tasks.params import Entry
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

Retrain = Callable[..., "State[Any]"]
"""The flow of one generator in this process, as `retrain(workspace)`."""


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment without what a person's shell says about servers, and with `variables`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "GANTRY_SCHEDULER"))}
    return {**kept, "OMP_NUM_THREADS": "1", "TERM": "dumb", **variables}


def start(workspace: Workspace, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start `gantry ARGUMENTS` in a workspace, in a process group of its own as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=workspace.root,
        env=clean_environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def run(workspace: Workspace, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`gantry ARGUMENTS` to its end."""
    process = start(workspace, *arguments, **variables)
    try:
        out, err = process.communicate(timeout=180)
    finally:
        process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def called(workspace: Workspace, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `run` gives, by a call in this process, which has imported what a command of its own would for seconds.

    For what a command says and leaves. What concerns its process, such as signals, servers and terminals, takes `run`.
    """
    with ExitStack() as stack:
        if "PREFECT_API_URL" in variables:
            from prefect.settings import PREFECT_API_URL, temporary_settings

            stack.enter_context(temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"]}))  # it read them when it was imported
        return _called(cli.main, workspace, arguments, clean_environment(**variables))


def called_stage(
    stage: Callable[[Workspace, str, Entry], object], workspace: Workspace, name: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The same of `python -m tasks.STAGE NAME`."""
    return _called(lambda: stage_main.stage_main(stage), workspace, (name,), clean_environment(**variables))


def _called(
    main: Callable[[], None], workspace: Workspace, arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    code: str | int | None = 0
    before, when_ended = dict(os.environ), signal.getsignal(signal.SIGTERM)
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:  # files, which children write to as well
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(workspace.root)
            patch.setattr(sys, "argv", ["gantry", *arguments])
            # This process goes on.
            patch.setattr(cli, "nothing_to_collect", lambda: None)
            for of_its_process in ("keep_what_is_freed", "all_imported", "die_with", "nothing_to_collect"):
                patch.setattr(stage_main, of_its_process, lambda *_: None)
            try:
                os.environ.clear()
                os.environ.update(environment)
                main()
            except SystemExit as left:
                code = left.code
            finally:
                os.environ.clear()
                os.environ.update(before)
                signal.signal(signal.SIGTERM, when_ended)
        assert not isinstance(code, str)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read())
    return subprocess.CompletedProcess(arguments, code or 0, *said)


class Record:
    """What a Prefect server knows of a workspace's runs."""

    def __init__(self, url: str, workspace: Workspace) -> None:
        self._url = url
        self._workspace = workspace

    def _ask(self, what: str, **body: Any) -> list[dict[str, Any]]:
        answer = loopback.post(f"{self._url}/{what}/filter", json=body, timeout=30)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def runs(self) -> list[dict[str, Any]]:
        """Its flow runs, oldest first."""
        found = self._ask("flow_runs", sort="START_TIME_ASC")
        return [run for run in found if any(tag.endswith(str(self._workspace.root)) for tag in run["tags"])]

    def stages(self, run: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
        """State and message of each of a run's stages."""
        tasks = self._ask("task_runs", flow_runs={"id": {"any_": [run["id"]]}}, sort="EXPECTED_START_TIME_ASC")
        return {task["name"]: (task["state"]["name"], task["state"]["message"]) for task in tasks}

    def tries(self, run: dict[str, Any], stage: str) -> int:
        """How often a stage was started."""
        tasks = self._ask("task_runs", flow_runs={"id": {"any_": [run["id"]]}})
        (count,) = [task["run_count"] for task in tasks if task["name"] == stage]
        return int(count)

    def log(self, run: dict[str, Any]) -> list[str]:
        """A run's log lines."""
        found = self._ask("logs", logs={"flow_run_id": {"any_": [run["id"]]}}, sort="TIMESTAMP_ASC")
        return [line["message"] for line in found]

    def pages(self, run: dict[str, Any]) -> list[str]:
        """The markdown pages that a run left."""
        found = self._ask("artifacts", artifacts={"flow_run_id": {"any_": [run["id"]]}})
        return [artifact["data"] for artifact in found if artifact["type"] == "markdown"]
