"""What was there before stays until the new file is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from gan_core.files import replacing, write_whole


def test_the_new_text_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    for text in ("old", "né"):
        write_whole(path, text)
        assert path.read_bytes() == text.encode()
    assert [path] == list(tmp_path.iterdir())


def test_what_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    write_whole(path, "old")

    def fail() -> None:
        with replacing(path) as unfinished:
            unfinished.write_text("ha")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        fail()
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half, and then \udc80")
    assert path.read_text() == "old"
    assert [path] == list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "gone" / "said.json", "new")
