"""Generators copied between a workspace's own registry and a real server, and back."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Dataset, DatasetInput
from mlflow.tracking import MlflowClient
from real_mlflow import tiny_generator
from unruly_network import Network

from gan_core.errors import ConfigError, DataError, GantryError, RegistryError
from tasks.records import copying, tracking
from tasks.records.copying import Copied, copy
from tasks.records.registry import CHALLENGER, CHAMPION, MEASURED_TAG, RECORD_TAG, STATUS_TAG, Registry, Version, promote, rollback
from tasks.system import locks
from tasks.workspace import Workspace


@dataclasses.dataclass
class Place:
    """A registry, and how generators get into it."""

    workspace: Workspace
    name: str

    @cached_property
    def registry(self) -> Registry:
        return Registry.open(self.workspace)

    def add(self, seed: int, outcome: str | None = None) -> Version:
        """Register and decide a generator as the register stage does; `outcome` None is a challenger that was not good enough."""
        folder = self.workspace.root / "generators" / str(seed) / "generator"
        if not folder.exists():
            tiny_generator(seed).save(folder)
        sha256 = json.loads((folder / "config.json").read_text())["sha256"]
        with tracking.run(self.workspace, self.name) as run:
            run.log_params({"train": {"seed": seed}})
            run.log_metrics({"fid": 9.0 - seed}, step=10)
            run.log_metrics({"fid": 8.0 - seed}, step=20)
            picture = self.workspace.root / "report.html"
            picture.write_text(f"the report on {seed}")
            run.log_artifact(picture)
            run.client.log_inputs(run.id, [DatasetInput(Dataset("circle", f"digest{seed}", "local", "{}"), [])])
        tags = {"training_run": run.id, "generator_sha256": sha256, "metric.fid": str(8.0 - seed)}
        registry = self.registry
        version = registry.add(self.name, run.id, folder, tags, f"seed {seed}")
        said = outcome or "kept: worse"
        registry.set_tags(version, {"decision": said, RECORD_TAG: json.dumps({"outcome": said, "version": version.number})})
        if outcome is None:
            registry.set_challenger(version)
            registry.set_tags(version, {STATUS_TAG: "rejected"})
        else:
            registry.move_champion(version, registry.aliases(self.name).get(CHAMPION), outcome)
        return version

    def remove(self, version: int) -> None:
        if self.registry.aliases(self.name).get(CHALLENGER) == version:
            self.registry.client.delete_registered_model_alias(self.name, CHALLENGER)
        self.registry.remove(self.registry.version(self.name, version))

    def stands(self) -> dict[int, dict[str, str]]:
        return {one.number: {"text": one.description, **one.tags} for one in self.registry.all_versions(self.name)}

    def seeds(self) -> dict[int, int]:
        """Which generator each version draws as, by its weights."""
        return {one.number: self.registry.load(one).config.seed for one in self.registry.all_versions(self.name)}


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of its own on the server that the tests share."""
    return f"c-{abs(hash(request.node.nodeid)) % 10**9}"


@pytest.fixture
def here(workspace: Workspace, name: str) -> Place:
    return Place(workspace, name)


@pytest.fixture
def there(workspace: Workspace, mlflow_server: str, name: str) -> Place:
    return Place(dataclasses.replace(workspace, tracking_uri=mlflow_server), name)


@pytest.fixture
def restored(tmp_path: Path, mlflow_database: Path, name: str) -> Place:
    """Another workspace, with a registry that is empty."""
    root = tmp_path / "restored"
    root.mkdir()
    shutil.copy(mlflow_database, root / "mlflow.db")
    return Place(Workspace(root), name)


def bring(source: Place, target: Place) -> Copied:
    return copy(source.registry, target.registry, source.name, lambda line: None)[0]


def without(tags: dict[int, dict[str, str]]) -> dict[int, dict[str, str]]:
    """Tags but for when it was registered first, which a copy alone has to say."""
    return {number: {key: value for key, value in one.items() if key != "registered"} for number, one in tags.items()}


def test_all_of_it_goes_there_and_back(here: Place, there: Place, restored: Place) -> None:
    here.add(0, "first")
    here.add(1, "promoted")
    here.remove(here.add(2).number)
    here.add(3)
    said: list[str] = []
    name = here.name
    done = copy(here.registry, there.registry, name, said.append)
    assert done == [Copied(name, (1, 2, 4), (), champion=2, ahead=False)]
    assert said == [f"{name}: version {number} is there ({place} of 3)" for place, number in enumerate((1, 2, 4), start=1)]
    bring(there, restored)
    for copied in (there, restored):
        assert without(copied.stands()) == here.stands()
        assert copied.seeds() == {1: 0, 2: 1, 4: 3}
        assert copied.registry.history(name) == here.registry.history(name)
        assert copied.registry.aliases(name) == here.registry.aliases(name) == {CHAMPION: 2, CHALLENGER: 4}
        assert [one.created for one in copied.registry.all_versions(name)] == [one.created for one in here.registry.all_versions(name)]
        assert copying._UNFINISHED_TAG not in copied.registry.model(name).tags
    drawn = [place.registry.load(place.registry.version(name, 4)).sample(5, seed=1).samples for place in (here, there, restored)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_a_version_s_run_goes_with_it(here: Place, there: Place, tmp_path: Path) -> None:
    version = here.add(3, "first")
    bring(here, there)
    copied = there.registry.version(here.name, 1)
    old, new = here.registry.client.get_run(version.run_id), there.registry.client.get_run(copied.run_id)
    assert (new.data.params, new.data.metrics) == (old.data.params, old.data.metrics)
    points = [
        [(one.step, one.value, one.timestamp) for one in place.registry.client.get_metric_history(run, "fid")]
        for place, run in ((here, version.run_id), (there, copied.run_id))
    ]
    assert points[0] == points[1]
    assert [step for step, _, _ in points[0]] == [10, 20]
    assert [one.dataset.digest for one in new.inputs.dataset_inputs] == ["digest3"]
    times = [(run.info.status, run.info.start_time, run.info.end_time, run.info.run_name) for run in (old, new)]
    assert times[0] == times[1]
    assert Path(there.registry.client.download_artifacts(copied.run_id, "report.html", str(tmp_path))).read_text() == "the report on 3"
    assert [one.model_id for one in new.outputs.model_outputs] == [copied.source.rstrip("/").split("/")[-2]]
    assert there.registry.find(here.name, version.run_id, version.tags["generator_sha256"]) == copied, "the register stage finds it again"


def test_mlflow_loads_and_serves_a_copy(here: Place, there: Place, tmp_path: Path) -> None:
    import pandas as pd
    from mlflow import pyfunc

    here.add(1, "first")
    bring(here, there)
    answers = []
    for place in (here, there):
        version = place.registry.version(here.name, 1)
        model = pyfunc.load_model(str(place.registry.download(version, tmp_path / str(len(answers)))))
        assert model.metadata.run_id == version.run_id
        assert model.metadata.model_id == version.source.rstrip("/").split("/")[-2]
        answers.append(model.predict(pd.DataFrame({"label": ["cat", "dog"]}), params={"seed": 3}).to_dict("list"))
    assert answers[0] == answers[1]


def test_copied_again_nothing_is_made_twice_and_news_is_taken(here: Place, there: Place) -> None:
    here.add(0, "first")
    bring(here, there)
    before = there.registry.client.get_registered_model(here.name)
    runs = len(tracking.runs(there.registry.client, here.name))
    assert bring(here, there) == Copied(here.name, (), (), champion=1, ahead=False)
    after = there.registry.client.get_registered_model(here.name)
    assert (after.last_updated_timestamp, after.tags) == (before.last_updated_timestamp, before.tags), "it was left alone"
    here.registry.set_tags(here.add(1), {MEASURED_TAG: "{}"})
    here.add(2, "promoted")
    assert bring(here, there) == Copied(here.name, (2, 3), (), champion=3, ahead=False)
    rollback(here.workspace, here.name)
    assert bring(here, there) == Copied(here.name, (), (), champion=1, ahead=False)
    promote(here.workspace, here.name, 3)
    bring(here, there)
    assert without(there.stands()) == here.stands(), "that it was rolled back is forgotten there, too"
    assert there.registry.history(here.name) == here.registry.history(here.name)
    assert len(tracking.runs(there.registry.client, here.name)) == runs + 2
    assert not there.registry.version(here.name, 3).was_rolled_back


def test_what_the_team_made_comes_back(here: Place, there: Place) -> None:
    here.add(0, "first")
    bring(here, there)
    there.add(1)
    there.add(2, "promoted")
    assert bring(here, there) == Copied(here.name, (), (), champion=3, ahead=True)
    assert there.registry.aliases(here.name)[CHAMPION] == 3
    assert bring(there, here) == Copied(here.name, (2, 3), (), champion=3, ahead=False)
    assert without(here.stands()) == without(there.stands())
    assert here.seeds() == {1: 0, 2: 1, 3: 2}


def test_what_was_deleted_there_stays_deleted(here: Place, there: Place) -> None:
    here.add(0, "first")
    here.add(1)
    bring(here, there)
    there.remove(2)
    here.add(2)
    assert bring(here, there) == Copied(here.name, (3,), (2,), champion=1, ahead=False)
    assert list(there.stands()) == [1, 3]
    here.remove(3)
    promote(here.workspace, here.name, 2)
    with pytest.raises(RegistryError, match="has had version 2, the champion here, deleted; no champion was moved"):
        bring(here, there)
    assert there.registry.aliases(here.name)[CHAMPION] == 1


@pytest.mark.parametrize("stopped_at", ["create_model_version", "set_registered_model_alias", "set_tag"])
def test_a_copy_that_was_stopped_goes_on_and_shows_no_champion_meanwhile(
    here: Place, there: Place, monkeypatch: pytest.MonkeyPatch, stopped_at: str
) -> None:
    """The rejected version is there already, and the champion is not: nobody may be taken for the first."""
    here.add(0, "first")
    here.add(1, "promoted")
    here.add(2)
    original = getattr(MlflowClient, stopped_at)
    asked = {"times": 0}

    def stop(*arguments: Any, **options: Any) -> Any:
        asked["times"] += 1
        if asked["times"] == 2:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, stopped_at, stop)
        with pytest.raises(KeyboardInterrupt):
            bring(here, there)
    assert CHAMPION not in there.registry.aliases(here.name)
    assert there.registry.history(here.name)[-1].version == 2, "so the gate calls no challenger the first champion"
    stood = there.stands()
    assert all(without(stood)[number] == here.stands()[number] for number in stood), "each is whole"
    assert there.seeds() == {number: number - 1 for number in stood}
    done = bring(here, there)
    assert done.versions == tuple({1, 2, 3} - set(stood))
    assert without(there.stands()) == here.stands()
    assert there.registry.aliases(here.name) == {CHAMPION: 2, CHALLENGER: 3}
    client = there.registry.client
    runs = tracking.runs(client, here.name)
    assert len(runs) == 3, "no half of a run is left"
    models = client.search_logged_models([runs[0].info.experiment_id])
    assert {model.artifact_location for model in models} == {one.source for one in there.registry.all_versions(here.name)}


def test_an_interrupted_advance_of_the_champion_goes_on(here: Place, there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    here.add(0, "first")
    bring(here, there)
    here.add(1, "promoted")

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", stop)
        with pytest.raises(KeyboardInterrupt):
            bring(here, there)
    assert there.registry.aliases(here.name) == {CHAMPION: 1}
    assert bring(here, there) == Copied(here.name, (), (), champion=2, ahead=False)
    assert there.registry.history(here.name) == here.registry.history(here.name)


def test_answers_that_are_lost_cost_no_number(here: Place, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    there = Place(dataclasses.replace(here.workspace, tracking_uri=network.address), here.name)
    here.remove(here.add(0).number)
    here.add(1, "first")
    here.add(2, "promoted")
    network.losses = {"model-versions/create": 2}
    bring(here, there)
    assert network.lost == ["model-versions/create"] * 2
    assert without(there.stands()) == here.stands()
    assert there.registry.aliases(here.name) == {CHAMPION: 3}


class TestRefused:
    """In a line that says what to do, and nothing was changed."""

    @pytest.fixture
    def both(self, here: Place, there: Place) -> tuple[Place, Place]:
        here.add(0, "first")
        bring(here, there)
        return here, there

    def check(self, here: Place, there: Place, match: str) -> None:
        before = (there.stands(), there.registry.aliases(here.name), there.registry.history(here.name))
        with pytest.raises(RegistryError, match=f"{here.name}: http://127.*{match}.*rename the registered model of the other"):
            bring(here, there)
        assert before == (there.stands(), there.registry.aliases(here.name), there.registry.history(here.name))

    def test_other_versions_of_that_name(self, here: Place, there: Place) -> None:
        here.add(0, "first")
        there.add(5)
        self.check(here, there, "has another version 1")

    def test_another_champion(self, both: tuple[Place, Place]) -> None:
        here, there = both
        here.add(1, "promoted")
        bring(here, there)
        rollback(there.workspace, here.name)
        here.registry.move_champion(here.registry.version(here.name, 1), 2, "promoted by hand")
        self.check(here, there, r"has had another champion, version 1 \(rolled back, .*and here it is version 1 \(promoted by hand")

    def test_each_went_on(self, both: tuple[Place, Place]) -> None:
        here, there = both
        there.add(1)
        promote(here.workspace, here.name, here.add(1).number)
        self.check(here, there, "has another version 2")

    def test_one_went_on_and_the_other_moved_its_champion(self, both: tuple[Place, Place]) -> None:
        here, there = both
        here.add(1)
        bring(here, there)
        there.add(2)
        promote(here.workspace, here.name, 2)
        self.check(here, there, "has version 3 of its own, and here there is more, too")

    def test_a_number_that_was_used_up(self, here: Place, there: Place) -> None:
        here.add(0, "first")
        there.remove(there.add(7).number)
        with pytest.raises(RegistryError, match=r"has no place for version 1 \(it counts on from 2\); no champion was moved"):
            bring(here, there)
        assert there.stands() == {}
        assert there.registry.aliases(here.name) == {}

    def test_a_champion_that_was_taken_away(self, both: tuple[Place, Place]) -> None:
        here, there = both
        there.registry.client.delete_registered_model_alias(here.name, CHAMPION)
        with pytest.raises(RegistryError, match=f"has lost its champion, version 1.*there, `gantry promote {here.name} 1` gives it back"):
            bring(here, there)
        assert there.registry.aliases(here.name) == {}

    def test_files_that_are_lost_or_others(self, here: Place, there: Place) -> None:
        here.add(0, "first")
        folder = Path(here.add(1).source.removeprefix("file://").replace("%20", " ")) / "artifacts" / "generator"
        shutil.rmtree(folder)
        with pytest.raises(DataError, match=r"version 2 has lost its files.*nothing was copied; restore them, or delete the version"):
            bring(here, there)
        assert there.registry.model(here.name) is None
        tiny_generator(9).save(folder)
        with pytest.raises(DataError, match="version 2 holds another generator than its tag generator_sha256 says; it was not copied"):
            bring(here, there)
        assert list(there.stands()) == [1]
        assert there.registry.aliases(here.name) == {}, "the champion comes last"

    def test_the_same_place_no_server_and_a_password(self, here: Place, mlflow_server: str) -> None:
        with pytest.raises(ConfigError, match="is both what is copied and where to"):
            copy(here.registry, here.registry, None, print)
        for uri in ("sqlite:///mlflow.db", "file:///tmp", "mlflow.db"):
            with pytest.raises(ConfigError, match="is not the address of an MLflow server, such as http://"):
                copying.opened(here.workspace, uri)
        with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as refused:
            copying.opened(here.workspace, mlflow_server.replace("//", "//me:secret@"))
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize("lock", [locks.retraining, locks.copying])
    def test_while_it_is_at_work(self, here: Place, there: Place, lock: Callable[..., object]) -> None:
        here.add(0, "first")
        with lock(here.workspace, here.name), pytest.raises(GantryError, match=f"{here.name} is being"):  # type: ignore[attr-defined]
            bring(here, there)
        assert there.registry.model(here.name) is None


def test_all_are_copied_and_models_of_others_are_not(here: Place, restored: Place, mlflow_server: str) -> None:
    for name in ("one", "two"):
        Place(here.workspace, name).add(0, "first")
    client = here.registry.client
    client.create_registered_model("Somebody's")
    client.create_registered_model("another")
    assert [one.name for one in copy(here.registry, restored.registry, None, print)] == ["one", "two"]
    assert restored.registry.names() == ["one", "two"]
    with pytest.raises(ConfigError, match=r"three: no such generator in sqlite.*it has"):
        copy(here.registry, restored.registry, "three", print)


def test_a_copy_keeps_its_age(here: Place, restored: Place) -> None:
    here.add(0, "first")
    long_ago = datetime(2020, 2, 3, 4, 5, tzinfo=UTC)
    here.registry.client.set_model_version_tag(here.name, "1", "registered", long_ago.isoformat())
    bring(here, restored)
    assert restored.registry.version(here.name, 1).created == long_ago
