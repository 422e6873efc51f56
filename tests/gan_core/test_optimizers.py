"""Optimisers without torch's compiler: the same numbers, and the compiler is not imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_core import optimizers

Kind = Callable[..., torch.optim.Optimizer]

KINDS: list[tuple[Kind, Kind, dict[str, Any]]] = [
    (optimizers.Adam, torch.optim.Adam, {"lr": 0.1, "betas": (0.5, 0.99), "fused": True}),
    (optimizers.FusedAdam, partial(torch.optim.Adam, fused=True), {"lr": 0.1, "betas": (0.5, 0.99)}),
    (optimizers.AdamW, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.3, "fused": True}),
    (optimizers.RMSprop, torch.optim.RMSprop, {"lr": 0.1, "foreach": True}),
]


def descended(kind: Kind, told: dict[str, Any]) -> tuple[list[Tensor], dict[str, Any]]:
    """Weights and state after six steps, half of them by an optimiser that took the other's state over, its rate as a schedule has it."""
    draws = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=draws, requires_grad=True) for shape in ((5, 3), (3,))]
    optimizer = kind(weights, **told)
    for step in range(6):
        if step == 3:
            state = optimizer.state_dict()
            optimizer = kind([{"params": weights}], **told)
            optimizer.load_state_dict(state)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        optimizer.zero_grad(set_to_none=True)
        (weights[0] @ weights[1]).square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return weights, optimizer.state_dict()


@pytest.mark.parametrize(("ours", "torchs", "told"), KINDS)
def test_they_do_what_torchs_do_bit_for_bit(ours: Kind, torchs: Kind, told: dict[str, Any]) -> None:
    torch.testing.assert_close(descended(ours, told), descended(torchs, told), rtol=0, atol=0)


def test_a_step_leaves_gradients_on_and_no_graph_behind() -> None:
    weight = torch.ones(2, requires_grad=True)
    optimizer = optimizers.Adam([weight])
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    assert torch.is_grad_enabled()
    assert weight.is_leaf
    assert weight.grad_fn is None


def test_neither_steps_nor_a_fit_import_the_compiler() -> None:
    program = """
import sys, torch
from gan_core.optimizers import Adam, AdamW, FusedAdam, RMSprop
from gan_core.metrics import fitting
weight = torch.ones(2, requires_grad=True)
for kind in (Adam, FusedAdam, RMSprop):
    optimizer = kind([weight])
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.zero_grad()
    weight.sum().backward()
    optimizer.step()
fitting.one_cycle([weight], lambda step: weight.square().sum(), steps=3, rate=0.1, decay=0.1, network="line")
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
