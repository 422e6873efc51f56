"""What a training run can be told: the `train` section of an entry in params.yaml, a module a recipe.

Everything is optional; the defaults are the ones that `docs/recipes.md` measures. Strict: an unknown key, a
wrong type or an impossible combination is refused before anything is loaded. No torch in here, so that reading params.yaml
stays fast.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from gan_core.named import Named
from gan_core.params.common import OneOf, TrainParams
from gan_core.params.cyclegan import CycleGanParams
from gan_core.params.gan import GanParams
from gan_core.params.pix2pix import Pix2pixParams
from gan_core.params.stackgan import StackganParams
from gan_core.params.stargan import StarGanParams
from gan_core.params.tabular import TabularParams

__all__ = [
    "RECIPES",
    "AnyRecipe",
    "CycleGanParams",
    "GanParams",
    "Pix2pixParams",
    "StackganParams",
    "StarGanParams",
    "TabularParams",
    "TrainParams",
]

RECIPES = Named(
    "gantry.recipes",
    "recipe",
    {
        "gan": "gan_core.params.gan:GanParams",
        "cyclegan": "gan_core.params.cyclegan:CycleGanParams",
        "stargan": "gan_core.params.stargan:StarGanParams",
        "tabular": "gan_core.params.tabular:TabularParams",
        "stackgan": "gan_core.params.stackgan:StackganParams",
        "pix2pix": "gan_core.params.pix2pix:Pix2pixParams",
    },
)
"""What each recipe can be told, by the name that `train.recipe` has."""

AnyRecipe = Annotated[SerializeAsAny[TrainParams], BeforeValidator(OneOf(RECIPES, "recipe", "gan"))]
"""The `train` section, which says which recipe it is for by `recipe`."""
