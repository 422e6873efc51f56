"""Generators copied from one registry to another, such as from the `mlflow.db` of one person to a team's server, and back.

A copy is what the original is: the same numbers, files, tags, decisions and history, the same champion. A registry that has a part of it
is brought level, as far as it has nothing of its own; one that is ahead is left as it is; two that went different ways are refused.

A version appears whole: its run and files are copied first, and loaded from there. Of a generator whose copy is under way the history
comes first and the alias `champion` last. Meanwhile it has no champion but a history of some, and so the gate takes nobody for the first.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from gan_core.errors import ConfigError, DataError, RegistryError
from tasks.records import tracking
from tasks.records.registry import (
    BY_HAND,
    CHALLENGER,
    CHAMPION,
    GENERATOR_FOLDER,
    HISTORY_LENGTH,
    HISTORY_TAG,
    REGISTERED_TAG,
    ROLLED_BACK_TAG,
    Registry,
    Reign,
    Version,
    folded,
    history_text,
)
from tasks.system.locks import check_free, copying
from tasks.workspace import Workspace

_SHA256_TAG, _TRAINING_TAG = "generator_sha256", "training_run"  # as the register stage sets them
_UNFINISHED_TAG = "being_copied"
"""On a registered model whose copy is under way: its champion before, or nothing."""
_NUMBERED_TAG = "copied_up_to"
"""On a registered model: the highest number that was copied, though the version may be deleted by now."""
_PLACEHOLDER_TAG = "placeholder"
_RUN_TAG = "copied_from"
"""On a run: which one it is a copy of; set last."""
_RUN_BEGUN_TAG = "being_copied_from"
_NOT_OF_A_COPY = (_RUN_BEGUN_TAG, tracking.PARENT_TAG, "mlflow.runName")
_POINTS, _ENTRIES = 1_000, 100  # that MLflow accepts in one request
_TRIES = 3


@dataclass(frozen=True)
class Copied:
    """What was done for one generator."""

    name: str
    versions: tuple[int, ...]
    """The numbers of those that were copied now."""
    left_out: tuple[int, ...]
    """Those that were deleted at the other place."""
    champion: int | None
    """Of the copy."""
    ahead: bool
    """Whether the copy has more than the original, so that nothing was done."""

    @property
    def in_words(self) -> str:
        """What was done, in a line."""
        if self.ahead:
            return f"{self.name}: has all of it there, and more; nothing to copy"
        done = f"{_listed(self.versions)} copied" if self.versions else "nothing new to copy"
        gone = f"; {_listed(self.left_out)} left out, deleted there" if self.left_out else ""
        return f"{self.name}: {done}{gone}; {'no champion' if self.champion is None else f'version {self.champion} is the champion'}"


def copy(source: Registry, target: Registry, name: str | None, say: Callable[[str], None]) -> list[Copied]:
    """Bring a registry level with another one, generator by generator; run again, it goes on where it was stopped.

    Whether each can be copied is looked at before anything is.

    Args:
        source: where they are.
        target: where they are to be.
        name: of one generator; None for all that Gantry registered.
        say: told each version that was copied.

    Raises:
        ConfigError: there is no such generator.
        DataError: a version's files are missing or damaged, here or as they come back from there.
        RegistryError: a registry cannot be reached, or the target has something else by that name.
    """
    if source.address == target.address:
        raise ConfigError(f"{source.shown}: is both what is copied and where to; name another server, or unset MLFLOW_TRACKING_URI")
    found = [_Held.read(source, one) for one in ([name] if name else source.names())]
    if name and not found[0].versions:
        source.version(name, 1)  # says which there are
    ours = [held for held in found if name or any(_SHA256_TAG in one.tags for one in held.versions.values())]
    for held in ours:
        check_free(target.workspace, held.name)
    plans = [(held, _plan(held, _Held.read(target, held.name))) for held in ours]
    for held, plan in plans:
        _check_files(held, plan.new)
    return [_bring(held, target, plan, say) for held, plan in plans]


@dataclass(frozen=True)
class _Held:
    """What a registry holds of one generator."""

    registry: Registry
    name: str
    description: str
    versions: Mapping[int, Version]
    history: tuple[Reign, ...]
    aliases: Mapping[str, int]
    unfinished: str | None
    """Its champion before a copy that did not come to its end, or nothing; None where there is no such copy."""
    numbered: int
    """The highest number that was copied to it; 0 where none was."""

    @classmethod
    def read(cls, registry: Registry, name: str) -> Self:
        model = registry.model(name)
        if model is None:
            return cls(registry, name, "", {}, (), {}, None, 0)
        aliases = {alias: int(number) for alias, number in model.aliases.items()}
        unfinished = model.tags.get(_UNFINISHED_TAG)
        # Of an unfinished copy the alias may be behind the history, which is nobody's doing.
        lags = unfinished is not None and unfinished == _spelt(aliases.get(CHAMPION))
        history = registry.history_kept(model) if lags else registry.history(name)
        versions = {one.number: one for one in registry.all_versions(name) if _PLACEHOLDER_TAG not in one.tags}
        numbered = int(model.tags.get(_NUMBERED_TAG, 0))
        return cls(registry, name, model.description or "", versions, history, aliases, unfinished, numbered)

    @property
    def reached(self) -> int:
        """The highest number that was given away, as far as that is known."""
        return max([self.numbered, *self.versions])

    @property
    def champion(self) -> int | None:
        return self.aliases.get(CHAMPION)


@dataclass(frozen=True)
class _Plan:
    """What is to be done."""

    new: tuple[int, ...]
    left_out: tuple[int, ...]
    ahead: bool
    moves: bool
    """Whether the champion or its history are not those of the original yet."""


def _plan(source: _Held, target: _Held) -> _Plan:
    """Hold the two against each other.

    Raises:
        RegistryError: each has something that the other has not.
    """
    foreign = [number for number, one in source.versions.items() if _SHA256_TAG not in one.tags]
    if foreign:
        raise RegistryError(
            f"{source.name}: {_listed(foreign)} in {source.registry.shown} was not registered by Gantry (no tag {_SHA256_TAG}); "
            "nothing was copied; delete it on MLflow's page, then copy again"
        )
    for number in sorted(source.versions.keys() & target.versions.keys()):
        if _identity(source.versions[number]) != _identity(target.versions[number]):
            raise _conflict(target, f"has another version {number}")
    forward, backward = _continues(source.history, target.history), _continues(target.history, source.history)
    if not forward and not backward:
        raise _conflict(target, f"has had another champion, {_last(target)}, and here it is {_last(source)}")
    related = bool(source.versions.keys() & target.versions.keys()) or (bool(target.history) and bool(source.history))
    if target.versions and not related:
        raise _conflict(target, f"has other versions, {_listed(target.versions)}")
    longer = forward and not backward
    new = tuple(sorted(number for number in source.versions if number > target.reached))
    own = [number for number in target.versions if number > max(source.reached, target.numbered)]
    if (own or (backward and not forward)) and (new or longer):
        more = f"version {own[-1]}" if own else f"the champion {_last(target)}"
        raise _conflict(target, f"has {more} of its own, and here there is more, too")
    ahead = bool(own) or (backward and not forward)
    left_out = tuple(sorted(number for number in source.versions if number <= target.reached and number not in target.versions))
    if not ahead and source.champion in left_out:
        raise _conflict(target, f"has had version {source.champion}, the champion here, deleted")
    moves = not ahead and source.champion is not None and source.champion != target.champion
    if moves and not longer and target.unfinished is None and (target.history or target.champion is not None):
        raise RegistryError(
            f"{source.name}: {target.registry.shown} has lost its champion, {_last(target)}; nothing was copied; "
            f"there, `gantry promote {source.name} {source.champion}` gives it back"
        )
    return _Plan(() if ahead else new, () if ahead else left_out, ahead, moves or (longer and not ahead))


def _bring(source: _Held, target: Registry, plan: _Plan, say: Callable[[str], None]) -> Copied:
    name = source.name
    if plan.ahead:
        return Copied(name, (), (), target.aliases(name).get(CHAMPION), ahead=True)
    with copying(target.workspace, name):
        begun = _begin(source, target) if plan.new or plan.moves else _Held.read(target, name)
        for position, number in enumerate(plan.new, start=1):
            _bring_version(source.registry, target, source.versions[number])
            say(f"{name}: version {number} is there ({position} of {len(plan.new)})")
        _finish(source, target, begun)
    return Copied(name, plan.new, plan.left_out, target.aliases(name).get(CHAMPION), ahead=False)


def _begin(source: _Held, target: Registry) -> _Held:
    """Mark the generator there as one whose copy is under way; returns what there is of it."""
    with target.alone(source.name), tracking.errors(target.address):
        there = _Held.read(target, source.name)
        tags = {_UNFINISHED_TAG: _spelt(there.champion)} if there.unfinished is None else {}
        if there.champion is None and source.history:
            tags[HISTORY_TAG] = history_text(source.history)
        if not target.create_model(source.name, source.description, tags):
            for key, value in tags.items():
                target.client.set_registered_model_tag(source.name, key, value)
        return _Held.read(target, source.name)


def _finish(source: _Held, target: Registry, begun: _Held) -> None:
    """Bring level what was not copied with the versions: what was learned about them later, the history, and at last the champion."""
    name, client = source.name, target.client
    with target.alone(name), tracking.errors(target.address):
        there = _Held.read(target, name)
        if there.aliases != begun.aliases or not _are_same(there.history, begun.history):
            raise _conflict(there, "was changed meanwhile")
        for number in sorted(source.versions.keys() & there.versions.keys()):
            _level(client, source.versions[number], there.versions[number])
        if not _are_same(source.history, target.history_kept(target.model(name))):
            client.set_registered_model_tag(name, HISTORY_TAG, history_text(source.history))
        challenger = source.aliases.get(CHALLENGER)
        if challenger in there.versions and challenger != there.aliases.get(CHALLENGER):
            client.set_registered_model_alias(name, CHALLENGER, str(challenger))
        elif challenger is None and CHALLENGER in there.aliases:
            client.delete_registered_model_alias(name, CHALLENGER)
        if source.champion is not None and source.champion != there.champion:
            client.set_registered_model_alias(name, CHAMPION, str(source.champion))
        if there.unfinished is not None:
            client.delete_registered_model_tag(name, _UNFINISHED_TAG)


def _level(client: Any, original: Version, copied: Version) -> None:
    """What came to be known of a version after it was copied. Tags that somebody set on the copy alone stay."""
    number = str(copied.number)
    for key, value in original.tags.items():
        if copied.tags.get(key) != value:
            client.set_model_version_tag(copied.name, number, key, value)
    if copied.was_rolled_back and not original.was_rolled_back:
        client.delete_model_version_tag(copied.name, number, ROLLED_BACK_TAG)
    if original.description != copied.description:
        client.update_model_version(copied.name, number, original.description)


def _bring_version(source: Registry, target: Registry, version: Version) -> None:
    """Copy a version with its run; it appears when it has been loaded from where it is to be."""
    from gan_core.generator import Generator

    with tempfile.TemporaryDirectory() as temporary:
        model = source.download(version, Path(temporary))
        config = Generator.load(model / GENERATOR_FOLDER).config
        _check_is(source, version, config.sha256)
        run_id = _bring_run(source, target, version.name, version.run_id)
        with tracking.errors(target.address):
            tracking.delete_unnamed_models(target.workspace, target.client, target.client.get_run(run_id).info.experiment_id, run_id)
        logged = target.log_model(run_id, config, partial(_place, model))
    tags = {**version.tags, REGISTERED_TAG: version.created.isoformat()}
    copied = replace(version, run_id=run_id, source=logged.artifact_location, tags=tags)
    _check_is(target, copied, target.load(copied).config.sha256)
    _create(target, copied, logged.model_id)


def _check_is(registry: Registry, version: Version, sha256: str) -> None:
    if sha256 != version.tags[_SHA256_TAG]:
        raise DataError(
            f"{registry.shown}: {version.name} version {version.number} holds another generator than its tag {_SHA256_TAG} says; "
            "it was not copied; restore its files, or delete the version on MLflow's page"
        )


def _check_files(held: _Held, numbers: Iterable[int]) -> None:
    for number in numbers:
        if not held.registry.has_files(held.versions[number]):
            raise DataError(
                f"{held.registry.shown}: {held.name} version {number} has lost its files, {held.versions[number].source}; nothing was "
                "copied; restore them, or delete the version on MLflow's page, then copy again"
            )


def _place(model: Path, path: Path, run_id: str, model_id: str) -> None:
    """Move a version's MLflow model to `path`, as one of that run."""
    from mlflow.models import Model

    shutil.move(model, path)
    described = Model.load(str(path))
    described.run_id, described.model_id = run_id, model_id
    described.save(str(path / "MLmodel"))


def _create(target: Registry, version: Version, model_id: str) -> None:
    """Register files that are there under the very number that they had. MLflow counts, so numbers that are not there are used up."""
    name = version.name
    with target.alone(name), tracking.errors(target.address):
        reached = _reached(target, name)
        while reached < version.number - 1:
            folder = target.client.get_run(version.run_id).info.artifact_uri
            _numbered(target, replace(version, source=folder, tags={_PLACEHOLDER_TAG: "true"}), None)
            reached = _reached(target, name)
        number = _numbered(target, version, model_id) if reached < version.number else None
        whole = number == version.number and target.has_files(version)
        if number is not None and not whole:
            target.client.delete_model_version(name, str(number))
        if not whole:
            there = _Held.read(target, name)
            raise _conflict(there, f"has no place for version {version.number} (it counts on from {max(reached, number or 0)})")
        target.client.set_registered_model_tag(name, _NUMBERED_TAG, str(number))


def _reached(target: Registry, name: str) -> int:
    """The highest number that was given away there; placeholders of it are removed."""
    versions = target.all_versions(name)
    reached = max([int(target.model(name).tags.get(_NUMBERED_TAG, 0)), *(one.number for one in versions)])
    for placeholder in (one for one in versions if _PLACEHOLDER_TAG in one.tags):
        target.client.set_registered_model_tag(name, _NUMBERED_TAG, str(reached))
        target.client.delete_model_version(name, str(placeholder.number))
    return reached


def _numbered(target: Registry, version: Version, model_id: str | None) -> int:
    """Create a version once, also where the answer is lost, since a second one would take the next number; returns its number."""
    from mlflow.exceptions import MlflowException

    for left in reversed(range(_TRIES)):
        try:
            with tracking.sent_once():
                created = target.client.create_model_version(
                    version.name,
                    version.source,
                    version.run_id,
                    tags=folded(version.tags),
                    description=version.description or None,
                    model_id=model_id,
                )
            return int(created.version)
        except MlflowException as error:
            if not tracking.is_outage(error):
                raise
            there = tracking.named_by(target.client, version.source)
            if there:
                return there[-1][1]
            if not left:
                raise
    raise AssertionError("unreachable")


def _bring_run(source: Registry, target: Registry, name: str, run_id: str) -> str:
    """The id of a run's copy, which is made where there is none: parameters, points, data, artifacts, tags."""
    from mlflow.entities import Param, RunTag

    client = target.client
    with tracking.errors(target.address):
        experiment = tracking.experiment(client, target.workspace, name)
        for whole in tracking.runs(client, name, f"tags.{_RUN_TAG} = '{run_id}'"):
            return str(whole.info.run_id)
        for begun in tracking.runs(client, name, f"tags.{_RUN_BEGUN_TAG} = '{run_id}'"):
            tracking.delete_run(target.workspace, client, begun.info.run_id)
    origin = _run(source, run_id)
    started, named = (None, name) if origin is None else (origin.info.start_time, origin.info.run_name)
    with tracking.errors(target.address):
        copied: str = client.create_run(experiment, started, {_RUN_BEGUN_TAG: run_id}, named).info.run_id
    tags, status, ended = {_RUN_TAG: run_id}, "FINISHED", None
    if origin is not None:
        _bring_artifacts(source, target, run_id, copied)
        with tracking.errors(source.address):
            points = [point for key in origin.data.metrics for point in source.client.get_metric_history(run_id, key)]
        with tracking.errors(target.address):
            for start in range(0, len(points), _POINTS):
                client.log_batch(copied, metrics=points[start : start + _POINTS])
            params = [Param(key, value) for key, value in origin.data.params.items()]
            for start in range(0, len(params), _ENTRIES):
                client.log_batch(copied, params=params[start : start + _ENTRIES])
            if origin.inputs.dataset_inputs:
                client.log_inputs(copied, origin.inputs.dataset_inputs)
        tags = {key: value for key, value in origin.data.tags.items() if key not in _NOT_OF_A_COPY} | tags
        if origin.info.status in ("FAILED", "KILLED"):
            status = origin.info.status
        ended = origin.info.end_time
    with tracking.errors(target.address):
        client.set_terminated(copied, status, ended)
        whole = tags.pop(_RUN_TAG)
        entries = [RunTag(key, value) for key, value in tags.items()]
        for start in range(0, len(entries), _ENTRIES):
            client.log_batch(copied, tags=entries[start : start + _ENTRIES])
        client.set_tag(copied, _RUN_TAG, whole)
    return copied


def _run(source: Registry, run_id: str) -> Any:
    """MLflow's run, or None where it was deleted for good."""
    from mlflow.exceptions import MlflowException

    with tracking.errors(source.address):
        try:
            return source.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def _bring_artifacts(source: Registry, target: Registry, run_id: str, copied: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        with tracking.errors(source.address):
            if not source.client.list_artifacts(run_id):
                return
            folder = source.client.download_artifacts(run_id, "", temporary)
        with tracking.errors(target.address):
            tracking.settle(target.workspace)
            target.client.log_artifacts(copied, folder)


def _identity(version: Version) -> tuple[str | None, str | None]:
    return version.tags.get(_TRAINING_TAG), version.tags.get(_SHA256_TAG)


def _continues(history: Sequence[Reign], begin: Sequence[Reign]) -> bool:
    """Whether a history begins as another one does, but for lines that were dropped at the front of a full one."""
    for dropped in range(len(begin) if len(history) >= HISTORY_LENGTH else 1):
        rest = begin[dropped:]
        if len(rest) <= len(history) and all(map(_is_same, history, rest)):
            return True
    return False


def _are_same(one: Sequence[Reign], other: Sequence[Reign]) -> bool:
    return len(one) == len(other) and all(map(_is_same, one, other))


def _is_same(one: Reign, other: Reign) -> bool:
    # When somebody else moved the alias is not known: it is the time when that was seen.
    return one == other or (one.how == other.how == BY_HAND and one.version == other.version)


def _conflict(target: _Held, what: str) -> RegistryError:
    remedy = "decide which of the two counts, rename the registered model of the other on MLflow's page, and copy again"
    return RegistryError(f"{target.name}: {target.registry.shown} {what}; no champion was moved; {remedy}")


def _last(held: _Held) -> str:
    if not held.history:
        return "none"
    reign = held.history[-1]
    return f"version {reign.version} ({reign.how}, {reign.since})"


def _spelt(number: int | None) -> str:
    return "none" if number is None else str(number)


def _listed(numbers: Iterable[int]) -> str:
    shown = [str(number) for number in sorted(numbers)]
    return f"version{'s' if len(shown) != 1 else ''} {', '.join(shown)}"


def opened(workspace: Workspace, uri: str) -> Registry:
    """The registry of a server that a person names.

    Raises:
        ConfigError: it is no address of a server.
        RegistryError: it does not answer.
    """
    if not uri.startswith(("http://", "https://")):
        raise ConfigError(f"{uri[:200]!r} is not the address of an MLflow server, such as http://127.0.0.1:5000")
    if tracking.without_password(uri) != uri:
        raise ConfigError("a password in an address is seen by others; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead")
    return Registry.open(replace(workspace, tracking_uri=uri.rstrip("/")))
