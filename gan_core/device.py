"""Which device and arithmetic a run uses, chosen once at its start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gan_core.errors import ConfigError


def choose_device(wanted: str) -> torch.device:
    """`auto` is CUDA where there is a usable one, the CPU otherwise.

    Raises:
        ConfigError: `cuda` was asked for and this machine has none.
    """
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise ConfigError("train.device: cuda was asked for, and torch finds no CUDA device here; use auto or cpu")
    return torch.device("cuda" if has_cuda and wanted != "cpu" else "cpu")


@contextmanager
def same_bits(device: torch.device) -> Iterator[None]:
    """Within it equal steps on CUDA give equal bits, as they do on a processor: no sum in the order in which threads happen to end.

    An operation that torch has in no such form warns, and goes on.
    """
    if device.type != "cuda":
        yield
        return
    # Read when cuBLAS is first used: without it torch warns at each product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic  # whose attribute stubs do not know
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # nothing here reads what nobody wrote
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was[0], warn_only=was[1])
        memory.fill_uninitialized_memory = filled


def choose_precision(wanted: str, device: torch.device, convolutional: bool) -> torch.dtype:
    """The type that autocast computes in; float32 means no autocast.

    `auto` takes bfloat16 for convolutional networks where the processor multiplies it natively: half the memory traffic and up to
    four times the rate, with float32's range. Small dense networks gain nothing and keep float32.
    """
    if wanted == "auto":
        return torch.bfloat16 if convolutional and _has_native_bfloat16(device) else torch.float32
    return torch.bfloat16 if wanted == "bf16" else torch.float32


def _has_native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
