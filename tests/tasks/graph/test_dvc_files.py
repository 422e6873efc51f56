"""Files that a killed DVC leaves half-written, by real DVC."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import toy_workspace as toy

from gan_core.errors import ConfigError
from tasks.graph import dvc_files, repro
from tasks.workspace import Workspace

NAME = "digits"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two stages have run, and dvc.lock was kept between them, as each of the real stages does at its start."""
    made = toy.make(tmp_path / "w")
    repro.prepare(made)
    repro.reproduce(made, "fetch", NAME)
    dvc_files.keep(made)
    repro.reproduce(made, "validate", NAME)
    toy.forget(made)
    return made


def dvc(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=workspace.root, env=repro.environment(workspace), capture_output=True, text=True, check=False)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_half_a_lock_file_costs_a_look_at_the_run_cache(workspace: Workspace, share: float, capsys: pytest.CaptureFixture[str]) -> None:
    lock = workspace.root / "dvc.lock"
    whole = lock.read_bytes()
    half = whole[: int(share * len(whole))].rstrip(b"\n")
    lock.write_bytes(half)
    repro.prepare(workspace)
    assert "note: dvc.lock was left half-written" in capsys.readouterr().err
    assert (workspace.private / "dvc.lock.damaged").read_bytes() == half
    assert not repro.look(workspace, "fetch", NAME).changed
    assert repro.look(workspace, "validate", NAME).changed
    assert "DVC's cache" in str(repro.reproduce(workspace, "validate", NAME))
    assert lock.read_bytes() == whole
    assert toy.ran(workspace) == []
    repro.prepare(workspace)
    assert capsys.readouterr().err == ""


def test_without_a_copy_all_begins_anew(workspace: Workspace) -> None:
    (workspace.private / "dvc.lock").unlink()
    (workspace.root / "dvc.lock").write_text("schema: '2")
    repro.prepare(workspace)
    assert repro.look(workspace, "fetch", NAME).reason == "never run before"


def test_an_unsettled_merge_is_left_to_a_person(workspace: Workspace) -> None:
    lock = workspace.root / "dvc.lock"
    text = f"<<<<<<< HEAD\n{lock.read_text()}"
    lock.write_text(text)
    for meet in (repro.prepare, repro.changed):
        with pytest.raises(
            ConfigError, match=r"/dvc\.lock: line 1 begins a conflict .*\(<<<<<<< HEAD\); take one side whole, `git checkout"
        ):
            meet(workspace)
    assert lock.read_text() == text


@pytest.mark.parametrize("half", ["", '{"read": {"/da'])
def test_half_a_list_of_running_stages_is_removed(workspace: Workspace, half: str, capsys: pytest.CaptureFixture[str]) -> None:
    running = workspace.root / ".dvc" / "tmp" / "rwlock"
    running.write_text(half)
    assert "JSON structure is corrupted" in dvc(workspace, "repro", f"validate@{NAME}").stderr, "DVC gets over it by itself now"
    repro.prepare(workspace)
    assert "rwlock was left half-written by a DVC that was killed; removed" in capsys.readouterr().err
    assert not running.exists()
    assert dvc(workspace, "repro", f"validate@{NAME}").returncode == 0


def test_what_is_whole_is_left_alone(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in (workspace.root / "dvc.lock", workspace.root / ".dvc" / "tmp" / "rwlock")}
    repro.prepare(workspace)
    assert {path: path.read_bytes() for path in before} == before
    assert capsys.readouterr().err == ""
