"""torch's optimisers, without the import of its compiler.

In torch 2.13 each method of an optimiser that `torch.compile` must not trace imports the compiler at its first call, whether anything is
compiled or not: a second and a half, and 900 modules. Nothing is compiled here, so the functions under those wrappers are called.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class _Plain(torch.optim.Optimizer):
    """What wraps an optimiser's methods is taken off of each class that derives from this and one of torch's."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
            setattr(cls, name, inspect.unwrap(getattr(cls, name)))
        # The wrapper of a step also turns gradients off for it. A `differentiable` step, which wants them, is taken nowhere here.
        cls.step = torch.no_grad()(inspect.unwrap(cls.step))  # type: ignore[method-assign]
        cls.step.hooked = True  # type: ignore[attr-defined]  # so torch wraps no search for hooks around it, of which there are none here


class Adam(_Plain, torch.optim.Adam):
    """As `torch.optim.Adam`, to the bit."""


class FusedAdam(Adam):
    """As `torch.optim.Adam` with `fused=True`, to the bit. What torch does around that one operation, for each weight in each step, took a
    fifth of a small network's time; here a step is the operation and the lists that it takes.
    """

    def __init__(
        self, weights: Iterable[Tensor] | Iterable[dict[str, Any]], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        super().__init__(weights, lr=lr, betas=betas, fused=True)

    def step(self) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            states = [self.state[weight] or self._begun(weight) for weight in weights]
            steps, means, squares = ([state[name] for state in states] for name in ("step", "exp_avg", "exp_avg_sq"))
            # Of a plain number torch makes a tensor for each weight.
            torch._foreach_add_(steps, torch.ones((), device=steps[0].device), alpha=1.0)
            torch._fused_adam_(
                weights, [weight.grad for weight in weights], means, squares, [], steps, lr=group["lr"], beta1=group["betas"][0],
                beta2=group["betas"][1], weight_decay=0.0, eps=group["eps"], amsgrad=False, maximize=False,
            )  # fmt: skip

    def _begun(self, weight: Tensor) -> dict[str, Tensor]:
        moments = {name: torch.zeros_like(weight, memory_format=torch.preserve_format) for name in ("exp_avg", "exp_avg_sq")}
        state = self.state[weight] = {"step": torch.zeros((), device=weight.device), **moments}
        return state


class AdamW(_Plain, torch.optim.AdamW):
    """As `torch.optim.AdamW`, to the bit."""


class RMSprop(_Plain, torch.optim.RMSprop):
    """As `torch.optim.RMSprop`, to the bit."""
