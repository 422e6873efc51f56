"""What a champion draws in use, beside what it drew when it was promoted and the data that it was promoted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator
from tasks.params import ValidateParams
from tasks.records.registry import Registry, Version, resolve
from tasks.scoring.copies import find_copies, shrunk
from tasks.serving.kept import Kept, place_of
from tasks.validation import drift
from tasks.workspace import Workspace

FEWEST = 50
"""Kept samples below which nothing is said of them."""
_SEED = 20_071  # apart from what clients choose, which is small


@dataclass(frozen=True)
class Watched:
    """What was found of one version in use."""

    name: str
    version: int
    requests: int
    samples: int
    compared: int
    """Samples that were kept, and looked at."""
    since: str
    until: str
    findings: tuple[str, ...]
    """What is beyond noise, a sentence each; empty: it is used as it was promoted."""
    distance: float
    """From what it draws by itself, of the same labels or prompts, in standard deviations of features."""
    noise: float
    """The same between two halves of one set."""
    repeated: float
    """Share of the samples that are equal to another one."""
    copies: tuple[float, float] | None
    """Shares of near-copies of training samples: in use, and drawn by itself; None where the data is not here."""
    seconds: tuple[float, float] | None
    """Of a request: the median, and the 99th percentile."""
    before: tuple[int, float] | None
    """The champion before that was served, and its median."""
    labels: dict[str, int]

    @property
    def in_words(self) -> str:
        said = f"{self.name}, version {self.version}: {self.samples:,} samples in {self.requests:,} requests, {self.since} to {self.until}"
        return f"{said}; {'; '.join(self.findings) if self.findings else 'no difference beyond noise'}"


def watch(workspace: Workspace, name: str) -> Watched:
    """Compare what servers of this workspace kept of the champion with what it was promoted on.

    Raises:
        ConfigError: there is no champion, it translates, or too little was kept.
        DataError: what was kept is damaged.
        RegistryError: the registry cannot be reached.
    """
    registry, version = resolve(workspace, name)
    path = place_of(workspace.served(name), version.number)
    if not path.exists():
        raise ConfigError(
            f"{name}: nothing is kept of version {version.number} yet; `gantry serve {name}` writes it each minute, and at its end"
        )
    kept = Kept.read(path)
    generator = registry.load(version)
    if kept.counts.sha256 != generator.config.sha256:
        raise ConfigError(f"{path}: is of other weights than version {version.number} has; `gantry serve {name}` begins anew")
    if generator.config.inputs is not None:
        raise ConfigError(f"{name}: makes pictures of pictures, so what it draws in use is what it is given; there is nothing to compare")
    if len(kept.samples) < FEWEST:
        raise ConfigError(
            f"{name}: {len(kept.samples)} samples are kept of version {version.number}, too few to compare; {FEWEST} are needed"
        )
    return _watched(workspace, registry, version, generator, kept)


def _watched(workspace: Workspace, registry: Registry, version: Version, generator: Generator, kept: Kept) -> Watched:
    served, own = np.array(kept.samples), _drawn(generator, kept)
    spec, data = generator.config.data, drift.kept(registry, version)
    in_use = kept.counts.labels or None
    trained = None if data is None or in_use is None else data.labels
    old, new = (drift.Statistics.of_samples(*given, {}) for given in ((own, spec, trained), (served, spec, in_use)))
    found = drift.compare(old, new, version.number, ValidateParams())
    findings = list(found.findings)
    repeated = _repeated(served) - _repeated(own)
    if repeated > 3 / np.sqrt(len(served)):
        findings.append(f"{repeated:.0%} of the samples are equal to others: clients ask by the same seeds")
    copies = _copies(workspace, version, served, own)
    if copies is not None and copies[2]:
        findings.append(f"{copies[0]:.1%} are near-copies of training samples, where the version by itself draws {copies[1]:.1%}")
    seconds = None if not kept.seconds else (float(np.median(kept.seconds)), float(np.quantile(kept.seconds, 0.99)))
    features = found.features or {"distance": 0.0, "noise": 0.0}
    counts = kept.counts
    return Watched(
        version.name, version.number, counts.requests, counts.samples, len(served), counts.since, counts.until, tuple(findings),
        features["distance"], features["noise"], max(repeated, 0.0), None if copies is None else copies[:2], seconds,
        _before(workspace, registry, version), counts.labels,
    )  # fmt: skip


def _drawn(generator: Generator, kept: Kept) -> NDArray[Any]:
    """As many samples as were kept, of the same labels or prompts, and other latents."""
    condition = generator.config.condition
    labels = np.array(kept.labels, dtype=condition.dtype) if kept.labels and condition is not None else None
    return generator.sample(len(kept.samples), _SEED, labels=labels, prompts=kept.prompts or None, unique=False).samples


def _repeated(samples: NDArray[Any]) -> float:
    """Share of samples that stand there before already."""
    return 1.0 - len({sample.tobytes() for sample in samples}) / len(samples)


def _copies(workspace: Workspace, version: Version, served: NDArray[Any], own: NDArray[Any]) -> tuple[float, float, bool] | None:
    """Shares of near-copies in use and drawn by itself, and whether more of them are in use than chance makes."""
    try:
        dataset = Dataset.open(workspace.ready(version.name))
    except DataError:
        return None
    if served.ndim != 4 or dataset.spec.digest != version.tags.get("dataset_digest"):
        return None
    found = find_copies(served, own, dataset.samples["train"], [shrunk])
    return found.generated_share, found.held_out_share, found.interval[0] > 0


def _before(workspace: Workspace, registry: Registry, version: Version) -> tuple[int, float] | None:
    """The champion before of which requests were timed here, and their median."""
    for reign in reversed(registry.history(version.name)):
        path = place_of(workspace.served(version.name), reign.version)
        if reign.version != version.number and path.exists() and (seconds := Kept.read(path).seconds):
            return reign.version, float(np.median(seconds))
    return None
