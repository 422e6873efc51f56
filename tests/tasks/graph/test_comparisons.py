"""DVC's own comparisons of a workspace's runs: across commits, clones and experiments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from five_stages import reproduced

from tasks.scaffold import init_workspace

PARAMS = """\
generators:
  circle:
    data:
      source: points://circle
      count: 600
    validate: {}
    train: {recipe: gan, images: 2000, generator: {widths: [8]}, discriminator: {widths: [8]}}
    evaluate: {samples: 100}
    register: {}
"""


def said(root: Path, *command: str) -> str:
    """What a command says in a workspace, with the environment of a person who only has DVC and git."""
    folder = str(Path(sys.executable).parent)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_"))}
    environment |= {"PATH": f"{folder}{os.pathsep}{environment['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commit(root: Path, message: str) -> None:
    said(root, "git", "add", "--all")
    said(root, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", message)


@pytest.mark.slow
def test_scores_are_compared_across_commits_clones_and_experiments(tmp_path: Path) -> None:
    root, store = tmp_path / "w", tmp_path / "store"
    root.mkdir()
    said(root, "git", "init", "-q")
    said(root, "git", "config", "user.name", "a")
    said(root, "git", "config", "user.email", "a@b")
    workspace = init_workspace(root)
    (root / "params.yaml").write_text(PARAMS)
    said(root, "dvc", "remote", "add", "--default", "store", str(store))
    reproduced(workspace, "circle", "evaluate")
    commit(root, "first")
    first = json.loads((root / "reports/circle/metrics.json").read_text())

    said(root, "dvc", "exp", "run", "--temp", "--name", "longer", "-S", "generators.circle.train.images=3000", "evaluate@circle")
    assert said(root, "git", "status", "--porcelain") == ""
    header, *rows = (line.split(",") for line in said(root, "dvc", "exp", "show", "--csv", "--drop", ".*circle.*").splitlines())
    scores = {row[0] or row[1]: row[header.index("radius_error")] for row in rows}
    assert float(scores["workspace"]) == first["radius_error"]
    assert float(scores["longer"]) not in (0.0, first["radius_error"])

    said(root, "dvc", "exp", "apply", "longer")
    second = json.loads((root / "reports/circle/metrics.json").read_text())
    difference = json.loads(said(root, "dvc", "metrics", "diff", "--json"))["reports/circle/metrics.json"]
    assert (difference["radius_error"]["old"], difference["radius_error"]["new"]) == (first["radius_error"], second["radius_error"])
    assert "dvc_plots" in said(root, "dvc", "plots", "diff", "HEAD")
    assert said(root, "git", "status", "--porcelain").split() == ["M", "dvc.lock", "M", "params.yaml"]
    commit(root, "second")
    said(root, "dvc", "push")

    said(tmp_path, "git", "clone", "-q", str(root), "clone")
    said(tmp_path / "clone", "dvc", "pull")
    repeated = said(tmp_path / "clone", "dvc", "repro", "evaluate@circle")
    assert "Running stage" not in repeated
    assert json.loads((tmp_path / "clone/reports/circle/metrics.json").read_text()) == second
