"""Gantry's side of a race: `python -m benchmarks.gantry READY ENTRY.json [--device cpu] [--threads 2]`.

The real loop, with all that it does besides steps: the record, the watch, previews, checkpoints, at the cadence that the entry would
have. Only the budget is out of reach, so that a race never meets the end of a run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import tasks  # noqa: F401  # it says how OpenMP's threads wait, which is read when torch is loaded

# isort: split
import torch

from benchmarks.endless import operations, train_while
from benchmarks.pace import Pace
from gan_core.data.dataset import Dataset
from gan_core.device import choose_device
from tasks.params import parse
from tasks.system.imports import all_imported
from tasks.system.memory import keep_what_is_freed


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
    params = entry.train.model_copy(update={"device": given.device})
    dataset = Dataset.open(given.ready)
    keep_what_is_freed()  # as a stage does
    all_imported()
    torch.set_num_threads(given.threads or torch.get_num_threads())
    facts = {} if given.uncounted else {"operations": operations(params, dataset)}
    cuda = choose_device(given.device).type == "cuda"
    synchronize = torch.cuda.synchronize if cuda else lambda: None
    pace = Pace(synchronize, batch=params.batch, threads=torch.get_num_threads(), **facts)
    train_while(params, dataset, pace.step)


if __name__ == "__main__":
    main()
