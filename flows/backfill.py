"""`gantry backfill`: what an entry, as it is now, would have made of the data that there was before. It registers nothing.

The data sets are those that registered versions were made from, brought back by their DVC hash. Each is checked, packed and trained on by
the entry's own stages in a workspace below `.gantry/sweeps`. All of the generators are scored on the present held-out data with the present
features, so their scores differ by the data alone. What is done is kept there until the next `gantry clean`, and is not done again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gan_core.errors import ConfigError, DataError, GantryError, TrainingError
from gan_core.files import write_whole
from tasks.graph import repro
from tasks.graph.dvc_data import bringing
from tasks.params import Entry, load_entry
from tasks.preflight import check_registry
from tasks.promotion import gate
from tasks.records import tracking
from tasks.records.registry import Registry, Version
from tasks.records.stage_files import run_begun, run_of
from tasks.start import pinned_now
from tasks.system import locks
from tasks.trials import aside, search_space
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from gan_core.data.dataset import Dataset
    from gan_core.metrics.features import FeatureExtractor


@dataclass(frozen=True)
class DataVersion:
    """What a source held at some time."""

    raw: str
    """DVC's hash of it."""
    since: datetime
    """When the first version made from it was registered."""
    versions: tuple[int, ...]
    """All that were."""

    @property
    def title(self) -> str:
        return f"data of {self.since:%d %b %Y %H:%M}, first in version {self.versions[0]}"


@dataclass(frozen=True)
class Filled:
    """What came of one of them."""

    ended: Literal["done", "refused", "lost", "not comparable"]
    """Refused: by the entry's expectations. Lost: collapsed or diverged. Not comparable: other classes or columns than now."""
    samples: int | None = None
    """Of its training split."""
    metric: str | None = None
    value: float | None = None
    run_id: str | None = None


def backfill(
    workspace: Workspace, name: str, latest: int | None = None, *, say: Callable[[str], None] = print, output: int | None = None
) -> dict[DataVersion, Filled]:
    """Train an entry on the data that it had before, oldest first.

    Args:
        latest: only so many of the last data versions; None: all of them.
        say: takes a line before each, and after it.
        output: file descriptor for what the stages say; None: as this process.

    Raises:
        ConfigError: the entry is wrong or its data is not ready, or no registered version says what it was made from.
        DataError: old data is neither in DVC's cache nor in a remote, or the present features are not there.
        RegistryError: the registry cannot be reached.
        GantryError: somebody sweeps or backfills this entry already, or a stage failed for other reasons than its data.
    """
    from gan_core.data.dataset import Dataset

    entry = load_entry(workspace.root, name)
    repro.prepare(workspace)
    check_registry(workspace)
    status = repro.look(workspace, "validate", name)
    if status.changed:
        raise ConfigError(f"{name}: its data is not ready ({status.reason}); `gantry run {name}` first")
    known = data_versions(Registry.open(workspace).all_versions(name))
    if not known:
        raise ConfigError(f"{name}: no registered version says what it was made from; `gantry run {name}` registers the first")
    dataset = Dataset.open(workspace.ready(name))
    extractor = _extractor(workspace, name, entry, dataset)
    start = pinned_now(workspace, name, entry.train, say)
    depends = [search_space.params_of(entry), dataset.spec.digest, None if extractor is None else extractor.hash]
    depends += [] if start is None else [start.checkpoint.sha256]
    key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
    folder = workspace.sweeps(name) / f"backfill-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with locks.sweeping(workspace, name), tracking.run(workspace, name, run_begun(folder)) as run:
        write_whole(folder / "run.json", json.dumps({"run_id": run.id}))
        run.set_tags({"mlflow.runName": f"backfill of {name}"})
        filling = _Filling(workspace, name, entry, dataset, extractor, folder, run.id, say, output)
        return {data: filling.fill(data) for data in (known if latest is None else known[-latest:])}


def data_versions(versions: Sequence[Version]) -> list[DataVersion]:
    """The data sets that versions were made from, oldest first."""
    of: dict[str, list[Version]] = {}
    for version in versions:
        if raw := version.tags.get("dvc.raw"):
            of.setdefault(raw, []).append(version)
    return [DataVersion(raw, made[0].created, tuple(version.number for version in made)) for raw, made in of.items()]


def _extractor(workspace: Workspace, name: str, entry: Entry, dataset: Dataset) -> FeatureExtractor | None:
    """The features that the entry's generators are scored with now; None where its data needs none."""
    from gan_core.metrics.features import FeatureExtractor
    from tasks import kinds

    if kinds.of(dataset.spec.kind).features(name, dataset.spec, entry.evaluation) is None:
        return None
    return FeatureExtractor.load(workspace.features(name))


@dataclass(frozen=True)
class _Filling:
    """A backfill under way."""

    workspace: Workspace
    name: str
    entry: Entry
    dataset: Dataset
    """The present one, which all are scored on."""
    extractor: FeatureExtractor | None
    folder: Path
    run_id: str
    """The MLflow run that those of the trainings stand below."""
    say: Callable[[str], None]
    output: int | None

    def fill(self, data: DataVersion) -> Filled:
        """What comes of one data version, unless that is known."""
        known = self.folder / f"{data.raw}.json"
        if known.exists():
            return Filled(**json.loads(known.read_text()))
        self.say(f"{self.name}: {data.title}")
        there = Workspace(self.folder / data.raw)
        there.root.mkdir(exist_ok=True)
        filled = self._trained(there, data)
        write_whole(known, json.dumps(asdict(filled)))
        shutil.rmtree(there.root)
        score = "" if filled.value is None else f", {filled.metric} {filled.value:.4g}"
        self.say(f"{self.name}: {data.title}: {filled.ended}{score}")
        return filled

    def _trained(self, there: Workspace, data: DataVersion) -> Filled:
        from gan_core.data.dataset import Dataset

        aside.write_params(there, self.name, search_space.params_of(self.entry))
        if self.workspace.start(self.name).exists():
            shutil.copytree(self.workspace.start(self.name), there.start(self.name), dirs_exist_ok=True)
        if not there.ready(self.name).exists():
            with bringing(self.workspace, there) as bring:
                bring(data.raw, there.raw(self.name))
            # With a registry of its own, which is empty: old data has not drifted from that of a champion that came later.
            if not self._passes("tasks.validate", DataError, there, {"MLFLOW_TRACKING_URI": None}):
                return Filled("refused")
        samples = Dataset.open(there.ready(self.name)).spec.counts["train"]
        ours = {"MLFLOW_TRACKING_URI": tracking.address(self.workspace), tracking.PARENT_RUN: self.run_id}
        if not (there.model(self.name) / "run.json").exists() and not self._passes("tasks.train", TrainingError, there, ours):
            return Filled("lost", samples)
        return self._scored(there, data, samples)

    def _passes(self, stage: str, its_fault: type[GantryError], there: Workspace, changes: Mapping[str, str | None]) -> bool:
        """Run a stage; False where it ends with the kind of error that the data is to blame for."""
        device = self.entry.train.device if stage == "tasks.train" else "cpu"
        code = aside.run(stage, self.name, there, changes, device, self.say, self.output)
        if code not in (0, its_fault.exit_code):
            failed = GantryError(f"{stage} of {self.name} ended with exit code {code}; when that is mended, the same command goes on")
            failed.exit_code = code if 0 < code <= 5 else 1
            raise failed
        return code == 0

    def _scored(self, there: Workspace, data: DataVersion, samples: int) -> Filled:
        from gan_core.generator import Generator
        from tasks.judging import gather, scores_of, undecided
        from tasks.register import incomparable

        generator = Generator.load(there.model(self.name) / "generator")
        run_id = run_of(there.model(self.name))
        tags = {"mlflow.runName": data.title, "dvc.raw": data.raw, "samples": str(samples)}
        with tracking.run(self.workspace, self.name, run_id) as run:
            run.set_tags(tags)
            if obstacle := incomparable(generator.config, self.dataset):
                self.say(f"{self.name}: its generator {obstacle}")
                return Filled("not comparable", samples, run_id=run_id)
            try:
                evidence = gather(generator, self.dataset, self.extractor, self.entry.evaluation)
                scores: Mapping[str, Any] = scores_of(evidence)
            except TrainingError as error:
                self.say(f"{self.name}: {error}")
                return Filled("lost", samples, run_id=run_id)
            run.log_metrics(scores, step=generator.config.images)
        metric = gate.deciding_metric(scores, self.entry.registration, self.dataset.spec.kind, undecided(evidence, scores))
        return Filled("done", samples, metric, float(scores[metric]), run_id)
