"""Cores are counted as this process may use them, not as the machine has them."""

from __future__ import annotations

import os
import subprocess
import sys

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


def test_waiting_threads_sleep_in_every_stage_and_a_persons_own_setting_holds() -> None:
    show = "import tasks.stage_main, os; print(os.environ['OMP_WAIT_POLICY'])"
    for own, expected in ((None, "passive"), ("active", "active")):
        environment = {
            **{key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"},
            **({"OMP_WAIT_POLICY": own} if own else {}),
        }
        assert (
            subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True, env=environment).stdout.strip()
            == expected
        )
