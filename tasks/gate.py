"""The decision whether a challenger becomes the champion: a pure function of two sets of scores and the entry's rule."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gan_core.params.common import Kind
from tasks.metrics import BETTER, LOWER, default_metric
from tasks.params import RegisterParams

# The outcomes that make a challenger the champion.
PROMOTING = ("first", "promoted")

_CONDITIONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Decision:
    """What is to be done with a challenger, and why."""

    outcome: str
    """`first`, `promoted`, `kept: worse`, or `vetoed: REASON`."""
    reasons: tuple[str, ...]
    """Sentences for a person."""

    @property
    def promotes(self) -> bool:
        return self.outcome in PROMOTING


def decide(
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    rule: RegisterParams,
    kind: Kind,
) -> Decision:
    """Compare two generators that were scored against the same held-out data with the same seeds.

    Vetoes come first: a score that is not finite, a floor of `rule.require` that is not met, a deciding metric that was not
    measured. Then the one metric `rule.improve` decides, and a draw keeps the champion.

    Args:
        challenger: its scores by metric.
        champion: the present champion's, or None where there never was one.
        rule: the entry's `register` section.
        kind: of the samples; chooses the deciding metric where the rule leaves it open.
    """
    metric = rule.improve or default_metric(challenger, kind)
    vetoes = _vetoes(challenger, metric, rule)
    if vetoes:
        return Decision(f"vetoed: {vetoes[0]}", tuple(vetoes))
    if champion is None:
        return Decision("first", ("there is no champion yet",))
    if not math.isfinite(champion.get(metric, math.nan)):
        return veto(f"the champion has no finite {metric} to compare with")
    new, old = challenger[metric], champion[metric]
    better = new < old if BETTER[metric] == LOWER else new > old
    shown_new, shown_old = _distinct(new, old)
    if better:
        return Decision("promoted", (f"{metric} {shown_new} is {BETTER[metric]} than the champion's {shown_old}",))
    verdict = "equals" if new == old else f"is not {BETTER[metric]} than"
    return Decision("kept: worse", (f"{metric} {shown_new} {verdict} the champion's {shown_old}",))


def veto(reason: str) -> Decision:
    """The decision to leave the champion alone, for a reason that lies outside the scores."""
    return Decision(f"vetoed: {reason}", (reason,))


def _vetoes(scores: Mapping[str, float], metric: str, rule: RegisterParams) -> list[str]:
    reasons = [f"{key} is {value}" for key, value in scores.items() if not math.isfinite(value)]
    if metric not in scores:
        reasons.append(f"{metric}, which decides, was not measured; measured were {', '.join(sorted(scores)) or 'none'}")
    for key, condition in rule.require.items():
        if key not in scores:
            reasons.append(f"{key} is required to be {condition} and was not measured")
        elif math.isfinite(scores[key]) and not _meets(scores[key], condition):
            reasons.append(f"{key} {scores[key]:.4g} is not {condition}")
    return reasons


def _meets(value: float, condition: str) -> bool:
    matched = re.fullmatch(r"(>=|<=|>|<)\s*(\S+)", condition.strip())
    assert matched is not None  # noqa: S101  the schema has checked it
    return _CONDITIONS[matched[1]](value, float(matched[2]))


def _distinct(first: float, second: float) -> tuple[str, str]:
    """Both numbers with as few digits, from four on, as tell them apart."""
    for digits in range(4, 18):
        shown = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if shown[0] != shown[1] or first == second:
            break
    return shown
