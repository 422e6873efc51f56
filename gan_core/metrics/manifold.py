"""How much of the generated set lies where real samples do, and the other way round, by nearest neighbours in feature space.

Each sample stands for the ball around it that reaches its k-th nearest neighbour in its own set. Precision and recall as in
Kynkaanniemi et al., 2019 (arXiv:1904.06991); density and coverage as in Naeem et al., 2020 (arXiv:2002.09797), which outliers
among the real samples do not flatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.errors import DataError

NEIGHBOURS = 5
BLOCK = 1_000  # rows of the distance matrix held at once: 80 MB against 10,000


@dataclass(frozen=True)
class ManifoldScores:
    """All larger is better; two samples of one distribution give about 1 - 2^-k for coverage, and 1 for density."""

    precision: float
    """Share of generated samples inside some real ball, 0 to 1."""
    recall: float
    """Share of real samples inside some generated ball, 0 to 1."""
    density: float
    """Real balls that a generated sample lies in, over k, on average; 0 upwards."""
    coverage: float
    """Share of real balls with a generated sample inside, 0 to 1."""


@dataclass(frozen=True)
class Membership:
    """Which sample lies in whose ball: what the scores are made of, and what each sample, real or generated, weighs in them."""

    balls: NDArray[np.int64]
    """(M,) how many real balls each generated sample lies in."""
    recalled: NDArray[np.bool_]
    """(N,) whether each real sample lies in some generated ball."""
    inside: NDArray[np.int64]
    """(N,) how many generated samples lie in each real ball."""
    only_ball: NDArray[np.int64]
    """(N,) how many generated samples lie in this real ball and in no other."""
    only_recall: NDArray[np.int64]
    """(M,) how many real samples lie in this generated ball and in no other."""
    only_cover: NDArray[np.int64]
    """(M,) in how many real balls this generated sample lies alone."""
    neighbours: int

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(N,) whether each real ball has a generated sample inside."""
        return self.inside > 0

    def scores(self) -> ManifoldScores:
        """The scores over all samples."""
        return ManifoldScores(
            precision=float(np.mean(self.balls > 0)),
            recall=float(np.mean(self.recalled)),
            density=float(np.mean(self.balls)) / self.neighbours,
            coverage=float(np.mean(self.covered)),
        )

    def influences(self, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What each real (N,) and each generated sample (M,) weighs in one of the scores; of mean 0 on each side.

        Balls keep their size. Of the side that is counted over, a sample weighs what it adds to the mean; of the other, what is lost
        without it, as the jackknife has it (Efron and Stein, 1981), whose variance is no smaller than the true one.

        Raises:
            KeyError: no such score.
        """
        n, m = len(self.recalled), len(self.balls)
        sides: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
            "precision": ((n - 1) / m * self.only_ball, self.balls > 0),
            "recall": (self.recalled, (m - 1) / n * self.only_recall),
            "density": (self.inside * n / (m * self.neighbours), self.balls / self.neighbours),
            "coverage": (self.covered, (m - 1) / n * self.only_cover),
        }
        of_real, of_generated = (values.astype(np.float64) for values in sides[metric])
        return of_real - of_real.mean(), of_generated - of_generated.mean()


def manifold_scores(real: NDArray[Any], generated: NDArray[Any], neighbours: int = NEIGHBOURS) -> ManifoldScores:
    """Score (M, D) generated against (N, D) real features; see `membership`.

    >>> features = np.random.default_rng(0).normal(size=(50, 4))
    >>> manifold_scores(features, features + 100)  # far away
    ManifoldScores(precision=0.0, recall=0.0, density=0.0, coverage=0.0)
    """
    return membership(real, generated, neighbours).scores()


def membership(real: NDArray[Any], generated: NDArray[Any], neighbours: int = NEIGHBOURS) -> Membership:
    """Which of (M, D) generated and (N, D) real features lie in whose balls.

    Recall and coverage rise with M: compare scores only at equal counts. A ball includes its border. Distances are taken in float64,
    a block of rows at a time.

    Raises:
        DataError: the widths differ, a side has no more than `neighbours` features, or something is not finite.
    """
    first, second = _checked(real, generated, neighbours)
    real_radii, generated_radii = _radii(first, neighbours), _radii(second, neighbours)
    balls, places = torch.zeros((2, len(second)), dtype=torch.int64)  # of real balls around each: how many, and the sum of their places
    recalled, inside = [], []
    only_recall, only_cover = torch.zeros((2, len(second)), dtype=torch.int64)
    for start in range(0, len(first), BLOCK):
        distances = _squared_distances(first[start : start + BLOCK], second)
        in_real = distances <= real_radii[start : start + BLOCK, None]
        in_generated = distances <= generated_radii
        balls += in_real.sum(dim=0)
        places += (in_real * torch.arange(start, start + len(in_real))[:, None]).sum(dim=0)
        inside.append(in_real.sum(dim=1))
        recalled.append(in_generated.any(dim=1))
        only_cover += in_real[in_real.sum(dim=1) == 1].sum(dim=0)
        only_recall += in_generated[in_generated.sum(dim=1) == 1].sum(dim=0)
    only_ball = torch.bincount(places[balls == 1], minlength=len(first))  # a sum of one place is that place
    return Membership(
        balls=balls.numpy(),
        recalled=torch.cat(recalled).numpy(),
        inside=torch.cat(inside).numpy(),
        only_ball=only_ball.numpy(),
        only_recall=only_recall.numpy(),
        only_cover=only_cover.numpy(),
        neighbours=neighbours,
    )


def _checked(real: NDArray[Any], generated: NDArray[Any], neighbours: int) -> tuple[Tensor, Tensor]:
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise DataError(f"precision and recall: features of {real.shape} and {generated.shape} cannot be compared")
    if min(len(real), len(generated)) <= neighbours:
        raise DataError(
            f"precision and recall: {len(real)} real and {len(generated)} generated features; "
            f"more than {neighbours} of each are needed for {neighbours} neighbours"
        )
    if not (np.isfinite(real).all() and np.isfinite(generated).all()):
        raise DataError("precision and recall: a feature is not finite")
    # Distances do not change with the origin; near their mean they lose the fewest digits.
    origin = real.mean(axis=0, dtype=np.float64)
    return torch.from_numpy(real - origin), torch.from_numpy(generated - origin)


def _radii(features: Tensor, neighbours: int) -> Tensor:
    """Squared distance of each row to its k-th nearest other row: (N,)."""
    radii = []
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK]
        distances = _squared_distances(block, features)
        # A sample is no neighbour of its own; equal samples are.
        distances[torch.arange(len(block)), torch.arange(start, start + len(block))] = torch.inf
        radii.append(distances.topk(neighbours, dim=1, largest=False).values.amax(dim=1))
    return torch.cat(radii)


def _squared_distances(first: Tensor, second: Tensor) -> Tensor:
    products = torch.addmm(second.square().sum(dim=1)[None, :], first, second.T, alpha=-2.0)
    return products.add_(first.square().sum(dim=1)[:, None]).clamp_(min=0.0)
