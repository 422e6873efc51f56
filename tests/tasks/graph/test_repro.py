"""Stages by real DVC in real children, and what is left of them when they are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import toy_workspace as toy
from fsspec.implementations.memory import MemoryFileSystem

from gan_core.errors import BusyError, ConfigError
from tasks.graph import repro
from tasks.scaffold import init_workspace
from tasks.workspace import Workspace

NAME = "digits"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = toy.make(tmp_path / "w")
    repro.prepare(made)
    return made


def run(workspace: Workspace, stage: str, **options: object) -> str | None:
    return repro.reproduce(workspace, stage, NAME, **options)  # type: ignore[arg-type]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def dvc_of(stage_pid: int) -> int:
    """The DVC process above a stage, whether or not a shell stands between them."""
    pid = parent_of(stage_pid)
    return pid if b"dvc_child" in Path(f"/proc/{pid}/cmdline").read_bytes() else parent_of(pid)


@pytest.fixture(params=["bash", "sh"])
def shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which a stage is started: bash replaces itself by the stage, and sh (dash) waits for it."""
    found = shutil.which(request.param)
    assert found
    monkeypatch.setattr(repro, "_shell", lambda: found)
    return str(request.param)


def flow_process(workspace: Workspace, stage: str) -> subprocess.Popen[bytes]:
    """A process that runs a stage as the flow does, to be killed."""
    code = (
        "from pathlib import Path; from tasks.graph import repro; from tasks.workspace import Workspace;"
        f"repro._shell = lambda: {repro._shell()!r};"
        f"repro.reproduce(Workspace(Path({str(workspace.root)!r})), {stage!r}, {NAME!r})"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_stage_runs_once_and_is_unchanged_after(workspace: Workspace) -> None:
    before = repro.look(workspace, "fetch", NAME)
    assert before.changed
    assert run(workspace, "fetch") is None
    after = repro.look(workspace, "fetch", NAME)
    assert not after.changed
    assert after.reason == "unchanged: generators.digits.data"
    assert toy.ran(workspace) == ["fetch"]


def test_a_look_leaves_nothing_in_memory(workspace: Workspace) -> None:
    run(workspace, "fetch")
    assert repro.look(workspace, "validate", NAME).changed
    repro.look(workspace, "fetch", NAME)
    assert not MemoryFileSystem.store


def test_a_changed_parameter_changes_its_stage_alone(workspace: Workspace) -> None:
    for stage in ("fetch", "validate", "train"):
        run(workspace, stage)
    params = workspace.root / "params.yaml"
    params.write_text(params.read_text().replace("images: 200_000", "images: 300_000", 1))
    assert not repro.look(workspace, "validate", NAME).changed
    verdict = repro.look(workspace, "train", NAME)
    assert verdict.changed
    assert verdict.reason == "generators.digits.train modified"
    changed = repro.changed(workspace)
    assert changed["train@digits"] == verdict.reason
    assert "validate@digits" not in changed


def test_force_runs_what_is_unchanged(workspace: Workspace) -> None:
    run(workspace, "fetch")
    run(workspace, "fetch")
    assert toy.ran(workspace) == ["fetch"]
    run(workspace, "fetch", force=True)
    assert toy.ran(workspace) == ["fetch", "fetch"]


def test_results_of_a_former_run_come_back_from_the_cache(workspace: Workspace) -> None:
    run(workspace, "fetch")
    run(workspace, "validate")
    (workspace.root / "data/digits/ready/ready.txt").unlink()
    restored = run(workspace, "validate")
    assert restored is not None
    assert "cache" in restored
    assert toy.ran(workspace) == ["fetch", "validate"]


def test_lines_come_as_they_are_said_without_dvcs_own(workspace: Workspace) -> None:
    toy.behave(workspace, fetch={"lines": ["one", "two\rthree", "", "ünï"]})
    lines: list[str] = []
    run(workspace, "fetch", on_line=lines.append)
    assert lines == ["> python stage.py fetch digits", "fetch of digits begins", "one", "two", "three", "ünï"]


def test_an_error_is_the_stages_own_words_and_code(workspace: Workspace) -> None:
    toy.behave(workspace, fetch={"error": "data/x.png: broken", "exit": 3})
    with pytest.raises(repro.StageError) as caught:
        run(workspace, "fetch")
    assert str(caught.value) == "data/x.png: broken"
    assert (caught.value.code, caught.value.exit_code, caught.value.was_explained) == (3, 3, True)


def test_a_crash_keeps_its_last_lines(workspace: Workspace) -> None:
    toy.behave(workspace, fetch={"lines": ["Traceback (most recent call last):", "ValueError: oh"], "exit": 1})
    with pytest.raises(repro.StageError, match="ValueError: oh") as caught:
        run(workspace, "fetch")
    assert not caught.value.was_explained


def test_a_failed_stage_survives_pickling(workspace: Workspace) -> None:
    import pickle

    error = repro.StageError("train", NAME, "no", 4, True)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (again.stage, again.name, str(again), again.code, again.exit_code) == ("train", NAME, "no", 4, 4)


def test_a_timeout_lets_the_stage_save_and_leaves_nothing(workspace: Workspace, shell: str) -> None:
    toy.behave(workspace, fetch={"seconds": 60})
    with pytest.raises(repro.StageTimeoutError, match="longer than 3 s"):
        run(workspace, "fetch", timeout=3)
    assert (workspace.root / "fetch.saved").exists()
    toy.assert_nothing_left(workspace.root, patience=0)


def test_a_stage_that_resists_is_killed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repro, "GRACE", 1.0)
    toy.behave(workspace, fetch={"seconds": 60, "resist": True})
    with pytest.raises(repro.StageTimeoutError):
        run(workspace, "fetch", timeout=3)
    toy.assert_nothing_left(workspace.root, patience=1)


def test_an_exception_on_the_way_ends_the_stage(workspace: Workspace) -> None:
    toy.behave(workspace, fetch={"seconds": 60})

    def refuse(line: str) -> None:
        if "begins" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(workspace, "fetch", on_line=refuse)
    toy.assert_nothing_left(workspace.root, patience=0)


def test_killed_dvc_takes_the_stage_along_and_the_next_run_works(workspace: Workspace, shell: str) -> None:
    toy.behave(workspace, fetch={"seconds": 60})
    killer = threading.Thread(target=lambda: os.kill(dvc_of(toy.wait_for(workspace, "fetch")), signal.SIGKILL))
    killer.start()
    with pytest.raises(repro.StageError, match="dvc was ended by SIGKILL"):
        run(workspace, "fetch")
    killer.join()
    assert (workspace.root / "fetch.saved").exists()
    toy.assert_nothing_left(workspace.root, patience=0)
    toy.behave(workspace)
    assert run(workspace, "fetch") is None


def test_killed_dvc_takes_along_even_a_stage_without_lifeline(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repro, "GRACE", 1.0)
    toy.behave(workspace, fetch={"seconds": 60, "no lifeline": True})
    killer = threading.Thread(target=lambda: os.kill(dvc_of(toy.wait_for(workspace, "fetch")), signal.SIGKILL))
    killer.start()
    with pytest.raises(repro.StageError):
        run(workspace, "fetch")
    killer.join()
    toy.assert_nothing_left(workspace.root, patience=1)


def test_killed_stage_is_named(workspace: Workspace, shell: str) -> None:
    toy.behave(workspace, fetch={"seconds": 60})
    killer = threading.Thread(target=lambda: os.kill(toy.wait_for(workspace, "fetch"), signal.SIGKILL))
    killer.start()
    with pytest.raises(repro.StageError, match="fetch was ended by SIGKILL; the machine may have run out of memory") as caught:
        run(workspace, "fetch")
    killer.join()
    assert caught.value.code == -signal.SIGKILL


@pytest.mark.parametrize("manner", [{}, {"no lifeline": True}])
def test_killed_flow_leaves_nothing_and_the_next_run_works(workspace: Workspace, shell: str, manner: dict[str, bool]) -> None:
    toy.behave(workspace, fetch={"seconds": 60, **manner})
    flow = flow_process(workspace, "fetch")
    toy.wait_for(workspace, "fetch")
    flow.kill()
    flow.wait()
    toy.assert_nothing_left(workspace.root)
    assert (workspace.root / "fetch.saved").exists()
    toy.behave(workspace)
    assert run(workspace, "fetch") is None


def test_a_stage_that_runs_already_is_refused_by_name(workspace: Workspace) -> None:
    toy.behave(workspace, fetch={"seconds": 60})
    first = flow_process(workspace, "fetch")
    try:
        dvc = dvc_of(toy.wait_for(workspace, "fetch"))
        with pytest.raises(BusyError, match=f"data/digits/raw is being worked on by process {dvc} "):
            run(workspace, "fetch")
        with pytest.raises(BusyError, match=f"data/digits/raw is being worked on by process {dvc} "):
            repro.look(workspace, "fetch", NAME)
        assert repro.changed(workspace)["fetch@digits"] == "runs just now"
    finally:
        first.terminate()
        first.wait()
    toy.assert_nothing_left(workspace.root)


def test_two_generators_run_side_by_side(workspace: Workspace) -> None:
    toy.behave(workspace, fetch={"seconds": 3})
    failures: list[BaseException] = []

    def other() -> None:
        try:
            repro.reproduce(workspace, "fetch", "circle")
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    start = time.monotonic()
    run(workspace, "fetch")
    thread.join()
    assert not failures
    assert toy.ran(workspace) == ["fetch", "fetch"]
    assert time.monotonic() - start < 60


def test_a_folder_that_is_no_workspace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml: not there.*gantry init"):
        repro.prepare(Workspace(tmp_path))


def test_a_broken_dvc_yaml_is_named(workspace: Workspace) -> None:
    (workspace.root / "dvc.yaml").write_text("stages: [nonsense\n")
    with pytest.raises(ConfigError, match=r"dvc\.yaml"):
        repro.look(workspace, "fetch", NAME)


def test_dvc_keeps_to_itself(workspace: Workspace) -> None:
    env = repro.environment(workspace)
    assert env["DVC_NO_ANALYTICS"] == "1"
    assert Path(env["DVC_SITE_CACHE_DIR"]).is_relative_to(workspace.root)
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    run(workspace, "fetch")
    assert (workspace.private / "dvc").is_dir()
    assert "no_scm = true" in (workspace.root / ".dvc/config.local").read_text()


# A stage whose `dvc` dies while it still imports, which takes longer here.
_DIES_EARLY = """
import os, subprocess, sys
environment = {**os.environ, "DVC_STAGE": "fetch@circle"}
code = "import runpy, sys, time; time.sleep(1.5); sys.argv = ['', 'circle']; runpy.run_module('tasks.fetch', run_name='__main__')"
with open("said.txt", "wb") as said:
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=said, stderr=said)
print(child.pid, flush=True)
if sys.argv[1] == "dies":
    os._exit(0)
sys.exit(child.wait())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
@pytest.mark.parametrize("parent", ["dies", "lives"])
def test_a_stage_whose_dvc_died_before_it_began_does_nothing(tmp_path: Path, parent: str) -> None:
    workspace = init_workspace(tmp_path / "w")
    subprocess.run([sys.executable, "-c", _DIES_EARLY, parent], cwd=workspace.root, check=True, capture_output=True, timeout=120)
    toy.assert_nothing_left(workspace.root, patience=60)
    assert workspace.raw("circle").exists() == (parent == "lives")
    assert ("samples" in (workspace.root / "said.txt").read_text()) == (parent == "lives")
