"""Empty databases, kept between a user's workspaces.

Prefect and MLflow make theirs by a hundred migrations each, seconds of computing, and the outcome is the same each time for one version
of them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path


def bring(kept: str, unfinished: Path) -> bool:
    """Copy the database that was kept under this name to `unfinished`; False, and nothing lies there, where there is none that is sound."""
    try:
        shutil.copyfile(_place(kept), unfinished)
        with closing(sqlite3.connect(unfinished)) as connection:
            checked = connection.execute("PRAGMA quick_check").fetchall()
            version_of_schema = connection.execute("PRAGMA schema_version").fetchone()
        if checked == [("ok",)] and version_of_schema != (0,):
            return True
    except (OSError, sqlite3.Error):
        pass
    unfinished.unlink(missing_ok=True)
    return False


def keep(database: Path, kept: str) -> None:
    """Keep a copy of a database that was just made under this name; without a place for it every workspace waits for its own."""
    place = _place(kept)
    with suppress(OSError, sqlite3.Error):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(temporary),))
        temporary.replace(place)


def _place(kept: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gantry" / kept
