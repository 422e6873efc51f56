"""One step of a training: each turn's moves, in order, and what they do to the players' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from gan_core.distributed import Group
from gan_core.microbatches import Microbatches
from gan_core.params import TrainParams
from gan_core.recipes.game import Recipe, Turn

Optimizers = Mapping[int, torch.optim.Optimizer]
"""Of each turn, by its number."""


class Step(Protocol):
    """Plays steps."""

    def play(self, images: int, played: Sequence[Turn]) -> list[Mapping[str, Tensor]]:
        """Play the step that begins after so many images, of whose random draws the state is set.

        Args:
            played: the turns that are played at this share of the budget.

        Returns:
            Of each move the numbers that the record is to have.
        """


class EagerStep:
    """Operation by operation: every recipe's step, on every device, in any number of processes."""

    def __init__(self, recipe: Recipe[Any], optimizers: Optimizers, microbatches: Microbatches, group: Group, params: TrainParams) -> None:
        self._recipe, self._optimizers, self._microbatches, self._group, self._params = recipe, optimizers, microbatches, group, params

    def play(self, images: int, played: Sequence[Turn]) -> list[Mapping[str, Tensor]]:
        recipe, share = self._recipe, images / self._params.budget
        numbers = []
        for index, turn in enumerate(recipe.turns):
            optimizer = self._optimizers[index]
            weights = optimizer.param_groups[0]["params"]
            if turn not in played:
                _forget_gradients(weights)  # the record names gradients, and a resumed run has no old ones
                continue
            for repeat in range(turn.repeats):
                _forget_gradients(weights)
                last = repeat == turn.repeats - 1
                logged = self._group.average(weights, self._microbatches.backward(turn, weights, images, last))
                _forget_gradients(recipe.frozen(turn, share))
                optimizer.step()
                recipe.after_move(turn)
                recipe.learn(turn, logged)
                images += self._params.batch if turn.draws else 0
                numbers.append(logged)
        return numbers


def _forget_gradients(weights: Sequence[Tensor]) -> None:
    for weight in weights:
        weight.grad = None
