"""The decision whether a challenger becomes the champion: a pure function of what was measured and the entry's rule."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from gan_core.params.common import Kind
from tasks import kinds
from tasks.metrics import FLOOR_ONLY, instead_of
from tasks.params import RegisterParams
from tasks.promotion.comparison import Comparison

# The outcomes that make a challenger the champion.
PROMOTING = ("first", "promoted")
WORSE, INCONCLUSIVE = "kept: worse", "kept: inconclusive"

# Floors that hold unless `require` names their metric; looked at only where it was measured.
FLOORS: Mapping[str, str] = {"copies": "<= 0.05", "membership": "<= 0.1", "class_membership": "<= 0.1"}

# Those of a version that no champion has to be beaten by, likewise, from `_FEW` held-out samples on.
FIRST_FLOORS: Mapping[str, str] = {"recall": "> 0"}

_FEW = 60  # held-out samples, of which a gain of 60 % is found in one comparison of three (docs/gate.md)
_SHOWN = 0.01  # part of a difference, or of its deviation, from which on a bias is spoken of
_NONE: Mapping[str, str] = {}
_HARDLY = "it draws hardly anything of what there is; look at its samples, and train it for longer"

_CONDITIONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Measured:
    """A generator's scores, and how they were measured."""

    scores: Mapping[str, float]
    conditions: Mapping[str, Any]
    """What has to be equal for scores to be compared, as `conditions_of` gives it."""
    undecided: Mapping[str, str] = field(default_factory=dict)
    """Scores that can tell no two generators apart on so few samples, and why."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of scores that floors look at: where they may lie by chance."""

    @classmethod
    def of(cls, scores: Mapping[str, float], evaluation: Mapping[str, Any]) -> Self:
        """From metrics.json and evaluation.json."""
        found = {key: (evaluation.get(key) or {}).get("interval") for key in FLOOR_ONLY}
        intervals = {key: (float(bounds[0]), float(bounds[1])) for key, bounds in found.items() if bounds is not None}
        return cls(scores, conditions_of(evaluation), evaluation.get("undecided") or {}, intervals)


@dataclass(frozen=True)
class Record:
    """All that a decision rests on. The same record under the same rule gives the same decision."""

    challenger: Measured
    champion: Measured | None = None
    """None where there never was one."""
    comparison: Comparison | None = None
    """Of the two by the deciding metric."""
    beside: tuple[Comparison, ...] = ()
    """Of the two by the scores that decide together with it (`deciding_together`)."""


@dataclass(frozen=True)
class Decision:
    """What is to be done with a challenger, and why."""

    outcome: str
    """`first`, `promoted`, `kept: worse`, `kept: inconclusive`, or `vetoed: REASON`."""
    reasons: tuple[str, ...]
    """Sentences for a person."""

    @property
    def promotes(self) -> bool:
        return self.outcome in PROMOTING


def decide(record: Record, rule: RegisterParams, kind: Kind) -> Decision:
    """Judge a challenger, alone and beside the champion.

    Vetoes come first: a score that is not finite, a floor that is not met (`floors`), a deciding metric that was not measured, scores that
    were measured differently. Then the metrics of `deciding_together` decide, which is the one of `rule.improve` where there is one: the
    challenger is promoted where it is better by one of them and worse by none. Better by one it is where the middle `confidence_of_each`
    of the resamples lies on the better side (at 0.95, and by one alone: where at least 97.5 % of them do); worse where it lies on the
    other; anything between is inconclusive.

    Args:
        record: what was measured.
        rule: the entry's `register` section.
        kind: of the samples; chooses the deciding metric where the rule leaves it open.
    """
    scores = record.challenger.scores
    undecided = record.challenger.undecided
    metric = deciding_metric(scores, rule, kind, undecided)
    vetoes = _vetoes(record, metric, rule)
    if vetoes:
        return Decision(f"vetoed: {vetoes[0]}", tuple(vetoes))
    if record.champion is None:
        return Decision("first", ("there was no champion before it", *([f"recall is 0: {_HARDLY}"] if scores.get("recall") == 0 else [])))
    difference = _measured_differently(record.challenger.conditions, record.champion.conditions)
    if difference:
        return veto(difference)
    if not math.isfinite(record.champion.scores.get(metric, math.nan)):
        return veto(f"the champion has no finite {metric} to compare with")
    if metric in undecided:
        return veto(f"{metric} tells no two generators apart here: {undecided[metric]}; set register.improve: kid, or hold out more")
    comparison = record.comparison
    if comparison is None or comparison.metric != metric or not math.isfinite(comparison.probability_better):
        return veto(f"the two were not compared by {metric}")
    compared = (comparison, *record.beside)
    decision = _together([_by_comparison(one, confidence_of_each(rule, len(compared))) for one in compared])
    held_out = record.challenger.conditions.get("n_real")
    if decision.outcome == INCONCLUSIVE and held_out is not None and held_out < _FEW:
        told = f"{held_out} held-out samples tell little apart: more of them (data.holdout), or `gantry promote` where your eyes tell it"
        decision = replace(decision, reasons=(*decision.reasons, told))
    preferred = rule.improve or kinds.of(kind).default_metric(scores)
    if preferred != metric:
        return replace(decision, reasons=(*decision.reasons, f"{metric} decides, not {preferred}: {undecided[preferred]}"))
    return decision


def deciding_metric(scores: Mapping[str, float], rule: RegisterParams, kind: Kind, undecided: Mapping[str, str] = _NONE) -> str:
    """The metric that decides between two generators.

    Args:
        scores: of one of them.
        rule: the entry's `register` section.
        kind: of the samples.
        undecided: scores that tell no two generators apart here, and why, as evaluation.json has them.
    """
    return kinds.of(kind).default_metric(scores, undecided) if rule.improve is None else instead_of(rule.improve, undecided)


def deciding_together(
    scores: Mapping[str, float], rule: RegisterParams, kind: Kind, undecided: Mapping[str, str] = _NONE
) -> tuple[str, ...]:
    """The metrics that decide between two generators: `deciding_metric` first, then what sees the faults that it is blind to.

    The arguments are those of `deciding_metric`. An entry that names a metric has it decide alone.
    """
    metric = deciding_metric(scores, rule, kind, undecided)
    return (metric, *(other for other in kinds.of(kind).beside if other in scores)) if rule.improve is None else (metric,)


def confidence_of_each(rule: RegisterParams, metrics: int) -> float:
    """The confidence that each of so many metrics takes: all together promote an equal no more often than one would (Bonferroni)."""
    return 1 - (1 - rule.confidence_of_one) / metrics


def _together(decisions: Sequence[Decision]) -> Decision:
    """Better by one and worse by none, of decisions by one metric each, is better."""
    for outcome in (WORSE, "promoted"):
        told = [decision for decision in decisions if decision.outcome == outcome]
        if told:
            others = [decision for decision in decisions if decision.outcome != outcome]
            return Decision(outcome, tuple(reason for decision in (*told, *others) for reason in decision.reasons))
    return Decision(decisions[0].outcome, tuple(reason for decision in decisions for reason in decision.reasons))


def conditions_of(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What has to be equal for two scores to be compared, from evaluation.json: counts, data, seed, and features."""
    extractor = evaluation.get("extractor")
    facts = {key: evaluation.get(key) for key in ("dataset_digest", "n_real", "n_generated", "seed")}
    return {**facts, "extractor": extractor.get("hash") if isinstance(extractor, Mapping) else None}


def _by_comparison(comparison: Comparison, confidence: float) -> Decision:
    # The middle `confidence` of the replicates lies on one side of no difference. To ask for `confidence` of them alone would promote
    # equals in 5 % of all cases at 0.95; docs/gate.md has it measured.
    asked = (1 + confidence) / 2
    new, old = _distinct(comparison.challenger, comparison.champion)
    share = f"{100 * comparison.probability_better:.1f} %"
    plain = comparison.challenger - comparison.champion
    biased = abs(comparison.difference - plain) > _SHOWN * max(abs(plain), comparison.deviation)
    without = f"a difference of {comparison.difference:.4g} without the bias of few samples, " if biased else ""
    found = f"{comparison.metric} {new} against {old}: {without}better in {share} of {comparison.replicates:,} resamples"
    if comparison.gain > 0 and comparison.probability_better >= asked:
        return Decision("promoted", (found,))
    if comparison.gain < 0 and comparison.probability_better <= 1 - asked:
        return Decision(WORSE, (found,))
    return Decision(INCONCLUSIVE, (f"{found}; {100 * asked:.4g} % are needed for a confidence of {100 * confidence:.4g} %",))


def _measured_differently(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Why two scores are not comparable; None where they are."""
    for key in sorted({*one, *other}):
        if one.get(key) != other.get(key):
            return f"the scores were measured differently, so they are not compared: {key} {one.get(key)} against {other.get(key)}"
    return None


def veto(reason: str) -> Decision:
    """The decision to leave the champion alone, for a reason that lies outside the scores."""
    return Decision(f"vetoed: {reason}", (reason,))


def floors(challenger: Measured, rule: RegisterParams, first: bool) -> dict[str, str]:
    """What is asked of a challenger's scores, alone: `rule.require`, and the floors that it does not name.

    Args:
        challenger: what was measured.
        rule: the entry's `register` section.
        first: whether there is no champion.
    """
    held_out = challenger.conditions.get("n_real")
    enough = held_out is not None and held_out >= _FEW
    given = {**FLOORS, **(FIRST_FLOORS if first and enough else {})}
    return {**{key: condition for key, condition in given.items() if key in challenger.scores}, **rule.require}


def _vetoes(record: Record, metric: str, rule: RegisterParams) -> list[str]:
    challenger, scores = record.challenger, record.challenger.scores
    reasons = [f"{key} is {value}" for key, value in scores.items() if not math.isfinite(value)]
    if metric not in scores:
        reasons.append(f"{metric}, which decides, was not measured; measured were {', '.join(sorted(scores)) or 'none'}")
    for key, condition in floors(challenger, rule, record.champion is None).items():
        if key not in scores:
            reasons.append(f"{key} is required to be {condition} and was not measured")
        elif math.isfinite(scores[key]) and not any(meets(value, condition) for value in (scores[key], *challenger.intervals.get(key, ()))):
            unmet = f"{key} {scores[key]:.4g} is not {condition}"
            reasons.append(unmet if key in rule.require or key not in FIRST_FLOORS else f"{unmet}: {_HARDLY}, or `gantry promote` it")
    return reasons


def meets(value: float, condition: str) -> bool:
    """Whether a score is what a floor such as `>= 0.4` asks for."""
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
