"""A workspace that an earlier Gantry made, brought up to date, and nothing that has run is run again for it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gan_core.errors import ConfigError
from tasks import scaffold
from tasks.graph import dvc_files, repro
from tasks.upgrade import due, upgrade
from tasks.workspace import Workspace

PRESENT = scaffold.template("dvc.yaml").read_text()
# As it was shipped last before this one.
FORMER = re.sub(r"# `-P`.*\n", "", PRESENT).replace("python -P -m", "python -m")
FORMER = re.sub(r"        # `persist` keeps .*\n.*\n", "", FORMER).replace("/validation:\n            persist: true", "/validation")
FORMER = re.sub(r"        # In the cache, so .*\n", "", FORMER).replace(
    "/metrics.json\n      plots", "/metrics.json:\n            cache: false\n      plots"
)
FORMER = re.sub(r"  # Pins what the .*?(?=  train:\n)", "", FORMER, flags=re.DOTALL).replace("        - data/${key}/start\n", "")


def make_former(root: Path) -> Workspace:
    """A workspace as the last Gantry made it."""
    made = scaffold.init_workspace(root)
    (root / "dvc.yaml").write_text(FORMER)
    with (root / ".dvc/config").open("a") as config:
        config.write("    site_cache_dir = .gantry/dvc\n['remote \"mine\"']\n    url = ../store\n")
    for name in (".gitignore", ".dvcignore"):
        path = root / name
        path.write_text(re.sub(r"/dvc_plots/?\n", "", path.read_text()) + "/mine")
    return made


def dvc(workspace: Workspace, *arguments: str) -> str:
    command = [sys.executable, "-P", "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=workspace.root, env=repro.environment(workspace), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_what_has_run_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make_former(tmp_path / "w")
    (workspace.root / "params.yaml").write_text(
        "generators:\n  circle: {data: {source: 'points://circle', count: 600}, validate: {}, "
        "train: {recipe: gan, images: 4000, generator: {widths: [8]}, discriminator: {widths: [8]}}, evaluate: {}, register: {}}\n"
    )
    repro.prepare(workspace)
    assert "which can lose a parameter; bring it up to date with `gantry upgrade`" in capsys.readouterr().err
    dvc(workspace, "repro", "train@circle")
    params = workspace.root / "params.yaml"
    former = params.read_text()
    params.write_text(former.replace("images: 4000", "images: 2000"))
    dvc(workspace, "repro", "evaluate@circle")
    names = [".dvc/config", ".dvcignore", ".gitignore", "dvc.lock", "dvc.yaml"]
    assert due(workspace) == names
    assert upgrade(workspace) == [
        *(f"{name}: brought up to date" for name in names),
        "data/circle/start: now in DVC's cache",
        "reports/circle/metrics.json: now in DVC's cache",
        "2 former trainings: remembered on",
    ]
    assert due(workspace) == upgrade(workspace) == []
    assert dvc(workspace, "status", "evaluate@circle").strip() == "Data and pipelines are up to date."
    made = scaffold.init_workspace(tmp_path / "new").root
    assert (workspace.root / "dvc.yaml").read_bytes() == (made / "dvc.yaml").read_bytes()
    assert (workspace.root / ".dvc/config").read_text() == (made / ".dvc/config").read_text() + "['remote \"mine\"']\n    url = ../store\n"
    assert (workspace.root / ".gitignore").read_text().splitlines()[-2:] == ["/mine", "/dvc_plots/"]
    repro.prepare(workspace)
    assert capsys.readouterr().err == ""
    params.write_text(former)
    assert "Stage 'train@circle' is cached - skipping run" in dvc(workspace, "repro", "train@circle")


def test_a_graph_changed_by_hand_is_left(tmp_path: Path) -> None:
    workspace = make_former(tmp_path / "w")
    own = FORMER + "  mine:\n    cmd: echo mine\n"
    (workspace.root / "dvc.yaml").write_text(own)
    *done, last = upgrade(workspace)
    assert done == [f"{name}: brought up to date" for name in (".dvc/config", ".dvcignore", ".gitignore")]
    assert last == f"dvc.yaml: changed by hand, and left; compare it with Gantry's, {scaffold.template('dvc.yaml')}"
    assert (workspace.root / "dvc.yaml").read_text() == own


def test_outside_of_a_workspace_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dvc\.yaml: not there"):
        upgrade(Workspace(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_every_graph_that_was_shipped_is_known() -> None:
    repository = Path(scaffold.__file__).parents[1]

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=False).stdout

    present = Workspace(repository)
    assert not dvc_files.is_former(present)
    commits = git("log", "--format=%h", "--", "dvc.yaml").decode().split()
    if not commits:
        pytest.skip("no history of git here")
    shipped = {hashlib.sha256(git("show", f"{commit}:dvc.yaml")).hexdigest() for commit in commits}
    assert shipped - {hashlib.sha256((repository / "dvc.yaml").read_bytes()).hexdigest()} <= dvc_files.FORMER
