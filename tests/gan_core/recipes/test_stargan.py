"""Translation by label: what its losses are made of, that a label reaches every layer, exact resume, and that it learns."""

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
from gan_core.data.dataset import Dataset
from gan_core.data.labels import Classes
from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator
from gan_core.kinds.attributes import Attributed
from gan_core.networks.patch import PatchDiscriminator
from gan_core.networks.translator import LabelledScale, LabelledTranslator
from gan_core.params import StarGanParams
from gan_core.params.networks import LabelledTranslatorParams
from gan_core.recipes import build_recipe
from gan_core.recipes.stargan import StarGan
from gan_core.tiling import Tiling, translated
from gan_core.training import Progress, train

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"width": 4, "blocks": 1, "downsamplings": 1}
COLOURS = ("red", "green", "blue")


def params(**changes: Any) -> StarGanParams:
    base = {"images": 24, "batch": 4, "generator": SMALL, "discriminator": {"width": 4}, "ema": 0, "mirror": False}
    return StarGanParams.model_validate({**base, **changes})


def coloured(seed: int, channel: int, side: int = 16) -> NDArray[np.uint8]:
    """A grey picture (3, side, side) with random squares in one colour."""
    image = np.full((3, side, side), 128, dtype=np.uint8)
    image[channel] = np.random.default_rng(seed).integers(0, 2, (4, 4)).repeat(side // 4, 0).repeat(side // 4, 1) * 160 + 48
    return image


def pack(folder: Path, train_of_each: int = 20, held_out_of_each: int = 8) -> Dataset:
    """Figures in three colours; those of one figure are a group."""
    folder.mkdir(parents=True)
    counts, first = {"train": train_of_each, "holdout": held_out_of_each}, {"train": 0, "holdout": 1_000}
    figures = {split: [(first[split] + i, label) for i in range(n) for label in range(3)] for split, n in counts.items()}
    Attributed.pack(
        folder,
        {split: np.stack([coloured(seed, label) for seed, label in those]) for split, those in figures.items()},
        {split: [label for _, label in those] for split, those in figures.items()},
        COLOURS,
        {split: [seed for seed, _ in those] for split, those in figures.items()},
    )
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return pack(tmp_path_factory.mktemp("colours") / "ready")


def game(dataset: Dataset, **changes: Any) -> tuple[StarGan, Batch]:
    torch.manual_seed(0)
    recipe = build_recipe(params(**changes), dataset.spec, CPU)
    assert isinstance(recipe, StarGan)
    return recipe, Batches(dataset, 0, CPU).after(0, 4)


def test_each_move_reaches_the_weights_of_its_own_player_alone(dataset: Dataset) -> None:
    recipe, batch = game(dataset)
    for turn, player in zip(recipe.turns, ("discriminator", "generator"), strict=True):
        recipe.move(turn, batch, 0, last=True).loss.backward(inputs=recipe.weights(turn))
        learning = {name for name, one in recipe.players.items() if any(weight.grad is not None for weight in one.parameters())}
        assert learning == {player}
        weights = recipe.players[player].named_parameters()
        still = [name for name, weight in weights if weight.grad is None or not weight.grad.abs().max() > 0]
        assert not [name for name in still if not name.endswith("bias")]  # of a convolution, the normalisation behind it takes it away
        recipe.players[player].zero_grad(set_to_none=True)


def test_the_losses_are_those_that_are_asked_for(dataset: Dataset) -> None:
    """Written out anew: the Wasserstein game of the paper with its gradient penalty, real images under wrong labels, cycle and identity."""
    recipe, batch = game(dataset, loss="wasserstein", mismatch=0.25, cycle=7.0, identity=3.0, penalty={"r1": 2.0, "every": 2})
    discriminate, translate = recipe.turns
    critic, fooling = recipe.move(discriminate, batch, 1, last=True), recipe.move(translate, batch, 1, last=True)
    shown, translator, judge = recipe._shown, recipe.players["generator"], recipe.players["discriminator"]
    real, labels = batch.real, batch.labels
    assert shown is not None
    assert labels is not None
    assert {*shown.asked.tolist()} <= {*labels.tolist()}
    torch.manual_seed(0)
    with torch.no_grad():
        fake = translator(real, shown.asked)
        game_of_two = judge(fake, labels=shown.asked).mean() - judge(real, labels=labels).mean()
        wrong = (critic.loss.detach() - game_of_two) / 0.25  # what is left of the loss: each image under one of the two other labels
        refused = torch.stack([judge(real, labels=(labels + shift) % 3).mean(dim=(1, 2)) for shift in (1, 2)])
        as_real = judge(real, labels=labels).mean()
        assert refused.amin(0).mean() - as_real - 1e-5 <= wrong <= refused.amax(0).mean() - as_real + 1e-5
        cycle, same = ((translator(given, labels) - real).abs().mean() for given in (fake, real))
        torch.testing.assert_close(fooling.loss.detach(), -judge(fake, labels=shown.asked).mean() + 7.0 * cycle + 3.0 * same)
    torch.testing.assert_close(fooling.numbers["cycle_l1"], cycle / 2)
    assert "r1" not in critic.numbers
    penalised = recipe.move(discriminate, batch, 2, last=True)
    images = real.clone().requires_grad_(True)
    (gradients,) = torch.autograd.grad(judge(images, labels=labels).mean(dim=(1, 2)).sum(), images)
    torch.testing.assert_close(penalised.numbers["r1"], 0.5 * gradients.square().flatten(1).sum(1).mean())


def test_a_label_scales_every_normalised_layer_of_the_translator_and_nothing_else(dataset: Dataset) -> None:
    network = LabelledTranslator(LabelledTranslatorParams(**SMALL), dataset.spec).eval()
    scales = [module for module in network.modules() if isinstance(module, LabelledScale)]
    norms = [module for module in network.modules() if isinstance(module, torch.nn.InstanceNorm2d)]
    assert len(scales) == len(norms) == 1 + 1 + 2 + 1
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        one, other = (network(images, torch.tensor([label, 0])) for label in (0, 1))
        assert not torch.allclose(one[0], other[0], atol=1e-4)
        assert torch.allclose(one[1], other[1], atol=1e-6)
        for scale in scales:
            torch.nn.init.zeros_(scale.both.weight)
        plain, same = (network(images, torch.tensor([label, 0])) for label in (0, 1))
    assert torch.equal(plain, same)


def test_the_discriminator_meets_the_label_in_every_patch(dataset: Dataset) -> None:
    judge = PatchDiscriminator(dataset.spec.shape, 16, 4, condition=dataset.spec.condition)
    images = torch.rand(3, 3, 16, 16)
    logits = judge(images, labels=torch.tensor([0, 1, 1]))
    others = judge(images, labels=torch.tensor([2, 1, 1]))
    assert logits.shape == (3, 6, 6)
    assert (logits[0] != others[0]).all()
    assert torch.equal(logits[1:], others[1:])
    as_each = judge(images)
    assert as_each.shape == (3, 3, 6, 6)
    for label in range(3):
        torch.testing.assert_close(as_each[:, label], judge(images, labels=torch.full((3,), label)))


def test_the_classifier_learns_real_labels_and_translations_are_to_show_those_asked_for(dataset: Dataset) -> None:
    recipe, batch = game(dataset, classification=3.0, cycle=0, identity=0)
    plain, _ = game(dataset, cycle=0, identity=0)
    found = []
    for one in (recipe, plain):
        torch.manual_seed(0)
        found.append([one.move(turn, batch, 0, last=True) for turn in one.turns])
    shown, judge = recipe._shown, recipe.players["discriminator"]
    assert shown is not None
    names = ("classification_loss", "translation_classification_loss")
    for name, images, labels, (with_it, without) in zip(
        names, (shown.real, shown.fake), (shown.labels, shown.asked), zip(*found, strict=True), strict=True
    ):
        under = torch.stack([judge(images, labels=torch.full((4,), label)).mean(dim=(1, 2)) for label in range(3)], dim=1)
        expected = (under.exp().sum(1).log() - under[torch.arange(4), labels]).mean()
        torch.testing.assert_close(with_it.numbers[name], expected.detach(), atol=1e-3, rtol=1e-3)  # spectral norms move at each look
        torch.testing.assert_close(with_it.loss - without.loss, 3.0 * with_it.numbers[name], atol=1e-4, rtol=1e-3)


class KilledError(Exception):
    """Stands for whatever ends a process without warning."""


def test_a_killed_run_ends_with_the_same_weights(dataset: Dataset, tmp_path: Path) -> None:
    masked = {**SMALL, "skip": "masked", "pixelwise": True}
    options = params(images=24, generator=masked, penalty={"r1": 0.1, "every": 2}, mirror=True, mismatch=0.5, checkpoint_every=8)

    def stop(progress: Progress) -> None:
        if progress.images >= 12:
            raise KilledError

    with contextlib.suppress(KilledError):
        train(options, dataset, tmp_path / "killed", on_progress=stop)
    for run in ("killed", "whole"):
        train(options, dataset, tmp_path / run)
    weights = [(tmp_path / run / "generator" / "generator.safetensors").read_bytes() for run in ("killed", "whole")]
    assert weights[0] == weights[1]
    records = [(tmp_path / run / "metrics.jsonl").read_text() for run in ("killed", "whole")]
    assert records[0] == records[1]
    assert {"cycle_l1", "identity_l1", "r1", "wrong_label_score"} <= json.loads(records[0].splitlines()[0]).keys()


@pytest.fixture(scope="module")
def learned(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    folder = tmp_path_factory.mktemp("learned")
    options = params(
        images=960, batch=8, threads=1, cycle=10.0, identity=10.0, generator={**SMALL, "width": 8}, discriminator={"width": 8}, seed=2,
        optimizer={"learning_rate": 2e-3, "betas": [0.5, 0.99]}, ema=100,
    )  # fmt: skip
    train(options, dataset, folder)
    return Generator.load(folder / "generator")


def test_it_learns_which_colour_is_asked_for_and_keeps_the_figure(learned: Generator, dataset: Dataset) -> None:
    """Of held-out figures, whose true partners are at hand: much nearer to them than the untouched pictures are."""
    samples, labels = dataset.samples["holdout"], dataset.labels["holdout"]
    by_figure = np.asarray(samples).reshape(-1, 3, *samples.shape[1:])  # the colours of each figure follow each other
    for label in range(3):
        others = np.flatnonzero(labels != label)
        made = learned.translate(np.array(samples[others]), labels=np.full(len(others), label)).samples.astype(float)
        partners = by_figure[others // 3, label].astype(float)
        assert np.abs(made - partners).mean() < 0.5 * np.abs(samples[others] - partners).mean()
        assert (np.ptp(made, axis=(2, 3)).argmax(axis=1) == label).all()


def test_what_is_asked_for(learned: Generator, dataset: Dataset, tmp_path: Path) -> None:
    images = np.array(dataset.samples["holdout"][:2])
    by_name, by_index = learned.translate(images, label="blue"), learned.translate(images, labels=np.array([2, 2]))
    assert np.array_equal(by_name.samples, by_index.samples)
    assert by_name.labels is not None
    assert by_name.labels.tolist() == [2, 2]
    (drawn,) = learned.draw([learned.order_of(images, "blue")])
    assert np.array_equal(drawn.samples, by_name.samples)
    assert len(learned.any_order(3)) == 3
    again = learned.save(tmp_path / "saved")
    assert np.array_equal(Generator.load(tmp_path / "saved").translate(images, label="blue").samples, by_name.samples)
    assert again.config.targets == Classes(COLOURS)
    for asked, message in (
        ({}, "label: this generator makes of a picture what it is with a label; say which, of red, green, blue"),
        ({"label": "pink"}, "label: no class 'pink'; this generator knows red, green, blue"),
        ({"labels": np.array([0, 3])}, "labels: expected"),
        ({"label": "red", "back": True}, "back: this generator translates one way"),
    ):
        with pytest.raises(ConfigError, match=message):
            learned.translate(images, **asked)  # type: ignore[arg-type]


def test_tiles_are_told_the_label(learned: Generator) -> None:
    """A picture of many tiles in the colour that is asked for, everywhere."""
    picture = np.concatenate([coloured(seed, 0, 96) for seed in range(2)], axis=2).transpose(1, 2, 0)
    into = np.empty_like(picture)
    tiling = Tiling.of(learned, 64)

    def scaled(rows: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(rows.transpose(2, 0, 1).astype(np.float32)) / 127.5 - 1

    def stored(made: torch.Tensor) -> NDArray[Any]:
        return np.asarray(((made.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(np.uint8))

    seen: list[int] = []
    made = {}
    for label in ("green", "blue"):
        translated(learned, picture, tiling, scaled, stored, into, lambda done, total: seen.append(total), label)
        made[label] = into.copy()
    assert seen[-1] > 1
    quarters = [made["green"][top : top + 48, left : left + 48] for top in (0, 48) for left in (0, 96)]
    assert all(np.ptp(part, axis=(0, 1)).argmax() == 1 for part in quarters)
    assert np.abs(made["green"].astype(int) - made["blue"]).mean() > 5
    with pytest.raises(ConfigError, match="say which, of red"):
        translated(learned, picture, tiling, scaled, stored, into)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": {**SMALL, "downsamplings": 3}}, "train.generator.downsamplings: data.size is 16, no multiple of 8 from 32 on"),
        ({"discriminator": {"patch": 70}}, "train.discriminator.patch: 70 needs at least 32 pixels"),
        ({"classification": 1.0, "condition": "number"}, "train.classification: a classifier tells classes"),
        ({"penalty": {"gradient": 10.0, "clip": 0.01}}, "train.penalty: gradient and clip are two answers"),
    ],
)
def test_what_does_not_fit_is_named(dataset: Dataset, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_recipe(params(**changes), dataset.spec, CPU)
    assert any(message in problem for problem in params(**changes).problems("attributes", (16, 16)))


def test_groups_are_read_as_they_were_packed(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset.groups["holdout"].tolist() == [1_000 + i for i in range(8) for _ in range(3)]
    alone = Attributed.pack(
        tmp_path, {split: np.array(dataset.samples[split]) for split in ("train", "holdout")},
        {split: dataset.labels[split].tolist() for split in ("train", "holdout")}, COLOURS,
    )  # fmt: skip
    assert not Dataset.open(tmp_path).groups
    assert alone.inputs == alone.shape
    (tmp_path / "holdout_labels.npy").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        Dataset.open(tmp_path)
