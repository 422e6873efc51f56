"""What translation by label can be told: the translator, the discriminator, the loss, penalties, and the weights of the other losses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gan_core.params.common import OptimizerParams, Sides, TrainParams
from gan_core.params.cyclegan import CyclePatchParams
from gan_core.params.gan import PenaltyParams
from gan_core.params.networks import LabelledTranslatorParams


class StarGanParams(TrainParams):
    """Translation by label (StarGAN, Choi et al., 2018): one translator for all labels, which is given an image and the label that it is to
    get, and one discriminator, which judges patches of an image as one with that label.

    The discriminator meets the label by projection (Miyato and Koyama, 2018), and tells labels apart by the same logits where
    `classification` asks for the paper's classifier.
    """

    kinds = ("attributes",)
    game = "gan_core.recipes.stargan:StarGan"
    least = 20_000

    recipe: Literal["stargan"] = "stargan"
    condition: Literal["label", "number"] = "label"
    """What an image is translated to. `label`: one of the data's classes; `number`: a number, such as an age, between the least and the
    greatest of the training data (`data.label_as`)."""
    batch: Annotated[int, Field(ge=1, le=65_536)] = 8
    optimizer: OptimizerParams = OptimizerParams(learning_rate=2e-4, betas=(0.5, 0.999), decay=0.5)
    generator: LabelledTranslatorParams = LabelledTranslatorParams()
    discriminator: CyclePatchParams = CyclePatchParams()
    loss: Literal["non-saturating", "least-squares", "hinge", "wasserstein"] = "hinge"
    penalty: PenaltyParams = PenaltyParams()
    """The paper's is the Wasserstein loss with gradient 10."""
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 1
    """The paper has 5."""
    mismatch: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a second loss of the discriminator, which learns to refuse real images under wrong labels as well (Reed et al., 2016)."""
    classification: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the paper's classifier, for which the labels' logits of the discriminator serve, an image's patches together: it learns the
    labels of real images, and translations are to be given the ones asked for. The paper's is 1."""
    cycle: Annotated[float, Field(ge=0)] = 10.0
    """Weight of the mean absolute difference, in -1..1, between an image and what a translation becomes with the image's own label."""
    identity: Annotated[float, Field(ge=0)] = 5.0
    """Weight of what the translator changes in an image whose label is the one asked for; 0 saves a quarter of the time."""
    mirror: bool = True
    """Half of the images are shown mirrored, left and right exchanged."""
    augment: bool = False
    """Differentiable augmentation of what the discriminator sees (Zhao et al., 2020), for small data sets."""

    def problems(self, kind: str, size: Sides | None) -> list[str]:
        found = []
        if self.penalty.gradient and self.penalty.clip:
            found.append("train.penalty: gradient and clip are two answers to one question; set one of them")
        if self.classification and self.condition == "number":
            found.append("train.classification: a classifier tells classes, and train.condition is number; leave it out")
        if size is None:
            return found
        return [*found, *(misfit for player in (self.generator, self.discriminator) if (misfit := player.misfit(size)))]
