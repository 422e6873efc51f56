"""Is a run still going anywhere? Signs of collapse and divergence, taken whenever a line of the record is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

WITHIN_LABELS = "diversity_within_labels"
"""As the record names it."""

_GRACE = 0.05  # share of the budget, and
_LEAST_STEPS = 100  # in which any generator may still be finding its feet
_LINES = 4  # of the record, one after another, that have to say the same; they come 200 times in a run
_LEAST_DIVERSITY = 0.01
_CERTAIN = 0.999
_NO_GRADIENT = 1e-6
_MOST_LOGIT = 100.0  # 1e-43 as a probability; a critic of the Wasserstein loss has no such bound
_STANDSTILL = 1e-8  # of a network's length in a step; a float32 weight itself is known to 6e-8 of its size


@dataclass(frozen=True)
class Spread:
    """How much real samples differ among themselves: the root of the mean variance of a value (pixel or column) over the samples. They stay
    the same, so it is taken once."""

    whole: float
    of_labels: Mapping[int, float]
    """Of those of each label that at least two have."""

    @classmethod
    def of(cls, real: NDArray[Any], labels: NDArray[np.int64] | None = None) -> Self:
        """Of samples (N, ...), and labels (N,) where they have some."""
        return cls(_spread(real), {} if labels is None else _spreads(real, labels))


def diversity(samples: NDArray[Any], real: Spread) -> float:
    """How much generated samples (N, ...) differ among themselves, as a share of how much real ones do: 1 is right, 0 collapsed."""
    return _spread(samples) / max(real.whole, 1e-12)


def diversity_within_labels(samples: NDArray[Any], labels: NDArray[np.int64], real: Spread) -> float | None:
    """The same among samples of one label, on the mean over the labels; None where no label has two samples on both sides.

    A generator by label that draws one sample a label is collapsed, and `diversity`, which labels alone keep up, does not tell.
    """
    found = {label: spread for label, spread in _spreads(samples, labels).items() if label in real.of_labels}
    if not found:
        return None
    mine, theirs = (np.sqrt(np.mean([side[label] ** 2 for label in found])) for side in (found, real.of_labels))
    return float(mine / max(theirs, 1e-12))


def gradient_norm(player: nn.Module) -> float:
    """The Euclidean norm of a player's last gradient, over all its weights; 0 where it has none."""
    gradients = [weight.grad for weight in player.parameters() if weight.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0


@torch.no_grad()
def movement(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """How far weights moved, as a share of the length that they had: 0 where none did."""
    moved = torch.nn.utils.get_total_norm([new - old for old, new in zip(before, after, strict=True)])
    return float(moved / torch.nn.utils.get_total_norm(list(before)).clamp(min=1e-6))


def failure(record: Sequence[Mapping[str, float]], budget: int, batch: int, start: float = 0.0, shipped: str = "generator") -> str | None:
    """Why a run is lost, in words; None where it is not.

    Args:
        record: the lines so far; only the last few are looked at.
        budget: images that the run is to see.
        batch: images in a step.
        start: images after which the generator began to play.
        shipped: the player that is the generator, as the record names its gradient.
    """
    last = record[-_LINES:]
    if len(last) < _LINES or last[0]["images"] < start + max(_GRACE * budget, _LEAST_STEPS * batch):
        return None
    if all(line.get("diversity", 1.0) < _LEAST_DIVERSITY for line in last):
        return f"the generator has collapsed: its samples differ {last[-1]['diversity']:.1%} as much as real ones do"
    if all(line.get(WITHIN_LABELS, 1.0) < _LEAST_DIVERSITY for line in last):
        share = f"{last[-1][WITHIN_LABELS]:.1%}"
        return f"the generator has collapsed to one sample a label: those of a label differ {share} as much as real ones do"
    if all(line.get(f"{shipped}_movement", 1.0) < _STANDSTILL for line in last):
        return "the generator stands still: no step moves its weights"
    if all(_runaway(line) for line in last):
        real, fake = _furthest(last[-1], "real_score"), _furthest(last[-1], "fake_score")
        return f"the discriminator's logits have run away: {real:.3g} on real, {fake:.3g} on generated samples"
    won = all(min(_named(line, "accuracy_pairs"), default=0.0) >= _CERTAIN for line in last)
    if won and all(line.get(f"{shipped}_gradient", 1.0) < _NO_GRADIENT for line in last):
        return "the discriminator has won: it tells every generated sample from a real one, and no gradient reaches the generator"
    return None


def _runaway(line: Mapping[str, float]) -> bool:
    """Whether a discriminator's logits are out of bounds: each side's where the game knows a boundary, else the difference of the two."""
    bounded = {name.removesuffix("accuracy_real") for name in line if name.endswith("accuracy_real")}
    for judge in (name.removesuffix("accuracy_pairs") for name in line if name.endswith("accuracy_pairs")):
        real, fake = line[f"{judge}real_score"], line[f"{judge}fake_score"]
        if (max(abs(real), abs(fake)) if judge in bounded else abs(real - fake)) > _MOST_LOGIT:
            return True
    return False


def _named(line: Mapping[str, float], *endings: str) -> list[float]:
    """The numbers of that name, of all discriminators: a second one's names begin with its own."""
    return [value for name, value in line.items() if name.endswith(endings)]


def _furthest(line: Mapping[str, float], *endings: str) -> float:
    return max(_named(line, *endings), key=abs)


def _spread(samples: NDArray[Any]) -> float:
    return float(np.sqrt(samples.astype(np.float64).var(axis=0, ddof=1).mean()))


def _spreads(samples: NDArray[Any], labels: NDArray[np.int64]) -> dict[int, float]:
    counted = zip(*np.unique(labels, return_counts=True), strict=True)
    return {int(label): _spread(samples[labels == label]) for label, count in counted if count > 1}
