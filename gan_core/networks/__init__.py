"""Networks by family: a module a family, built from parameters of its own (`gan_core.params.networks`).

Every generator that draws is called as `generator(latents, labels)` with latents (N, L) and labels (N,) or None, every one that translates
as `generator(images)`; both give samples scaled like `data/scaling.py` says. One that takes images of other sizes than it was trained on
says by `side_multiple` what their sides have to be multiples of, and by `reach` how far, in pixels, those of the input lie that one of the
output depends on (normalisation by whole images aside). Every discriminator is called as
`discriminator(samples, labels)` and gives logits (N,), or (N, K) where it judges K sides of a sample, or as `discriminator(images)` and
gives logits (N, h, w), one a patch. Those of text to image take tokens (N, T), and encoded texts (N, D), where others take labels.
"""

from __future__ import annotations

from torch import nn

from gan_core.data.dataset import DatasetSpec
from gan_core.named import located
from gan_core.params.networks import NetworkParams


def build_generator(params: NetworkParams, data: DatasetSpec, latent: int) -> nn.Module:
    """A freshly initialised generator of samples like those of `data`, from torch's global random state.

    It is conditioned on the labels where `data` has any.
    """
    network: nn.Module = located(params.module)(params, data, latent)
    return network


def build_discriminator(params: NetworkParams, data: DatasetSpec) -> nn.Module:
    """A freshly initialised discriminator or critic of samples like those of `data`, from torch's global random state."""
    network: nn.Module = located(params.module)(params, data)
    return network
