"""StackGAN: whose weights a move reaches, what its losses are made of, when each turn is played, and that captions are learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan_core.data.batches import Batch, Batches
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.params import StackganParams
from gan_core.recipes import build_recipe
from gan_core.recipes.stackgan import Stackgan
from gan_core.training import train

CPU = torch.device("cpu")
Make = Callable[..., Dataset]


def params(**changes: Any) -> StackganParams:
    base = {"images": 320, "batch": 8, "latent": 4, "code": 6, "generator_width": 4, "discriminator_width": 4, "precision": "float32"}
    return StackganParams.model_validate({**base, **changes})


def game(dataset: Dataset, **changes: Any) -> tuple[Stackgan, Batch]:
    torch.manual_seed(0)
    recipe = build_recipe(params(**changes), dataset.spec, CPU)
    assert isinstance(recipe, Stackgan)
    return recipe, Batches(dataset, 0, CPU).after(0, 8)


def reached(recipe: Stackgan) -> set[str]:
    """Parts of players that have a gradient; forgets it."""
    parts = ("image_encoder", "first_discriminator", "second_discriminator")
    parts += tuple(f"generator.{part}" for part in ("text", "first_code", "first", "second_code", "second"))
    found = {part for part in parts if any(weight.grad is not None and weight.grad.any() for weight in recipe.part(part).parameters())}
    for player in recipe.players.values():
        player.zero_grad(set_to_none=True)
    return found


def test_each_move_reaches_its_own_players_and_no_others(captioned: Make) -> None:
    recipe, batch = game(captioned())
    torch.nn.init.normal_(recipe.generator.second.to_image[-1].weight)  # type: ignore[arg-type]
    for moves, stages in ((10, ("first",)), (30, ("first", "second"))):
        recipe.move(recipe.matching, batch, 0, last=True).loss.backward(inputs=recipe.weights(recipe.matching))  # type: ignore[no-untyped-call]
        assert reached(recipe) == {"generator.text", "image_encoder"}
        recipe.move(recipe.judging, batch, moves, last=True).loss.backward(inputs=recipe.weights(recipe.judging))  # type: ignore[no-untyped-call]
        assert reached(recipe) == {f"{stage}_discriminator" for stage in stages}
        recipe.move(recipe.drawing, batch, moves, last=True).loss.backward(inputs=recipe.weights(recipe.drawing))  # type: ignore[no-untyped-call]
        assert reached(recipe) == {f"generator.{stage}{part}" for stage in stages for part in ("", "_code")}
        assert all(weight.requires_grad for player in recipe.players.values() for weight in player.parameters())


def test_the_second_stages_loss_does_not_reach_the_first(captioned: Make) -> None:
    recipe, batch = game(captioned(), matching=0, divergence=0)
    recipe.move(recipe.judging, batch, 30, last=True)
    second = recipe._drawn["second"].images
    gradients = torch.autograd.grad(second.sum(), list(recipe.generator.first.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in gradients)


def test_the_discriminators_loss_counts_wrong_captions_half(captioned: Make) -> None:
    """Matching-aware: real images with right captions, against generated ones and real ones with wrong captions, half each."""
    recipe, batch = game(captioned(), augment=False, loss="non-saturating")
    for player in recipe.players.values():
        player.eval()  # spectral normalisation changes its estimates in training
    assert batch.tokens is not None
    move = recipe.move(recipe.judging, batch, 10, last=True)
    judge, texts = recipe.discriminators["first"], recipe.generator.text(batch.tokens)
    real = F.avg_pool2d(batch.real, 2)
    fake = recipe._drawn["first"].images
    right, wrong, generated = judge(real, texts), judge(real, texts.roll(1, 0)), judge(fake, texts)
    expected = F.softplus(-right).mean() + 0.5 * F.softplus(generated).mean() + 0.5 * F.softplus(wrong).mean()
    torch.testing.assert_close(move.loss, expected)


def test_turns_are_played_in_their_parts_of_the_budget(captioned: Make, tmp_path: Path) -> None:
    dataset = captioned()
    train(params(text_share=0.25, second_from=0.5, log_every=8, watch="off"), dataset, tmp_path / "run")

    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines if "matching_loss" in line] == list(range(8, 81, 8))
    assert [line["images"] for line in lines if "first_discriminator_loss" in line] == list(range(88, 321, 8))
    assert [line["images"] for line in lines if "second_discriminator_loss" in line] == list(range(168, 321, 8))


def test_a_generator_learns_to_draw_the_colours_that_it_is_asked_for(captioned: Make, tmp_path: Path) -> None:
    """What is shipped takes text; asked for a colour, it draws that colour more than any other."""
    dataset = captioned()
    options = params(images=6_400, batch=16, generator_width=8, discriminator_width=8, optimizer={"learning_rate": 2e-3}, watch="off")
    train(options, dataset, tmp_path / "run")
    generator = Generator.load(tmp_path / "run" / "generator")
    means = {}
    for colour in ("red", "green", "blue"):
        drawn = generator.sample(24, seed=1, prompts=[f"{colour} square"])
        assert drawn.labels is None
        assert drawn.prompts == (f"{colour} square",) * 24
        means[colour] = drawn.samples[:, :, 5:11, 5:11].mean(axis=(0, 2, 3))
    for channel, colour in enumerate(means):
        others = [means[other][channel] for other in means if other != colour]
        assert means[colour][channel] > max(others) + 10, means


def test_prompts_of_a_generator(captioned: Make, tmp_path: Path) -> None:
    dataset = captioned()
    train(params(images=64, watch="off"), dataset, tmp_path / "run")
    generator = Generator.load(tmp_path / "run" / "generator")
    default = generator.sample(8, seed=2)
    assert default.prompts == (*dataset.spec.examples, *dataset.spec.examples[:2])  # type: ignore[misc]
    assert np.array_equal(generator.sample(8, seed=2, prompts=default.prompts).samples, default.samples)
    assert generator.sample(8, seed=2, draft=True).samples.shape == (8, 3, 16, 16)
    # A row does not hang on the others' lengths.
    alone = generator.sample(2, seed=2, prompts=["red square", "red square"]).samples
    beside = generator.sample(2, seed=2, prompts=["red square", "a red square of many and many a word"]).samples
    assert np.abs(alone[0].astype(int) - beside[0]).max() <= 1
    assert generator.unknown_words(["Red dragon, square"]) == ("dragon",)
    assert np.array_equal(generator.sample(4, prompts=["red dragon"]).samples, generator.sample(4, prompts=["red unicorn"]).samples)
    for arguments, message in (
        ({"prompts": ["red", "green"]}, "2 given for 3 samples"),
        ({"prompts": []}, "give it a prompt"),
        ({"prompts": ["!"]}, "no words"),
        ({"prompts": ["red"], "label": "red"}, "label: this generator draws what a text says; give it a prompt instead"),
    ):
        with pytest.raises(ConfigError, match=message):
            generator.sample(3, **arguments)  # type: ignore[arg-type]


def test_parts_of_the_budget_and_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="second_from"):
        params(text_share=0.5, second_from=0.5)
    assert params().problems("captions", (64, 64)) == []
    assert params().problems("captions", None) == []
    for size in (8, 36, 33):
        assert "data.size" in params().problems("captions", (size, size))[0], size
