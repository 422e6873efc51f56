"""The game for tables: a generator of encoded rows against a discriminator that judges them in packs (CTGAN, Xu et al., 2019).

By label where the data names one. Real and generated rows of a pack have the same labels, so what is judged is each row given its
label. An autoregressive generator learns by the likelihood of real rows first, or by that alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gan_core.data.batches import Batch
from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.kinds.table import Table
from gan_core.losses import LOSSES
from gan_core.networks import build_generator
from gan_core.networks.tabular import TabularDiscriminator
from gan_core.params import TabularParams
from gan_core.penalties import clip_weights, penalties
from gan_core.privacy import Privacy, private_loss, promised
from gan_core.recipes.game import Move, Recipe, Turn, describe_logits, fixed, turns_after_likelihood


class Tabular(Recipe[TabularParams]):
    """Players `discriminator` and `generator`; see `TabularParams` for what can be set."""

    shipped = "generator"

    def __init__(self, params: TabularParams, spec: DatasetSpec, device: torch.device) -> None:
        super().__init__(params, spec, device)
        assert isinstance(spec, Table)  # noqa: S101  its parameters take no other kind
        encoding = spec.encoding
        if not encoding.width:
            raise ConfigError("data.source: no column of the table ever changes, so there is nothing to learn; name another table")
        if params.balance and spec.classes is None:
            raise ConfigError("train.balance: shows rows of rare classes more often, and the table has no label of classes; leave it out")
        self.balance = params.balance
        self.privacy: Privacy | None = None
        if params.privacy is not None:
            self.privacy = promised(params.privacy, spec.counts["train"], params.batch, params.budget)
            self.is_private = True
        self.network, self.likelihood = params.generator, params.settled_likelihood
        self.latent = (encoding.scalars if self.network.draws_each_place else params.latent) + encoding.choices.width
        self.players = {
            "generator": build_generator(self.network, spec, self.latent).to(device),
            "discriminator": TabularDiscriminator(params.discriminator, spec, params.pac).to(device),
        }
        self._judging = list(self.players["discriminator"].parameters())
        self.turns = turns_after_likelihood(self.likelihood.until, params.discriminator_steps)
        self.discriminator_loss, self.generator_loss = LOSSES[params.loss]
        self.penalised_every = params.penalty.every
        self.forget()

    def move(self, turn: Turn, batch: Batch, moves: int, last: bool) -> Move:
        if turn.draws and "generator" in turn.players:
            return self._learn_by_likelihood(batch)
        labels = None if batch.labels is None else self._packed(batch.labels)
        return self._discriminate(batch, labels, moves, last) if turn.draws else self._generate(batch, labels)

    def _learn_by_likelihood(self, batch: Batch) -> Move:
        if self.privacy is None:
            loss = self._cross_entropy(batch.real, batch.labels)
            return Move(loss, {"cross_entropy": loss.detach()})
        generator = self.players["generator"]
        loss, of_rows = private_loss(generator, lambda: generator.cross_entropies(batch.real, batch.labels), self.privacy)  # type: ignore[operator]
        return Move(loss, {"cross_entropy": of_rows})

    def _cross_entropy(self, real: Tensor, labels: Tensor | None) -> Tensor:
        loss: Tensor = self.players["generator"].cross_entropy(real, labels)  # type: ignore[operator]
        return loss

    def _discriminate(self, batch: Batch, labels: Tensor | None, moves: int, last: bool) -> Move:
        # The generator does not change between the last move of the discriminator and its own: it draws once for both.
        with torch.set_grad_enabled(last):
            latents = torch.randn(len(batch.real), self.latent, device=self.device)
            self._fake = self._packed(self.players["generator"](latents, batch.labels))
        real, fake = self._packed(batch.real), self._fake.detach()
        real_logits, fake_logits = self._judge(real, labels), self._judge(fake, labels)
        loss = self.discriminator_loss(real_logits, fake_logits)
        numbers = {"discriminator_loss": loss.detach(), **describe_logits(real_logits, fake_logits, self.params.loss)}
        if moves % self.params.penalty.every == 0:
            penalty, values = penalties(lambda samples: self._judge(samples, labels), real, fake, self.params.penalty)
            loss = loss + penalty * self.params.penalty.every
            numbers.update(values)
        return Move(loss, numbers)

    def _generate(self, batch: Batch, labels: Tensor | None) -> Move:
        with fixed(self._judging):
            fake_logits = self._judge(self._fake, labels)
            real_logits = self._judge(self._packed(batch.real), labels) if self.params.loss == "relativistic" else torch.empty(0)
        loss = self.generator_loss(fake_logits, real_logits)
        numbers = {"generator_loss": loss.detach()}
        if self.likelihood.weight:
            of_rows = self._cross_entropy(batch.real, batch.labels)
            loss = loss + self.likelihood.weight * of_rows
            numbers["cross_entropy"] = of_rows.detach()
        return Move(loss, numbers)

    def after_move(self, turn: Turn) -> None:
        if turn.draws and self.params.penalty.clip:
            clip_weights(self.players["discriminator"].parameters(), self.params.penalty.clip)

    def forget(self) -> None:
        self._fake = torch.empty(0)

    def _packed(self, rows: Tensor) -> Tensor:
        """(N, ...) -> (N / pac, pac, ...)."""
        return rows.view(-1, self.params.pac, *rows.shape[1:])

    def _judge(self, packs: Tensor, labels: Tensor | None) -> Tensor:
        """Float32 logits (N / pac,)."""
        logits: Tensor = self.players["discriminator"](packs, labels)
        return logits.float()
