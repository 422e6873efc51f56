from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import called_stage
from real_mlflow import tiny_generator

from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import DataError, RegistryError
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.metrics import features
from gan_core.metrics.features import FeatureExtractor
from tasks import judging
from tasks.evaluate import evaluate
from tasks.judging import gather, score
from tasks.params import Entry, parse
from tasks.promotion import gate, loaded_back, served_back
from tasks.promotion.loaded_back import FreshProcess
from tasks.records import tracking
from tasks.records.history import formers, recorded
from tasks.records.registry import Registry, promote, rollback, summaries
from tasks.register import register
from tasks.scoring.scoring import Evidence
from tasks.workspace import Workspace


def an_entry(name: str, source: str = "points://circle", **rule: Any) -> Entry:
    """Points are compared by their radius error alone, by which untrained generators are put in order."""
    rule = {"improve": "radius_error", **rule} if source.startswith("points") else rule
    sections = {"data": {"source": source}, "validate": {}, "train": {"recipe": "gan", "images": 640}, "register": rule}
    return parse({"generators": {name: {**sections, "evaluate": {"samples": 200}}}}, where="params.yaml")[name]


def circle_data(workspace: Workspace, name: str) -> Dataset:
    """A packed data set of points on a circle of radius 2."""
    ready = workspace.ready(name)
    ready.mkdir(parents=True)
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 500)
    points = (2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    np.save(ready / "train.npy", points[:400])
    np.save(ready / "holdout.npy", points[400:])
    truth = {"shape": "circle", "radius": 2.0, "sigma": 0.0}
    mean, std = tuple(points[:400].mean(axis=0).tolist()), tuple(points[:400].std(axis=0).tolist())
    write_spec(ready, Points((2,), {"train": 400, "holdout": 100}, mean=mean, std=std, truth=truth))
    return Dataset.open(ready)


def from_worst_to_best(dataset: Dataset, entry: Entry) -> list[Generator]:
    """Untrained generators of points, by their radius error."""
    generators = [tiny_generator(seed, kind="points", classes=None) for seed in range(4)]
    return sorted(generators, key=lambda generator: -score(generator, dataset, None, entry.evaluation)["radius_error"])


def trained(workspace: Workspace, name: str, generator: Generator, entry: Entry, run_id: str | None = None) -> str:
    """Leave what the train and evaluate stages leave; returns the id of the run."""
    model = workspace.model(name)
    for old in model.glob("generator/*"):
        old.unlink()
    if (model / "generator").is_dir():
        (model / "generator").rmdir()
    generator.save(model / "generator")
    (model / "metrics.jsonl").write_text('{"images": 64, "generator_loss": 1.5}\n{"images": 640, "generator_loss": 0.5}\n')
    if run_id is None:
        with tracking.run(workspace, name) as run:
            run_id = run.id
    (model / "run.json").write_text(json.dumps({"run_id": run_id}))
    evaluate(workspace, name, entry)
    return run_id


def decision(workspace: Workspace, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((workspace.report(name) / "decision.json").read_text())
    return value


def champion(workspace: Workspace, name: str) -> int | None:
    found = Registry.open(workspace).champion(name)
    return None if found is None else found.number


def aliases(workspace: Workspace, name: str) -> tuple[int | None, int | None]:
    """The numbers of champion and challenger."""
    found = summaries(workspace)[name]
    return (None if found.champion is None else found.champion.number), found.challenger


@pytest.fixture
def entry() -> Entry:
    return an_entry("circle")


@pytest.fixture
def generators(workspace: Workspace, entry: Entry) -> list[Generator]:
    """From worst to best, for the circle in the workspace."""
    return from_worst_to_best(circle_data(workspace, "circle"), entry)


class TestFirst:
    def test_it_becomes_the_champion(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run_id = trained(workspace, "circle", generators[0], entry)
        capsys.readouterr()
        register(workspace, "circle", entry)
        assert capsys.readouterr().out == "register circle: a new version\nregister circle: version 1 is the champion (first)\n"

        record = decision(workspace, "circle")
        scores = json.loads((workspace.report("circle") / "metrics.json").read_text())
        assert list(record)[:4] == ["outcome", "reasons", "version", "former_champion"]
        assert (record["outcome"], record["version"], record["former_champion"]) == ("first", 1, None)
        assert record["metrics"] == {"challenger": scores, "champion": None}
        assert record["run_id"] == run_id

        registry = Registry.open(workspace)
        version = registry.version("circle", 1)
        assert champion(workspace, "circle") == 1
        assert version.metrics == scores
        assert version.tags["decision"] == "first"
        assert version.tags["dataset_digest"] == Dataset.open(workspace.ready("circle")).spec.digest
        assert version.tags["generator_sha256"] == record["generator_sha256"]
        back = registry.load(version).sample(50, seed=9).samples
        np.testing.assert_array_equal(back, generators[0].sample(50, seed=9).samples)

        run = registry.client.get_run(run_id)
        assert run.info.status == "FINISHED"
        assert run.data.tags["decision"] == "first"
        assert "decision.json" in [file.path for file in registry.client.list_artifacts(run_id)]
        assert len(registry.client.get_metric_history(run_id, "losses/generator_loss")) == 2

    def test_a_floor_keeps_it_out(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], capsys: pytest.CaptureFixture[str]
    ) -> None:
        trained(workspace, "circle", generators[0], entry)
        register(workspace, "circle", an_entry("circle", require={"radius_error": "<= 1e-6"}))
        assert champion(workspace, "circle") is None
        assert decision(workspace, "circle")["outcome"].startswith("vetoed: radius_error ")
        assert "version 1 is the challenger (vetoed: radius_error" in capsys.readouterr().out
        assert aliases(workspace, "circle") == (None, 1)


class TestSecond:
    def test_a_better_one_takes_the_place(self, workspace: Workspace, entry: Entry, generators: list[Generator]) -> None:
        worse, better = generators[0], generators[-1]
        for generator in (worse, better):
            trained(workspace, "circle", generator, entry)
            register(workspace, "circle", entry)
        record = decision(workspace, "circle")
        assert (record["outcome"], record["version"], record["former_champion"]) == ("promoted", 2, 1)
        dataset = Dataset.open(workspace.ready("circle"))
        assert record["metrics"]["champion"] == score(worse, dataset, None, entry.evaluation)
        assert record["metrics"]["challenger"] == score(better, dataset, None, entry.evaluation)
        assert champion(workspace, "circle") == 2
        assert rollback(workspace, "circle").in_words.startswith("circle: version 1 is the champion again")

    def test_both_versions_say_what_became_of_them(self, workspace: Workspace, entry: Entry, generators: list[Generator]) -> None:
        for generator in (generators[0], generators[-1], generators[1]):
            trained(workspace, "circle", generator, entry)
            register(workspace, "circle", entry)
        registry = Registry.open(workspace)
        tags = {number: registry.version("circle", number).tags for number in (1, 2, 3)}
        assert [tags[number]["validation_status"] for number in (1, 2, 3)] == ["superseded", "approved", "rejected"]
        assert (tags[1]["succeeded_by"], tags[2]["former_champion"]) == ("2", "1")
        assert [tags[number]["decision"] for number in (1, 2, 3)] == ["first", "promoted", "kept: worse"]
        rollback(workspace, "circle")
        assert registry.version("circle", 1).tags["validation_status"] == "approved"
        assert registry.version("circle", 2).tags["validation_status"] == "rolled back"
        # As MLflow's page shows them: how it was decided, and by which score.
        assert list(tags[2])[:2] == ["decision", "metric.radius_error"]

    def test_former_champions_are_shown_with_comparable_scores_only(
        self, workspace: Workspace, entry: Entry, generators: list[Generator]
    ) -> None:
        """The third is scored with another seed: of the two before, only the one that it was compared with has a score like it."""
        other = an_entry("circle").model_copy(update={"evaluation": entry.evaluation.model_copy(update={"seed": 5})})
        for generator, manner in ((generators[0], entry), (generators[1], entry), (generators[-1], other)):
            trained(workspace, "circle", generator, manner)
            register(workspace, "circle", manner)
        registry = Registry.open(workspace)

        def shown(number: int) -> list[tuple[int, float | None, str]]:
            present = recorded(registry.version("circle", number))
            reigns = registry.history("circle")[:number]
            return [(one.version, one.value, one.remark) for one in formers(registry, "circle", reigns, "radius_error", present)]

        scores = {number: registry.version("circle", number).metrics["radius_error"] for number in (1, 2, 3)}
        again = decision(workspace, "circle")["metrics"]["champion"]["radius_error"]
        assert shown(2) == [(2, scores[2], ""), (1, scores[1], "")]
        assert again != scores[2]
        assert shown(3) == [(3, scores[3], ""), (2, again, ""), (1, None, "measured otherwise")]
        registry.client.delete_model_version("circle", "1")
        assert shown(3)[2] == (1, None, "deleted")

    def test_a_worse_one_does_not(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for generator in (generators[-1], generators[0]):
            trained(workspace, "circle", generator, entry)
            register(workspace, "circle", entry)
        assert decision(workspace, "circle")["outcome"] == "kept: worse"
        assert "version 2 is the challenger (kept: worse): radius_error" in capsys.readouterr().out
        assert aliases(workspace, "circle") == (1, 2)

    def test_the_same_weights_from_another_training_are_no_better(
        self, workspace: Workspace, entry: Entry, generators: list[Generator]
    ) -> None:
        for _ in range(2):
            trained(workspace, "circle", generators[0], entry)
            register(workspace, "circle", entry)
        assert decision(workspace, "circle")["outcome"] == "kept: inconclusive"
        assert "better in 50.0 % of 1,000 resamples" in decision(workspace, "circle")["reasons"][0]
        assert champion(workspace, "circle") == 1

    def test_on_a_server(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], mlflow_server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        registry = Registry.open(workspace)
        if "circle" in registry.names():  # tests share the server
            registry.client.delete_registered_model("circle")
        for generator in (generators[0], generators[-1]):
            trained(workspace, "circle", generator, entry)
            register(workspace, "circle", entry)
        assert decision(workspace, "circle")["outcome"] == "promoted"
        assert champion(workspace, "circle") == 2
        assert not (workspace.root / "mlartifacts").exists()


class TestImages:
    @pytest.fixture(autouse=True)
    def _fitted_for_a_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """That the features are the same ones does not depend on how good they are."""
        monkeypatch.setattr(features, "_EPOCHS", 1)
        monkeypatch.setattr(features, "_FEWEST", 200)

    def test_champion_and_challenger_meet_the_same_frozen_features(self, workspace: Workspace) -> None:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        ready = workspace.ready("digits")
        ready.mkdir(parents=True)
        for split, chosen in (("train", slice(0, 800)), ("holdout", slice(800, 1000))):
            np.save(ready / f"{split}.npy", (images[chosen] * 15.9).astype(np.uint8).reshape(-1, 1, 8, 8))
            np.save(ready / f"{split}_labels.npy", labels[chosen].astype(np.int64))
        classes = tuple("0123456789")
        write_spec(ready, Images((1, 8, 8), {"train": 800, "holdout": 200}, classes))
        entry = an_entry("digits", source="sklearn://digits", require={"recall": ">= 0"})  # untrained ones
        generators = [tiny_generator(seed, classes=classes) for seed in range(2)]
        for generator in generators:
            trained(workspace, "digits", generator, entry)
            register(workspace, "digits", entry)
        record = decision(workspace, "digits")
        extractor = FeatureExtractor.load(workspace.features("digits"))
        first, second = (score(generator, Dataset.open(ready), extractor, entry.evaluation) for generator in generators)
        assert record["metrics"] == {"challenger": {**second, "copies": 0.0}, "champion": first}
        comparison = record["comparison"]
        assert (comparison["challenger"], comparison["champion"]) == (second["fid"], first["fid"])
        assert comparison["interval"][0] < comparison["difference"] < comparison["interval"][1]
        assert (comparison["replicates"], comparison["confidence"], comparison["better"]) == (1000, 0.975, "lower")
        sure = comparison["probability_better"]
        assert [reason.split()[0] for reason in record["reasons"]] in (["fid", "label_accuracy"], ["label_accuracy", "fid"])
        if record["outcome"] == "kept: inconclusive":
            assert 0.0125 < sure < 0.9875
        assert record["noise_floor"] == {"metric": "fid", "deviation": comparison["deviation"]}
        low, high = comparison["interval"]
        assert comparison["deviation"] == pytest.approx((high - low) / (2 * 2.24), rel=0.1)

    def test_new_features_score_the_former_champions_again(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        from sklearn.datasets import load_digits

        images = (load_digits().images * 15.9).astype(np.uint8)[:, None]
        ready = workspace.ready("digits")
        ready.mkdir(parents=True)
        np.save(ready / "train.npy", images[:400])
        np.save(ready / "holdout.npy", images[400:500])
        write_spec(ready, Images((1, 8, 8), {"train": 400, "holdout": 100}))
        generators = [tiny_generator(seed, classes=None) for seed in range(4)]
        entry = an_entry("digits", source="sklearn://digits", require={"copies": "<= 1"})
        for generator in generators[:3]:
            trained(workspace, "digits", generator, entry)
            register(workspace, "digits", entry)
            promote(workspace, "digits", decision(workspace, "digits")["version"])
        registry = Registry.open(workspace)
        anew = entry.model_copy(update={"evaluation": entry.evaluation.model_copy(update={"features_seed": 1})})
        trained(workspace, "digits", generators[3], anew)
        capsys.readouterr()
        register(workspace, "digits", anew)
        said = capsys.readouterr().out
        assert [f"scoring a former champion, version {number}" in said for number in (1, 2, 3)] == [True, True, False]

        extractor = FeatureExtractor.load(workspace.features("digits"))
        expected = {n + 1: score(generators[n], Dataset.open(ready), extractor, anew.evaluation)["fid"] for n in range(3)}
        past = formers(registry, "digits", registry.history("digits"), "fid", decision(workspace, "digits"))
        assert {one.version: one.value for one in past if one.version <= 3} == expected

        # Once is enough, and a version that is gone is passed over.
        registry.client.delete_model_version("digits", "1")
        trained(workspace, "digits", tiny_generator(4, classes=None), anew)
        capsys.readouterr()
        register(workspace, "digits", anew)
        assert "scoring a former" not in capsys.readouterr().out


class TestOnceOnly:
    def test_the_same_run_makes_no_second_version(self, workspace: Workspace, entry: Entry, generators: list[Generator]) -> None:
        run_id = trained(workspace, "circle", generators[0], entry)
        register(workspace, "circle", entry)
        before = (workspace.report("circle") / "decision.json").read_bytes()
        register(workspace, "circle", entry)
        assert (workspace.report("circle") / "decision.json").read_bytes() == before
        registry = Registry.open(workspace)
        assert registry.versions("circle") == [1]
        assert len(registry.history("circle")) == 1
        assert len(registry.client.get_metric_history(run_id, "losses/generator_loss")) == 2

    def test_a_challenger_is_judged_again_when_the_rule_changes(
        self, workspace: Workspace, entry: Entry, generators: list[Generator]
    ) -> None:
        trained(workspace, "circle", generators[0], entry)
        register(workspace, "circle", an_entry("circle", require={"radius_error": "<= 1e-6"}))
        register(workspace, "circle", entry)
        assert decision(workspace, "circle")["outcome"] == "first"
        assert aliases(workspace, "circle") == (1, None)

    def test_after_a_kill_halfway(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = trained(workspace, "circle", generators[0], entry)

        def interrupted(*_: object) -> gate.Decision:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(gate, "decide", interrupted)
            with pytest.raises(KeyboardInterrupt):
                register(workspace, "circle", entry)
        registry = Registry.open(workspace)
        assert registry.client.get_run(run_id).info.status == "KILLED"
        assert champion(workspace, "circle") is None
        register(workspace, "circle", entry)
        assert registry.versions("circle") == [1]
        assert champion(workspace, "circle") == 1

    def test_a_run_of_another_server_is_replaced_once(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], capsys: pytest.CaptureFixture[str]
    ) -> None:
        trained(workspace, "circle", generators[0], entry, run_id="0" * 32)
        capsys.readouterr()
        for _ in range(2):
            register(workspace, "circle", entry)
        assert capsys.readouterr().err.count("starting a new one") == 1
        registry = Registry.open(workspace)
        assert registry.versions("circle") == [1]
        assert registry.version("circle", 1).run_id != "0" * 32

    def test_what_was_promoted_by_hand_stays(self, workspace: Workspace, entry: Entry, generators: list[Generator]) -> None:
        for generator in (generators[-1], generators[0]):
            trained(workspace, "circle", generator, entry)
            register(workspace, "circle", entry)
        promote(workspace, "circle", 2)
        register(workspace, "circle", entry)
        assert decision(workspace, "circle")["reasons"] == ["version 2 is the champion already (promoted by hand)"]
        assert champion(workspace, "circle") == 2


@pytest.fixture(scope="module")
def bad_and_champion(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path, shared_process: Callable[[], FreshProcess]) -> Path:
    """A workspace with version 1, which was bad, and the champion, version 2; the best one waits in models/circle."""
    root, entry = tmp_path_factory.mktemp("two") / "a workspace", an_entry("circle")
    root.mkdir()
    shutil.copy(mlflow_database, root / "mlflow.db")
    workspace = Workspace(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(loaded_back, "FreshProcess", lambda: nullcontext(shared_process()))
        *others, best = from_worst_to_best(circle_data(workspace, "circle"), entry)
        for generator in others[:2]:
            trained(workspace, "circle", generator, entry)
            register(workspace, "circle", entry)
        trained(workspace, "circle", best, entry)
    return root


class TestNeverPromotedByAccident:
    @pytest.fixture
    def two(self, workspace: Workspace, bad_and_champion: Path) -> Workspace:
        """A copy of that one."""
        shutil.copytree(bad_and_champion, workspace.root, dirs_exist_ok=True)
        assert champion(workspace, "circle") == 2
        return workspace

    def test_what_was_rolled_back(self, two: Workspace, entry: Entry) -> None:
        register(two, "circle", entry)
        rollback(two, "circle")
        register(two, "circle", entry)
        assert decision(two, "circle")["outcome"].startswith("vetoed: version 3 was rolled back; `gantry promote circle 3`")
        assert champion(two, "circle") == 2

    def test_scores_of_other_counts_or_data(self, two: Workspace, entry: Entry) -> None:
        path = two.report("circle") / "evaluation.json"
        evaluation = json.loads(path.read_text())
        path.write_text(json.dumps({**evaluation, "n_generated": 100}))
        register(two, "circle", entry)
        assert decision(two, "circle")["outcome"] == (
            "vetoed: the scores were measured differently, so they are not compared: n_generated 100 against 200"
        )
        assert champion(two, "circle") == 2

    def test_when_two_runs_promote_at_once_one_wins(self, two: Workspace, tmp_path: Path) -> None:
        """Two real processes hold the same expectation, and wait for each other to be ready before they move the alias."""
        script = """
import sys, time
from pathlib import Path
from tasks.records.registry import Registry
from tasks.workspace import Workspace
registry = Registry.open(Workspace(Path(sys.argv[1])))
version = registry.version("circle", 1)
gate = Path(sys.argv[2])
(gate / sys.argv[3]).touch()
while len(list(gate.iterdir())) < 2:
    time.sleep(0.01)
registry.move_champion(version, 2, "promoted")
"""
        gate_folder = tmp_path / "gate"
        gate_folder.mkdir()
        environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(two.root), str(gate_folder), str(number)],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        said = [racer.communicate(timeout=120)[1] for racer in racers]
        assert sorted(racer.returncode for racer in racers) == [0, 1]
        assert sum("the champion of circle is version 1 now, and was version 2" in text for text in said) == 1
        assert [reign.version for reign in Registry.open(two).history("circle")] == [1, 2, 1]

    def test_when_the_held_out_data_is_gone(self, workspace: Workspace) -> None:
        ready = workspace.ready("digits")
        ready.mkdir(parents=True)
        images = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
        np.save(ready / "train.npy", images)
        np.save(ready / "holdout.npy", images[:0])
        write_spec(ready, Images((1, 8, 8), {"train": 40, "holdout": 0}))
        with pytest.raises(DataError, match="0 held-out samples are too few to score with, at least 10 are needed"):
            trained(workspace, "digits", tiny_generator(classes=None), an_entry("digits", source="sklearn://digits"))
        with pytest.raises(DataError, match=r"metrics\.json: cannot be read"):
            register(workspace, "digits", an_entry("digits", source="sklearn://digits"))
        assert Registry.open(workspace).names() == []

    def test_when_the_champion_was_deleted(self, two: Workspace, entry: Entry) -> None:
        Registry.open(two).client.delete_model_version("circle", "2")
        register(two, "circle", entry)
        assert decision(two, "circle")["outcome"].startswith("vetoed: the last champion, version 2, was deleted or lost its alias")
        assert champion(two, "circle") is None

    def test_when_the_alias_was_moved_by_hand_the_one_it_names_is_met(self, two: Workspace, entry: Entry) -> None:
        Registry.open(two).client.set_registered_model_alias("circle", "champion", "1")
        register(two, "circle", entry)
        assert (decision(two, "circle")["outcome"], decision(two, "circle")["former_champion"]) == ("promoted", 1)
        assert [reign.version for reign in Registry.open(two).history("circle")] == [1, 2, 1, 3]

    def test_when_the_champions_files_are_damaged(self, two: Workspace, entry: Entry) -> None:
        source = Path(Registry.open(two).version("circle", 2).source.removeprefix("file://").replace("%20", " "))
        (source / "artifacts" / "generator" / "generator.safetensors").write_bytes(b"")
        register(two, "circle", entry)
        assert decision(two, "circle")["outcome"].startswith("vetoed: the champion, version 2, cannot be loaded: ")
        assert champion(two, "circle") == 2

    def test_when_the_champion_draws_something_else(self, two: Workspace, entry: Entry, tmp_path: Path) -> None:
        tiny_generator().save(tmp_path / "images" / "generator")
        registry = Registry.open(two)
        with tracking.run(two, "circle") as run:
            other = registry.add("circle", run.id, tmp_path / "images" / "generator", {}, "")
        registry.move_champion(other, 2, "promoted by hand")
        register(two, "circle", entry)
        assert decision(two, "circle")["outcome"].startswith("vetoed: the champion, version 3, draws images of shape (1, 8, 8)")
        assert champion(two, "circle") == 3

    def test_when_the_champion_moves_while_it_is_scored(self, two: Workspace, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
        def gather_while_another_wins(*arguments: Any) -> Evidence:
            Registry.open(two).client.set_registered_model_alias("circle", "champion", "1")
            return gather(*arguments)

        monkeypatch.setattr(judging, "gather", gather_while_another_wins)
        (two.report("circle") / "decision.json").unlink()
        with pytest.raises(RegistryError, match="champion of circle is version 1 now, and was version 2"):
            register(two, "circle", entry)
        assert champion(two, "circle") == 1
        assert not (two.report("circle") / "decision.json").exists()

    def test_when_the_version_does_not_come_back_as_it_was(self, two: Workspace, entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
        add, other = Registry.add, from_worst_to_best(Dataset.open(two.ready("circle")), entry)[1]

        def add_another(self: Registry, name: str, run_id: str, folder: Path, *rest: Any) -> Any:
            other.save(two.root / "wrong" / "generator")
            return add(self, name, run_id, two.root / "wrong" / "generator", *rest)

        monkeypatch.setattr(Registry, "add", add_another)
        with pytest.raises(RegistryError, match="circle version 3, loaded back, draws other samples"):
            register(two, "circle", entry)
        assert champion(two, "circle") == 2

    def test_asked_over_http_too(self, workspace: Workspace, generators: list[Generator], monkeypatch: pytest.MonkeyPatch) -> None:
        answers = []
        predict = served_back.ModelServer.predict

        def heard(self: served_back.ModelServer, *request: Any) -> Any:
            answers.append(predict(self, *request))
            return answers[-1]

        monkeypatch.setattr(served_back.ModelServer, "predict", heard)
        entry = an_entry("circle", served=True)
        trained(workspace, "circle", generators[0], entry)
        register(workspace, "circle", entry)
        assert champion(workspace, "circle") == 1
        assert [len(column) for column in answers[0].values()] == [16, 16]

    def test_what_is_served_otherwise_does_not_become_champion(self, two: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(served_back.ModelServer, "__init__", _serving("models:/circle/1"))
        with pytest.raises(RegistryError, match="circle version 3, served, draws other samples"):
            register(two, "circle", an_entry("circle", served=True))
        assert champion(two, "circle") == 2

    def test_a_server_that_does_not_start(self, two: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(served_back.ModelServer, "__init__", _serving("models:/circle/99"))
        with pytest.raises(RegistryError, match=r"models:/circle/99: `mlflow models serve` ended \(exit \d+\): .*99"):
            register(two, "circle", an_entry("circle", served=True))
        assert champion(two, "circle") == 2


def _serving(uri: str) -> Callable[..., None]:
    """A server's start, with another version than the one that is asked for."""
    start = served_back.ModelServer.__init__
    return lambda self, address, _: start(self, address, uri)


class TestBadInput:
    @pytest.mark.parametrize(
        ("path", "content", "message"),
        [
            ("models/circle/run.json", None, r"run\.json: cannot be read \(No such file or directory\); run the train stage first"),
            ("models/circle/run.json", "{", r"run\.json: damaged"),
            ("models/circle/run.json", "{}", r"run\.json: holds no run_id"),
            ("reports/circle/metrics.json", None, r"metrics\.json: cannot be read .*; run the evaluate stage first"),
            ("reports/circle/metrics.json", "[1]", r"metrics\.json: damaged"),
            ("reports/circle/metrics.json", '{"radius_error": "low"}', r"metrics\.json: radius_error is no number"),
            (
                "reports/circle/evaluation.json",
                "{}",
                r"evaluation\.json: generator_sha256 is None, and here it is [0-9a-f]{64}; run the evaluate stage again",
            ),
            ("models/circle/generator/config.json", None, r"config\.json: cannot be read"),
            ("data/circle/ready/dataset.json", None, r"dataset\.json: not there; run the validate stage first"),
        ],
    )
    def test_a_file_that_is_missing_or_wrong_is_named(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], path: str, content: str | None, message: str
    ) -> None:
        trained(workspace, "circle", generators[0], entry)
        if content is None:
            (workspace.root / path).unlink()
        else:
            (workspace.root / path).write_text(content)
        with pytest.raises(DataError, match=message):
            register(workspace, "circle", entry)
        assert Registry.open(workspace).names() == []
        assert not (workspace.report("circle") / "decision.json").exists()

    def test_a_registry_out_of_reach(
        self, workspace: Workspace, entry: Entry, generators: list[Generator], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trained(workspace, "circle", generators[0], entry)
        (workspace.root / "params.yaml").write_text(
            "generators:\n  circle:\n    data: {source: 'points://circle'}\n    validate: {}\n"
            "    train: {recipe: gan, images: 640}\n    evaluate: {}\n    register: {}\n"
        )
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            done = called_stage(register, workspace, "circle", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert done.returncode == RegistryError.exit_code
        assert done.stderr.startswith("error: http://127.0.0.1:")
        assert "does not answer" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (workspace.report("circle") / "decision.json").exists()
