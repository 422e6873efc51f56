"""Differential privacy: what moves the weights is the shortened and noised sum of rows' gradients, against a loop over rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import planted_table
import pytest
import torch

from gan_core.checkpoint import load_latest, read
from gan_core.data.batches import Batches
from gan_core.data.shuffle import ByChance
from gan_core.errors import ConfigError
from gan_core.params import TabularParams
from gan_core.params.tabular import PrivacyParams
from gan_core.privacy import Privacy, private_loss, promised
from gan_core.recipes import build_recipe
from gan_core.training import train

pytest.importorskip("opacus", reason="needs the extra privacy")
CPU = torch.device("cpu")


def params(**changes: Any) -> TabularParams:
    asked = {"images": 2_000, "batch": 40, "generator": {"network": "autoregressive", "widths": [8], "dropout": 0.0}}
    return TabularParams.model_validate({**asked, "privacy": {"epsilon": 5.0}, **changes})


def promise(**changes: Any) -> Privacy:
    return Privacy(**{**Privacy(5.0, 1e-5, 0.5, 0.0, 200, 0.1, 10, "").as_record(), **changes})


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("rows", [20, 1, 0])
def test_its_gradient_is_that_of_each_row_shortened_and_summed(tmp_path: Path, labelled: bool, rows: int) -> None:
    dataset = planted_table.pack(tmp_path / "ready", labelled=labelled)
    torch.manual_seed(0)
    generator = build_recipe(params(), dataset.spec, CPU).players["generator"].train()
    batch = Batches(dataset, 0, CPU).after(0, 20)
    real, labels = batch.real[:rows], None if batch.labels is None else batch.labels[:rows]
    weights = list(generator.parameters())
    each = []
    for row in range(rows):
        loss = generator.cross_entropy(real[row : row + 1], None if labels is None else labels[row : row + 1])
        each.append(torch.autograd.grad(loss, weights))
    norms = [float(torch.cat([gradient.flatten() for gradient in of_row]).norm()) for of_row in each]
    clip = float(np.median(norms)) + 1e-3 if rows else 1.0  # half of the rows are shortened
    expected = [torch.zeros_like(weight) for weight in weights]
    for norm, of_row in zip(norms, each, strict=True):
        for total, gradient in zip(expected, of_row, strict=True):
            total += gradient * min(1.0, clip / norm) / 20
    loss, of_rows = private_loss(generator, lambda: generator.cross_entropies(real, labels), promise(clip=clip))
    for found, weight in zip(torch.autograd.grad(loss, weights), expected, strict=True):
        torch.testing.assert_close(found, weight, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(of_rows, generator.cross_entropies(real, labels).sum() / 20)
    assert not any(module._forward_hooks or module._backward_hooks for module in generator.modules())


def test_noise_is_as_large_as_promised(tmp_path: Path) -> None:
    """Of no row at all the gradient is noise alone: noise * clip / the expected number of rows."""
    dataset = planted_table.pack(tmp_path / "ready")
    generator = build_recipe(params(generator={"network": "autoregressive", "widths": [64], "dropout": 0.0}), dataset.spec, CPU)
    network = generator.players["generator"].train()
    empty = Batches(dataset, 0, CPU).after(0, 20)
    torch.manual_seed(0)
    loss, _ = private_loss(network, lambda: network.cross_entropies(empty.real[:0], empty.labels[:0]), promise(noise=1.5, clip=4.0))  # type: ignore[index]
    noise = torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(network.parameters()))])
    assert len(noise) > 5_000
    assert float(noise.std()) == pytest.approx(1.5 * 4.0 / 20, rel=0.05)
    assert abs(float(noise.mean())) < 0.02


def test_each_row_comes_by_chance() -> None:
    order = ByChance(1_000, seed=7)
    batches = [order.indices(step * 50, 50) for step in range(400)]
    sizes, times = np.array([len(batch) for batch in batches]), np.bincount(np.concatenate(batches), minlength=1_000)
    assert sizes.mean() == pytest.approx(50, abs=2)
    assert sizes.std() == pytest.approx(np.sqrt(1_000 * 0.05 * 0.95), rel=0.15)  # binomial
    assert times.std() == pytest.approx(np.sqrt(400 * 0.05 * 0.95), rel=0.15)
    assert all((np.diff(batch) > 0).all() for batch in batches)
    assert np.array_equal(order.indices(50, 50), batches[1])


def test_the_noise_is_what_opacus_asks_for() -> None:
    from opacus.accountants import RDPAccountant

    found = promised(PrivacyParams(epsilon=3.0), rows=20_000, batch=1_000, budget=600_000)
    assert (found.steps, found.share) == (600, 0.05)
    accountant = RDPAccountant()
    accountant.history = [(found.noise, found.share, found.steps)]
    assert 2.9 < accountant.get_epsilon(delta=1e-5) <= 3.0
    assert promised(PrivacyParams(epsilon=1.0), 20_000, 1_000, 600_000).noise > found.noise


@pytest.mark.parametrize(
    ("asked", "rows", "batch", "said"),
    [
        ({"epsilon": 3.0, "delta": 0.01}, 200, 20, "delta: 0.01 is no less than one in 200 rows"),
        ({"epsilon": 3.0}, 200, 400, "batch: 400 rows a step, and there are 200"),
        ({"epsilon": 1e-6}, 200, 20, "epsilon: 1e-06 cannot be kept"),
    ],
)
def test_what_cannot_be_promised_is_refused(asked: dict[str, Any], rows: int, batch: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        promised(PrivacyParams.model_validate(asked), rows, batch, budget=4_000)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": {"widths": [8]}}, "likelihood alone"),
        ({"likelihood": {"until": 0.5}}, "likelihood alone"),
        ({"start": "champion"}, "not with start"),
        ({"balance": 0.5}, "not with balance"),
        ({"accumulate": 2}, "not with accumulate"),
        ({"processes": 2}, "not with processes"),
        ({"restarts": 1}, "not with restarts"),
    ],
)
def test_what_would_break_the_promise_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        params(**changes)


def test_it_learns_and_is_resumed_from_its_secret_alone(tmp_path: Path) -> None:
    dataset = planted_table.pack(tmp_path / "ready")
    asked = params(images=4_000, optimizer={"learning_rate": 0.01}, privacy={"epsilon": 50.0})

    def run(folder: Path, stop_at: int | None = None) -> dict[str, torch.Tensor]:
        seen = 0

        def follow(now: Any) -> None:
            nonlocal seen
            seen = now.images

        if stop_at is not None:
            assert not train(asked, dataset, folder, follow, should_stop=lambda: seen >= stop_at)
        assert train(asked, dataset, folder)
        return read(folder / "checkpoint").tensors  # type: ignore[return-value]

    one = run(tmp_path / "one")
    other = run(tmp_path / "stopped", stop_at=1_000)
    # Nobody can draw the same noise again, ...
    assert any(not torch.equal(one[name], other[name]) for name in one)
    kept, _ = load_latest(tmp_path / "stopped" / "checkpoints")
    assert kept is not None
    # ... but a run that goes on has it, and what it leaves behind has not.
    assert kept.facts["drawn from"]
    assert "drawn from" not in read(tmp_path / "stopped" / "checkpoint").facts
    record = [json.loads(line)["cross_entropy"] for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    assert np.mean(record[-5:]) < np.mean(record[:5]) - 0.1


def test_a_run_that_was_stopped_ends_where_the_undisturbed_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_core.training.secrets.randbits", lambda bits: 12_345)
    dataset = planted_table.pack(tmp_path / "ready")
    asked = params(images=1_200, checkpoint_every=400)
    assert train(asked, dataset, tmp_path / "whole")
    seen = [0]
    assert not train(asked, dataset, tmp_path / "parts", lambda now: seen.append(now.images), should_stop=lambda: seen[-1] >= 600)
    monkeypatch.setattr("gan_core.training.secrets.randbits", lambda bits: 54_321)  # the one of the checkpoint counts
    assert train(asked, dataset, tmp_path / "parts")
    whole, parts = (read(tmp_path / name / "checkpoint").tensors for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
