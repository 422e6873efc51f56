"""A workspace that was copied, moved or mounted elsewhere: its registry's addresses are made those of where it is now.

MLflow keeps the absolute address of every run's and every model's files, and follows it unasked, so that a copy would write into the
original and `gantry clean` would delete there. Whoever opens the workspace's own database therefore looks whether its experiments are
kept here, and if not, changes the addresses, all of them or none. Addresses that are not a workspace's own are left as they are.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from gan_core.errors import RegistryError

ARTIFACTS = "mlartifacts"
"""The folder of a workspace that holds the files of its own registry, an experiment a folder."""

PATIENCE = 60.0  # seconds to wait while somebody else writes
# Where MLflow keeps addresses of files. An older database may lack some.
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
_FILES = _COLUMNS[1:4]
"""Those that name a folder of one run or one model."""


def settle(database: Path, root: Path, say: Callable[[str], None]) -> None:
    """See that the addresses in a workspace's own database name the workspace's own folder.

    Files that are only at a former place, where a Gantry that knew nothing of this put them, are copied from there; nothing there is
    changed. Two places that are one folder, such as a mount of it, are both right.

    Args:
        database: MLflow's, in SQLite.
        root: where the workspace is now, absolute, without links.
        say: told what was done.

    Raises:
        RegistryError: files that are only at a former place cannot be copied; no address was changed.
    """
    # Closed by hand: sqlite3's own `with` ends a transaction only.
    with closing(sqlite3.connect(database, timeout=PATIENCE, isolation_level=None)) as connection:
        if not _former_roots(connection, root):
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            for prefix, former in _former_roots(connection, root).items():
                brought = [_bring(source, target) for source, target in _left_behind(connection, prefix, former, root)]
                for table, column in _existing(connection, _COLUMNS):
                    _replace(connection, table, column, prefix, f"{(root / ARTIFACTS).as_uri()}/")
                also = f"; the files of {len(brought)} runs and models were copied from there" if brought else ""
                say(f"note: this workspace was at {former}; its registry keeps its files in {root} now{also}")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            # Such as a mount that nobody may write to: it can be looked at.
            say(f"warning: {database}: names files at another place, and cannot be changed ({error})")


def local_path(address: str) -> Path | None:
    """The folder of this machine that an address of files names; None where a server keeps them."""
    parts = urlsplit(address)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parts.path))


def _former_roots(connection: sqlite3.Connection, root: Path) -> dict[str, Path]:
    """Where the workspace was when experiments of it were made, other than where it is, by what addresses there begin with.

    An experiment of this workspace is kept as Gantry, or its MLflow server, keeps one: in `mlartifacts`, by its name or number.
    """
    try:
        rows = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
    except sqlite3.OperationalError:
        return {}  # a file without tables, which MLflow fills
    found = {}
    for number, name, address in rows:
        path = local_path(address or "")
        if path is None or not path.is_absolute() or path.parent.name != ARTIFACTS or path.name not in (str(number), name):
            continue
        former = path.parent.parent
        if former != root and not _is_same(former, root):
            found[address[: address.rindex("/") + 1]] = former
    return found


def _is_same(former: Path, root: Path) -> bool:
    with suppress(OSError):
        return former.samefile(root)
    return False


def _existing(connection: sqlite3.Connection, columns: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [one for one in columns if one[1] in {row[1] for row in connection.execute(f"PRAGMA table_info({one[0]})")}]


def _replace(connection: sqlite3.Connection, table: str, column: str, old: str, new: str) -> None:
    connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608  names of ours
        (new, len(old) + 1, len(old), old),
    )


def _left_behind(connection: sqlite3.Connection, prefix: str, former: Path, root: Path) -> Iterator[tuple[Path, Path]]:
    """Folders that the database names, that lie at the former place only, each with where it belongs."""
    found = set()
    for table, column in _existing(connection, _FILES):
        rows = connection.execute(f"SELECT {column} FROM {table} WHERE substr({column}, 1, ?) = ?", (len(prefix), prefix))  # noqa: S608
        found |= {PurePosixPath(unquote(address.removeprefix(prefix))) for (address,) in rows}
    for relative in sorted(found):
        source, target = former / ARTIFACTS / relative, root / ARTIFACTS / relative
        if ".." not in relative.parts and not target.exists() and os.access(source, os.R_OK | os.X_OK) and source.is_dir():
            yield source, target


def _bring(source: Path, target: Path) -> Path:
    """Copy a folder, whole or not at all."""
    unfinished = target.with_name(f".{target.name}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        return Path(shutil.copytree(source, unfinished, symlinks=True)).rename(target)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RegistryError(
            f"{source}: cannot be copied to {target}, where it belongs now ({error}); make room, or copy it by hand"
        ) from None
