"""The dense layer of all networks: `torch.nn.Linear`, whose products of large float32 matrices take half the time on many CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WORTH_IT = 2**22
"""Multiplications from which the faster product makes up for a backward pass in Python."""


class Linear(nn.Linear):
    """`torch.nn.Linear`, (N, I) -> (N, O), with the same weights, results and gradients of any order up to rounding.

    torch multiplies float32 matrices by MKL, which off Intel's own processors reaches half the rate of oneDNN (docs/performance.md).
    torch has oneDNN's product built in, but without a gradient, so the gradient is here. GPUs, autocast, other types and small
    products go torch's way.

    In a graph that torch's compiler traces there are torch's own products alone (`gan_core.compiled`).

    In `torch.inference_mode` the CPU's products are all oneDNN's, whose rows do not depend on how many others there are, but for a row that
    is alone. MKL's do, and on the row's place.
    """

    def forward(self, features: Tensor) -> Tensor:
        return linear(features, self.weight, self.bias)


def linear(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What `Linear` does, with weights from elsewhere: (N, I), (O, I), (O,) -> (N, O)."""
    if torch.compiler.is_exporting():  # nor is a test of the size traced, which would bind an exported graph to the batch of the trace
        return F.linear(features, weight, bias)
    if torch.compiler.is_compiling():
        if not _by_onednn(features, weight):
            return F.linear(features, weight, bias)
        product: Tensor = torch.ops.gantry.product(features, weight)
        return product if bias is None else product + bias  # which becomes one loop with what comes next
    if torch.is_inference_mode_enabled() and _on_cpu(features, weight) and _HAS_ONEDNN:
        return _product(features, weight, bias)
    if not _by_onednn(features, weight):
        return F.linear(features, weight, bias)
    if torch.is_grad_enabled():
        output: Tensor = _Product.apply(features, weight, bias)  # type: ignore[no-untyped-call]
        return output
    return _product(features, weight, bias)


@contextmanager
def no_weight_gradients() -> Iterator[None]:
    """While it lasts gradients are found of what layers are given alone, not of their weights: for penalties on the gradient at a sample,
    which ask for nothing else (as in StyleGAN2-ADA, Karras et al., 2020).

    Of torch's own products torch sees that by itself; of a function in Python it computes all gradients or none.
    """
    token = _of_weights.set(False)
    try:
        yield
    finally:
        _of_weights.reset(token)


_of_weights: ContextVar[bool] = ContextVar("_of_weights", default=True)


def _by_onednn(features: Tensor, weight: Tensor) -> bool:
    return (  # small networks call this more often than they multiply, so what is asked first is quick, and enough for them
        features.numel() * weight.shape[0] >= _WORTH_IT and _on_cpu(features, weight) and _HAS_ONEDNN
    )


def _on_cpu(features: Tensor, weight: Tensor) -> bool:
    return (
        features.dim() == 2
        and features.device.type == "cpu"
        and features.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]


_HAS_ONEDNN = _has_onednn()  # no trace may ask


def _product(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not (weight.is_contiguous() or weight.T.is_contiguous()):
        weight = weight.contiguous()  # of a part of a wider matrix, as some columns are, oneDNN's product takes 2,000 times as long
    output: Tensor = torch.ops.mkldnn._linear_pointwise(features, weight, bias, "none", [], "")
    return output


@torch.library.custom_op("gantry::product", mutates_args=(), schema="(Tensor features, Tensor weight) -> Tensor")
def _traced(features: Tensor, weight: Tensor) -> Tensor:
    """`_product` for torch's compiler, whose own way to oneDNN takes weights that do not change alone."""
    return _product(features, weight, None)


@_traced.register_fake
def _shaped(features: Tensor, weight: Tensor) -> Tensor:
    return features.new_empty(len(features), len(weight))


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    features, weight = ctx.saved_tensors
    return torch.ops.gantry.product(gradient, weight.T), torch.ops.gantry.product(gradient.T, features.T)


_traced.register_autograd(_gradients, setup_context=_keep)


class _Product(torch.autograd.Function):
    """oneDNN's product and its gradients, which are such products again, so that a penalty can have a gradient too."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _product(features, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = gradients
        features, weight = ctx.saved_tensors
        of_features, *of_weights = ctx.needs_input_grad
        of_weight, of_bias = of_weights if _of_weights.get() else (False, False)
        return (
            linear(gradient, weight.T, None) if of_features else None,
            linear(gradient.T, features.T, None) if of_weight else None,
            gradient.sum(dim=0) if of_bias else None,
        )
