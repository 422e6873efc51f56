"""What paired translation can be told: the U-Net, the PatchGAN, and how much each of the two losses weighs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gan_core.params.common import (
    FEWEST_PIXELS,
    SCRATCH,
    AbsoluteLoss,
    OptimizerParams,
    Patch,
    PositiveInt,
    Probability,
    Sides,
    Strict,
    TrainParams,
    sides_in_words,
)
from gan_core.params.networks import PairedGenerator, UnetParams


class PatchParams(Strict):
    """The discriminator."""

    patch: Patch | None = None
    """Side, in pixels, of the patches that it judges. None: 70 from 128 pixels on, 34 from 32 on, 16 below."""
    width: PositiveInt | None = None
    """Channels of the first convolution; each one after it has twice as many. None: 32 (64 in the paper)."""
    normalization: Literal["none", "batch", "spectral", "instance"] | None = None
    """None: spectral with the hinge loss, batch otherwise (the paper's)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Pix2pixOptimizer(OptimizerParams):
    """Adam, by default with the paper's first moment."""

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    decay: Probability = 0.5
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.5, 0.99)


class Pix2pixParams(TrainParams):
    """Paired translation (pix2pix, Isola et al., 2017): a generator is given an image and makes its partner, or the first frames of a clip
    and makes the others."""

    kinds = ("pairs", "predictions")
    game = "gan_core.recipes.pix2pix:Pix2pix"
    least = 5_000

    recipe: Literal["pix2pix"] = "pix2pix"
    reversed: bool | None = None
    """With a start: whether its pairs run the other way round, so that its inputs are such as the samples here; what its discriminator
    learned of either then changes places. None: as the records of both tell, and as they stand where these do not."""
    batch: Annotated[int, Field(ge=1, le=65_536)] = 8
    optimizer: Pix2pixOptimizer = Pix2pixOptimizer()
    generator: PairedGenerator = UnetParams()
    discriminator: PatchParams = PatchParams()
    loss: AbsoluteLoss = "hinge"
    adversarial: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the generator's adversarial loss."""
    reconstruction: Annotated[float, Field(ge=0)] = 100.0
    """Weight of the mean difference to the real partner, in units of -1..1 (the paper's lambda)."""
    reconstruction_loss: Literal["absolute", "squared"] = "absolute"
    """The difference. `absolute`, the paper's, is least at the median: sharp, but a small thing whose place is unsure vanishes, since it is
    at no pixel more likely than not. `squared` is least at the mean: such a thing is spread over where it may be."""
    flip: bool = True
    """Mirror a pair from left to right, half of the time."""
    jitter: Annotated[float, Field(ge=0, le=0.25)] = 1 / 16
    """Shift a pair by up to this share of its side, what is missing reflected (the paper scales by 286/256 and crops); 0 leaves it out."""

    @model_validator(mode="after")
    def _has_pairs_to_reverse(self) -> Self:
        if self.reversed is not None and self.start == SCRATCH:
            raise ValueError("reversed is about the pairs of a start, and start is scratch; set start: champion, or leave reversed out")
        if self.reversed and self.replay is not None:
            raise ValueError("replay shows the pairs of the start as they run there, and reversed says it is the other way; leave one out")
        return self

    def settled_patch(self, side: int) -> Patch:
        """`discriminator.patch`, or its default for images whose shorter side has `side` pixels."""
        if self.discriminator.patch is not None:
            return self.discriminator.patch
        return 70 if side >= 128 else 34 if side >= 32 else 16

    def problems(self, kind: str, size: Sides | None) -> list[str]:
        found = self.generator.problems(size)
        if not self.adversarial and not self.reconstruction:
            found.append("train.reconstruction: with adversarial 0 too there is nothing to learn; set one of them above 0")
        if kind not in self.generator.kinds:
            found.append(f"train.generator.network: {self.generator.network} draws {' or '.join(self.generator.kinds)}; use unet")
        if size is None:
            return found
        patch = self.settled_patch(min(size))
        if min(size) < (fewest := FEWEST_PIXELS[patch]):
            found.append(f"train.discriminator.patch: {patch} needs at least {fewest} pixels, and data.size is {sides_in_words(size)}")
        return found
