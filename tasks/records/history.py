"""The champions of a generator and their scores, on comparable numbers only.

Scores are comparable where they were measured on the same held-out data, with equal counts, seed and features (`gate.conditions_of`). A
champion is scored again whenever it is challenged, and all former ones when the features are fitted anew; what was measured last counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tasks.promotion.gate import Measured, conditions_of
from tasks.records.registry import MEASURED_TAG, RECORD_TAG, Registry, Reign, Version


@dataclass(frozen=True)
class Former:
    """One champion of the history."""

    version: int
    since: str
    how: str
    value: float | None
    """Its score, where that can be held against the present one's."""
    remark: str
    """Why there is no value; or empty."""


def formers(registry: Registry, name: str, history: Sequence[Reign], metric: str, present: Mapping[str, Any]) -> list[Former]:
    """The champions, the latest first.

    Args:
        registry: which has them.
        name: of the generator.
        history: as `Registry.history` gives it.
        metric: the score.
        present: the record of the decision whose conditions count, as decision.json holds it.
    """
    there = set(registry.versions(name))
    versions = {reign.version: registry.version(name, reign.version) for reign in history if reign.version in there}
    return [_former(reign, versions.get(reign.version), metric, present) for reign in reversed(history)]


def recorded(version: Version) -> Mapping[str, Any]:
    """The decision on a version, as decision.json held it; empty where there is none that can be read."""
    try:
        record = json.loads(version.tags[RECORD_TAG])
    except (KeyError, ValueError, TypeError):
        return {}
    return record if isinstance(record, dict) else {}


def measured(version: Version) -> list[Measured]:
    """What a version scored for its own decision, and then, where it was scored again, the last time."""
    found = [Measured(version.metrics, conditions_of(recorded(version).get("evaluation") or {}))]
    with suppress(KeyError, ValueError, TypeError):
        again = json.loads(version.tags[MEASURED_TAG])
        found.append(Measured(dict(again["scores"]), dict(again["conditions"])))
    return found


def remember(registry: Registry, version: Version, scored: Measured) -> None:
    """Keep with a version what it scored now."""
    registry.set_tags(version, {MEASURED_TAG: json.dumps({"scores": dict(scored.scores), "conditions": dict(scored.conditions)})})


def _former(reign: Reign, version: Version | None, metric: str, present: Mapping[str, Any]) -> Former:
    def told(value: float | None, remark: str) -> Former:
        return Former(reign.version, reign.since, reign.how, value, remark)

    if version is None:
        return told(None, "deleted")
    conditions = conditions_of(present.get("evaluation") or {})
    scores = [one for one in measured(version) if metric in one.scores]
    comparable = [one.scores[metric] for one in scores if one.conditions == conditions]
    if comparable:
        return told(float(comparable[-1]), "")
    return told(None, "measured otherwise" if scores else f"no {metric}")
