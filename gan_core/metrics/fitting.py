"""How the networks that judge are fitted: one way for all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from gan_core.errors import TrainingError
from gan_core.optimizers import AdamW

_WARM_UP = 0.2  # share of the steps in which the learning rate rises

Listener = Callable[[str, int, int], None]
"""Takes what is fitted, the steps that are done, and how many there are."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def heard(listener: Listener) -> Iterator[None]:
    """Have each step of every fit in the `with` block told to `listener`, however deep below it is called."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def one_cycle(
    weights: Iterable[torch.nn.Parameter],
    loss_at: Callable[[int], Tensor],
    steps: int,
    rate: float,
    decay: float,
    network: str,
    has_substitute: bool = True,
) -> None:
    """Fit `weights` by AdamW under a one-cycle learning rate (Smith and Topin, 2018).

    Args:
        weights: what learns.
        loss_at: the loss of a step, 0 up to but not `steps`.
        steps: how many there are.
        rate: the highest learning rate.
        decay: of the weights, as AdamW has it.
        network: what is fitted, for the error.
        has_substitute: whether a random network can take its place, which the error then says.

    Raises:
        TrainingError: the last loss is not finite.
    """
    optimizer = AdamW(list(weights), lr=rate, weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=_WARM_UP)
    loss, listener = torch.zeros(()), _listener.get()
    for step in range(steps):
        loss = loss_at(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if listener is not None:
            listener(network, step + 1, steps)
    if not math.isfinite(loss.item()):
        instead = ", or use evaluate.features: random" if has_substitute else ""
        raise TrainingError(f"features: the {network}'s loss is not finite; check the images{instead}")


def steps_for(count: int, size: int, epochs: int, fewest: int, most: int) -> int:
    """Steps of `size` samples: so many epochs of `count` samples, but within `fewest` to `most` samples."""
    return math.ceil(min(max(epochs * count, fewest), most) / size)
