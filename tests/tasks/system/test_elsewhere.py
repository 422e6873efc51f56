"""What is done on systems that have not what Linux has."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.graph.template import Template
from tasks.system.memory import keep_what_is_freed
from tasks.system.processes import die_with, is_orphan_of_dvc


def test_on_a_mac_nothing_dies_with_its_parent_and_stages_begin_by_themselves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("DVC_STAGE", "train@it")
    die_with(os.getppid() + 1)  # on Linux that is a parent which has died, and so the end
    assert not is_orphan_of_dvc()
    assert Template.begin(tmp_path, "it", {}) is None


def test_a_c_library_without_mallopt_keeps_what_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_what_is_freed()


def test_windows_is_told_where_it_runs() -> None:
    code = "import sys; from flows import cli; sys.platform = 'win32'; cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: Gantry's stages need what POSIX systems have")
    assert "WSL 2" in done.stderr
