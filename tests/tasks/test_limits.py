"""A full disk, a read-only one, few open files: clear errors, nothing half-written that counts, and it goes on when there is room."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import called
from real_mlflow import tiny_generator

from tasks.graph import repro
from tasks.graph.repro import StageError
from tasks.records.registry import summaries
from tasks.scaffold import init_workspace
from tasks.workspace import GRAPH, STAGES, Workspace

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


# A process that has imported, and forks a stage for each line that it is told.
_FORKS = """
import importlib, os, sys
from tasks.graph.template import as_new, ends_like_a_program
from tasks.records import tracking
from tasks.stage_main import stage_main
from tasks.validation import expectations

expectations.great_expectations()
tracking.load()
stages = {name: getattr(importlib.import_module(f"tasks.{name}"), name) for name in sys.argv[1:]}
for line in sys.stdin:
    name, *streams = line.split()
    child = os.fork()
    if child == 0:
        for descriptor, path in enumerate(streams, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        as_new({**os.environ}, os.getcwd())
        sys.argv = [name, "circle"]
        ends_like_a_program(lambda: stage_main(stages[name]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def forked_stages(workspace: Workspace, folder: Path) -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """Runs a stage by itself. What it says passes through files in `folder`, which has room."""
    streams = [folder / "stdout", folder / "stderr"]
    command = [sys.executable, "-c", _FORKS, *GRAPH]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=workspace.root, stdin=pipe, stdout=pipe, text=True) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None

        def run(name: str) -> subprocess.CompletedProcess[str]:
            print(name, *streams, file=forks.stdin, flush=True)
            assert forks.stdout is not None
            return subprocess.CompletedProcess([name], int(forks.stdout.readline()), *(stream.read_text() for stream in streams))

        yield run
        forks.stdin.close()
    assert forks.returncode == 0


def fill(disk: Path, leave: int) -> Path:
    """Take all room but `leave` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leave)
    return ballast


@pytest.mark.slow
def test_every_stage_says_so_and_goes_on_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    workspace = init_workspace(small_disk / "w")
    (workspace.root / "params.yaml").write_text(ENTRY)
    failures = 0
    with forked_stages(workspace, tmp_path) as run:
        for name in GRAPH:
            for leave in (0, 16_384, 200_000):
                ballast = fill(small_disk, leave)
                ended = run(name)
                ballast.unlink()
                said = ended.stdout + ended.stderr
                assert "Traceback" not in said, said
                if ended.returncode != 0:
                    failures += 1
                    full = r"^error: .*(No space left on device|database or disk is full|disk I/O error)"
                    assert re.search(full, ended.stderr, re.MULTILINE), said
            ended = run(name)
            assert ended.returncode == 0, ended.stdout + ended.stderr
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


def test_a_full_disk_of_dvcs_cache_is_named(small_disk: Path, tmp_path: Path) -> None:
    """A cache on a disk of its own, beside a workspace with room."""
    workspace = init_workspace(tmp_path / "w")
    (workspace.root / "params.yaml").write_text(ENTRY)
    repro.prepare(workspace)
    cache = small_disk / "cache"
    with (workspace.root / ".dvc" / "config.local").open("a") as config:
        config.write(f"[cache]\n    dir = {cache}\n")
    fill(small_disk, 0)
    with pytest.raises(
        StageError, match=rf"^fetch@circle: the disk of {cache}.* is full \(0\.0 GiB free\); make room there, and run it again"
    ):
        repro.reproduce(workspace, "fetch", "circle")


@pytest.mark.parametrize("words", [("run", "circle"), ("list",)])
def test_a_read_only_workspace(small_disk: Path, words: tuple[str, ...]) -> None:
    workspace = init_workspace(small_disk / "w")
    (workspace.root / "params.yaml").write_text(ENTRY)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    ended = stage(workspace, "", "flows.cli", *words)
    assert ended.returncode == 1
    assert re.fullmatch(r"error: /.*: Read-only file system; make the workspace writable, and run it again\n", ended.stderr), ended.stderr


@pytest.mark.slow
def test_64_open_files_are_enough(tmp_path: Path) -> None:
    workspace = init_workspace(tmp_path / "w")
    (workspace.root / "params.yaml").write_text(ENTRY)
    command = f"ulimit -n 64 && exec {sys.executable} -m flows.cli run circle"
    done = subprocess.run(["bash", "-c", command], cwd=workspace.root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("form", ["torch-export", "folder"])
def test_a_full_disk_while_exporting_leaves_what_was_there(form: str, small_disk: Path, tmp_path: Path) -> None:
    tiny_generator().save(tmp_path / "generator")
    out = small_disk / {"torch-export": "g.pt2", "folder": "g"}[form]
    if form == "torch-export":
        out.write_text("what was there")
    before = {path.name for path in small_disk.iterdir()}
    fill(small_disk, 4_096).rename(small_disk / "full")
    ended = called(Workspace(tmp_path), "export", "--from", str(tmp_path / "generator"), "--format", form, "--out", str(out))
    assert (ended.returncode, ended.stderr) == (2, f"error: {out}: cannot be written (No space left on device)\n")
    assert {path.name for path in small_disk.iterdir()} == {*before, "full"}
    assert form == "folder" or out.read_text() == "what was there"
