"""Cores are counted as this process may use them, not as the machine has them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tasks.system import cores

COUNT = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from tasks.system import cores; print(cores.usable())"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_affinity_counts() -> None:
    assert subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True).stdout == "1\n"


def test_what_is_left_of_a_larger_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 2)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores.described() == "2 of 64 CPU cores, as affinity or quota have it"
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert cores.described() == "2 CPU cores"


@pytest.mark.parametrize(
    ("threads", "seconds", "spent", "load", "said"),
    [(2, 60, 24, 15.2, True), (2, 60, 24, 3.9, False), (2, 60, 90, 15, False), (2, 19, 2, 15, False), (1, 60, 12, 15, False)],
)
def test_threads_that_wait_for_other_programs_are_noticed_once(
    monkeypatch: pytest.MonkeyPatch, threads: int, seconds: float, spent: float, load: float, said: bool
) -> None:
    clock = {"monotonic": 100.0, "process_time": 5.0}
    for name in clock:
        monkeypatch.setattr(time, name, lambda name=name: clock[name])
    monkeypatch.setattr(cores, "usable", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    crowd = cores.Crowd(threads)
    assert crowd.noticed() is None
    clock |= {"monotonic": 100 + seconds, "process_time": 5 + spent}
    expected = (
        "other programs keep 2 cores busy (load 15): 2 threads were at work 20% of the time, and wait for each other; "
        "a training with train.threads: 1 is faster here"
    )
    assert crowd.noticed() == (expected if said else None)
    assert crowd.noticed() is None


@pytest.mark.parametrize(("own", "expected"), [({}, "passive 10000"), ({"OMP_WAIT_POLICY": "active"}, "active None")])
def test_waiting_threads_soon_sleep_in_every_stage_and_a_persons_own_setting_holds(own: dict[str, str], expected: str) -> None:
    show = "import tasks.stage_main, os; print(os.environ['OMP_WAIT_POLICY'], os.environ.get('GOMP_SPINCOUNT'))"
    inherited = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    said = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True, env={**inherited, **own}).stdout
    assert said.strip() == expected
