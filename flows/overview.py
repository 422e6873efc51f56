"""What `gantry list` shows: every generator of params.yaml and of the registry, in a row."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from flows import server
from gan_core.errors import ConfigError, GantryError, RegistryError
from tasks import params
from tasks.beside_real import BesideReal
from tasks.cron import local_zone
from tasks.graph import repro
from tasks.params import Entry
from tasks.promotion import gate
from tasks.promotion.decision import LastDecision
from tasks.promotion.standing import lost
from tasks.records import registry, tracking
from tasks.records.history import Former, formers, recorded
from tasks.records.registry import Registry, Summary, Version
from tasks.system import locks
from tasks.workspace import STAGES, Workspace

_FORMERS = 3  # champions whose scores are shown in a row


def overview(workspace: Workspace) -> list[dict[str, Any]]:
    """A row for each generator, in the order of params.yaml, then those that only the registry knows.

    Keys: name, champion (version or None), metric, value, real (what real samples get), score (these in words), before (comparable scores
    of former champions, in words), history (the champions, latest first, with their value where it is comparable), decision (outcome),
    schedule (its cron expression), timezone (of the schedule), paused (whether a Prefect server that PREFECT_API_URL names keeps to it),
    state, picture (of a training that has not ended, where the newest one of what it draws lies in the workspace; or None).

    Raises:
        ConfigError: params.yaml as a whole is wrong; a wrong entry is said in its state. RegistryError: the registry cannot be reached.
    """
    found = params.read(workspace.root)
    known = registry.summaries(workspace)
    changed = repro.changed(workspace) if found.entries else {}
    wrong = [name for name in found.wrong if params.NAME.fullmatch(name)]
    names = dict.fromkeys([*found.entries, *wrong, *known])
    opened = Registry.look(workspace) if tracking.exists(workspace) else None
    paused = _paused(workspace, [name for name, entry in found.entries.items() if entry.schedule])
    rows = [_row(workspace, opened, name, found.entries.get(name), known.get(name), changed, paused) for name in names]
    return [{**row, "state": "wrong in params.yaml"} if row["name"] in wrong else row for row in rows]


def values_in_words(history: Sequence[Former]) -> str:
    """The comparable scores of the champions before the present one, oldest first, such as `1.41, 1.33`."""
    return ", ".join(f"{former.value:.4g}" for former in reversed(history[1 : _FORMERS + 1]) if former.value is not None)


def _row(
    workspace: Workspace,
    opened: Registry | None,
    name: str,
    entry: Entry | None,
    summary: Summary | None,
    changed: Mapping[str, str],
    paused: Collection[str],
) -> dict[str, Any]:
    champion = summary.champion if summary else None
    metrics = champion.metrics if champion else {}
    record = recorded(champion) if champion else {}
    metric = _deciding(metrics, entry, record)
    beside = BesideReal.of(metric, metrics[metric], (record.get("evaluation") or {}).get("real_against_real") or {}) if metric else None
    decision = LastDecision.read(workspace, name)
    picture = workspace.newest_picture(name)
    past: list[Former] = []
    if opened and champion and summary and metric:
        past = formers(opened, name, summary.history, metric, record)
    return {
        "name": name,
        "champion": champion.number if champion else None,
        "metric": metric,
        "value": metrics[metric] if metric else None,
        "real": beside.real if beside else None,
        "score": f"{metric} {metrics[metric]:.4g}{f', {beside.short}' if beside and beside.short else ''}" if metric else None,
        "before": values_in_words(past),
        "history": [vars(former) for former in past],
        "decision": f"{decision.outcome} (version {decision.version})" if decision else None,
        "schedule": entry.schedule if entry else None,
        "timezone": _zone(entry) if entry and entry.schedule else None,
        "paused": name in paused if entry and entry.schedule else None,
        "state": "; ".join([_state(workspace, opened, name, entry, changed), *_unusable(opened, champion)]),
        "picture": None if picture is None else str(picture.relative_to(workspace.root)),
    }


def _paused(workspace: Workspace, scheduled: Sequence[str]) -> set[str]:
    """Those of the entries whose schedule is paused on the server that PREFECT_API_URL names; none where it does not answer."""
    if not scheduled or not os.environ.get("PREFECT_API_URL"):
        return set()
    try:
        with server.connected(workspace):
            from flows import runs

            found = {name: runs.deployment(name) for name in scheduled}
            return {name for name, deployment in found.items() if deployment is not None and runs.is_paused(deployment)}
    except GantryError:
        return set()


def _deciding(metrics: Mapping[str, float], entry: Entry | None, record: Mapping[str, Any]) -> str | None:
    """The metric that decides about an entry, or decided where there is no entry any more; None where it was not measured."""
    if entry is not None:
        metric = gate.deciding_metric(metrics, entry.registration, entry.data.kind, (record.get("evaluation") or {}).get("undecided") or {})
    else:
        metric = (record.get("beside_real") or record.get("comparison") or {}).get("metric") or next(iter(metrics), "")
    return metric if metric in metrics else None


def _zone(entry: Entry) -> str:
    try:
        return entry.timezone or local_zone()
    except ConfigError:
        return "of no known name"


def _unusable(opened: Registry | None, champion: Version | None) -> Iterator[str]:
    """What keeps the champion from being used, as far as a look at the names of its files tells; `gantry doctor` loads it."""
    if opened is None or champion is None:
        return
    try:
        if not opened.has_files(champion):
            yield "the champion's files are lost"
    except RegistryError:
        yield "the champion's files are out of reach"


def _state(workspace: Workspace, opened: Registry | None, name: str, entry: Entry | None, changed: Mapping[str, str]) -> str:
    """What the generator is doing, or would do at the next run."""
    if entry is None:
        return "not in params.yaml"
    try:
        locks.check_free(workspace, name)
    except GantryError:
        return "being retrained"
    if workspace.was_stopped(name):
        return "training unfinished"
    first = next((stage for stage in STAGES if f"{stage}@{name}" in changed), None)
    if first is None:
        return "up to date" if lost(workspace, name, opened) is None else f"{STAGES[-1]} has to run"
    return "never run" if first == STAGES[0] and not workspace.raw(name).exists() else f"{first} has to run"
