"""Drift: how training data differs from the data that the champion was trained on.

A data set is boiled down to a few statistics, which a version keeps, so that nothing needs the old data: brightness and contrast of
images (or the columns of points), how many samples each class has, and mean and covariance of random projections.
Each difference is held against what chance alone makes of samples this many, its noise floor: only what is larger than both the
limit and the noise is drift.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.errors import DataError
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.rows import spread
from tasks import kinds

if TYPE_CHECKING:
    from tasks.params import ValidateParams
    from tasks.records.registry import Registry, Version
    from tasks.workspace import Workspace

FILE = "statistics.json"
"""Among the artifacts of a version's run."""
FORMAT = 1

_MOST = 2_000  # samples that are looked at
_CHUNK_BYTES = 64 * 2**20
_SEED = 20_070
_SIGMAS = 3.3  # a difference is beyond chance above so many standard errors
_NOISE_FACTOR = 2.0  # and a distance above so many times the one between two halves of the data


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of one number of each sample, over the samples."""

    mean: float
    std: float


@dataclass(frozen=True)
class Statistics:
    """What is kept of a data set's training split."""

    digest: str
    """Of the data set."""
    kind: str
    shape: tuple[int, ...]
    count: int
    """Samples that were looked at."""
    columns: Mapping[str, Moments]
    labels: Mapping[str, int] | None
    """Samples of each class, all of them counted."""
    categories: Mapping[str, Mapping[str, int]]
    """Tables: the same of each column of categories."""
    mean: tuple[float, ...]
    """(D,) of the features."""
    covariance: tuple[tuple[float, ...], ...]
    """(D, D) of the features."""
    noise: float
    """Distance between two halves of this data, in standard deviations."""

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """The statistics of a data set's training split; a function of its bytes.

        Raises:
            DataError: it has fewer than four training samples.
        """
        spec, samples = dataset.spec, dataset.samples["train"]
        labels = None
        if spec.classes is not None:
            counts = np.bincount(dataset.labels["train"], minlength=len(spec.classes))
            labels = {name: int(count) for name, count in zip(spec.classes, counts, strict=True)}
        found = cls.of_samples(samples, spec, labels, kinds.of(spec.kind).drift_categories(dataset), spec.digest)
        if spec.numbers is None:
            return found
        return replace(found, columns={**found.columns, "label": _column(np.asarray(dataset.labels["train"], dtype=np.float64))})

    @classmethod
    def of_samples(
        cls,
        samples: NDArray[Any],
        spec: DatasetSpec,
        labels: Mapping[str, int] | None,
        categories: Mapping[str, Mapping[str, int]],
        digest: str = "",
    ) -> Self:
        """The same of any samples; a function of the arguments.

        Args:
            samples: (N, ...), of which 2,000 are looked at.
            spec: of data like them.
            labels: of each class, how many.
            categories: the same of each column of categories.
            digest: of the data set that they are.

        Raises:
            DataError: they are fewer than four.
        """
        total = len(samples)
        if total < 4:
            raise DataError(f"{total} training samples are too few for statistics" if digest else f"{total} samples are too few to compare")
        # Evenly spread, since the packed order may follow the classes.
        chosen = np.unique(np.linspace(0, total - 1, min(total, _MOST)).astype(np.int64))
        kind = kinds.of(spec.kind)
        numbers, features = zip(*(kind.drift_of(chunk, spec) for chunk in _chunks(samples, chosen)), strict=True)
        halves = [FeatureStatistics.of(part) for part in _halves(np.concatenate(features))]
        whole = FeatureStatistics(len(halves[0].mean))
        for half in halves:
            whole.merge(half)
        mean, covariance = whole.mean, whole.covariance
        return cls(
            digest=digest,
            kind=spec.kind,
            shape=spec.shape,
            count=len(chosen),
            columns={name: _column(np.concatenate([part[name] for part in numbers])) for name in numbers[0]},
            labels=labels,
            categories=categories,
            mean=_rounded(mean),
            covariance=tuple(_rounded(row) for row in covariance),
            noise=float(f"{_distance(halves[0].mean, halves[0].covariance, halves[1].mean, halves[1].covariance, covariance):.6g}"),
        )

    def as_json(self) -> str:
        """The statistics as text, which `from_json` reads back."""
        return json.dumps({"format": FORMAT, **asdict(self)}, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Statistics as `as_json` wrote them.

        Raises:
            DataError: it is no such text.
        """
        try:
            fields = json.loads(text)
            if fields.pop("format") != FORMAT:
                raise DataError("of another format")
            fields["columns"] = {name: Moments(**column) for name, column in fields["columns"].items()}
            fields["shape"], fields["mean"] = tuple(fields["shape"]), tuple(fields["mean"])
            fields["covariance"] = tuple(map(tuple, fields["covariance"]))
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"damaged ({error})") from None


@dataclass(frozen=True)
class Drift:
    """How new data differs from a champion's."""

    champion: int
    """The version whose data it is compared with."""
    findings: tuple[str, ...]
    """What is beyond limits and chance, a sentence each; empty: no drift."""
    columns: Sequence[Mapping[str, Any]] = ()
    labels: Mapping[str, float] | None = None
    """Total variation distance of the shares of classes, and what chance makes of it."""
    features: Mapping[str, float] | None = None
    """Distance in feature space, and the one between two halves of one data set, in standard deviations."""

    def as_record(self) -> dict[str, Any]:
        """As the page and drift.json have it."""
        return asdict(self)


def compare(old: Statistics, new: Statistics, champion: int, limits: ValidateParams) -> Drift:
    """How `new` differs from `old`, the data of version `champion`; a function of its arguments."""
    if (old.kind, old.shape) != (new.kind, new.shape):
        return Drift(champion, (f"the data holds {new.kind} of shape {new.shape} now, and held {old.kind} of shape {old.shape}",))
    findings = [
        finding
        for name in old.columns
        if name in new.columns
        for finding in _column_findings(name, old.columns[name], new.columns[name], old.count, new.count, limits.drift_shift)
    ]
    columns = [
        {"name": name, "before": asdict(old.columns[name]), "now": asdict(new.columns[name])} for name in old.columns if name in new.columns
    ]
    labels = None
    if old.labels is not None and new.labels is not None:
        findings += _label_findings("class", old.labels, new.labels, limits.drift_share)
        labels = _label_distance(old.labels, new.labels)
    for name in old.categories:
        if name in new.categories:
            findings += _label_findings(name, old.categories[name], new.categories[name], limits.drift_share)
    arrays = [np.array(part) for part in (old.mean, old.covariance, new.mean, new.covariance)]
    distance, noise = _distance(arrays[0], arrays[1], arrays[2], arrays[3], arrays[1]), max(old.noise, new.noise)
    if distance > max(limits.drift_shift, _NOISE_FACTOR * noise):
        findings.append(
            f"the samples look different: {distance:.2g} standard deviations away in feature space, where two halves of one data set are "
            f"{noise:.2g} apart"
        )
    return Drift(champion, tuple(findings), columns, labels, {"distance": distance, "noise": noise})


def keep(registry: Registry, version: Version, statistics: Statistics) -> None:
    """Let a version carry the statistics of the data that it was trained on."""
    from tasks.records import tracking

    with tracking.errors(registry.address):
        registry.client.log_text(version.run_id, statistics.as_json(), FILE)


def kept(registry: Registry, version: Version) -> Statistics | None:
    """The statistics that a version carries; None where it carries none, or none that can be read."""
    from mlflow.exceptions import MlflowException

    from tasks.records import tracking

    with tracking.errors(registry.address), tempfile.TemporaryDirectory() as temporary:
        try:
            return Statistics.from_json(Path(registry.client.download_artifacts(version.run_id, FILE, temporary)).read_text())
        except (OSError, DataError):
            return None
        except MlflowException as error:
            if tracking.is_outage(error):
                raise
            return None


def from_champion(workspace: Workspace, name: str, dataset: Dataset, limits: ValidateParams) -> Drift | None:
    """The drift of a data set from what the present champion of `name` was trained on; None where there is nothing to compare with.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    from tasks.records import tracking
    from tasks.records.registry import Registry

    if limits.drift == "off" or not tracking.exists(workspace):
        return None
    registry = Registry.open(workspace)
    champion = registry.champion(name)
    before = None if champion is None else kept(registry, champion)
    return None if champion is None or before is None else compare(before, Statistics.of(dataset), champion.number, limits)


def _column_findings(name: str, old: Moments, new: Moments, n_old: int, n_new: int, limit: float) -> Iterator[str]:
    # What older versions kept of a column that never changes is what rounding left of it.
    old_std, new_std = (column.std if column.std > 1e-12 * abs(column.mean) else 0.0 for column in (old, new))
    shift, scale = new.mean - old.mean, old_std or max(abs(old.mean), 1e-12)
    error = math.sqrt(old_std**2 / n_old + new_std**2 / n_new)
    if abs(shift) > max(limit * scale, _SIGMAS * error):
        way = "higher" if shift > 0 else "lower"
        yield f"{name} is {way}: {new.mean:.4g} on average, before {old.mean:.4g} ({abs(shift) / scale:.2g} standard deviations)"
    change = (new_std - old_std) / scale
    error = math.sqrt(1 / (2 * n_old) + 1 / (2 * n_new))
    if abs(change) > max(limit, _SIGMAS * error):
        yield f"{name} varies {'more' if change > 0 else 'less'}: standard deviation {new_std:.4g}, before {old_std:.4g}"


def _label_findings(what: str, old: Mapping[str, int], new: Mapping[str, int], limit: float) -> Iterator[str]:
    """Classes, or categories of a column, that came, went, or whose odds against all others changed by more than a factor."""
    before, now = sum(old.values()), sum(new.values())
    for name in dict.fromkeys([*old, *new]):
        a, b = old.get(name, 0), new.get(name, 0)
        if a and not b:
            yield f"{what} {name} is lost: {a / before:.1%} of the samples before, none now"
        elif b and not a:
            yield f"{what} {name} is new: {b / now:.1%} of the samples, none before"
        elif a and b and a < before and b < now:
            # Of the odds, so that a class that doubles is seen as doubled however large it was.
            ratio = (b / (now - b)) / (a / (before - a))
            error = math.sqrt(1 / a + 1 / b + 1 / (before - a) + 1 / (now - b))
            if abs(math.log(ratio)) > max(math.log(limit), _SIGMAS * error):
                factor = f"{ratio:.2g} times as many" if ratio > 1 else f"{1 / ratio:.2g} times fewer"
                yield f"{what} {name} has {factor} samples beside the others: {b / now:.1%}, before {a / before:.1%}"


def _label_distance(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, float]:
    before, now = sum(old.values()), sum(new.values())
    names = list(dict.fromkeys([*old, *new]))
    p, q = (np.array([counts.get(name, 0) for name in names]) / max(total, 1) for counts, total in ((old, before), (new, now)))
    pooled = (p * before + q * now) / max(before + now, 1)
    # E|p - q| of a normal with this variance.
    noise = np.sqrt(2 / math.pi * pooled * (1 - pooled) * (1 / max(before, 1) + 1 / max(now, 1)))
    return {"distance": float(np.abs(p - q).sum() / 2), "noise": float(noise.sum() / 2)}


def _distance(
    old_mean: NDArray[np.float64],  # (D,)
    old_covariance: NDArray[np.float64],  # (D, D)
    new_mean: NDArray[np.float64],
    new_covariance: NDArray[np.float64],
    scale: NDArray[np.float64],  # (D, D): covariance whose deviations are the units
) -> float:
    """Square root of the Frechet distance for one feature, in standard deviations of it; features that never change are left out."""
    std = np.sqrt(np.diag(scale))
    alive = std > 1e-6 * max(std.max(), 1e-12)
    unit = std[alive]
    moments = [(mean[alive] / unit, covariance[np.ix_(alive, alive)] / np.outer(unit, unit)) for mean, covariance in (
        (old_mean, old_covariance), (new_mean, new_covariance)
    )]  # fmt: skip
    first, second = (FeatureStatistics.from_moments(2, mean, covariance) for mean, covariance in moments)
    return math.sqrt(frechet_distance(first, second) / max(int(alive.sum()), 1))


def _chunks(samples: NDArray[Any], chosen: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    size = max(1, _CHUNK_BYTES // max(samples[0].nbytes, 1))
    for start in range(0, len(chosen), size):
        yield np.asarray(samples[chosen[start : start + size]])


def _halves(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two halves by chance; every second would be regular where the packed order is."""
    order = np.random.default_rng(_SEED).permutation(len(features))
    return features[order[0::2]], features[order[1::2]]


def _column(values: NDArray[np.float64]) -> Moments:
    present = values[~np.isnan(values)]
    if not len(present):
        return Moments(0.0, 0.0)
    return Moments(float(f"{present.mean():.6g}"), float(f"{spread(present):.6g}"))


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
