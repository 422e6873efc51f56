"""The networks of examples/mnist-*.yaml and of `circle`, layer by layer, in plain PyTorch as tutorials write it."""

from __future__ import annotations

import itertools

from torch import nn


def networks(work: str) -> tuple[nn.Module, nn.Module, int]:
    """Generator, discriminator (its output a probability), and the latent's length."""
    if work == "circle":
        return _dense([3, 32, 16, 2]), nn.Sequential(_dense([2, 32, 16, 1]), nn.Sigmoid()), 3
    if work == "mlp":
        generator = nn.Sequential(_dense([100, 256, 512, 1024, 784]), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
        return generator, nn.Sequential(nn.Flatten(), _dense([784, 1024, 512, 256, 1], dropout=0.3), nn.Sigmoid()), 100
    if work == "mixed":
        generator = nn.Sequential(_dense([100, 256, 512, 1024, 784], batch_norm=True), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
        return generator, _convolutional_discriminator(0.25), 100
    generator = nn.Sequential(
        nn.Linear(100, 256 * 7 * 7, bias=False), nn.Unflatten(1, (256, 7, 7)), nn.BatchNorm2d(256), nn.ReLU(True),
        nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(True),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True),
        nn.Conv2d(64, 1, 3, 1, 1), nn.Tanh(),
    )  # fmt: skip
    return generator, _convolutional_discriminator(0.3), 100


def _convolutional_discriminator(dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(dropout),
        nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(dropout),
        nn.Flatten(), nn.Linear(128 * 7 * 7, 1), nn.Sigmoid(),
    )  # fmt: skip


def _dense(widths: list[int], dropout: float = 0.0, batch_norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        layers.append(nn.Linear(before, after))
        if number < len(widths) - 2:
            layers += [nn.BatchNorm1d(after, momentum=0.2)] if batch_norm else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def parameters(*modules: nn.Module) -> int:
    """Weights that are learned."""
    return sum(weight.numel() for module in modules for weight in module.parameters())
