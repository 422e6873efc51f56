"""What the workspace's own registry holds of a generator, read straight from its SQLite file.

MLflow's client gives the same, after two seconds of imports, which a run that has nothing to do does not spend. The file is only read;
where its tables are not those of the MLflow that this was written for, the client is left to read it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tasks.records.moved import PATIENCE

_DELETED = "Deleted_Internal"  # what MLflow calls the stage of a version whose row it keeps after it was deleted


@dataclass(frozen=True)
class Held:
    """What a registry holds of one generator."""

    generators: Mapping[int, str | None]
    """The sha256 of each version's generator, by the version's number."""
    aliases: Mapping[str, int]
    """Which version each alias names."""
    tags: Mapping[str, str]
    """Of the registered model."""


def glance(database: Path, name: str) -> Held | None:
    """What MLflow's database holds of the generator `name`; None where it has to be asked through MLflow's client."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
            generators = connection.execute(
                "SELECT v.version, t.value FROM model_versions v LEFT JOIN model_version_tags t"
                " ON t.workspace = v.workspace AND t.name = v.name AND t.version = v.version AND t.key = 'generator_sha256'"
                " WHERE v.workspace = 'default' AND v.name = ? AND v.current_stage != ? ORDER BY v.version",
                (name, _DELETED),
            ).fetchall()
            aliases = connection.execute(
                "SELECT alias, version FROM registered_model_aliases WHERE workspace = 'default' AND name = ?", (name,)
            ).fetchall()
            tags = connection.execute(
                "SELECT key, value FROM registered_model_tags WHERE workspace = 'default' AND name = ?", (name,)
            ).fetchall()
    except sqlite3.Error:
        return None
    return Held(dict(generators), dict(aliases), dict(tags))
