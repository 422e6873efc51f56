"""How many images a training sees where nobody says: by the size of the data and the start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.params import CycleGanParams, GanParams, Pix2pixParams, StackganParams, TabularParams, TrainParams
from gan_core.training import identity, train


@pytest.mark.parametrize(
    ("kind", "samples", "scratch", "warm"),
    [
        (GanParams, 1_617, 200_000, 50_000),
        (GanParams, 54_000, 810_000, 202_500),
        (TabularParams, 512, 100_000, 100_000),
        (Pix2pixParams, 400, 6_000, 6_000),
        (CycleGanParams, 400, 12_000, 12_000),
        (StackganParams, 3_000, 200_000, 200_000),
    ],
)
def test_it_grows_with_the_data_and_a_start_needs_less(kind: type[TrainParams], samples: int, scratch: int, warm: int) -> None:
    params = kind.model_validate({"recipe": kind.model_fields["recipe"].default})
    assert (params.settled(samples, False).budget, params.settled(samples, True).budget) == (scratch, warm)
    asked = kind.model_validate({"recipe": kind.model_fields["recipe"].default, "images": 1_000})
    assert asked.settled(samples, True) is asked


@pytest.mark.parametrize(("until", "budget"), [(None, 20_480), (0.5, 100_000)])
def test_rows_that_likelihood_alone_teaches_are_not_shown_until_they_are_known_by_heart(until: float | None, budget: int) -> None:
    told = {} if until is None else {"likelihood": {"until": until}}
    params = TabularParams.model_validate({"generator": {"network": "autoregressive"}, **told})
    assert params.settled(512, False).budget == budget


def test_a_training_settles_it_once_and_is_named_by_it(
    make_dataset: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GanParams, "least", 64)
    monkeypatch.setattr(GanParams, "rounds", 2)
    dataset, network = make_dataset((2,)), {"network": "mlp", "widths": [8]}
    params = GanParams.model_validate({"batch": 8, "generator": network, "discriminator": network, "loss": "hinge"})
    assert train(params, dataset, tmp_path / "scratch")
    end = checkpoint.read(tmp_path / "scratch" / "checkpoint")
    assert end.images == 80
    assert train(params, dataset, tmp_path / "warm", start=end)
    assert checkpoint.read(tmp_path / "warm" / "checkpoint").images == 24  # a quarter, in whole batches
    assert identity(params, dataset)["train"]["images"] == 80
    assert identity(params, dataset, end)["train"]["images"] == 20
    assert identity(params, replace(dataset, spec=replace(dataset.spec, counts={"train": 100, "holdout": 10})))["train"]["images"] == 200
