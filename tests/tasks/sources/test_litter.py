"""What is left beside data is known by its path, in folders, archives, buckets and inputs alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from raw_sets import noise, png
from test_archives import FORMS, contents, opened, pack

from gan_core.kinds.pairs import Pairs
from tasks.inputs import read_inputs
from tasks.sources.litter import Litter, litter_in
from tasks.workspace import Workspace

LITTER = (
    *("photos/@eaDir/1.png/SYNOPHOTO_THUMB_XL.png", "photos/@eaDir/2.png/SYNOPHOTO_THUMB_M.png", "photos/.@__thumb/s1001.png"),
    *("#recycle/old.png", "$RECYCLE.BIN/S-1-5/$R1.png", "$Recycle.Bin/$R2.png", "System Volume Information/x.png", "lost+found/#1.png"),
    *("__MACOSX/photos/._1.png", "photos/._1.png", ".DS_Store", "photos/Thumbs.db", "photos/desktop.ini", ".Trash-1000/files/1.png"),
    *("photos/.ipynb_checkpoints/1-checkpoint.png", "__pycache__/x.png", ".git/x.png"),
)
PICTURES = {
    f"photos/{name}": png(noise(number, 8, 8, 3)) for number, name in enumerate(("1.png", "2.png", "eaDir.png", "a$RECYCLE.BIN.png"))
}
NOTE = (
    "left out: 3 hidden, 2 $RECYCLE.BIN (Windows's deleted files), 2 Thumbs.db or desktop.ini (Windows), "
    "1 #recycle (a NAS's deleted files), 1 ._* (macOS's notes on files), 1 .ipynb_checkpoints (a notebook's older states), "
    "1 @__thumb (a QNAP NAS's thumbnails), 1 @eaDir (a Synology NAS's thumbnails), 4 others"
)


@pytest.mark.parametrize(
    ("path", "litter"),
    [
        ("photos/@eaDir/1.png/x.png", Litter("photos/@eaDir", "@eaDir (a Synology NAS's thumbnails)")),
        ("__MACOSX/a/._b.png", Litter("__MACOSX", "__MACOSX (macOS's notes on files)")),
        ("a/._b\n.png", Litter("a/._b\n.png", "._* (macOS's notes on files)")),
        ("a/.b/c.png", Litter("a/.b", "hidden")),
        ("THUMBS.DB", Litter("THUMBS.DB", "Thumbs.db or desktop.ini (Windows)")),
        ("recycler/1.png", None),
        ("my__MACOSX/a.png", None),
        ("a/b.c.png", None),
        ("@eaDir2/1.png", None),
    ],
)
def test_the_outermost_part_of_a_path_is_named(path: str, litter: Litter | None) -> None:
    assert litter_in(path) == litter


@pytest.mark.parametrize("form", [None, *FORMS])
def test_litter_is_left_out_and_said_of_folders_and_archives(workspace: Workspace, form: str | None) -> None:
    files = PICTURES | dict.fromkeys(LITTER, png(noise(9, 8, 8, 3)))
    for path, data in files.items():
        (workspace.root / "set" / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / "set" / path).write_bytes(data)
    if form is not None:
        pack(workspace.root / f"set.{form}", files)
    found = opened(workspace, "set" if form is None else f"set.{form}", labels="none")
    assert contents(found) == PICTURES
    assert found.notes[0] == NOTE


@pytest.mark.parametrize("form", [None, "zip"])
def test_litter_beside_the_two_folders_of_a_layout(workspace: Workspace, form: str | None) -> None:
    files = dict.fromkeys(("A/1.png", "B/1.png", "C/1.png", "__MACOSX/A/._1.png", "A/@eaDir/1.png/x.png"), PICTURES["photos/1.png"])
    for path, data in files.items():
        (workspace.root / "set" / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / "set" / path).write_bytes(data)
    if form is not None:
        pack(workspace.root / f"set.{form}", files)
    found = opened(workspace, "set" if form is None else f"set.{form}", layout="paired-folders")
    assert sorted(contents(found)) == ["A/1.png", "B/1.png"]
    assert found.notes == [
        "left out: 1 @eaDir (a Synology NAS's thumbnails), 1 __MACOSX (macOS's notes on files)",
        "left out beside A and B: C",
    ]


def test_litter_is_no_input(tmp_path: Path) -> None:
    for path in (*LITTER, *PICTURES):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(PICTURES["photos/1.png"])
    said: list[Any] = []
    assert sorted(read_inputs(tmp_path, Pairs((3, 8, 8), inputs=(3, 8, 8)), said.append).names) == ["1", "2", "a$RECYCLE.BIN", "eaDir"]
    assert said == [NOTE]
