"""The model registry: versions of each generator, which of them is the champion, and how it came to be.

A version is an MLflow model (the served pyfunc with the generator's folder inside) with tags that say where it came from. The
alias `champion` names the version in use, `challenger` the latest one that was not good enough. MLflow's aliases have no history,
so Gantry keeps its own in a tag of the registered model: each move of `champion` appends a line, and `rollback` reads it backwards.
"""

from __future__ import annotations

import difflib
import fcntl
import json
import random
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from gan_core.errors import ConfigError, DataError, RegistryError
from tasks import kinds
from tasks.params import NAME
from tasks.records import glance, moved, tracking
from tasks.records.curves import Curves
from tasks.records.glance import Held
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

    from gan_core.generator import Generator, GeneratorConfig

CHAMPION, CHALLENGER = "champion", "challenger"

RECORD_TAG = "decision_record"
"""On a version: decision.json as it was written, so that the stage, run again, says the same again."""
MEASURED_TAG = "measured_again"
"""Of a former or present champion: its scores, and how they were measured, the last time that it was scored after its own decision."""
STATUS_TAG = "validation_status"
"""On a version, as MLflow's guide names it: `approved` (the champion), `superseded`, `rolled back`, or `rejected` by the gate."""

HISTORY_TAG = "champions"
"""On a registered model: its history, as `history_text` writes it."""
HISTORY_LENGTH = 50  # what fits the 5,000 characters that a tag may have
ROLLED_BACK_TAG = "rolled_back"
"""On a version: when it was rolled back, UTC, ISO 8601."""
REGISTERED_TAG = "registered"
"""On a version that was copied from another registry: when it was first registered, UTC, ISO 8601."""
LINEAGE_TAG = "lineage"
"""On a version: what only programs read of where it came from, as JSON; `Version.tags` has each part under its own name."""
_FOLDED = frozenset({
    "params", "source", "fit", "dataset_digest", "extractor_hash", "images", "device", "processes", "threads", "step", "flow_run",
    "git_commit", "code_commit", "gantry_version",
})  # fmt: skip
_FOLDED_PREFIXES = ("dvc.", "start")
BY_HAND = "moved by hand"
_LOCK = ".being-moved"  # no entry's name has a dot
_STALE = 300.0  # seconds; a dozen requests to a slow server take less
_METRIC_TAG = "metric."
# Where the generator's folder lies in a version's artifacts.
GENERATOR_FOLDER = "artifacts/generator"
_FILES = ("config.json", "generator.safetensors")
_REFERENCE = re.compile(rf"(?P<name>{NAME.pattern})(/(?P<version>[0-9]{{1,9}})|@(?P<alias>champion|challenger))?")


@dataclass(frozen=True)
class Version:
    """One registered version of a generator."""

    name: str
    number: int
    run_id: str
    """The MLflow run that it came from."""
    source: str
    """Where its artifacts are."""
    tags: Mapping[str, str]
    created: datetime
    description: str = ""

    @property
    def metrics(self) -> dict[str, float]:
        """The scores that it was decided on."""
        return {key.removeprefix(_METRIC_TAG): float(value) for key, value in self.tags.items() if key.startswith(_METRIC_TAG)}

    @property
    def was_rolled_back(self) -> bool:
        return ROLLED_BACK_TAG in self.tags


@dataclass(frozen=True)
class Reign:
    """One line of the champion's history."""

    version: int
    since: str
    """UTC, ISO 8601."""
    how: str
    """`first`, `promoted`, `promoted by hand`, `rolled back`, or `moved by hand` where it was not Gantry."""


@dataclass(frozen=True)
class Summary:
    """What `gantry list` shows of a generator."""

    name: str
    latest: int
    """The number of the latest version."""
    champion: Version | None
    challenger: int | None
    history: tuple[Reign, ...]
    """Oldest first; the last one is the present champion."""


class Registry:
    """The registry of a workspace's tracking server."""

    def __init__(self, workspace: Workspace, client: MlflowClient) -> None:
        self.workspace = workspace
        self.client = client
        self.address = client.tracking_uri
        self.shown = tracking.without_password(self.address)

    @classmethod
    def open(cls, workspace: Workspace) -> Self:
        """Connect, and create the embedded database where there is none yet.

        Raises:
            RegistryError: the registry cannot be reached.
        """
        return cls(workspace, tracking.client(workspace))

    @staticmethod
    def look(workspace: Workspace) -> Registry:
        """Connect to look at versions, as `open`; the workspace's own registry is read without MLflow, whose import takes two seconds.

        Raises:
            RegistryError: as `open`.
        """
        database = tracking.own_database(workspace)
        if database is None or not glance.is_known(database):
            return Registry.open(workspace)
        tracking.settle(workspace)
        return _Seen(workspace, database)

    def names(self) -> list[str]:
        """Every registered generator."""
        return sorted(model.name for model in self.models())

    def models(self) -> list[Any]:
        """MLflow's registered models that can be generators: not the locks, and not what others named as no entry is named."""
        with tracking.errors(self.address):
            return [model for model in tracking.pages(self.client.search_registered_models) if NAME.fullmatch(model.name)]

    def versions(self, name: str) -> list[int]:
        """The numbers of all versions that are there, ascending."""
        return [version.number for version in self.all_versions(name)]

    def all_versions(self, name: str) -> list[Version]:
        """All versions that are there, oldest first."""
        with tracking.errors(self.address):
            found = tracking.pages(self.client.search_model_versions, filter_string=f"name='{name}'")
            return sorted((_version(version) for version in found), key=lambda version: version.number)

    def version(self, name: str, number: int) -> Version:
        """One version.

        Raises:
            ConfigError: there is none of that name or number; says which there are.
        """
        found = self._find_version(name, number)
        if found is None:
            there = self.versions(name)
            if not there:
                raise self._unknown(name)
            raise ConfigError(f"{name}: no version {number} in {self.shown}; it has {_listed(there)}")
        return found

    def find_named(self, reference: str) -> Version | None:
        """The version `NAME/VERSION`; None where there is none, or the reference is of another form."""
        matched = _REFERENCE.fullmatch(reference)
        if matched is None or not matched["version"]:
            return None
        return self._find_version(matched["name"], int(matched["version"]))

    def curves(self, version: Version) -> Curves:
        """What MLflow holds of the record of a version's training: (images, value) by name.

        Raises:
            RegistryError: the registry cannot be reached, or has no such run any more.
        """
        with tracking.errors(self.address):
            # A run that was resumed after an earlier Gantry began it has a number under two keys, of which the one with a section is whole.
            keys = sorted(self.client.get_run(version.run_id).data.metrics, key=lambda key: "/" in key)
            named = [(name, key) for key in keys if (name := tracking.curve_name(key)) is not None]
            found = {name: self.client.get_metric_history(version.run_id, key) for name, key in named}
        return {key: sorted((point.step, point.value) for point in points) for key, points in found.items()}

    def champion(self, name: str) -> Version | None:
        """The version that the alias `champion` names; None where there is none."""
        number = self.aliases(name).get(CHAMPION)
        return None if number is None else self._find_version(name, number)

    def history(self, name: str) -> tuple[Reign, ...]:
        """How the champion came to be, oldest first, brought level with where the alias stands."""
        model = self.model(name)
        if model is None:
            return ()
        return brought_level(self.history_kept(model), {alias: int(number) for alias, number in model.aliases.items()})

    def history_kept(self, model: Any) -> tuple[Reign, ...]:
        """The history as it stands with one of MLflow's registered models, which may be behind where the alias stands."""
        return read_history(model.tags, f"{self.shown}: the tag {HISTORY_TAG!r} of {model.name}")

    def held(self, name: str) -> Held:
        """What there is of a generator."""
        model = self.model(name)
        if model is None:
            return Held({}, {}, {})
        generators = {version.number: version.tags.get("generator_sha256") for version in self.all_versions(name)}
        return Held(generators, {alias: int(number) for alias, number in model.aliases.items()}, model.tags)

    def find(self, name: str, training_run: str, sha256: str) -> Version | None:
        """The version that was made from this generator of this training, if there is one."""
        with tracking.errors(self.address):
            tagged = f"name='{name}' and tags.training_run='{training_run}'"
            found = [_version(version) for version in tracking.pages(self.client.search_model_versions, filter_string=tagged)]
            same = sorted((one for one in found if one.tags.get("generator_sha256") == sha256), key=lambda one: one.number)
            return self._without_twins(same) if same else None

    def _without_twins(self, versions: list[Version]) -> Version:
        """The first of some versions, or the one of the same files that an alias names.

        Others of the same files are it once more: the answer to the request for it was lost, and it was sent again. Their records go.
        """
        twins = [version for version in versions if version.source == versions[0].source]
        if len(twins) == 1:
            return twins[0]
        named = set(self.aliases(twins[0].name).values())
        kept = next((twin for twin in twins if twin.number in named), twins[0])
        for twin in twins:
            if twin is not kept and twin.number not in named:
                self.client.delete_model_version(twin.name, str(twin.number))
        return kept

    def add(self, name: str, run_id: str, folder: Path, tags: Mapping[str, str], description: str) -> Version:
        """Register the generator in `folder` as a new version that MLflow can serve.

        Raises:
            DataError: the folder holds no whole generator.
            RegistryError: the registry refuses it or cannot be reached.
        """
        from gan_core.generator import read_config

        config = read_config(folder)
        with tracking.errors(self.address):
            self.create_model(name, f"A generator of {config.kind}, kept by Gantry.")
            model = self.log_model(run_id, config, partial(_save_servable, folder))
            created = self.client.create_model_version(
                name, model.artifact_location, run_id, tags=folded(tags), description=description, model_id=model.model_id
            )
            same = tracking.named_by(self.client, model.artifact_location)
            found = [self._find_version(name, number) for _, number in sorted(same)]
            return self._without_twins([one for one in found if one is not None] or [_version(created)])

    def log_model(self, run_id: str, config: GeneratorConfig, save: Callable[[Path, str, str], None]) -> LoggedModel:
        """Keep a model with a run, for a version to name.

        Args:
            config: of the generator in it.
            save: writes the MLflow model to a new folder, given that, the run and the model's id.

        Raises:
            RegistryError: the registry refuses it or cannot be reached.
        """
        from mlflow.entities import LoggedModelOutput

        tracking.settle(self.workspace)
        with tracking.errors(self.address):
            experiment = self.client.get_run(run_id).info.experiment_id
            model = self.client.create_logged_model(experiment, name="generator", source_run_id=run_id, model_type=config.recipe)
            self._delete_pending(experiment, run_id, model.model_id)
            with tempfile.TemporaryDirectory() as temporary:
                saved = Path(temporary) / "model"
                save(saved, run_id, model.model_id)
                self.client.log_model_artifacts(model.model_id, str(saved))
            self.client.finalize_logged_model(model.model_id, "READY")
            self.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=config.images)])
            return model

    def _delete_pending(self, experiment: str, run_id: str, but: str) -> None:
        """Remove the models of a run that were begun and never written: of a crash, or of a request that was sent again."""
        from mlflow.entities import LoggedModelStatus

        condition = f"source_run_id='{run_id}'"
        for model in list(tracking.pages(self.client.search_logged_models, experiment_ids=[experiment], filter_string=condition)):
            if model.model_id != but and model.status == LoggedModelStatus.PENDING:
                self.client.delete_logged_model(model.model_id)

    def set_tags(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""
        with tracking.errors(self.address):
            self._set_tags(version.name, version.number, tags)

    def _set_tags(self, name: str, number: int, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self.client.set_model_version_tag(name, str(number), key, value)

    def describe(self, version: Version, text: str) -> None:
        """Set the text that MLflow's page shows for a version."""
        with tracking.errors(self.address):
            self.client.update_model_version(version.name, str(version.number), text)

    def set_challenger(self, version: Version) -> None:
        """Let the alias `challenger` name this version."""
        with tracking.errors(self.address):
            self.client.set_registered_model_alias(version.name, CHALLENGER, str(version.number))

    def move_champion(self, version: Version, expected: int | None, how: str) -> None:
        """Let the alias `champion` name this version, if it still names `expected`.

        Raises:
            RegistryError: the champion is another one by now; nothing was changed.
        """
        with self.alone(version.name):
            history = self.history(version.name)
            aliases = self.aliases(version.name)
            present = aliases.get(CHAMPION)
            if present != expected:
                raise RegistryError(
                    f"{self.shown}: the champion of {version.name} is {_spoken(present)} now, and was {_spoken(expected)} when it was "
                    "compared; nothing was changed, run it again"
                )
            history = (*history, Reign(version.number, _now(), how))
            with tracking.errors(self.address):
                self.client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
                self.client.set_registered_model_tag(version.name, HISTORY_TAG, history_text(history))
                self._set_tags(version.name, version.number, {STATUS_TAG: "approved"})
                if present is not None:
                    self._set_tags(version.name, version.number, {"former_champion": str(present)})
                    if self._find_version(version.name, present) is not None:
                        left = "rolled back" if how == "rolled back" else "superseded"
                        self._set_tags(version.name, present, {STATUS_TAG: left, "succeeded_by": str(version.number)})
                if version.was_rolled_back and how != "rolled back":
                    self.client.delete_model_version_tag(version.name, str(version.number), ROLLED_BACK_TAG)
                if CHALLENGER in aliases and aliases[CHALLENGER] <= version.number:
                    self.client.delete_registered_model_alias(version.name, CHALLENGER)

    def remove(self, version: Version) -> None:
        """Delete a version with its files, for good.

        Raises:
            RegistryError: an alias names it by now, or its files lie outside of the workspace that keeps them; nothing was deleted.
        """
        with self.alone(version.name):
            aliases = [alias for alias, number in self.aliases(version.name).items() if number == version.number]
            if aliases:
                raise RegistryError(f"{self.shown}: {version.name} version {version.number} is the {aliases[0]} now; it was not deleted")
            tracking.settle(self.workspace)
            present = self._find_version(version.name, version.number)
            if present is None:
                return
            with tracking.errors(self.address):
                # Its record goes last, so that what a crash leaves is found again.
                if tracking.named_by(self.client, present.source) == [(present.name, present.number)]:
                    tracking.delete_artifacts(self.workspace, self.client, present.source)
                self.client.delete_model_version(version.name, str(version.number))

    def download(self, version: Version, folder: Path) -> Path:
        """Copy the whole MLflow model of a version below `folder`; returns where it lies, with the generator in `GENERATOR_FOLDER`."""
        return self._download(version, version.source, folder)

    def load(self, version: Version, device: str = "cpu") -> Generator:
        """The generator of a version, from the registry's artifacts.

        Raises:
            DataError: its files are missing or damaged.
            RegistryError: the registry cannot be reached.
        """
        from gan_core.generator import Generator

        with tempfile.TemporaryDirectory() as temporary:
            source = f"{version.source.rstrip('/')}/{GENERATOR_FOLDER}"
            return Generator.load(self._download(version, source, Path(temporary)), device)

    def has_files(self, version: Version) -> bool:
        """Whether a version's generator is where the registry says, going by the names of its files.

        Raises:
            RegistryError: what keeps them cannot be reached.
        """
        from mlflow.artifacts import list_artifacts

        with tracking.errors(self.address):
            found = list_artifacts(artifact_uri=f"{version.source.rstrip('/')}/{GENERATOR_FOLDER}", tracking_uri=self.address)
        return set(_FILES) <= {PurePosixPath(file.path).name for file in found}

    def _download(self, version: Version, source: str, folder: Path) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        with tracking.errors(self.address):
            try:
                return Path(download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=self.address))
            except (OSError, MlflowException) as error:
                if tracking.is_outage(error):
                    raise
                raise self._lost(version, source) from error

    def _lost(self, version: Version, source: str) -> DataError:
        where = f"{self.shown}: {version.name} version {version.number}"
        return DataError(f"{where} has lost its files, {source}; restore them, or choose another version")

    def model(self, name: str) -> Any:
        """MLflow's registered model, or None."""
        from mlflow.exceptions import MlflowException

        with tracking.errors(self.address):
            try:
                return self.client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def aliases(self, name: str) -> dict[str, int]:
        """Which versions `champion` and `challenger` name, as far as there are any."""
        model = self.model(name)
        return {} if model is None else {alias: int(number) for alias, number in model.aliases.items()}

    def _find_version(self, name: str, number: int) -> Version | None:
        from mlflow.exceptions import MlflowException

        with tracking.errors(self.address):
            try:
                return _version(self.client.get_model_version(name, str(number)))
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def create_model(self, name: str, description: str, tags: Mapping[str, str] | None = None) -> bool:
        """Create a registered model; False where there is one of that name."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name, tags=None if tags is None else dict(tags), description=description)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return False
        return True

    def _unknown(self, name: str) -> ConfigError:
        names = self.names()
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names) or 'none'}."
        return ConfigError(f"{name}: no such generator in {self.shown}; {hint} `gantry run NAME` trains and registers one")

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Only one process moves a generator's champion at a time: of this workspace, and of all that share its server."""
        self.workspace.private.mkdir(exist_ok=True)
        with (self.workspace.private / f"registry-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with nullcontext() if tracking.is_own(self.workspace) else self._alone_on_server(f"{name}{_LOCK}"):
                yield

    @contextmanager
    def _alone_on_server(self, lock: str) -> Iterator[None]:
        """MLflow knows no compare-and-set; but of several who create a registered model of one name at once, one succeeds.

        A lock that stays as it is for `_STALE` seconds is of a process that died, and taken away.
        """
        me, seen, since = uuid4().hex, None, time.monotonic()
        with tracking.errors(self.address):
            while not self.create_model(lock, me):
                holder = self.model(lock)
                if holder is not None and holder.description == me:
                    break  # the answer was lost, and the request sent again
                if holder is None or holder.description != seen:
                    seen, since = None if holder is None else holder.description, time.monotonic()
                elif time.monotonic() - since > _STALE:
                    self.client.delete_registered_model(lock)
                time.sleep(random.uniform(0.05, 0.2))  # noqa: S311
        try:
            yield
        finally:
            with tracking.errors(self.address):
                holder = self.model(lock)
                if holder is not None and holder.description == me:
                    self.client.delete_registered_model(lock)


class _Seen(Registry):
    """A workspace's own registry, read from its files. What is more than a look goes through MLflow's client, made when it is needed."""

    def __init__(self, workspace: Workspace, database: Path) -> None:
        self.workspace = workspace
        self.address = tracking.address(workspace)
        self.shown = tracking.without_password(self.address)
        self._database = database

    @cached_property
    def client(self) -> MlflowClient:  # type: ignore[override]
        if not self._database.exists():  # it was there, and a look makes no new one
            raise RegistryError(f"{self.shown}: MLflow's database is not there any more; bring it back, and run it again")
        return tracking.client(self.workspace)

    def models(self) -> list[Any]:
        with suppress(sqlite3.Error):
            return [model for model in glance.models(self._database) if NAME.fullmatch(model.name)]
        return super().models()

    def model(self, name: str) -> Any:
        with suppress(sqlite3.Error):
            return next((model for model in glance.models(self._database) if model.name == name), None)
        return super().model(name)

    def all_versions(self, name: str) -> list[Version]:
        with suppress(sqlite3.Error):
            return [_version(version) for version in glance.model_versions(self._database, name)]
        return super().all_versions(name)

    def _find_version(self, name: str, number: int) -> Version | None:
        return next((version for version in self.all_versions(name) if version.number == number), None)

    def has_files(self, version: Version) -> bool:
        folder = moved.local_path(version.source)
        if folder is None:
            return super().has_files(version)
        return all((folder / GENERATOR_FOLDER / file).is_file() for file in _FILES)

    def _download(self, version: Version, source: str, folder: Path) -> Path:
        there = moved.local_path(source)
        if there is None or not there.is_dir():
            return super()._download(version, source, folder)
        try:
            return Path(shutil.copytree(there, folder / there.name))
        except (OSError, shutil.Error) as error:
            raise self._lost(version, source) from error


@dataclass(frozen=True)
class Moved:
    """What became of the alias `champion`, by hand."""

    name: str
    champion: int
    """The version that is the champion now."""
    before: int | None
    """The one that was; the same where nothing was done."""
    in_words: str


def promote(workspace: Workspace, name: str, number: int) -> Moved:
    """Make a version the champion by hand, after seeing that it can be loaded.

    Raises:
        ConfigError: no such generator or version.
        DataError: the version's files are damaged.
        RegistryError: the registry cannot be reached.
    """
    registry = Registry.open(workspace)
    version = registry.version(name, number)
    champion = registry.champion(name)
    if champion is not None and champion.number == number:
        return Moved(name, number, number, f"{name}: version {number} is the champion already")
    registry.load(version)
    before = None if champion is None else champion.number
    registry.move_champion(version, before, "promoted by hand")
    return Moved(name, number, before, f"{name}: version {number} is the champion now{f', in place of version {before}' if before else ''}")


def rollback(workspace: Workspace, name: str) -> Moved:
    """Give the champion's place back to the one before.

    The version that loses it is marked, so that neither a later rollback nor the gate brings it back by itself.

    Raises:
        ConfigError: no such generator, or no former champion to go back to.
        DataError: the former champion's files are damaged.
        RegistryError: the registry cannot be reached.
    """
    registry = Registry.open(workspace)
    history = registry.history(name)
    if not history and not registry.versions(name):
        raise registry._unknown(name)
    champion = registry.champion(name)
    present = None if champion is None else champion.number
    former, deleted, set_aside = _former(registry, name, history, present)
    if former is None:
        why = [f"version {number} was deleted" for number in deleted] + [f"version {number} was rolled back" for number in set_aside]
        there = _listed(registry.versions(name))
        because = f" ({', '.join(why)})" if why else ""
        raise ConfigError(f"{name}: no former champion to go back to{because}; `gantry promote {name} VERSION` takes one of {there}")
    registry.load(former)
    registry.move_champion(former, present, "rolled back")
    if champion is not None:
        registry.set_tags(champion, {ROLLED_BACK_TAG: _now()})
    left = "" if champion is None else f", version {champion.number} is set aside"
    notes = "".join(f"; version {number} was deleted and is passed over" for number in deleted)
    return Moved(name, former.number, present, f"{name}: version {former.number} is the champion again{left}{notes}")


def summaries(workspace: Workspace) -> dict[str, Summary]:
    """What the registry holds of each generator, by name. A workspace without a registry has none, and gets none by asking.

    Raises:
        RegistryError: the registry cannot be reached.
    """
    if not tracking.exists(workspace):
        return {}
    registry = Registry.look(workspace)
    found = {}
    for model in registry.models():
        challenger = model.aliases.get(CHALLENGER)
        found[model.name] = Summary(
            name=model.name,
            latest=max(registry.versions(model.name), default=0),
            champion=registry.champion(model.name),
            challenger=None if challenger is None else int(challenger),
            history=registry.history(model.name),
        )
    return found


def is_reference(text: str) -> bool:
    """Whether a text reads like `NAME`, `NAME/VERSION` or `NAME@challenger`. A relative folder that does is written `./NAME`."""
    return _REFERENCE.fullmatch(text) is not None


def load_generator(workspace: Workspace, reference: str | Path, device: str = "cpu") -> Generator:
    """The generator that a person names.

    Args:
        reference: `NAME` for its champion, `NAME/VERSION`, `NAME@challenger`, or a folder: a generator's, or one that holds
            `generator/`, as models/NAME does. A relative folder that reads like a name is written `./NAME`.

    Raises:
        ConfigError: there is no such generator, version, alias or folder.
        DataError: its files are damaged.
        RegistryError: the registry cannot be reached.
    """
    if isinstance(reference, Path) or not is_reference(reference):
        return _load_folder(Path(reference), device)
    registry, version = resolve(workspace, reference)
    return registry.load(version, device)


def resolve(workspace: Workspace, reference: str) -> tuple[Registry, Version]:
    """The version that `NAME` (its champion), `NAME/VERSION` or `NAME@challenger` names.

    Raises:
        ConfigError: there is no such generator, version or alias, or the reference is of another form.
        RegistryError: the registry cannot be reached.
    """
    matched = _REFERENCE.fullmatch(reference)
    if matched is None:
        raise ConfigError(f"{reference[:80]!r} names no registered generator; write NAME, NAME/VERSION or NAME@challenger")
    name = matched["name"]
    if not tracking.exists(workspace):
        raise ConfigError(f"{name}: this workspace has no registry yet; `gantry run {name}` trains and registers it")
    registry = Registry.look(workspace)
    if matched["version"]:
        return registry, registry.version(name, int(matched["version"]))
    alias = matched["alias"] or CHAMPION
    number = registry.aliases(name).get(alias)
    if number is None:
        there = registry.versions(name)
        if not there:
            raise registry._unknown(name)
        raise ConfigError(
            f"{name}: has no {alias}; it has {_listed(there)}: `gantry report {name}` says why; ask for `{name}/{there[-1]}`, or "
            f"`gantry promote {name} VERSION`"
        )
    return registry, registry.version(name, number)


def read_history(tags: Mapping[str, str], where: str) -> tuple[Reign, ...]:
    """The history that the tags of a registered model hold.

    Raises:
        RegistryError: it is damaged; begins with `where`.
    """
    try:
        return tuple(Reign(**line) for line in json.loads(tags.get(HISTORY_TAG, "[]")))
    except (ValueError, TypeError):
        raise RegistryError(f"{where} is damaged; delete it to start a new history") from None


def brought_level(history: tuple[Reign, ...], aliases: Mapping[str, int]) -> tuple[Reign, ...]:
    """A history with one more line where the alias `champion` was moved by somebody who wrote none."""
    number = aliases.get(CHAMPION)
    if number is None or (history and history[-1].version == number):
        return history
    return (*history, Reign(number, _now(), BY_HAND))


def history_text(history: Iterable[Reign]) -> str:
    """A history as its tag holds it."""
    return json.dumps([vars(reign) for reign in [*history][-HISTORY_LENGTH:]], separators=(",", ":"))


def folded(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of a version as they are written: those of its lineage as one, so that a person sees the others on MLflow's page.

    One tag and no file, since it comes with the version, and a file would be one more request for each.
    """
    lineage = {key: value for key, value in tags.items() if key in _FOLDED or key.startswith(_FOLDED_PREFIXES)}
    others = {key: value for key, value in tags.items() if key not in lineage}
    return {**others, LINEAGE_TAG: json.dumps(lineage)} if lineage else others


def unfolded(tags: Mapping[str, str]) -> dict[str, str]:
    """The reverse of `folded`. Tags of versions that were made before it, or that somebody set by hand, stay as they are."""
    try:
        lineage = json.loads(tags.get(LINEAGE_TAG, "{}"))
    except ValueError:  # somebody else's
        return dict(tags)
    if not isinstance(lineage, dict) or not all(isinstance(value, str) for value in lineage.values()):
        return dict(tags)
    others = {key: value for key, value in tags.items() if key != LINEAGE_TAG}
    return {**others, **{key: value for key, value in lineage.items() if key not in others}}


def metric_tags(scores: Mapping[str, float]) -> dict[str, str]:
    """Scores as tags of a version, from which `Version.metrics` reads them back."""
    return {f"{_METRIC_TAG}{key}": repr(float(value)) for key, value in scores.items()}


def _save_servable(folder: Path, path: Path, run_id: str, model_id: str) -> None:
    """Write the MLflow model: a copy of served_model.py, the generator's folder, signature and input example."""
    import pandas as pd
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    from gan_core.generator import read_config
    from tasks.records import served_model
    from tasks.serving.asked import DEFAULTS

    config = read_config(folder)
    answered = [ColSpec(kind, name) for kind, name in kinds.of(config.kind).answered(config)]
    asked = DEFAULTS
    types = {str: "string", int: "long", float: "double", bool: "boolean"}
    params = [ParamSpec(key, types[type(default)], default) for key, default in asked.items()]
    example, condition = pd.DataFrame(), config.condition
    if condition is not None and config.inputs is None:
        example = pd.DataFrame({"label": [condition.named(label) for label in condition.evenly(2)]})
    if config.prompts:
        example = pd.DataFrame({"prompt": list(config.prompts[:2])})
    model = Model(run_id=run_id, model_id=model_id)
    tracking.know_no_other_packages()
    pyfunc.save_model(
        path,
        python_model=served_model.__file__,
        artifacts={"generator": str(folder)},
        signature=ModelSignature(
            # No inputs: MLflow would drop every column that is not among them, and the model could not refuse a misspelt one.
            outputs=Schema(answered),
            params=ParamSchema(params),
        ),
        input_example=(example, asked),
        # Given, or MLflow would find them out by loading the model once more.
        pip_requirements=["gantry-gan"],
        mlflow_model=model,
    )
    # MLflow notes where the folder was copied from: a path of this machine, of no use to anybody who has the version.
    model.flavors[pyfunc.FLAVOR_NAME]["artifacts"]["generator"]["uri"] = GENERATOR_FOLDER
    model.save(str(path / "MLmodel"))


def _former(registry: Registry, name: str, history: tuple[Reign, ...], present: int | None) -> tuple[Version | None, list[int], list[int]]:
    """The last champion before the present one that can take its place again; and which later ones were deleted or rolled back."""
    deleted: list[int] = []
    set_aside: list[int] = []
    for reign in reversed(history):
        if reign.version in (present, *deleted, *set_aside):
            continue
        version = registry._find_version(name, reign.version)
        if version is None:
            deleted.append(reign.version)
        elif version.was_rolled_back:
            set_aside.append(reign.version)
        else:
            return version, deleted, set_aside
    return None, deleted, set_aside


def _load_folder(folder: Path, device: str) -> Generator:
    from gan_core.generator import Generator

    for candidate in (folder, folder / "generator"):
        if (candidate / "config.json").is_file():
            return Generator.load(candidate, device)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; name a generator as NAME or NAME/VERSION, or the folder of one")
    raise ConfigError(f"{folder}: holds no generator (config.json and generator.safetensors)")


def _version(found: Any) -> Version:
    return Version(
        name=found.name,
        number=int(found.version),
        run_id=found.run_id or "",
        source=found.source,
        tags=unfolded(found.tags),
        created=datetime.fromisoformat(found.tags[REGISTERED_TAG])
        if REGISTERED_TAG in found.tags
        else datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
        description=found.description or "",
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _spoken(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[-20:])
    return f"version{'s' if len(numbers) != 1 else ''} {'..., ' if len(numbers) > 20 else ''}{shown}"
