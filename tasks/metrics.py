"""Every score by name: what it is, which way it gets better, and how far it is from real."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

LOWER, HIGHER = "lower", "higher"

BETTER: Mapping[str, str] = {
    "fid": LOWER,
    "fid_infinity": LOWER,
    "kid": LOWER,
    "precision": HIGHER,
    "recall": HIGHER,
    "density": HIGHER,
    "coverage": HIGHER,
    "inception_score": HIGHER,
    "copies": LOWER,
    "modes": HIGHER,
    "reverse_kl": LOWER,
    "label_accuracy": HIGHER,
    "translated": HIGHER,
    "cycle_l1": LOWER,
    "caption_recall": HIGHER,
    "stage1_fid": LOWER,
    "stage2_gain": HIGHER,
    "radius_error": LOWER,
    "bins_filled": HIGHER,
    "high_quality": HIGHER,
    "utility": HIGHER,
    "detection": LOWER,
    "column_distance": LOWER,
    "correlation_distance": LOWER,
    "l1": LOWER,
    "psnr": HIGHER,
    "ssim": HIGHER,
    "segmentation_ratio": HIGHER,
    "psnr_gain": HIGHER,
    "fid_ratio": LOWER,
    "hole_psnr": HIGHER,
    "hole_psnr_gain": HIGHER,
}

FLOOR_ONLY = ("copies",)
"""Scores of the challenger alone, which floors look at: no two generators are compared by them."""

_INSTEAD: Mapping[str, str] = {"fid": "kid", "fid_ratio": "kid", "fid_infinity": "kid"}
"""What decides where few samples let these tell nothing."""


def instead_of(metric: str, undecided: Mapping[str, str]) -> str:
    """The metric that decides where an entry names `metric`: that one, or what takes its place where it can tell nothing."""
    return _INSTEAD.get(metric, metric) if metric in undecided else metric


def fewest_replicates(confidence: float) -> int:
    """Resamples that are needed to tell a confidence, 0 to 1: five beyond its border are expected."""
    return round(5 / (1 - confidence))


WHAT: Mapping[str, str] = {
    "fid": "Frechet distance between the features of generated and held-out samples: mean and spread together",
    "fid_infinity": "the Frechet distance, extrapolated to endlessly many generated samples",
    "kid": "kernel distance between the features of generated and held-out samples; about 0 for real ones",
    "precision": "share of generated samples that lie among the real ones: how plausible they are",
    "recall": "share of real samples that lie among the generated ones: how much of the variety is there",
    "density": "how many neighbourhoods of real samples a generated one lies in, on average, beside how many are expected",
    "coverage": "share of real samples with a generated one in their neighbourhood",
    "inception_score": "how clearly single samples show a class, and how evenly all show every class",
    "copies": "share of generated samples that are near-copies of training samples",
    "modes": "how many of the known kinds of sample are drawn",
    "reverse_kl": "how far the shares of the modes are from those in the training data",
    "label_accuracy": "share of generated samples in which a classifier finds the class that was asked for",
    "translated": "share of translations that a classifier takes for the target kind",
    "cycle_l1": "mean absolute difference between an input and what comes back of its translation, in pixels of 0 to 1",
    "caption_recall": "share of generated images whose caption a matcher finds among 100",
    "stage1_fid": "Frechet distance of the first stage's images",
    "stage2_gain": "share of that distance which the second stage takes away",
    "radius_error": "mean distance of the points from the true circle",
    "bins_filled": "how many of 36 angles around the circle have a point",
    "high_quality": "share of points within three standard deviations of a mode",
    "utility": "what a classifier trained on generated rows is worth on real ones, beside one trained on real rows",
    "detection": "how well a classifier tells generated rows from real ones: 0.5 not at all, 1 always",
    "column_distance": "mean distance between the distributions of generated and real columns",
    "correlation_distance": "mean difference between the correlations of generated and real columns",
    "l1": "mean absolute difference from the real partners, in pixels of 0 to 1",
    "psnr": "peak signal-to-noise ratio beside the real partners, in decibels",
    "ssim": "structural similarity with the real partners, at most 1",
    "segmentation_ratio": "share of pixels whose label is found again, divided by that in real images",
    "psnr_gain": "decibels above a plain restoration",
    "fid_ratio": "Frechet distance, divided by that of a plain restoration",
    "hole_psnr": "peak signal-to-noise ratio inside the hole, in decibels",
    "hole_psnr_gain": "the same, in decibels above a plain restoration",
}
"""In a phrase, for people who read a score for the first time."""

FAR = 10.0
"""Times the distance of real samples from which a generator counts as far from real."""

_DISTANCES = ("fid", "fid_infinity", "kid", "stage1_fid", "column_distance", "correlation_distance", "radius_error", "reverse_kl")
_PERFECT: Mapping[str, float] = {"utility": 1.0, "segmentation_ratio": 1.0, "high_quality": 1 - math.exp(-4.5)}
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
