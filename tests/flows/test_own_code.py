"""A person's own `tasks.py`, `flows` and `gan_core` in the workspace are never imported in place of Gantry's, by whatever runs there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import clean_environment

from flows.doctor import examine
from tasks.graph import repro
from tasks.scaffold import init_workspace
from tasks.workspace import GRAPH, Workspace

BIN = Path(sys.executable).parent
MODULES = ("tasks.py", "flows/__init__.py", "gan_core/__init__.py")
TRAP = "from pathlib import Path\nPath({there!r}).open('a').write(__name__ + '\\n')\nraise SystemExit('yours was imported')\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with modules of a person's own, which leave a trace when they are imported."""
    made = init_workspace(tmp_path / "w")
    (made.root / "params.yaml").write_text(
        "generators:\n"
        "  circle:\n"
        "    data: {source: 'points://circle', count: 600}\n"
        "    validate: {}\n"
        "    train: {recipe: gan, images: 4000, processes: 2, generator: {widths: [8]}, discriminator: {widths: [8]}}\n"
        "    evaluate: {samples: 100}\n"
        "    register: {served: true}\n"
    )
    for package in ("flows", "gan_core"):
        (made.root / package).mkdir()
    for module in MODULES:
        (made.root / module).write_text(TRAP.format(there=str(tmp_path / "imported")))
    return made


def said(workspace: Workspace, *command: str) -> str:
    """What a command says, started as a person does: without what Gantry tells its children."""
    environment = clean_environment(PATH=repro.environment(workspace)["PATH"])
    assert "PYTHONSAFEPATH" not in environment
    done = subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (workspace.root.parent / "imported").exists(), (workspace.root.parent / "imported").read_text()
    return done.stdout


def test_dvc_alone_runs_gantrys_stages(workspace: Workspace) -> None:
    said(workspace, str(BIN / "dvc"), "repro", "fetch@circle")
    assert workspace.raw("circle").is_dir()
    with repro.opened(workspace) as dvc:
        commands = {stage.name: stage.cmd for stage in dvc.index.stages}
    assert commands == {f"{stage}@circle": f"python -P -m tasks.{stage} circle" for stage in GRAPH}


@pytest.mark.slow
def test_all_that_a_run_and_a_sweep_start_is_gantrys(workspace: Workspace) -> None:
    """Ranks, the loaded and the served version, Prefect's server, a trial."""
    gantry = str(BIN / "gantry")
    assert "version 1 is the champion (first)" in said(workspace, gantry, "run", "circle")
    assert "best: radius_error" in said(workspace, gantry, "sweep", "circle", "train.batch=32,64", "--trials", "1", "--no-prune")


def test_the_doctor_names_them(workspace: Workspace) -> None:
    (found,) = [check for check in examine(workspace) if check.name == "code"]
    assert found.state == "note"
    named = "flows/, gan_core/, tasks.py: named as Gantry's own"
    assert found.text.startswith(f"{named}; commands and stages keep to theirs")
    graph = workspace.root / "dvc.yaml"
    graph.write_text(graph.read_text().replace("python -P -m", "python -m"))
    (found,) = [check for check in examine(workspace) if check.name == "code"]
    assert (found.state, found.text.partition("; ")[0]) == ("broken", f"{named}, and taken for them by the stages")
    for module in MODULES:
        (workspace.root / module).unlink()
    assert "code" not in [check.name for check in examine(workspace)]
