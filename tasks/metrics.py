"""Every score by name: which way it gets better, and which one decides where an entry leaves that open."""

from __future__ import annotations

from collections.abc import Mapping

from gan_core.params.common import Kind

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

_DECIDING: Mapping[Kind, tuple[str, ...]] = {
    "images": ("fid",),
    "captions": ("fid",),
    "points": ("radius_error", "high_quality"),
    "unpaired": ("fid",),
    "table": ("utility", "detection"),
    "pairs": ("fid",),
}
"""Of each kind of data, the first of these that was measured."""


def default_metric(measured: Mapping[str, float], kind: Kind) -> str:
    """The metric that decides between two generators of a kind of data, unless the entry says otherwise."""
    candidates = _DECIDING[kind]
    return next((metric for metric in candidates if metric in measured), candidates[-1])


def fewest_replicates(confidence: float) -> int:
    """Resamples that are needed to tell a confidence, 0 to 1: five beyond its border are expected."""
    return round(5 / (1 - confidence))
