"""The PatchGAN: a discriminator that judges overlapping patches instead of the whole image (pix2pix, Isola et al., 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_core.data.labels import Condition
from gan_core.errors import ConfigError
from gan_core.networks.common import Dropout, Normalization, batch_norm, dcgan_init, embedding_of, normalized

DEFAULT_WIDTH = 32
_PROJECTED = 32  # features of a patch that meet what is learned of a label
HALVINGS = {16: 1, 34: 2, 70: 3}
"""Strided convolutions by side of the patch, in pixels, that one logit sees."""


class PatchDiscriminator(nn.Module):
    """A logit for each patch: (N, C, H, W) -> (N, h, w); with `inputs`, of input and output side by side.

    A convolution each halving of the side, and one more; 64-128-256-512 channels in the paper. With a condition every patch's features
    meet what is learned of a label (projection: Miyato and Koyama, 2018): of the labels (N,) that images are said to have, or, where none
    are given, of each class there is, (N, K, h, w).
    """

    def __init__(
        self,
        shape: tuple[int, ...],  # (C, H, W) of the images that are judged
        patch: int = 70,  # side, in pixels, of a patch: 16, 34 or 70
        width: int = DEFAULT_WIDTH,  # channels of the first convolution; each one after it has twice as many
        normalization: Normalization = "none",
        dropout: float = 0.0,
        inputs: tuple[int, ...] | None = None,  # (C', H, W) of what is shown beside them
        condition: Condition | None = None,
    ) -> None:
        super().__init__()
        widths = tuple(width * 2**level for level in range(HALVINGS[patch] + 1))
        if min(shape[1:]) < 2 ** (len(widths) + 1):
            raise ConfigError(f"network patch: {min(shape[1:])} pixels are too few for {len(widths)} convolutions; choose a smaller patch")
        layers: list[nn.Module] = []
        self.of_sample = shape[0]
        channels = shape[0] + (inputs[0] if inputs is not None else 0)
        for level, width in enumerate(widths):
            stride = 2 if level < len(widths) - 1 else 1
            bias = not level or normalization != "batch"
            layers.append(normalized(nn.Conv2d(channels, width, 4, stride, 1, bias=bias), normalization))
            if level:  # the paper leaves the layer beside the image without
                layers.append(batch_norm(width, normalization))
            layers += [nn.LeakyReLU(0.2), *([Dropout(dropout)] if dropout else [])]
            channels = width
        layers.append(normalized(nn.Conv2d(channels, 1 if condition is None else 1 + _PROJECTED, 4, 1, 1), normalization))
        self.layers = nn.Sequential(*layers)
        embedding = embedding_of(condition, _PROJECTED)
        self.embedding = None if embedding is None else normalized(embedding, normalization)
        if normalization != "spectral":
            self.apply(dcgan_init)

    def beside_inputs(self) -> dict[str, int]:
        """Of the tensors in its state that have a number for each value of an input and of a sample side by side, in this order: how many
        of these are the sample's."""
        first = self.layers[0]
        assert isinstance(first, nn.Conv2d)  # noqa: S101
        of_sample = self.of_sample * first.kernel_size[0] * first.kernel_size[1]
        weights = ("weight", "parametrizations.weight.original", "parametrizations.weight.0._v")
        return {f"layers.0.{name}": of_sample for name in weights if name in first.state_dict()}

    def forward(self, *images: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(torch.cat(images, dim=1))
        if self.embedding is None:
            return logits.squeeze(1)
        if labels is None:
            return logits[:, :1] + torch.einsum("nfhw,kf->nkhw", logits[:, 1:], self.embedding.weight)
        projected: Tensor = (logits[:, 1:] * self.embedding(labels)[:, :, None, None]).sum(dim=1)
        return logits[:, 0] + projected
