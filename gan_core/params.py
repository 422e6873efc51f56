"""What a training run can be told: the `train` section of an entry in params.yaml.

Everything is optional but the recipe; the defaults are the ones that `docs/recipes.md` measures. Strict: an unknown key, a
wrong type or an impossible combination is refused before anything is loaded. No torch in here, so that reading params.yaml
stays fast.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """A section of params.yaml: immutable, no unknown keys, no silent conversions, nothing infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)


Loss = Literal["non-saturating", "minimax", "least-squares", "hinge", "wasserstein", "relativistic"]
Family = Literal["mlp", "dcgan", "residual"]
Normalization = Literal["none", "batch", "spectral"]


def halvings(side: int) -> tuple[int, int] | None:
    """How often a side can be halved, at least once, down to between 4 and 7 pixels, and that smallest side; None where it cannot."""
    smallest, count = side, 0
    while smallest % 2 == 0 and smallest >= 8:
        smallest, count = smallest // 2, count + 1
    return (count, smallest) if count and 4 <= smallest <= 7 else None


class NetworkParams(Strict):
    """One player's network. `auto` takes `mlp` for points and `dcgan` for images."""

    network: Literal["auto", "mlp", "dcgan", "residual"] = "auto"
    width: PositiveInt | None = None
    """Channels at the widest point of a convolutional network; None takes the network's default for the image size."""
    widths: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1)] | None = None
    """Hidden units layer by layer: an `mlp`, or the channels of a `dcgan` from the seed (generator) or image (discriminator) on."""
    normalization: Normalization | None = None
    """None: batch for a convolutional generator; for a convolutional discriminator spectral with the hinge loss, none otherwise."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def family(self, images: bool) -> Family:
        """The network, with `auto` settled."""
        if self.network != "auto":
            return self.network
        return "dcgan" if images else "mlp"

    def misfits(self, role: str, images: bool) -> list[str]:
        """What is set here and would be ignored, as lines that begin with the key, for a player of `role`."""
        family = self.family(images)
        known = {key for key, networks in _USED[role].items() if family in networks}
        named = [key for key in ("width", "widths", "dropout") if getattr(self, key) and key not in known]
        problems = [f"{key}: the {family} {role} has no such setting; leave it out" for key in named]
        if self.normalization not in (None, "none") and f"normalization {self.normalization}" not in known:
            problems.append(f"normalization: the {family} {role} has no {self.normalization} normalization; leave it out")
        return problems


_CONVOLUTIONAL = ("dcgan", "residual")
_USED: dict[str, dict[str, tuple[str, ...]]] = {
    "generator": {
        "width": _CONVOLUTIONAL,
        "widths": ("mlp", "dcgan"),
        "normalization batch": ("mlp", "dcgan", "residual"),
        "normalization spectral": ("mlp", "dcgan"),
    },
    "discriminator": {
        "width": _CONVOLUTIONAL,
        "widths": ("mlp", "dcgan"),
        "dropout": ("mlp", "dcgan", "residual"),
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


class OptimizerParams(Strict):
    """Adam for both players (RMSprop where the WGAN paper asks for it)."""

    name: Literal["adam", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    generator_learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """None: the same as the discriminator's."""
    decay: Probability = 0.0
    """Share of the budget, at its end, over which both learning rates fall to 0 in a straight line."""
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.0, 0.99)


class TrainParams(Strict):
    """What every recipe shares. Cadences and budgets are counted in images (or points) that the discriminator saw."""

    images: PositiveInt
    """The budget: training ends when this many real samples were shown."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    batch: Annotated[int, Field(ge=2, le=65_536)] = 64
    optimizer: OptimizerParams = OptimizerParams()
    ema: Annotated[int, Field(ge=0)] | None = None
    """Half-life, in images, of the averaged generator that is shipped; 0 ships the raw one. None: the budget / 20, at most 500,000."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """`auto`: bf16 for convolutions where the processor has it, float32 otherwise and for everything else."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Processor threads. None: one for points, one a core for images. Where several trainings share the cores, 1 each is far faster:
    threads that wait for each other lose whole time slices. Results are equal bit for bit at equal numbers only."""
    log_every: PositiveInt | None = None
    """None: 200 times in a run."""
    preview_every: PositiveInt | None = None
    """None: 10 times in a run."""
    checkpoint_every: PositiveInt | None = None
    """None: 20 times in a run. Never changes the result, only how much a crash costs."""


class GanParams(TrainParams):
    """The classic game: a generator of points or images against a discriminator, unconditional or by label."""

    recipe: Literal["gan"] = "gan"
    condition: Literal["none", "label"] = "none"
    latent: Annotated[int, Field(gt=0, le=4096)] = 64
    generator: NetworkParams = NetworkParams()
    discriminator: NetworkParams = NetworkParams()
    loss: Loss = "relativistic"
    penalty: PenaltyParams | None = None
    """None: r1 and r2 every 8 steps for the relativistic loss, which needs them (Huang et al., 2024), nothing for the others. Their
    weight follows the number of pixels, 2 at 28 x 28, as Karras et al. (2020, appendix C) scale R1; 0.1 for points."""
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 1
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """One-sided: the target for real samples is 1 - label_smoothing (Salimans et al., 2016). Cross-entropy losses only."""
    augment: bool = False
    """Differentiable augmentation of real and generated images alike (Zhao et al., 2020), for small data sets."""

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if self.label_smoothing and self.loss not in ("non-saturating", "minimax"):
            raise ValueError(f"label_smoothing needs loss non-saturating or minimax; {self.loss} has no targets to smooth")
        if self.penalty is not None and self.penalty.gradient and self.penalty.clip:
            raise ValueError("penalty.gradient and penalty.clip are two answers to one question; set one of them")
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
