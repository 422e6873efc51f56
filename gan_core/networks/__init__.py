"""Networks by family, and the one place that knows them by name.

Every generator that draws is called as `generator(latents, labels)` with latents (N, L) and labels (N,) or None, every one that translates
as `generator(images)`; both give samples scaled like `data/scaling.py` says. Every discriminator is called as
`discriminator(samples, labels)` and gives logits (N,), or as `discriminator(images)` and gives logits (N, h, w), one a patch. Those of
text to image take tokens (N, T), and encoded texts (N, D), where others take labels.
A new family is a module here and a line in `GENERATORS` and `DISCRIMINATORS`.
"""

from __future__ import annotations

from torch import nn

from gan_core.networks.common import NetworkSpec
from gan_core.networks.dcgan import DcganDiscriminator, DcganGenerator
from gan_core.networks.mlp import MlpDiscriminator, MlpGenerator
from gan_core.networks.patch import PatchDiscriminator
from gan_core.networks.residual import ResidualDiscriminator, ResidualGenerator
from gan_core.networks.stack import StackDiscriminator, StackGenerator
from gan_core.networks.tabular import TabularDiscriminator, TabularGenerator
from gan_core.networks.translator import RoundTrip, Translator
from gan_core.networks.unet import UnetGenerator

GENERATORS: dict[str, type[nn.Module]] = {
    "mlp": MlpGenerator,
    "dcgan": DcganGenerator,
    "residual": ResidualGenerator,
    "translator": Translator,
    "round-trip": RoundTrip,
    "tabular": TabularGenerator,
    "stack": StackGenerator,
    "unet": UnetGenerator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "mlp": MlpDiscriminator,
    "dcgan": DcganDiscriminator,
    "residual": ResidualDiscriminator,
    "patch": PatchDiscriminator,
    "tabular": TabularDiscriminator,
    "stack": StackDiscriminator,
}


def build_generator(spec: NetworkSpec) -> nn.Module:
    """A freshly initialised generator, from torch's global random state."""
    return GENERATORS[spec.family](spec)


def build_discriminator(spec: NetworkSpec) -> nn.Module:
    """A freshly initialised discriminator or critic, from torch's global random state."""
    return DISCRIMINATORS[spec.family](spec)
