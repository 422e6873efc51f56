"""All that the page and the card say, gathered from the workspace and the registry, before any of it is laid out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan_core.data.dataset import Dataset
from gan_core.data.labels import Condition
from gan_core.errors import DataError, GantryError
from gan_core.generator import GeneratorConfig, read_config
from gan_core.kinds.pixels import Pixels
from gan_core.privacy import Privacy
from gan_core.selection import in_words
from tasks import kinds
from tasks.beside_real import BesideReal
from tasks.metrics import BETTER, LOWER, METRICS, Metric
from tasks.promotion.gate import Measured, deciding_metric, floors, meets
from tasks.records import lineage
from tasks.records.curves import Curves, read_curves
from tasks.records.history import Former, formers
from tasks.records.stage_files import if_there
from tasks.scoring import labels_told, privacy
from tasks.validation import drift
from tasks.validation.quarantine import set_aside
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.params import Entry
    from tasks.records.registry import Registry, Reign, Version

_FIRST_ROWS = 10
_COPIES = "copies.png"
_EARLIER = 2
"""Champions before the one that was compared with, whose pictures are shown too."""


@dataclass(frozen=True)
class ScoreRow:
    """One metric of challenger and champion."""

    metric: str
    better: str
    """`lower` or `higher`."""
    challenger: float | None
    champion: float | None
    real: float | None
    """Of real samples against the held-out ones: what a perfect generator would get."""
    decides: bool
    floor: str = ""
    """What it has to be, such as `>= 0.4`; empty where that is left open."""

    held: bool = True
    """Whether the gate found the floor met."""

    @property
    def floor_kept(self) -> str:
        """Whether the floor was met, in words."""
        if not self.held:
            return "not met, vetoed"
        return "held" if self.challenger is None or meets(self.challenger, self.floor) else "not met, and chance explains it"

    @property
    def explained(self) -> Metric | None:
        """What it measures; None for one that is not known any more."""
        return METRICS.get(self.metric)

    @property
    def beside_real(self) -> BesideReal | None:
        """The challenger's beside what real samples get; None where that is not known."""
        return BesideReal.of(self.metric, self.challenger, {} if self.real is None else {self.metric: self.real})

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `equal`, of the challenger beside the champion; empty where they are not both known."""
        if self.challenger is None or self.champion is None:
            return ""
        if self.challenger == self.champion:
            return "equal"
        return "better" if (self.challenger < self.champion) == (self.better == LOWER) else "worse"


@dataclass(frozen=True)
class Figure:
    """A picture and what it shows."""

    caption: str
    pixels: NDArray[np.uint8] | Path
    """uint8 (H, W, 3), or (F, H, W, 3), frame after frame; or a PNG file, or a WebP file that moves."""
    sound: bytes | None = None
    """What is heard of what it shows: a WAV file."""
    lines: Sequence[str] = ()
    """What is read instead of it."""


@dataclass(frozen=True)
class Quarantine:
    """What validation set aside."""

    count: int
    reasons: Sequence[tuple[str, int]]
    """The kinds of reason, the most frequent first."""
    first: Sequence[tuple[str, str]]
    """Path and reason of the first samples."""


@dataclass(frozen=True)
class Facts:
    """What there is to say about a decision."""

    name: str
    record: Mapping[str, Any]
    metric: str
    """The one that decides."""
    scores: Sequence[ScoreRow]
    pictures: Sequence[Figure]
    earlier: Sequence[Figure]
    copies: Figure | None
    """The worst pairs of a generated sample and the training sample nearest to it."""
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """Each number of the training's record: (images, value)."""
    quarantine: Quarantine
    drift: Mapping[str, Any] | None
    lineage: Mapping[str, Any]
    history: Sequence[Former]
    generator: GeneratorConfig
    counts: Mapping[str, int]
    """Samples of each split."""
    labels: Condition | None
    cost: Mapping[str, Any] = field(default_factory=dict)
    """What the training took, as run.json has it."""
    start_curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    """Likewise of the training that this one started from, as far as they are at hand."""

    @property
    def privacy(self) -> Sequence[str]:
        """What generated rows tell of those that were trained on, a sentence each, after what was promised of it."""
        promised = self.cost.get("privacy")
        found = privacy.in_words(self.record.get("evaluation") or {})
        return found if promised is None else [Privacy(**promised).in_words, *found]

    @property
    def told(self) -> Sequence[str]:
        """What rows of a table teach of each of several labels, or of a number, a sentence each."""
        return labels_told.in_words(self.record.get("evaluation") or {})

    @property
    def fit(self) -> str | None:
        """What became of pictures of another shape, in words; None where the data are no pictures."""
        data = self.generator.data
        return data.fit_in_words if isinstance(data, Pixels) else None

    @property
    def values(self) -> str | None:
        """What the values of pictures are, and which channels are shown, in words; None where that is as usual."""
        data = self.generator.data
        if not isinstance(data, Pixels) or data.is_plain:
            return None
        return data.values_in_words + ("" if data.shown_in_words is None else f"; {data.shown_in_words}")

    @property
    def selected(self) -> str | None:
        """Which snapshot is shipped, and why; None where it is the last in any case."""
        found = self.cost.get("selected")
        return None if found is None else in_words(found, self.generator.data.unit)


def gather(workspace: Workspace, name: str, entry: Entry, registry: Registry, version: Version, record: Mapping[str, Any]) -> Facts:
    """The facts about the decision that `record` (decision.json) states on `version`."""
    dataset = Dataset.open(workspace.ready(name))
    generator = read_config(workspace.model(name) / "generator")
    metrics = record["metrics"]
    compared = record.get("comparison") or {}
    measured = {key: value for key, value in metrics["challenger"].items() if value is not None}
    evaluation = record.get("evaluation") or {}
    undecided = evaluation.get("undecided") or {}
    metric = compared.get("metric") or deciding_metric(measured, entry.registration, dataset.spec.kind, undecided)
    history = registry.history(name)
    fresh = registry.version(name, version.number)  # with the tags of the decision
    return Facts(
        name=name,
        record=record,
        metric=metric,
        scores=_scores(
            record, metric, floors(Measured.of(measured, evaluation), entry.registration, record.get("former_champion") is None)
        ),
        pictures=_pictures(workspace, name, entry, dataset, registry, record),
        copies=_copies(workspace.report(name) / "grids" / _COPIES),
        earlier=_earlier(entry, dataset, registry, name, history, record),
        curves=_curves(workspace.model(name) / "metrics.jsonl"),
        quarantine=_quarantine(workspace, name),
        drift=_drift(registry, version, entry, dataset, record),
        lineage=lineage.of_version(registry, fresh),
        history=formers(registry, name, history, metric, record),
        generator=generator,
        counts=dataset.spec.counts,
        labels=dataset.spec.condition,
        cost=if_there(workspace.model(name) / "run.json"),
        start_curves=_start_curves(registry, version),
    )


def _drift(registry: Registry, version: Version, entry: Entry, dataset: Dataset, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """How this version's data differs from that of the champion it was compared with; leaves its own for those who come later."""
    statistics, former = drift.Statistics.of(dataset), record.get("former_champion")
    drift.keep(registry, version, statistics)
    if former is None or entry.validation.drift == "off" or former not in registry.versions(version.name):
        return None
    before = drift.kept(registry, registry.version(version.name, former))
    return None if before is None else drift.compare(before, statistics, former, entry.validation).as_record()


def _scores(record: Mapping[str, Any], deciding: str, floors: Mapping[str, str]) -> list[ScoreRow]:
    challenger, champion = record["metrics"]["challenger"] or {}, record["metrics"]["champion"] or {}
    real = (record.get("evaluation") or {}).get("real_against_real") or {}

    def score(key: str) -> ScoreRow:
        floor = floors.get(key, "")
        vetoed = floor and any(reason.startswith(f"{key} ") and floor in reason for reason in record["reasons"])
        known = challenger.get(key), champion.get(key), real.get(key)
        return ScoreRow(key, BETTER.get(key, LOWER), *known, decides=key == deciding, floor=floor, held=not vetoed)

    keys = dict.fromkeys([*challenger, *champion, *floors])
    return [score(key) for key in sorted(keys, key=lambda key: key != deciding)]  # the one that decides first


def _pictures(
    workspace: Workspace, name: str, entry: Entry, dataset: Dataset, registry: Registry, record: Mapping[str, Any]
) -> list[Figure]:
    """The champion that was compared with, the version decided on, and the real ones, from the same latents."""
    files = {path.stem: path for path in sorted((workspace.report(name) / "grids").glob("*.png")) if path.name != _COPIES}
    shown = []
    former = record.get("former_champion")
    if former is not None:
        picture = _drawn(entry, dataset, registry, name, former, f"champion, version {former}")
        shown += [picture] if picture is not None else []
    for stem, caption in (("generated", f"version {record['version']}"), ("real", "real, held out")):
        if stem in files:
            heard, film, read = (files[stem].with_suffix(suffix) for suffix in (".wav", ".webp", ".txt"))
            still = files.pop(stem)
            sound = heard.read_bytes() if heard.is_file() else None
            lines = read.read_text(encoding="utf-8").splitlines() if read.is_file() else ()
            shown.append(Figure(caption, film if film.is_file() else still, sound, lines))
    return shown + [Figure(stem.replace("_", " "), path) for stem, path in files.items()]


def _copies(path: Path) -> Figure | None:
    return Figure("the worst: generated samples beside the nearest training samples", path) if path.is_file() else None


def _earlier(
    entry: Entry, dataset: Dataset, registry: Registry, name: str, history: Sequence[Reign], record: Mapping[str, Any]
) -> list[Figure]:
    numbers = dict.fromkeys(reign.version for reign in reversed(history))
    others = [number for number in numbers if number not in (record["version"], record.get("former_champion"))][:_EARLIER]
    drawn = [_drawn(entry, dataset, registry, name, number, f"version {number}") for number in others]
    return [picture for picture in drawn if picture is not None]


def _drawn(entry: Entry, dataset: Dataset, registry: Registry, name: str, number: int, caption: str) -> Figure | None:
    """What a registered version makes of the latents of the evaluation; None where it is gone, or draws something else."""
    try:
        generator = registry.load(registry.version(name, number))
        spec = dataset.spec
        if (generator.config.kind, generator.config.shape, generator.config.inputs) != (spec.kind, spec.shape, spec.inputs):
            return None
        scoring, seed = kinds.of(spec.kind).scoring, entry.evaluation.seed
        picture = (scoring.films(generator, dataset, seed) or scoring.grids(generator, dataset, seed)).get("generated")
        heard, read = scoring.heard(generator, dataset, seed), scoring.read(generator, dataset, seed)
        return None if picture is None else Figure(caption, picture, heard.get("generated"), read.get("generated", ()))
    except GantryError:
        return None  # the decision says what is wrong with the champion; the page only goes without its picture


def _start_curves(registry: Registry, version: Version) -> Curves:
    try:
        start = registry.find_named(version.tags.get("start", ""))
        return {} if start is None or not start.run_id else registry.curves(start)
    except GantryError:
        return {}  # the page only goes without


def _curves(record: Path) -> Curves:
    try:
        return read_curves(record)
    except DataError:
        return {}


def _quarantine(workspace: Workspace, name: str) -> Quarantine:
    try:
        found = set_aside(workspace, name)
    except DataError:
        found = []
    kinds = Counter(sample.kind for sample in found)
    return Quarantine(len(found), kinds.most_common(), [(sample.path, sample.reason) for sample in found[:_FIRST_ROWS]])
