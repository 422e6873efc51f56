"""A registry that several share, behind a network that loses answers: nothing is made twice, and of two at once one wins. A real server."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from unruly_network import Network

from gan_core.errors import RegistryError
from tasks.records import registry as registry_module
from tasks.records import tracking
from tasks.records.registry import Registry, Version, summaries
from tasks.workspace import Workspace

ROUNDS = int(os.environ.get("GANTRY_RACES", "6"))
"""Races of two hosts; by hand 200."""


@pytest.fixture
def add(workspace: Workspace, generator_folder: Path) -> Callable[[str], Version]:
    """Register the tiny generator under a name."""

    def add(name: str) -> Version:
        with tracking.run(workspace, name) as run:
            return Registry.open(workspace).add(name, run.id, generator_folder, {"training_run": run.id, "generator_sha256": "ab"}, "")

    return add


def test_a_run_whose_answer_was_lost_is_one_run(network: Network, workspace: Workspace) -> None:
    network.losses = {"runs/create": 2}
    with tracking.run(workspace, "lost-run") as run:
        pass
    assert network.lost == ["runs/create"] * 2
    assert [(one.info.run_id, one.info.status) for one in tracking.runs(run.client, "lost-run")] == [(run.id, "FINISHED")]


def test_a_version_whose_answer_was_lost_is_one_version(network: Network, workspace: Workspace, add: Callable[[str], Version]) -> None:
    network.losses = {"model-versions/create": 2, "logged-models": 1, "registered-models/create": 1}
    version = add("lost-version")
    assert sorted(network.lost) == ["logged-models", "model-versions/create", "model-versions/create", "registered-models/create"]
    registry = Registry.open(workspace)
    assert registry.versions("lost-version") == [version.number]
    assert registry.load(version).config.shape == (1, 8, 8)
    experiment = registry.client.get_run(version.run_id).info.experiment_id
    assert [model.artifact_location for model in registry.client.search_logged_models([experiment])] == [version.source]


def test_twins_of_before_are_one_and_keep_their_files(network: Network, workspace: Workspace, add: Callable[[str], Version]) -> None:
    first = add("twins")
    registry = Registry.open(workspace)
    again = partial(registry.client.create_model_version, "twins", first.source, first.run_id, tags=dict(first.tags))
    model = first.source.partition("/models/")[2].partition("/")[0]
    second, third = (int(again(model_id=model).version) for _ in range(2))
    registry.remove(registry.version("twins", third))
    assert registry.load(first).config.shape == (1, 8, 8), "its files are those of the two that are left"
    tracking.delete_run(workspace, registry.client, first.run_id)
    assert registry.load(first).config.shape == (1, 8, 8), "a version names them"
    registry.move_champion(registry.version("twins", second), None, "first")
    found = registry.find("twins", first.tags["training_run"], "ab")
    assert found is not None
    assert found.number == second, "the one that is in use"
    assert registry.versions("twins") == [second]
    assert registry.load(found).config.shape == (1, 8, 8)


def test_of_two_hosts_at_once_one_moves_the_champion_and_no_line_is_lost(
    mlflow_server: str, tmp_path: Path, workspace: Workspace, add: Callable[[str], Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    versions = [add("raced") for _ in range(3)]
    hosts = [Workspace(tmp_path / name) for name in ("one", "other")]
    for host in hosts:
        host.root.mkdir()
    won = race([Registry.open(host) for host in hosts], versions, ROUNDS)
    registry = Registry.open(workspace)
    assert [reign.version for reign in registry.history("raced")] == won[-50:]
    assert registry.aliases("raced")["champion"] == won[-1]
    locks = [model.name for model in registry.client.search_registered_models() if model.name.endswith(registry_module._LOCK)]
    assert "raced" not in {name.removesuffix(registry_module._LOCK) for name in locks}


def race(registries: list[Registry], versions: list[Version], rounds: int) -> list[int]:
    """Let two hosts move the champion at once, each to another one of three versions than the present; returns who won each round."""
    won: list[int] = []
    start = threading.Barrier(2)

    def move(registry: Registry, version: Version, expected: int | None) -> bool:
        start.wait()
        try:
            registry.move_champion(version, expected, "promoted")
        except RegistryError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for _ in range(rounds):
            expected = won[-1] if won else None
            others = [version for version in versions if version.number != expected][:2]
            moved = list(pool.map(move, registries, others, [expected] * 2))
            assert sorted(moved) == [False, True]
            won.append(others[moved.index(True)].number)
    return won


def test_a_lock_whose_answer_was_lost_is_held(network: Network, workspace: Workspace, add: Callable[[str], Version]) -> None:
    version = add("lost-lock")
    network.losses = {"registered-models/create": 1}
    Registry.open(workspace).move_champion(version, None, "first")
    assert network.lost == ["registered-models/create"]
    assert summaries(workspace)["lost-lock"].champion is not None


def test_a_lock_of_the_dead_is_taken_away_and_one_of_the_living_is_not(
    mlflow_server: str, workspace: Workspace, add: Callable[[str], Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    version, registry = add("dead-lock"), Registry.open(workspace)
    registry.client.create_registered_model(f"dead-lock{registry_module._LOCK}", description="of one that died")
    assert "dead-lock" in registry.names()
    assert len([name for name in (*registry.names(), *summaries(workspace)) if name.startswith("dead-lock")]) == 2, "it is no generator"
    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(registry.move_champion, version, None, "first")
        with pytest.raises(TimeoutError):
            moving.result(timeout=1)
        monkeypatch.setattr(registry_module, "_STALE", 0.0)
        moving.result(timeout=60)
    assert registry.aliases("dead-lock") == {"champion": 1}
