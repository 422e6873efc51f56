"""Long fits say what they do, and how far they are."""

from __future__ import annotations

import pytest
import torch

from gan_core.metrics.fitting import heard, one_cycle
from tasks.evaluate import _telling


def fit(steps: int) -> None:
    weight = torch.nn.Parameter(torch.ones(3))
    one_cycle([weight], lambda step: (weight**2).sum(), steps, 1e-3, 0.0, "classifier")


def test_every_step_is_heard_within_the_block_and_none_after_it() -> None:
    told: list[tuple[str, int, int]] = []
    with heard(lambda network, done, steps: told.append((network, done, steps))):
        fit(4)
    fit(4)
    assert told == [("classifier", done, 4) for done in (1, 2, 3, 4)]


def test_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    with heard(_telling("it", first=0, every=0)):
        fit(3)
        fit(2)
    lines = [line.rpartition(", ")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "evaluate it: fitting the classifier that judges, step 2 of 3",
        "evaluate it: fitting the classifier that judges, step 3 of 3",
        "evaluate it: fitting the classifier that judges, step 2 of 2",
    ]


def test_a_short_fit_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with heard(_telling("it", first=600)):
        fit(30)
    assert capsys.readouterr().out == ""
