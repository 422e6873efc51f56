"""A step of a sweep's trial: `python -m tasks.trials.trial NAME`, in a workspace of its own, trains on and scores what that has come to.

Training and scoring are those of the train and evaluate stages. On the way, the averaged generator of the moment is scored as the whole
will be at its end; what was trained is kept, and the next step goes on from there, to the same weights as without a pause.
"""

from __future__ import annotations

import json
import math

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, TrainingError
from gan_core.training import averaged
from tasks.evaluate import evaluate, kept_or_fitted
from tasks.judging import gather, scores_of, undecided
from tasks.params import Entry
from tasks.promotion import gate
from tasks.records import tracking
from tasks.records.stage_files import run_of
from tasks.stage_main import stage_main
from tasks.train import train
from tasks.trials.trial_step import Score, Step
from tasks.workspace import Workspace


def trial(workspace: Workspace, name: str, entry: Entry) -> None:
    """Go on with the trial in `workspace` as its step.json asks, and write down its score.

    Raises:
        LostRunError: it has collapsed or diverged. TrainingError: its score is not finite.
        DataError, RegistryError, ConfigError: as the train and evaluate stages.
    """
    step, model = Step.read(workspace), workspace.model(name)
    # Only a training in one process pauses; a sweep's trials run side by side instead.
    entry = entry.model_copy(update={"train": entry.train.model_copy(update={"processes": 1})})
    done = (model / "run.json").exists()  # killed between the two, it is trained already
    state = None if done else train(workspace, name, entry, until=step.until)
    dataset = Dataset.open(workspace.ready(name))
    generator = None if state is None else averaged(entry.train, dataset, state)
    if generator is None:
        evaluate(workspace, name, entry)
        scores, evaluation = (json.loads((workspace.report(name) / file).read_text()) for file in ("metrics.json", "evaluation.json"))
        unsure = evaluation["undecided"]
    else:
        extractor = kept_or_fitted(workspace.features(name), name, dataset, entry.evaluation)
        evidence = gather(generator, dataset, extractor, entry.evaluation)
        scores = scores_of(evidence)
        unsure = undecided(evidence, scores)
    metric = gate.deciding_metric(scores, entry.registration, dataset.spec.kind, unsure)
    if metric not in scores:
        raise ConfigError(f"generators.{name}.register.improve: {metric} is not measured here; there are {', '.join(scores)}")
    value = float(scores[metric])
    run_id = run_of(state or model)
    with tracking.run(workspace, name, run_id) as run:
        run.set_tags({"mlflow.runName": step.title})
        if generator is not None:
            run.log_metrics({f"paused.{metric}": value}, step=generator.config.images)
    if not math.isfinite(value):
        raise TrainingError(f"{step.title}: {metric} is {value}, not a finite number")
    Score(metric, value, run_id).write(workspace, step)
    if generator is not None:  # the score at the end is said by evaluate, and by the sweep
        print(f"trial {name}: {metric} {value:.4g} after {generator.config.images:,} {generator.config.data.unit}", flush=True)


if __name__ == "__main__":
    stage_main(trial)
