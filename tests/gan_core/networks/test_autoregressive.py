"""Rows drawn value by value: what is drawn has the probability that the likelihood says, and that is what is learned."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import planted_table
import pytest
import torch

from gan_core.data.batches import Batches
from gan_core.generator import Generator
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.networks import build_generator
from gan_core.networks.autoregressive import AutoregressiveGenerator
from gan_core.params import TabularParams
from gan_core.params.networks import AutoregressiveGeneratorParams
from gan_core.recipes import build_recipe
from gan_core.recipes.tabular import Tabular
from gan_core.training import train

BINS = 4


def params(**changes: Any) -> TabularParams:
    small = {"widths": [16]}
    network = {"network": "autoregressive", "widths": [32], "bins": 20, "dropout": 0.0, **changes.pop("generator", {})}
    return TabularParams.model_validate({"images": 200, "batch": 20, "generator": network, "discriminator": small, **changes})


def zero_inflated(classes: tuple[str, ...] | None = None) -> AutoregressiveGenerator:
    """A table whose number is 0 in half of its rows, and a category beside it; its generator, of random weights."""
    random = np.random.default_rng(0)
    number = np.where(np.arange(200) % 2, 0.0, random.normal(5, 1, 200))
    columns = (Column("x", "number", "float64"), Column("c", "category", "string", ("a", "b", "c")))
    schema = Schema(columns).fitted(np.stack([number, random.integers(0, 3, 200)], axis=1), None, 0, modes=1)
    torch.manual_seed(0)
    spec = Table((2,), {"train": 200, "holdout": 5}, classes, schema=schema)
    network = build_generator(
        AutoregressiveGeneratorParams(widths=(8,), bins=BINS), spec, spec.encoding.scalars + spec.encoding.choices.width
    )
    assert isinstance(network, AutoregressiveGenerator)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.5 * torch.randn_like(weight)
    return network.eval()


def test_rows_are_drawn_with_the_probability_that_their_likelihood_says() -> None:
    """Of each of 3 values beside the spike, and beside each of 4 parts of the number."""
    network = zero_inflated()
    assert network.choices.sizes == (2, 3)  # the mode and the spike; the category
    middles = [(part + 0.5) / BINS * 2 - 1 for part in range(BINS)]
    kinds = [(0, middle, value) for middle, value in itertools.product(middles, range(3))] + [(1, 0.0, value) for value in range(3)]
    rows = torch.tensor([[scalar, *np.eye(2)[option], *np.eye(3)[value]] for option, scalar, value in kinds], dtype=torch.float32)
    with torch.no_grad():
        told = torch.stack([(-network.cross_entropy(row[None])).exp() for row in rows])
        drawn = network(torch.randn(40_000, 1 + network.choices.width))
    assert told.sum().item() == pytest.approx(1, abs=1e-5)
    parts = ((drawn[:, :1] + 1) / 2 * BINS).long().clamp(0, BINS - 1)
    middle = torch.where(drawn[:, 1:2] == 1, (parts + 0.5) / BINS * 2 - 1, 0.0)
    alike = torch.cat([middle, drawn[:, 1:]], dim=1)
    shares = torch.stack([(alike - row).abs().sum(dim=1).lt(1e-6).float().mean() for row in rows])
    assert shares.sum().item() == pytest.approx(1)  # choices are one-hot, and at the spike the scalar is 0
    torch.testing.assert_close(shares, told, atol=0.01, rtol=0)


@pytest.mark.parametrize("has_labels", [False, True])
def test_the_gradient_that_comes_with_the_likelihood_is_that_of_a_backward_pass(has_labels: bool) -> None:
    """With the same random numbers for dropout, and whatever the likelihood is multiplied by."""
    network = zero_inflated(classes=("no", "yes") if has_labels else None).train()
    options = torch.nn.functional.one_hot(torch.randint(2, (50,)), 2), torch.nn.functional.one_hot(torch.randint(3, (50,)), 3)
    rows = torch.cat([(torch.rand(50, 1) * 2 - 1) * options[0][:, :1], *options], dim=1)
    labels = torch.randint(2, (50,)) if has_labels else None
    found = []
    for learn in (lambda: network.cross_entropy(rows, labels), lambda: network.cross_entropies(rows, labels).mean()):
        torch.manual_seed(1)
        loss = learn()
        found.append((loss, *torch.autograd.grad(3 * loss, list(network.parameters()))))
    assert all(gradient.any() for gradient in found[0])
    torch.testing.assert_close(found[0], found[1])
    network.eval()
    assert not torch.equal(network.cross_entropy(rows, labels), found[0][0])  # dropout is of training


def test_a_row_is_a_function_of_its_latent_and_a_game_reaches_every_weight() -> None:
    network = zero_inflated()
    latents = torch.randn(500, 1 + network.choices.width)
    with torch.no_grad():
        rows = network(latents)
    learning = network(latents)
    torch.testing.assert_close(learning, rows)
    assert learning[:, 1:].detach().unique().tolist() == [0, 1]  # the options themselves, with a gradient
    (learning * torch.randn(learning.shape[1])).sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


def test_likelihood_first_and_then_the_game(tmp_path: Path) -> None:
    dataset = planted_table.pack(tmp_path / "ready")
    recipe = build_recipe(params(likelihood={"until": 0.5}), dataset.spec, torch.device("cpu"))
    assert isinstance(recipe, Tabular)
    batch = Batches(dataset, 0, recipe.device).after(0, 20)
    assert [(turn.players, turn.since, turn.until) for turn in recipe.turns] == [
        (("generator",), 0.0, 0.5),
        (("discriminator",), 0.5, 1.0),
        (("generator",), 0.5, 1.0),
    ]
    for turn, numbers in zip(recipe.turns, ({"cross_entropy"}, {"discriminator_loss"}, {"generator_loss", "cross_entropy"}), strict=True):
        (mine,) = turn.players
        for player in recipe.players.values():
            player.zero_grad()
        move = recipe.move(turn, batch, 0, last=True)
        move.loss.backward(inputs=recipe.weights(turn))
        assert numbers <= move.numbers.keys()
        for name, player in recipe.players.items():
            assert all((weight.grad is not None) == (name == mine) for weight in player.parameters())
    alone = build_recipe(params(), dataset.spec, torch.device("cpu"))
    assert [turn.players for turn in alone.turns] == [("generator",)]


def test_relations_are_learnt_by_likelihood(tmp_path: Path) -> None:
    dataset = planted_table.pack(tmp_path / "ready", count=1_000)
    options = params(images=30_000, batch=100, optimizer={"learning_rate": 5e-3, "decay": 0.5})
    assert train(options, dataset, tmp_path / "run")
    drawn = Generator.load(tmp_path / "run" / "generator").sample(2_000, seed=1)
    height, age, always, colour, _ = drawn.samples.T
    assert drawn.labels is not None
    assert ((height > 0) == (drawn.labels == 1)).mean() > 0.98
    assert (always == 7).all()
    assert (colour[drawn.labels == 1] == 2).mean() == pytest.approx(0.8, abs=0.07)
    tall = drawn.labels == 1
    real = planted_table.rows(1_000)[0]
    own = real[:, 0] > 0
    correlation, found = np.corrcoef(real[own, 0], real[own, 1])[0, 1], np.corrcoef(height[tall], age[tall])[0, 1]
    assert correlation > 0.85
    assert found == pytest.approx(correlation, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"generator": {"network": "tabular", "widths": [8]}, "likelihood": {"until": 1.0}},
            r"likelihood: only with generator.network: auto",
        ),
        ({"generator": {"network": "mlp"}}, r"generator\.network: mlp draws images or points"),
        (
            {"generator": {"network": "autoregressive"}, "latent": 5},
            r"latent: autoregressive draws a row by a number for each of its values",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TabularParams.model_validate(changes)
