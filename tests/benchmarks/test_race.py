"""Races between real processes, one of which falls; and what becomes of results."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import race as race_module
from benchmarks import results
from benchmarks.race import Side, race, ratios

_STEADY = """
import time
from benchmarks.pace import Pace
pace = Pace(parameters=7)
print("whatever a library prints")
while pace.step(10):
    time.sleep(0.01)
"""
_SIGNS = """
import os
import sys
import time
from benchmarks.pace import Pace
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
pace = Pace()
while pace.step(os.getpid()):
    time.sleep(0.01)
"""
_FALLS = """
import sys
from benchmarks.pace import Pace
pace = Pace()
windows = 0
pace.step(1)
while pace.step(1):
    if pace._warm:
        sys.exit("out of breath")
"""


def test_a_side_that_fails_says_why_and_the_others_go_on() -> None:
    sides = [
        Side(name, [sys.executable, "-c", program])
        for name, program in (("steady", _STEADY), ("falls", _FALLS), ("absent", "import nothing_of_that_name"))
    ]
    steady, falls, absent = race(sides, rounds=3, seconds=0.2)
    assert steady.failure is None
    assert steady.facts == {"parameters": 7}
    assert len(steady.windows) == 3
    for window in steady.windows:
        assert window["images"] == 10 * window["steps"]
        assert window["seconds"] >= 0.2
        assert window["images"] / window["seconds"] <= 10 / 0.01  # what happens between windows is not counted
    assert falls.failure == "out of breath"
    assert absent.failure is not None
    assert "nothing_of_that_name" in absent.failure
    assert ratios(steady, absent) == []
    assert ratios(steady, steady) == [1, 1, 1]


def test_copies_of_a_side_are_added_up_and_a_side_runs_the_code_of_its_own_checkout(tmp_path: Path) -> None:
    former_code = tmp_path / "benchmarks"
    former_code.mkdir()
    (former_code / "__init__.py").write_text("")
    (former_code / "pace.py").write_text(
        (race_module.ROOT / "benchmarks" / "pace.py").read_text().replace("self._steps += 1", "self._steps += 1000")
    )
    pids = tmp_path / "pids"
    sides = [Side("twice", [sys.executable, "-c", _SIGNS, str(pids)], copies=2), Side("former", [sys.executable, "-c", _STEADY], tmp_path)]
    twice, former = race(sides, rounds=2, seconds=0.2, busy=1)
    assert (twice.failure, former.failure) == (None, None)
    one, other = sorted(map(int, pids.read_text().split()))
    for window in twice.windows:
        assert one < window["images"] / window["steps"] < other
    for window in former.windows:
        assert window["steps"] == 100 * window["images"]


def test_results_survive_the_file_and_replace_only_what_stands_between_the_marks(tmp_path: Path) -> None:
    goals = [
        results.ratio_goal("fast", 2, [1.5, 3.0, 2.5]),
        results.ratio_goal("slow", 2, [1.0]),
        results.ratio_goal("gone", 2, [], "it fell"),
    ]
    one = results.Result("A work", "What was done.", ("program", "images a second"), [("Gantry", "12")], goals, {"Gantry": [12.0]})
    results.save(tmp_path / "results.json", {"work": one})
    back = results.load(tmp_path / "results.json")
    document = tmp_path / "page.md"
    document.write_text(f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n")
    for _ in range(2):
        results.publish(document, back)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("| Gantry | 12 |") == 1
    assert "| fast | 2x | 2.5 (1.5 to 3)x | met |" in text
    assert "| slow | 2x | 1x | **not met** |" in text
    assert "| gone | 2x | not measured: it fell | not measured |" in text
    document.write_text("no marks")
    with pytest.raises(ValueError, match="put the two lines back"):
        results.publish(document, back)


def test_sides_do_not_inherit_how_gantrys_own_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "10000"}  # as importing `tasks` sets them
    for key, value in own.items():
        monkeypatch.setenv(key, value)
    assert not own.keys() & race_module.environment({}).keys()
