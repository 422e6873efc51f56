"""Unpaired translation: two translators that undo each other, and a discriminator for each kind of image (CycleGAN, Zhu et al., 2017).

`there` goes from the inputs to images like the samples, `back` the other way; both are shipped, so that what comes back of a translation
can be looked at and scored. A discriminator judges patches and is shown past translations too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.augment import augment, mirrored
from gan_core.data.batches import Batch
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.unpaired import held_out_round_trips
from gan_core.losses import LOSSES
from gan_core.networks import build_generator
from gan_core.networks.patch import PatchDiscriminator
from gan_core.networks.translator import RoundTrip
from gan_core.params import CycleGanParams
from gan_core.penalties import penalties
from gan_core.pool import ImagePool
from gan_core.recipes.game import Move, Recipe, Turn, describe_logits


@dataclass(frozen=True)
class _Side:
    """One kind of image in a step: real ones, and translations to it with their gradient."""

    real: Tensor
    fake: Tensor


class CycleGan(Recipe[CycleGanParams]):
    """Players `generators` (a `RoundTrip`), `target_discriminator` and `input_discriminator`, and a pool for each of the two."""

    shipped = "generators"
    paired = False
    turns = (Turn(("target_discriminator", "input_discriminator"), draws=True), Turn(("generators",)))

    def __init__(self, params: CycleGanParams, spec: DatasetSpec, device: torch.device) -> None:
        super().__init__(params, spec, device)
        sides = spec.shape[1:]
        misfits = params.problems(spec.kind, sides)
        if misfits:
            raise ConfigError(misfits[0])
        if spec.inputs != spec.shape:
            raise ConfigError(f"unpaired translation is between images of one shape, and these are of {spec.inputs} and {spec.shape}")
        discriminator = params.discriminator
        self.network = params.generator.with_blocks(min(sides))
        normalization = discriminator.normalization or ("spectral" if params.loss == "hinge" else "instance")
        networks = {
            "generators": build_generator(self.network, spec, self.latent),
            **{
                f"{side}_discriminator": PatchDiscriminator(
                    spec.shape, discriminator.settled_patch(min(sides)), discriminator.width, normalization
                )
                for side in ("target", "input")
            },
        }
        for network in networks.values():
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pools = {name: ImagePool(params.pool, spec.shape) for name in ("target_pool", "input_pool")}
        self.players = {name: player.to(device) for name, player in {**networks, **pools}.items()}
        self.discriminator_loss, self.generator_loss = LOSSES[params.loss]
        self._sides: dict[str, _Side] = {}

    def move(self, turn: Turn, batch: Batch, moves: int, last: bool) -> Move:
        return self._discriminate(batch, moves) if turn.draws else self._translate()

    def _discriminate(self, batch: Batch, moves: int) -> Move:
        assert batch.inputs is not None  # noqa: S101
        inputs, targets = (mirrored(images) if self.params.mirror else images for images in (batch.inputs, batch.real))
        # The generators do not change between this move and their own: they translate once for both.
        self._sides = {"target": _Side(targets, self._generators.there(inputs)), "input": _Side(inputs, self._generators.back(targets))}
        total, numbers = inputs.new_zeros(()), dict[str, Tensor]()
        for name, side in self._sides.items():
            shown = cast(ImagePool, self.players[f"{name}_pool"]).exchange(side.fake)
            real, fake = self._judge(name, torch.cat([side.real, shown])).chunk(2)
            loss = self.discriminator_loss(real, fake)
            total = total + loss
            prefix = "" if name == "target" else f"{name}_"
            said = {"discriminator_loss": loss.detach(), **describe_logits(real, fake, self.params.loss)}
            penalty = self.params.penalty
            if moves % penalty.every == 0:
                term, values = penalties(partial(self._mean_logit, name), side.real, shown, penalty)
                total = total + term * penalty.every
                said |= values
            numbers |= {f"{prefix}{key}": value for key, value in said.items()}
        return Move(total, numbers)

    def _translate(self) -> Move:
        target, source = self._sides["target"], self._sides["input"]
        numbers = dict[str, Tensor]()
        total = target.real.new_zeros(())
        for name, side in self._sides.items():
            fooling = self.generator_loss(self._judge(name, side.fake))
            if self.params.loss == "least-squares":
                fooling = 2 * fooling  # the weights of the paper stand beside the plain square
            numbers["generator_loss" if name == "target" else f"{name}_generator_loss"] = fooling.detach()
            total = total + fooling
        there, back = self._generators.there, self._generators.back
        cycle = _difference(back(target.fake), source.real) + _difference(there(source.fake), target.real)
        # In 0..1 and a mean over both ways, as the score of the same name.
        numbers["cycle_l1"] = cycle.detach() / 4
        total = total + self.params.cycle * cycle
        if self.params.identity:
            identity = _difference(there(target.real), target.real) + _difference(back(source.real), source.real)
            numbers["identity_l1"] = identity.detach() / 4
            total = total + self.params.identity * identity
        return Move(total, numbers)

    def preview(self, generator: Generator, dataset: Dataset) -> NDArray[np.uint8]:
        """Of pairs too, what comes back is looked at."""
        return held_out_round_trips(generator, dataset)

    @property
    def _generators(self) -> RoundTrip:
        return cast(RoundTrip, self.players["generators"])

    def _judge(self, name: str, images: Tensor) -> Tensor:
        """Float32 logits (N, h, w) of images of one kind."""
        judge: nn.Module = self.players[f"{name}_discriminator"]
        logits: Tensor = judge(augment(images) if self.params.augment else images)
        return logits.float()

    def _mean_logit(self, name: str, images: Tensor) -> Tensor:
        """(N,): an image's patches together, so that a penalty does not grow with their number."""
        logits: Tensor = self.players[f"{name}_discriminator"](images)
        return logits.mean(dim=(1, 2))


def _difference(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference, in float32."""
    return F.l1_loss(first.float(), second)
