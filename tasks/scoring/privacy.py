"""What generated rows tell of those that their generator was trained on.

Whoever holds the generated rows and somebody's row may guess that it was trained on where a generated one lies close to it: GAN-Leaks'
attack on a generator that is a black box (Chen et al., 2020, arXiv:1909.03935). It is run on training rows and on held-out ones, which
nobody was trained on, and its advantage is 2 A - 1, where A is the share of pairs of one of each in which the training row is the closer
one: 0 where rows tell nothing, 1 where they always tell. Rows of a rare class are the easiest to find, so each class is looked at by
itself, too. Only rows that occur once in the data are looked at, since the split keeps others together on one side.

A near-copy (`tasks.scoring.copies`) lies much closer to one training row than to the next; this sees rows that were memorised less exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gan_core.metrics.neighbours import TwoNearest
from gan_core.metrics.rows import area
from tasks.scoring.copies import COMPARED, CONFIDENCE
from tasks.scoring.scoring import chunks, rounded

FEWEST = 10
"""Rows that occur once, on each side, below which nothing is told."""
_QUANTILES = {"closest 5 %": 0.05, "median": 0.5}
_ENOUGH = 1e-9  # of an area: where its border is found

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Advantage:
    """How well one kind of sample is told from another by a distance."""

    value: float
    """-1 to 1; 0 is chance."""
    interval: tuple[float, float]
    """Where it may lie by chance."""
    counts: tuple[int, int]
    """Samples of either kind."""

    @classmethod
    def of(cls, near: Points, far: Points, confidence: float = CONFIDENCE) -> Self:
        """Of distances (N,) and (M,): 1 where all of the first are smaller than all of the second, each at least one."""
        found, counts = area(-near, -far)[0], (len(near), len(far))
        low, high = area_interval(found, *counts, confidence)
        return cls(2 * found - 1, (2 * low - 1, 2 * high - 1), counts)

    def as_record(self) -> dict[str, Any]:
        return {"value": rounded(self.value), "interval": [rounded(bound) for bound in self.interval], "compared": list(self.counts)}


@dataclass(frozen=True)
class Privacy:
    """What was found among a generator's rows."""

    membership: Advantage
    """Of the attack, over all rows."""
    of_classes: Mapping[str, Advantage]
    """Of the attack on the rows of each class that has some on either side; together their intervals have `CONFIDENCE`."""
    closer: Advantage
    """How much closer generated rows lie to their closest training row than held-out ones do; few modes do so too, without copying any."""
    distances: Mapping[str, Mapping[str, float]]
    """Quantiles of the distance to the closest training row, of generated and of held-out rows."""

    @property
    def worst(self) -> str | None:
        """The class of which the most is told for sure; None without classes."""
        return max(self.of_classes, key=lambda name: self.of_classes[name].interval[0], default=None)

    def scores(self) -> dict[str, float]:
        found = {"membership": self.membership}
        if self.worst is not None:
            found["class_membership"] = self.of_classes[self.worst]
        return {key: rounded(max(0.0, one.value)) for key, one in found.items()}

    def as_record(self) -> dict[str, Any]:
        """What evaluation.json holds of it, by key; under a score's name its interval."""
        found: dict[str, Any] = {
            "membership": self.membership.as_record(),
            "closest_training_row": {"closer_than_held_out": self.closer.as_record(), "distances": self.distances},
        }
        if self.worst is not None:
            each = {name: one.as_record() for name, one in self.of_classes.items()}
            found["class_membership"] = {**each[self.worst], "class": self.worst, "classes": each}
        return found


def find_privacy(
    generated: Points,
    train: Points,
    held_out: Points,
    classes: Sequence[str] = (),
    train_labels: NDArray[np.int64] | None = None,
    held_out_labels: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Privacy | None:
    """Run the attack; None where fewer than ten rows of either side occur once in the data.

    Args:
        generated: (N, D), in units in which distances count, their labels among them.
        train: (K, D).
        held_out: (M, D).
        classes: names of the labels.
        train_labels: (K,) index into them.
        held_out_labels: (M,).
        seed: of the choice of at most 1,000 rows on either side.
    """
    members, others = (np.flatnonzero(once) for once in np.split(_occurs_once(np.concatenate([train, held_out])), [len(train)]))
    random = np.random.default_rng(seed)
    members, others = (random.permutation(rows)[:COMPARED] for rows in (members, others))
    if min(len(members), len(others)) < FEWEST:
        return None
    found = closest(np.concatenate([train[members], held_out[others]]), generated)
    near, far = found[: len(members)], found[len(members) :]
    of_classes = {}
    if train_labels is not None and held_out_labels is not None:
        mine, theirs = train_labels[members], held_out_labels[others]
        both = np.intersect1d(mine, theirs).tolist()
        confidence = 1 - (1 - CONFIDENCE) / max(1, len(both))
        of_classes = {classes[label]: Advantage.of(near[mine == label], far[theirs == label], confidence) for label in both}
    some = random.permutation(len(generated))[:COMPARED]
    to_training = closest(np.concatenate([generated[some], held_out[others]]), train)
    drawn, real = to_training[: len(some)], to_training[len(some) :]
    distances = {
        side: {name: rounded(float(np.quantile(values, share))) for name, share in _QUANTILES.items()}
        for side, values in (("generated", drawn), ("held_out", real))
    }
    return Privacy(Advantage.of(near, far), of_classes, Advantage.of(drawn, real), distances)


def closest(rows: Points, references: Points) -> Points:
    """The Euclidean distance of rows (N, D) to the closest of references (M, D): (N,)."""
    nearest = TwoNearest(rows)
    for chunk in chunks(len(references), references.shape[1:]):
        nearest.update(references[chunk])
    return np.asarray(nearest.distances[:, 0])


def _occurs_once(rows: Points) -> NDArray[np.bool_]:
    """Of rows (N, D), whether none of the others is equal."""
    import pandas as pd  # slow to import

    return np.asarray(~pd.DataFrame(rows).duplicated(keep=False))


def area_interval(found: float, n: int, m: int, confidence: float) -> tuple[float, float]:
    """Where the area under a ROC curve may lie that was found to be `found` by `n` and `m` samples.

    The areas whose own deviation allows for what was found: method 5 of Newcombe, 2006, doi:10.1002/sim.2324, which holds at 0 and 1 and
    for few samples, too.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    more = (n + m) / 2 - 1

    def is_allowed(at: float) -> bool:
        variance = at * (1 - at) / (n * m) * (1 + more * ((1 - at) / (2 - at) + at / (1 + at)))
        return abs(at - found) <= z * math.sqrt(variance)

    def border(inside: float, outside: float) -> float:
        while abs(outside - inside) > _ENOUGH:
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if is_allowed(middle) else (inside, middle)
        return inside

    return border(found, 0.0), border(found, 1.0)


def in_words(evaluation: Mapping[str, Any]) -> list[str]:
    """What evaluation.json holds of it, a sentence each; none where nothing was looked at."""
    if "membership" not in evaluation:
        return []
    found, told = evaluation["membership"], evaluation.get("class_membership")
    members, others = found["compared"]
    sentences = [
        f"Who guesses from the generated rows which of {members:,} training and {others:,} held-out rows were trained on has an advantage "
        f"of {_shown(found)}, where 0 is guessing and 1 is knowing."
    ]
    if told is not None:
        mine, theirs = told["compared"]
        sentences.append(
            f"The most is told of the class {told['class']}: {_shown(told)}, by {mine:,} training and {theirs:,} held-out rows of it."
        )
    near = evaluation["closest_training_row"]
    drawn, real = (near["distances"][side] for side in ("generated", "held_out"))
    each = "; ".join(f"{name}: {drawn[name]:.4g} against {real[name]:.4g}" for name in drawn)
    sentences.append(f"Distance to the closest training row, generated against held-out rows, in deviations of the columns: {each}.")
    return sentences


def _shown(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"{found['value']:.2f} ({low:.2f} to {high:.2f} at {CONFIDENCE:.0%} confidence)"
