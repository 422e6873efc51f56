"""Where a registered version came from: data, code, parameters, training and features, told by the tags that it carries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.params import Entry
from tasks.records import tracking
from tasks.records.registry import CHALLENGER, CHAMPION, Registry, Version, resolve
from tasks.workspace import Workspace


def tags(workspace: Workspace, name: str, entry: Entry, training: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, str]:
    """What a version that is made now is tagged with, as far as it is known here.

    Args:
        training: what models/NAME/run.json holds.
        evaluation: what reports/NAME/evaluation.json holds.
    """
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {
        "params": params_text(entry),
        "source": entry.data.source,
        "fit": entry.data.fit if entry.data.has_images else None,
        "dvc.raw": tracking.dvc_hash(workspace, workspace.raw(name)),
        "dvc.ready": tracking.dvc_hash(workspace, workspace.ready(name)),
        "dvc.generator": tracking.dvc_hash(workspace, workspace.model(name) / "generator"),
        "dvc.checkpoint": tracking.dvc_hash(workspace, workspace.model(name) / "checkpoint"),
        "extractor_hash": (evaluation.get("extractor") or {}).get("hash"),
        **_start_tags(workspace, name, training.get("start")),
        "images": training.get("images"),
        "device": training.get("device"),
        "processes": training.get("processes"),
        "threads": training.get("threads"),
        "step": training.get("step"),
        "flow_run": os.environ.get(tracking.FLOW_RUN),
        "git_commit": _commit(workspace.root),
        "code_commit": code_commit(),
    }
    with suppress(PackageNotFoundError):
        found["gantry_version"] = version("gantry-gan")
    return {key: str(value) for key, value in found.items() if value}


def _start_tags(workspace: Workspace, name: str, start: Mapping[str, Any] | None) -> dict[str, Any]:
    """Of a version that was not trained from scratch."""
    if start is None:
        return {}
    return {
        "start": start["from"],
        "start_checkpoint": start.get("checkpoint"),
        "start_share": start.get("share"),
        "start_data": start.get("data"),
        "dvc.start": tracking.dvc_hash(workspace, workspace.start(name)),
    }


def ancestors(registry: Registry, version: Version) -> list[str]:
    """What a version started from, what that started from, and so on: `NAME/VERSION`, at the end perhaps a folder."""
    chain: list[str] = []
    while (named := version.tags.get("start")) and named not in chain:
        chain.append(named)
        before = registry.find_named(named)
        if before is None:
            break
        version = before
    return chain


def dvc_hashes(version: Version) -> set[str]:
    """DVC's hashes of the data, the generator and the checkpoint of a version."""
    return {value for key, value in version.tags.items() if key.startswith("dvc.")}


def params_text(entry: Entry) -> str:
    """An entry as JSON, with the keys that were written: what `tasks.params.parse` reads back as the same entry."""
    return json.dumps(entry.model_dump(mode="json", by_alias=True, exclude_unset=True), separators=(",", ":"))


def code_commit() -> str | None:
    """The git commit of the Gantry that runs; None where it was installed and is no checkout."""
    module = Path(__file__).resolve()
    # An installed copy may lie below some other project's checkout, which does not track it.
    return _commit(module.parent) if _git(module.parent, "ls-files", "--error-unmatch", module.name) else None


def lineage(workspace: Workspace, reference: str) -> dict[str, Any]:
    """Where `NAME` (its champion), `NAME/VERSION` or `NAME@challenger` came from; None where a version does not say.

    Raises:
        ConfigError: there is no such generator or version.
        RegistryError: the registry cannot be reached.
    """
    registry, version = resolve(workspace, reference)
    return of_version(registry, version)


def of_version(registry: Registry, version: Version) -> dict[str, Any]:
    """`lineage` of a version that is at hand."""
    aliases = registry.aliases(version.name)
    roles = [alias for alias in (CHAMPION, CHALLENGER) if aliases.get(alias) == version.number]
    said = version.tags.get
    former = said("former_champion")
    return {
        "name": version.name,
        "version": version.number,
        "role": roles[0] if roles else None,
        "registered": version.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "decision": said("decision"),
        "former_champion": None if former is None else int(former),
        "scores": version.metrics,
        "generator": {"sha256": said("generator_sha256"), "dvc": said("dvc.generator"), "artifacts": version.source},
        "data": {
            "source": said("source"),
            "fit": said("fit"),
            "digest": said("dataset_digest"),
            "raw": said("dvc.raw"),
            "ready": said("dvc.ready"),
        },
        "training": {
            "params": _params(said("params")),
            "run": version.run_id or None,
            "flow_run": said("flow_run"),
            "checkpoint": said("dvc.checkpoint"),
            "start": _start(registry, version),
            "device": said("device"),
            "threads": None if said("threads") is None else int(version.tags["threads"]),
            "step": said("step"),
        },
        "features": {"extractor": said("extractor_hash")},
        "code": {"gantry": said("gantry_version"), "commit": said("code_commit"), "workspace_commit": said("git_commit")},
    }


def _start(registry: Registry, version: Version) -> dict[str, Any] | None:
    """What a version started from; None: scratch."""
    said = version.tags.get
    if not said("start"):
        return None
    return {
        "from": said("start"),
        "checkpoint": said("start_checkpoint"),
        "share": None if said("start_share") is None else float(version.tags["start_share"]),
        "replayed": said("start_data"),
        "pinned": said("dvc.start"),
        "before": ancestors(registry, version)[1:],
    }


def _params(text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _commit(folder: Path) -> str | None:
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
