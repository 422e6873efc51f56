"""Stages shared between workspaces that have nothing in common but a remote: here a folder; tests/production has S3."""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import toy_workspace as toy

from gan_core.errors import ConfigError
from tasks.graph import repro, sharing
from tasks.workspace import STAGES, Workspace


def share(folder: Path) -> Workspace:
    """A workspace of toy stages, whose remote is the folder `remote` beside it."""
    workspace = toy.make(folder)
    with (folder / ".dvc" / "config").open("a") as config:
        config.write("['remote \"shared\"']\n    url = ../../remote\n")
    repro.prepare(workspace)
    return workspace


@pytest.fixture(autouse=True)
def _on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sharing.REMOTE, "shared")
    monkeypatch.setattr(sharing, "_DELAYS", (0.0,))


@pytest.fixture(scope="module")
def _done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done")
    workspace = share(folder / "here")
    with pytest.MonkeyPatch.context() as patch, chdir(workspace.root):
        patch.setenv(sharing.REMOTE, "shared")
        for stage in STAGES:
            repro.reproduce(workspace, stage, "digits")
            sharing.send(workspace, stage, "digits", pytest.fail)
    return folder


@pytest.fixture
def here(tmp_path: Path, _done: Path) -> Workspace:
    """A workspace whose stages have all run, and were sent."""
    shutil.copytree(_done, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Workspace(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Another one, in which this process works."""
    workspace = share(tmp_path / "there")
    monkeypatch.chdir(workspace.root)
    return workspace


def run(workspace: Workspace) -> None:
    for stage in STAGES:
        if repro.look(workspace, stage, "digits").changed:
            sharing.bring(workspace, stage, "digits", pytest.fail)
            repro.reproduce(workspace, stage, "digits")


def test_a_workspace_begins_where_another_one_ended(here: Workspace, there: Workspace) -> None:
    said: list[str] = []
    sharing.begin(there, "digits", said.append)
    assert said == [f"took over what a worker has finished: {', '.join(STAGES)}"]
    run(there)
    assert toy.ran(there) == []
    for folder in ("data", "models", "reports"):  # also what DVC does not cache, such as the decision
        files = [path.relative_to(here.root) for path in (here.root / folder).rglob("*") if path.is_file()]
        assert files
        assert all((there.root / path).read_bytes() == (here.root / path).read_bytes() for path in files)
    (there.root / "dvc.lock").unlink()
    sharing.begin(there, "digits", pytest.fail)  # what it has seen it does not take again


def test_a_run_that_was_made_elsewhere_comes_from_the_run_cache(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "remote" / "gantry")  # the last state, which may be of other settings by now
    sharing.begin(there, "digits", pytest.fail)
    run(there)
    assert toy.ran(there) == ["fetch", "register"]
    assert (there.model("digits") / "weights.txt").read_text() == (here.model("digits") / "weights.txt").read_text()


def test_a_state_whose_files_are_lost_is_taken_as_far_as_it_goes(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    weights = (here.root / "dvc.lock").read_text().partition("path: models/digits")[2].partition("md5: ")[2][:32]
    lost = tmp_path / "remote" / "files" / "md5" / weights[:2] / f"{weights[2:]}.dir"
    lost.unlink()
    said: list[str] = []
    sharing.begin(there, "digits", said.append)
    assert said == ["took over what a worker has finished: fetch, validate"]
    shutil.rmtree(tmp_path / "remote" / "runs")
    run(there)
    assert toy.ran(there) == ["train", "evaluate", "register"]
    for stage in STAGES[2:]:
        sharing.send(there, stage, "digits", pytest.fail)
    assert lost.exists(), "what the remote had lost was not sent again"


def test_a_remote_out_of_reach_is_said_and_ends_nothing(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "remote")
    (tmp_path / "remote").write_text("no folder")
    toy.behave(here, fetch={"source": "new"})
    repro.reproduce(here, "fetch", "digits", force=True)
    said: list[str] = []
    with chdir(here.root):
        sharing.send(here, "fetch", "digits", said.append)
    sharing.begin(there, "digits", said.append)
    assert [line.partition(" ")[0] for line in said] == ["the", "warning:", "the", "warning:"]
    assert "again in 0 s" in said[0]


def test_a_remote_that_is_none_is_refused(there: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    sharing.check(there)
    monkeypatch.setenv(sharing.REMOTE, "elsewhere")
    with pytest.raises(ConfigError, match=r"GANTRY_REMOTE=elsewhere: no such remote .* \(there is shared\)"):
        sharing.check(there)
    monkeypatch.delenv(sharing.REMOTE)
    sharing.check(there)
