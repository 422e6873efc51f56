"""A registered version made again: its data by DVC hash, its parameters, its training; and whether the weights come out the same.

All of it happens in a temporary workspace with a registry of its own, so that this one's data, models and runs stay as they are.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.errors import ConfigError, DataError, GantryError, TrainingError
from gan_core.params import TabularParams
from tasks import params
from tasks.graph import repro
from tasks.graph.dvc_data import bringing
from tasks.params import Entry
from tasks.records import lineage
from tasks.records.registry import Registry, Version, resolve
from tasks.start import write_scratch
from tasks.trials import aside
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from gan_core.generator import Generator


@dataclass(frozen=True)
class Reproduction:
    """How it came out."""

    name: str
    version: int
    equal: bool
    """Whether the weights are the registered ones, bit for bit."""
    registered: str
    """sha256 of the registered weights."""
    found: str
    """sha256 of the weights that came out now."""
    largest_difference: float | None
    """Between a weight and the registered one; None where the networks differ or the registered weights are lost."""
    checkpoint_equal: bool | None
    """The same of the players and their optimisers; None where the registered checkpoint cannot be brought back."""
    notes: tuple[str, ...]
    """What differs between then and now, a line each."""

    @property
    def in_words(self) -> str:
        """The outcome in a line."""
        if self.equal:
            return f"{self.name} version {self.version}: equal, the weights came out as registered, sha256 {self.found[:16]}"
        apart = "" if self.largest_difference is None else f", the largest difference of a weight is {self.largest_difference:.2g}"
        return f"{self.name} version {self.version}: not equal, sha256 {self.found[:16]}, and {self.registered[:16]} is registered{apart}"


def reproduce(workspace: Workspace, reference: str, output: int | None = None) -> Reproduction:
    """Make a registered version again, with the code as it is, and compare the weights.

    Args:
        reference: `NAME/VERSION`, or `NAME` for its champion.
        output: file descriptor for what the training says; None: as this process.

    Raises:
        ConfigError: no such version, or one that does not say how it was made, or whose noise is secret.
        DataError: its data is neither in DVC's cache nor in a remote, or is not what it was.
        TrainingError: the training ended in error.
        RegistryError: the registry cannot be reached.
    """
    registry, version = resolve(workspace, reference)
    entry, said = _entry(version), version.tags.get
    if isinstance(entry.train, TabularParams) and entry.train.privacy is not None:
        raise ConfigError(
            f"{version.name} version {version.number} was trained with train.privacy: its noise is secret, and was not kept, so nobody can "
            "make it again; train it anew with gantry run"
        )
    for tag in ("dvc.ready", "generator_sha256"):
        if not said(tag):
            raise ConfigError(f"{version.name} version {version.number} carries no tag {tag!r}, so it cannot be made again")
    repro.prepare(workspace)
    with tempfile.TemporaryDirectory(prefix="gantry-reproduce-") as temporary:
        there = Workspace(Path(temporary))
        with bringing(workspace, there) as bring:
            ready = there.ready(version.name)
            bring(said("dvc.ready", ""), ready)
            if said("dvc.start"):
                bring(said("dvc.start", ""), there.start(version.name))
            else:
                write_scratch(there.start(version.name))
            kept = there.root / "registered" / "checkpoint"
            has_checkpoint = bool(said("dvc.checkpoint")) and _succeeds(lambda: bring(said("dvc.checkpoint", ""), kept))
        _check_data(version, ready)
        _train(there, version, entry, output)
        return _compared(registry, version, there, kept if has_checkpoint else None, _notes(version, entry))


def _entry(version: Version) -> Entry:
    """The entry that a version was made by, with as many processes, threads and images as it had, and steps played as then."""
    try:
        section = json.loads(version.tags["params"])
        section["train"] = {
            **section["train"],
            **{key: int(version.tags[key]) for key in ("processes", "threads", "images") if key in version.tags},
            **({"compile": "on" if version.tags["step"] == "compiled" else "off"} if "step" in version.tags else {}),
        }
        return params.parse({"generators": {version.name: section}}, where=f"{version.name} version {version.number}")[version.name]
    except (KeyError, ValueError, TypeError):
        raise ConfigError(
            f"{version.name} version {version.number} does not say by which parameters it was made (tag 'params'); "
            "versions that this Gantry registers do"
        ) from None


def _succeeds(act: Callable[[], None]) -> bool:
    try:
        act()
    except GantryError:
        return False
    return True


def _check_data(version: Version, ready: Path) -> None:
    from gan_core.data.dataset import Dataset

    digest, expected = Dataset.open(ready).spec.digest, version.tags.get("dataset_digest")
    if expected and digest != expected:
        raise DataError(f"{version.name} version {version.number}: the data of its DVC hash has digest {digest}, and it names {expected}")


def _train(there: Workspace, version: Version, entry: Entry, output: int | None) -> None:
    """The train stage in a process of its own, with a registry of its own."""
    aside.write_params(there, version.name, json.loads(lineage.params_text(entry)))
    say = partial(print, file=sys.stderr)
    code = aside.run("tasks.train", version.name, there, {"MLFLOW_TRACKING_URI": None}, entry.train.device, say, output)
    if code:
        raise TrainingError(f"{version.name} version {version.number}: the training ended with exit code {code}")


def _compared(registry: Registry, version: Version, there: Workspace, kept: Path | None, notes: list[str]) -> Reproduction:
    from gan_core.generator import Generator

    generator = Generator.load(there.model(version.name) / "generator")
    registered, found = version.tags["generator_sha256"], generator.config.sha256
    difference: float | None = 0.0
    if found != registered:
        try:
            difference = _largest_difference(registry.load(version), generator)
        except DataError as error:
            difference = None
            notes.append(str(error))
    checkpoint = None
    if kept is not None:
        checkpoint = _checkpoint_digest(kept) == _checkpoint_digest(there.model(version.name) / "checkpoint")
    else:
        notes.append("the registered checkpoint could not be brought back, so it was not compared")
    return Reproduction(version.name, version.number, found == registered, registered, found, difference, checkpoint, tuple(notes))


def _largest_difference(one: Generator, other: Generator) -> float | None:
    first, second = one.network.state_dict(), other.network.state_dict()
    if {key: value.shape for key, value in first.items()} != {key: value.shape for key, value in second.items()}:
        return None
    return max((float((first[key].double() - second[key].double()).abs().max()) for key in first if first[key].numel()), default=0.0)


def _checkpoint_digest(folder: Path) -> Any:
    try:
        return json.loads((folder / "state.json").read_text())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _notes(version: Version, entry: Entry) -> list[str]:
    """What is not as it was when the version was made."""
    from importlib.metadata import version as installed

    from gan_core.device import choose_device

    said = version.tags.get
    now = {
        "code_commit": (lineage.code_commit(), "the code's git commit"),
        "gantry_version": (installed("gantry-gan"), "Gantry's version"),
        "device": (choose_device(entry.train.device).type, "the device"),
    }
    notes = [f"{what} is {value} now, and was {said(tag)}" for tag, (value, what) in now.items() if said(tag) and value != said(tag)]
    return notes if said("threads") else [*notes, "the number of threads was not recorded; another one gives other weights"]
