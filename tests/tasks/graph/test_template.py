"""Stages that are forked from a process that has imported: they do what a new interpreter does, and end as one does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import toy_workspace as toy

from tasks.graph import repro
from tasks.scaffold import init_workspace
from tasks.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere stages begin by themselves")

# A command that runs stages as `gantry run` does. Its words: the workspace, how many variables, those, and then targets.
_COMMAND = """
import json, os, subprocess, sys
from pathlib import Path
from gan_core.errors import GantryError
from tasks.graph import repro
from tasks.workspace import Workspace

folder, variables, *targets = sys.argv[1:]
workspace = Workspace(Path(folder))
with repro.forking(workspace, targets[0].partition("@")[2]):
    assert repro._template is not None
    print("template", repro._template.pid, flush=True)
    if not variables:
        subprocess.Popen = None  # neither DVC nor a stage of Gantry's begins in a new interpreter
    for target in targets:
        stage, _, name = target.partition("@")
        say = lambda line: print(f"{stage}: {line}", flush=True)
        try:
            repro.reproduce(workspace, stage, name, on_line=say, extra_environment=json.loads(variables or "{}"))
        except GantryError as error:
            print(f"{type(error).__name__} {error.exit_code}: {error}", flush=True)
"""


@contextmanager
def command(workspace: Workspace, *targets: str, variables: str = "") -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", _COMMAND, str(workspace.root), variables, *targets]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    going = subprocess.Popen(words, text=True, **pipes)  # type: ignore[call-overload]
    try:
        yield going
    finally:
        going.kill()
        going.communicate()


def said(workspace: Workspace, *targets: str, variables: str = "") -> list[str]:
    """What it says, without the first line."""
    with command(workspace, *targets, variables=variables) as going:
        out, err = going.communicate(timeout=120)
    assert (going.returncode, err) == (0, "")
    return out.splitlines()[1:]


def circle(folder: Path, data: str = "source: 'points://circle', count: 600") -> Workspace:
    workspace = init_workspace(folder)
    sections = "validate: {}, train: {recipe: gan}, evaluate: {}, register: {}"
    (folder / "params.yaml").write_text(f"generators: {{circle: {{data: {{{data}}}, {sections}}}}}\n")
    repro.prepare(workspace)
    return workspace


@pytest.fixture
def toys(tmp_path: Path) -> Workspace:
    made = toy.make(tmp_path / "w")
    repro.prepare(made)
    return made


def test_neither_dvc_nor_a_stage_begins_in_a_new_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That what they make is the same is seen where one door runs all five stages and the other one does (`flows/test_pipeline.py`)."""
    monkeypatch.delenv("OMP_NUM_THREADS")  # so OpenBLAS, once imported, keeps a thread for each core
    workspace = circle(tmp_path / "w")
    fetched, validated = said(workspace, "fetch@circle", "validate@circle")
    assert fetched.startswith("fetch: fetch circle: 600 samples")
    assert validated.startswith("validate: validate circle: 600 points (541 train, 59 held out), 0 quarantined")
    toy.assert_nothing_left(workspace.root)


def test_an_expected_error_keeps_its_words_and_its_code_and_the_next_stage_is_forked_too(tmp_path: Path) -> None:
    workspace = circle(tmp_path / "w", data="source: 'folder:///nowhere/at/all', size: 8")
    first, second = (line for line in said(workspace, "fetch@circle", "fetch@circle") if not line.startswith("fetch: "))
    assert first == second
    assert first.startswith("StageError 3: folder:///nowhere/at/all: the folder /nowhere/at/all is not there"), first


_SHOWS = """
import os
from pathlib import Path
above = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]
print("shown", os.environ["OMP_NUM_THREADS"], above, flush=True)
"""


@pytest.mark.parametrize(("threads", "is_forked"), [("1", True), ("7", False)])
def test_what_is_read_when_a_process_begins_makes_it_begin_anew(
    toys: Workspace, monkeypatch: pytest.MonkeyPatch, threads: str, is_forked: bool
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (toys.root / "stage.py").write_text(_SHOWS + (toys.root / "stage.py").read_text())
    with command(toys, "fetch@digits", variables=json.dumps({"OMP_NUM_THREADS": threads})) as going:
        out, _ = going.communicate(timeout=120)
        (template,) = [line.split()[1] for line in out.splitlines() if line.startswith("template ")]
        (shown,) = [line.split()[2:] for line in out.splitlines() if line.startswith("fetch: shown ")]
    assert shown == [threads, template if is_forked else str(going.pid)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("victim", ["command", "template", "dvc"])
def test_whoever_is_killed_nothing_is_left_and_the_state_is_saved(toys: Workspace, victim: str, number: signal.Signals) -> None:
    toy.behave(toys, fetch={"seconds": 60})
    with command(toys, "fetch@digits", variables="{}") as going:
        assert going.stdout is not None
        template = int(going.stdout.readline().split()[1])
        stage = toy.wait_for(toys, "fetch")
        dvc = next(pid for pid, words in toy.processes_in(toys.root).items() if "tasks.graph.dvc_child" in words)
        os.kill({"command": going.pid, "template": template, "dvc": dvc}[victim], number)
        out, _ = going.communicate(timeout=60)
    assert stage != dvc
    toy.assert_nothing_left(toys.root)
    assert (toys.root / "fetch.saved").exists()
    if victim != "command":
        assert "StageError" in out.splitlines()[-1], out
    toy.behave(toys)
    assert repro.reproduce(toys, "fetch", "digits") is None
