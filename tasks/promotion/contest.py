"""Challenger against champion from what was gathered of both: which scores decide, what the resamples say, and the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gan_core.params.common import Kind
from tasks.params import RegisterParams
from tasks.promotion.comparison import Comparison, compare
from tasks.promotion.gate import Decision, Measured, Record, confidence_of_each, decide, deciding_together

if TYPE_CHECKING:
    from tasks.scoring.scoring import Evidence


@dataclass(frozen=True)
class Side:
    """One of the two."""

    evidence: Evidence
    measured: Measured


@dataclass(frozen=True)
class Contest:
    """What came of it."""

    decision: Decision
    comparisons: tuple[Comparison, ...]
    """By each of the scores that decide, the deciding one first."""


def contest(challenger: Side, champion: Side, rule: RegisterParams, kind: Kind, seed: int) -> Contest:
    """Compare two generators that were measured under the same conditions, and decide: a function of its arguments.

    Args:
        challenger: the one that may become the champion, its deciding metric among its scores.
        champion: the present one, its scores too.
        rule: the entry's `register` section.
        kind: of the samples.
        seed: of the resamples.

    Raises:
        DataError: as `compare`.
    """
    mine, old = challenger.measured, champion.measured
    both = {key: mine.scores[key] for key in mine.scores if key in old.scores}
    metrics = deciding_together(both, rule, kind, mine.undecided)
    confidence = confidence_of_each(rule, len(metrics))
    compared = tuple(compare(challenger.evidence, champion.evidence, by, rule.replicates, confidence, seed) for by in metrics)
    return Contest(decide(Record(mine, old, compared[0], compared[1:]), rule, kind), compared)
