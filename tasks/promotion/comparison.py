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
from tasks.metrics import BETTER, LOWER

if TYPE_CHECKING:
    from tasks.scoring.scoring import Evidence


@dataclass(frozen=True)
class Comparison:
    """Two generators by one metric."""

    metric: str
    better: str
    """Which way the metric gets better: `lower` or `higher`."""
    challenger: float
    """Its score."""
    champion: float
    difference: float
    """Challenger minus champion, less what few samples add to the one score more than to the other (`Evidence.unbiased`)."""
    interval: tuple[float, float]
    """Of the difference: the middle `confidence` of the replicates."""
    deviation: float
    """Standard deviation of the difference over the replicates: what chance makes of two equal generators."""
    probability_better: float
    """Share of replicates in which the challenger is better, a draw counting half."""
    replicates: int
    confidence: float

    @property
    def gain(self) -> float:
        """By how much the challenger is better; below 0 where it is worse."""
        return -self.difference if self.better == LOWER else self.difference

    def as_record(self) -> dict[str, Any]:
        """What decision.json holds of it."""
        return {**asdict(self), "interval": list(self.interval)}


def compare(challenger: Evidence, champion: Evidence, metric: str, replicates: int, confidence: float, seed: int) -> Comparison:
    """Compare two generators that were gathered with the same seeds against the same held-out data; a function of its arguments.

    Args:
        challenger: what it made, with `metric` among its scores.
        champion: the same of the present champion.
        metric: a name in `tasks.metrics.BETTER`.
        replicates: how many resamples.
        confidence: of the interval, 0 to 1.
        seed: of the resamples.

    Raises:
        DataError: the two were not scored on equal numbers of samples, or a replicate's score is not finite.
    """
    import numpy as np  # here, since params.yaml is read without it

    counts, others = (challenger.n_real, challenger.n_generated), (champion.n_real, champion.n_generated)
    if counts != others:
        raise DataError(f"{metric}: on {_shown(counts)} for the challenger and {_shown(others)} for the champion cannot be compared")
    real, generated = challenger.draws(replicates, seed)
    difference = challenger.unbiased(metric, real, generated) - champion.unbiased(metric, real, generated)
    resampled = challenger.replicates(metric, real, generated) - champion.replicates(metric, real, generated)
    if not np.isfinite([*resampled, difference]).all():
        raise DataError(f"{metric}: not finite in {int((~np.isfinite(resampled)).sum())} of {replicates} resamples")
    mine, theirs = challenger.averaged(metric), champion.averaged(metric)
    if mine is not None and theirs is not None:
        differences = generated.likely_means(mine - theirs)
    else:
        # A resample repeats samples, which shifts many a score, and one generator's further than another's. So replicates tell how far
        # chance spreads the difference, and the samples themselves where it lies.
        differences = resampled + (difference - resampled.mean())
    gains = -differences if BETTER[metric] == LOWER else differences
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Comparison(
        metric=metric,
        better=BETTER[metric],
        challenger=challenger.score(metric),
        champion=champion.score(metric),
        difference=_rounded(difference),
        interval=(_rounded(low), _rounded(high)),
        deviation=_rounded(resampled.std()),
        probability_better=float(np.mean(gains > 0) + np.mean(gains == 0) / 2),
        replicates=replicates,
        confidence=confidence,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _shown(counts: tuple[int, int]) -> str:
    return f"{counts[0]:,} real and {counts[1]:,} generated samples"
