"""Challenger against champion with the uncertainty that chance leaves: a paired bootstrap over what both were scored on.

Each replicate draws real and generated samples anew, with replacement, and gives both generators the same draws: the same held-out
samples, and the same latents. So what is an accident of these held-out samples moves both scores alike and cancels in their
difference. What it covers is the chance in the held-out data and in the latents; how another training with another seed would have
come out is not in it, nor need it be: the gate judges this generator, not its recipe.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gan_core.errors import DataError
from tasks.metrics import BETTER, LOWER, fewest_replicates

if TYPE_CHECKING:
    from tasks.scoring import Evidence


_SLOW_REPLICATES = 200  # of a score that fits a classifier in each


@dataclass(frozen=True)
class Comparison:
    """Two generators by one metric."""

    metric: str
    better: str
    """Which way the metric gets better: `lower` or `higher`."""
    challenger: float
    champion: float
    interval: tuple[float, float]
    """Of challenger minus champion: the middle `confidence` of the replicates."""
    probability_better: float
    """Share of replicates in which the challenger is better, a draw counting half."""
    replicates: int
    confidence: float

    @property
    def difference(self) -> float:
        """Challenger minus champion."""
        return self.challenger - self.champion

    @property
    def gain(self) -> float:
        """By how much the challenger is better; below 0 where it is worse."""
        return -self.difference if self.better == LOWER else self.difference

    def as_record(self) -> dict[str, Any]:
        """What decision.json holds of it."""
        return {**asdict(self), "interval": list(self.interval), "difference": self.difference}


def compare(challenger: Evidence, champion: Evidence, metric: str, replicates: int, confidence: float, seed: int) -> Comparison:
    """Compare two generators that were gathered with the same seeds against the same held-out data; a function of its arguments.

    Args:
        challenger: what it made, with `metric` among its scores.
        champion: the same of the present champion.
        metric: a name in `tasks.metrics.BETTER`.
        replicates: how many resamples; at most 200, or what the confidence needs, of a score that is slow to compute.
        confidence: of the interval, 0 to 1.
        seed: of the resamples.

    Raises:
        DataError: the two were not scored on equal numbers of samples, or a replicate's score is not finite.
    """
    import numpy as np  # here, since params.yaml is read without it

    from gan_core.metrics.bootstrap import Draws
    from gan_core.randomness import mix

    if metric in challenger.slow:
        replicates = min(replicates, max(_SLOW_REPLICATES, fewest_replicates(confidence)))
    counts, others = (challenger.n_real, challenger.n_generated), (champion.n_real, champion.n_generated)
    if counts != others:
        raise DataError(f"{metric}: on {_shown(counts)} for the challenger and {_shown(others)} for the champion cannot be compared")
    real = Draws(challenger.n_real, replicates, mix(seed, 1))
    generated = Draws(challenger.n_generated, replicates, mix(seed, 2))
    new, old = challenger.replicates(metric, real, generated), champion.replicates(metric, real, generated)
    differences = new - old
    if not np.isfinite(differences).all():
        raise DataError(f"{metric}: not finite in {int((~np.isfinite(differences)).sum())} of {replicates} resamples")
    gains = -differences if BETTER[metric] == LOWER else differences
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Comparison(
        metric=metric,
        better=BETTER[metric],
        challenger=challenger.score(metric),
        champion=champion.score(metric),
        interval=(float(f"{low:.6g}"), float(f"{high:.6g}")),
        probability_better=float(np.mean(gains > 0) + np.mean(gains == 0) / 2),
        replicates=replicates,
        confidence=confidence,
    )


def _shown(counts: tuple[int, int]) -> str:
    return f"{counts[0]:,} real and {counts[1]:,} generated samples"
