"""Directions in the latents along which a generator changes most, found in its weights alone (SeFa, Shen & Zhou, 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_core.errors import ConfigError
from gan_core.generator import Generator


def directions(generator: Generator, count: int) -> Tensor:
    """The unit vectors that the first layer's weights stretch most, the most first: (count, latent), each with its largest entry positive.

    A network whose first layer is dense, `dense` (dcgan, residual, modern), has them: the eigenvectors of A^T A, A being the part of that
    layer's weights that the latent meets, the label's embedding left out.

    Raises:
        ConfigError: the network begins otherwise, or has not so many.
    """
    dense = getattr(generator.network, "dense", None)
    latent = generator.config.latent
    if not isinstance(dense, nn.Linear) or dense.in_features < latent:
        raise ConfigError(
            "directions: this network does not begin with one dense layer; those of the families dcgan, residual and modern do"
        )
    if not 1 <= count <= latent:
        raise ConfigError(f"directions: {count} is not in 1 to {latent}")
    weights = dense.weight.detach()[:, :latent].double()
    _, vectors = torch.linalg.eigh(weights.T @ weights)  # ascending
    found = vectors.T.flip(0)[:count]
    signs = found.gather(1, found.abs().argmax(dim=1, keepdim=True)).sign()
    named: Tensor = (found * signs).float()
    return named
