"""A stage run in a workspace beside this one: a sweep's trial, a version made again, the data of the past."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tasks.graph.dvc_child import GRACE
from tasks.records import tracking
from tasks.system import locks, processes
from tasks.workspace import Workspace


def write_params(there: Workspace, name: str, entry: Mapping[str, Any]) -> None:
    """Make an entry, as params.yaml has it, the only one of a workspace."""
    (there.root / "params.yaml").write_text(json.dumps({"generators": {name: entry}}))  # JSON is YAML


def run(
    module: str,
    name: str,
    there: Workspace,
    changes: Mapping[str, str | None],
    device: str = "cpu",
    say: Callable[[str], None] = print,
    output: int | None = None,
) -> int:
    """`python -m MODULE NAME` in a workspace, outside of any Prefect run.

    Whatever ends this call early ends the stage too, which saves its state.

    Args:
        changes: to the environment that it gets; None takes a variable away.
        device: `train.device` of what it trains; where that comes out as CUDA, it waits for a GPU and sees no other.
        say: told once where there is something to wait for.
        output: file descriptor for what it prints; None: as this process.

    Returns:
        Its exit code.
    """
    # What was imported here is what runs there.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), tracking.FLOW_RUN: None, **changes}
    with locks.gpu_for(device, say) as visible:
        environment |= visible
        child = subprocess.Popen(
            [sys.executable, "-m", module, name],
            cwd=there.root,
            env={key: value for key, value in environment.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=output,
        )
        try:
            return child.wait()
        finally:
            processes.end(child, GRACE)
