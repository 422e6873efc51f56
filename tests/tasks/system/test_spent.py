"""What a training took is measured, and goes on where a stopped one left it."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np

from tasks.system.spent import Meter, Spent, peak_memory


def test_a_later_start_goes_on_from_what_was_noted() -> None:
    before = Spent(10.0, 640, 15.0, 2_000, 50)
    after = Spent.of(json.loads(json.dumps({"run_id": "r", **before.as_record()}))).and_then(Spent(5.0, 160, 7.0, 3_000, 0))
    assert after == Spent(15.0, 800, 22.0, 3_000, 50)
    assert after.images_per_second == 53


def test_what_is_no_such_note_counts_as_nothing() -> None:
    assert Spent.of({"run_id": "r"}) == Spent.of({**Spent(1.0).as_record(), "images": "many"}) == Spent()


def test_time_counts_from_the_first_step_on_and_of_all_processes() -> None:
    meter = Meter()
    assert (meter.spent().seconds, meter.spent().images) == (0.0, 0)
    meter.step(64)
    working_until = time.process_time() + 0.05
    while time.process_time() < working_until:
        pass
    meter.step(192)
    alone, both = meter.spent(), meter.spent(processes=2)
    assert alone.images == 128
    assert alone.seconds > 0
    assert 0.05 <= alone.processor_seconds < both.processor_seconds
    assert both.peak_memory == 2 * peak_memory()


def test_the_peak_is_that_of_this_process_and_not_of_the_one_that_started_it() -> None:
    before = peak_memory()
    held = np.ones(25_000_000)  # 200 MB, each page of it written
    assert peak_memory() >= max(held.nbytes, before)
    child = [sys.executable, "-c", "from tasks.system.spent import peak_memory; print(peak_memory())"]
    found = int(subprocess.run(child, capture_output=True, text=True, check=True).stdout)
    assert 1_000_000 < found < held.nbytes
