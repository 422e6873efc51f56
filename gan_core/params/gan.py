"""What the classic game can be told: its players' networks, the loss, penalties."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gan_core.params.common import SCRATCH, PositiveInt, Probability, Sides, Strict, TrainParams, misfit_of_halvings
from gan_core.params.networks import AnyDiscriminator, AnyGenerator, AutoDiscriminatorParams, AutoGeneratorParams, NetworkParams

Loss = Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"]
_NO_AUGMENT = "train.augment: only for images, sounds, volumes and clips"

SPAN = 500_000
"""Images in which adaptive augmentation goes from none to all, at most (Karras et al., 2020)."""


def _is_augmentation(value: object) -> object:
    if isinstance(value, bool) or value == "adaptive":
        return value
    raise ValueError(f"{str(value)[:80]!r} is none of true, false and adaptive")


class PenaltyParams(Strict):
    """Regularisers of the discriminator; a weight of 0 turns one off."""

    r1: Annotated[float, Field(ge=0)] = 0.0
    """Gradient norm on real samples, gamma/2 * |grad|^2 (Mescheder et al., 2018)."""
    r2: Annotated[float, Field(ge=0)] = 0.0
    """The same on generated samples."""
    gradient: Annotated[float, Field(ge=0)] = 0.0
    """Gradient penalty between real and generated samples (WGAN-GP, Gulrajani et al., 2017)."""
    clip: Annotated[float, Field(ge=0)] = 0.0
    """Bound on each weight after a step (WGAN, Arjovsky et al., 2017)."""
    every: PositiveInt = 1
    """Apply r1, r2 and gradient every so many discriminator steps, scaled to the same strength (lazy regularisation)."""


class FreezeParams(Strict):
    """The discriminator's first layers stay as the start has them (FreezeD, Mo et al., 2020)."""

    layers: PositiveInt
    """How many, from the sample inwards; a normalisation belongs to the layer before it. The last layer always learns."""
    until: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of the budget at which they begin to learn; at 1 they never do."""


class LikelihoodParams(Strict):
    """Sentences, and rows of tables: what the generator learns by the likelihood of real ones, word by word as a language model does, or
    value by value. Alone the game finds no sentences in such budgets: it begins with such a model (SeqGAN: Yu et al., 2017; RelGAN: Nie et
    al., 2019)."""

    until: Probability = 0.5
    """The share of the budget at which the game begins. At 0 there is nothing but the game; at 1 there is none, and what is shipped is what
    likelihood alone has taught."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Of the likelihood beside the game, in the generator's loss."""


class GanParams(TrainParams):
    """The classic game: a generator of images, points, sounds, volumes, clips or sentences against a discriminator, unconditional, by
    label or by a number.

    Sections may be given as in params.yaml. What does not exist or fit is refused.

    >>> from gan_core import GanParams
    >>> params = GanParams(images=60_000, condition="label", loss="hinge", optimizer={"learning_rate": 0.001})
    >>> params.batch, params.optimizer.betas
    (64, (0.0, 0.99))
    """

    kinds = ("images", "points", "sounds", "volumes", "clips", "sentences")
    game = "gan_core.recipes.gan:Gan"
    warm_share = 0.25  # docs/retraining.md has what earned it

    recipe: Literal["gan"] = "gan"
    condition: Literal["none", "label", "number"] = "none"
    """What samples are drawn by. `label`: one of the data's classes; `number`: images by a number, such as an age, between the least and
    the greatest of the training data (`data.label_as`)."""
    latent: Annotated[int, Field(gt=0, le=4096)] = 64
    generator: AnyGenerator = AutoGeneratorParams()
    discriminator: AnyDiscriminator = AutoDiscriminatorParams()
    loss: Loss = "relativistic"
    likelihood: LikelihoodParams | None = None
    """Sentences only. None: its defaults there."""
    penalty: PenaltyParams | None = None
    """None: r1 and r2 every 8 steps for the relativistic loss, which needs them (Huang et al., 2024), nothing for the others. Their
    weight grows with the number of pixels or voxels from 2 at 28 x 28 on, a rule of ours; 0.1 for points; of sentences 10 over the number
    of words. It is strong: StyleGAN2-ADA's rule (Karras et al., 2020), 0.0002 * pixels / batch, gives 0.0025 at 28 x 28 and 64 a batch.
    Photos by label want less (docs/recipes.md)."""
    freeze: FreezeParams | None = None
    """With a start: layers of the discriminator that are kept. None: all learn."""
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """One-sided: the target for real samples is 1 - label_smoothing (Salimans et al., 2016). Cross-entropy losses only."""
    mismatch: Annotated[float, Field(ge=0)] = 0.0
    """By label: weight of a second loss of the discriminator, which learns to refuse real samples under wrong labels as well (Reed et al.,
    2016). Generated samples are then more surely of their class."""
    augment: Annotated[bool | Literal["adaptive"], BeforeValidator(_is_augmentation)] = False
    """Differentiable augmentation of real and generated images, volumes or clips alike (Zhao et al., 2020), for small data sets.
    `adaptive`: each change with a probability that goes up while the discriminator overfits, and down while it does not (ADA, Karras et
    al., 2020); the record has it as `augment_strength`."""
    augment_target: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """With augment adaptive: the overfitting that is aimed at, the record's `overfitting`: the mean sign of the discriminator's logits on
    real samples, or, for losses that only compare logits, twice the share of pairs in order, less 1. None: 0.6, as in the paper."""
    augment_span: PositiveInt | None = None
    """With augment adaptive: the images in which the probability goes from 0 to 1 at the fastest. None: a quarter of the budget, at most
    500,000, which is the paper's."""

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if self.label_smoothing and self.loss not in ("non-saturating", "minimax"):
            raise ValueError(f"label_smoothing needs loss non-saturating or minimax; {self.loss} has no targets to smooth")
        if self.freeze is not None and self.start == SCRATCH:
            raise ValueError("freeze keeps layers of a start, and start is scratch; set start: champion, or leave freeze out")
        for key, is_set in (("take: generator", self.take != "all"), ("shrink", self.shrink is not None)):
            if self.freeze is not None and is_set:
                raise ValueError(
                    f"freeze keeps layers of the discriminator as the start has them, and {key} does not; leave one of them out"
                )
        for key in ("augment_target", "augment_span"):
            if getattr(self, key) is not None and self.augment != "adaptive":
                raise ValueError(f"{key} is about augmentation that adapts; set augment: adaptive, or leave it out")
        if self.augment == "adaptive" and self.loss == "wasserstein":
            raise ValueError(
                "augment: adaptive follows how surely a discriminator tells real samples, and a critic (wasserstein) tells none"
            )
        if self.mismatch and self.condition == "none":
            raise ValueError("mismatch shows samples under wrong labels, and condition is none; set condition: label")
        if self.penalty is not None and self.penalty.gradient and self.penalty.clip:
            raise ValueError("penalty.gradient and penalty.clip are two answers to one question; set one of them")
        if self.penalty is not None and self.penalty.gradient and getattr(self.discriminator, "normalization", None) == "batch":
            raise ValueError(
                "penalty.gradient asks for each sample's own gradient, and discriminator.normalization batch mixes those of a batch "
                "(Gulrajani et al., 2017, section 4); use none or spectral"
            )
        return self

    @property
    def settled_span(self) -> int:
        """`augment_span`, or its default for the budget, as far as that is settled."""
        return self.augment_span or (SPAN if self.images is None else max(min(self.images // 4, SPAN), 1))

    def settled_penalty(self, shape: tuple[int, ...]) -> PenaltyParams:
        """`penalty`, or its default for the loss and samples of `shape`, (C, H, W), (C, X, Y, Z), (C, F, H, W), (D,) or (T, V)."""
        if self.penalty is not None:
            return self.penalty
        if self.loss != "relativistic":
            return PenaltyParams()
        if len(shape) == 2:
            # A gradient at a sentence has a number for every word that does not stand there, too.
            return PenaltyParams(r1=10.0 / shape[1], r2=10.0 / shape[1], every=8)
        # By way of the side of a square with as many pixels or voxels, which is exact for a square.
        weight = 2.0 * (math.sqrt(math.prod(shape[1:])) / 28) ** 2 if len(shape) > 2 else 0.1
        return PenaltyParams(r1=weight, r2=weight, every=8)

    def settled_likelihood(self, kind: str) -> LikelihoodParams:
        """`likelihood`, or its default for data of a kind; beside a game of other data there is none."""
        return self.likelihood or (LikelihoodParams() if kind == "sentences" else LikelihoodParams(until=0.0, weight=0.0))

    def settled_players(self, kind: str) -> dict[str, NetworkParams]:
        """Each player's parameters with nothing left open, for data of a kind.

        Raises:
            ValueError: a network does not fit the data; begins with the key below `train`.
        """
        settled = {}
        for role, player in (("generator", self.generator), ("discriminator", self.discriminator)):
            try:
                settled[role] = player.settled(kind, self.loss)
            except ValueError as error:
                raise ValueError(f"{role}.{error}") from None
        return settled

    def uncompiled(self, kind: str) -> str | None:
        players = (self.generator, self.discriminator)
        if not all(player.settled(kind, self.loss).network == "mlp" for player in players):
            return "only dense networks (mlp) are compiled by recipe gan; the others gain next to nothing"
        told = {"augment": self.augment, "mismatch": self.mismatch, "freeze": self.freeze, "condition: number": self.condition == "number"}
        found = [setting for setting, is_set in told.items() if is_set]
        return f"steps with train.{found[0]} are not compiled" if found else self.uncompiled_as_set()

    def problems(self, kind: str, size: Sides | None) -> list[str]:
        found = []
        if kind == "points":
            found += ["train.condition: points have no labels; use none"] if self.condition != "none" else []
            found += [_NO_AUGMENT] if self.augment else []
        if kind == "sentences":
            found += [_NO_AUGMENT] if self.augment else []
            if "latent" in self.model_fields_set:
                found.append("train.latent: a sentence is drawn by a number for each of its words (data.length); leave it out")
        elif self.likelihood is not None:
            found.append("train.likelihood: only for sentences; leave it out")
        try:
            players = self.settled_players(kind).values()
        except ValueError as error:
            return [f"train.{error}", *found]
        if any(player.halves for player in players) and size is not None and (misfit := misfit_of_halvings(size, "convolutions need")):
            found.append(misfit)
        return found
