"""The games: one module a recipe, and the one place that knows them by name."""

from __future__ import annotations

from typing import Any

import torch

from gan_core.data.dataset import DatasetSpec
from gan_core.params import TrainParams
from gan_core.recipes.cyclegan import CycleGan
from gan_core.recipes.game import Recipe
from gan_core.recipes.gan import Gan
from gan_core.recipes.pix2pix import Pix2pix
from gan_core.recipes.stackgan import Stackgan
from gan_core.recipes.tabular import Tabular

RECIPES: dict[str, type[Recipe[Any]]] = {
    "gan": Gan,
    "cyclegan": CycleGan,
    "tabular": Tabular,
    "stackgan": Stackgan,
    "pix2pix": Pix2pix,
}


def build_recipe(params: TrainParams, spec: DatasetSpec, device: torch.device) -> Recipe[Any]:
    """The game that `params` ask for on data like `spec`, freshly initialised from torch's global random state.

    Raises:
        ConfigError: the parameters do not fit the data.
    """
    return RECIPES[params.recipe](params, spec, device)
