"""Schedules, really run by Prefect, and what is left when the scheduler dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import loopback
import psutil
import pytest
import toy_workspace as toy
import tzlocal
from command_line import Record, called, run, start

from flows import schedule
from flows.server import is_reachable
from gan_core.errors import ConfigError
from tasks.cron import Times
from tasks.workspace import STAGES, Workspace


def every_minute(workspace: Workspace) -> None:
    path = workspace.root / "params.yaml"
    path.write_text(path.read_text().replace("  circle:", '    schedule: "* * * * *"\n  circle:'))


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


BERLIN = ZoneInfo("Europe/Berlin")


SKIPPED = "2026-03-29T03:30:00+02:00" if sys.version_info >= (3, 13) else "2026-03-29T01:30:00+01:00"
"""What Prefect makes of half past two in the night that has none: its arithmetic differs with Python's version."""


def announced(cron: str, after: datetime, timezone: str = "Europe/Berlin") -> str:
    return schedule.next_run(Times(cron, timezone), after).isoformat()


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("0 3 * * *", datetime(2026, 1, 1, 12, tzinfo=BERLIN), "2026-01-02T03:00:00+01:00"),
        ("@daily", datetime(2026, 1, 1, 12, tzinfo=BERLIN), "2026-01-02T00:00:00+01:00"),
        ("0 3 * * L5", datetime(2026, 1, 1, 12, tzinfo=BERLIN), "2026-01-30T03:00:00+01:00"),
        ("0 3 1-31/2 * MON", datetime(2026, 1, 1, 12, tzinfo=BERLIN), "2026-01-03T03:00:00+01:00"),  # a Saturday: either, not both
        # The clock goes from two to three on 29 March 2026, and from three to two on 25 October.
        ("0 3 * * *", datetime(2026, 3, 28, 12, tzinfo=BERLIN), "2026-03-29T03:00:00+02:00"),
        ("30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=BERLIN), SKIPPED),
        ("30 2 * * *", datetime(2026, 3, 29, 4, tzinfo=BERLIN), "2026-03-30T02:30:00+02:00"),
        ("0 3 * * *", datetime(2026, 10, 24, 12, tzinfo=BERLIN), "2026-10-25T03:00:00+01:00"),
        ("30 2 * * *", datetime(2026, 10, 24, 12, tzinfo=BERLIN), "2026-10-25T02:30:00+02:00"),
        ("30 2 * * *", datetime(2026, 10, 25, 2, 45, tzinfo=BERLIN), "2026-10-26T02:30:00+01:00"),
    ],
)
def test_what_is_announced_is_what_prefect_runs(cron: str, after: datetime, expected: str) -> None:
    assert announced(cron, after) == expected


def test_a_time_zone_elsewhere_is_kept_to() -> None:
    assert announced("0 3 * * *", datetime(2026, 1, 1, 12, tzinfo=BERLIN), "America/New_York") == "2026-01-02T03:00:00-05:00"


def test_each_entry_has_its_own_time_zone(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workspace.root / "params.yaml"
    path.write_text(
        path.read_text().replace("  circle:", '    schedule: "@daily"\n    timezone: Asia/Tokyo\n  circle:') + '    schedule: "0 3 * * *"\n'
    )
    said: list[str] = []
    monkeypatch.setattr(tzlocal, "get_localzone", lambda: BERLIN)
    assert {name: str(times) for name, times in schedule.schedules(workspace, said.append).items()} == {
        "digits": "@daily Asia/Tokyo",
        "circle": "0 3 * * * Europe/Berlin",
    }
    assert said == []
    # A machine without a named zone keeps nobody from those that name theirs.
    monkeypatch.setattr(tzlocal, "get_localzone", lambda: UTC)
    assert list(schedule.schedules(workspace, said.append)) == ["digits"]
    assert [line for line in said if line.startswith("left out: circle: this machine's time zone has no name")] == said != []


def test_a_wrong_entry_keeps_no_other_from_its_times(workspace: Workspace) -> None:
    path = workspace.root / "params.yaml"
    right = path.read_text().replace("  circle:", '    schedule: "@daily"\n    timezone: UTC\n  circle:')
    path.write_text(right + '    schedule: "0 3 * * 5L"\n')
    said: list[str] = []
    assert list(schedule.schedules(workspace, said.append)) == ["digits"]
    assert (
        [line for line in said if line.startswith("left out: ") and "circle.schedule: '0 3 * * 5L' has the last such day" in line]
        == said
        != []
    )
    path.write_text(path.read_text().replace('"@daily"', '"@never"'))
    with pytest.raises(ConfigError, match=r"(?s)'@never' is none of @hourly.*L5; write that"):
        schedule.schedules(workspace, said.append)


def test_without_a_schedule_there_is_nothing_to_serve(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="no entry has a schedule"):
        schedule.schedules(workspace, print)
    refused = called(workspace, "schedule")
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


@contextmanager
def scheduled_training(workspace: Workspace, api: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A schedule on a server, and a run of it that trains until it is stopped: the process of the one, the id of the other."""
    every_minute(workspace)  # which only a full server plans
    path = workspace.root / "params.yaml"
    path.write_text(path.read_text().replace("images: 200_000", "images: 300_000", 1))
    toy.behave(workspace, train={"seconds": 300})
    going = start(workspace, "schedule", PREFECT_API_URL=api)
    try:
        place = f"{api}/deployments/name/retrain/digits"
        while (found := loopback.get(place, timeout=30)).status_code != 200 or found.json()["status"] != "READY" or found.json()["paused"]:
            assert going.poll() is None
            time.sleep(0.2)
        body = {"parameters": {"name": "digits"}, "state": {"type": "SCHEDULED"}}
        made = loopback.post(f"{api}/deployments/{found.json()['id']}/create_flow_run", json=body, timeout=30).json()["id"]
        toy.wait_for(workspace, "train", patience=120)
        yield going, made
    finally:
        going.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_schedule_that_is_ended_says_so_of_its_run(finished: Workspace, prefect_server: str, number: signal.Signals) -> None:
    with scheduled_training(finished, prefect_server) as (going, made):
        os.killpg(going.pid, number) if number == signal.SIGINT else going.send_signal(number)
        _, err = going.communicate(timeout=90)
    assert "Traceback" not in err
    toy.assert_nothing_left(finished.root)
    assert (finished.root / "train.saved").exists()
    known = loopback.get(f"{prefect_server}/flow_runs/{made}", timeout=30).json()
    state = known["state"]
    assert "digits" in known["tags"], "by which a planned run, which has no name yet, is told from others"
    assert state["type"] == "CANCELLED", state
    assert "the next run goes on from there" in state["message"]
    assert going.returncode == 128 + number
    rows = {row["name"]: row for row in json.loads(called(finished, "list", "--json", PREFECT_API_URL=prefect_server).stdout)}
    assert [rows[name]["paused"] for name in ("digits", "circle")] == [True, None]


@pytest.mark.slow
def test_pause_on_prefects_page_stops_the_run_in_words_and_its_state_is_kept(finished: Workspace, prefect_server: str) -> None:
    with scheduled_training(finished, prefect_server) as (going, made):
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        paused = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_timeout": until, "pause_reschedule": True}}
        answer = loopback.post(f"{prefect_server}/flow_runs/{made}/set_state", json={"state": paused}, timeout=30).json()
        assert answer["status"] == "ACCEPT", answer
        # At once, before the run has seen that it was paused: now it waits to be begun a second time.
        resumed = loopback.post(f"{prefect_server}/flow_runs/{made}/resume", timeout=30).json()
        assert resumed["state"]["name"] == "Resuming", resumed
        deadline = time.monotonic() + 120
        while (state := loopback.get(f"{prefect_server}/flow_runs/{made}", timeout=30).json()["state"])["type"] != "CANCELLED":
            assert time.monotonic() < deadline, f"it shows as {state['name']} for ever"
            time.sleep(0.2)
        assert (finished.root / "train.saved").exists()
        _, alive = psutil.wait_procs(psutil.Process(going.pid).children(), timeout=60)  # the run says its own last word
        assert not alive
        going.terminate()
        going.communicate(timeout=90)
        state = loopback.get(f"{prefect_server}/flow_runs/{made}", timeout=30).json()["state"]
        assert state["message"].startswith("instead of pausing it was stopped in train, and its state is saved; start the deployment again")
    toy.assert_nothing_left(finished.root)


def _run_and_cancel(workspace: Workspace, url: str, deployment: str) -> str:
    """Start a run as a person does on Prefect's page, cancel it there while it trains; returns the state that it ends in."""
    # No planned run may be in its way: a deployment has one place, and a second run is cancelled.
    loopback.post(f"{url}/deployments/{deployment}/pause_deployment", timeout=30).raise_for_status()
    while any(run["state"] is None or run["state"]["type"] in ("PENDING", "RUNNING") for run in Record(url, workspace).runs()):
        time.sleep(0.5)
    toy.forget(workspace)
    toy.behave(workspace, train={"seconds": 300})
    body = {"parameters": {"name": "digits", "force": ["train"]}, "state": {"type": "SCHEDULED"}}
    answer = loopback.post(f"{url}/deployments/{deployment}/create_flow_run", json=body, timeout=30)
    made = answer.raise_for_status().json()["id"]
    toy.wait_for(workspace, "train", patience=120)
    loopback.post(f"{url}/flow_runs/{made}/set_state", json={"state": {"type": "CANCELLING"}}, timeout=30).raise_for_status()
    deadline = time.monotonic() + 60
    while not (workspace.root / "train.saved").exists():
        assert time.monotonic() < deadline, "the cancellation did not reach the stage"
        time.sleep(0.2)
    while (state := loopback.get(f"{url}/flow_runs/{made}", timeout=30).json()["state"]["name"]) == "Cancelling":
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
                if found["state"] is not None and found["state"]["type"] in ("COMPLETED", "FAILED"):
                    return found
    raise AssertionError(f"no run ended within {patience} s")
