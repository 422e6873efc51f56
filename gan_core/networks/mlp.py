"""Dense networks, for points and small images (Goodfellow et al., 2014)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gan_core.data.dataset import DatasetSpec
from gan_core.networks.common import Dropout, LabelledLatent, MixtureLatent, embedding_of, normalized
from gan_core.networks.linear import Linear
from gan_core.params.networks import MlpDiscriminatorParams, MlpGeneratorParams


class MlpGenerator(nn.Module):
    """Dense layers from latent to sample; tanh at the end for images, linear for points.

    `widths` are the hidden layers (default 256-512-1024 for images, 128-128 for points); `normalization` batch or none;
    `components` makes the latent a mixture.
    """

    def __init__(self, params: MlpGeneratorParams, data: DatasetSpec, latent: int) -> None:
        super().__init__()
        images = len(data.network_shape) == 3
        self.shape = data.network_shape
        self.mixture = MixtureLatent(latent, params.components) if params.components else nn.Identity()
        self.input = LabelledLatent(latent - bool(params.components), data.condition)
        layers: list[nn.Module] = []
        width = self.input.width
        for hidden in params.widths or ((256, 512, 1024) if images else (128, 128)):
            layers.append(normalized(Linear(width, hidden), params.normalization or "none"))
            if params.normalization == "batch":
                # Keras's momentum of 0.8 for the running average is torch's 0.2.
                layers.append(nn.BatchNorm1d(hidden, momentum=0.2))
            layers.append(nn.LeakyReLU(0.2))
            width = hidden
        layers.append(Linear(width, math.prod(data.network_shape)))
        if images:
            layers.append(nn.Tanh())
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        samples: Tensor = self.layers(self.input(self.mixture(latents), labels))
        return samples.view(-1, *self.shape)


class MlpDiscriminator(nn.Module):
    """Dense layers from sample to logit; a label enters as an embedding beside the sample.

    `widths` are the hidden layers (default 1024-512-256 for images, 128-128 for points); `dropout` after each of them.
    """

    def __init__(self, params: MlpDiscriminatorParams, data: DatasetSpec) -> None:
        super().__init__()
        images = len(data.network_shape) == 3
        normalization = params.normalization or "none"
        self.embedding = embedding_of(data.condition, 64)
        layers: list[nn.Module] = []
        width = math.prod(data.network_shape) + (0 if self.embedding is None else 64)
        for hidden in params.widths or ((1024, 512, 256) if images else (128, 128)):
            layers += [normalized(Linear(width, hidden), normalization), nn.LeakyReLU(0.2)]
            if normalization == "batch":
                layers.insert(-1, nn.BatchNorm1d(hidden))
            if params.dropout:
                layers.append(Dropout(params.dropout))
            width = hidden
        layers.append(normalized(Linear(width, 1), "spectral" if normalization == "spectral" else "none"))
        self.layers = nn.Sequential(*layers)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        features = samples.flatten(1)
        if self.embedding is not None:
            assert labels is not None, "a conditional discriminator needs labels"  # noqa: S101
            features = torch.cat([features, self.embedding(labels).to(features.dtype)], dim=1)
        logits: Tensor = self.layers(features)
        return logits.squeeze(1)
