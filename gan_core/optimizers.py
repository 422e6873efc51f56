"""torch's optimisers, without the import of its compiler.

In torch 2.13 each method of an optimiser that `torch.compile` must not trace imports the compiler at its first call, whether anything is
compiled or not: a second and a half, and 900 modules. Nothing is compiled here, so the functions under those wrappers are called.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch


class _Plain(torch.optim.Optimizer):
    """What wraps an optimiser's methods is taken off of each class that derives from this and one of torch's."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
            setattr(cls, name, inspect.unwrap(getattr(cls, name)))
        # The wrapper of a step also turns gradients off for it. A `differentiable` step, which wants them, is taken nowhere here.
        cls.step = torch.no_grad()(inspect.unwrap(cls.step))  # type: ignore[method-assign]


class Adam(_Plain, torch.optim.Adam):
    """As `torch.optim.Adam`, to the bit."""


class AdamW(_Plain, torch.optim.AdamW):
    """As `torch.optim.AdamW`, to the bit."""


class RMSprop(_Plain, torch.optim.RMSprop):
    """As `torch.optim.RMSprop`, to the bit."""
