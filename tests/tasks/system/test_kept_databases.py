"""Empty databases that are kept between workspaces: what is brought is sound, and what is not counts as none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tasks.system import kept_databases


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the one named `some.db` is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/gantry/some.db"


def made(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE numbers (number INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(5_000)])
    return path


def test_what_was_kept_is_brought(tmp_path: Path) -> None:
    kept_databases.keep(made(tmp_path / "one.db"), "some.db")
    assert kept_databases.bring("some.db", tmp_path / "two.db")
    with closing(sqlite3.connect(tmp_path / "two.db")) as connection:
        assert connection.execute("SELECT count(*) FROM numbers").fetchone() == (5_000,)


@pytest.mark.parametrize("damage", ["gone", "empty", "no database", "half"])
def test_what_is_damaged_is_not_and_nothing_of_it_lies_there(tmp_path: Path, place: Path, damage: str) -> None:
    kept_databases.keep(made(tmp_path / "one.db"), "some.db")
    whole = place.read_bytes()
    if damage == "gone":
        place.unlink()
    else:
        place.write_bytes({"empty": b"", "no database": b"no database at all" * 100, "half": whole[: len(whole) // 2]}[damage])
    assert not kept_databases.bring("some.db", tmp_path / "two.db")
    assert not (tmp_path / "two.db").exists()


def test_without_a_place_nothing_is_kept_and_nobody_hears_of_it(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    kept_databases.keep(made(tmp_path / "one.db"), "some.db")
    assert not kept_databases.bring("some.db", tmp_path / "two.db")
