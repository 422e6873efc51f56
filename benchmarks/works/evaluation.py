"""The evaluate stage at its usual size: 10,000 real images of MNIST against 10,000 generated ones."""

from __future__ import annotations

import json
import re
import statistics
import sys

from benchmarks.environment import Context, example
from benchmarks.fixed_costs import timed
from benchmarks.results import Goal, Result, spread

_SECONDS = 20.0
_NAME = "evaluated"
_FITTED = re.compile(r"images right, ([\d.]+) s")


def run(context: Context) -> Result:
    """The stage as a process of its own: first with its features still to be fitted, then as it runs from then on."""
    count = 1_000 if context.quick else 10_000
    root = context.workspace.root
    params = root / "params.yaml"
    entry = {
        "data": {"source": "torchvision://MNIST", "root": "$GANTRY_DATA", "size": 28, "holdout": 0.2}, "validate": {},
        "train": example("mnist-dcgan").train.model_dump(mode="json", exclude_defaults=True) | {"recipe": "gan", "images": 1_280},
        "evaluate": {"samples": count}, "register": {},
    }  # fmt: skip
    before = params.read_text()
    params.write_text(json.dumps({"generators": {_NAME: entry}}))
    try:
        for stage in ("fetch", "validate", "train"):
            timed(_stage(stage), root)
        first, said = timed(_stage("evaluate"), root)
        later = [timed(_stage("evaluate"), root)[0] for _ in range(context.rounds)]
    finally:
        params.write_text(before)
    fitting = _FITTED.search(said)
    rows = [
        ("the stage, features kept from an earlier run", spread(later)),
        ("the stage, the first on a data set", spread([first])),
        ("— of it fitting the classifier that features come from", fitting.group(1) if fitting else "?"),
    ]
    title = f"Evaluate {count:,} against {count:,}"
    return Result(
        title,
        "The whole stage as a process: start, imports, drawing, features of both, every score, copies of training data, pictures, MLflow.",
        ("what", "seconds"),
        rows,
        [Goal(f"{title}, features included", f"{_SECONDS:g} s", f"{spread(later)} s", statistics.median(later) <= _SECONDS)],
        {"later": later, "first": first, "said": said},
    )  # fmt: skip


def _stage(stage: str) -> list[str]:
    return [sys.executable, "-m", f"tasks.{stage}", _NAME]
