"""Schedules, really run by Prefect, and what is left when the scheduler dies."""

from __future__ import annotations

import signal
import socket
import time
from datetime import datetime

import httpx
import pytest
import toy_workspace as toy
from command_line import Record, run, start

from flows import schedule
from flows.server import is_reachable
from gan_core.errors import ConfigError
from tasks.workspace import STAGES, Workspace


def every_minute(workspace: Workspace) -> None:
    path = workspace.root / "params.yaml"
    path.write_text(path.read_text().replace("  circle:", '    schedule: "* * * * *"\n  circle:'))


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


def test_the_next_run_is_in_local_time() -> None:
    assert schedule.next_run("0 3 * * *", datetime(2026, 1, 1, 12)) == datetime(2026, 1, 2, 3)


def test_the_time_zone_has_a_name_that_prefect_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert schedule.local_timezone() == "Europe/Berlin"
    monkeypatch.setenv("TZ", ":America/New_York")
    assert schedule.local_timezone() == "America/New_York"
    monkeypatch.setenv("TZ", "nowhere/at-all")
    assert schedule.local_timezone() == "UTC"


def test_without_a_schedule_there_is_nothing_to_serve(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="no entry has a schedule"):
        schedule.schedules(workspace)
    refused = run(workspace, "schedule")
    assert refused.returncode == 2
    assert 'schedule: "0 3 * * *"' in refused.stderr


def test_a_taken_port_is_named(finished: Workspace) -> None:
    every_minute(finished)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run(finished, "schedule", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert "--port" in refused.stderr
    assert "Traceback" not in refused.stderr
    toy.assert_nothing_left(finished.root)


@pytest.mark.slow
def test_a_schedule_runs_survives_a_kill_and_ends_cleanly(finished: Workspace, port: int) -> None:
    every_minute(finished)
    path = finished.root / "params.yaml"
    path.write_text(path.read_text().replace("images: 200_000", "images: 300_000", 1))
    url = f"http://127.0.0.1:{port}/api"
    toy.behave(finished, train={"seconds": 300})
    first = start(finished, "schedule", "--port", str(port))
    toy.wait_for(finished, "train", patience=120)
    first.kill()
    out, _ = first.communicate()
    assert "digits: next at " in out
    toy.assert_nothing_left(finished.root)
    assert (finished.root / "train.saved").exists()

    toy.behave(finished)
    second = start(finished, "schedule", "--port", str(port))
    try:
        done = _wait_for_a_finished_run(finished, url)
        killed = Record(url, finished).runs()[0]
        states = Record(url, finished).stages(done)
        cancelled = _run_and_cancel(finished, url, str(done["deployment_id"]))
    finally:
        second.send_signal(signal.SIGTERM)
        out, _ = second.communicate(timeout=60)
    assert killed["state"]["name"] == "Crashed"
    assert done["state"]["name"] == "Completed"
    assert cancelled == "Cancelled"
    assert [states[stage][0] for stage in STAGES] == ["Completed", "Cached", "Completed", "Completed", "Cached"]
    assert f"http://127.0.0.1:{port}\n" in out
    toy.assert_nothing_left(finished.root)
    assert not is_reachable(url)


def _run_and_cancel(workspace: Workspace, url: str, deployment: str) -> str:
    """Start a run as a person does on Prefect's page, cancel it there while it trains; returns the state that it ends in."""
    # No planned run may be in its way: a deployment has one place, and a second run is cancelled.
    httpx.post(f"{url}/deployments/{deployment}/pause_deployment", timeout=30).raise_for_status()
    while any(run["state"]["type"] in ("PENDING", "RUNNING") for run in Record(url, workspace).runs()):
        time.sleep(0.5)
    toy.forget(workspace)
    toy.behave(workspace, train={"seconds": 300})
    body = {"parameters": {"name": "digits", "force": ["train"]}, "state": {"type": "SCHEDULED"}}
    made = httpx.post(f"{url}/deployments/{deployment}/create_flow_run", json=body, timeout=30).json()["id"]
    toy.wait_for(workspace, "train", patience=120)
    httpx.post(f"{url}/flow_runs/{made}/set_state", json={"state": {"type": "CANCELLING"}}, timeout=30).raise_for_status()
    deadline = time.monotonic() + 60
    while not (workspace.root / "train.saved").exists():
        assert time.monotonic() < deadline, "the cancellation did not reach the stage"
        time.sleep(0.2)
    while (state := httpx.get(f"{url}/flow_runs/{made}", timeout=30).json()["state"]["name"]) == "Cancelling":
        assert time.monotonic() < deadline, "still cancelling"
        time.sleep(0.5)
    toy.behave(workspace)
    return str(state)


def _wait_for_a_finished_run(workspace: Workspace, url: str, patience: float = 150) -> dict[str, object]:
    """The first run that ended by itself."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        time.sleep(1)
        if is_reachable(url):
            for found in Record(url, workspace).runs():
                if found["state"]["type"] in ("COMPLETED", "FAILED"):
                    return found
    raise AssertionError(f"no run ended within {patience} s")
