"""The registry is asked, not remembered: what it holds of the last decision, whatever was done to it since. A real MLflow."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from mlflow.tracking import MlflowClient
from test_register import an_entry, champion, circle_data, decision, from_worst_to_best, trained

from flows import doctor
from tasks.promotion.standing import Standing, standing
from tasks.records import tracking
from tasks.records.copying import copy
from tasks.records.glance import glance
from tasks.records.registry import Registry, promote, rollback
from tasks.register import register
from tasks.workspace import Workspace

NAME = "circle"
ENTRY = an_entry(NAME)


@pytest.fixture
def decided(workspace: Workspace) -> Callable[..., Workspace]:
    """Register generators, from the worst, 0, to the best, 3."""
    generators = from_worst_to_best(circle_data(workspace, NAME), ENTRY)

    def one_after_the_other(*which: int) -> Workspace:
        for number in which:
            trained(workspace, NAME, generators[number], ENTRY)
            register(workspace, NAME, ENTRY)
        return workspace

    return one_after_the_other


def asked(workspace: Workspace) -> Standing:
    found = standing(workspace, NAME)
    assert found is not None
    if tracking.exists(workspace):
        assert found == standing(workspace, NAME, Registry.open(workspace)), "read from the file it is as MLflow's client has it"
    return found


def without_registry(workspace: Workspace) -> Workspace:
    """As it is once its registry was removed; elsewhere, since this process holds the other one open."""
    copy = Workspace(workspace.root.with_name("without"))
    shutil.copytree(workspace.root, copy.root, ignore=shutil.ignore_patterns("mlflow.db", "mlartifacts"))
    return copy


def test_as_it_was(decided: Callable[..., Workspace]) -> None:
    workspace = decided(0)
    assert asked(workspace).lost is None
    assert asked(workspace).in_words == "as before, version 1 is the champion (first)"
    decided(3)
    assert asked(workspace).lost is None
    assert asked(workspace).in_words.startswith("as before, version 2 is the champion (promoted): ")


def test_a_file_of_another_mlflow_is_left_to_its_client(decided: Callable[..., Workspace]) -> None:
    workspace = decided(0)
    database = tracking.own_database(workspace)
    assert database is not None
    held = glance(database, NAME)
    assert held is not None
    assert held == Registry.open(workspace).held(NAME)
    assert list(held.generators) == [1]
    other = database.with_name("other.db")
    with closing(sqlite3.connect(database)) as connection, closing(sqlite3.connect(other)) as changed:
        connection.backup(changed)
        changed.execute("ALTER TABLE model_version_tags RENAME COLUMN key TO name_of_tag")
    assert glance(other, NAME) is None
    assert glance(database.with_name("none.db"), NAME) is None
    assert not database.with_name("none.db").exists()


def test_nothing_is_asked_before_the_first_decision(workspace: Workspace) -> None:
    assert standing(workspace, NAME) is None


def test_a_registry_that_was_removed_gets_its_champion_back(decided: Callable[..., Workspace]) -> None:
    workspace = without_registry(decided(0))
    assert asked(workspace).lost == "circle, in mlflow.db, has no version any more"
    assert not tracking.exists(workspace), "looking must not create a registry"
    register(workspace, NAME, ENTRY)
    assert (champion(workspace, NAME), asked(workspace).lost) == (1, None)


def test_an_empty_server_does_not_promote_what_was_rejected(
    decided: Callable[..., Workspace], mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = decided(3, 0)
    assert decision(workspace, NAME)["outcome"] == "kept: worse"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    assert asked(workspace).lost == f"circle, in {mlflow_server}, has no version any more"
    (workspace.report(NAME) / "decision.json").unlink()  # as DVC does before the stage
    register(workspace, NAME, ENTRY)
    assert decision(workspace, NAME)["outcome"] == (
        "vetoed: in a registry that is lost, or another one, it was version 2 and not taken (kept: worse); "
        "`gantry promote circle 1` takes it all the same"
    )
    assert champion(workspace, NAME) is None
    assert asked(workspace).lost is None, "and it is not done again and again"
    assert asked(workspace).in_words.startswith("there is no champion; the last decision, on version 1, was vetoed: ")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert asked(workspace).lost == "circle, in mlflow.db, has lost the version that was decided on as 1: it is version 2 there"
    register(workspace, NAME, ENTRY)
    assert (decision(workspace, NAME)["outcome"], asked(workspace).lost, champion(workspace, NAME)) == ("kept: worse", None, 1)


def test_a_copied_registry_is_the_one_that_was_decided_on(decided: Callable[..., Workspace], monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = decided(3, 0)
    moved = without_registry(workspace)
    shutil.rmtree(moved.private / "decisions")  # as on another host, which remembers no decision

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", stop)
        with pytest.raises(KeyboardInterrupt):
            copy(Registry.open(workspace), Registry.open(moved), NAME, print)
    (moved.report(NAME) / "decision.json").unlink()
    register(moved, NAME, ENTRY)
    assert decision(moved, NAME)["outcome"].startswith("vetoed: the last champion, version 1, was deleted or lost its alias")
    assert champion(moved, NAME) is None, "half a copy takes nobody for the first"
    copy(Registry.open(workspace), Registry.open(moved), NAME, print)
    register(moved, NAME, ENTRY)
    assert (decision(moved, NAME)["outcome"], champion(moved, NAME)) == ("kept: worse", 1)
    assert (asked(moved).lost, decision(moved, NAME)["version"]) == (None, 2)


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda client: client.rename_registered_model(NAME, "ring"), "circle, in mlflow.db, has no version any more"),
        (lambda client: client.delete_registered_model(NAME), "circle, in mlflow.db, has no version any more"),
        (
            lambda client: client.delete_model_version(NAME, "2"),
            "circle, in mlflow.db, has lost the version that was decided on as 2: it is not there any more",
        ),
        (lambda client: client.delete_registered_model_alias(NAME, "champion"), "circle, in mlflow.db, has no champion any more"),
    ],
    ids=["model renamed", "model deleted", "version deleted", "alias deleted"],
)
def test_what_was_deleted_there_is_made_again_or_said(decided: Callable[..., Workspace], change: Callable[..., object], lost: str) -> None:
    workspace = decided(0, 3)
    change(Registry.open(workspace).client)
    assert asked(workspace).lost == lost
    (check, *_) = doctor._champions(_with_entry(workspace))
    assert (check.state, check.text) == ("broken", f"{lost}; `gantry run circle` registers it again")
    register(workspace, NAME, ENTRY)
    assert asked(workspace).lost is None
    if "no version" in lost:
        assert (champion(workspace, NAME), decision(workspace, NAME)["outcome"]) == (1, "first")
    else:
        assert "the last champion, version 2, was deleted or lost its alias" in decision(workspace, NAME)["outcome"]


def test_a_champion_that_a_person_chose_is_said_and_left(decided: Callable[..., Workspace]) -> None:
    workspace = decided(0, 3)
    rollback(workspace, NAME)
    assert asked(workspace).lost is None
    assert asked(workspace).in_words == "version 1 is the champion now (rolled back), and no longer version 2 (promoted)"
    decided(1)
    promote(workspace, NAME, 3)
    assert asked(workspace).lost is None


def test_a_rejected_version_that_a_person_promoted(decided: Callable[..., Workspace]) -> None:
    workspace = decided(3, 0)
    assert asked(workspace).in_words.startswith("as before, version 2 is the challenger (kept: worse)")
    promote(workspace, NAME, 2)
    assert asked(workspace).in_words == "version 2 is the champion now (promoted by hand); the last decision on it was kept: worse"


def test_the_doctor_loads_the_champion_and_draws(decided: Callable[..., Workspace]) -> None:
    workspace = _with_entry(decided(0))
    (check,) = doctor._champions(workspace)
    assert (check.state, check.text) == ("ok", "circle (version 1): loaded and drawn from")
    registry = Registry.open(workspace)
    version = registry.version(NAME, 1)
    assert registry.has_files(version)
    (weights,) = (workspace.root / "mlartifacts").rglob("generator.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4])
    (broken,) = doctor._champions(workspace)
    assert broken.state == "broken"
    assert broken.text.startswith("circle, version 1: ")
    weights.unlink()
    (broken,) = doctor._champions(workspace)
    assert broken.state == "broken"
    assert not registry.has_files(version)


def _with_entry(workspace: Workspace) -> Workspace:
    sections = {
        "data": {"source": "points://circle"},
        "validate": {},
        "train": {"recipe": "gan", "images": 640},
        "evaluate": {},
        "register": {},
    }
    (workspace.root / "params.yaml").write_text(json.dumps({"generators": {NAME: sections}}))
    return workspace
