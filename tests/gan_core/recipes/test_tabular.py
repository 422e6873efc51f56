"""The game for tables: whose weights a move reaches, packs, and that it learns what is in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import planted_table
import pytest
import torch

from gan_core.data.batches import Batch, Batches
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.encoding import Encoding
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.losses import LOSSES
from gan_core.networks.tabular import gumbel
from gan_core.params import TabularParams
from gan_core.recipes import build_recipe
from gan_core.recipes.tabular import Tabular
from gan_core.training import train

CPU = torch.device("cpu")


def params(**changes: Any) -> TabularParams:
    small = {"widths": [16]}
    return TabularParams.model_validate({"images": 200, "batch": 20, "latent": 5, "generator": small, "discriminator": small, **changes})


def game(dataset: Dataset, **changes: Any) -> tuple[Tabular, Batch]:
    torch.manual_seed(0)
    recipe = build_recipe(params(**changes), dataset.spec, CPU)
    assert isinstance(recipe, Tabular)
    return recipe, Batches(dataset, 0, CPU).after(0, 20)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labelled", [True, False])
def test_each_move_reaches_the_weights_of_its_own_player_alone(tmp_path: Path, loss: str, labelled: bool) -> None:
    recipe, batch = game(planted_table.pack(tmp_path / "ready", labelled=labelled), loss=loss)
    for turn, mine, other in zip(recipe.turns, ("discriminator", "generator"), ("generator", "discriminator"), strict=True):
        for player in recipe.players.values():
            player.zero_grad()
        recipe.move(turn, batch, 0, last=True).loss.backward(inputs=recipe.weights(turn))
        assert all(weight.grad is not None for weight in recipe.players[mine].parameters())
        assert all(weight.grad is None for weight in recipe.players[other].parameters())


def test_the_discriminator_judges_packs(tmp_path: Path) -> None:
    recipe, batch = game(planted_table.pack(tmp_path / "ready"), pac=5)
    discriminator = recipe.players["discriminator"]
    width = batch.real.shape[1]
    assert discriminator.layers[0].in_features == 5 * (width + 2)
    assert batch.labels is not None
    packs, labels = batch.real.view(4, 5, width), batch.labels.view(4, 5)
    logits = discriminator(packs, labels)
    assert logits.shape == (4,)
    other = labels.clone()
    other[2, 3] = 1 - other[2, 3]
    changed = discriminator(packs, other)
    assert (changed != logits).tolist() == [False, False, True, False]  # each row's label is heard, in its own pack


def test_the_gradient_penalty_is_that_of_a_pack(tmp_path: Path) -> None:
    """Of a linear critic w . x on packs, the gradient is w everywhere: (|w| - 1)^2, its norm over the whole pack."""
    recipe, batch = game(planted_table.pack(tmp_path / "ready", labelled=False), pac=5, loss="wasserstein", penalty={"gradient": 10.0})
    width = batch.real.shape[1]
    weight = torch.linspace(-0.3, 0.3, 5 * width)

    class Linear(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(weight.clone())

        def forward(self, samples: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
            return samples.flatten(1) @ self.weight

    recipe.players["discriminator"] = Linear()
    move = recipe.move(recipe.turns[0], batch, 0, last=True)
    expected = (weight.norm() - 1) ** 2
    torch.testing.assert_close(move.numbers["gradient_penalty"], expected)
    torch.testing.assert_close(move.loss.detach(), move.numbers["discriminator_loss"] + 10 * expected)
    torch.testing.assert_close(move.numbers["critic_distance"], -move.numbers["discriminator_loss"])


def test_rows_of_the_generator_are_scalars_and_choices(tmp_path: Path) -> None:
    dataset = planted_table.pack(tmp_path / "ready")
    recipe, _ = game(dataset)
    assert dataset.spec.schema is not None
    encoding = Encoding(dataset.spec.schema)
    config = recipe.generator_config(0)
    assert config.latent == 5 + encoding.choices.width  # Gumbel noise comes with the latent
    generator = recipe.players["generator"]
    latents, labels = torch.randn(50, config.latent), torch.arange(50) % 2
    rows = generator(latents, labels)
    assert rows.shape == (50, encoding.width)
    assert rows[:, : encoding.scalars].abs().max() <= 1
    for choice in rows[:, encoding.scalars :].split(encoding.choices.sizes, dim=1):
        assert (choice >= 0).all()
        torch.testing.assert_close(choice.sum(dim=1), torch.ones(50))
    torch.testing.assert_close(rows, generator(latents, labels))  # a function of latent and label alone


def test_gumbel_noise_is_gumbel_s() -> None:
    """By Kolmogorov and Smirnov, and by what it is for: the largest of logits + noise is each option with its softmax probability."""
    from scipy import stats

    torch.manual_seed(0)
    noise = gumbel(torch.randn(40_000, 3))
    assert torch.isfinite(gumbel(torch.tensor([-50.0, 50.0]))).all()
    assert stats.kstest(noise[:, 0].numpy(), "gumbel_r").pvalue > 0.01
    logits = torch.tensor([0.0, 1.0, -1.0])
    shares = torch.bincount((logits + noise).argmax(dim=1)) / len(noise)
    torch.testing.assert_close(shares, logits.softmax(dim=0), atol=0.01, rtol=0)


def test_a_batch_is_whole_packs() -> None:
    with pytest.raises(ValueError, match=r"batch: 22 rows are no whole packs of 5 \(train\.pac\)"):
        params(batch=22, pac=5)


def test_a_table_that_never_changes_is_refused() -> None:
    columns = (Column("x", "number", "float64"), Column("c", "category", "string", ("only",)))
    schema = Schema(columns).fitted(np.zeros((20, 2)), None, 0)
    spec = Table((2,), {"train": 20, "holdout": 5}, schema=schema)
    with pytest.raises(ConfigError, match="no column of the table ever changes"):
        build_recipe(params(), spec, CPU)


def test_modes_shares_and_relations_are_learnt(tmp_path: Path) -> None:
    dataset = planted_table.pack(tmp_path / "ready", count=1_000)
    options = params(images=40_000, batch=100, generator={"widths": [64, 64]}, discriminator={"widths": [64, 64]})
    assert train(options, dataset, tmp_path / "run")
    drawn = Generator.load(tmp_path / "run" / "generator").sample(2_000, seed=1)
    height, _, always, colour, rooms = drawn.samples.T
    assert drawn.labels is not None
    assert ((height > 0) == (drawn.labels == 1)).mean() > 0.95  # the mode that belongs to the label
    assert (always == 7).all()
    assert (colour[drawn.labels == 1] == 2).mean() == pytest.approx(0.8, abs=0.15)
    assert (colour[drawn.labels == 0] == 0).mean() == pytest.approx(0.6, abs=0.15)
    assert np.bincount(rooms.astype(int), minlength=3) / 2_000 == pytest.approx([0.5, 0.3, 0.2], abs=0.15)
    lower, upper = np.percentile(height[drawn.labels == 1], [25, 75])  # rows of the wrong mode were counted above
    assert (upper - lower) / 1.349 == pytest.approx(1, abs=0.4)
    assert drawn.labels.mean() == pytest.approx(dataset.labels["train"].mean(), abs=0.05)
    assert (tmp_path / "run" / "samples" / "000040000.png").exists()


def test_gaps_and_spikes_are_drawn_as_often_as_they_are_and_nothing_between(tmp_path: Path) -> None:
    """A zero in most rows, nothing between it and 100, a gap in a third of the others; and a gap where the category says so."""
    draw = np.random.default_rng(0)
    gain = np.where(draw.random(1_200) < 0.7, 0.0, 100 + 900 * draw.random(1_200)).round(1)
    gain[draw.random(1_200) < 0.2] = np.nan
    colour = draw.integers(0, 2, 1_200).astype(np.float64)
    hours = np.where(colour == 1, np.nan, draw.normal(40, 5, 1_200).round())
    rows = np.stack([gain, colour, hours], axis=1)
    columns = (Column("gain", "number", "float64"), Column("colour", "category", "string", ("a", "b")), Column("hours", "number", "int64"))
    (tmp_path / "ready").mkdir()
    Table.pack(tmp_path / "ready", {"train": rows[:1_000], "holdout": rows[1_000:]}, Schema(columns))
    options = params(images=40_000, batch=100, generator={"widths": [64, 64]}, discriminator={"widths": [64, 64]})
    assert train(options, Dataset.open(tmp_path / "ready"), tmp_path / "run")
    found, kinds, times = Generator.load(tmp_path / "run" / "generator").sample(4_000, seed=1).samples.T
    assert np.isnan(found).mean() == pytest.approx(np.isnan(gain).mean(), abs=0.05)
    assert (found == 0).mean() == pytest.approx((gain == 0).mean(), abs=0.05)
    assert not ((found > 0) & (found < 100)).any()
    assert (np.isnan(times) == (kinds == 1)).mean() > 0.95


def test_spreads_are_compared_in_units_of_each_column_s_range(tmp_path: Path) -> None:
    dataset = planted_table.pack(tmp_path / "ready")
    real = dataset.spec.comparable(np.array(dataset.samples["train"]))
    assert (real.min(axis=0) == 0).all()
    assert real.max(axis=0).tolist() == [1, 1, 0, 1, 1]  # the constant spreads nowhere


def test_an_interrupted_run_ends_bit_for_bit_where_the_undisturbed_one_does(tmp_path: Path) -> None:
    """Modes are drawn anew each time a row is seen, and dropout acts: both by the images seen alone."""
    dataset = planted_table.pack(tmp_path / "ready", count=130)
    options = {"images": 400, "pac": 5, "discriminator": {"widths": [16], "dropout": 0.3}, "discriminator_steps": 2, "log_every": 50}
    assert train(params(**options), dataset, tmp_path / "undisturbed")
    interrupted = tmp_path / "interrupted"
    stops = iter([False, True, False, False, True])
    while not train(params(**options, checkpoint_every=10_000), dataset, interrupted, should_stop=lambda: next(stops, False)):
        pass
    assert next(stops, None) is None
    for path in ("generator/generator.safetensors", "generator/config.json", "checkpoint/state.safetensors", "metrics.jsonl"):
        assert (interrupted / path).read_bytes() == (tmp_path / "undisturbed" / path).read_bytes(), path


def test_a_generator_comes_back_from_its_folder(tmp_path: Path) -> None:
    recipe, _ = game(planted_table.pack(tmp_path / "ready"))
    generator = Generator(recipe.generator_config(0), recipe.players["generator"]).save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    assert loaded.config == generator.config
    np.testing.assert_array_equal(loaded.sample(50, seed=1).samples, generator.sample(50, seed=1).samples)
    np.testing.assert_array_equal(loaded.sample(50, seed=1).labels, generator.sample(50, seed=1).labels)
