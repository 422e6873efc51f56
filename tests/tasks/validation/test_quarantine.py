"""What was set aside is shown once with its reason, and can be looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import called
from raw_sets import noise, png, write_files

from gan_core.errors import ConfigError, DataError
from tasks.params import parse
from tasks.scaffold import init_workspace
from tasks.validate import validate
from tasks.validation.quarantine import SetAside, copy_out, set_aside
from tasks.workspace import Workspace

BROKEN = {"dogs/../../up.png": b"no image", r"dogs/two\x0alines.png": b"", "dogs/[red]blank.png": png(np.zeros((8, 8), np.uint8))}
PARAMS = """
generators:
  pets:
    data: {source: "folder://pets", size: 8}
    validate: {min_samples: 10, max_quarantined: 0.5}
    train: {recipe: gan, images: 100}
    evaluate: {}
    register: {}
"""


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    workspace = init_workspace(tmp_path / "w")
    (workspace.root / "params.yaml").write_text(PARAMS)
    files = {f"{kind}/{i:02d}.png": png(noise(i, 8, 8)) for i, kind in enumerate(["cats"] * 20 + ["dogs"] * 20)}
    write_files(workspace.raw("pets"), files | BROKEN)
    return workspace


def validated(place: Workspace, max_quarantined: float = 0.5) -> None:
    sections = {"data": {"source": "folder://pets", "size": 8}, "train": {"recipe": "gan", "images": 100}, "evaluate": {}, "register": {}}
    limits = {"min_samples": 10, "max_quarantined": max_quarantined}
    entry = parse({"generators": {"pets": {**sections, "validate": limits}}})["pets"]
    validate(place, "pets", entry)


def test_each_once_with_its_reason_on_the_command_line(place: Workspace, tmp_path: Path) -> None:
    validated(place)
    shown = called(place, "quarantine", "pets", "--out", str(tmp_path / "out"), NO_COLOR="1")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[-2:] == ["pets: 3 set aside", f"3 files copied to {tmp_path / 'out'}"]
    assert sum("[red]blank.png" in line and "blank" in line.partition(".png")[2] for line in lines) == 1
    listed = json.loads(called(place, "quarantine", "pets", "--json").stdout)
    assert {one["path"] for one in listed} == {"dogs/../../up.png", r"dogs/two\x0alines.png", "dogs/[red]blank.png"}
    copies = {path.name.partition("-")[2]: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert copies == {"up.png": b"no image", r"two\x0alines.png": b"", "[red]blank.png": BROKEN["dogs/[red]blank.png"]}
    assert not (tmp_path / "up.png").exists()


def test_of_data_that_were_refused_too(place: Workspace) -> None:
    with pytest.raises(DataError):
        validated(place, max_quarantined=0.0)
    assert len(set_aside(place, "pets")) == 3


def test_the_kind_of_a_reason_stands_before_the_colon() -> None:
    assert SetAside("a.png", "conflicting labels: equal samples stand in cats and dogs").kind == "conflicting labels"


def test_what_cannot_be_shown_says_so(place: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^pets: its data was not validated yet; `dvc repro validate@pets` brings"):
        set_aside(place, "pets")
    assert "did you mean pets?" in called(place, "quarantine", "pet").stderr
    place.ready("pets").mkdir(parents=True)
    (place.ready("pets") / "quarantine.csv").write_bytes(b"path\n\xff")
    with pytest.raises(DataError, match="damaged"):
        set_aside(place, "pets")
    with pytest.raises(ConfigError, match="is there already"):
        copy_out(place, "pets", [], tmp_path)
