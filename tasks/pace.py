"""How fast a training is here: a few seconds of it, in a folder that is thrown away."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from gan_core.data.dataset import Dataset
from gan_core.params import TrainParams
from gan_core.training import Progress, train
from tasks import kinds
from tasks.system import cores

_SHARE, _MOST = 0.05, 10.0  # of the budget, and seconds


def measured(params: TrainParams, dataset: Dataset, folder: Path, seconds: float) -> float:
    """Images a second, without the first step: over a twentieth of the budget `seconds`, at most ten seconds, and at least three steps.

    With as many threads as the training will have. Where `compile` is auto, which asks for the number of steps, of steps that are not
    compiled.

    Raises:
        GantryError: the parameters do not fit the data, or the training is lost at once.
    """
    torch.set_num_threads(params.threads or cores.threads(kinds.of(dataset.spec.kind).keeps_one_core, torch.get_num_threads()))
    last = min(_SHARE * seconds, _MOST)
    steps: list[tuple[float, int]] = []

    def note(now: Progress) -> None:
        steps.append((time.monotonic(), now.images))

    def is_enough() -> bool:
        return len(steps) > 3 and steps[-1][0] - steps[0][0] >= last

    # A budget that is never spent; nothing is scored, drawn or saved on the way.
    never = 10**12
    begun = params.model_copy(
        update={
            "images": never, "select": "last", "select_every": None, "patience": None, "replay": None, "ema": 0, "watch": "off",
            "log_every": never, "preview_every": never, "checkpoint_every": never,
            "compile": "on" if params.compile == "on" else "off",
        }
    )  # fmt: skip
    train(begun, dataset, folder, note, should_stop=is_enough)
    (first, before), (end, images) = steps[0], steps[-1]
    return (images - before) / max(end - first, 1e-6)
