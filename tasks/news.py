"""Whether there is anything to retrain a generator for: a parameter, the graph, what its source holds, or a registry that lost it."""

from __future__ import annotations

from collections.abc import Callable

from tasks.graph import repro
from tasks.promotion.standing import lost
from tasks.system import locks
from tasks.workspace import STAGES, Workspace


def news(workspace: Workspace, name: str, say: Callable[[str], None]) -> str | None:
    """Why `name` has to be retrained; None where nothing has changed, its source included, which is looked at by fetching.

    Args:
        workspace: prepared (`tasks.graph.repro.prepare`).
        name: an entry of params.yaml.
        say: takes what fetch says, line by line.

    Raises:
        StageError: the source cannot be fetched.
        GantryError: somebody retrains it just now.
    """
    with locks.retraining(workspace, name):
        known = _first_change(workspace, name)
        if known is not None:
            return known
        repro.reproduce(workspace, STAGES[0], name, force=True, on_line=say)
        return _first_change(workspace, name)


def _first_change(workspace: Workspace, name: str) -> str | None:
    for stage in STAGES:
        verdict = repro.look(workspace, stage, name)
        if verdict.changed:
            return f"{stage}: {verdict.reason}"
    reason = lost(workspace, name)
    return None if reason is None else f"{STAGES[-1]}: {reason}"
