"""Paired translation: a generator is given an image and makes its partner (pix2pix, Isola et al., 2017).

The discriminator sees an input beside its real or its generated partner, patch by patch; the generator is held to the real partner
by the mean difference as well. Restoration is the same game, on pairs made by spoiling images; prediction is, too: frames that
are given, and those that follow, are the channels of an image each (as in Mathieu et al., 2016).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_core.augment import mirrored_and_shifted
from gan_core.data.batches import Batch
from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.predictions import Predictions
from gan_core.losses import LOSSES
from gan_core.networks import build_generator
from gan_core.networks.patch import DEFAULT_WIDTH, PatchDiscriminator
from gan_core.params import Pix2pixParams
from gan_core.params.networks import NetworkParams, UnetParams
from gan_core.recipes.game import Move, Recipe, Turn, describe_logits

DIFFERENCES = {"absolute": F.l1_loss, "squared": F.mse_loss}


class Pix2pix(Recipe[Pix2pixParams]):
    """Players `discriminator` and `generator`; see `Pix2pixParams` for what can be set."""

    shipped = "generator"

    def __init__(self, params: Pix2pixParams, spec: DatasetSpec, device: torch.device) -> None:
        super().__init__(params, spec, device)
        if not isinstance(spec, Pairs | Predictions) or spec.inputs is None:
            raise ConfigError("train.recipe: pix2pix needs an input for each sample; set data.layout, data.corruption, or data.given")
        generator, discriminator = params.generator, params.discriminator
        normalization = discriminator.normalization or ("spectral" if params.loss == "hinge" else "batch")
        self.network: NetworkParams = generator
        if isinstance(generator, UnetParams) and generator.skip is None:
            is_restored = isinstance(spec, Pairs) and spec.corruption is not None
            self.network = generator.model_copy(update={"skip": is_restored})
        generator_network = build_generator(self.network, spec, self.latent)
        judge = PatchDiscriminator(
            spec.network_shape,
            params.settled_patch(min(spec.network_shape[1:])),
            discriminator.width or DEFAULT_WIDTH,
            normalization,
            discriminator.dropout,
            spec.network_inputs,
        )
        self._beside_inputs = judge.beside_inputs()
        self.players = {"generator": generator_network.to(device), "discriminator": judge.to(device)}
        for player in self.players.values():
            player.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.turns = (Turn(("discriminator",), draws=True), Turn(("generator",)))
        self.discriminator_loss, self.generator_loss = LOSSES[params.loss]
        # Batch statistics must not mix real with generated images.
        self.judges_apart = normalization == "batch"
        self._inputs = self._real = self._fake = torch.empty(0)

    def side_by_side(self) -> Mapping[str, int]:
        return {f"players/discriminator/{name}": of_sample for name, of_sample in self._beside_inputs.items()}

    def move(self, turn: Turn, batch: Batch, moves: int, last: bool) -> Move:
        return self._discriminate(batch) if turn.draws else self._generate()

    def _discriminate(self, batch: Batch) -> Move:
        assert batch.inputs is not None, "paired translation needs inputs"  # noqa: S101
        self._inputs, self._real = mirrored_and_shifted(batch.inputs, batch.real, flip=self.params.flip, jitter=self.params.jitter)
        # The generator does not change before its own move: it draws once for both.
        self._fake = self.players["generator"](self._inputs)
        real_logits, fake_logits = self._judge_both(self._fake.detach())
        loss = self.discriminator_loss(real_logits, fake_logits)
        return Move(loss, {"discriminator_loss": loss.detach(), **describe_logits(real_logits, fake_logits, self.params.loss)})

    def _generate(self) -> Move:
        logits = self.players["discriminator"](self._inputs, self._fake).float()
        adversarial = self.generator_loss(logits)
        reconstruction = DIFFERENCES[self.params.reconstruction_loss](self._fake.float(), self._real)
        loss = self.params.adversarial * adversarial + self.params.reconstruction * reconstruction
        parts = {"adversarial_loss": adversarial.detach(), "reconstruction_loss": reconstruction.detach()}
        return Move(loss, {"generator_loss": loss.detach(), **parts})

    def _judge_both(self, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 logits (N, h, w) of real and of generated images beside their inputs."""
        discriminator = self.players["discriminator"]
        if self.judges_apart:
            return discriminator(self._inputs, self._real).float(), discriminator(self._inputs, fake).float()
        inputs, outputs = torch.cat([self._inputs, self._inputs]), torch.cat([self._real, fake.to(self._real.dtype)])
        real_logits, fake_logits = discriminator(inputs, outputs).float().chunk(2)
        return real_logits, fake_logits
