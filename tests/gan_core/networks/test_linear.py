"""The dense layer against torch's own: results and gradients of both orders, and when which product is taken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_core.networks import linear
from gan_core.networks.linear import Linear

LARGE, SMALL = (128, 300, 200), (16, 30, 20)
"""Rows, inputs, outputs: beyond what pays for oneDNN's product, and below."""


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair(inputs: int, outputs: int, *, bias: bool = True) -> tuple[Linear, nn.Linear]:
    ours, torchs = Linear(inputs, outputs, bias=bias), nn.Linear(inputs, outputs, bias=bias)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of oneDNN's products, as they are taken."""
    taken: list[tuple[int, ...]] = []
    original = linear._product

    def counted(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        taken.append((*features.shape, len(weight)))
        return original(features, weight, bias)

    monkeypatch.setattr(linear, "_product", counted)
    return taken


def close(ours: Any, torchs: Any) -> None:
    """Sums of a few hundred float32 products, added in another order."""
    torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-5 * max(float(tensor.abs().max()) for tensor in torchs))


@pytest.mark.parametrize("size", [LARGE, SMALL])
@pytest.mark.parametrize("bias", [True, False])
def test_results_and_gradients_are_torch_s(size: tuple[int, int, int], bias: bool) -> None:
    rows, inputs, outputs = size
    found = []
    for layer in pair(inputs, outputs, bias=bias):
        features = draw(rows, inputs, seed=1).requires_grad_()
        output = layer(features)
        (output * draw(rows, outputs, seed=2)).sum().backward()
        found.append([output.detach(), features.grad, *(parameter.grad for parameter in layer.parameters())])
    close(*found)


def test_columns_of_a_wider_matrix() -> None:
    """Of which the gradient by the weights is a product with a matrix whose rows lie apart in memory."""
    rows, inputs, outputs = LARGE
    found = []
    for layer in pair(inputs, outputs):
        wide = draw(rows, 2 * inputs, seed=1).requires_grad_()
        output = layer(wide[:, :inputs])
        (output * draw(rows, outputs, seed=2)).sum().backward()
        found.append([output.detach(), wide.grad, *(parameter.grad for parameter in layer.parameters())])
    close(*found)


@pytest.mark.parametrize("size", [LARGE, SMALL])
def test_a_penalty_on_the_gradient_has_torch_s_gradient(size: tuple[int, int, int]) -> None:
    """R1 through two layers: the gradient by the samples is a function of all weights."""
    rows, inputs, outputs = size
    found = []
    for first, second in zip(pair(inputs, outputs), pair(outputs, inputs), strict=True):
        torch.manual_seed(0)
        nn.init.normal_(first.weight, std=0.1)
        nn.init.normal_(second.weight, std=0.1)
        features = draw(rows, inputs, seed=1).requires_grad_()
        (slope,) = torch.autograd.grad(second(torch.tanh(first(features))).square().sum(), features, create_graph=True)
        slope.square().sum(dim=1).mean().backward()
        found.append([slope.detach(), features.grad, first.weight.grad, first.bias.grad, second.weight.grad])
    close(*found)


def test_a_penalty_that_asks_for_no_weight_gradients_takes_one_product_less_and_has_the_same_gradient(
    products: list[tuple[int, ...]],
) -> None:
    layer, _ = pair(300, 200)
    features = draw(128, 300).requires_grad_()
    found, taken = [], []
    for asked in (nullcontext, linear.no_weight_gradients):
        products.clear()
        with asked():
            (of_features,) = torch.autograd.grad(layer(features).square().sum(), features, create_graph=True)
        taken.append(len(products))
        found.append(torch.autograd.grad(of_features.square().sum(), list(layer.parameters())))
    assert taken == [3, 2]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_products_go_by_onednn_where_that_pays(products: list[tuple[int, ...]]) -> None:
    (rows, inputs, outputs), (few, narrow, slim) = LARGE, SMALL
    features = draw(rows, inputs).requires_grad_()
    layer = Linear(inputs, outputs)
    layer(features).sum().backward()  # a gradient that is one number, spread out
    close([features.grad], [layer.weight.sum(dim=0).expand(rows, inputs).detach()])
    assert products == [(rows, inputs, outputs), (rows, outputs, inputs), (outputs, rows, inputs)]
    Linear(narrow, slim)(draw(few, narrow))
    Linear(inputs, outputs).double()(features.double())
    Linear(inputs, outputs)(draw(2, rows, inputs))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Linear(inputs, outputs)(features).dtype == torch.bfloat16
    assert len(products) == 3


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: Callable[[], Any], products: list[tuple[int, ...]]) -> None:
    ours, torchs = pair(*LARGE[1:])
    with mode():
        features = draw(*LARGE[:2])
        close([ours(features)], [torchs(features)])
    assert len(products) == 1


def test_a_torch_without_the_operator_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, torchs = pair(*LARGE[1:])
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(linear, "_HAS_ONEDNN", linear._has_onednn())
    assert torch.equal(ours(draw(*LARGE[:2])), torchs(draw(*LARGE[:2])))


def test_in_a_graph_large_products_are_onednn_s_too(products: list[tuple[int, ...]]) -> None:
    (rows, inputs, outputs), found = LARGE, []
    ours, torchs = pair(inputs, outputs)
    for layer in (torch.compile(ours, backend="aot_eager", dynamic=False), torchs):
        features = draw(rows, inputs, seed=1).requires_grad_()
        output = layer(features)
        output.square().sum().backward()
        found.append([output.detach(), features.grad])
    close(*found)
    close(*([parameter.grad for parameter in layer.parameters()] for layer in (ours, torchs)))
    assert sorted(products) == sorted([(rows, inputs, outputs), (rows, outputs, inputs), (outputs, rows, inputs)])


def test_an_exported_layer_takes_any_number_of_rows() -> None:
    """Of few and of so many that oneDNN's product would be taken."""
    ours, torchs = pair(*LARGE[1:])
    rows = torch.export.Dim.DYNAMIC
    exported = torch.export.export(ours, (draw(3, LARGE[1]),), dynamic_shapes=({0: rows},)).module()
    for count in (1, LARGE[0], 1_000):
        close([exported(draw(count, LARGE[1]))], [torchs(draw(count, LARGE[1]))])


@pytest.mark.parametrize(("inputs", "outputs"), [(5, 9), (32, 300), (300, 512)])
def test_a_row_s_product_does_not_depend_on_the_rows_beside_it(inputs: int, outputs: int) -> None:
    ours, torchs = pair(inputs, outputs)
    rows = draw(70, inputs)
    with torch.inference_mode():
        together = ours(rows)
        close([together], [torchs(rows)])
        for count in (2, 3, 4, 5, 31, 64):
            assert torch.equal(ours(rows[3 : 3 + count]), together[3 : 3 + count])
