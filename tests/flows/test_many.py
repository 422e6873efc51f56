"""Several generators side by side: what each ends with, that a failure keeps nobody else, and that a stop reaches all."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import toy_workspace as toy
from command_line import called, run, start

from flows.many import _Room, cores_of
from tasks import params
from tasks.params import Entry
from tasks.system import locks
from tasks.workspace import Workspace


def ended(out: str) -> dict[str, list[str]]:
    """The table at the end: a row's words by generator."""
    lines = out.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith("generator ")]
    return {line.split()[0]: line.split() for line in lines[start + 1 :] if line.strip()}


@contextmanager
def both_training(workspace: Workspace, server: str, patience: float = 120) -> Iterator[subprocess.Popen[str]]:
    """`gantry run --all`, while both generators train."""
    toy.behave(workspace, train={"seconds": 300})
    going = start(workspace, "run", "--all", "--jobs", "2", PREFECT_API_URL=server)
    deadline = time.monotonic() + patience
    try:
        while toy.ran(workspace).count("train") < 2:
            assert time.monotonic() < deadline, f"seen so far: {toy.ran(workspace)}"
            time.sleep(0.05)
        yield going
    finally:
        going.kill()


def test_ctrl_c_reaches_all_and_later_one_that_fails_keeps_nobody_else(workspace: Workspace, prefect_server: str) -> None:
    with both_training(workspace, prefect_server) as going:
        os.killpg(going.pid, signal.SIGINT)
        out, err = going.communicate(timeout=90)
    assert going.returncode == 130, out + err
    assert {name: row[1] for name, row in ended(out).items()} == {"digits": "stopped", "circle": "stopped"}
    for name in ("digits", "circle"):
        assert f"{name} | train    | note: stopped, the state is saved" in out
    toy.assert_nothing_left(workspace.root)

    toy.behave(workspace, **{"train@digits": {"error": "no luck\nat all", "exit": 4}})
    toy.forget(workspace)
    again = run(workspace, "run", "--all", "--jobs", "2", PREFECT_API_URL=prefect_server)
    assert again.returncode == 1, again.stderr
    assert again.stderr == ""
    rows = ended(again.stdout)
    assert rows["digits"][1] == "failed"
    assert rows["digits"][-2:] == ["no", "luck"]
    assert rows["circle"][1] == "done"
    assert "version 1 is the champion (first)" in " ".join(rows["circle"])
    assert toy.ran(workspace, "circle") == ["fetch", "train", "evaluate", "register"]
    assert toy.ran(workspace, "digits") == ["fetch", "train"]


def test_what_somebody_else_is_at_work_on_is_skipped_and_no_failure(finished: Workspace, prefect_server: str) -> None:
    path = finished.root / "params.yaml"
    path.write_text(path.read_text().partition("  circle:")[0])
    with locks.retraining(finished, "digits"):
        many = run(finished, "run", "--all", PREFECT_API_URL=prefect_server)
        one = run(finished, "run", "digits", PREFECT_API_URL=prefect_server)
    assert many.returncode == 0, many.stdout + many.stderr
    assert ended(many.stdout)["digits"][1] == "skipped"
    assert f"digits is being retrained by process {os.getpid()} since" in many.stdout
    assert (one.returncode, "is being retrained by process" in one.stderr, "Traceback" in one.stderr) == (7, True, False)


def test_runs_end_with_the_one_that_started_them(workspace: Workspace, prefect_server: str) -> None:
    with both_training(workspace, prefect_server) as going:
        going.kill()
        going.communicate(timeout=60)
    toy.assert_nothing_left(workspace.root, patience=60)


def test_only_what_has_changed_is_run_and_each_source_is_looked_at(finished: Workspace, prefect_server: str) -> None:
    path = finished.root / "params.yaml"
    path.write_text(path.read_text().partition("  circle:")[0])
    for more, stages in (("", ["fetch"]), ("more", ["fetch", "fetch", "validate"])):
        toy.behave(finished, fetch={"source": more})
        toy.forget(finished)
        done = run(finished, "run", "--changed", PREFECT_API_URL=prefect_server)
        assert done.returncode == 0, done.stdout + done.stderr
        assert toy.ran(finished) == stages
        assert ("digits: nothing has changed" in done.stdout) == (not more)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a generator"),
        (("digits", "--all"), "name a generator"),
        (("--all", "--changed"), "leave one"),
        (("digits", "--jobs", "2"), "--jobs is for"),
    ],
)
def test_combinations_without_sense_are_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    refused = called(Workspace(tmp_path), "run", *arguments)
    assert refused.returncode == 2
    assert said in refused.stderr


def entry(**train: object) -> Entry:
    section = {"recipe": "gan", "images": 1_000, "device": "cpu", **train}
    sections = {"data": {"source": "sklearn://digits"}, "validate": {}, "train": section, "evaluate": {}, "register": {}}
    return params.parse({"generators": {"x": sections}})["x"]


def test_images_take_every_core_unless_the_entry_says_how_many_threads() -> None:
    assert cores_of(entry(), 8) == 8
    assert cores_of(entry(threads=3), 8) == 3
    assert cores_of(entry(threads=30), 8) == 8


@pytest.mark.parametrize(
    ("room", "needs", "most"),
    [((9, 4), [1] * 6, 4), ((2, 4), [1] * 6, 2), ((9, 4), [4, 4, 4], 1), ((9, 4), [4, 1, 1, 4, 2], 3)],
)
def test_no_more_than_there_is_room_for_and_all_get_their_turn(room: tuple[int, int], needs: list[int], most: int) -> None:
    busy: list[int] = []
    seen: list[tuple[int, int]] = []
    turns = 0

    async def work(shared: _Room, cores: int) -> None:
        nonlocal turns
        async with shared.taken(cores):
            busy.append(cores)
            for _ in range(5):
                seen.append((len(busy), sum(busy)))
                await asyncio.sleep(0)
            busy.remove(cores)
            turns += 1

    async def all_of_them() -> None:
        shared = _Room(*room)
        await asyncio.gather(*(work(shared, cores) for cores in needs))

    asyncio.run(all_of_them())
    assert turns == len(needs)
    assert max(count for count, _ in seen) == most
    assert max(cores for _, cores in seen) <= room[1]
