"""The register stage: `python -P -m tasks.register NAME` makes models/NAME a version and decides whether it becomes the champion.

The challenger's scores are those of the evaluate stage. The present champion is loaded from the registry and scored again, on the
same held-out data, with the same seeds and the same frozen features; both are resampled together (`tasks.promotion.comparison`), and
the gate decides (`tasks.promotion.gate`). Before the alias moves, the new version is loaded back from the registry in a fresh process and
must draw known samples bit for bit; and the champion must still be the one that was scored. Run again for the same training, the stage
finds its version and makes no second one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError, RegistryError, TrainingError
from gan_core.files import write_whole
from gan_core.generator import Generator, GeneratorConfig
from gan_core.params.common import Kind
from tasks import cron, kinds
from tasks.beside_real import BesideReal
from tasks.params import Entry, EvaluateParams
from tasks.promotion import gate, loaded_back, served_back
from tasks.promotion.comparison import Comparison
from tasks.promotion.contest import Side, contest
from tasks.promotion.decision import LastDecision
from tasks.promotion.gate import Decision, Measured, Record
from tasks.promotion.loaded_back import FreshProcess
from tasks.records import lineage, logged, tracking
from tasks.records.history import measured, remember
from tasks.records.registry import RECORD_TAG, STATUS_TAG, Registry, Version, metric_tags
from tasks.records.stage_files import of_stage
from tasks.report.publish import publish
from tasks.stage_main import stage_main
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from gan_core.metrics.features import FeatureExtractor
    from tasks.scoring.scoring import Evidence

_KNOWN_SAMPLES = 16


def register(workspace: Workspace, name: str, entry: Entry) -> None:
    """Register the generator in models/NAME, decide, and write reports/NAME/decision.json.

    Raises:
        DataError: a file of the stages before is missing, damaged, or does not belong to this generator.
        RegistryError: the registry cannot be reached, its champion moved meanwhile, or the version does not come back as it was.
    """
    with loaded_back.FreshProcess() as fresh:
        _register(workspace, name, entry, fresh)


def _register(workspace: Workspace, name: str, entry: Entry, fresh: FreshProcess) -> None:
    registry = Registry.open(workspace)
    challenger = _challenger(workspace, name, entry)
    version = registry.find(name, challenger.training_run, challenger.generator.config.sha256)
    print(f"register {name}: {'a new version' if version is None else f'version {version.number}'}", flush=True)
    with tracking.run(workspace, name, version.run_id if version else challenger.training_run) as run:
        config, processes = challenger.generator.config, challenger.training.get("processes", 1)
        params = entry.train.model_copy(update={"seed": config.seed, "processes": processes})
        logged.level(run, workspace, name, entry, params, challenger.dataset.spec, config.images)
        if version is None:
            version = _add(registry, run.id, entry, challenger)
        record = _settled(registry, version) or _decide(registry, version, entry, challenger, fresh)
        path = _write(record, workspace.report(name) / "decision.json")
        LastDecision.keep(workspace, name)
        for file in (path, *publish(workspace, name, entry, registry, version, record)):
            run.log_artifact(file)
        run.set_tags({"decision": record["outcome"], "version": str(version.number)})
        scores = record["metrics"]["champion"] or {}
        run.log_metrics({f"champion.{key}": value for key, value in scores.items()}, step=challenger.generator.config.images)
    print(_said(name, record))
    if record["comparison"] and record.get("looks") and entry.registration.looks == 1:
        print(
            f"register {name}: the schedule has it decide {record['looks']['a_year']:,} times a year; where nothing gets better, "
            f"{record['looks']['false_moves_a_year']:g} of them move the champion by chance; register.looks has them share the risk"
        )


@dataclass(frozen=True)
class _Challenger:
    """What the stages before have left for this one."""

    workspace: Workspace
    name: str
    generator: Generator
    dataset: Dataset
    training: Mapping[str, Any]
    """What the train stage left in run.json."""
    scores: Mapping[str, float]
    evaluation: Mapping[str, Any]
    """How they were measured."""

    @property
    def training_run(self) -> str:
        """Id of the MLflow run that the train stage opened."""
        return str(self.training["run_id"])

    @property
    def measured(self) -> Measured:
        return Measured.of(self.scores, self.evaluation)

    @property
    def kind(self) -> Kind:
        return self.dataset.spec.kind

    def beside_real(self, metric: str) -> BesideReal | None:
        """A score beside what real samples get."""
        value = self.scores.get(metric, math.nan)
        return BesideReal.of(metric, value if math.isfinite(value) else None, self.evaluation.get("real_against_real") or {})


def _challenger(workspace: Workspace, name: str, entry: Entry) -> _Challenger:
    model, report = workspace.model(name), workspace.report(name)
    generator = Generator.load(model / "generator")
    dataset = Dataset.open(workspace.ready(name))
    training = of_stage(model / "run.json", "train", "run_id")
    scores = of_stage(report / "metrics.json", "evaluate")
    evaluation = of_stage(report / "evaluation.json", "evaluate")
    for key, value in scores.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{report / 'metrics.json'}: {key} is no number; run the evaluate stage again")
    here = {"generator_sha256": generator.config.sha256, "dataset_digest": dataset.spec.digest, "seed": entry.evaluation.seed}
    for key, value in here.items():
        if evaluation.get(key) != value:
            raise DataError(
                f"{report / 'evaluation.json'}: {key} is {evaluation.get(key)}, and here it is {value}; run the evaluate stage again"
            )
    return _Challenger(workspace, name, generator, dataset, training, scores, evaluation)


def _add(registry: Registry, run_id: str, entry: Entry, challenger: _Challenger) -> Version:
    config = challenger.generator.config
    metric = gate.deciding_metric(challenger.scores, entry.registration, challenger.kind, challenger.measured.undecided)
    deciding = {key: value for key, value in challenger.scores.items() if key == metric}
    # MLflow's page shows them in this order: how it was decided, by which score, and last what only programs read.
    tags = {
        "decision": "none yet",
        **metric_tags({**deciding, **challenger.scores}),
        "training_run": challenger.training_run,
        "generator_sha256": config.sha256,
        "dataset_digest": challenger.dataset.spec.digest,
        **lineage.tags(challenger.workspace, challenger.name, entry, challenger.training, challenger.evaluation),
    }
    folder = challenger.workspace.model(challenger.name) / "generator"
    return registry.add(challenger.name, run_id, folder, tags, _described(config))


def _settled(registry: Registry, version: Version) -> dict[str, Any] | None:
    """The record of a version that is the champion already; None where there is still something to decide."""
    champion = registry.champion(version.name)
    if champion is None or champion.number != version.number:
        return None
    try:
        record: dict[str, Any] = json.loads(champion.tags[RECORD_TAG])
        if record["outcome"] in gate.PROMOTING:
            return record
    except (KeyError, ValueError, TypeError):
        pass
    how = registry.history(version.name)[-1].how
    return _record(version, _Judged(Decision("promoted", (f"version {version.number} is the champion already ({how})",))), None, None)


def _decide(registry: Registry, version: Version, entry: Entry, challenger: _Challenger, fresh: FreshProcess) -> dict[str, Any]:
    """Judge the challenger and move the aliases accordingly."""
    champion = registry.champion(version.name)
    verdict = _judge(registry, version, champion, entry, challenger)
    metric = gate.deciding_metric(challenger.scores, entry.registration, challenger.kind, challenger.measured.undecided)
    decision = verdict.decision
    record = {**_record(version, verdict, champion, challenger, challenger.beside_real(metric)), "looks": _looks(entry)}
    if champion is not None and verdict.champion is not None:
        remember(registry, champion, verdict.champion)
        _score_formers_again(registry, champion, verdict.champion.conditions, entry, challenger)
    registry.set_tags(version, {"decision": decision.outcome, RECORD_TAG: json.dumps(record)})
    registry.describe(version, f"{_said(version.name, record)}\n\n{_described(challenger.generator.config)}")
    if decision.promotes:
        _check_comes_back(registry, version, challenger.generator, fresh, entry.registration.served)
        registry.move_champion(version, None if champion is None else champion.number, decision.outcome)
    else:
        registry.set_challenger(version)
        registry.set_tags(version, {STATUS_TAG: "rejected"})
    return record


@dataclass(frozen=True)
class _Judged:
    """A decision, and what was measured for it."""

    decision: Decision
    champion: Measured | None = None
    """Where the champion was scored."""
    comparison: Comparison | None = None
    fresh: Mapping[str, Any] | None = None
    """The new champion's score from other latents."""


def _judge(registry: Registry, version: Version, champion: Version | None, entry: Entry, challenger: _Challenger) -> _Judged:
    if version.was_rolled_back:
        return _vetoed(f"version {version.number} was rolled back; `gantry promote {version.name} {version.number}` takes it all the same")
    if champion is None:
        history = registry.history(version.name)
        if history:
            return _vetoed(_without_champion(version.name, history[-1].version))
        # A registry that knows of the rejection has it judged again, such as by another rule.
        before = None if RECORD_TAG in version.tags else LastDecision.kept(challenger.workspace, version.name)
        if before is not None and before.generator == challenger.generator.config.sha256 and not before.promotes:
            return _vetoed(_rejected_before(version, before))
        return _Judged(gate.decide(Record(challenger.measured), entry.registration, challenger.kind))
    named = f"the champion, version {champion.number},"
    try:
        generator = registry.load(champion)
    except DataError as error:
        return _vetoed(f"{named} cannot be loaded: {error}")
    obstacle = incomparable(generator.config, challenger.dataset)
    if obstacle:
        return _vetoed(f"{named} {obstacle}; `gantry promote {version.name} VERSION` decides by hand")
    print(f"scoring the champion, version {champion.number}, on the same held-out data", flush=True)
    try:
        return _contest(generator, challenger, entry)
    except TrainingError as error:
        return _vetoed(f"{named} cannot be scored: {error}")


def _vetoed(reason: str) -> _Judged:
    return _Judged(gate.veto(reason))


def _contest(champion: Generator, challenger: _Challenger, entry: Entry) -> _Judged:
    """Score the champion as the challenger was scored, compare the two, and decide."""
    from tasks.judging import gather, scores_of

    rule, params, extractor = entry.registration, entry.evaluation, _extractor(challenger, entry)
    evidence = gather(champion, challenger.dataset, extractor, params)
    old = Measured(scores_of(evidence), _conditions(evidence, challenger.dataset, extractor, params))
    mine = challenger.measured
    metric = gate.deciding_metric(mine.scores, rule, challenger.kind, mine.undecided)
    if metric not in mine.scores or metric not in old.scores or old.conditions != mine.conditions:
        return _Judged(gate.decide(Record(mine, old), rule, challenger.kind), old)
    rival = gather(challenger.generator, challenger.dataset, extractor, params)
    found = contest(Side(rival, mine), Side(evidence, old), rule, challenger.kind, params.seed)
    fresh = scored_afresh(challenger.generator, challenger.dataset, extractor, params, metric) if found.decision.promotes else None
    return _Judged(found.decision, old, found.comparisons[0], fresh)


def _score_formers_again(
    registry: Registry, champion: Version, conditions: Mapping[str, Any], entry: Entry, challenger: _Challenger
) -> None:
    """Score the former champions that were last scored by other features, so that the history stays comparable."""
    from tasks.judging import gather, scores_of

    there = set(registry.versions(champion.name)) - {champion.number}
    formers = [
        registry.version(champion.name, number) for number in sorted({reign.version for reign in registry.history(champion.name)} & there)
    ]
    outdated = [version for version in formers if measured(version)[-1].conditions.get("extractor") != conditions["extractor"]]
    extractor = _extractor(challenger, entry) if outdated else None
    for version in outdated:
        try:
            generator = registry.load(version)
            obstacle = incomparable(generator.config, challenger.dataset)
            if obstacle is None:
                print(f"scoring a former champion, version {version.number}, by the new features", flush=True)
                evidence = gather(generator, challenger.dataset, extractor, entry.evaluation)
                remember(registry, version, Measured(scores_of(evidence), conditions))
        except (DataError, TrainingError) as error:
            obstacle = str(error)
        if obstacle is not None:
            print(f"a former champion, version {version.number}, has no score by the new features: {obstacle}", flush=True)


def scored_afresh(
    generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams, metric: str
) -> dict[str, Any] | None:
    """A new champion's score from latents that had no part in its choice: what it was chosen by is better by chance too.

    `score` is beside the same held-out samples; `elsewhere` beside those that `data.selection` keeps, which the gate does not look at
    otherwise, None where there are none. None in all for a generator that draws from no latents.
    """
    from gan_core.randomness import mix
    from tasks.judging import gather

    if not generator.config.latent:
        return None
    again = params.model_copy(update={"seed": mix(params.seed, 1) % 2**31})
    parts = {"score": dataset, **({"elsewhere": dataset.selecting} if "selection" in dataset.spec.counts else {})}
    scores = {key: gather(generator, part, extractor, again).score(metric) for key, part in parts.items()}
    other = f", beside the part for selection {scores['elsewhere']:.4g}" if "elsewhere" in scores else ""
    print(f"the new champion from other latents: {metric} {scores['score']:.4g}{other}", flush=True)
    return {"metric": metric, "seed": again.seed, "elsewhere": None, **scores}


def _looks(entry: Entry) -> dict[str, Any] | None:
    """How often the schedule has the gate decide in a year, and how many champions chance alone then makes; None without a schedule."""
    if entry.schedule is None:
        return None
    looks = cron.times_a_year(entry.schedule)
    return {"a_year": round(looks), "false_moves_a_year": float(f"{looks * (1 - entry.registration.confidence_of_one) / 2:.2g}")}


def _extractor(challenger: _Challenger, entry: Entry) -> FeatureExtractor | None:
    """The features that the challenger was scored with."""
    from gan_core.metrics.features import FeatureExtractor

    if kinds.of(challenger.kind).features(challenger.name, challenger.dataset.spec, entry.evaluation) is None:
        return None
    folder = challenger.workspace.features(challenger.name)
    extractor = FeatureExtractor.load(folder)
    if extractor.hash != challenger.measured.conditions["extractor"]:
        raise DataError(f"{folder}: not the features that the challenger was scored with; run the evaluate stage again")
    return extractor


def _conditions(evidence: Evidence, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, Any]:
    """How the champion was scored, to be held against how the challenger was."""
    counts = {"n_real": evidence.n_real, "n_generated": evidence.n_generated}
    features = None if extractor is None else {"hash": extractor.hash}
    return gate.conditions_of({**counts, "dataset_digest": dataset.spec.digest, "seed": params.seed, "extractor": features})


def _without_champion(name: str, last: int) -> str:
    return f"the last champion, version {last}, was deleted or lost its alias; `gantry promote {name} VERSION` names a new one"


def _rejected_before(version: Version, before: LastDecision) -> str:
    return (
        f"in a registry that is lost, or another one, it was version {before.version} and not taken ({before.outcome}); "
        f"`gantry promote {version.name} {version.number}` takes it all the same"
    )


def incomparable(generator: GeneratorConfig, dataset: Dataset) -> str | None:
    """Why a generator, such as the champion, cannot be scored on this data, as the end of a sentence; None where it can."""
    return generator.data.misfit(dataset.spec)


def _check_comes_back(registry: Registry, version: Version, generator: Generator, fresh: FreshProcess, served: bool) -> None:
    """See that the version draws what the generator at hand draws: loaded from the registry in a fresh process, and `served` over HTTP."""
    import pandas as pd

    from tasks.records.served_model import ServedGenerator, rows_that_ask

    rows, params = rows_that_ask(generator.config, _KNOWN_SAMPLES), {"n": _KNOWN_SAMPLES, "seed": 0}
    expected = loaded_back.columns_of(ServedGenerator.of(generator).predict(None, pd.DataFrame(rows), params))
    uri = f"models:/{version.name}/{version.number}"
    drawn = {"loaded back": fresh.predict(registry.address, uri, rows, params)}
    if served:
        with served_back.ModelServer(registry.address, uri) as server:
            drawn["served"] = server.predict(rows, params)
    for how, samples in drawn.items():
        if samples != expected:
            raise RegistryError(
                f"{registry.shown}: {version.name} version {version.number}, {how}, draws other samples than models/{version.name}; "
                "the champion was not touched"
            )


def _record(
    version: Version, verdict: _Judged, champion: Version | None, challenger: _Challenger | None, beside: BesideReal | None = None
) -> dict[str, Any]:
    """What decision.json holds (docs/gate.md describes it); first what follows from the inputs alone."""
    decision, comparison = verdict.decision, verdict.comparison
    return {
        "outcome": decision.outcome,
        "reasons": list(decision.reasons),
        "version": version.number,
        "former_champion": None if champion is None else champion.number,
        "beside_real": None if beside is None else beside.as_record(),
        "metrics": {
            "challenger": _finite(version.metrics if challenger is None else challenger.scores),
            "champion": None if verdict.champion is None else dict(verdict.champion.scores),
        },
        "comparison": None if comparison is None else comparison.as_record(),
        "noise_floor": None if comparison is None else {"metric": comparison.metric, "deviation": comparison.deviation},
        "fresh": None if verdict.fresh is None else dict(verdict.fresh),
        "evaluation": {} if challenger is None else dict(challenger.evaluation),
        "generator_sha256": version.tags.get("generator_sha256"),
        "run_id": version.run_id,
        "decided_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    """Scores as JSON can hold them."""
    return {key: value if math.isfinite(value) else None for key, value in scores.items()}


def _said(name: str, record: Mapping[str, Any]) -> str:
    """The decision in a line."""
    return f"register {name}: {LastDecision.of(record).in_words}"


def _described(config: GeneratorConfig) -> str:
    by = "" if config.condition is None else f" by {config.condition.in_short}"
    makes = f"{config.recipe} generator of {kinds.of(config.kind).makes}{by}"
    return f"{makes}, shape {config.shape}, {config.images:,} {config.data.unit} shown, seed {config.seed}."


def _write(record: Mapping[str, Any], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(record, indent=2) + "\n")
    return path


if __name__ == "__main__":
    stage_main(register)
