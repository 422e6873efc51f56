"""A workspace that an earlier Gantry made, brought up to date: dvc.yaml, DVC's settings, what git and DVC look past.

What has run stays as it is: where only a stage's command is written otherwise, dvc.lock is told so, and no stage runs again for it.
A dvc.yaml that a person has changed is theirs, and is left.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from gan_core.errors import ConfigError
from gan_core.files import write_whole
from tasks import scaffold
from tasks.graph import dvc_cache, dvc_files, repro
from tasks.start import START_FILE, scratch_text, write_scratch
from tasks.workspace import PIN, Workspace

_SITE_CACHE = re.compile(r"^[ \t]*site_cache_dir = \.gantry/dvc\n", re.MULTILINE)
"""Of the present folder, so that `dvc` in a folder below left one there; and `dvc exp run --temp` failed."""
_COMMAND = re.compile(r"^(    cmd: python )(-m tasks\.)", re.MULTILINE)
"""A stage's command in dvc.lock, from before it kept a person's own `tasks.py` out."""
_TRAINING = re.compile(r"python (-P )?-m tasks\.train (?P<name>\S+)")


def due(workspace: Workspace) -> list[str]:
    """Names of the files that `upgrade` would change."""
    return list(_changes(workspace))


def upgrade(workspace: Workspace) -> list[str]:
    """Bring the workspace's own files up to date.

    Returns:
        What was done, a line each.

    Raises:
        ConfigError: no workspace, or DVC cannot read it.
        GantryError: a stage is running.
    """
    for file in ("dvc.yaml", ".dvc"):
        if not (workspace.root / file).exists():
            raise ConfigError(f"{workspace.root / file}: not there; run in a workspace, or make one with `gantry init DIR`")
    dvc_files.check_settled(workspace)
    changes = _changes(workspace)
    if changes:
        with repro.idle(workspace):
            for name, text in changes.items():
                write_whole(workspace.root / name, text)
    done = [f"{name}: brought up to date" for name in changes]
    if _is_own(workspace):
        return [*done, f"dvc.yaml: changed by hand, and left; compare it with Gantry's, {scaffold.template('dvc.yaml')}"]
    with repro.opened(workspace) as repo:
        done += [f"{path}: now in DVC's cache" for path in _into_the_cache(repo, _write_starts(workspace, repo))]
        if trainings := dvc_cache.remember(repo, _training_now):
            done.append(f"{trainings} former trainings: remembered on")
    return done


def _is_own(workspace: Workspace) -> bool:
    there = workspace.root / "dvc.yaml"
    return not dvc_files.is_former(workspace) and there.read_bytes() != scaffold.template("dvc.yaml").read_bytes()


def _changes(workspace: Workspace) -> dict[str, str]:
    """The new text of each file that is not as it should be; dvc.yaml last, so that what is interrupted is begun again."""
    return {name: new for name, (old, new) in _texts(workspace) if new != old}


def _texts(workspace: Workspace) -> Iterator[tuple[str, tuple[str, str]]]:
    def text(name: str) -> str:
        with suppress(FileNotFoundError):
            return (workspace.root / name).read_text(encoding="utf-8")
        return ""

    config = text(".dvc/config")
    yield ".dvc/config", (config, _SITE_CACHE.sub("", config))
    for name, former, new in ((".dvcignore", "/.gantry", "/dvc_plots"), (".gitignore", "/.gantry/", "/dvc_plots/")):
        there = text(name)
        lines = there.splitlines()
        yield name, (there, "\n".join([*lines, new, ""]) if former in lines and new not in lines else there)
    if not _is_own(workspace):
        lock, graph = text("dvc.lock"), text("dvc.yaml")
        yield "dvc.lock", (lock, _with_starts(_COMMAND.sub(r"\1-P \2", lock)))
        yield "dvc.yaml", (graph, scaffold.template("dvc.yaml").read_text(encoding="utf-8"))


def _with_starts(lock: str) -> str:
    """dvc.lock with the start stage of each entry that was trained when there was none: from scratch."""
    if "tasks.train " not in lock:
        return lock
    yaml = YAML()
    document = yaml.load(lock)
    stages, changed = document["stages"], False
    for target, train in list(stages.items()):
        stage, _, name = target.partition("@")
        now = _training_now(train) if stage == "train" else None
        if now is None:
            continue
        stages[target], changed = now, True
        # Looked up for the data and the parameters that it was trained with.
        stages[f"{PIN}@{name}"] = {
            "cmd": f"python -P -m tasks.{PIN} {name}",
            "deps": [dict(one) for one in train["deps"]],
            "params": copy.deepcopy(train["params"]),
            "outs": [_scratch(name)],
        }
    if not changed:
        return lock
    text = io.StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _training_now(run: dict[str, Any]) -> dict[str, Any] | None:
    """A run of the train stage as dvc.lock has it, as it would be now; None where it is so already, or of another stage."""
    found = _TRAINING.fullmatch(run["cmd"])
    if found is None:
        return None
    name = found["name"]
    deps = [*run["deps"], *([] if any(one["path"] == _scratch(name)["path"] for one in run["deps"]) else [_scratch(name)])]
    now = {**run, "cmd": f"python -P -m tasks.train {name}", "deps": deps}
    return None if now == run else now


def _scratch(name: str) -> dict[str, Any]:
    """How dvc.lock has the start of a training from scratch."""
    text = scratch_text().encode()
    listed = json.dumps([{"md5": _md5(text), "relpath": START_FILE}]).encode()
    path = Workspace(Path()).start(name).as_posix()
    return {"path": path, "hash": "md5", "md5": f"{_md5(listed)}.dir", "size": len(text), "nfiles": 1}


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _write_starts(workspace: Workspace, repo: Any) -> list[str]:
    """Lay down the starts that dvc.lock has from `_with_starts`; returns their paths."""
    found = []
    for stage in repo.index.stages:
        kind, _, name = stage.addressing.rpartition(":")[2].partition("@")
        for out in stage.outs if kind == PIN else ():
            if not out.exists and out.hash_info.value == _scratch(name)["md5"]:
                write_scratch(workspace.start(name))
                found.append(out.def_path)
    return found


def _into_the_cache(repo: Any, starts: Container[str]) -> list[str]:
    """Put what DVC keeps no copy of, though it should, into its cache, where it is still what dvc.lock says: metrics.json, and starts."""
    kept = []
    for stage in repo.index.stages:
        for out in stage.outs:
            is_due = out.metric or out.def_path in starts
            if is_due and out.use_cache and out.exists and out.changed_cache() and not out.changed_checksum():
                out.commit()
                kept.append(out.def_path)
    return kept
