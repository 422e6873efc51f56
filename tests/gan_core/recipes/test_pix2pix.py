"""Paired translation: whose weights a move reaches, what its loss is made of, that it learns, and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_core.augment import mirrored_and_shifted
from gan_core.data.batches import Batch, Batches
from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.pairs import Pairs
from gan_core.metrics.pairs import psnrs
from gan_core.params import Pix2pixParams
from gan_core.recipes import build_recipe
from gan_core.recipes.pix2pix import Pix2pix
from gan_core.training import train

CPU = torch.device("cpu")


def params(**changes: Any) -> Pix2pixParams:
    base = {"images": 64, "batch": 4, "precision": "float32", "generator": {"width": 4}, "discriminator": {"width": 4}}
    return Pix2pixParams.model_validate({**base, **changes})


@pytest.fixture
def negatives(tmp_path: Path) -> Dataset:
    """Grey images whose partner is their negative in colour."""
    folder, counts, draw = tmp_path / "ready", {"train": 32, "holdout": 10}, np.random.default_rng(0)
    folder.mkdir()
    for split, n in counts.items():
        inputs = draw.integers(0, 256, (n, 1, 4, 4), dtype=np.uint8).repeat(4, axis=2).repeat(4, axis=3)
        np.save(folder / f"{split}_inputs.npy", inputs)
        np.save(folder / f"{split}.npy", np.concatenate([255 - inputs, inputs // 2, 255 - inputs // 2], axis=1))
    write_spec(folder, Pairs((3, 16, 16), counts, inputs=(1, 16, 16)))
    return Dataset.open(folder)


def game(dataset: Dataset, **changes: Any) -> tuple[Pix2pix, Batch]:
    torch.manual_seed(0)
    recipe = build_recipe(params(**changes), dataset.spec, CPU)
    assert isinstance(recipe, Pix2pix)
    return recipe, Batches(dataset, 0, CPU).after(0, 4)


def with_gradients(recipe: Pix2pix) -> set[str]:
    return {name for name, player in recipe.players.items() if any(weight.grad is not None for weight in player.parameters())}


@pytest.mark.parametrize("loss", ["non-saturating", "least-squares", "hinge"])
def test_each_move_reaches_the_weights_of_its_own_player_alone(negatives: Dataset, loss: str) -> None:
    recipe, batch = game(negatives, loss=loss)
    discriminate, generate = recipe.turns
    recipe.move(discriminate, batch, 0, last=True).loss.backward(inputs=recipe.weights(discriminate))  # type: ignore[no-untyped-call]
    assert with_gradients(recipe) == {"discriminator"}
    recipe.players["discriminator"].zero_grad()
    recipe.move(generate, batch, 0, last=True).loss.backward(inputs=recipe.weights(generate))  # type: ignore[no-untyped-call]
    assert with_gradients(recipe) == {"generator"}


@pytest.mark.parametrize("difference", ["absolute", "squared"])
def test_the_generators_loss_is_the_papers(negatives: Dataset, difference: str) -> None:
    """-log D(x, G(x)) + lambda |y - G(x)|, equations 1 and 3 of the paper, with its own weights; or the square in place of the latter."""
    weights = {"reconstruction": 100.0, "adversarial": 2.0, "reconstruction_loss": difference}
    recipe, batch = game(negatives, loss="non-saturating", flip=False, jitter=0.0, **weights)
    recipe.move(recipe.turns[0], batch, 0, last=True)
    found = recipe.move(recipe.turns[1], batch, 0, last=True)
    with torch.no_grad():
        fake = recipe.players["generator"](batch.inputs)
        logits = recipe.players["discriminator"](batch.inputs, fake)
    adversarial = -torch.log(torch.sigmoid(logits)).mean()
    distance = (batch.real - fake).abs().pow(1 if difference == "absolute" else 2).mean()
    assert found.loss.item() == pytest.approx((2 * adversarial + 100 * distance).item(), rel=1e-4)
    assert found.numbers["reconstruction_loss"].item() == pytest.approx(distance.item(), rel=1e-4)


def test_the_discriminator_sees_each_image_beside_its_input(negatives: Dataset) -> None:
    recipe, batch = game(negatives, flip=False, jitter=0.0)
    assert batch.inputs is not None
    recipe.move(recipe.turns[0], batch, 0, last=True)
    seen: list[tuple[torch.Tensor, ...]] = []
    recipe.players["discriminator"].register_forward_pre_hook(lambda module, images: seen.append(images))
    recipe.move(recipe.turns[0], batch, 0, last=True)
    inputs, outputs = seen[0]
    torch.testing.assert_close(inputs, torch.cat([batch.inputs, batch.inputs]))
    torch.testing.assert_close(outputs[:4], batch.real)


def test_both_images_of_a_pair_are_mirrored_and_shifted_alike() -> None:
    torch.manual_seed(0)
    inputs = torch.rand(64, 1, 8, 8)
    first, second = mirrored_and_shifted(inputs, 2 * inputs.repeat(1, 3, 1, 1), flip=True, jitter=0.25)
    torch.testing.assert_close(second, 2 * first.repeat(1, 3, 1, 1))
    same = [(one == other).all() for one, other in zip(first, inputs, strict=True)]
    mirrored = [(one == other.flip(2)).all() for one, other in zip(first, inputs, strict=True)]
    assert 0 < sum(same) + sum(mirrored) < 20  # one in 25 is not shifted
    only_mirrored, _ = mirrored_and_shifted(inputs, inputs, flip=True, jitter=0.0)
    choices = [(bool((one == other).all()), bool((one == other.flip(2)).all())) for one, other in zip(only_mirrored, inputs, strict=True)]
    assert set(choices) == {(True, False), (False, True)}
    untouched, _ = mirrored_and_shifted(inputs, inputs, flip=False, jitter=0.0)
    torch.testing.assert_close(untouched, inputs)


def test_a_short_training_learns_to_translate_and_shows_it(negatives: Dataset, tmp_path: Path) -> None:
    settings = params(images=1_600, batch=8, optimizer={"learning_rate": 0.003}, preview_every=1_600)
    train(settings, negatives, tmp_path / "run")
    generator = Generator.load(tmp_path / "run" / "generator")
    assert (generator.config.inputs, generator.config.kind, generator.config.latent) == ((1, 16, 16), "pairs", 0)
    real, inputs = negatives.samples["holdout"], negatives.inputs["holdout"]
    made = generator.translate(inputs).samples
    untrained = np.broadcast_to(np.array([127, 63, 191], np.uint8)[:, None, None], real.shape)  # the mean colour
    assert psnrs(made, real).mean() > psnrs(untrained, real).mean() + 3
    picture = build_recipe(settings, negatives.spec, CPU).preview(generator, negatives)
    assert picture.shape == (6 * 34 + 2, 3 * 34 + 2, 3)
    np.testing.assert_array_equal(picture[2:34, 70:102], real[0].transpose(1, 2, 0).repeat(2, axis=0).repeat(2, axis=1))
    assert len(list((tmp_path / "run" / "samples").glob("*.png"))) == 1


def test_data_without_inputs_is_refused(negatives: Dataset) -> None:
    spec = Pairs((3, 16, 16), {"train": 32, "holdout": 10})
    with pytest.raises(ConfigError, match=r"pix2pix needs an input for each sample; set data\.layout, data\.corruption, or data\.given"):
        build_recipe(params(), spec, CPU)
