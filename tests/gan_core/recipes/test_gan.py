"""The classic game: whose weights a move reaches, what its loss is made of, and what is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_core.data.batches import Batch, Batches
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.losses import LOSSES
from gan_core.params import GanParams
from gan_core.penalties import zero_centred_penalty
from gan_core.recipes import build_recipe
from gan_core.recipes import gan as gan_module
from gan_core.recipes.game import Move
from gan_core.recipes.gan import Gan

CPU = torch.device("cpu")
Make = Callable[..., Dataset]
SMALL = {"width": 4, "network": "dcgan"}


def params(**changes: Any) -> GanParams:
    base = {"images": 100, "batch": 8, "latent": 5, "generator": SMALL, "discriminator": SMALL, "loss": "hinge", "penalty": {}}
    return GanParams.model_validate({**base, **changes})


def game(dataset: Dataset, **changes: Any) -> tuple[Gan, Batch]:
    torch.manual_seed(0)
    recipe = build_recipe(params(**changes), dataset.spec, CPU)
    assert isinstance(recipe, Gan)
    return recipe, Batches(dataset, 0, CPU).after(0, 8)


def gradients(recipe: Gan) -> dict[str, bool]:
    """Whether any weight of each player has a gradient."""
    return {name: any(weight.grad is not None for weight in player.parameters()) for name, player in recipe.players.items()}


def both_moves(recipe: Gan, batch: Batch) -> tuple[Move, Move]:
    discriminate, generate = recipe.turns
    first = recipe.move(discriminate, batch, 0, last=True)
    return first, recipe.move(generate, batch, 0, last=True)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [0, 3])
def test_each_move_reaches_the_weights_of_its_own_player_alone(make_dataset: Make, loss: str, classes: int) -> None:
    recipe, batch = game(make_dataset(classes=classes), loss=loss, condition="label" if classes else "none")
    discriminate, generate = recipe.turns
    assert (discriminate.players, generate.players) == (("discriminator",), ("generator",))
    recipe.move(discriminate, batch, 0, last=True).loss.backward(inputs=recipe.weights(discriminate))
    assert gradients(recipe) == {"discriminator": True, "generator": False}
    recipe.players["discriminator"].zero_grad()
    recipe.move(generate, batch, 0, last=True).loss.backward()  # nor is what nobody asks for to be had
    assert gradients(recipe) == {"discriminator": False, "generator": True}
    assert all(weight.requires_grad for player in recipe.players.values() for weight in player.parameters())


def test_a_label_needs_labels_in_the_data(make_dataset: Make) -> None:
    with pytest.raises(
        ConfigError, match=r"train\.condition: label was asked for, and the data has no labels; use none, or a folder a class"
    ):
        game(make_dataset(classes=0), condition="label")


def test_labels_that_are_not_asked_for_are_left_out(make_dataset: Make) -> None:
    recipe, batch = game(make_dataset(classes=3))
    assert not recipe.conditional
    assert recipe.generator_config(0).classes is None
    both_moves(recipe, batch)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_are_those_of_the_logits(make_dataset: Make, loss: str) -> None:
    plain = {**SMALL, "normalization": "none"}
    recipe, batch = game(make_dataset(), loss=loss, discriminator=plain)
    of_discriminator, of_generator = both_moves(recipe, batch)
    fake = recipe._fake.detach()
    with torch.no_grad():
        real_logits, fake_logits = (recipe.players["discriminator"](samples, None) for samples in (batch.real, fake))
    expected = LOSSES[loss][0](real_logits, fake_logits), LOSSES[loss][1](fake_logits, real_logits)
    torch.testing.assert_close(of_discriminator.loss, expected[0], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(of_generator.loss, expected[1], atol=1e-6, rtol=1e-5)
    numbers = of_discriminator.numbers
    torch.testing.assert_close(numbers["real_score"], real_logits.mean(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(numbers["fake_score"], fake_logits.mean(), atol=1e-6, rtol=1e-5)
    assert all(not value.requires_grad and value.shape == () for value in (*numbers.values(), *of_generator.numbers.values()))
    assert set(of_generator.numbers) == {"generator_loss"}
    if loss == "wasserstein":
        torch.testing.assert_close(numbers["critic_distance"], real_logits.mean() - fake_logits.mean(), atol=1e-6, rtol=1e-5)
        assert not any(name.startswith("accuracy") for name in numbers)
        return
    assert numbers["accuracy_pairs"] == (real_logits > fake_logits).float().mean()
    if loss in ("relativistic", "hinge"):  # a number added to all logits changes nothing, the hinge's within its margin
        assert "accuracy_real" not in numbers
    else:
        boundary = 0.5 if loss == "least-squares" else 0.0
        assert numbers["accuracy_real"] == (real_logits > boundary).float().mean()
        assert numbers["accuracy_fake"] == (fake_logits <= boundary).float().mean()


def test_label_smoothing_reaches_the_loss(make_dataset: Make) -> None:
    dataset = make_dataset()
    losses = []
    for smoothing in (0.0, 0.1):
        plain = {**SMALL, "normalization": "none"}
        recipe, batch = game(dataset, loss="non-saturating", label_smoothing=smoothing, discriminator=plain)
        losses.append(both_moves(recipe, batch)[0])
    difference = losses[1].loss - losses[0].loss
    torch.testing.assert_close(difference, 0.1 * losses[0].numbers["real_score"], atol=1e-6, rtol=1e-3)


def test_real_samples_under_wrong_labels_are_refused_too(make_dataset: Make) -> None:
    recipe, batch = game(make_dataset(classes=2), condition="label", mismatch=0.5, discriminator={**SMALL, "normalization": "none"})
    assert batch.labels is not None
    move = recipe.move(recipe.turns[0], batch, 0, last=True)
    right, wrong = (recipe.players["discriminator"](batch.real, labels) for labels in (batch.labels, 1 - batch.labels))
    added = 0.5 * LOSSES["hinge"][0](right, wrong, 0.0)
    torch.testing.assert_close(move.loss - move.numbers["discriminator_loss"], added, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(move.numbers["wrong_label_score"], wrong.mean(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("every", "moves", "times"), [(1, 0, 1), (1, 5, 1), (4, 0, 4), (4, 8, 4), (4, 1, 0), (4, 7, 0)])
def test_a_lazy_penalty_is_added_now_and_then_at_the_same_strength(make_dataset: Make, every: int, moves: int, times: int) -> None:
    plain = {**SMALL, "normalization": "none"}
    recipe, batch = game(make_dataset(), penalty={"r1": 3.0, "every": every}, discriminator=plain)
    torch.manual_seed(1)
    move = recipe.move(recipe.turns[0], batch, moves, last=True)
    penalty = zero_centred_penalty(lambda samples: recipe.players["discriminator"](samples, None), batch.real)
    torch.testing.assert_close(move.loss, move.numbers["discriminator_loss"] + times * 3.0 * penalty, atol=1e-6, rtol=1e-5)
    assert ("r1" in move.numbers) == bool(times)
    if times:
        torch.testing.assert_close(move.numbers["r1"], penalty)


def test_each_penalty_is_logged_by_its_name(make_dataset: Make) -> None:
    dataset = make_dataset()
    names = {"r1", "r2", "gradient_penalty"}
    recipe, batch = game(dataset, penalty={"r1": 1.0, "r2": 1.0, "gradient": 1.0})
    assert names <= set(both_moves(recipe, batch)[0].numbers)
    recipe, batch = game(dataset)
    assert not names & set(both_moves(recipe, batch)[0].numbers)


def test_by_default_pairs_are_judged_with_r1_and_r2_now_and_then(make_dataset: Make) -> None:
    recipe, batch = game(make_dataset(), loss="relativistic", penalty=None)
    every = recipe.penalty.every
    assert every > 1
    for moves, names in ((0, {"r1", "r2"}), (1, set()), (every, {"r1", "r2"})):
        assert recipe.move(recipe.turns[0], batch, moves, last=True).numbers.keys() & {"r1", "r2", "gradient_penalty"} == names


def test_clipping_follows_the_discriminator_s_moves_alone(make_dataset: Make) -> None:
    recipe, _ = game(make_dataset(), loss="wasserstein", penalty={"clip": 0.01}, discriminator={**SMALL, "normalization": "none"})

    def largest(player: str) -> float:
        return max(float(weight.detach().abs().max()) for weight in recipe.players[player].parameters())

    before = largest("generator")
    recipe.after_move(recipe.turns[1])
    assert largest("discriminator") > 0.02
    recipe.after_move(recipe.turns[0])
    assert largest("discriminator") == pytest.approx(0.01)
    assert largest("generator") == before


def test_batch_statistics_never_mix_real_with_generated(make_dataset: Make) -> None:
    """The logits on real images are those of a pass without generated ones."""
    recipe, batch = game(make_dataset(), discriminator={**SMALL, "normalization": "batch"})
    move = recipe.move(recipe.turns[0], batch, 0, last=True)
    with torch.no_grad():
        alone = recipe.players["discriminator"](batch.real, None)
    torch.testing.assert_close(move.numbers["real_score"], alone.mean())


@pytest.mark.parametrize("loss", ["hinge", "relativistic"])
def test_real_and_generated_images_are_augmented_alike(make_dataset: Make, monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    """Where augmentation wipes everything out, the discriminator can tell nothing apart; and the generator learns through it."""
    recipe, batch = game(make_dataset(), augment=True, loss=loss)
    seen: list[Tensor] = []

    def wipe(samples: Tensor, **_: bool) -> Tensor:
        seen.append(samples)
        return samples * 0

    monkeypatch.setattr(gan_module, "augment", wipe)
    of_discriminator, of_generator = both_moves(recipe, batch)
    assert of_discriminator.numbers["real_score"] == of_discriminator.numbers["fake_score"]
    assert torch.equal(seen[0], batch.real)
    assert torch.equal(seen[-1], recipe._fake)
    of_generator.loss.backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in recipe.players["generator"].parameters())


def test_the_generator_s_move_judges_what_the_last_discriminator_move_judged(make_dataset: Make) -> None:
    """It draws once for both; moves before the last need no gradient of the generator."""
    recipe, batch = game(make_dataset(), discriminator_steps=2)
    assert recipe.turns[0].repeats == 2
    recipe.move(recipe.turns[0], batch, 0, last=False)
    assert not recipe._fake.requires_grad
    recipe.move(recipe.turns[0], batch, 1, last=True)
    fake = recipe._fake
    assert fake.requires_grad
    recipe.move(recipe.turns[1], batch, 0, last=True)
    assert recipe._fake is fake


def test_what_ships_is_described_whole(make_dataset: Make) -> None:
    dataset = make_dataset(classes=3)
    config = game(dataset, condition="label", seed=5)[0].generator_config(640)
    assert (config.recipe, config.kind, config.shape, config.latent) == ("gan", "images", (1, 16, 16), 5)
    assert config.classes == ("class-0", "class-1", "class-2")
    assert (config.images, config.seed, config.dataset) == (640, 5, dataset.spec.digest)
    assert (config.network.network, config.data.n_classes, config.network.width) == ("dcgan", 3, 4)
