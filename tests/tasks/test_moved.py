"""A workspace that is copied, moved, linked or mounted elsewhere goes on there, and touches nothing but itself."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from circle_workspace import NAME, commit, configure, register, write_data
from test_clean import contents, found

from gan_core.errors import RegistryError
from tasks.clean import examined
from tasks.graph import repro
from tasks.params import load_entry
from tasks.records import moved, tracking
from tasks.records.registry import Registry, load_generator
from tasks.scaffold import init_workspace
from tasks.train import train
from tasks.workspace import Workspace, current


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Workspace:
    """Version 1, a champion before, version 2, the champion, and an unfinished training. It is copied, and never used again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = init_workspace(tmp_path_factory.mktemp("moved") / "a workspace, 100 % original")
        shutil.copy(mlflow_database, workspace.root / "mlflow.db")
        patch.chdir(workspace.root)
        repro.prepare(workspace)
        for number in (1, 2):
            retrain(workspace, seed=number)
        (workspace.sweeps(NAME) / "a sweep").mkdir(parents=True)
    return workspace


@pytest.fixture
def original(made: Workspace, tmp_path: Path) -> Workspace:
    """A workspace that was made where it is, with addresses that name its place."""
    workspace = Workspace(tmp_path / "a workspace, 100 % original")
    shutil.copytree(made.root, workspace.root, symlinks=True)
    Registry.open(workspace)
    assert {path.is_relative_to(workspace.root / "mlartifacts") for path in addresses(workspace)} == {True}
    return workspace


def retrain(workspace: Workspace, seed: int) -> int:
    """A new version of other data and parameters, which becomes the champion."""
    configure(workspace, seed, seed)
    write_data(workspace, seed)
    shutil.rmtree(workspace.model(NAME), ignore_errors=True)
    train(workspace, NAME, load_entry(workspace.root, NAME))
    commit(workspace)
    number = register(workspace)
    registry = Registry.open(workspace)
    champion = registry.champion(NAME)
    registry.move_champion(registry.version(NAME, number), champion and champion.number, "promoted")
    return number


def addresses(workspace: Workspace) -> set[Path]:
    """Where the database says that the files of runs and models lie."""
    found = set()
    with closing(sqlite3.connect(workspace.root / "mlflow.db")) as connection:
        for table, column in moved._FILES:
            found |= {moved.local_path(address) for (address,) in connection.execute(f"SELECT {column} FROM {table}")}  # noqa: S608
    assert None not in found
    return {path for path in found if path}


def state(folder: Path) -> dict[str, str]:
    """Every file that a workspace keeps; DVC's and Gantry's locks and temporary files are nobody's."""
    passing = (".dvc/tmp", ".gantry/dvc", ".gantry/locks", ".gantry/registry-")
    return {name: digest for name, digest in contents(folder).items() if not name.startswith(passing)}


def assert_goes_on(folder: Path, root: Path, patch: pytest.MonkeyPatch) -> None:
    """Started in `folder`, it samples, trains, registers, and cleans: in `root` alone."""
    patch.chdir(folder)
    workspace = current()
    repro.prepare(workspace)
    assert load_generator(workspace, NAME).sample(5, seed=3).samples.shape == (5, 2)
    assert retrain(workspace, seed=7) == 3
    assert {path.is_relative_to(root) and path.exists() for path in addresses(workspace)} == {True}
    with examined(workspace, keep=2, days=0) as findings:
        assert {item.what for item in findings.items} == {"version", "run", "sweep", "cache"}
        for item in findings.items:
            item.remove()
    registry = Registry.open(workspace)
    assert registry.versions(NAME) == [2, 3]
    assert registry.load(registry.version(NAME, 2)).config.shape == (2,)
    assert found(workspace, keep=2).items == ()


def test_a_copy_goes_on_and_leaves_the_original_alone(original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Workspace(tmp_path / "copy")
    subprocess.run(["cp", "-a", original.root, copy.root], check=True)
    before = state(original.root)
    assert_goes_on(copy.root, copy.root, monkeypatch)
    assert state(original.root) == before
    assert_goes_on(original.root, original.root, monkeypatch)


def test_a_moved_workspace_goes_on_and_does_not_make_its_old_place_again(
    original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Workspace(tmp_path / "some" / "where else")
    elsewhere.root.parent.mkdir()
    shutil.move(original.root, elsewhere.root)
    capfd.readouterr()
    Registry.open(elsewhere)
    said = f"note: this workspace was at {original.root}; its registry keeps its files in {elsewhere.root} now\n"
    assert capfd.readouterr().err == said
    Registry.open(elsewhere)
    assert capfd.readouterr().err == "", "it is said once"
    assert_goes_on(elsewhere.root, elsewhere.root, monkeypatch)
    assert not original.root.exists()


def test_a_workspace_may_be_reached_by_a_link(original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "link"
    link.symlink_to(original.root.name)
    assert_goes_on(link, original.root, monkeypatch)


def test_a_link_may_be_left_where_it_was(original: Workspace, tmp_path: Path) -> None:
    elsewhere = Workspace(tmp_path / "elsewhere")
    shutil.move(original.root, elsewhere.root)
    original.root.symlink_to("elsewhere")
    before = addresses(elsewhere)
    Registry.open(elsewhere)
    assert addresses(elsewhere) == before, "both names are right"
    original.root.unlink()
    Registry.open(elsewhere)
    assert {path.is_relative_to(elsewhere.root) for path in addresses(elsewhere)} == {True}


_IN_A_MOUNT = """
import sys
from pathlib import Path
import pytest
from test_moved import assert_goes_on
with pytest.MonkeyPatch.context() as patch:
    assert_goes_on(Path(sys.argv[1]), Path(sys.argv[1]), patch)
"""


def test_a_workspace_may_be_mounted_elsewhere_as_in_a_container(original: Workspace, tmp_path: Path) -> None:
    private = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*private, "true"], capture_output=True).returncode:
        pytest.skip("no mount of one's own is allowed here (unshare --user --mount)")
    mount, empty = tmp_path / "mount", tmp_path / "empty"
    mount.mkdir()
    empty.mkdir()
    mounts = f'mount --bind "{original.root}" "{mount}" && mount --bind "{empty}" "{original.root}" && exec "$@"'
    program = [sys.executable, "-W", "ignore", "-c", _IN_A_MOUNT, mount]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*private, "sh", "-c", mounts, "sh", *program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(empty.iterdir()), "the old place was written to"
    registry = Registry.open(original)
    assert registry.versions(NAME) == [2, 3]
    assert registry.load(registry.version(NAME, 3)).config.shape == (2,)


def test_files_that_an_older_gantry_put_into_the_original_are_brought_over(
    original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(original.root, copy.root, symlinks=True)
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "settle", lambda workspace: None)  # it followed the addresses as they are
        patch.chdir(copy.root)
        assert retrain(copy, seed=5) == 3
    astray = {path for path in addresses(copy) if path.is_relative_to(original.root)}
    before = state(original.root)
    assert len(astray) == len(addresses(copy)), "or this is no test"
    capfd.readouterr()
    registry = Registry.open(copy)
    assert "; the files of 2 runs and models were copied from there\n" in capfd.readouterr().err
    assert registry.load(registry.version(NAME, 3)).config.shape == (2,)
    assert {path.is_relative_to(copy.root) and path.exists() for path in addresses(copy)} == {True}
    assert state(original.root) == before


def test_nothing_is_changed_where_files_cannot_be_brought_over(
    original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Workspace(tmp_path / "copy")
    shutil.copytree(original.root, copy.root, symlinks=True)
    shutil.rmtree(copy.root / "mlartifacts")
    (copy.root / "mlartifacts").write_text("in the way")
    before = addresses(copy)
    with pytest.raises(RegistryError, match=r"cannot be copied to .*copy/mlartifacts.*copy it by hand"):
        Registry.open(copy)
    assert addresses(copy) == before


def test_a_database_that_may_not_be_written_can_be_looked_at(
    original: Workspace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere = Workspace(tmp_path / "elsewhere")
    shutil.move(original.root, elsewhere.root)
    said: list[str] = []
    database = elsewhere.root / "mlflow.db"
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(moved, "PATIENCE", 0.1)
            moved.settle(database, elsewhere.root, said.append)
    assert said == [f"warning: {database}: names files at another place, and cannot be changed (database is locked)"]


def test_addresses_that_a_person_chose_are_left_as_they_are(original: Workspace, tmp_path: Path) -> None:
    client = Registry.open(original).client
    chosen = {
        "big": f"file://{tmp_path}/disk/mlartifacts/else",
        "bucket": "s3://bucket/mlartifacts/bucket",
        "plain": f"{tmp_path}/runs/plain",
    }
    for name, place in chosen.items():
        client.create_experiment(name, place)
    kept = {name: client.get_experiment_by_name(name).artifact_location for name in chosen}
    elsewhere = Workspace(tmp_path / "elsewhere")
    shutil.move(original.root, elsewhere.root)
    client = Registry.open(elsewhere).client
    assert {name: client.get_experiment_by_name(name).artifact_location for name in chosen} == kept
    assert client.get_experiment_by_name(NAME).artifact_location == (elsewhere.root / "mlartifacts" / NAME).as_uri()


def test_files_outside_are_not_deleted(original: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(original.root)
    repro.prepare(original)
    disk = tmp_path / "disk"
    shutil.move(original.root / "mlartifacts", disk)
    (original.root / "mlartifacts").symlink_to(disk)
    copy = Workspace(tmp_path / "copy")
    subprocess.run(["cp", "-a", original.root, copy.root], check=True)
    before = contents(disk)
    monkeypatch.chdir(copy.root)
    findings = found(copy)
    assert {item.what for item in findings.items} <= {"sweep", "cache"}
    assert any(note.startswith(f"version {NAME}/1 is left alone: its files, file://") for note in findings.notes)
    registry = Registry.open(copy)
    with pytest.raises(RegistryError, match=r"lies outside of .*copy, where others may use it; it was not deleted"):
        registry.remove(registry.version(NAME, 1))
    with pytest.raises(RegistryError, match="lies outside of"):
        tracking.delete_run(copy, registry.client, registry.version(NAME, 1).run_id)
    assert contents(disk) == before
    assert registry.versions(NAME) == [1, 2]


def test_somebody_who_opens_it_under_another_path_meanwhile_leads_nobody_astray(original: Workspace, tmp_path: Path) -> None:
    """As a container does that has the folder mounted elsewhere, at a path that the others do not see."""
    note, other = tmp_path / "note.txt", tmp_path / "mount"
    note.write_text("a note")
    with tracking.run(original, NAME) as run:
        with closing(sqlite3.connect(original.root / "mlflow.db")) as connection, connection:
            for table, column in moved._COLUMNS:
                connection.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?)",  # noqa: S608
                    (original.root.as_uri(), other.as_uri()),
                )
        assert {path.is_relative_to(other) for path in addresses(original)} == {True}
        run.log_artifact(note)
    assert not other.exists()
    assert [path.read_text() for path in (original.root / "mlartifacts").rglob("note.txt")] == ["a note"]


def test_no_path_of_the_workspace_is_in_what_it_hands_on(made: Workspace) -> None:
    place = str(made.root).encode()
    kept = [
        path for folder in ("data", "models", "mlartifacts", ".dvc/cache") for path in (made.root / folder).rglob("*") if path.is_file()
    ]
    assert len(kept) > 20
    assert [path for path in kept if place in path.read_bytes()] == []
    assert json.loads((made.model(NAME) / "run.json").read_text())["tracking_uri"] == "mlflow.db"
