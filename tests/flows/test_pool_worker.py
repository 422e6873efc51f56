"""A worker of a Prefect work pool, as `prefect worker start` makes one: what becomes of its runs when somebody presses a button, and when
it is ended itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import loopback
import pytest
import toy_workspace as toy
from command_line import Record, called, clean_environment

from tasks.workspace import Workspace


def ask(url: str, body: Any = None) -> Any:
    """What a server answers, to GET where there is no body."""
    answer = loopback.request("GET" if body is None else "POST", url, json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()


def state_of(run: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The state of a run, once it is as it should be."""
    deadline = time.monotonic() + 120
    while not until(state := ask(run)["state"]):
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    return dict(state)


@contextmanager
def worker(workspace: Workspace, api: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the pool `pool`."""
    environment = clean_environment(PREFECT_API_URL=api, GANTRY_WORKSPACE=str(workspace.root), PREFECT_WORKER_QUERY_SECONDS="1")
    home = workspace.root.parent
    command = [str(Path(sys.executable).with_name("prefect")), "worker", "start", "--pool", "pool", "--type", "process"]
    with (home / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=home, env={**environment, "PREFECT_HOME": str(home / "home")}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_what_ends_a_run_of_a_worker_is_said_and_the_next_one_goes_on(finished: Workspace, prefect_server: str) -> None:
    path = finished.root / "params.yaml"
    path.write_text(path.read_text().replace("images: 200_000", "images: 300_000", 1))
    (finished.unfinished("digits") / "key").mkdir(parents=True)  # as a training that was stopped leaves it
    toy.behave(finished, train={"seconds": 300})
    done = called(finished, "deploy", "--pool", "pool", PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr
    deployment = ask(f"{prefect_server}/deployments/name/retrain/digits")["id"]

    def trains() -> str:
        """The address of a run that was just started, and trains."""
        toy.forget(finished)
        made = ask(f"{prefect_server}/deployments/{deployment}/create_flow_run", {})["id"]
        toy.wait_for(finished, "train", patience=120)
        return f"{prefect_server}/flow_runs/{made}"

    with worker(finished, prefect_server) as going:
        paused = trains()
        # As the second page of Prefect's asks it, which leaves no rule in the way.
        until = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        details = {"pause_timeout": until, "pause_reschedule": True, "deferred": False, "untrackable_result": False}
        ask(f"{paused}/set_state", {"state": {"type": "PAUSED", "name": "Suspended", "state_details": details}, "force": True})
        state = state_of(paused, lambda state: state["type"] != "PAUSED")
        assert (state["name"], (finished.root / "train.saved").exists()) == ("Cancelled", True)
        assert state["message"].startswith("instead of pausing it was stopped in train, and its state is saved; start the deployment again")
        resumed = ask(f"{paused}/resume", {})
        assert (resumed["status"], resumed["details"]["reason"]) == ("ABORT", "Cannot resume a flow run that is not paused.")

        cancelled = trains()
        ask(f"{cancelled}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        assert state_of(cancelled, lambda state: state["type"] != "CANCELLING")["name"] == "Cancelled"
        assert (finished.root / "train.saved").exists()

        released = trains()
        seen = Record(prefect_server, finished)
        last = next(one for one in seen.runs() if released.endswith(one["id"]))
        reason = "has to run: generators.digits.train modified; the last training was stopped before its end"
        deadline = time.monotonic() + 60
        while reason not in (said := seen.log(last)):  # lines reach the server every few seconds, and those of a killed run never
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        going.send_signal(signal.SIGTERM)
        state = state_of(released, lambda state: state["type"] != "RUNNING")
        assert state["name"] == "Stopped", state
        assert state["message"] == "stopped in train with its worker, or killed; the next run goes on from there"
        assert (finished.root / "train.saved").exists()
        assert going.wait(30) == 0
        toy.assert_nothing_left(finished.root)
        assert seen.stages(last)["train"] == ("Stopped", state["message"])
