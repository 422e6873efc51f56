"""What is compiled stays in the workspace and on the machine that it was compiled in."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from circle_workspace import NAME, configure, write_data

from tasks.params import load_entry
from tasks.system.graphs import keep_compiled
from tasks.train import train
from tasks.workspace import Workspace


def test_each_workspace_has_a_private_folder_and_a_copy_of_it_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")  # put back afterwards
    (tmp_path / "one").mkdir()
    folder = keep_compiled(Workspace(tmp_path / "one"))
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(folder)
    assert folder.is_relative_to(tmp_path / "one/.gantry/compiled")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert keep_compiled(Workspace(tmp_path / "one")) == folder
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert keep_compiled(Workspace(tmp_path / "two")).name != folder.name


def test_what_was_used_lately_is_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    folder = keep_compiled(Workspace(tmp_path))
    os.utime(folder, (0, 0))
    assert keep_compiled(Workspace(tmp_path)).stat().st_mtime > 0


def test_a_training_says_in_its_results_and_its_log_how_steps_were_played(
    tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    workspace, threads = Workspace(tmp_path), torch.get_num_threads()
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    write_data(workspace, seed=0)
    configure(workspace, 0, 0, compile="auto")
    train(workspace, NAME, load_entry(tmp_path, NAME))
    torch.set_num_threads(threads)
    told = json.loads((workspace.model(NAME) / "run.json").read_text())
    assert (told["step"], told["step_why"]) == ("eager", "a budget of 10 steps does not pay for compiling, which 60,000 do")
    assert f"note: train.compile: steps are not compiled: {told['step_why']}" in capsys.readouterr().err
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).is_relative_to(workspace.compiled)
