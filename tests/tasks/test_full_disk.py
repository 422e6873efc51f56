"""Each stage on a disk that is full: a clear error, nothing half-written that counts, and after room is made it goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.registry import summaries
from tasks.scaffold import init_workspace
from tasks.workspace import STAGES, Workspace

ENTRY = """
generators:
  circle:
    data: {source: "points://circle", count: 20_000}
    validate: {}
    train: {recipe: gan, images: 4_000, generator: {widths: [32, 16]}, discriminator: {widths: [32, 16]}}
    evaluate: {}
    register: {}
"""
_ROOM = "120m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 120 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", place], capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def stage(workspace: Workspace, name: str, *through: str) -> subprocess.CompletedProcess[str]:
    """A stage by itself, or `through` a command line that runs it."""
    command = [sys.executable, "-m", *(through or (f"tasks.{name}", "circle"))]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False, timeout=300)


def fill(disk: Path, leave: int) -> Path:
    """Take all room but `leave` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leave)
    return ballast


@pytest.mark.slow
def test_every_stage_says_so_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    workspace = init_workspace(small_disk / "w")
    (workspace.root / "params.yaml").write_text(ENTRY)
    failures = 0
    for name in STAGES:
        for leave in (0, 16_384, 200_000):
            ballast = fill(small_disk, leave)
            ended = stage(workspace, name)
            ballast.unlink()
            said = ended.stdout + ended.stderr
            assert "Traceback" not in said, said
            if ended.returncode != 0:
                failures += 1
                assert re.search(
                    r"^error: .*(No space left on device|database or disk is full|disk I/O error)", ended.stderr, re.MULTILINE
                ), said
        done = stage(workspace, name, "dvc", "repro", "--single-item", f"{name}@circle")
        assert done.returncode == 0, (name, done.stdout + done.stderr)
    assert failures >= 2 * len(STAGES) - 1
    summary = summaries(workspace)["circle"]
    assert summary.champion is not None
    assert len(summary.history) == 1


def test_a_disk_that_is_full_from_the_start(small_disk: Path) -> None:
    """DVC meets it first, and what it says is passed on."""
    workspace = init_workspace(small_disk / "w")
    (workspace.root / "params.yaml").write_text(ENTRY)
    fill(small_disk, 0)
    ended = stage(workspace, "fetch", "flows.cli", "run", "circle")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert re.search(r"full|No space left", ended.stderr)
