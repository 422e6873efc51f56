"""Where a version came from: its tags, and the tree of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gan_core.errors import ConfigError
from tasks import params
from tasks.params import Entry
from tasks.records import lineage, tracking
from tasks.records.registry import Registry
from tasks.workspace import Workspace

SECTIONS = {
    "data": {"source": "points://circle", "count": 200},
    "validate": {"min_samples": 20},
    "train": {"recipe": "gan", "images": 640, "optimizer": {"betas": [0.5, 0.9]}},
    "evaluate": {},
    "register": {"require": {"radius_error": "<= 0.5"}},
}


@pytest.fixture
def entry() -> Entry:
    return params.parse({"generators": {"digits": SECTIONS}})["digits"]


def test_git_and_dvc_where_they_are(workspace: Workspace, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=workspace.root, check=True)
    (workspace.root / "dvc.lock").write_text(json.dumps({"stages": {"v": {"outs": [{"path": "data/digits/ready", "md5": "0123.dir"}]}}}))
    monkeypatch.setenv(tracking.FLOW_RUN, "a flow run")
    tags = lineage.tags(workspace, "digits", entry, {"threads": 2, "device": "cpu", "step": "compiled"}, {"extractor": {"hash": "abc"}})
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=workspace.root, capture_output=True, text=True, check=True).stdout.strip()
    assert tags["git_commit"] == head
    assert tags["dvc.ready"] == "0123.dir"
    assert tags["gantry_version"]
    assert tags["step"] == "compiled"
    assert (tags["flow_run"], tags["extractor_hash"], tags["threads"], tags["device"]) == ("a flow run", "abc", "2", "cpu")


def test_nothing_where_there_is_nothing(workspace: Workspace, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.root.parent))
    monkeypatch.delenv(tracking.FLOW_RUN, raising=False)
    assert set(lineage.tags(workspace, "digits", entry, {}, {"extractor": None})) <= {"gantry_version", "params", "source", "code_commit"}


def test_params_are_read_back_as_the_same_entry(entry: Entry) -> None:
    text = lineage.params_text(entry)
    assert json.loads(text) == SECTIONS
    assert params.parse({"generators": {"digits": json.loads(text)}})["digits"] == entry


def test_a_file_that_another_checkout_does_not_track_is_not_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(lineage, "__file__", str(tmp_path / "lineage.py"))
    assert lineage.code_commit() is None


class TestTree:
    @pytest.fixture
    def registered(self, workspace: Workspace, entry: Entry, generator_folder: Path) -> Workspace:
        registry = Registry.open(workspace)
        tags: dict[str, Any] = {
            **lineage.tags(workspace, "digits", entry, {"threads": 1, "step": "eager"}, {}),
            "metric.fid": "2.5",
            "generator_sha256": "e" * 64,
        }
        with tracking.run(workspace, "digits") as run:
            for _ in range(2):
                registry.add("digits", run.id, generator_folder, tags, "")
        registry.move_champion(registry.version("digits", 1), None, "first")
        return workspace

    def test_of_the_champion_and_of_a_version(self, registered: Workspace) -> None:
        found = lineage.lineage(registered, "digits")
        assert (found["name"], found["version"], found["role"], found["scores"]) == ("digits", 1, "champion", {"fid": 2.5})
        assert found["training"]["params"] == SECTIONS
        assert (found["training"]["threads"], found["training"]["step"]) == (1, "eager")
        assert found["data"]["source"] == "points://circle"
        assert found["data"]["ready"] is None
        assert lineage.lineage(registered, "digits/2")["role"] is None
        assert json.loads(json.dumps(found)) == found

    def test_what_is_not_there_is_named(self, registered: Workspace) -> None:
        with pytest.raises(ConfigError, match="digits: no version 9"):
            lineage.lineage(registered, "digits/9")
        with pytest.raises(ConfigError, match="did you mean digits"):
            lineage.lineage(registered, "digit")
        with pytest.raises(ConfigError, match="names no registered generator"):
            lineage.lineage(registered, "../digits")
