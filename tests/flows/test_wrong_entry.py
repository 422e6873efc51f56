"""One wrong entry of params.yaml takes neither `list`, `quarantine` nor `clean` away from the others."""

from __future__ import annotations

import os
import time

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.overview import overview
from tasks.clean import examined
from tasks.workspace import Workspace

WRONG = """\
  faces:
    data: {source: 'folder:///faces'}
    trian: {}
  2024: {}
"""


@pytest.fixture
def mixed(finished: Workspace) -> Workspace:
    with (finished.root / "params.yaml").open("a") as file:
        file.write(WRONG)
    return finished


def test_the_list_shows_the_others_and_what_is_wrong(mixed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {row["name"]: row["state"] for row in overview(mixed)}
    assert states == {"digits": "up to date", "circle": "never run", "faces": "wrong in params.yaml", "2024": "wrong in params.yaml"}
    monkeypatch.chdir(mixed.root)
    shown = CliRunner().invoke(app, ["list", "--json"])
    assert shown.exit_code == 0
    notes = [line for line in shown.stderr.splitlines() if line.startswith("note: ")]
    assert any("generators.faces.trian: unknown key; did you mean train?" in line for line in notes)
    assert any("generators.2024: YAML reads this name as a number" in line for line in notes)


def test_a_quarantine_is_shown(mixed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    (mixed.ready("digits") / "quarantine.csv").write_text("path,reason\na.png,blank\n")
    monkeypatch.chdir(mixed.root)
    shown = CliRunner().invoke(app, ["quarantine", "digits"])
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (0, "digits: 1 set aside")
    assert "did you mean train?" in str(CliRunner().invoke(app, ["quarantine", "faces"]).exception)


def test_what_is_of_a_wrong_entry_is_not_cleaned_away(mixed: Workspace) -> None:
    states = [mixed.unfinished(name) / "0123" for name in ("faces", "2024", "gone")]
    for state in states:
        state.mkdir(parents=True)
        os.utime(state, (time.time() - 1e6,) * 2)
    with examined(mixed, keep=1, days=1) as found:
        assert [item.name for item in found.items if item.what == "training state"] == ["gone/0123"]
    assert [note.partition(" is left alone")[0] for note in found.notes] == ["faces", "2024"]
