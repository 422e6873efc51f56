"""What text to image can be told."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gan_core.params.common import (
    AbsoluteLoss,
    OptimizerParams,
    PositiveInt,
    Sides,
    TrainParams,
    common_halvings,
    nearest_sides,
    sides_in_words,
)


class StackganParams(TrainParams):
    """StackGAN (Zhang et al., 2017): a text encoder, a first stage at half the size, a second stage that refines it.

    The budget has three parts: until `text_share` the text encoder learns to match captions with images; then the first stage plays
    against its discriminator; from `second_from` on both stages do.
    """

    kinds = ("captions",)
    game = "gan_core.recipes.stackgan:Stackgan"

    recipe: Literal["stackgan"] = "stackgan"
    latent: Annotated[int, Field(gt=0, le=4096)] = 32
    """Noise of the first stage, beside the codes."""
    code: Annotated[int, Field(gt=0, le=1024)] = 64
    """Length of what conditioning augmentation draws for a text, for each stage."""
    generator_width: PositiveInt = 64
    """Channels at each stage's own size; up to four times as many below."""
    discriminator_width: PositiveInt = 64
    """Channels beside the image; each halving doubles them, up to four times as many."""
    loss: AbsoluteLoss = "hinge"
    text_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    second_from: Annotated[float, Field(gt=0, lt=1)] = 0.5
    divergence: Annotated[float, Field(ge=0)] = 0.02
    """Weight of conditioning augmentation's divergence from the standard normal, which is a sum over the code."""
    matching: Annotated[float, Field(ge=0)] = 1.0
    """Weight, in the generator's loss, of how well its images find their captions (as in AttnGAN, Xu et al., 2018)."""
    augment: bool = True
    """Differentiable augmentation of real and generated images alike, by shifts and cutouts: colours belong to the captions."""
    batch: Annotated[int, Field(ge=2, le=65_536)] = 64
    optimizer: OptimizerParams = OptimizerParams(decay=0.3)

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.second_from <= self.text_share:
            raise ValueError(f"second_from: {self.second_from} is not above text_share, {self.text_share}; the first stage needs a part")
        return self

    def problems(self, kind: str, size: Sides | None) -> list[str]:
        if size is None or _has_halves(size):
            return []
        nearest = sides_in_words(nearest_sides(size, _has_halves))
        words = f"half of {sides_in_words(size)} cannot be halved down to 4, 5, 6 or 7 on its shorter side, and the other as often"
        return [f"data.size: {words}, as the first stage needs; the nearest that can is {nearest}"]


def _has_halves(size: Sides) -> bool:
    return not any(side % 2 for side in size) and common_halvings(tuple(side // 2 for side in size)) is not None
