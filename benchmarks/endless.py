"""A training without an end, which a race stops, and what a step of it computes. Takes `gan_core` alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from gan_core.data.dataset import Dataset
from gan_core.params import TrainParams
from gan_core.training import Progress, train

ENDLESS = 10**12


def endless(params: TrainParams) -> TrainParams:
    """The same training without an end: what depends on the budget keeps the value that it has with the entry's own."""
    cadences = {f"{what}_every": getattr(params, f"{what}_every") or -(-params.budget // times) for what, times in _TIMES.items()}
    half_life = min(params.budget // 20, 500_000) if params.ema is None else params.ema
    return params.model_copy(update={**cadences, "ema": half_life, "images": ENDLESS})


def train_while(params: TrainParams, dataset: Dataset, step: Callable[[int], bool]) -> None:
    """The whole loop, without an end, for as long as `step`, told after each step how many samples it was on, says so."""
    seen, going = 0, True

    def on_progress(now: Progress) -> None:
        nonlocal seen, going
        going = step(now.images - seen)
        seen = now.images

    with tempfile.TemporaryDirectory() as folder:
        train(endless(params), dataset, Path(folder), on_progress, should_stop=lambda: not going)


_PERIOD = 8
_TIMES = {"log": 200, "preview": 10, "checkpoint": 20}


class _NoModules:
    """In place of the counter's tracker of modules, which cannot stand the backward pass within a gradient penalty."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None: ...


def _of_a_dense_layer(features: list[int], weight: list[int], *_: object, **__: object) -> int:
    """Operations of (N, I) by (O, I) in oneDNN's product (gan_core.networks.linear), which the counter does not know."""
    return 2 * features[0] * features[1] * weight[0]


def operations(params: TrainParams, dataset: Dataset) -> float:
    """Floating-point operations of a step for each sample that it trains on, counted by torch: products of matrices and convolutions."""
    seen: list[tuple[int, int]] = []
    product = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # not every build of torch has it
    counter = FlopCounterMode(display=False, custom_mapping={} if product is None else {product: _of_a_dense_layer})
    counter.mod_tracker = _NoModules()
    with tempfile.TemporaryDirectory() as folder, counter:

        def on_progress(now: Progress) -> None:
            seen.append((now.images, counter.get_total_flops()))

        # Penalties are lazy, so the mean over as many steps as they wait for.
        train(endless(params), dataset, Path(folder), on_progress, should_stop=lambda: len(seen) > _PERIOD)
    (first, before), (last, after) = seen[0], seen[_PERIOD]
    return (after - before) / (last - first)
