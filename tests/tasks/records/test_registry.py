from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_mlflow import tiny_generator

from gan_core.errors import ConfigError, DataError, RegistryError
from tasks.records import tracking
from tasks.records.registry import LINEAGE_TAG, Registry, Version, load_generator, metric_tags, promote, rollback, summaries
from tasks.workspace import Workspace


@pytest.fixture(params=["sqlite", "http"])
def anywhere(request: pytest.FixtureRequest, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with its own database, and one with a server."""
    if request.param == "http":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("mlflow_server"))
    return workspace


def add(workspace: Workspace, name: str, seed: int = 0, **tags: str) -> Version:
    """Register an untrained generator, as the register stage would."""
    folder = workspace.root / "generators" / f"{name}-{seed}" / "generator"
    if not folder.exists():
        tiny_generator(seed).save(folder)
    with tracking.run(workspace, name) as run:
        return Registry.open(workspace).add(name, run.id, folder, tags, f"seed {seed}")


def reign(workspace: Workspace, name: str, *versions: Version) -> Registry:
    """Let one version after the other be the champion."""
    registry = Registry.open(workspace)
    present = None
    for version in versions:
        registry.move_champion(version, present, "promoted" if present else "first")
        present = version.number
    return registry


def champion_of(registry: Registry, name: str) -> int | None:
    champion = registry.champion(name)
    return None if champion is None else champion.number


def test_a_version_is_made_and_loaded_without_a_look_at_every_package(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import pyfunc
    from mlflow.utils import requirements_utils

    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    monkeypatch.setattr("importlib_metadata.packages_distributions", lambda: pytest.fail("every installed package was looked at"))
    add(workspace, "digits")
    (made,) = (workspace.root / "mlartifacts").rglob("MLmodel")
    assert len(pyfunc.load_model(str(made.parent)).predict(pd.DataFrame({"label": ["cat", "dog"]}))) == 2


class TestVersions:
    def test_a_version_says_where_it_came_from(self, anywhere: Workspace, request: pytest.FixtureRequest) -> None:
        name = unique(request)
        registry = Registry.open(anywhere)
        first = add(anywhere, name, 0, generator_sha256="abc", **metric_tags({"fid": 0.1 + 0.2}))
        second = add(anywhere, name, 1)
        assert (first.number, second.number) == (1, 2)
        found = registry.version(name, 1)
        assert found.tags["generator_sha256"] == "abc"
        assert found.metrics == {"fid": 0.1 + 0.2}
        assert found.run_id == first.run_id
        assert registry.versions(name) == [1, 2]
        assert registry.champion(name) is None

    def test_what_only_programs_read_is_one_tag_beside_those_for_people(self, anywhere: Workspace, request: pytest.FixtureRequest) -> None:
        name = unique(request)
        registry = Registry.open(anywhere)
        said = {"decision": "none yet", "metric.fid": "2.5", "training_run": "r", "params": '{"train":{}}', "dvc.raw": "a", "start": "b/1"}
        add(anywhere, name, 0, **said)
        written = dict(registry.client.get_model_version(name, "1").tags)
        assert set(written) == {"decision", "metric.fid", "training_run", LINEAGE_TAG}
        assert json.loads(written[LINEAGE_TAG]) == {key: said[key] for key in ("params", "dvc.raw", "start")}
        assert registry.version(name, 1).tags == said
        # As versions were made before, and where the tag is somebody else's.
        registry.client.set_model_version_tag(name, "1", "dvc.raw", "by hand")
        assert registry.version(name, 1).tags == {**said, "dvc.raw": "by hand"}
        for other in ("of cats", "[1]", '{"a": 1}'):
            registry.client.set_model_version_tag(name, "1", LINEAGE_TAG, other)
            assert registry.version(name, 1).tags["lineage"] == other

    def test_a_generator_comes_back_as_it_was(self, anywhere: Workspace, request: pytest.FixtureRequest) -> None:
        name = unique(request)
        version = add(anywhere, name, seed=5)
        back = Registry.open(anywhere).load(version)
        np.testing.assert_array_equal(back.sample(7, seed=3).samples, tiny_generator(5).sample(7, seed=3).samples)

    def test_a_version_is_found_by_its_training_and_its_weights(self, anywhere: Workspace, request: pytest.FixtureRequest) -> None:
        name = unique(request)
        add(anywhere, name, 0, training_run="r1", generator_sha256="a")
        second = add(anywhere, name, 1, training_run="r2", generator_sha256="b")
        registry = Registry.open(anywhere)
        found = registry.find(name, "r2", "b")
        assert found is not None
        assert found.number == second.number
        assert registry.find(name, "r2", "a") is None
        assert registry.find(name, "r3", "b") is None
        assert registry.find("nobody", "r2", "b") is None

    def test_the_curves_of_a_training_come_back_by_their_names(self, workspace: Workspace) -> None:
        version = add(workspace, "digits")
        registry = Registry.open(workspace)
        with tracking.run(workspace, "digits", version.run_id) as run:
            # An earlier Gantry put no section before them; of a run that was resumed since, the whole one counts.
            run.log_metrics({"generator_loss": 2.0, "diversity": 0.1, "system/cpu": 1.0}, step=64)
            for step, loss in ((64, 2.0), (128, 1.0)):
                run.log_metrics({tracking.curve_key("generator_loss"): loss}, step=step)
        assert registry.curves(version) == {"generator_loss": [(64, 2.0), (128, 1.0)], "diversity": [(64, 0.1)]}

    def test_the_run_shows_the_model(self, workspace: Workspace) -> None:
        version = add(workspace, "digits")
        outputs = Registry.open(workspace).client.get_run(version.run_id).outputs.model_outputs
        assert [output.step for output in outputs] == [640]

    def test_unknown_ones_are_named_with_the_nearest(self, workspace: Workspace) -> None:
        add(workspace, "digits")
        registry = Registry.open(workspace)
        with pytest.raises(ConfigError, match=r"digit: no such generator in sqlite:.*did you mean digits\?"):
            registry.version("digit", 1)
        with pytest.raises(ConfigError, match=r"flowers: no such generator in .*it has digits"):
            registry.version("flowers", 1)
        with pytest.raises(ConfigError, match=r"digits: no version 7 in .*; it has version 1$"):
            registry.version("digits", 7)

    def test_a_damaged_generator_is_not_registered(self, workspace: Workspace, generator_folder: Path) -> None:
        (generator_folder / "config.json").write_text("{")
        with tracking.run(workspace, "digits") as run, pytest.raises(DataError, match=r"config\.json"):
            Registry.open(workspace).add("digits", run.id, generator_folder, {}, "")
        assert Registry.open(workspace).names() == []


def unique(request: pytest.FixtureRequest) -> str:
    """A name of its own on the server that the tests share."""
    return f"g-{abs(hash(request.node.nodeid)) % 10**9}"


class TestChampion:
    def test_it_moves_and_its_history_grows(self, anywhere: Workspace, request: pytest.FixtureRequest) -> None:
        name = unique(request)
        one, two = add(anywhere, name, 0), add(anywhere, name, 1)
        registry = reign(anywhere, name, one, two)
        assert champion_of(registry, name) == 2
        assert [(line.version, line.how) for line in registry.history(name)] == [(1, "first"), (2, "promoted")]
        assert registry.version(name, 2).tags["former_champion"] == "1"

    def test_it_moves_only_if_it_is_still_the_one_that_was_compared(self, workspace: Workspace) -> None:
        one, two, three = (add(workspace, "digits", seed) for seed in range(3))
        registry = reign(workspace, "digits", one, two)
        for expected in (None, 1, 3):
            with pytest.raises(RegistryError, match=r"champion of digits is version 2 now.*nothing was changed"):
                registry.move_champion(three, expected, "promoted")
        assert champion_of(registry, "digits") == 2
        assert len(registry.history("digits")) == 2

    def test_of_two_at_once_one_wins(self, workspace: Workspace) -> None:
        reign(workspace, "digits", add(workspace, "digits", 0))
        add(workspace, "digits", 1)
        add(workspace, "digits", 2)
        context = get_context("spawn")
        with context.Pool(2) as pool:
            results = pool.starmap(try_to_become_champion, [(workspace, 2), (workspace, 3)])
        assert sorted(results) == [False, True]
        registry = Registry.open(workspace)
        assert champion_of(registry, "digits") == (2 if results[0] else 3)
        assert len(registry.history("digits")) == 2

    def test_the_challenger_gives_way_to_a_later_champion(self, workspace: Workspace) -> None:
        one, two, three = (add(workspace, "digits", seed) for seed in range(3))
        registry = reign(workspace, "digits", one)
        registry.set_challenger(two)
        assert summaries(workspace)["digits"].challenger == 2
        registry.move_champion(three, 1, "promoted")
        assert summaries(workspace)["digits"].challenger is None

    def test_a_move_by_another_hand_is_seen(self, workspace: Workspace) -> None:
        one, _, three = (add(workspace, "digits", seed) for seed in range(3))
        registry = reign(workspace, "digits", one)
        registry.client.set_registered_model_alias("digits", "champion", "2")
        assert [(line.version, line.how) for line in registry.history("digits")] == [(1, "first"), (2, "moved by hand")]
        registry.move_champion(three, 2, "promoted")
        assert [line.version for line in registry.history("digits")] == [1, 2, 3]

    def test_a_long_history_keeps_its_end(self, workspace: Workspace) -> None:
        one, two = add(workspace, "digits", 0), add(workspace, "digits", 1)
        registry = reign(workspace, "digits", *([one, two] * 26))
        history = registry.history("digits")
        assert len(history) == 50
        assert history[-1].version == 2

    def test_a_damaged_history_is_said(self, workspace: Workspace) -> None:
        registry = reign(workspace, "digits", add(workspace, "digits"))
        registry.client.set_registered_model_tag("digits", "champions", "[{")
        with pytest.raises(RegistryError, match="'champions' of digits is damaged"):
            registry.history("digits")


def try_to_become_champion(workspace: Workspace, number: int) -> bool:
    registry = Registry.open(workspace)
    try:
        registry.move_champion(registry.version("digits", number), 1, "promoted")
    except RegistryError:
        return False
    return True


class TestPromote:
    def test_by_hand(self, anywhere: Workspace, request: pytest.FixtureRequest) -> None:
        name = unique(request)
        add(anywhere, name, 0)
        add(anywhere, name, 1)
        assert promote(anywhere, name, 1).in_words == f"{name}: version 1 is the champion now"
        assert promote(anywhere, name, 2).in_words == f"{name}: version 2 is the champion now, in place of version 1"
        assert promote(anywhere, name, 2).in_words == f"{name}: version 2 is the champion already"
        assert [line.how for line in Registry.open(anywhere).history(name)] == ["promoted by hand", "promoted by hand"]

    def test_what_cannot_be_loaded_is_not_promoted(self, workspace: Workspace) -> None:
        one, two, three = (add(workspace, "digits", seed) for seed in range(3))
        registry = reign(workspace, "digits", one)
        damage(two)
        shutil.rmtree(three.source.removeprefix("file://").replace("%20", " "))
        with pytest.raises(DataError, match=r"generator\.safetensors"):
            promote(workspace, "digits", 2)
        with pytest.raises(DataError, match="digits version 3 has lost its files"):
            promote(workspace, "digits", 3)
        assert champion_of(registry, "digits") == 1

    def test_an_unknown_one(self, workspace: Workspace) -> None:
        with pytest.raises(ConfigError, match=r"digits: no such generator in .*it has none"):
            promote(workspace, "digits", 1)


def damage(version: Version) -> None:
    weights = Path(version.source.removeprefix("file://").replace("%20", " ")) / "artifacts" / "generator" / "generator.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)


class TestRollback:
    def test_step_by_step(self, anywhere: Workspace, request: pytest.FixtureRequest) -> None:
        name = unique(request)
        registry = reign(anywhere, name, *(add(anywhere, name, seed) for seed in range(3)))
        assert rollback(anywhere, name).in_words == f"{name}: version 2 is the champion again, version 3 is set aside"
        assert rollback(anywhere, name).in_words == f"{name}: version 1 is the champion again, version 2 is set aside"
        with pytest.raises(ConfigError, match=r"no former champion to go back to \(version 2 was rolled back, version 3 was rolled back\)"):
            rollback(anywhere, name)
        assert champion_of(registry, name) == 1
        assert [line.version for line in registry.history(name)] == [1, 2, 3, 2, 1]

    def test_what_was_set_aside_may_be_promoted_again(self, workspace: Workspace) -> None:
        registry = reign(workspace, "digits", *(add(workspace, "digits", seed) for seed in range(2)))
        rollback(workspace, "digits")
        assert registry.version("digits", 2).was_rolled_back
        promote(workspace, "digits", 2)
        assert not registry.version("digits", 2).was_rolled_back
        assert "version 1 is the champion again" in rollback(workspace, "digits").in_words

    def test_the_first_champion_has_none_before_it(self, workspace: Workspace) -> None:
        reign(workspace, "digits", add(workspace, "digits"))
        with pytest.raises(ConfigError, match=r"no former champion to go back to; `gantry promote digits VERSION` takes one of version 1$"):
            rollback(workspace, "digits")

    def test_a_deleted_one_is_passed_over(self, workspace: Workspace) -> None:
        registry = reign(workspace, "digits", *(add(workspace, "digits", seed) for seed in range(3)))
        registry.client.delete_model_version("digits", "2")
        said = rollback(workspace, "digits").in_words
        assert said == "digits: version 1 is the champion again, version 3 is set aside; version 2 was deleted and is passed over"

    def test_after_the_champion_was_deleted(self, workspace: Workspace) -> None:
        registry = reign(workspace, "digits", *(add(workspace, "digits", seed) for seed in range(2)))
        registry.client.delete_model_version("digits", "2")
        assert rollback(workspace, "digits").in_words == "digits: version 1 is the champion again; version 2 was deleted and is passed over"

    def test_a_damaged_former_champion_does_not_come_back(self, workspace: Workspace) -> None:
        one, two = add(workspace, "digits", 0), add(workspace, "digits", 1)
        registry = reign(workspace, "digits", one, two)
        damage(one)
        with pytest.raises(DataError, match=r"generator\.safetensors"):
            rollback(workspace, "digits")
        assert champion_of(registry, "digits") == 2

    def test_an_unknown_generator(self, workspace: Workspace) -> None:
        add(workspace, "digits")
        with pytest.raises(ConfigError, match=r"digit: no such generator.*did you mean digits\?"):
            rollback(workspace, "digit")


class TestSummaries:
    def test_what_list_shows(self, workspace: Workspace) -> None:
        one, two = add(workspace, "digits", 0, **metric_tags({"fid": 3.5})), add(workspace, "digits", 1)
        add(workspace, "circle")
        reign(workspace, "digits", one).set_challenger(two)
        found = summaries(workspace)
        assert set(found) == {"digits", "circle"}
        digits = found["digits"]
        assert digits.champion is not None
        assert (digits.champion.number, digits.champion.metrics, digits.challenger, digits.latest) == (1, {"fid": 3.5}, 2, 2)
        assert (found["circle"].champion, found["circle"].latest) == (None, 1)

    def test_asking_creates_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert summaries(Workspace(tmp_path)) == {}
        assert list(tmp_path.iterdir()) == []


class TestLook:
    def test_it_sees_what_mlflows_client_sees(self, anywhere: Workspace, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        name = unique(request)
        versions = [add(anywhere, name, seed, generator_sha256=f"{seed}", **metric_tags({"fid": seed + 0.5})) for seed in range(4)]
        opened = reign(anywhere, name, versions[0], versions[1])
        opened.set_challenger(versions[2])
        opened.remove(versions[3])
        seen = Registry.look(anywhere)
        assert (type(seen) is Registry) == (not tracking.is_own(anywhere)), "a server is asked through MLflow's client"
        assert seen.names() == opened.names()
        assert [version.number for version in seen.all_versions(name)] == [1, 2, 3]
        assert seen.all_versions(name) == opened.all_versions(name)
        assert seen.aliases(name) == opened.aliases(name) == {"champion": 2, "challenger": 3}
        assert (seen.history(name), seen.held(name)) == (opened.history(name), opened.held(name))
        for number in (1, 2, 3):
            assert seen.version(name, number) == opened.version(name, number)
            assert seen.has_files(versions[number - 1])
            assert seen.load(versions[number - 1]).config.seed == number - 1
        with pytest.raises(ConfigError, match=f"{name}: no version 4 in .*; it has versions 1, 2, 3"):
            seen.version(name, 4)
        here, there = (registry.download(versions[1], tmp_path / each) for each, registry in (("here", seen), ("there", opened)))
        files = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (here, there)]
        assert files[0] == files[1] != []
        # What is more than a look goes through MLflow.
        seen.set_tags(versions[0], {"remark": "seen"})
        assert seen.version(name, 1).tags["remark"] == opened.version(name, 1).tags["remark"] == "seen"

    def test_a_database_that_is_gone_is_said_and_none_is_made(self, workspace: Workspace) -> None:
        add(workspace, "digits")
        seen = Registry.look(workspace)
        (workspace.root / "mlflow.db").unlink()
        for ask in (seen.names, lambda: seen.aliases("digits"), lambda: seen.versions("digits")):
            with pytest.raises(RegistryError, match=r"mlflow\.db: MLflow's database is not there any more; bring it back"):
                ask()
        assert not (workspace.root / "mlflow.db").exists()

    def test_lost_files_are_said(self, workspace: Workspace) -> None:
        version = add(workspace, "digits")
        shutil.rmtree(workspace.root / "mlartifacts")
        seen = Registry.look(workspace)
        assert not seen.has_files(version)
        with pytest.raises(DataError, match=r"digits version 1 has lost its files, .*; restore them, or choose another version"):
            seen.load(version)

    def test_mlflow_is_not_imported(self, workspace: Workspace) -> None:
        reign(workspace, "digits", add(workspace, "digits"))
        program = (
            "import sys; from tasks.records.registry import load_generator, summaries; from tasks.workspace import current\n"
            "assert summaries(current())['digits'].champion.number == load_generator(current(), 'digits').config.seed + 1 == 1\n"
            "assert 'mlflow' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], cwd=workspace.root, env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=True)

    def test_tables_of_another_mlflow_are_left_to_its_client(self, workspace: Workspace) -> None:
        add(workspace, "digits")
        with closing(sqlite3.connect(workspace.root / "mlflow.db")) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = 'another'")
        assert type(Registry.look(workspace)) is Registry


class TestLoadGenerator:
    @pytest.mark.parametrize(
        ("reference", "seed"), [("digits", 1), ("digits/1", 0), ("digits/3", 2), ("digits@champion", 1), ("digits@challenger", 2)]
    )
    def test_from_the_registry(self, workspace: Workspace, reference: str, seed: int) -> None:
        versions = [add(workspace, "digits", each) for each in range(3)]
        reign(workspace, "digits", versions[0], versions[1]).set_challenger(versions[2])
        assert load_generator(workspace, reference).config.seed == seed

    def test_from_a_folder(self, workspace: Workspace, generator_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(generator_folder.parent.parent)
        for reference in (generator_folder, generator_folder.parent, str(generator_folder), "some/generator", "./some", Path("some")):
            assert load_generator(workspace, reference).config.shape == (1, 8, 8)

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("digit", r"digit: no such generator.*did you mean digits\?"),
            ("digits", "digits: has no champion; it has version 1: `gantry report digits` says why; ask for `digits/1`"),
            ("digits@challenger", "digits: has no challenger"),
            ("digits/2", "digits: no version 2"),
            ("models/elsewhere", "models/elsewhere: no such folder"),
            ("../..", "holds no generator"),
        ],
    )
    def test_what_is_not_there(self, workspace: Workspace, reference: str, message: str) -> None:
        add(workspace, "digits")
        with pytest.raises(ConfigError, match=message):
            load_generator(workspace, reference)

    def test_without_a_registry_none_is_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with pytest.raises(ConfigError, match="digits: this workspace has no registry yet; `gantry run digits`"):
            load_generator(Workspace(tmp_path), "digits")
        assert list(tmp_path.iterdir()) == []


def test_a_registry_out_of_reach_is_named_everywhere(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed.getsockname()[1]}")
        for act in (
            lambda: summaries(workspace),
            lambda: promote(workspace, "digits", 1),
            lambda: rollback(workspace, "digits"),
            lambda: load_generator(workspace, "digits"),
        ):
            with pytest.raises(RegistryError, match=r"http://127\.0\.0\.1:\d+: the MLflow server does not answer"):
                act()
