"""What `gantry clean` removes, and that the champion and all it came from stay as they were. Real training, DVC and MLflow."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from circle_workspace import NAME, commit, configure, register, write_data

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, GantryError, RegistryError
from tasks.clean import Findings, examined
from tasks.graph import repro
from tasks.params import load_entry
from tasks.records import lineage, tracking
from tasks.records.registry import Registry, load_generator
from tasks.scaffold import init_workspace
from tasks.system import locks
from tasks.train import state_key, train
from tasks.trials.reproduce import reproduce
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Used:
    """A workspace after four trainings, and what clean is to find there."""

    workspace: Workspace
    hashes: dict[int, set[str]]
    """By version, DVC's hashes of what it was made from."""
    failed: str
    """A run that made no version."""
    unfinished: str
    """The run of a training that was stopped."""
    current: Path
    """Its state."""
    outdated: Path
    """A state of other parameters."""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Used:
    """Versions 1 (a champion before), 2 (the champion), 3 and 4 (the challenger); 1 and 2 of other data than 3 and 4."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        workspace = init_workspace(tmp_path_factory.mktemp("clean") / "w")
        shutil.copy(mlflow_database, workspace.root / "mlflow.db")
        patch.chdir(workspace.root)  # where DVC looks for stages
        repro.prepare(workspace)
        hashes = {}
        for number, data_seed in ((1, 1), (2, 2), (3, 3), (4, 3)):
            configure(workspace, data_seed, seed=number)
            write_data(workspace, data_seed)
            shutil.rmtree(workspace.model(NAME), ignore_errors=True)
            train(workspace, NAME, load_entry(workspace.root, NAME))
            commit(workspace)
            assert register(workspace) == number
            hashes[number] = lineage.dvc_hashes(Registry.open(workspace).version(NAME, number))
            assert len(hashes[number]) == 4
        registry = Registry.open(workspace)
        registry.move_champion(registry.version(NAME, 1), None, "first")
        registry.move_champion(registry.version(NAME, 2), 1, "promoted")
        registry.set_challenger(registry.version(NAME, 4))
        (workspace.root / "note.txt").write_text("went wrong")
        with tracking.run(workspace, NAME) as failed:
            failed.log_artifact(workspace.root / "note.txt")
        with tracking.run(workspace, NAME) as stopped:
            pass
        configure(workspace, 3, seed=5)
        key = state_key(load_entry(workspace.root, NAME).train, Dataset.open(workspace.ready(NAME)))
        current, outdated = (workspace.unfinished(NAME) / name for name in (key, "0" * 16))
        for state in (current, outdated):
            (state / "try-0").mkdir(parents=True)
            (workspace.sweeps(NAME) / "a sweep").mkdir(parents=True, exist_ok=True)
            (workspace.compiled / "of a machine").mkdir(parents=True, exist_ok=True)
            (state / "try-0" / "run.json").write_text(json.dumps({"run_id": stopped.id if state == current else failed.id}))
    return Used(workspace, hashes, failed.id, stopped.id, current, outdated)


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def found(workspace: Workspace, keep: int = 1, days: float = 0) -> Findings:
    with examined(workspace, keep, days) as findings:
        return findings


def contents(folder: Path) -> dict[str, str]:
    """Digest of each file below a folder, links followed."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def in_cache(workspace: Workspace, digest: str) -> Path:
    return workspace.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def parts(workspace: Workspace, digest: str) -> set[str]:
    """A folder's hash with those of its files."""
    return {digest, *(part["md5"] for part in json.loads(in_cache(workspace, digest).read_text()))}


def drawn(workspace: Workspace, reference: str) -> bytes:
    return load_generator(workspace, reference).sample(50, seed=3).samples.tobytes()


def test_young_things_stay(used: Used) -> None:
    assert found(used.workspace, days=1).items == ()


def test_the_dry_run_names_what_would_go_and_touches_nothing(used: Used) -> None:
    before = contents(used.workspace.root / ".dvc/cache"), contents(used.workspace.root / "mlartifacts")
    findings = found(used.workspace)
    named = {(item.what, item.name) for item in findings.items if item.what != "cache"}
    old = {number: Registry.open(used.workspace).version(NAME, number).run_id for number in (1, 3)}
    assert named == {
        ("training state", f"{NAME}/{'0' * 16}"),
        ("sweep", f"{NAME}/a sweep"),
        ("compiled steps", "of a machine"),
        *(("version", f"{NAME}/{number}") for number in old),
        *(("run", f"{NAME} {run}") for run in (*old.values(), used.failed)),
    }
    assert findings.items[-1].what == "cache"
    assert findings.size > 0
    assert (contents(used.workspace.root / ".dvc/cache"), contents(used.workspace.root / "mlartifacts")) == before
    assert used.outdated.exists()
    kept = {item.name for item in found(used.workspace, keep=2).items}
    assert f"{NAME}/1" not in kept, "a champion that a rollback goes back to"
    assert f"{NAME}/3" not in kept


def test_nothing_is_touched_where_it_cannot_be_told_what_is_needed(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = used.workspace.root / "dvc.lock"
    text = lock.read_text()
    lock.write_text(text.replace("md5", "md6"))
    with pytest.raises(ConfigError, match=r"dvc\.lock"):
        found(used.workspace)
    lock.write_text(text)
    (folder,) = (digest for digest in used.hashes[2] - used.hashes[3] if in_cache(used.workspace, digest) in _readies(used, 2))
    path = in_cache(used.workspace, folder)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-20])
    with pytest.raises(GantryError, match="damaged, so that nobody can tell"):
        found(used.workspace)
    path.write_bytes(whole)
    path.chmod(0o444)
    with locks.retraining(used.workspace, NAME), pytest.raises(GantryError, match="is being retrained"):
        found(used.workspace)
    with locks.sweeping(used.workspace, NAME), pytest.raises(GantryError, match="is being swept by process"):
        found(used.workspace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(RegistryError, match="does not answer"):
        found(used.workspace)


def _readies(used: Used, number: int) -> set[Path]:
    return {in_cache(used.workspace, str(Registry.open(used.workspace).version(NAME, number).tags["dvc.ready"]))}


def test_a_cache_that_others_may_use_is_left_alone(used: Used, tmp_path: Path) -> None:
    settings = used.workspace.root / ".dvc/config.local"
    text = settings.read_text()
    settings.write_text(f"{text}[cache]\n    dir = {tmp_path}\n")
    findings = found(used.workspace)
    settings.write_text(text)
    assert "cache" not in {item.what for item in findings.items}
    assert findings.notes == (f"DVC's cache, {tmp_path}, is left alone: it lies outside, and others may use it",)


def test_branches_keep_what_their_lock_files_name(used: Used, tmp_path: Path) -> None:
    copy = Workspace(tmp_path / "w")
    shutil.copytree(used.workspace.root, copy.root, symlinks=True)
    (copy.root / ".dvc/config.local").unlink()
    (copy.root / "mlflow.db").unlink()  # without a registry only lock files name anything
    orphan = "".join(part for part in used.hashes[1] if part not in used.hashes[2])
    assert orphan
    environment = {**os.environ, **{f"GIT_{who}_{what}": "t@t" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
    lock = copy.root / "dvc.lock"
    text = lock.read_text()
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "as it is"], ["branch", "before"]):
        subprocess.run(["git", *command], cwd=copy.root, env=environment, check=True)
    lock.unlink()
    shutil.rmtree(copy.root / "models")
    subprocess.run(["git", "commit", "-qam", "without a lock"], cwd=copy.root, env=environment, check=True)
    with examined(copy, 1, 0) as findings:
        for item in findings.items:
            item.remove()
    named = {line.split()[-1] for line in text.splitlines() if "md5: " in line and line.endswith(".dir")}
    assert named
    assert all(in_cache(copy, digest).exists() for digest in named)
    assert not any(in_cache(copy, digest).exists() for digest in used.hashes[1])


def test_the_champion_and_all_it_came_from_stay_and_the_rest_goes(used: Used) -> None:
    workspace, registry = used.workspace, Registry.open(used.workspace)
    kept = {digest for number in (2, 4) for folder in used.hashes[number] for digest in parts(workspace, folder)}
    gone = {digest for number in (1, 3) for folder in used.hashes[number] for digest in parts(workspace, folder)} - kept
    assert gone
    champion = Path(registry.version(NAME, 2).source.removeprefix("file://"))
    before = contents(champion), drawn(workspace, NAME), drawn(workspace, f"{NAME}@challenger"), contents(workspace.ready(NAME))
    runs = {number: registry.version(NAME, number).run_id for number in (1, 2, 3, 4)}
    lost = Path(registry.version(NAME, 3).source.removeprefix("file://"))
    assert lost.exists()

    with examined(workspace, keep=1, days=0) as findings:
        for item in findings.items:
            item.remove()

    assert registry.versions(NAME) == [2, 4]
    assert registry.aliases(NAME) == {"champion": 2, "challenger": 4}
    assert {run.info.run_id for run in tracking.runs(registry.client, NAME)} == {runs[2], runs[4], used.unfinished}
    assert not lost.exists()
    assert not list((workspace.root / "mlartifacts").rglob("note.txt"))
    assert used.current.exists()
    assert not used.outdated.exists()
    assert not list(workspace.sweeps(NAME).iterdir())
    assert not any(in_cache(workspace, digest).exists() for digest in gone)
    assert all(in_cache(workspace, digest).exists() for digest in kept)

    after = contents(champion), drawn(workspace, NAME), drawn(workspace, f"{NAME}@challenger"), contents(workspace.ready(NAME))
    assert after == before
    made = reproduce(workspace, NAME, output=2)
    assert made.equal
    assert made.checkpoint_equal
    assert repro.look(workspace, "validate", NAME).changed is False
    assert found(workspace).items == ()


def test_on_a_server_what_looks_under_way_is_left_to_those_who_may_be_at_it(
    tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch, generator_folder: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    workspace = init_workspace(tmp_path / "w")
    (workspace.root / "params.yaml").write_text((workspace.root / "params.yaml").read_text().replace("  circle:", "  swept:"))
    registry = Registry.open(workspace)
    for _ in range(2):
        with tracking.run(workspace, "swept") as run:
            pass
        registry.add("swept", run.id, generator_folder, {}, "")
    theirs = registry.client.create_run(registry.client.get_experiment_by_name("swept").experiment_id).info.run_id
    with tracking.run(workspace, "unlisted") as unlisted:
        registry.add("unlisted", unlisted.id, generator_folder, {}, "")
    first, second = registry.all_versions("swept")
    with examined(workspace, keep=1, days=0) as findings:
        assert {item.what: item.name for item in findings.items} == {"version": "swept/1", "run": f"swept {first.run_id}"}
        for item in findings.items:
            item.remove()
    assert registry.versions("swept") == [2]
    assert {run.info.run_id for run in tracking.runs(registry.client, "swept")} == {second.run_id, theirs}
    assert registry.load(second).config.shape == (1, 8, 8)
    with pytest.raises(GantryError, match="has lost its files"):
        registry.load(first)
    with examined(workspace, keep=1, days=0) as findings:
        assert findings.items == ()


def test_a_version_that_became_the_champion_meanwhile_is_not_removed(workspace: Workspace, generator_folder: Path) -> None:
    registry = Registry.open(workspace)
    with tracking.run(workspace, NAME) as run:
        version = registry.add(NAME, run.id, generator_folder, {}, "")
    registry.move_champion(version, None, "first")
    with pytest.raises(RegistryError, match="version 1 is the champion now; it was not deleted"):
        registry.remove(version)
    assert registry.load(version).config.shape == (1, 8, 8)
