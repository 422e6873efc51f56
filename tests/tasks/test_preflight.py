"""What is looked at before anything starts. The registry's part is in tests/flows, with real servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gan_core.errors import DataError
from gan_core.metrics.inception_features import InceptionExtractor
from gan_core.metrics.pretrained import Weights
from tasks.params import Entry, parse
from tasks.preflight import check_features, preflight
from tasks.scaffold import init_workspace
from tasks.workspace import Workspace

ENTRY = {
    "data": {"source": "sklearn://digits"},
    "validate": {},
    "train": {"images": 640},
    "evaluate": {"features": "inception"},
    "register": {},
}


@pytest.fixture
def entry() -> Entry:
    return parse({"generators": {"it": ENTRY}})["it"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Where Inception's weights are neither kept nor to be had."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(InceptionExtractor, "weights", Weights("http://127.0.0.1:9/weights.pth", "6726825d"))
    made = init_workspace(tmp_path / "w")
    (made.root / "params.yaml").write_text(json.dumps({"generators": {"it": ENTRY}}))
    return made


def test_a_run_that_could_not_be_scored_does_not_start(workspace: Workspace) -> None:
    with pytest.raises(DataError, match="the weights of inception cannot be had"):
        preflight(workspace, "it")


@pytest.mark.parametrize("text", ['{"kind": "classifier"}', "{", "[]"])
def test_other_features_that_are_kept_do_not_help(workspace: Workspace, entry: Entry, text: str) -> None:
    workspace.features("it").mkdir(parents=True)
    (workspace.features("it") / "config.json").write_text(text)
    with pytest.raises(DataError, match="cannot be had"):
        check_features(workspace, "it", entry)


def test_kept_ones_need_no_network(workspace: Workspace, entry: Entry) -> None:
    workspace.features("it").mkdir(parents=True)
    (workspace.features("it") / "config.json").write_text('{"kind": "inception"}')
    check_features(workspace, "it", entry)
