"""A turn played on a batch in parts, for a batch that does not fit into memory or is shared among processes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gan_core.data.batches import Batch, Batches
from gan_core.distributed import Parts
from gan_core.params import TrainParams
from gan_core.recipes.game import Recipe, Turn


class Microbatches:
    """The parts of each batch that this process plays: their gradients add up to those of its share of the batch."""

    def __init__(self, recipe: Recipe[Any], batches: Batches, parts: Parts, params: TrainParams, precision: torch.dtype) -> None:
        self._batches = batches
        self._parts = parts
        self._params = params
        self._autocast = precision == torch.bfloat16
        # What a recipe keeps of a part from one turn to the next, such as what the generator drew for it, stays with the part.
        self._recipes = [recipe, *(copy.copy(recipe) for _ in range(1, params.accumulate))]
        self._drawn: dict[int, Batch] = {}

    def backward(self, turn: Turn, weights: Sequence[Tensor], images: int, last: bool) -> Mapping[str, Tensor]:
        """Leave the gradient of the turn's loss in `weights`.

        Args:
            images: seen before this batch, if the turn draws one.
            last: whether this is the last of the turn's repeats in this step.

        Returns:
            The numbers that the recipe wants logged, their means over the parts.
        """
        device = self._batches.device
        numbers: list[Mapping[str, Tensor]] = []
        for part, recipe in zip(self._parts.numbers, self._recipes, strict=True):
            with self._parts.playing(part, recipe.players, device):
                if turn.draws:
                    self._drawn[part] = self._batches.after(images, self._params.batch, part, self._parts.count)
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._autocast):
                    move = recipe.move(turn, self._drawn[part], images // self._params.batch, last)
            loss = move.loss if self._params.accumulate == 1 else move.loss / self._params.accumulate
            loss.backward(inputs=weights)  # type: ignore[no-untyped-call]
            numbers.append(move.numbers)
        return numbers[0] if len(numbers) == 1 else {name: torch.stack([one[name] for one in numbers]).mean() for name in numbers[0]}
