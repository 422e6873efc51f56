"""Augmentation that follows the discriminator's overfitting: its rule in closed form, what it is taken from, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gan_core.adaptive import EVERY, AdaptiveStrength, overfitting
from gan_core.augment import augment
from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.params import GanParams
from gan_core.recipes import build_recipe
from gan_core.recipes.game import describe_logits
from gan_core.training import identity, train

Make = Callable[..., Dataset]
SMALL = {"width": 4, "network": "dcgan"}


def params(**changes: Any) -> GanParams:
    base = {"images": 320, "batch": 8, "latent": 5, "generator": SMALL, "discriminator": SMALL, "penalty": {}, "augment": "adaptive"}
    return GanParams.model_validate({**base, **changes})


def closed_form(signs: list[float], step: float, target: float) -> float:
    """The strength after so many steps: each fourth one up or down, within 0 and 1."""
    strength = 0.0
    for start in range(0, len(signs) - EVERY + 1, EVERY):
        strength = min(max(strength + step * float(np.sign(np.mean(signs[start : start + EVERY]) - target)), 0.0), 1.0)
    return strength


@pytest.mark.parametrize("target", [0.6, 0.0, -0.5])
def test_it_follows_its_rule(target: float) -> None:
    signs = np.random.default_rng(3).uniform(-1, 1, 90).tolist()
    adaptive = AdaptiveStrength(0.05, target)
    for count, sign in enumerate(signs, 1):
        adaptive.take(torch.tensor(sign))
        assert float(adaptive.strength) == pytest.approx(closed_form(signs[:count], 0.05, target), abs=1e-6)
    assert int(adaptive.steps) == 90 % EVERY


def test_it_stays_between_nothing_and_all() -> None:
    adaptive = AdaptiveStrength(0.3)
    for sign, end in ((1.0, 1.0), (-1.0, 0.0)):
        for _ in range(5 * EVERY):
            adaptive.take(torch.tensor(sign))
        assert float(adaptive.strength) == end


def test_from_nothing_to_all_takes_the_span() -> None:
    settled = params(images=4_000).settled(100, False)
    assert settled.settled_span == 1_000
    assert params(images=4_000_000).settled(100, False).settled_span == 500_000
    adaptive = AdaptiveStrength(EVERY * settled.batch / settled.settled_span)
    for _ in range(settled.settled_span // settled.batch):
        adaptive.take(torch.tensor(1.0))
    assert float(adaptive.strength) == pytest.approx(1.0, abs=0.04)


@pytest.mark.parametrize("loss", ["non-saturating", "least-squares", "relativistic", "hinge"])
def test_overfitting_is_a_mean_sign(loss: str) -> None:
    real, fake = torch.randn(64, generator=torch.Generator().manual_seed(1)), torch.randn(64, generator=torch.Generator().manual_seed(2))
    boundary = {"non-saturating": 0.0, "least-squares": 0.5}.get(loss)
    expected = torch.sign(real - fake if boundary is None else real - boundary).mean()
    assert overfitting(describe_logits(real, fake, loss)) == pytest.approx(float(expected), abs=1e-6)


def test_strength_is_the_share_of_samples_that_each_change_is_made_to() -> None:
    images = torch.rand(4_000, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.manual_seed(0)
    assert torch.equal(augment(images, strength=torch.tensor(0.0)), images)
    untouched = (augment(images, strength=torch.tensor(0.3)) == images).flatten(1).all(dim=1).float().mean()
    # Colour always changes something; a shift by 0 and a hole at the edge leave an image as it is, one in a few dozen times.
    assert float(untouched) + 0.02 >= 0.7**3
    assert float(untouched) < 0.7**3 + 0.05


def test_the_record_tells_what_was_done(make_dataset: Make, tmp_path: Path) -> None:
    dataset, chosen = make_dataset(), params(augment_span=160, augment_target=-0.95, log_every=8)
    assert train(chosen, dataset, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    signs, strengths = [line["overfitting"] for line in lines], [line["augment_strength"] for line in lines]
    assert len(lines) == 40
    for count in range(40):  # what a step was made with is what those before it led to
        assert strengths[count] == pytest.approx(closed_form(signs[:count], EVERY * 8 / 160, -0.95), abs=1e-5)
    assert max(strengths) > 0.5


def test_parts_of_a_batch_are_taken_in_as_one(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    for name, parts in (("whole", 1), ("parts", 2)):
        assert train(params(accumulate=parts, augment_span=160, images=160, log_every=8), dataset, tmp_path / name)
    for name in ("whole", "parts"):
        lines = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        signs = [line["overfitting"] for line in lines]
        expected = [closed_form(signs[:count], EVERY * 8 / 160, 0.6) for count in range(20)]
        np.testing.assert_allclose([line["augment_strength"] for line in lines], expected, atol=1e-5)


def test_other_trainings_are_as_they_were(make_dataset: Make) -> None:
    dataset = make_dataset()
    plain = identity(params(augment=True), dataset)["train"]
    assert not {"augment_target", "augment_span"} & plain.keys()
    recipe = build_recipe(params(augment=True), dataset.spec, torch.device("cpu"))
    assert recipe.players.keys() == {"generator", "discriminator"}
    batch = Batches(dataset, 0, torch.device("cpu")).after(0, 8)

    def colours(images: Tensor) -> Tensor:
        torch.manual_seed(5)
        return augment(images)

    assert torch.equal(colours(batch.real), colours(batch.real))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"augment_span": 5, "augment": True}, "set augment: adaptive"), ({"loss": "wasserstein"}, "a critic")],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=problem):
        params(**changes)
