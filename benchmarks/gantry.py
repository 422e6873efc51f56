"""Gantry's side of a race: `python -m benchmarks.gantry READY ENTRY.json [--device cpu] [--threads 2]`.

The real loop, with all that it does besides steps: the record, the watch, previews, checkpoints, at the cadence that the entry would
have. Only the budget is out of reach, so that a race never meets the end of a run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.pace import Pace
from gan_core.data.dataset import Dataset
from gan_core.device import choose_device
from gan_core.params import TrainParams
from gan_core.training import Progress, train
from tasks.params import parse
from tasks.system.memory import keep_what_is_freed

ENDLESS = 10**12


def endless(params: TrainParams) -> TrainParams:
    """The same training without an end: what depends on the budget keeps the value that it has with the entry's own."""
    cadences = {f"{what}_every": getattr(params, f"{what}_every") or -(-params.budget // times) for what, times in _TIMES.items()}
    half_life = min(params.budget // 20, 500_000) if params.ema is None else params.ema
    return params.model_copy(update={**cadences, "ema": half_life, "images": ENDLESS})


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


def main() -> None:
    """Train for as long as the runner asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ready", type=Path)
    parser.add_argument("entry", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--uncounted", action="store_true", help="leave the operations of a step uncounted")
    given = parser.parse_args()
    (entry,) = parse({"generators": json.loads(given.entry.read_text())}).values()
    params = endless(entry.train.model_copy(update={"device": given.device}))
    dataset = Dataset.open(given.ready)
    keep_what_is_freed()  # as a stage does
    torch.set_num_threads(given.threads or torch.get_num_threads())
    facts = {} if given.uncounted else {"operations": operations(params, dataset)}
    cuda = choose_device(given.device).type == "cuda"
    synchronize = torch.cuda.synchronize if cuda else lambda: None
    pace = Pace(synchronize, batch=params.batch, threads=torch.get_num_threads(), **facts)
    seen, going = 0, True

    def on_progress(now: Progress) -> None:
        nonlocal seen, going
        going = pace.step(now.images - seen)
        seen = now.images

    with tempfile.TemporaryDirectory() as folder:
        train(params, dataset, Path(folder), on_progress, should_stop=lambda: not going)


if __name__ == "__main__":
    main()
