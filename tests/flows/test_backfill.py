"""A backfill over two real data versions, stopped in the middle and taken up again."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import toy_workspace as toy
from command_line import called, run, start

from flows.backfill import backfill, data_versions
from gan_core.errors import ConfigError
from tasks.graph import repro
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.scaffold import init_workspace
from tasks.workspace import GRAPH, Workspace

NAME = "circle"
SAVED = ".gantry/unfinished/*/*/*/checkpoints/*/state.json"


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a version of 1,000 points, and a later one of 2,000."""
    workspace = init_workspace(tmp_path_factory.mktemp("backfill") / "w")
    path = workspace.root / "params.yaml"
    text = path.read_text().replace("images: 2_000_000", "images: 30_000\n      checkpoint_every: 2_560")
    repro.prepare(workspace)
    with repro.forking(workspace, NAME):
        for count in ("1_000", "2_000"):
            path.write_text(text.replace("count: 1_000", f"count: {count}", 1))
            for stage in GRAPH:
                repro.reproduce(workspace, stage, NAME)
    return workspace


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_a_stopped_backfill_goes_on_and_says_what_the_data_did(twice: Workspace) -> None:
    registry = Registry.open(twice)
    before = registry.versions(NAME), registry.aliases(NAME)
    going = start(twice, "backfill", NAME)
    deadline = time.monotonic() + 120
    while not list(twice.sweeps(NAME).glob(f"*/*/{SAVED}")):
        assert time.monotonic() < deadline
        assert going.poll() is None, going.communicate()
        time.sleep(0.1)
    going.send_signal(signal.SIGTERM)
    out, _ = going.communicate(timeout=60)
    assert going.returncode == 128 + signal.SIGTERM
    assert ", first in version 1\n" in out
    assert "version 2" not in out
    toy.assert_nothing_left(twice.root)

    again = run(twice, "backfill", NAME, "--json")
    assert again.returncode == 0, again.stderr
    assert "note: resumed at " in again.stderr
    old, new = json.loads(again.stdout)
    assert [(one["versions"], one["ended"]) for one in (old, new)] == [([1], "done"), ([2], "done")]
    assert 0 < old["samples"] < new["samples"]
    # The same data, parameters and seed make the same generator, which is scored as the evaluate stage scored it.
    assert new["value"] == pytest.approx(registry.version(NAME, 2).metrics["radius_error"], rel=1e-5)
    assert old["value"] != new["value"]
    runs = tracking.runs(registry.client, NAME)
    (parent,) = [one for one in runs if one.data.tags["mlflow.runName"] == f"backfill of {NAME}"]
    children = {one.info.run_id: one for one in runs if one.data.tags.get(tracking.PARENT_TAG) == parent.info.run_id}
    assert set(children) == {old["run_id"], new["run_id"]}, "the stopped training went on with its own run"
    assert {one.info.status for one in (parent, *children.values())} == {"FINISHED"}
    assert children[old["run_id"]].data.metrics["radius_error"] == pytest.approx(old["value"])
    assert (registry.versions(NAME), registry.aliases(NAME)) == before, "the gate decides, not the backfill"
    assert not [path for path in twice.sweeps(NAME).glob("*/*") if path.is_dir()]

    third = called(twice, "backfill", NAME, "--latest", "1")
    assert third.stdout.count("radius_error") == 1, third.stderr
    assert "data of" not in third.stdout


def test_what_cannot_be_backfilled_is_said_at_once(twice: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"digits: its data is not ready \(never run before\); `gantry run digits` first"):
        backfill(twice, "digits")
    with pytest.raises(ConfigError, match="did you mean circle"):
        backfill(twice, "cirle")
    assert data_versions([]) == []
