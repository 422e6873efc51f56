"""One process of a group, for tests: `python one_rank.py RANK SIZE STORE JOBS` trains each job of a JSON file in turn.

A job: {"recipe": ..., "params": {...}, "ready": the data set's folder, "folder": where to train}. What the process was shown goes to
`seen-RANK.json` in the job's folder: for each batch the values of its samples and inputs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_core.data.batches import Batch, Batches
from gan_core.data.dataset import Dataset
from gan_core.distributed import ALONE, Group, join
from gan_core.params import RECIPES
from gan_core.training import train

CPU = torch.device("cpu")


def values(samples: Tensor) -> list[float]:
    """What tells samples (N, ...) apart."""
    rows = samples.flatten(1).double()
    return [round(float(value), 9) for value in (rows * torch.arange(1, rows.shape[1] + 1)).sum(dim=1)]


def play(job: dict[str, Any], group: Group = ALONE, **changes: Any) -> Path:
    """Train a job, note what was shown, and return its folder."""
    seen: list[list[float]] = []
    after = Batches.after

    def noted(self: Batches, *where: int) -> Batch:
        batch = after(self, *where)
        shown = (batch.real, batch.inputs, None if batch.tokens is None else batch.tokens[:, :, None])
        seen.append([value for part in zip(*(values(part) for part in shown if part is not None), strict=True) for value in part])
        return batch

    params = RECIPES[job["recipe"]].model_validate({**job["params"], "recipe": job["recipe"], **changes})
    folder = Path(job["folder"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "after", noted)
        assert train(params, Dataset.open(Path(job["ready"])), folder, group=group)
    (folder / f"seen-{group.rank}.json").write_text(json.dumps(seen))
    return folder


def main() -> None:
    rank, size, store, jobs = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    torch.set_num_threads(1)
    with join(rank, size, rank == 0, CPU, store) as group:
        for job in json.loads(jobs.read_text()):
            play(job, group)


if __name__ == "__main__":
    main()
