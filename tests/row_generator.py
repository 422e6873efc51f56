"""A generator of rows with weights as they begin, which is enough to see that what is asked for is so."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.schema import Schema
from gan_core.kinds.table import Table
from gan_core.params import TabularParams
from gan_core.recipes import build_recipe


def untrained(
    schema: Schema, rows: NDArray[np.float64], classes: tuple[str, ...] | None = None, labels: NDArray[np.int64] | None = None
) -> Generator:
    """A generator of rows such as these, whose schema is not yet fitted; value by value where they have children."""
    fitted = schema.fitted(rows, labels, len(classes or ()))
    spec = Table((rows.shape[1],), {"train": len(rows), "holdout": 0}, classes, schema=fitted)
    small = {"widths": [16]}
    generator = {**small, "network": "tabular" if schema.children is None else "autoregressive"}
    params = TabularParams.model_validate({"images": 200, "generator": generator, "discriminator": small})
    torch.manual_seed(0)
    recipe = build_recipe(params, spec, torch.device("cpu"))
    config = GeneratorConfig("tabular", spec, recipe.latent, recipe.network, 0, 0, "")
    return Generator(config, recipe.players["generator"])
