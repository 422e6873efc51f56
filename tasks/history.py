"""The champions of a generator and their scores, on comparable numbers only.

Scores are comparable where they were measured on the same held-out data, with equal counts, seed and features (`gate.conditions_of`). Of
champions that were measured otherwise only the one before the present one has a comparable score: the gate scored it again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.gate import conditions_of
from tasks.registry import RECORD_TAG, Registry, Reign, Version


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


def _former(reign: Reign, version: Version | None, metric: str, present: Mapping[str, Any]) -> Former:
    def told(value: float | None, remark: str) -> Former:
        return Former(reign.version, reign.since, reign.how, value, remark)

    if version is None:
        return told(None, "deleted")
    value = version.metrics.get(metric)
    if value is None:
        return told(None, f"no {metric}")
    conditions = conditions_of(present.get("evaluation") or {})
    if conditions_of(recorded(version).get("evaluation") or {}) == conditions:
        return told(value, "")
    again = ((present.get("metrics") or {}).get("champion") or {}).get(metric)
    if reign.version == present.get("former_champion") and again is not None:
        return told(float(again), "")
    return told(None, "measured otherwise")
