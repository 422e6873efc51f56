"""Unpaired translation: whose weights a move reaches, what its losses are made of, exact resume, and that it learns."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gan_core.data.batches import Batch, Batches
from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.unpaired import Unpaired
from gan_core.networks.translator import Translator
from gan_core.params import CycleGanParams
from gan_core.params.networks import TranslatorParams
from gan_core.recipes import build_recipe
from gan_core.recipes.cyclegan import CycleGan
from gan_core.training import Progress, train

CPU = torch.device("cpu")
SMALL = {"width": 4, "blocks": 1, "downsamplings": 1}


def params(**changes: Any) -> CycleGanParams:
    base = {"images": 24, "batch": 2, "generator": SMALL, "discriminator": {"width": 4}, "pool": 3, "ema": 0}
    return CycleGanParams.model_validate({**base, **changes})


def write_unpaired(folder: Path, inputs: NDArray[np.uint8], targets: NDArray[np.uint8], holdout: int = 10) -> Dataset:
    """A packed data set of two kinds of images; the last `holdout` of each are held out."""
    folder.mkdir(parents=True)
    for suffix, images in (("_inputs", inputs), ("", targets)):
        np.save(folder / f"train{suffix}.npy", images[:-holdout])
        np.save(folder / f"holdout{suffix}.npy", images[-holdout:])
    counts, input_counts = ({"train": len(images) - holdout, "holdout": holdout} for images in (targets, inputs))
    shape = targets.shape[1:]
    write_spec(folder, Unpaired(shape, counts, inputs=inputs.shape[1:], input_counts=input_counts, domains=("a", "b")))
    return Dataset.open(folder)


def random_images(seed: int, count: int, side: int = 16, low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(low, high, (count, 3, side, side), dtype=np.uint8)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_unpaired(tmp_path / "ready", random_images(0, 25), random_images(1, 31))


def game(dataset: Dataset, **changes: Any) -> tuple[CycleGan, Batch]:
    torch.manual_seed(0)
    recipe = build_recipe(params(**changes), dataset.spec, CPU)
    assert isinstance(recipe, CycleGan)
    return recipe, Batches(dataset, 0, CPU).after(0, 2)


def gradients(recipe: CycleGan) -> set[str]:
    """The players that have a gradient."""
    return {name for name, player in recipe.players.items() if any(weight.grad is not None for weight in player.parameters())}


def test_each_move_reaches_the_weights_of_its_own_players_alone(dataset: Dataset) -> None:
    recipe, batch = game(dataset)
    discriminate, translate = recipe.turns
    recipe.move(discriminate, batch, 0, last=True).loss.backward(inputs=recipe.weights(discriminate))
    assert gradients(recipe) == set(discriminate.players) == {"target_discriminator", "input_discriminator"}
    for player in recipe.players.values():
        player.zero_grad()
    recipe.move(translate, batch, 0, last=True).loss.backward(inputs=recipe.weights(translate))
    assert gradients(recipe) == set(translate.players) == {"generators"}
    weights = recipe.players["generators"].named_parameters()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for name, weight in weights if name.endswith("weight"))


@pytest.mark.parametrize("identity", [0.0, 5.0])
def test_the_losses_are_the_papers(dataset: Dataset, identity: float) -> None:
    """Written out anew from equations 1 to 3 of the paper, and its note on the identity loss (section 5.2)."""
    recipe, batch = game(dataset, mirror=False, identity=identity, cycle=7.0)
    discriminate, translate = recipe.turns
    critic, fooling = recipe.move(discriminate, batch, 0, last=True), recipe.move(translate, batch, 0, last=True)
    there, back = recipe.players["generators"].there, recipe.players["generators"].back
    judge_b, judge_a = recipe.players["target_discriminator"], recipe.players["input_discriminator"]
    a, b = batch.inputs, batch.real
    assert isinstance(a, torch.Tensor)
    with torch.no_grad():
        judged = ((judge_b(b) - 1) ** 2).mean() / 2 + (judge_b(there(a)) ** 2).mean() / 2
        judged += ((judge_a(a) - 1) ** 2).mean() / 2 + (judge_a(back(b)) ** 2).mean() / 2
        cycle = (back(there(a)) - a).abs().mean() + (there(back(b)) - b).abs().mean()
        same = (there(b) - b).abs().mean() + (back(a) - a).abs().mean()
        fooled = ((judge_b(there(a)) - 1) ** 2).mean() + ((judge_a(back(b)) - 1) ** 2).mean()
    torch.testing.assert_close(critic.loss.detach(), judged)
    torch.testing.assert_close(fooling.loss.detach(), fooled + 7.0 * cycle + identity * same)
    torch.testing.assert_close(fooling.numbers["cycle_l1"], cycle / 4)
    assert ("identity_l1" in fooling.numbers) == bool(identity)


@pytest.mark.parametrize("loss", ["hinge", "non-saturating"])
def test_another_game_takes_the_place_of_the_papers(dataset: Dataset, loss: str) -> None:
    """By the log of a sigmoid and by max(0, .), as their papers write them; spectral normalisation goes with the hinge."""
    recipe, batch = game(dataset, mirror=False, loss=loss, cycle=0, identity=0)
    discriminate, translate = recipe.turns
    normalized = any("parametrizations" in name for name, _ in recipe.players["target_discriminator"].named_parameters())
    assert normalized == (loss == "hinge")
    for player in recipe.players.values():
        player.eval()  # where each look at the weights would move the estimate of their norm
    critic, fooling = recipe.move(discriminate, batch, 0, last=True), recipe.move(translate, batch, 0, last=True)
    generators = recipe.players["generators"]
    assert isinstance(batch.inputs, torch.Tensor)
    judged, fooled = torch.zeros(()), torch.zeros(())
    with torch.no_grad():
        for name, real, fake in (
            ("target", batch.real, generators.there(batch.inputs)),
            ("input", batch.inputs, generators.back(batch.real)),
        ):
            on_real, on_fake = recipe.players[f"{name}_discriminator"](real), recipe.players[f"{name}_discriminator"](fake)
            if loss == "hinge":
                judged += (1 - on_real).clamp(min=0).mean() + (1 + on_fake).clamp(min=0).mean()
                fooled -= on_fake.mean()
            else:
                judged -= torch.sigmoid(on_real).log().mean() + (1 - torch.sigmoid(on_fake)).log().mean()
                fooled -= torch.sigmoid(on_fake).log().mean()
    torch.testing.assert_close(critic.loss.detach(), judged)
    torch.testing.assert_close(fooling.loss.detach(), fooled)


def test_penalties_hold_both_discriminators(dataset: Dataset) -> None:
    """R1 at real images and R2 at translations of both kinds, every other move at twice the weight; patches of an image together."""
    told = {"mirror": False, "loss": "non-saturating", "discriminator": {"width": 4, "normalization": "none"}}
    recipe, batch = game(dataset, **told, penalty={"r1": 3.0, "r2": 0.5, "every": 2})
    plain, _ = game(dataset, **told)
    first, second = (recipe.move(recipe.turns[0], batch, moves, last=True) for moves in (0, 1))
    unpenalised = plain.move(plain.turns[0], batch, 0, last=True).loss.detach()
    torch.testing.assert_close(second.loss.detach(), unpenalised)
    assert "r1" not in second.numbers
    generators, expected = recipe.players["generators"], unpenalised
    assert isinstance(batch.inputs, torch.Tensor)
    for name, real, fake in (("target", batch.real, generators.there(batch.inputs)), ("input", batch.inputs, generators.back(batch.real))):
        for weight, images in ((3.0, real), (0.5, fake)):
            seen = images.detach().clone().requires_grad_(True)
            (slope,) = torch.autograd.grad(recipe.players[f"{name}_discriminator"](seen).mean(dim=(1, 2)).sum(), seen)
            expected = expected + 2 * weight / 2 * slope.square().sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(first.loss.detach(), expected)
    assert {"r1", "r2", "input_r1", "input_r2"} <= first.numbers.keys()


def test_discriminators_are_shown_past_translations(dataset: Dataset) -> None:
    recipe, batch = game(dataset, pool=1, mirror=False)
    discriminate = recipe.turns[0]
    first = recipe.move(discriminate, batch, 0, last=True).numbers["discriminator_loss"]
    pool = recipe.players["target_pool"]
    assert int(pool.held) == 1
    kept = pool.images.clone()
    with torch.no_grad():
        for weight in recipe.players["generators"].parameters():
            weight.mul_(3)
    torch.manual_seed(3)
    for _ in range(8):
        recipe.move(discriminate, batch, 0, last=True)
    assert not torch.equal(pool.images, kept)
    assert first.isfinite()


def test_mirrored_inputs_are_those_that_come_back(dataset: Dataset) -> None:
    """The cycle is closed on what was shown: with generators that change nothing it is 0, mirrored or not."""
    recipe, batch = game(dataset, generator={**SMALL, "skip": True})
    with torch.no_grad():
        for weight in recipe.players["generators"].parameters():
            weight.zero_()
    for _ in range(5):
        recipe.move(recipe.turns[0], batch, 0, last=True)
        numbers = recipe.move(recipe.turns[1], batch, 0, last=True).numbers
        assert numbers["cycle_l1"] == numbers["identity_l1"] == 0


@pytest.mark.parametrize(
    ("size", "changes", "key"),
    [
        (
            30,
            {"generator": {"downsamplings": 2}},
            "train.generator.downsamplings: data.size is 30, no multiple of 4 from 16 on; the nearest that fits is 28",
        ),
        (
            8,
            {"generator": {"downsamplings": 2}},
            "train.generator.downsamplings: data.size is 8, no multiple of 4 from 16 on; the nearest",
        ),
        (16, {"discriminator": {"patch": 70}}, "train.discriminator.patch: 70 needs at least 32 pixels, and data.size is 16"),
        (16, {"penalty": {"clip": 0.01}}, "train.penalty.clip: belongs to the Wasserstein loss"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, size: int, changes: dict[str, Any], key: str) -> None:
    options = CycleGanParams.model_validate({"images": 10, **changes})
    assert any(problem.startswith(key) for problem in options.problems("unpaired", (size, size)))
    dataset = write_unpaired(tmp_path / "odd", random_images(0, 12, size), random_images(1, 12, size))
    with pytest.raises(ConfigError, match=key.split(":")[0]):
        build_recipe(options, dataset.spec, CPU)


@pytest.mark.parametrize(("side", "blocks", "patch"), [(16, 6, 16), (32, 6, 34), (128, 6, 70), (256, 9, 70)])
def test_sizes_that_are_left_open_follow_the_image(side: int, blocks: int, patch: int) -> None:
    options = CycleGanParams.model_validate({"images": 10})
    assert (options.generator.with_blocks(side).blocks, options.discriminator.settled_patch(side)) == (blocks, patch)
    assert not options.problems("unpaired", (side, side))


class KilledError(Exception):
    """Stands for whatever ends a process without warning."""


def files(folder: Path) -> dict[str, bytes]:
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and "checkpoints" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_killed_and_resumed_it_ends_bit_for_bit_where_the_undisturbed_run_does(dataset: Dataset, tmp_path: Path) -> None:
    """With pools that are full long before the kill, augmentation, mirroring, decay and an average: nothing of it is forgotten."""
    options = {"images": 40, "augment": True, "ema": 16, "log_every": 6, "penalty": {"r1": 0.1, "every": 3}}
    assert train(params(**options), dataset, tmp_path / "undisturbed")
    folder = tmp_path / "killed"
    for last in (14, 26):  # between two checkpoints

        def kill(now: Progress, last: int = last) -> None:
            if now.images >= last:
                raise KilledError

        with contextlib.suppress(KilledError):
            train(params(**options, checkpoint_every=9), dataset, folder, kill)
    assert train(params(**options, checkpoint_every=9), dataset, folder)
    expected, found = files(tmp_path / "undisturbed"), files(folder)
    assert {"generator/generator.safetensors", "checkpoint/state.safetensors", "metrics.jsonl"} <= expected.keys()
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_without_its_pool_a_resumed_run_would_end_elsewhere(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above would see it if the pool were left out of the checkpoint."""
    from gan_core import pool

    assert train(params(), dataset, tmp_path / "undisturbed")
    asked = iter([False] * 6 + [True])
    assert not train(params(), dataset, tmp_path / "stopped", should_stop=lambda: next(asked))
    monkeypatch.setattr(pool.ImagePool, "_load_from_state_dict", lambda *_: None)
    assert train(params(), dataset, tmp_path / "stopped")
    name = "generator/generator.safetensors"
    assert files(tmp_path / "stopped")[name] != files(tmp_path / "undisturbed")[name]


def textured(seed: int, channel: int) -> NDArray[np.uint8]:
    """Grey images with random squares in one colour."""
    images = np.full((60, 3, 16, 16), 128, dtype=np.uint8)
    images[:, channel] = np.random.default_rng(seed).integers(0, 2, (60, 4, 4)).repeat(4, 1).repeat(4, 2) * 160 + 48
    return images


def contrast(images: NDArray[np.uint8]) -> list[float]:
    """Of each colour the deviation within an image."""
    return [float(images[:, channel].std(axis=(1, 2)).mean()) for channel in range(3)]


def test_it_learns_to_turn_red_into_blue_and_to_take_it_back(tmp_path: Path) -> None:
    dataset = write_unpaired(tmp_path / "ready", textured(0, channel=0), textured(1, channel=2))
    options = params(
        images=800,
        batch=4,
        identity=0.0,
        cycle=5.0,
        pool=20,
        optimizer={"learning_rate": 2e-3, "betas": [0.5, 0.999]},
        generator={**SMALL, "width": 8},
        discriminator={"width": 8},
    )
    assert train(options, dataset, tmp_path / "run")
    generator = Generator.load(tmp_path / "run" / "generator")
    inputs = np.array(dataset.inputs["holdout"])
    translated = generator.translate(inputs).samples
    returned = generator.translate(translated, back=True).samples
    red, _, blue = contrast(translated)
    assert blue > 60  # of 77 in real images of the target kind, where the others have 0
    assert red < 20
    assert contrast(returned)[0] > 60
    # Which squares are bright is not forgotten on the way.
    assert abs(np.corrcoef(inputs[:, 0].ravel(), translated[:, 2].ravel())[0, 1]) > 0.8
    assert np.corrcoef(inputs[:, 0].ravel(), returned[:, 0].ravel())[0, 1] > 0.8
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["cycle_l1"] < 0.5 * lines[0]["cycle_l1"]
    # The preview is inputs, translations and what comes back, in three rows.
    rows = np.split(build_recipe(options, dataset.spec, CPU).preview(generator, dataset)[2:], 3)
    colours = [[float(row[..., channel].std()) for channel in (0, 2)] for row in rows]
    assert colours[0][0] > colours[0][1]
    assert colours[1][0] < colours[1][1]
    assert colours[2][0] > colours[2][1]


def test_a_generator_that_translates_one_way_says_so(dataset: Dataset) -> None:
    recipe, _ = game(dataset)
    config = recipe.generator_config(0)
    one_way = Generator(config, Translator(TranslatorParams(width=4), dataset.spec))
    images = np.array(dataset.inputs["holdout"])
    assert one_way.translate(images).samples.shape == images.shape
    assert not one_way.goes_back
    with pytest.raises(ConfigError, match="back: this generator translates one way"):
        one_way.translate(images, back=True)
