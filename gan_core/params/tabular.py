"""What the game for tables can be told."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gan_core.params.common import SCRATCH, OptimizerParams, Strict, TrainParams
from gan_core.params.gan import LikelihoodParams, Loss, PenaltyParams
from gan_core.params.networks import AnyTabularGenerator, AutoregressiveGeneratorParams, Dropout, TabularGeneratorParams, Widths

TIMES = 40
"""How often each row is shown where likelihood alone teaches and nobody has set a budget: more, and rows are learned by heart."""


class TabularDiscriminatorParams(Strict):
    """The discriminator's dense network."""

    widths: Widths = (256, 256)
    """Hidden units layer by layer."""
    dropout: Dropout = 0.0


class PrivacyParams(Strict):
    """Differential privacy of each row that is learned from, by DP-SGD (Abadi et al., 2016). It holds of the network's weights; what
    describes the columns is of the rows as they are (docs/tables.md)."""

    epsilon: Annotated[float, Field(gt=0, le=1_000)]
    """How much, at most, one row more or less may change how likely any outcome of the training is: by a factor of exp(epsilon)."""
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    """The chance with which that may fail; less than one in the number of rows."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Length that the gradient of a row is shortened to, where it is longer."""


class TabularParams(TrainParams):
    """A generator of rows against a discriminator of packs of rows, by label where the data names one (CTGAN, Xu et al., 2019); an
    autoregressive generator learns by the likelihood of rows first, or alone."""

    kinds = ("table",)
    game = "gan_core.recipes.tabular:Tabular"
    least = 100_000
    apart = 50_000  # each takes a hundred trees, however few the rows

    recipe: Literal["tabular"] = "tabular"
    batch: Annotated[int, Field(ge=2, le=65_536)] = 100
    latent: Annotated[int, Field(gt=0, le=4096)] = 64
    generator: AnyTabularGenerator = TabularGeneratorParams()
    discriminator: TabularDiscriminatorParams = TabularDiscriminatorParams()
    loss: Loss = "relativistic"
    likelihood: LikelihoodParams | None = None
    """With an autoregressive generator only. None: it learns by likelihood alone, until 1, and there is no game."""
    penalty: PenaltyParams = PenaltyParams(r1=0.1, r2=0.1)
    pac: Annotated[int, Field(ge=1, le=64)] = 1
    """Rows that the discriminator judges together (PacGAN, Lin et al., 2018); the batch is a multiple of it."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much more often rows of rare classes are shown: one of a class of n rows (N / n) ** balance times as often as one of the most
    frequent class, which has N. 0: as often; 1: each class about equally often. What is drawn has the shares of the data in any case."""
    privacy: PrivacyParams | None = None
    """With an autoregressive generator that learns by likelihood alone, and the extra `privacy`: differential privacy. Each step then sees
    each row with the same chance, so `batch` is how many it sees on average. None: none."""
    discriminator_steps: Annotated[int, Field(ge=1, le=100)] = 1
    optimizer: OptimizerParams = OptimizerParams(learning_rate=2e-3, decay=0.5)

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        if self.batch % self.pac:
            raise ValueError(f"batch: {self.batch} rows are no whole packs of {self.pac} (train.pac)")
        return self

    @model_validator(mode="after")
    def _fits_the_generator(self) -> Self:
        try:
            self.generator.settled("table", self.loss)
        except ValueError as error:
            raise ValueError(f"generator.{error}") from None
        if self.likelihood is not None and not self.generator.has_likelihood:
            raise ValueError("likelihood: only with generator.network: autoregressive; leave it out")
        if self.generator.draws_each_place and "latent" in self.model_fields_set:
            raise ValueError(f"latent: {self.generator.network} draws a row by a number for each of its values; leave it out")
        return self

    @model_validator(mode="after")
    def _keeps_rows_private(self) -> Self:
        if self.privacy is None:
            return self
        if not isinstance(self.generator, AutoregressiveGeneratorParams) or not self.learns_by_heart:
            raise ValueError("privacy: only of a generator that learns by likelihood alone; write generator.network: autoregressive")
        told = {
            "start": (self.start != SCRATCH, "what a start has learned of rows is not counted"),
            "balance": (self.balance > 0, "each row has to have the same chance to be seen"),
            "accumulate": (self.accumulate > 1, "a step is not played in parts then"),
            "processes": (self.processes != 1, "a step is not shared by processes then"),
            "restarts": (self.restarts > 0, "another try sees the rows once more, and is not counted"),
        }
        for key, (is_set, why) in told.items():
            if is_set:
                raise ValueError(f"privacy: not with {key}, since {why}; leave one of the two out")
        return self

    @property
    def settled_likelihood(self) -> LikelihoodParams:
        """`likelihood`, or its default for the generator."""
        return self.likelihood or LikelihoodParams(until=1.0 if self.generator.has_likelihood else 0.0, weight=0.0)

    def settled(self, samples: int, is_warm: bool) -> Self:
        if self.images is None and self.learns_by_heart:
            return self.model_copy(update={"images": TIMES * samples})
        return super().settled(samples, is_warm)

    @property
    def learns_by_heart(self) -> bool:
        return self.settled_likelihood.until == 1

    def uncompiled(self, kind: str) -> str | None:
        if self.generator.has_likelihood:
            return f"steps with train.generator.network: {self.generator.network} are not compiled"
        return self.uncompiled_as_set()

    def is_even(self, processes: int) -> bool:
        return self.batch % (processes * self.accumulate * self.pac) == 0

    def _parts(self, processes: int) -> str:
        return f"{super()._parts(processes)} of whole packs of {self.pac} (train.pac)"
