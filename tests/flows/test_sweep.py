"""Sweeps: real trials, killed and taken up again; and, with scripted scores, what Optuna's study makes of them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import toy_workspace as toy
from command_line import called, run, start
from five_stages import reproduced

from flows import sweep as module
from flows.sweep import Sweep, sweep
from gan_core.errors import ConfigError, GantryError, TrainingError
from tasks import params
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.scaffold import init_workspace
from tasks.trials.trial_step import Score, Step
from tasks.workspace import Workspace

NAME = "circle"
SAVED = ".gantry/unfinished/*/*/*/checkpoints/*/state.json"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the circle's data is ready, and a training takes seconds."""
    workspace = init_workspace(tmp_path_factory.mktemp("sweep") / "w")
    path = workspace.root / "params.yaml"
    path.write_text(path.read_text().replace("images: 2_000_000", "images: 24_000  # a little\n      checkpoint_every: 2_560"))
    reproduced(workspace, NAME, "validate")
    return workspace


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def runs(workspace: Workspace) -> list[Any]:
    return tracking.runs(tracking.client(workspace), NAME)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_killed_sweep_goes_on_and_its_best_is_written_down(ready: Workspace) -> None:
    arguments = ("sweep", NAME, "train.batch=256,512", "--trials", "2")
    going = start(ready, *arguments)  # with pauses, so that there is time to kill it
    states = ready.sweeps(NAME)
    deadline = time.monotonic() + 150
    while not [
        trial for trial in states.glob("*/trials/*") if '"batch": 512' in text_of(trial / "params.yaml") and list(trial.glob(SAVED))
    ]:
        assert time.monotonic() < deadline
        assert going.poll() is None, going.communicate()
        time.sleep(0.1)
    going.kill()
    out, _ = going.communicate(timeout=60)
    assert "trial 1 of circle: train.batch=256\n" in out, "the present settings come first"
    assert "trial 2 of circle: train.batch=512\n" in out
    toy.assert_nothing_left(ready.root)
    before = (ready.root / "params.yaml").read_text()

    again = run(ready, *arguments, "--no-prune", "--apply")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "trial 2 of circle: train.batch=512\n" in again.stdout
    assert "trial 1 of" not in again.stdout
    assert "note: resumed at " in again.stderr
    parent, *children = sorted(runs(ready), key=lambda one: tracking.PARENT_TAG in one.data.tags)
    assert len(children) == 2, "the killed trial went on with its own run"
    assert {child.data.tags[tracking.PARENT_TAG] for child in children} == {parent.info.run_id}
    assert {child.data.tags["mlflow.runName"] for child in children} == {"trial 1", "trial 2"}
    assert {one.info.status for one in (parent, *children)} == {"FINISHED"}
    scores = {child.data.params["train.batch"]: child.data.metrics["radius_error"] for child in children}
    best = min(scores, key=lambda batch: scores[batch])
    assert parent.data.tags["best"] == f"train.batch={best}"
    assert parent.data.metrics["radius_error"] == scores[best]
    assert f"with train.batch={best}; " in again.stdout
    assert (ready.root / "params.yaml").read_text() == before.replace("batch: 256", f"batch: {best}")
    assert params.load_entry(ready.root, NAME).train.batch == int(best)
    assert Registry.open(ready).versions(NAME) == [], "the gate decides, not the sweep"
    assert not list(states.glob("*/trials/*"))
    (ready.root / "params.yaml").write_text(before)

    third = called(ready, *arguments, "--json")
    assert [trial["ended"] for trial in json.loads(third.stdout)["trials"]] == ["done", "done"], third.stderr
    assert "trial 1 of" not in third.stderr


@pytest.fixture
def scripted(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a sweep whose trials come out as a function says: `scores(values, share)`, None for a lost trial."""
    shutil.rmtree(ready.sweeps(NAME), ignore_errors=True)
    seen: list[tuple[dict[str, Any], float | None]] = []

    def go(scores: Any, *words: str, trials: int, metric: str = "radius_error", **options: Any) -> tuple[Sweep, list[Any]]:
        def score(self: Any, there: Workspace, step: Step) -> Score:
            values = json.loads((there.root / "params.yaml").read_text())["generators"][NAME]["train"]
            share = None if step.until is None else step.until / values["images"]
            seen.append((values, share))
            found = scores(values, share)
            if found is None:
                raise TrainingError("lost")
            return Score(metric, found, "run")

        monkeypatch.setattr(module._Going, "_score", score)
        monkeypatch.chdir(ready.root)
        return sweep(ready, NAME, words, trials, say=lambda line: None, **options), seen

    return go


def rate(values: dict[str, Any]) -> float:
    return float(values["optimizer"]["learning_rate"])


def test_what_falls_behind_is_ended_early_and_what_is_lost_is_passed_over(scripted: Any) -> None:
    words = ("train.optimizer.learning_rate=1e-4..1e-2", "train.loss=hinge,non-saturating")
    found, seen = scripted(lambda values, share: None if rate(values) < 3e-4 else rate(values), *words, trials=14)
    assert {trial.ended for trial in found.trials} == {"done", "ended early", "lost"}
    assert len(found.trials) == 14
    assert found.trials[0].values == found.present == {"train.optimizer.learning_rate": 0.005, "train.loss": "non-saturating"}
    done = [trial for trial in found.trials if trial.ended == "done"]
    assert len(done) >= 4, "none is ended before there is something to compare with"
    assert found.best == min(done, key=lambda trial: trial.value)
    for trial in found.trials:
        shares = [share for values, share in seen if rate(values) == trial.values["train.optimizer.learning_rate"]]
        if trial.ended == "done":
            assert shares == [0.25, 0.5, None]
        elif trial.ended == "ended early":
            assert None not in shares
            assert trial.value > found.best.value
    assert len({tuple(trial.values.values()) for trial in found.trials}) == 14, "none is tried twice"
    before = len(seen)
    whole, _ = scripted(lambda values, share: rate(values), *words, trials=15, prune=False)
    assert [share for _, share in seen[before:]] == [None], "a trial that is not ended early needs no pause"
    assert len(whole.trials) == 15
    assert whole.trials[14].ended == "done"


def test_more_is_better_where_the_metric_says_so_and_a_grid_ends_when_all_was_tried(scripted: Any) -> None:
    found, _ = scripted(lambda values, share: values["batch"] / 100, "train.batch=32,64,256", trials=9, metric="high_quality")
    assert sorted(trial.values["train.batch"] for trial in found.trials) == [32, 64, 256]
    assert found.best.values == {"train.batch": 256}
    assert found.best.value == 2.56


def test_a_failure_that_is_no_trials_fault_stops_the_sweep_and_the_trial_comes_again(scripted: Any) -> None:
    def broken(values: dict[str, Any], share: float | None) -> float:
        if values["batch"] == 64:
            raise GantryError("the disk is full")
        return 1.0

    with pytest.raises(GantryError, match="disk is full"):
        scripted(broken, "train.batch=64,256", trials=2)
    found, _ = scripted(lambda values, share: 2.0, "train.batch=64,256", trials=2)
    assert [trial.values["train.batch"] for trial in found.trials] == [256, 64]
    assert [trial.value for trial in found.trials] == [1.0, 2.0]


def test_what_cannot_be_swept_is_said_before_anything_runs(ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ready.root)
    with pytest.raises(ConfigError, match=r"digits: its data is not ready \(never run before\); `gantry run digits` first"):
        sweep(ready, "digits", ["train.batch=32,64"], 2)
    with pytest.raises(ConfigError, match="did you mean circle"):
        sweep(ready, "cirle", ["train.batch=32,64"], 2)
    with pytest.raises(ConfigError, match=r"train\.batch=0"):
        sweep(ready, NAME, ["train.batch=0,64"], 2)
    assert not list(ready.sweeps("digits").glob("*"))
