"""A workspace that an earlier Gantry made, brought up to date: dvc.yaml, DVC's settings, what git and DVC look past.

What has run stays as it is: where only a stage's command is written otherwise, dvc.lock is told so, and no stage runs again for it.
A dvc.yaml that a person has changed is theirs, and is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from gan_core.errors import ConfigError
from gan_core.files import write_whole
from tasks import scaffold
from tasks.graph import dvc_cache, dvc_files, repro
from tasks.workspace import Workspace

_SITE_CACHE = re.compile(r"^[ \t]*site_cache_dir = \.gantry/dvc\n", re.MULTILINE)
"""Of the present folder, so that `dvc` in a folder below left one there; and `dvc exp run --temp` failed."""
_COMMAND = re.compile(r"^(    cmd: python )(-m tasks\.)", re.MULTILINE)
"""A stage's command in dvc.lock, from before it kept a person's own `tasks.py` out."""


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
        done += [f"{path}: now in DVC's cache" for path in _metrics_into_the_cache(repo)]
        if trainings := dvc_cache.remember(repo, "python -m tasks.train ", "python -P -m tasks.train "):
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
        yield "dvc.lock", (lock, _COMMAND.sub(r"\1-P \2", lock))
        yield "dvc.yaml", (graph, scaffold.template("dvc.yaml").read_text(encoding="utf-8"))


def _metrics_into_the_cache(repo: Any) -> list[str]:
    """Put metrics.json, of which DVC kept no copy, into its cache, where it is still what dvc.lock says."""
    kept = []
    for stage in repo.index.stages:
        for out in stage.outs:
            if out.metric and out.use_cache and out.exists and out.changed_cache() and not out.changed_checksum():
                out.commit()
                kept.append(out.def_path)
    return kept
