"""How far a score is from what real samples get, in a number and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from tasks.metrics import BETTER, HIGHER, LOWER

FAR = 10.0
"""Times the distance of real samples from which a generator counts as far from real."""

_DISTANCES = (
    *("fid", "fid_infinity", "kid", "whitened_kid", "rbf_kid", "stage1_fid"),
    *("column_distance", "correlation_distance", "radius_error", "reverse_kl"),
)
_PERFECT: Mapping[str, float] = {
    **dict.fromkeys(("utility", "segmentation_ratio", "partner_recall", "input_recall"), 1.0),
    "high_quality": 1 - math.exp(-4.5),
}
"""What real samples get of these by their definition; of a normal distribution in the plane, so much lies within three deviations."""


@dataclass(frozen=True)
class BesideReal:
    """A score beside what real samples get of it: training data in the place of generated ones, against the same held-out samples."""

    metric: str
    value: float
    real: float
    times: float | None
    """value / real, where that means something: of distances, and of shares that real samples have more of."""

    @classmethod
    def of(cls, metric: str, value: float | None, real: Mapping[str, float]) -> Self | None:
        """None where nothing is known of real samples.

        Args:
            metric: a name in `BETTER`.
            value: the score; None where it is not finite.
            real: evaluation.json's `real_against_real`.
        """
        known = real.get(metric, _PERFECT.get(metric))
        if known is None or value is None:
            return None
        compared = known > 0 and (metric in _DISTANCES or BETTER[metric] == HIGHER)
        return cls(metric, value, known, value / known if compared else None)

    @property
    def is_far(self) -> bool:
        """Whether nobody would take the samples for real ones, as far as this score shows."""
        if self.metric == "detection":
            return self.value >= 0.9
        if self.times is None:
            return False
        return self.times >= FAR if BETTER[self.metric] == LOWER else self.times <= 0.5

    @property
    def short(self) -> str:
        """Such as `31 x real`; empty where there is no ratio."""
        if self.times is None:
            return ""
        return f"{_times(self.times)} x real" if BETTER[self.metric] == LOWER else f"{100 * self.times:.0f} % of real"

    @property
    def in_words(self) -> str:
        """Such as `fid 7.2 is 31 times real against real (0.23): far from real`."""
        score, far = f"{self.metric} {self.value:.4g}", ": far from real" if self.is_far else ""
        if self.times is None:
            return f"{score}; real samples get {self.real:.4g}{far}"
        if BETTER[self.metric] == LOWER:
            return f"{score} is {_times(self.times)} times real against real ({self.real:.4g}){far}"
        return f"{score} is {100 * self.times:.0f} % of what real samples get ({self.real:.4g}){far}"

    def as_record(self) -> dict[str, Any]:
        """What decision.json holds of it."""
        return {**asdict(self), "far": self.is_far, "in_words": self.in_words}


def _times(times: float) -> str:
    return f"{times:,.0f}" if times >= FAR else f"{times:.2g}"
