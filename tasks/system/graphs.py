"""Where torch's compiler keeps what it compiled for the trainings of a workspace (`train.compile`)."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

from tasks.workspace import Workspace


def keep_compiled(workspace: Workspace) -> Path:
    """Have torch's compiler keep in the workspace what this process compiles, and take from there what it compiled before.

    These are libraries that are loaded and pickles that are read, so a folder belongs to one workspace on one machine: what came with a
    copy of a workspace has another name, and is never looked at. No process but this one and its children is told of the folder.
    """
    folder = workspace.compiled / _key(workspace.root)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.utime(folder)  # `gantry clean` goes by when it was used last
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    return folder


def _key(root: Path) -> str:
    """Names versions, processor, number of threads, machine, and the workspace itself: a copy lies elsewhere on the disk."""
    import torch

    place = root.resolve().stat()
    found: list[object] = [torch.__version__, platform.python_version(), platform.machine(), _processor(), torch.get_num_threads()]
    found += [platform.node(), place.st_dev, place.st_ino]
    with suppress(OSError):
        found.append(Path("/etc/machine-id").read_text())
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def _processor() -> list[str]:
    """What sets processors apart: model and instructions, as Linux tells; what Python knows elsewhere."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        return [line for line in lines if line.startswith(("vendor_id", "model", "flags", "Features", "CPU part"))]
    return [platform.processor()]
