"""What the classic game can be told: networks by family, the loss, penalties."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gan_core.params.common import Kind, PositiveInt, Strict, TrainParams, halvings

Loss = Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"]
Family = Literal["mlp", "dcgan", "residual"]
Normalization = Literal["none", "batch", "spectral", "instance"]


class NetworkParams(Strict):
    """One player's network. `auto` takes `mlp` for points and `dcgan` for images."""

    network: Literal["auto", "mlp", "dcgan", "residual"] = "auto"
    width: PositiveInt | None = None
    """Channels at the widest point of a convolutional network; None takes the network's default for the image size."""
    widths: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)] | None = None
    """Hidden units layer by layer: an `mlp`, or the channels of a `dcgan` from the seed (generator) or image (discriminator) on."""
    normalization: Normalization | None = None
    """None: batch for a convolutional generator; for a convolutional discriminator spectral with the hinge loss, none otherwise."""
    hidden: PositiveInt | None = None
    """Units of a dense layer between a `dcgan` discriminator's convolutions and its logits, which the paper has not (StyleGAN2 has: Karras
    et al., 2020). Two convolutions, all that a small image takes, tell labels and shapes apart poorly without it."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    components: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """Of a mixture of Gaussians that the latent is drawn from, for data that lies in separate pieces (DeLiGAN: Gurumurthy et al., 2017)."""
    batch_distance: bool = False
    """A discriminator also sees how far each sample is from the others of its label in the batch, so that a generator that draws the same
    for a label again and again is found out (minibatch discrimination: Salimans et al., 2016)."""

    def family(self, images: bool) -> Family:
        """The network, with `auto` settled."""
        if self.network != "auto":
            return self.network
        return "dcgan" if images else "mlp"

    def misfits(self, role: str, images: bool) -> list[str]:
        """What is set here and would be ignored, as lines that begin with the key, for a player of `role`."""
        family = self.family(images)
        known = {key for key, networks in _USED[role].items() if family in networks}
        named = [
            key
            for key in ("width", "widths", "hidden", "dropout", "components", "batch_distance")
            if getattr(self, key) and key not in known
        ]
        problems = [f"{key}: the {family} {role} has no such setting; leave it out" for key in named]
        if self.normalization not in (None, "none") and f"normalization {self.normalization}" not in known:
            problems.append(f"normalization: the {family} {role} has no {self.normalization} normalization; leave it out")
        return problems


_CONVOLUTIONAL = ("dcgan", "residual")
_USED: dict[str, dict[str, tuple[str, ...]]] = {
    "generator": {
        "width": _CONVOLUTIONAL,
        "widths": ("mlp", "dcgan"),
        "components": ("mlp",),
        "normalization batch": ("mlp", "dcgan", "residual"),
        "normalization spectral": ("mlp", "dcgan"),
    },
    "discriminator": {
        "width": _CONVOLUTIONAL,
        "widths": ("mlp", "dcgan"),
        "hidden": ("dcgan",),
        "dropout": ("mlp", "dcgan", "residual"),
        "batch_distance": _CONVOLUTIONAL,
        "normalization batch": ("mlp", "dcgan"),
        "normalization spectral": ("mlp", "dcgan", "residual"),
    },
}
"""Which networks look at a setting, by role."""


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


class GanParams(TrainParams):
    """The classic game: a generator of points or images against a discriminator, unconditional or by label."""

    kinds = ("images", "points")

    recipe: Literal["gan"] = "gan"
    condition: Literal["none", "label"] = "none"
    latent: Annotated[int, Field(gt=0, le=4096)] = 64
    generator: NetworkParams = NetworkParams()
    discriminator: NetworkParams = NetworkParams()
    loss: Loss = "relativistic"
    penalty: PenaltyParams | None = None
    """None: r1 and r2 every 8 steps for the relativistic loss, which needs them (Huang et al., 2024), nothing for the others. Their
    weight grows with the number of pixels from 2 at 28 x 28 on, a rule of ours; 0.1 for points. It is strong: StyleGAN2-ADA's rule
    (Karras et al., 2020), 0.0002 * pixels / batch, gives 0.0025 there at 64 a batch. Photos by label want less (docs/recipes.md)."""
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """One-sided: the target for real samples is 1 - label_smoothing (Salimans et al., 2016). Cross-entropy losses only."""
    mismatch: Annotated[float, Field(ge=0)] = 0.0
    """By label: weight of a second loss of the discriminator, which learns to refuse real samples under wrong labels as well (Reed et al.,
    2016). Generated samples are then more surely of their class."""
    augment: bool = False
    """Differentiable augmentation of real and generated images alike (Zhao et al., 2020), for small data sets."""

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if self.label_smoothing and self.loss not in ("non-saturating", "minimax"):
            raise ValueError(f"label_smoothing needs loss non-saturating or minimax; {self.loss} has no targets to smooth")
        if self.mismatch and self.condition != "label":
            raise ValueError("mismatch shows samples under wrong labels, and condition is none; set condition: label")
        if self.penalty is not None and self.penalty.gradient and self.penalty.clip:
            raise ValueError("penalty.gradient and penalty.clip are two answers to one question; set one of them")
        if self.penalty is not None and self.penalty.gradient and self.discriminator.normalization == "batch":
            raise ValueError(
                "penalty.gradient asks for each sample's own gradient, and discriminator.normalization batch mixes those of a batch "
                "(Gulrajani et al., 2017, section 4); use none or spectral"
            )
        return self

    def settled_penalty(self, shape: tuple[int, ...]) -> PenaltyParams:
        """`penalty`, or its default for the loss and samples of `shape`, (C, H, W) or (D,)."""
        if self.penalty is not None:
            return self.penalty
        if self.loss != "relativistic":
            return PenaltyParams()
        weight = 2.0 * (shape[-1] / 28) ** 2 if len(shape) == 3 else 0.1
        return PenaltyParams(r1=weight, r2=weight, every=8)

    def settled_discriminator(self, shape: tuple[int, ...]) -> NetworkParams:
        """`discriminator` with its normalisation settled, which depends on the loss, for samples of `shape`."""
        if self.discriminator.normalization is not None:
            return self.discriminator
        spectral = self.loss == "hinge" and self.discriminator.family(images=len(shape) == 3) != "mlp"
        return self.discriminator.model_copy(update={"normalization": "spectral" if spectral else "none"})

    def problems(self, kind: Kind, size: int | None) -> list[str]:
        players = {"generator": self.generator, "discriminator": self.discriminator}
        if kind == "points":
            found = [
                f"train.{role}.network: {player.network} draws images, and the source has points; use mlp"
                for role, player in players.items()
                if player.network not in ("auto", "mlp")
            ]
            found += ["train.condition: points have no labels; use none"] if self.condition == "label" else []
            found += ["train.augment: only for images"] if self.augment else []
            if found:
                return found
        found = [f"train.{role}.{problem}" for role, player in players.items() for problem in player.misfits(role, images=kind == "images")]
        convolutional = kind == "images" and any(player.family(images=True) != "mlp" for player in players.values())
        if convolutional and size is not None and halvings(size) is None:
            found.append(f"data.size: {size} cannot be halved down to 4, 5, 6 or 7 as convolutions need; use 16, 28, 32, 64 or 128")
        return found
