"""The watch over a run: its signs against closed forms, and planted collapses that it has to find in time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from gan_core import watch
from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import LostRunError
from gan_core.kinds.images import Images
from gan_core.losses import LOSSES
from gan_core.params import GanParams
from gan_core.params.common import OptimizerParams
from gan_core.recipes.gan import Gan
from gan_core.training import train

Make = Callable[..., Dataset]

BUDGET, BATCH = 24_000, 8
WIDE = {"network": "dcgan", "width": 8}


def params(**changes: Any) -> GanParams:
    base = {"images": BUDGET, "batch": BATCH, "latent": 4, "generator": WIDE, "discriminator": WIDE, "loss": "non-saturating"}
    return GanParams.model_validate({**base, **changes})


def stopped_at(options: GanParams, dataset: Dataset, folder: Path) -> tuple[float, str]:
    """The share of the budget after which the watch ended a run, and what it said."""
    with pytest.raises(LostRunError) as lost:
        train(options, dataset, folder)
    last = (folder / "metrics.jsonl").read_text().splitlines()[-1]
    return json.loads(last)["images"] / options.images, str(lost.value)


def test_diversity_within_labels_tells_one_sample_a_label_from_many() -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(600) % 3
    centres = 10 * draw.normal(size=(3, 5))
    real = centres[labels] + draw.normal(size=(600, 5))
    spread = watch.Spread.of(real, labels)
    assert watch.diversity_within_labels(real, labels, spread) == 1
    one_a_label = centres[labels[:60]]
    assert watch.diversity(one_a_label, spread) == pytest.approx(1, abs=0.05)
    assert watch.diversity_within_labels(one_a_label, labels[:60], spread) == pytest.approx(0, abs=1e-9)
    half = centres[labels] + 0.5 * draw.normal(size=(600, 5))
    assert watch.diversity_within_labels(half, labels, spread) == pytest.approx(0.5, abs=0.05)
    assert watch.diversity_within_labels(real[:3], labels[:3], spread) is None


def test_diversity_is_the_ratio_of_spreads() -> None:
    draw = np.random.default_rng(0)
    real = draw.normal(size=(2_000, 3, 4))
    spread = watch.Spread.of(real)
    assert watch.diversity(real, spread) == 1
    assert watch.diversity(0.25 * real, spread) == pytest.approx(0.25)
    assert watch.diversity(np.repeat(real[:1], 64, axis=0), spread) == pytest.approx(0, abs=1e-9)
    assert watch.diversity(draw.normal(size=(2_000, 3, 4)), spread) == pytest.approx(1, abs=0.05)
    assert np.isfinite(watch.diversity(real, watch.Spread.of(np.zeros_like(real))))


def test_the_gradient_norm_is_over_all_weights() -> None:
    layer = nn.Linear(2, 1)
    assert watch.gradient_norm(layer) == 0
    layer(torch.tensor([[3.0, 4.0]])).sum().backward()
    assert watch.gradient_norm(layer) == pytest.approx(np.sqrt(3**2 + 4**2 + 1))


class TestFailure:
    def record(self, **last: float) -> list[Mapping[str, float]]:
        good = {
            "real_score": 0.5,
            "fake_score": -0.5,
            "diversity": 0.9,
            "accuracy_pairs": 0.8,
            "accuracy_real": 0.7,
            "accuracy_fake": 0.7,
            "generator_gradient": 1.0,
            "generator_movement": 1e-3,
        }
        return [{"images": 120 * (i + 1), **good, **(last if i >= 20 else {})} for i in range(24)]

    def test_a_good_run(self) -> None:
        assert watch.failure(self.record(), BUDGET, BATCH) is None
        assert watch.failure([], BUDGET, BATCH) is None

    def test_a_collapse_is_said_in_numbers(self) -> None:
        assert watch.failure(self.record(diversity=0.003), BUDGET, BATCH) == (
            "the generator has collapsed: its samples differ 0.3% as much as real ones do"
        )

    def test_one_bad_moment_is_forgiven(self) -> None:
        assert watch.failure(self.record(diversity_within_labels=0.003), BUDGET, BATCH) == (
            "the generator has collapsed to one sample a label: those of a label differ 0.3% as much as real ones do"
        )
        assert watch.failure([*self.record(diversity=0.0), *self.record()[-1:]], BUDGET, BATCH) is None
        # A sound training that was seen to fall to 0.0144 rose to 0.1 again by itself.
        assert watch.failure(self.record(diversity=0.0144), BUDGET, BATCH) is None

    def test_the_beginning_is_forgiven(self) -> None:
        assert watch.failure(self.record(diversity=0.0), 60 * BUDGET, BATCH) is None
        assert watch.failure(self.record(diversity=0.0), BUDGET, 60 * BATCH) is None

    def test_a_discriminator_that_always_knows_is_no_failure_while_gradients_flow(self) -> None:
        certain = {"accuracy_pairs": 1.0}
        assert watch.failure(self.record(**certain), BUDGET, BATCH) is None
        assert "has won" in str(watch.failure(self.record(**certain, generator_gradient=0.0), BUDGET, BATCH))

    def test_of_two_discriminators_both_have_to_win(self) -> None:
        certain = {"accuracy_pairs": 1.0, "generators_gradient": 0.0, "generator_gradient": 0.0}
        input_scores = {"input_real_score": 0.5, "input_fake_score": -0.5}
        one = self.record(**certain, **input_scores, input_accuracy_pairs=0.8)
        both = self.record(**certain, **input_scores, input_accuracy_pairs=1.0)
        assert watch.failure(one, BUDGET, BATCH, shipped="generators") is None
        assert "has won" in str(watch.failure(both, BUDGET, BATCH, shipped="generators"))

    def test_logits_that_run_away(self) -> None:
        assert "logits have run away: 0.5 on real, -353 on generated" in str(watch.failure(self.record(fake_score=-353.0), BUDGET, BATCH))
        critic = [{key: value for key, value in line.items() if not key.startswith("accuracy")} for line in self.record(fake_score=-353.0)]
        assert watch.failure(critic, BUDGET, BATCH) is None

    def test_where_only_differences_of_logits_mean_something_they_run_away_by_their_difference(self) -> None:
        """A relativistic game's logits may lie anywhere: a number added to all of them changes no loss."""

        def relative(real: float, fake: float) -> list[Mapping[str, float]]:
            lines = self.record(real_score=real, fake_score=fake)
            return [{key: value for key, value in line.items() if key not in ("accuracy_real", "accuracy_fake")} for line in lines]

        assert watch.failure(relative(101.0, 100.5), BUDGET, BATCH) is None
        assert "run away: 101 on real, -0.5 on" in str(watch.failure(relative(101.0, -0.5), BUDGET, BATCH))
        assert "run away" in str(watch.failure(self.record(real_score=101.0, fake_score=100.5), BUDGET, BATCH))

    def test_a_generator_that_stands_still(self) -> None:
        assert watch.failure(self.record(generator_movement=0.0), BUDGET, BATCH) == (
            "the generator stands still: no step moves its weights"
        )


class _FrozenGan(Gan):
    """A game whose generator makes one image, whatever it is given."""

    def __init__(self, params: GanParams, spec: Any, device: torch.device) -> None:
        super().__init__(params, spec, device)

        def one_image(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            return output[:1].detach().mul(0).add(0.3).expand_as(output) + 0 * output

        self.players["generator"].register_forward_hook(one_image)


class _StandingGan(Gan):
    """A game whose generator draws well spread samples and never learns."""

    def __init__(self, params: GanParams, spec: Any, device: torch.device) -> None:
        super().__init__(params, spec, device)
        self.players["generator"].register_forward_hook(lambda module, inputs, output: output.detach() + 0 * output)


class TestPlanted:
    @pytest.mark.parametrize("loss", LOSSES)
    def test_a_generator_that_never_learns_in_any_game(
        self, make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
    ) -> None:
        monkeypatch.setattr(GanParams, "game", _StandingGan)
        plain = {"network": "dcgan", "width": 4, "normalization": "none"}
        share, said = stopped_at(params(loss=loss, discriminator=plain), make_dataset(), tmp_path / "run")
        assert share <= 0.10
        assert "the generator stands still" in said

    def test_a_generator_frozen_to_one_image(self, make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(GanParams, "game", _FrozenGan)
        share, said = stopped_at(params(), make_dataset(), tmp_path / "run")
        assert share <= 0.10
        assert "the generator has collapsed" in said
        assert "lower train.optimizer.learning_rate" in said

    def test_a_learning_rate_a_hundred_times_too_high(self, tmp_path: Path) -> None:
        """The digits entry of params.yaml, whose learning rate is 0.001."""
        digits = load_digits()
        images = np.kron(digits.images[:, None] * 255 / 16, np.ones((2, 2))).round().astype(np.uint8)
        (folder := tmp_path / "ready").mkdir()
        for split, part in (("train", slice(200, None)), ("holdout", slice(200))):
            np.save(folder / f"{split}.npy", images[part])
            np.save(folder / f"{split}_labels.npy", digits.target[part].astype(np.int64))
        counts = {"train": len(images) - 200, "holdout": 200}
        write_spec(folder, Images((1, 16, 16), counts, tuple("0123456789")))
        options = GanParams(images=200_000, batch=128, condition="label", loss="hinge", optimizer=OptimizerParams(learning_rate=0.1))
        share, said = stopped_at(options, Dataset.open(folder), tmp_path / "run")
        assert share <= 0.10
        assert "collapsed" in said or "has won" in said or "run away" in said

    def test_a_sound_run_is_left_alone(self, make_dataset: Make, tmp_path: Path) -> None:
        assert train(params(optimizer={"learning_rate": 1e-3}), make_dataset(), tmp_path / "run")

    def test_a_run_that_is_not_watched_spends_its_budget(self, make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(GanParams, "game", _FrozenGan)
        assert train(params(watch="off", images=2_400), make_dataset(), tmp_path / "run")


def test_a_resumed_run_is_watched_as_an_undisturbed_one(make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GanParams, "game", _FrozenGan)
    dataset = make_dataset()
    undisturbed = stopped_at(params(), dataset, tmp_path / "undisturbed")
    steps = iter(range(10**6))
    assert not train(params(), dataset, tmp_path / "run", should_stop=lambda: next(steps) == 175)
    assert stopped_at(params(), dataset, tmp_path / "run") == undisturbed
