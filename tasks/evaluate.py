"""The evaluate stage: `python -P -m tasks.evaluate NAME` scores models/NAME on held-out data and writes reports/NAME.

Real samples are those of the held-out split, which neither the generator nor the feature extractor was fitted on: against training
samples, a generator that only repeats them would score best of all. How each kind of data is judged stands in `tasks/scoring/`.
Numbers are comparable only at equal counts, data and features, which evaluation.json names, and it holds beside them the distance
between real and real at these counts: what a perfect generator would get.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.device import choose_device
from gan_core.errors import DataError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.metrics.features import FeatureExtractor, extractor_of
from gan_core.metrics.fitting import Listener, heard
from gan_core.metrics.manifold import NEIGHBOURS
from tasks import kinds
from tasks.clips import encode_film
from tasks.judging import gather, scores_of, undecided
from tasks.params import Entry, EvaluateParams
from tasks.records import logged, tracking
from tasks.records.curves import Curves, read_curves
from tasks.records.stage_files import run_of
from tasks.scoring.scoring import Evidence, rounded
from tasks.stage_main import stage_main
from tasks.workspace import Workspace


def evaluate(workspace: Workspace, name: str, entry: Entry) -> None:
    """Score `name`'s generator, write reports/NAME, and log both to the MLflow run that trained it.

    The feature extractor in data/NAME/features is kept where it fits the data and `evaluate.features`; otherwise one is fitted.

    Raises:
        ConfigError: `evaluate.features` asks for something that the data has not.
        DataError: a file is missing or damaged, generator and data do not belong together, or there are too few held-out samples.
        TrainingError: the generator draws what cannot be scored.
        RegistryError: the tracking server does not answer.
    """
    dataset = Dataset.open(workspace.ready(name))
    generator = Generator.load(workspace.model(name) / "generator")
    _check(name, generator.config, dataset, entry.evaluation)
    curves = read_curves(workspace.model(name) / "metrics.jsonl")
    print(f"evaluate {name}: scoring the generator of {generator.config.images:,} {dataset.spec.unit}", flush=True)
    with tracking.run(workspace, name, run_of(workspace.model(name))) as run:
        extractor = kept_or_fitted(workspace.features(name), name, dataset, entry.evaluation)
        evidence = gather(generator, dataset, extractor, entry.evaluation)
        scores = scores_of(evidence)
        record = _record(evidence, generator, dataset, extractor, entry.evaluation)
        record["undecided"] = undecided(evidence, scores)
        report = workspace.report(name)
        scoring = kinds.of(dataset.spec.kind).scoring
        grids = dict(scoring.grids(generator, dataset, entry.evaluation.seed))
        heard = scoring.heard(generator, dataset, entry.evaluation.seed)
        films = scoring.films(generator, dataset, entry.evaluation.seed)
        read = scoring.read(generator, dataset, entry.evaluation.seed)
        copies = scoring.copies(generator, dataset, extractor, entry.evaluation)
        if copies is not None:
            found, grids["copies"] = copies
            scores, record = {**scores, "copies": rounded(found.share)}, {**record, "copies": found.as_record()}
        privacy = scoring.privacy(evidence, dataset, entry.evaluation)
        if privacy is not None:
            scores, record = {**scores, **privacy.scores()}, {**record, **privacy.as_record()}
        _write(report, scores, record, curves, grids, heard, films, read)
        tracking.Logbook(run).log(lambda run: logged.evaluated(run, report, generator.config.images))
    print(_said(name, scores, record))


def _check(name: str, config: GeneratorConfig, dataset: Dataset, params: EvaluateParams) -> None:
    """Refuse what cannot be scored before anything is fitted or drawn."""
    if reason := config.data.misfit(dataset.spec):
        raise DataError(f"the generator {reason}; train it again")
    kinds.check(name, dataset, params)


def kept_or_fitted(folder: Path, name: str, dataset: Dataset, params: EvaluateParams) -> FeatureExtractor | None:
    """The frozen extractor, or a fitted one where there is none that serves; None where the data needs none, and its folder says so."""
    kind = kinds.of(dataset.spec.kind)
    features = kind.features(name, dataset.spec, params)
    if features is None:
        _write_no_extractor(folder)
        return None
    scoring, wanted = kind.scoring, extractor_of(features)
    if folder.exists():
        try:
            kept = FeatureExtractor.load(folder)
        except DataError as error:
            reason = str(error)
        else:
            fits = isinstance(kept, wanted) and kept.fits(scoring.extractor_data(dataset).spec)
            if fits and kept.config.seed == params.features_seed:
                return kept
            described = f"a {kept.kind} network for {_described(kept.config.shape, kept.config.classes)}"
            reason = f"the kept one is {described}" + (f", of features_seed {kept.config.seed}" if fits else "")
        print(f"evaluate {name}: fitting the feature extractor again ({reason}); scores before and after cannot be compared", flush=True)
    started = time.monotonic()
    with heard(_telling(name)):
        fitted = scoring.fit(wanted, dataset, params.features_seed, choose_device("auto")).to("cpu").save(folder)
    accuracy = fitted.config.holdout_accuracy
    what = "pixels" if fitted.kind == "segmentation" else dataset.spec.unit
    right = "" if accuracy is None else f", {accuracy:.1%} of held-out {what} right"
    print(f"evaluate {name}: fitted a {fitted.kind} network for features{right}, {time.monotonic() - started:.1f} s", flush=True)
    return fitted


def _telling(name: str, first: float = 2.0, every: float = 10.0) -> Listener:
    """What says now and then, for fits that take longer than `first` seconds, how far one is."""
    started = told = time.monotonic()

    def tell(network: str, done: int, steps: int) -> None:
        nonlocal started, told
        now = time.monotonic()
        if done == 1:
            started = told = now
        elif now - told >= (first if told == started else every):
            told = now
            left = (now - started) / (done - 1) * (steps - done)
            print(f"evaluate {name}: fitting the {network} that judges, step {done:,} of {steps:,}, {left:,.0f} s left", flush=True)

    return tell


def _described(shape: tuple[int, ...], classes: tuple[str, ...] | None) -> str:
    size = "x".join(str(side) for side in shape)
    return f"{size} images" if classes is None else f"{size} images of {len(classes)} classes"


def _write_no_extractor(folder: Path) -> None:
    """The data needs no features, and the stage's output has to be there all the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():  # unlinked, never written through: DVC may have linked it into its cache
        path.unlink()
    (folder / "config.json").write_text(_json({"format": 1, "kind": "none"}))


def _record(
    evidence: Evidence, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
) -> dict[str, Any]:
    """How the scores were measured: what evaluation.json holds."""
    kind = kinds.of(dataset.spec.kind)
    floor = kind.scoring.real_against_real(dataset, extractor, params)
    record: dict[str, Any] = {
        **evidence.details(),
        **({"real_against_real": floor} if floor else {}),
        "dataset_digest": dataset.spec.digest,
        "generator_sha256": generator.config.sha256,
        "seed": params.seed,
        "n_real": evidence.n_real,
        "n_generated": evidence.n_generated,
        "extractor": None,
        **kind.measured_by(),
    }
    if extractor is None:
        return record
    config = extractor.config
    described = {"kind": config.kind, "seed": config.seed, "dataset_digest": config.dataset, "holdout_accuracy": config.holdout_accuracy}
    return {
        **record,
        "neighbours": NEIGHBOURS,
        "extractor": {"hash": extractor.hash, **described, "resizer": extractor.resizer},
    }


def _write(
    report: Path,
    scores: Mapping[str, float],
    record: Mapping[str, Any],
    curves: Curves,
    grids: Mapping[str, NDArray[np.uint8]],
    heard: Mapping[str, bytes],
    films: Mapping[str, NDArray[np.uint8]],
    read: Mapping[str, Sequence[str]],
) -> None:
    """Write everything beside its place first, so that what has its name is whole; metrics.json comes last."""
    temporary = report / ".evaluate.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "curves").mkdir(parents=True)
    for key, points in curves.items():  # for `dvc plots`
        rows = "".join(f"{images},{value!r}\n" for images, value in points)
        (temporary / "curves" / f"{key}.csv").write_text(f"images,{key}\n{rows}")
    for key, picture in grids.items():
        pictures.save_png(picture, temporary / "grids" / f"{key}.png")
    for key, sound in heard.items():
        (temporary / "grids" / f"{key}.wav").write_bytes(sound)
    for key, film in films.items():
        (temporary / "grids" / f"{key}.webp").write_bytes(encode_film(film, "webp", lossless=False))
    for key, lines in read.items():
        (temporary / "grids" / f"{key}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (temporary / "evaluation.json").write_text(_json(record))
    (temporary / "metrics.json").write_text(_json(scores))
    for name in ("curves", "grids", "evaluation.json", "metrics.json"):
        target = report / name
        if target.is_dir():
            shutil.rmtree(target)
        (temporary / name).replace(target)
    temporary.rmdir()


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _said(name: str, scores: Mapping[str, float], record: Mapping[str, Any]) -> str:
    """The scores in a line."""
    floor = record.get("real_against_real", {})
    parts = [f"{key} {value:.4g}" + (f" (real against real {floor[key]:.4g})" if key in floor else "") for key, value in scores.items()]
    if not record["n_real"]:
        return f"evaluate {name}: {', '.join(parts)} (n={record['n_generated']:,})"
    return f"evaluate {name}: {', '.join(parts)} (n={record['n_real']:,} real, {record['n_generated']:,} generated)"


if __name__ == "__main__":
    stage_main(evaluate)
