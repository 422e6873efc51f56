"""What is said of a network's layers, against torch's own count of operations and against the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gan_core.data.dataset import Dataset
from gan_core.layers import layers
from gan_core.params import GanParams
from gan_core.recipes import build_recipe

Make = Callable[..., Dataset]

GAMES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "points": ({"shape": (2,)}, {"generator": {"network": "mlp", "widths": [8, 4]}, "discriminator": {"network": "mlp", "widths": [8]}}),
    "convolutions": ({}, {"generator": {"network": "dcgan", "width": 4}, "discriminator": {"network": "dcgan", "width": 4}}),
    "residual, in colour": (
        {"shape": (3, 16, 16)},
        {"generator": {"network": "residual", "width": 4}, "discriminator": {"network": "residual", "width": 4}},
    ),
}


@pytest.mark.parametrize("name", GAMES)
def test_parameters_and_operations_are_those_of_the_networks(make_dataset: Make, name: str) -> None:
    made, changes = GAMES[name]
    dataset = make_dataset(**made)
    params = GanParams.model_validate({"images": 80, "batch": 8, "latent": 6, **changes})
    found = layers(params, dataset)
    recipe = build_recipe(params, dataset.spec, torch.device("cpu"))
    assert list(found) == list(recipe.players) == ["generator", "discriminator"]
    inputs = {"generator": (torch.randn(1, 6),), "discriminator": (torch.randn(1, *dataset.spec.shape),)}
    for player, network in recipe.players.items():
        network.eval()
        with FlopCounterMode(display=False) as counter:
            network(*inputs[player])
        assert sum(layer.parameters for layer in found[player]) == sum(weight.numel() for weight in network.parameters())
        assert sum(layer.multiply_adds for layer in found[player]) == counter.get_total_flops() // 2
        called = [(layer.shape is None, layer.turn is None) for layer in found[player]]
        assert all(shapeless is turnless for shapeless, turnless in called)
        last = max(found[player], key=lambda layer: -1 if layer.turn is None else layer.turn)
        assert last.shape == (dataset.spec.shape if player == "generator" else (1,))
        assert found[player][-1].shape == (dataset.spec.shape if player == "generator" else (1,))
