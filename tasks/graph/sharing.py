"""Finished stages shared through a DVC remote: what one worker has finished, another one does not repeat.

Off unless the environment variable `GANTRY_REMOTE` names a remote of DVC's configuration. Then each stage that ran sends its results
there, with DVC's record of the run (its run-cache) and the entry's part of dvc.lock, which workers without a common git have no other
way to learn. A run begins with the last state that any worker sent; a stage that has to run asks the run-cache first.

The process works in the workspace's root, since DVC looks for a remembered run's dvc.yaml there.

The remote is a help, never a condition: where it stays out of reach, the run goes on alone, and says so.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from gan_core.errors import ConfigError
from gan_core.files import write_whole
from tasks.graph import repro, run_cache
from tasks.workspace import GRAPH, STAGES, Workspace

REMOTE = "GANTRY_REMOTE"
_DELAYS = (5.0, 15.0, 30.0, 30.0)
"""Seconds between tries: a store may refuse for a minute."""

Say = Callable[[str], None]
Sections = dict[str, dict[str, Any]]
"""The parts of dvc.lock that belong to an entry, by stage."""


def is_on() -> bool:
    """Whether stages are shared."""
    return bool(os.environ.get(REMOTE))


def check(workspace: Workspace) -> None:
    """See that the remote that `GANTRY_REMOTE` names is one.

    Raises:
        ConfigError: it is not; says which there are.
    """
    if not is_on():
        return
    with repro.opened(workspace) as repo:
        known = sorted(repo.config["remote"])
    if os.environ[REMOTE] not in known:
        there = f"there {'are' if len(known) > 1 else 'is'} {', '.join(known)}" if known else "there is none"
        raise ConfigError(f"{REMOTE}={os.environ[REMOTE]}: no such remote in .dvc/config ({there}); see `dvc remote add --help`")


def begin(workspace: Workspace, name: str, say: Say) -> None:
    """Take over the last state of the entry that a worker sent, unless this workspace has it, or what it has came after it."""
    if is_on():
        _persistently(lambda: _begin(workspace, name, say), "the other workers' results cannot be asked for", say)


def bring(workspace: Workspace, stage: str, name: str, say: Say) -> None:
    """Bring the results of the same run, should another worker have made it; `dvc repro` then takes them from its cache.

    Not for `fetch`, which looks at the source, nor for `register`, which acts on the registry.
    """
    if is_on() and stage not in (STAGES[0], STAGES[-1]):
        _persistently(lambda: _bring(workspace, stage, name), "the run-cache cannot be asked for", say)


def send(workspace: Workspace, stage: str, name: str, say: Say) -> None:
    """Send what a stage has just made."""
    if is_on():
        _persistently(lambda: _send(workspace, stage, name), "the results cannot be sent, and go with the next stage", say)


def _begin(workspace: Workspace, name: str, say: Say) -> None:
    from dvc.utils.serialize import modify_yaml

    with repro.opened(workspace) as repo:
        place = _odb(repo)
        try:
            text = place.fs.cat_file(_path_of_state(place, name)).decode()
        except FileNotFoundError:
            return
        if text == _last_seen(workspace, name):
            return
        taken: Sections = {}
        for stage, section in json.loads(text).items():
            if stage not in GRAPH or not _checked_out(repo, section):
                break  # what stands on it would be of no use
            taken[stage] = section
        with modify_yaml(str(workspace.root / "dvc.lock")) as lock:
            lock.setdefault("schema", "2.0")
            lock.setdefault("stages", {}).update({f"{stage}@{name}": section for stage, section in taken.items()})
    _note_seen(workspace, name, json.dumps(taken))  # what is not there has to be sent, should a stage make it again
    say(f"took over what a worker has finished: {', '.join(taken) or 'nothing, since its results are not there'}")


def _bring(workspace: Workspace, stage: str, name: str) -> None:
    with repro.opened(workspace) as repo:
        item = _stage(repo, workspace, stage, name)
        item.save_deps()
        if (runs := run_cache.folder(repo, item)) is None:
            return
        place = _odb(repo)
        there = place.fs.join(place.path, *runs.relative_to(repo.cache.legacy.path).parts)
        if not place.fs.exists(there):
            return
        runs.mkdir(parents=True, exist_ok=True)
        for file in place.fs.find(there):
            place.fs.get_file(file, str(runs / place.fs.name(file)))
        if section := run_cache.remembered(repo, item):
            _pull(repo, section)


def _send(workspace: Workspace, stage: str, name: str) -> None:
    sections = _sections(workspace, name)
    text, seen = json.dumps(sections), _last_seen(workspace, name)
    if text == seen:
        return
    known = {} if seen is None else json.loads(seen)
    with repro.opened(workspace) as repo:
        item, place = _stage(repo, workspace, stage, name), _odb(repo)
        for other, section in sections.items():
            if known.get(other) == section:
                continue  # the state that named it was written after its results
            if other == stage:
                for out in run_cache.not_kept(repo, item, section):
                    out.commit()  # DVC keeps no copy of them, and does so itself only for its run-cache
            for objects in run_cache.stage_of(repo, section).get_used_objs(remote=os.environ[REMOTE]).values():
                if failed := repo.cloud.push(objects, remote=os.environ[REMOTE]).failed:
                    raise OSError(f"{len(failed)} files were not taken")
        if (runs := run_cache.folder(repo, item)) is not None:
            for file in runs.iterdir() if runs.is_dir() else ():
                there = place.fs.join(place.path, *file.relative_to(repo.cache.legacy.path).parts)
                place.makedirs(place.fs.parent(there))
                place.fs.put_file(str(file), there)
        # Last, so that whoever reads it finds all that it names.
        there = _path_of_state(place, name)
        place.makedirs(place.fs.parent(there))
        place.fs.pipe_file(there, text.encode())
    _note_seen(workspace, name, text)


def _checked_out(repo: Any, section: Mapping[str, Any]) -> bool:
    """Bring a stage's results into the workspace; False where the remote does not have them all."""
    if not _pull(repo, section):
        return False
    with run_cache.copying(repo):
        run_cache.stage_of(repo, section).checkout(force=True)
    return True


def _pull(repo: Any, section: Mapping[str, Any]) -> bool:
    """Bring a stage's results into the cache, those that DVC does not cache otherwise among them; False where some are not there."""
    from dvc.exceptions import CollectCacheError

    item = run_cache.stage_of(repo, section)
    try:
        for objects in item.get_used_objs(remote=os.environ[REMOTE]).values():
            repo.cloud.pull(objects, remote=os.environ[REMOTE])
    except CollectCacheError:
        return False
    return bool(item.outs_cached())


def _stage(repo: Any, workspace: Workspace, stage: str, name: str) -> Any:
    (found,) = repo.stage.collect(f"{workspace.root.resolve() / 'dvc.yaml'}:{stage}@{name}")
    return found


def _sections(workspace: Workspace, name: str) -> Sections:
    from dvc.utils.serialize import load_yaml

    stages = load_yaml(str(workspace.root / "dvc.lock"))["stages"]
    return {stage: stages[f"{stage}@{name}"] for stage in GRAPH if f"{stage}@{name}" in stages}


def _odb(repo: Any) -> Any:
    return repo.cloud.get_remote_odb(os.environ[REMOTE], hash_name="md5-dos2unix")  # whose path is the remote's own


def _path_of_state(place: Any, name: str) -> str:
    return str(place.fs.join(place.path, "gantry", f"{name}.json"))


def _last_seen(workspace: Workspace, name: str) -> str | None:
    with suppress(FileNotFoundError):
        return (workspace.private / "shared" / f"{name}.json").read_text()
    return None


def _note_seen(workspace: Workspace, name: str, text: str) -> None:
    path = workspace.private / "shared" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)


def _persistently(act: Callable[[], None], problem: str, say: Say) -> None:
    """Try for a while; where it is in vain, say so and go on."""
    for delay in (*_DELAYS, None):
        try:
            act()
        except Exception as error:  # a store's own package raises what it likes
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if delay is None:
                say(f"warning: {problem}: {reason}")
                return
            say(f"the remote {os.environ[REMOTE]} does not do as asked ({reason}); again in {delay:g} s")
            time.sleep(delay)
        else:
            return
