"""Whether a training will use a GPU, and which there are, told without loading torch (two seconds, and a gigabyte on GPU machines)."""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from pathlib import Path

# NVIDIA's driver, NVIDIA under Windows' Linux, AMD's: what torch calls cuda.
_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))
_NVIDIA = Path("/proc/driver/nvidia/gpus")
VISIBLE = "CUDA_VISIBLE_DEVICES"


def will_use_cuda(device: str) -> bool:
    """Whether `train.device` will come out as CUDA: asked for, or `auto` where there is a GPU and a torch that was built for one."""
    if device != "auto":
        return device == "cuda"
    visible = os.environ.get(VISIBLE)
    if visible is not None and visible.strip() in ("", "-1"):
        return False
    return any(path.exists() for path in _DEVICES) and _torch_has_cuda()


def devices() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; empty where they cannot be told apart."""
    visible = os.environ.get(VISIBLE)
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip())
    with suppress(OSError):
        return tuple(str(number) for number in range(len(list(_NVIDIA.iterdir()))))
    return ()


def _torch_has_cuda() -> bool:
    """Whether the installed torch is a build for GPUs, read from its version file."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    values: dict[str, str] = {}
    for line in (Path(found.origin).parent / "version.py").read_text().splitlines():
        key, equals, value = line.partition("=")
        values[key.split(":")[0].strip()] = value.strip() if equals else ""
    return any(values.get(key, "None") != "None" for key in ("cuda", "hip"))
