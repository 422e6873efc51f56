"""What a recipe is. It says who the players are, whose turn it is, what each one's loss is on a batch, and which of them is shipped.

It does not loop, optimise, log or save: `training.py` does that for every recipe alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.data.batches import Batch
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.losses import DECISION_BOUNDARY, share_called_real, share_in_order
from gan_core.params import TrainParams
from gan_core.params.networks import NetworkParams


@dataclass(frozen=True)
class Turn:
    """One kind of move in a step: the named players learn, `repeats` times, each time on a fresh batch if `draws`."""

    players: tuple[str, ...]
    """Names in `Recipe.players`, or a part of one, as `generator.text`."""
    repeats: int = 1
    draws: bool = False
    since: float = 0.0
    until: float = 1.0
    """The part of the budget in which this turn is played: from the share `since` until before `until`. At any time one turn draws."""

    def is_played(self, share: float) -> bool:
        """Whether it is played at a share of the budget, 0 up to but not 1."""
        return self.since <= share < self.until


@dataclass(frozen=True)
class Move:
    """The loss of one move (a scalar to minimise), and numbers worth logging (scalars, detached)."""

    loss: Tensor
    numbers: Mapping[str, Tensor]


def turns_after_likelihood(until: float, discriminator_steps: int) -> tuple[Turn, ...]:
    """The turns of a game whose generator learns by the likelihood of real samples until a share of the budget; then the game's."""
    alone = (Turn(("generator",), draws=True, until=until),) if until else ()
    game = (Turn(("discriminator",), discriminator_steps, draws=True, since=until), Turn(("generator",), since=until)) if until < 1 else ()
    return (*alone, *game)


@contextmanager
def fixed(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """While it lasts what is computed with these weights, another player's, passes gradients on, and asks for none of theirs."""
    # A compiled step computes what somebody asks for alone, and its trace must not change what weights are.
    learning = [] if torch.compiler.is_compiling() else [weight for weight in weights if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def describe_logits(real_logits: Tensor, fake_logits: Tensor, loss: str) -> dict[str, Tensor]:
    """What the record says of a discriminator's logits (N, ...) under a loss of `losses.LOSSES`.

    The mean score of real and of generated samples; a critic's distance, or the share of real and generated pairs in order; and, where the
    game knows a boundary between the two, the share of each that is told rightly.
    """
    real, fake = real_logits.detach(), fake_logits.detach()
    numbers = {"real_score": real.mean(), "fake_score": fake.mean()}
    if loss == "wasserstein":
        return {**numbers, "critic_distance": numbers["real_score"] - numbers["fake_score"]}
    numbers["accuracy_pairs"] = share_in_order(real, fake)
    if loss in DECISION_BOUNDARY:
        numbers |= {"accuracy_real": share_called_real(real, loss), "accuracy_fake": 1 - share_called_real(fake, loss)}
    return numbers


def check_condition(asked: str, spec: DatasetSpec) -> None:
    """See that the data's labels are what `train.condition` asks for.

    Raises:
        ConfigError: they are not, or there are none.
    """
    if asked == "label" and spec.classes is None:
        has = "has no labels; use none, or a folder a class" if spec.numbers is None else "is labelled with numbers; use number"
        raise ConfigError(f"train.condition: label was asked for, and the data {has}")
    if asked == "number" and spec.numbers is None:
        has = "no labels" if spec.classes is None else "classes"
        raise ConfigError(f"train.condition: number was asked for, and the data has {has}; set data.label_as: number, or use another")


Params = TypeVar("Params", bound=TrainParams)


class Recipe(ABC, Generic[Params]):
    """A game on one kind of data."""

    turns: tuple[Turn, ...]
    """The moves of a step, in order. Those that draw count the images seen."""
    shipped: str
    """The player whose averaged weights are the generator."""
    network: NetworkParams
    """Of that player, with nothing left open."""
    data: DatasetSpec
    """What it makes: the data set's specification, without labels where it is unconditional."""
    latent: int = 0
    """Length of its latents; 0 where it is given something else."""
    generator_from: float = 0.0
    """The share of the budget from which on it plays."""
    paired: bool = True
    """Whether it is shown inputs beside the samples that they belong to, where they belong to any."""
    balance: float = 0.0
    """How much more often it is shown samples of rare classes (`gan_core.data.shuffle.Balanced`)."""
    is_private: bool = False
    """Whether nobody may know which samples a step saw and what noise it drew: it sees each sample with the same chance
    (`gan_core.data.shuffle.ByChance`), and all that is drawn after the first weights is drawn from a secret of the run."""
    penalised_every: int = 1
    """How many moves of a turn that draws come to one with penalties; all others are alike."""

    def __init__(self, params: Params, spec: DatasetSpec, device: torch.device) -> None:
        self.params = params
        self.spec = self.data = spec
        self.device = device
        self.players: dict[str, nn.Module] = {}

    def part(self, name: str) -> nn.Module:
        """A player, or a part of one, by its name in a `Turn`."""
        player, _, path = name.partition(".")
        return self.players[player].get_submodule(path)

    def weights(self, turn: Turn) -> list[nn.Parameter]:
        """What learns in a turn. The loop asks for the gradients of these alone: other players' weights only pass them on."""
        return [weight for player in turn.players for weight in self.part(player).parameters()]

    def frozen(self, turn: Turn, share: float) -> Sequence[nn.Parameter]:
        """Those of a turn's weights that stay as they are, at a share of the budget, 0 up to but not 1; by default none."""
        return ()

    def side_by_side(self) -> Mapping[str, int]:
        """Of a checkpoint's tensors by name, those that have a number for each value of an input and of a sample side by side, and how many
        of these are the sample's: what changes places where the pairs of a start run the other way round. By default none."""
        return {}

    @abstractmethod
    def move(self, turn: Turn, batch: Batch, moves: int, last: bool) -> Move:
        """The loss of `turn`'s players on `batch`.

        Args:
            turn: one of `turns`.
            batch: real samples; a turn that does not draw gets the latest batch drawn.
            moves: moves of this turn made in the run before this one.
            last: whether this is the last of the turn's repeats in this step.
        """

    def after_move(self, turn: Turn) -> None:
        """Constrain weights once the optimiser has moved them; by default nothing."""

    def forget(self) -> None:
        """Let go of what a step's moves keep for each other; by default nothing."""

    def learn(self, turn: Turn, numbers: Mapping[str, Tensor]) -> None:
        """Take in what the record will say of a move, the means over all parts of its batch and all processes; by default nothing."""

    def generator_config(self, images: int) -> GeneratorConfig:
        """What the shipped generator is after `images` real samples."""
        return GeneratorConfig(
            recipe=self.params.recipe,
            data=self.data,
            latent=self.latent,
            network=self.network,
            images=images,
            seed=self.params.seed,
            dataset=self.spec.digest,
        )

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        """A picture, uint8 (H, W, 3), of what the generator makes now; by default what the kind of data shows."""
        return self.spec.preview(generator, dataset)
