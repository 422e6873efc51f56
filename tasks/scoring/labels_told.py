"""What generated rows teach of each label of a table, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {"area": "the area under the ROC curve", "r2": "R2"}


def in_words(evaluation: Mapping[str, Any]) -> list[str]:
    """What evaluation.json holds of it, a sentence each; none of one label of classes, of which `utility` says it all."""
    told: Mapping[str, Mapping[str, Any]] = evaluation.get("told") or {}
    if len(told) == 1 and "area" in next(iter(told.values())):
        return []
    return [_sentence(name, found) for name, found in told.items()]


def _sentence(name: str, found: Mapping[str, Any]) -> str:
    ((key, both),) = ((key, found[key]) for key in _NAMES if key in found)
    return (
        f"Trees that learned {name} from generated rows get {both['trained_on_generated']:.3g} on held-out real ones, and those that "
        f"learned it from training rows {both['trained_on_real']:.3g} ({_NAMES[key]}): {found['share']:.3g} of what real rows teach."
    )
