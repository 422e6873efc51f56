"""What a workspace has gathered and no longer needs: old training states, sweeps, versions, runs, and the cache only they referred to.

Kept is whatever could be asked for: every version that an alias names, the latest versions, and the latest champions that a rollback
could go back to, each with its run, its model, and the data, start and checkpoint that `gantry reproduce` takes; what dvc.lock names;
what an unfinished training of the present parameters and data goes on from; and all that is younger than a number of days. Of generators
that are not in params.yaml every version is kept, since somebody else may train them. What lies outside of the workspace, be it by a
link, is left alone unless a server keeps it: others may use it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gan_core.errors import GantryError
from tasks import params
from tasks.graph import dvc_cache, repro
from tasks.params import Entry
from tasks.records import lineage, moved, tracking
from tasks.records.registry import Registry, Version
from tasks.records.stage_files import run_begun
from tasks.system import locks
from tasks.workspace import Workspace

_DAY = 86_400.0


@dataclass(frozen=True)
class Item:
    """One thing that can go."""

    what: str
    """`training state`, `sweep`, `compiled steps`, `version`, `run` or `cache`."""
    name: str
    why: str
    size: int | None
    """Bytes; None where only a server knows."""
    remove: Callable[[], None] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Findings:
    """All that can go, in the order in which it should, and what a person should know of the rest."""

    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all items, as far as they are known."""
        return sum(item.size or 0 for item in self.items)


@contextmanager
def examined(workspace: Workspace, keep: int, days: float) -> Iterator[Findings]:
    """Find what can go. Until the end of the block nobody retrains here, so that what was found stays true while it is removed.

    Args:
        keep: how many of the latest versions, and of the latest champions, each generator keeps.
        days: younger versions, runs and states stay, whatever they are.

    Raises:
        ConfigError: params.yaml or dvc.yaml is wrong, or this is no workspace.
        RegistryError: the registry cannot be reached, so that nobody can tell what is needed.
        GantryError: somebody retrains here, or the cache is damaged where it matters.
    """
    found = params.read(workspace.root)
    entries, names = found.entries, {*found.entries, *filter(params.NAME.fullmatch, found.wrong)}
    repro.prepare(workspace)
    before = time.time() - days * _DAY
    states, sweeps = (
        [path for path in sorted((workspace.private / folder).glob("*/*")) if _is_in(workspace, path)]
        for folder in ("unfinished", "sweeps")
    )
    with ExitStack() as held:
        for name in sorted({*names, *(folder.parent.name for folder in (*states, *sweeps))}):
            held.enter_context(locks.retraining(workspace, name))
            held.enter_context(locks.sweeping(workspace, name))
        repo = held.enter_context(repro.idle(workspace))
        old_states = [
            item for state in states if state.parent.name not in found.wrong for item in _state(workspace, state, entries, before)
        ]
        gone = {item.name for item in old_states}
        items = old_states + [item for folder in sweeps for item in _sweep(folder, before)]
        items += [item for folder in sorted(workspace.compiled.glob("*")) for item in _compiled(workspace, folder, before)]
        needed = set(tracking.dvc_hashes(workspace).values())
        notes = [f"{name} is left alone, since params.yaml is wrong: {lines[0]}" for name, lines in found.wrong.items()]
        if tracking.exists(workspace):
            records = _Records(workspace, entries, [state for state in states if _named(state) not in gone], keep, before)
            items += [item for name in entries for item in records.old(name)]
            needed |= records.hashes
            notes += records.notes
        yield _with_cache(repo, needed, items, notes, before)


def _is_in(workspace: Workspace, path: Path) -> bool:
    return path.resolve().is_relative_to(workspace.root.resolve())


def _with_cache(repo: Any, needed: set[str], items: list[Item], notes: list[str], before: float) -> Findings:
    if dvc_cache.is_shared(repo):
        shared = f"DVC's cache, {repo.cache.local_cache_dir}, is left alone: it lies outside, and others may use it"
        return Findings(tuple(items), (*notes, shared))
    files = [path for path in dvc_cache.unreferenced(repo, needed) if path.stat().st_mtime < before]
    if files:
        size = sum(path.stat().st_size for path in files)
        items = [*items, Item("cache", f"{len(files):,} files", "nothing that is kept refers to them", size, partial(_unlink, files))]
    return Findings(tuple(items), tuple(notes))


def _unlink(files: Iterable[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def _state(workspace: Workspace, state: Path, entries: Mapping[str, Entry], before: float) -> Iterator[Item]:
    """The state of an unfinished training, where nothing will go on from it."""
    name = state.parent.name
    why = "params.yaml has no such entry" if name not in entries else _outdated(workspace, state, entries[name])
    if why is not None and _changed_at(state) < before:
        yield Item("training state", _named(state), why, _size_of(state), partial(shutil.rmtree, state))


def _sweep(folder: Path, before: float) -> Iterator[Item]:
    if _changed_at(folder) < before:
        yield Item("sweep", _named(folder), "its trials are in MLflow", _size_of(folder), partial(shutil.rmtree, folder))


def _compiled(workspace: Workspace, folder: Path, before: float) -> Iterator[Item]:
    if _is_in(workspace, folder) and folder.stat().st_mtime < before:  # which each training that takes them sets
        yield Item("compiled steps", folder.name, "no training took them lately", _size_of(folder), partial(shutil.rmtree, folder))


def _outdated(workspace: Workspace, state: Path, entry: Entry) -> str | None:
    """Why the present training would not go on from a state; None where it would, or where that cannot be told."""
    from gan_core.data.dataset import Dataset
    from tasks.start import pinned, settled
    from tasks.train import state_key

    try:
        dataset = Dataset.open(workspace.ready(state.parent.name))
        start = pinned(workspace, state.parent.name, entry.train)
        params = settled(workspace, state.parent.name, entry.train, dataset, start)
    except GantryError:
        return None
    return None if state.name == state_key(params, dataset, start) else "of other parameters or data than now"


def _named(state: Path) -> str:
    return f"{state.parent.name}/{state.name}"


class _Records:
    """What the registry and the tracking server hold, and which of it is kept."""

    def __init__(self, workspace: Workspace, entries: Mapping[str, Entry], states: Iterable[Path], keep: int, before: float) -> None:
        self._workspace, self._registry, self._before = workspace, Registry.open(workspace), before
        self._versions = {name: self._registry.all_versions(name) for name in self._registry.names()}
        self.notes: list[str] = []
        """What a person should know of what is left alone."""
        self._kept = {
            name: {version.number for version in versions if name not in entries or version.created.timestamp() >= before}
            | _asked_for(self._registry, name, versions, keep)
            for name, versions in self._versions.items()
        }
        for name, versions in self._versions.items():
            self._kept[name] |= self._named(name, entries)
            self._kept[name] |= {one.number for one in versions if self._is_shared(f"version {name}/{one.number}", one.source)}
        files = [*(workspace.root / "models").glob("*/run.json"), *(path for state in states for path in state.glob("*/run.json"))]
        self._runs_at_work = {run for path in files if (run := run_begun(path.parent))}

    @property
    def hashes(self) -> set[str]:
        """DVC's hashes of all that kept versions were made from."""
        kept = (version for name, versions in self._versions.items() for version in versions if version.number in self._kept[name])
        return {digest for version in kept for digest in lineage.dvc_hashes(version)}

    def _named(self, name: str, entries: Mapping[str, Entry]) -> set[int]:
        """Numbers of a generator's versions that entries start from by name. What a kept version started from needs no version: it is
        pinned, and the pinned checkpoint is kept with it."""
        named = [self._registry.find_named(entry.train.start) for entry in entries.values()]
        return {version.number for version in named if version is not None and version.name == name}

    def old(self, name: str) -> Iterator[Item]:
        """Versions and runs of a generator that can go."""
        versions, kept = self._versions.get(name, []), self._kept.get(name, set())
        for version in versions:
            if version.number not in kept:
                why = f"{version.tags.get('decision', 'no decision')}, registered on {version.created:%d %b %Y}"
                yield Item("version", f"{name}/{version.number}", why, _size_at(version.source), partial(self._registry.remove, version))
        yield from self._runs(name, [version for version in versions if version.number in kept])

    def _runs(self, name: str, kept: Iterable[Version]) -> Iterator[Item]:
        client = self._registry.client
        needed = {*self._runs_at_work, *(run for version in kept for run in (version.run_id, version.tags.get("training_run")) if run)}
        runs = tracking.runs(client, name)
        needed |= {run.info.run_id for run in runs if self._is_young(run) or not self._has_ended(run)}
        needed |= {run.data.tags.get(tracking.PARENT_TAG, "") for run in runs if run.info.run_id in needed}
        for run in runs:
            named = f"{name} {run.info.run_id}"
            if run.info.run_id not in needed and not self._is_shared(f"run {named}", run.info.artifact_uri):
                delete = partial(tracking.delete_run, self._workspace, client, run.info.run_id)
                yield Item("run", named, _why(run), _size_at(run.info.artifact_uri), delete)

    def _is_shared(self, named: str, files: str) -> bool:
        """Whether files lie where others may use them, which is noted."""
        found = tracking.lies_outside(self._workspace, files)
        if found:
            self.notes.append(f"{named} is left alone: its files, {files}, lie outside, and others may use them")
        return found

    def _is_young(self, run: Any) -> bool:
        return bool((run.info.end_time or run.info.start_time or 0) / 1000 >= self._before)

    def _has_ended(self, run: Any) -> bool:
        """Nobody trains here; on a server that others use, a run that looks under way may be theirs."""
        return run.info.status in ("FINISHED", "FAILED", "KILLED") or tracking.is_own(self._workspace)


def _asked_for(registry: Registry, name: str, versions: list[Version], keep: int) -> set[int]:
    """Numbers of the versions that an alias names, of the latest, and of the latest champions."""
    champions = list(dict.fromkeys(reign.version for reign in reversed(registry.history(name))))
    return {*registry.aliases(name).values(), *(version.number for version in versions[-keep:]), *champions[:keep]}


def _why(run: Any) -> str:
    version = run.data.tags.get("version")
    return f"of version {version}, which goes or is gone" if version else f"made no version ({run.info.status})"


def _size_at(files: str) -> int | None:
    """Bytes that an artifact takes, where it is a folder of this machine."""
    folder = moved.local_path(files)
    return None if folder is None else _size_of(folder)


def _size_of(folder: Path) -> int:
    """Bytes that go with a folder; those of a file with a second name stay."""
    files = [path.lstat() for path in folder.rglob("*") if not path.is_dir()]
    return sum(file.st_size for file in files if file.st_nlink == 1)


def _changed_at(folder: Path) -> float:
    """When anything in a folder was changed last, in seconds since 1970."""
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
