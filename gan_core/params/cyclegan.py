"""What unpaired translation can be told: both generators, both discriminators, and the weights of the losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gan_core.params.common import (
    FEWEST_PIXELS,
    AbsoluteLoss,
    OptimizerParams,
    Patch,
    PositiveInt,
    Sides,
    Strict,
    TrainParams,
    sides_in_words,
)
from gan_core.params.gan import PenaltyParams
from gan_core.params.networks import TranslatorParams


class CyclePatchParams(Strict):
    """Either discriminator's network."""

    patch: Patch | None = None
    """Side, in pixels, of the patches that it judges. None: 70 from 64 pixels on, 34 from 32 on, 16 below."""
    width: PositiveInt = 64
    """Channels of the first convolution; each one after it has twice as many."""
    normalization: Literal["none", "spectral", "instance"] | None = None
    """None: spectral with the hinge loss, instance otherwise (the paper's)."""

    def settled_patch(self, side: int) -> Patch:
        """`patch`, or its default for images whose shorter side has `side` pixels."""
        return self.patch or (70 if side >= 64 else 34 if side >= 32 else 16)

    def misfit(self, size: Sides) -> str | None:
        """What does not fit images of such sides, as a line that begins with the key; None where all does."""
        patch = self.settled_patch(min(size))
        if min(size) >= (fewest := FEWEST_PIXELS[patch]):
            return None
        return f"train.discriminator.patch: {patch} needs at least {fewest} pixels, and data.size is {sides_in_words(size)}"


class CycleGanParams(TrainParams):
    """Unpaired translation (CycleGAN, Zhu et al., 2017): two translators that undo each other, a discriminator for each kind of image.

    Of pairs it sees both kinds in orders of their own, so that who belongs to whom is left to the evaluation (section 5.1 of the paper).
    """

    kinds = ("unpaired", "pairs")
    game = "gan_core.recipes.cyclegan:CycleGan"
    least = 12_000

    recipe: Literal["cyclegan"] = "cyclegan"
    batch: Annotated[int, Field(ge=1, le=65_536)] = 1
    optimizer: OptimizerParams = OptimizerParams(learning_rate=2e-4, betas=(0.5, 0.999), decay=0.5)
    generator: TranslatorParams = TranslatorParams()
    discriminator: CyclePatchParams = CyclePatchParams()
    loss: AbsoluteLoss = "least-squares"
    penalty: PenaltyParams = PenaltyParams()
    """Of both discriminators. The paper has none; R1 beside the non-saturating loss, without normalisation, is StarGAN v2's (Choi et al.,
    2020)."""
    cycle: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the mean absolute difference between an image and what comes back of it, in -1..1, beside each adversarial loss."""
    identity: Annotated[float, Field(ge=0)] = 5.0
    """Weight of what a translator changes in images that are of its target kind already; 0 saves a third of the time."""
    pool: Annotated[int, Field(ge=0, le=10_000)] = 50
    """Past translations, of each kind, that a discriminator is shown half of the time instead of new ones; 0: new ones only."""
    mirror: bool = True
    """Half of the images are shown mirrored, left and right exchanged."""
    augment: bool = False
    """Differentiable augmentation of what the discriminators see (Zhao et al., 2020), for small data sets."""

    def problems(self, kind: str, size: Sides | None) -> list[str]:
        found = []
        if self.penalty.clip:
            found.append("train.penalty.clip: belongs to the Wasserstein loss, which this game does not take; leave it out")
        if size is None:
            return found
        return [*found, *(misfit for player in (self.generator, self.discriminator) if (misfit := player.misfit(size)))]
