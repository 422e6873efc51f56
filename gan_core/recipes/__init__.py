"""The games: one module a recipe. `gan_core.params.RECIPES` knows them by name."""

from __future__ import annotations

from typing import Any

import torch

from gan_core.data.dataset import DatasetSpec
from gan_core.named import located
from gan_core.params import TrainParams
from gan_core.recipes.game import Recipe


def build_recipe(params: TrainParams, spec: DatasetSpec, device: torch.device) -> Recipe[Any]:
    """The game that `params` ask for on data like `spec`, freshly initialised from torch's global random state.

    Raises:
        ConfigError: the parameters do not fit the data.
    """
    recipe: Recipe[Any] = located(params.game)(params, spec, device)
    return recipe
