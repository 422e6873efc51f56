"""What the workspace's own registry holds of generators, read straight from its SQLite file.

MLflow's client gives the same, after two seconds of imports, which a run that has nothing to do and a command that only looks do not
spend. The file is only read; where its tables are not those of the MLflow that this was written for, the client is left to read it.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.records.moved import PATIENCE

_DELETED = "Deleted_Internal"  # what MLflow calls the stage of a version whose row it keeps after it was deleted
_SCHEMA = "dc11669786a5"  # MLflow's name for the tables that are read here


@dataclass(frozen=True)
class Held:
    """What a registry holds of one generator."""

    generators: Mapping[int, str | None]
    """The sha256 of each version's generator, by the version's number."""
    aliases: Mapping[str, int]
    """Which version each alias names."""
    tags: Mapping[str, str]
    """Of the registered model."""


@dataclass(frozen=True)
class Model:
    """A registered model, with the names of MLflow's class."""

    name: str
    description: str | None
    aliases: Mapping[str, int]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model, with the names of MLflow's class."""

    name: str
    version: int
    run_id: str | None
    source: str
    creation_timestamp: int
    """Milliseconds since 1970."""
    description: str | None
    tags: Mapping[str, str]


def is_known(database: Path) -> bool:
    """Whether there is a database with the tables that are read here."""
    try:
        with _opened(database) as connection:
            return connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(_SCHEMA,)]
    except sqlite3.Error:
        return False


def glance(database: Path, name: str) -> Held | None:
    """What MLflow's database holds of the generator `name`; None where it has to be asked through MLflow's client."""
    try:
        found = {version.version: version.tags.get("generator_sha256") for version in model_versions(database, name)}
        known = [model for model in models(database) if model.name == name]
    except sqlite3.Error:
        return None
    return Held(found, known[0].aliases, known[0].tags) if known else Held({}, {}, {})


def models(database: Path) -> list[Model]:
    """Every registered model, by name.

    Raises:
        sqlite3.Error: there is no such file, it cannot be read, or its tables are others.
    """
    with _opened(database) as connection:
        aliases: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for name, alias, version in connection.execute(
            "SELECT name, alias, version FROM registered_model_aliases WHERE workspace = 'default'"
        ):
            aliases[name][alias] = version
        tags: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for name, key, value in connection.execute("SELECT name, key, value FROM registered_model_tags WHERE workspace = 'default'"):
            tags[name][key] = value
        rows = connection.execute("SELECT name, description FROM registered_models WHERE workspace = 'default' ORDER BY name").fetchall()
    return [Model(name, description, aliases[name], tags[name]) for name, description in rows]


def model_versions(database: Path, name: str) -> list[ModelVersion]:
    """Every version of a registered model that was not deleted, by number.

    Raises:
        sqlite3.Error: as `models`.
    """
    with _opened(database) as connection:
        tags: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for version, key, value in connection.execute(
            "SELECT version, key, value FROM model_version_tags WHERE workspace = 'default' AND name = ?", (name,)
        ):
            tags[version][key] = value
        rows = connection.execute(
            "SELECT version, run_id, source, creation_time, description FROM model_versions"
            " WHERE workspace = 'default' AND name = ? AND current_stage != ? ORDER BY version",
            (name, _DELETED),
        ).fetchall()
    return [
        ModelVersion(name, version, run_id, source, created, description, tags[version])
        for version, run_id, source, created, description in rows
    ]


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    """The file to be read, in one state: what others write meanwhile is not seen."""
    # Closed by hand: sqlite3's own `with` ends a transaction only.
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        yield connection
