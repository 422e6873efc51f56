"""The networks of a game layer by layer, as one move of each turn calls them: shapes, parameters, multiply-adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset
from gan_core.params import TrainParams
from gan_core.randomness import reseed
from gan_core.recipes import build_recipe

_SAMPLES = 4
"""In the batch that is shown to the networks: enough for statistics over a batch."""
_PARAMETRIZED = "parametrizations"


@dataclass(frozen=True)
class Layer:
    """A module that computes something itself."""

    name: str
    """Its place in the network, with dots."""
    kind: str
    """Its class."""
    shape: tuple[int, ...] | None
    """Of what it gives for one sample; None where no move called it."""
    parameters: int
    """Its own weights."""
    multiply_adds: int
    """For one sample, of dense layers and convolutions; 0 for others, which take few."""
    turn: int | None = None
    """Its place among the layers in the order of their first calls; None where no move called it."""


def layers(params: TrainParams, dataset: Dataset) -> Mapping[str, list[Layer]]:
    """The layers of each player of the game that `params` ask for on data like `dataset`, in the order that they are made in.

    Raises:
        ConfigError: the parameters do not fit the data.
    """
    device = torch.device("cpu")
    reseed(device, params.seed)
    recipe = build_recipe(params, dataset.spec, device)
    batch = Batches(dataset, params.seed, device, recipe.paired).after(0, _SAMPLES)
    seen: dict[nn.Module, tuple[tuple[int, ...], int, int]] = {}

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and module not in seen:
            seen[module] = tuple(output.shape), _multiply_adds(module, inputs, output), len(seen)

    found = {player: list(_computing(network)) for player, network in recipe.players.items()}
    with ExitStack() as hooks:
        for _, module, _ in (layer for player in found.values() for layer in player):
            hooks.callback(module.register_forward_hook(look).remove)
        for turn in recipe.turns:
            recipe.move(turn, batch, 0, last=True)

    def layer(name: str, module: nn.Module, parameters: int) -> Layer:
        shape, multiply_adds, turn = seen.get(module, (None, 0, None))
        of_one = None if shape is None else shape[1:]
        return Layer(
            name, type(module).__name__.removeprefix("Parametrized"), of_one, parameters, multiply_adds // (shape or (1,))[0], turn
        )

    return {player: [layer(*each) for each in those] for player, those in found.items()}


def _computing(network: nn.Module) -> Iterator[tuple[str, nn.Module, int]]:
    """Name, module and number of weights of what has weights itself, or holds no other module."""
    for name, module in network.named_modules():
        if _PARAMETRIZED in name.split("."):
            continue
        is_whole = not [child for child, _ in module.named_children() if child != _PARAMETRIZED]
        own = module.parameters(recurse=is_whole)
        parameters = sum(weight.numel() for weight in own)
        if is_whole or parameters:
            yield name or "(itself)", module, parameters


def _multiply_adds(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    """Of the whole batch: every weight meets each place of what is smaller in area, the output or, where it enlarges, the input."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor) or weight.dim() < 2 or isinstance(module, nn.Embedding):
        return 0
    places: Callable[[Tensor], int] = (lambda tensor: tensor.numel() // tensor.shape[-1]) if weight.dim() == 2 else _pixels
    of = inputs[0] if isinstance(module, nn.modules.conv._ConvTransposeNd) else output
    return places(of) * weight.numel()


def _pixels(images: Tensor) -> int:
    return images.numel() // images.shape[1]
