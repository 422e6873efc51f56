"""`gantry sweep`: an entry trained with other parameters, many times over, to find better ones. It registers nothing.

Each trial trains and is scored as the entry's stages do it, on the same data with the same features, in a workspace of its own below
`.gantry/sweeps`. Optuna proposes the parameters and ends trials that do worse at a quarter or a half of their training than most before
them did there; its study lies in that folder too, so a sweep that was stopped or killed goes on. The best is written to params.yaml on
request; the next `gantry run` trains it as a challenger like any other, and the gate decides.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_core.errors import ConfigError, GantryError, TrainingError
from tasks.graph import repro
from tasks.metrics import BETTER, LOWER
from tasks.params import Entry, load_entry
from tasks.preflight import check_features, check_registry
from tasks.records import tracking
from tasks.start import images_of, pinned_now
from tasks.system import locks
from tasks.trials import aside, search_space
from tasks.trials.search_space import Range, Scalar, Space, in_words
from tasks.trials.trial_step import Score, Step
from tasks.workspace import Workspace

if TYPE_CHECKING:
    import optuna

_PAUSES = (0.25, 0.5)
"""Shares of its images after which a trial is looked at."""
_FIRST = 4
"""Trials that go to their end before any is ended early."""


@dataclass(frozen=True)
class Trial:
    """One set of parameters, and what came of it."""

    values: Mapping[str, Scalar]
    ended: Literal["done", "ended early", "lost"]
    metric: str | None
    value: float | None
    """Of a trial that was ended early, the last that was measured."""
    run_id: str | None


@dataclass(frozen=True)
class Sweep:
    """All trials so far."""

    name: str
    trials: tuple[Trial, ...]
    best: Trial | None
    """Of those that went to their end."""
    present: Mapping[str, Scalar] | None
    """What the entry has now, where the space holds it."""


def sweep(
    workspace: Workspace,
    name: str,
    words: Sequence[str],
    trials: int,
    *,
    seed: int = 0,
    prune: bool = True,
    say: Callable[[str], None] = print,
    output: int | None = None,
) -> Sweep:
    """Try parameters of an entry until there are `trials` of them, counting those of the same sweep that was begun before.

    Args:
        words: what to vary (`tasks.trials.search_space.parse`).
        seed: of the proposals.
        prune: end trials early that do worse than the median of those before.
        say: takes a line before each trial and after it.
        output: file descriptor for what the trainings say; None: as this process.

    Raises:
        ConfigError: a word or a combination is wrong, or the entry's data is not ready.
        RegistryError: the tracking server cannot be reached.
        GantryError: somebody sweeps this entry already, or a trial failed for other reasons than its parameters.
    """
    entry, space = load_entry(workspace.root, name), search_space.parse(words)
    search_space.check(name, entry, space)
    repro.prepare(workspace)
    check_registry(workspace)
    check_features(workspace, name, entry)
    with locks.sweeping(workspace, name):
        folder = _prepared(workspace, name, entry, space, say)
        study = _study(folder, prune)
        with tracking.run(workspace, name, study.user_attrs.get("run_id")) as run:
            study.set_user_attr("run_id", run.id)
            run.set_tags({"mlflow.runName": f"sweep of {name}", "sweep": " ".join(words)})
            going = _Going(workspace, name, entry, space, folder, study, _PAUSES if prune else (), run.id, say, output)
            going.take_up_again()
            while len(_ended(study)) < trials and going.propose(seed):
                going.go()
            found = Sweep(name, tuple(map(_told, _ended(study))), _best(study), search_space.present(entry, space))
            if found.best is not None and found.best.metric is not None and found.best.value is not None:
                run.log_metrics({found.best.metric: found.best.value}, step=0)
                run.set_tags({"best": in_words(found.best.values), "best_run": found.best.run_id or ""})
    return found


def _prepared(workspace: Workspace, name: str, entry: Entry, space: Space, say: Callable[[str], None]) -> Path:
    """The sweep's folder, named by all that its trials share, with the entry's data in it.

    The data's files are linked, not copied; the stages replace theirs and never write into them, so the sweep keeps its own.
    """
    from gan_core.data.dataset import Dataset

    status = repro.look(workspace, "validate", name)
    if status.changed:
        raise ConfigError(f"{name}: its data is not ready ({status.reason}); `gantry run {name}` first")
    digest = Dataset.open(workspace.ready(name)).spec.digest
    start = pinned_now(workspace, name, entry.train, say)
    depends = [search_space.params_of(entry), {key: repr(one) for key, one in space.items()}, digest]
    depends += [] if start is None else [start.checkpoint.sha256]
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    folder = workspace.sweeps(name) / key
    shared = Workspace(folder)
    if not shared.ready(name).exists():
        shutil.rmtree(folder, ignore_errors=True)
        unfinished = shared.ready(name).with_name("ready.unfinished")
        shutil.copytree(workspace.ready(name), unfinished, copy_function=_linked)
        for kept in (Workspace.features, Workspace.start):
            if kept(workspace, name).exists():
                shutil.copytree(kept(workspace, name), kept(shared, name))
        unfinished.rename(shared.ready(name))
    return folder


def _study(folder: Path, prune: bool) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_FIRST) if prune else optuna.pruners.NopPruner()
    storage = f"sqlite:///{folder.resolve() / 'study.db'}"
    return optuna.create_study(storage=storage, study_name="sweep", load_if_exists=True, direction="minimize", pruner=pruner)


@dataclass(frozen=True)
class _Going:
    """A sweep under way."""

    workspace: Workspace
    name: str
    entry: Entry
    space: Space
    folder: Path
    study: optuna.Study
    pauses: tuple[float, ...]
    """Shares of its images after which a trial is scored on its way, and may be ended early."""
    run_id: str
    """The MLflow run that those of the trials stand below."""
    say: Callable[[str], None]
    output: int | None

    def take_up_again(self) -> None:
        """Put the trial that was under way at a stop or a kill first in line; its folder holds what was trained of it."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(states=[TrialState.RUNNING]):
            self.study.tell(trial.number, state=TrialState.FAIL)
            if len(trial.params) == len(self.space):
                self.study.enqueue_trial(trial.params)

    def propose(self, seed: int) -> bool:
        """See that Optuna has what to try next; False where every combination was tried."""
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        # Anew for each trial: a sweep that goes on would otherwise propose again what it began with.
        self.study.sampler = TPESampler(seed=_dice(seed, len(self.study.trials)).getrandbits(32))
        if self.study.get_trials(states=[TrialState.WAITING]):
            return True
        tried = [trial.params for trial in _ended(self.study)]
        first = search_space.present(self.entry, self.space)
        combinations = search_space.grid(self.space)
        if first is not None and first not in tried:
            self.study.enqueue_trial(dict(first))
        elif combinations is not None:
            left = [one for one in combinations if one not in tried]
            if left:
                self.study.enqueue_trial(_dice(seed, len(left)).choice(left))
            return bool(left)
        return True

    def go(self) -> None:
        """One trial, from Optuna's proposal to what came of it."""
        from optuna.trial import TrialState

        trial = self.study.ask({key: _distribution(one) for key, one in self.space.items()})
        values: dict[str, Scalar] = {key: trial.params[key] for key in self.space}
        title = f"trial {len(_ended(self.study)) + 1}"
        self.say(f"{title} of {self.name}: {in_words(values)}")
        there = self._workspace(values)
        images = images_of(there, self.name, self._entry(values).train)
        try:
            for number, share in enumerate((*self.pauses, None)):
                score = self._score(there, Step(title, None if share is None else math.ceil(share * images)))
                trial.set_user_attr("score", vars(score))
                loss = score.value if BETTER[score.metric] == LOWER else -score.value
                if share is None:
                    self.study.tell(trial, loss)
                    self.say(f"{title} of {self.name}: {score.metric} {score.value:.4g}")
                    break
                trial.report(loss, number)
                if trial.should_prune():
                    self.study.tell(trial, state=TrialState.PRUNED)
                    self.say(f"{title} of {self.name}: ended early, {score.metric} {score.value:.4g} at {share:.0%} is behind most")
                    break
        except TrainingError as error:
            trial.set_user_attr("lost", str(error))
            self.study.tell(trial, state=TrialState.FAIL)
            self.say(f"{title} of {self.name}: lost")
        shutil.rmtree(there.root)

    def _entry(self, values: Mapping[str, Scalar]) -> Entry:
        return search_space.overridden(self.name, self.entry, values)

    def _workspace(self, values: Mapping[str, Scalar]) -> Workspace:
        """The trial's own, which shares the sweep's data; found again by its values."""
        key = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
        root = self.folder / "trials" / key
        root.mkdir(parents=True, exist_ok=True)
        # Not by its absolute path, which in a copy of the workspace would lead into the original.
        (root / "data").unlink(missing_ok=True)
        (root / "data").symlink_to(Path("..", "..", "data"))
        aside.write_params(Workspace(root), self.name, search_space.params_of(self._entry(values)))
        return Workspace(root)

    def _score(self, there: Workspace, step: Step) -> Score:
        """Go on with a trial as far as the step says, unless that was done before.

        Raises:
            TrainingError: the trial is lost.
        """
        score = Score.read(there, step)
        if score is None:
            step.write(there)
            self._run(there)
            score = Score.read(there, step)
        if score is None:
            raise GantryError(f"{there.root}: the step ended and left no {step.score_file}")
        return score

    def _run(self, there: Workspace) -> None:
        """The step in a process of its own, whose MLflow run stands below the sweep's."""
        changes = {"MLFLOW_TRACKING_URI": tracking.address(self.workspace), tracking.PARENT_RUN: self.run_id}
        code = aside.run("tasks.trials.trial", self.name, there, changes, self.entry.train.device, self.say, self.output)
        if code == TrainingError.exit_code:
            raise TrainingError("its training was lost; the lines above say why")
        if code:
            failed = GantryError(f"a trial of {self.name} ended with exit code {code}; when that is mended, the same command goes on")
            failed.exit_code = code if 0 < code <= 5 else 1
            raise failed


def _dice(seed: int, number: int) -> random.Random:
    """The same dice for the same two numbers."""
    return random.Random(f"{seed} {number}")  # noqa: S311


def _linked(source: str, target: str) -> None:
    """A second name for a file, or a copy of one on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _distribution(one: Any) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(one, Range):
        return CategoricalDistribution(one.values)
    return (IntDistribution if one.is_whole else FloatDistribution)(one.low, one.high, log=one.log)  # type: ignore[arg-type]


def _ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that something came of, be it nothing good; not those that were interrupted."""
    from optuna.trial import TrialState

    return [trial for trial in study.trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or "lost" in trial.user_attrs]


def _best(study: optuna.Study) -> Trial | None:
    from optuna.trial import TrialState

    done = study.get_trials(states=[TrialState.COMPLETE])
    return _told(min(done, key=lambda trial: (trial.value, trial.number))) if done else None


def _told(trial: optuna.trial.FrozenTrial) -> Trial:
    from optuna.trial import TrialState

    score = trial.user_attrs.get("score") or {"metric": None, "value": None, "run_id": None}
    ended: Literal["done", "ended early", "lost"] = (
        "lost" if "lost" in trial.user_attrs else "done" if trial.state == TrialState.COMPLETE else "ended early"
    )
    return Trial(trial.params, ended, score["metric"], score["value"], score["run_id"])
