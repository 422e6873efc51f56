"""The evaluate stage: `python -m tasks.evaluate NAME` scores models/NAME on held-out data and writes reports/NAME.

Real samples are those of the held-out split, which neither the generator nor the feature extractor was fitted on: against training
images, a generator that only repeats them would score best of all. At most `evaluate.samples` of them are used, and ten times as many
generated ones (again at most `evaluate.samples`), so that what the scores owe to chance comes from the real side alone, which is the
same for every generator.

A small held-out split makes scores coarse, not wrong: the Frechet distance is then too high by an amount that depends on the counts
and on the data, equally for all generators. So numbers are comparable only at equal counts, data and features, which evaluation.json
names, and it holds beside them the distance between real and real (training against held-out images) at these counts: what a perfect
generator would get. The kernel distance has no such bias. Precision, recall, density and coverage compare equal numbers of both.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, DatasetSpec, Split
from gan_core.device import choose_device
from gan_core.errors import ConfigError, DataError, TrainingError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.metrics.features import ClassifierExtractor, FeatureExtractor, RandomConvExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.kernel import kernel_distance
from gan_core.metrics.manifold import NEIGHBOURS, manifold_scores
from gan_core.metrics.modes import label_accuracy, modes_found
from gan_core.metrics.points import SAMPLES as POINT_SAMPLES
from gan_core.metrics.points import point_scores
from gan_core.randomness import mix
from tasks import tracking
from tasks.params import Entry, EvaluateParams
from tasks.stage_main import stage_main
from tasks.workspace import Workspace

FEWEST_SAMPLES = 10
"""Held-out images below which no score means anything."""
GENERATED_PER_REAL = 10
PICTURES = 64

_EXTRACTOR_SEED = 0  # not evaluate.seed: drawing other samples must not change what they are measured with
_CHUNK, _CHUNK_BYTES = 1_000, 64 * 2**20  # most images held at once
_MOST_COLUMNS = 20  # classes that a grid shows in columns
_DIGITS = 6


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
    curves = _curves(workspace.model(name) / "metrics.jsonl")
    with tracking.run(workspace, name, _run_id(workspace.model(name) / "run.json")) as run:
        extractor = _extractor(workspace.features(name), name, dataset, entry.evaluation)
        scores = score(generator, dataset, extractor, entry.evaluation)
        record = _record(generator, dataset, extractor, entry.evaluation)
        report = workspace.report(name)
        _write(report, scores, record, curves, _pictures(generator, dataset, entry.evaluation.seed))
        run.log_metrics(scores, step=generator.config.images)
        run.set_tags({f"evaluation.{key}": str(record[key]) for key in ("n_real", "n_generated", "seed")})
        if extractor is not None:
            run.set_tags({"evaluation.extractor": extractor.hash})
        for path in ("metrics.json", "evaluation.json", "grids"):
            run.log_artifact(report / path, "evaluation/grids" if path == "grids" else "evaluation")
    print(_said(name, scores, record))


def score(generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
    """A generator's scores on held-out data; a function of its arguments, rounded to six significant digits.

    Images: fid, kid, precision, recall, density, coverage; with a classifier as extractor also modes (number of classes that at least
    one generated image is classified as), and for a generator by label label_accuracy. The labels asked for are those of
    training images: were they those of the held-out ones, both sets would deviate alike by chance, and the kernel distance would be
    biased below 0. Points: those of `point_scores` on up to 2,500 of them.

    Runs on a GPU where there is one; generator and extractor come back to where they were.

    Args:
        generator: of samples like those in `dataset`.
        dataset: its held-out split is compared with.
        extractor: frozen features for images; None for points.
        params: how many samples, and their seed.

    Raises:
        DataError: too few held-out images, or all of them alike; points of which no distribution is known.
        TrainingError: the generator draws the same image each time or numbers that are not finite, or a score is not finite.
    """
    if not all(value.isfinite().all() for value in generator.network.state_dict().values()):
        raise TrainingError("the generator's weights are not finite: its training diverged; train it again with other settings")
    if dataset.spec.kind == "points":
        scores = _score_points(generator, dataset.spec, params)
    else:
        assert extractor is not None, "images are compared by features"  # noqa: S101
        with _on_best_device(generator.network, extractor.network):
            scores = _score_images(generator, dataset, extractor, params)
    for key, value in scores.items():
        if not math.isfinite(value):
            raise TrainingError(f"{key}: the score is {value}; the generator cannot be judged, train it again with other settings")
    return {key: _rounded(value) for key, value in scores.items()}


def _score_points(generator: Generator, spec: DatasetSpec, params: EvaluateParams) -> dict[str, float]:
    if spec.truth is None:
        raise DataError("points: the distribution that they were drawn from is not known, so there is nothing to score against")
    points = generator.sample(min(params.samples, POINT_SAMPLES), seed=params.seed).samples
    if not np.isfinite(points).all():
        raise TrainingError("the generator draws points that are not finite; train it again with other settings")
    return point_scores(points, spec.truth)


def _score_images(generator: Generator, dataset: Dataset, extractor: FeatureExtractor, params: EvaluateParams) -> dict[str, float]:
    counts = _Counts.of(dataset, params)
    real = _held_out_features(dataset, extractor, counts, params.seed)
    asked = None
    if generator.config.classes is not None:
        labels = dataset.labels["train"][_chosen(dataset, "train", counts.generated, params.seed)]
        asked = np.resize(labels, counts.generated).astype(np.int64)
    generated = _features(_draw(generator, counts.generated, asked, params.seed), extractor)
    if _alike(generated):
        raise TrainingError("the generator draws the same image each time: it has collapsed; train it again with other settings")
    scores: dict[str, float] = {
        "fid": frechet_distance(FeatureStatistics.of(real), FeatureStatistics.of(generated)),
        "kid": kernel_distance(real, generated),
        **asdict(manifold_scores(real, generated[: counts.real])),
    }
    if isinstance(extractor, ClassifierExtractor):
        predicted = extractor.classify(generated)
        scores["modes"] = modes_found(predicted)
        if asked is not None:
            scores["label_accuracy"] = label_accuracy(predicted, asked)
    return scores


@dataclass(frozen=True)
class _Counts:
    """How many images are compared."""

    real: int
    generated: int

    @classmethod
    def of(cls, dataset: Dataset, params: EvaluateParams) -> _Counts:
        there = len(dataset.samples["holdout"])
        if there < FEWEST_SAMPLES:
            raise DataError(
                f"{there} held-out images are too few to score with, at least {FEWEST_SAMPLES} are needed; raise data.holdout or add images"
            )
        real = min(there, params.samples)
        return cls(real, min(GENERATED_PER_REAL * real, params.samples))


def _held_out_features(dataset: Dataset, extractor: FeatureExtractor, counts: _Counts, seed: int) -> NDArray[np.float32]:
    features = _features(_read(dataset, "holdout", counts.real, seed), extractor)
    if _alike(features):
        raise DataError("all held-out images are the same, so there is nothing to compare with; check the source")
    return features


def _features(images: Iterator[NDArray[np.uint8]], extractor: FeatureExtractor) -> NDArray[np.float32]:
    """Features of a stream of images, (N, D)."""
    return np.concatenate([extractor.features(chunk) for chunk in images])


def _alike(features: NDArray[np.float32]) -> bool:
    """Whether all are of one image, apart from float32's rounding."""
    return bool(np.ptp(features, axis=0).max() <= 1e-5 * np.abs(features).max())


def _chosen(dataset: Dataset, split: Split, n: int, seed: int) -> NDArray[np.int64]:
    """Which `n` samples of a split are used, in random order (the packed order may follow the classes)."""
    return np.random.default_rng(seed).permutation(dataset.spec.counts[split])[:n]


def _read(dataset: Dataset, split: Split, n: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    indices = _chosen(dataset, split, n, seed)
    for chunk in _chunks(n, dataset.spec.shape):
        yield dataset.samples[split][indices[chunk]]


def _draw(generator: Generator, n: int, asked: NDArray[np.int64] | None, seed: int) -> Iterator[NDArray[np.uint8]]:
    for chunk in _chunks(n, generator.config.shape):
        labels = None if asked is None else asked[chunk]
        yield generator.sample(chunk.stop - chunk.start, seed=mix(seed, chunk.start), labels=labels).samples


def _chunks(n: int, shape: tuple[int, ...]) -> Iterator[slice]:
    size = max(1, min(_CHUNK, _CHUNK_BYTES // math.prod(shape)))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _rounded(value: float) -> float:
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")


@contextmanager
def _on_best_device(*networks: Any) -> Iterator[None]:
    """Networks on the GPU where there is one, and back where they were."""
    device = choose_device("auto")
    before = [next(network.parameters()).device for network in networks]
    try:
        for network in networks:
            network.to(device)
        yield
    finally:
        for network, origin in zip(networks, before, strict=True):
            network.to(origin)


def _check(name: str, config: GeneratorConfig, dataset: Dataset, params: EvaluateParams) -> None:
    """Refuse what cannot be scored before anything is fitted or drawn."""
    spec = dataset.spec
    if (config.kind, config.shape) != (spec.kind, spec.shape):
        raise DataError(
            f"the generator draws {config.kind} of shape {config.shape}, and the data has {spec.kind} of shape {spec.shape}; train it again"
        )
    if config.classes is not None and config.classes != spec.classes:
        raise DataError("the generator knows other classes than the data has; train it again")
    if spec.kind == "images":
        _wanted(name, spec, params)
        _Counts.of(dataset, params)


def _extractor(folder: Path, name: str, dataset: Dataset, params: EvaluateParams) -> FeatureExtractor | None:
    """The frozen extractor, or a fitted one where there is none that serves; None for points, whose folder says so."""
    if dataset.spec.kind == "points":
        _write_no_extractor(folder)
        return None
    wanted = _wanted(name, dataset.spec, params)
    if folder.exists():
        try:
            kept = FeatureExtractor.load(folder)
        except DataError as error:
            reason = str(error)
        else:
            if isinstance(kept, wanted) and kept.fits(dataset.spec):
                return kept
            reason = f"the kept one is a {kept.kind} network for {_described(kept.config.shape, kept.config.classes)}"
        print(f"evaluate {name}: fitting the feature extractor again ({reason}); scores before and after cannot be compared", flush=True)
    started = time.monotonic()
    fitted = wanted.fit(dataset, _EXTRACTOR_SEED, choose_device("auto")).to("cpu").save(folder)
    accuracy = fitted.config.holdout_accuracy
    right = "" if accuracy is None else f", {accuracy:.1%} of held-out images right"
    print(f"evaluate {name}: fitted a {fitted.kind} network for features{right}, {time.monotonic() - started:.1f} s", flush=True)
    return fitted


def _wanted(name: str, spec: DatasetSpec, params: EvaluateParams) -> type[ClassifierExtractor] | type[RandomConvExtractor]:
    classes = len(spec.classes or ())
    if params.features == "classifier" and classes < 2:
        raise ConfigError(
            f"generators.{name}.evaluate.features: a classifier needs at least two classes, and the data has {classes}; use auto or random"
        )
    return RandomConvExtractor if params.features == "random" or classes < 2 else ClassifierExtractor


def _described(shape: tuple[int, ...], classes: tuple[str, ...] | None) -> str:
    size = "x".join(str(side) for side in shape)
    return f"{size} images" if classes is None else f"{size} images of {len(classes)} classes"


def _write_no_extractor(folder: Path) -> None:
    """Points need no features, and the stage's output has to be there all the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():  # unlinked, never written through: DVC may have linked it into its cache
        path.unlink()
    (folder / "config.json").write_text(_json({"format": 1, "kind": "none"}))


def _record(generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, Any]:
    """How the scores were measured: what evaluation.json holds."""
    record: dict[str, Any] = {
        "dataset_digest": dataset.spec.digest,
        "generator_sha256": generator.config.sha256,
        "seed": params.seed,
        "n_real": 0,
        "n_generated": min(params.samples, POINT_SAMPLES),
        "extractor": None,
    }
    if extractor is None:
        return record
    counts = _Counts.of(dataset, params)
    config = extractor.config
    described = {"kind": config.kind, "seed": config.seed, "dataset_digest": config.dataset, "holdout_accuracy": config.holdout_accuracy}
    return {
        **record,
        "n_real": counts.real,
        "n_generated": counts.generated,
        "neighbours": NEIGHBOURS,
        "extractor": {"hash": extractor.hash, **described},
        "real_against_real": _real_against_real(dataset, extractor, counts, params.seed),
    }


def _real_against_real(dataset: Dataset, extractor: FeatureExtractor, counts: _Counts, seed: int) -> dict[str, float]:
    """The Frechet distance of training images from the held-out ones: what a perfect generator would get."""
    n = min(dataset.spec.counts["train"], counts.generated)
    with _on_best_device(extractor.network):
        train = FeatureStatistics.of(_features(_read(dataset, "train", n, seed), extractor))
        held_out = FeatureStatistics.of(_held_out_features(dataset, extractor, counts, seed))
    return {"n_train": n, "fid": _rounded(frechet_distance(held_out, train))}


def _curves(record: Path) -> dict[str, str]:
    """The training's record as CSV files, one a number: columns `images` and that number, for `dvc plots`.

    Raises:
        DataError: the record is missing or damaged.
    """
    columns: dict[str, list[tuple[int, float]]] = {}
    try:
        for line in record.read_text(encoding="utf-8").splitlines():
            numbers = json.loads(line)
            images = int(numbers.pop("images"))
            for key, value in numbers.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    columns.setdefault(key, []).append((images, value))
    except OSError as error:
        raise DataError(f"{record}: cannot be read ({error.strerror}); run the train stage first") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{record}: damaged ({error}); run the train stage again") from None
    return {key: "".join([f"images,{key}\n", *(f"{images},{value!r}\n" for images, value in rows)]) for key, rows in columns.items()}


def _pictures(generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
    """Generated and real samples by file name; images by label stand in columns, a class each, in both alike."""
    classes = generator.config.classes
    if dataset.spec.kind == "points":
        real = np.array(dataset.samples["train"][:POINT_SAMPLES])
        points = generator.sample(POINT_SAMPLES, seed=seed).samples
        return {"generated": pictures.scatter(points, real), "real": pictures.scatter(real)}
    by_class = classes is not None and len(classes) <= _MOST_COLUMNS
    columns = len(classes) if classes is not None and by_class else int(math.sqrt(PICTURES))
    n = PICTURES // columns * columns if by_class else PICTURES
    generated = generator.sample(n, seed=seed)
    order = _chosen(dataset, "holdout", dataset.spec.counts["holdout"], seed)
    if by_class and generated.labels is not None:
        order = _in_turn(order, dataset.labels["holdout"][order], generated.labels)
    real = np.array(dataset.samples["holdout"][order[:n]])
    return {"generated": pictures.grid(generated.samples, columns), "real": pictures.grid(real, columns)}


def _in_turn(indices: NDArray[np.int64], labels: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of `indices` with their `labels`, one of each wanted class in turn; repeated where there are too few."""
    by_class = {int(label): indices[labels == label] for label in np.unique(labels)}
    used = dict.fromkeys(by_class, 0)
    chosen = []
    for label in wanted.tolist():
        some = by_class.get(label, indices)
        chosen.append(some[used.get(label, 0) % len(some)])
        used[label] = used.get(label, 0) + 1
    return np.array(chosen)


def _write(
    report: Path, scores: Mapping[str, float], record: Mapping[str, Any], curves: Mapping[str, str], grids: Mapping[str, NDArray[np.uint8]]
) -> None:
    """Write everything beside its place first, so that what has its name is whole; metrics.json comes last."""
    temporary = report / ".evaluate.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "curves").mkdir(parents=True)
    for key, text in curves.items():
        (temporary / "curves" / f"{key}.csv").write_text(text)
    for key, picture in grids.items():
        pictures.save_png(picture, temporary / "grids" / f"{key}.png")
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


def _run_id(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["run_id"])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run the train stage first") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error}); run the train stage again") from None


def _said(name: str, scores: Mapping[str, float], record: Mapping[str, Any]) -> str:
    """The scores in a line."""
    parts = [f"{key} {value:.4g}" for key, value in scores.items()]
    if record["extractor"] is None:
        return f"evaluate {name}: {', '.join(parts)} (n={record['n_generated']:,})"
    parts[0] += f" (real against real {record['real_against_real']['fid']:.4g})"
    return f"evaluate {name}: {', '.join(parts)} (n={record['n_real']:,} real, {record['n_generated']:,} generated)"


if __name__ == "__main__":
    stage_main(evaluate)
