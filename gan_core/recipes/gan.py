"""The classic game: a generator of points, images, sounds, volumes, clips or sentences against a discriminator (a critic, with the
Wasserstein loss).

Unconditional, by label or number; the losses of `losses.py` and the penalties of `penalties.py`, in any combination that params.py allows.
A generator of sentences learns by their likelihood first, and beside the game.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gan_core.adaptive import EVERY, TARGET, AdaptiveStrength, overfitting
from gan_core.augment import augment
from gan_core.data.batches import Batch
from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.losses import LOSSES
from gan_core.networks import build_discriminator, build_generator
from gan_core.networks.common import lay_out, layers_of
from gan_core.params import GanParams
from gan_core.penalties import clip_weights, penalties
from gan_core.recipes.game import Move, Recipe, Turn, check_condition, describe_logits, fixed, turns_after_likelihood


class Gan(Recipe[GanParams]):
    """Players `discriminator` and `generator`; see `GanParams` for what can be set."""

    shipped = "generator"

    def __init__(self, params: GanParams, spec: DatasetSpec, device: torch.device) -> None:
        super().__init__(params, spec, device)
        check_condition(params.condition, spec)
        self.conditional = params.condition != "none"
        self.data = spec if self.conditional else spec.unlabelled
        self.penalty = params.settled_penalty(spec.network_shape)
        try:
            networks = params.settled_players(spec.kind)
        except ValueError as error:
            raise ConfigError(f"train.{error}") from None
        self.network = networks["generator"]
        self.latent = spec.shape[0] if self.network.draws_each_place else params.latent
        self.likelihood = params.settled_likelihood(spec.kind)
        self.players = {
            "generator": build_generator(self.network, self.data, self.latent).to(device),
            "discriminator": build_discriminator(networks["discriminator"], self.data).to(device),
        }
        for player in self.players.values():
            lay_out(player)
        self._judging = list(self.players["discriminator"].parameters())
        self.strength: AdaptiveStrength | None = None
        if params.augment == "adaptive":
            step = EVERY * params.batch / params.settled_span
            self.strength = AdaptiveStrength(step, TARGET if params.augment_target is None else params.augment_target).to(device)
            self.players["augmentation"] = self.strength  # of no turn: it is kept with the others
        self.turns = turns_after_likelihood(self.likelihood.until, params.discriminator_steps)
        self.discriminator_loss, self.generator_loss = LOSSES[params.loss]
        # What looks at a batch must not see real and generated samples as one; every other discriminator judges both in one pass.
        self.judges_apart = networks["discriminator"].looks_at_batch
        self.penalised_every = self.penalty.every
        self.forget()
        self._first_layers = [] if params.freeze is None else self._layers_kept(params.freeze.layers)

    def _layers_kept(self, count: int) -> list[nn.Parameter]:
        layers = layers_of(self.players["discriminator"])
        if count >= len(layers):
            raise ConfigError(
                f"train.freeze.layers: {count}, and the discriminator has {len(layers)}, of which the last learns; keep fewer"
            )
        return [weight for layer in layers[:count] for weight in layer]

    def frozen(self, turn: Turn, share: float) -> Sequence[nn.Parameter]:
        freeze = self.params.freeze
        return self._first_layers if freeze is not None and turn.draws and share < freeze.until else ()

    def move(self, turn: Turn, batch: Batch, moves: int, last: bool) -> Move:
        labels = batch.labels if self.conditional else None
        if turn.draws and "generator" in turn.players:
            return self._learn_words(batch.real, labels)
        return self._discriminate(batch.real, labels, moves, last) if turn.draws else self._generate(batch.real, labels)

    def _learn_words(self, real: Tensor, labels: Tensor | None) -> Move:
        loss = self._cross_entropy(real, labels)
        return Move(loss, {"cross_entropy": loss.detach()})

    def _cross_entropy(self, real: Tensor, labels: Tensor | None) -> Tensor:
        loss: Tensor = self.players["generator"].cross_entropy(real, labels)  # type: ignore[operator]
        return loss

    def _discriminate(self, real: Tensor, labels: Tensor | None, moves: int, last: bool) -> Move:
        # The generator does not change between the last move of the discriminator and its own: it draws once for both.
        with torch.set_grad_enabled(last):
            self._fake = self.players["generator"](self._latents(len(real)), labels)
        fake = self._fake.detach()
        real_logits, fake_logits = self._judge_both(self._seen(real), self._seen(fake), labels)
        loss = self.discriminator_loss(real_logits, fake_logits, self.params.label_smoothing)
        numbers = {"discriminator_loss": loss.detach(), **describe_logits(real_logits, fake_logits, self.params.loss)}
        if self.strength is not None:
            numbers |= {"overfitting": overfitting(numbers), "augment_strength": self.strength.strength.clone()}
        if self.params.mismatch and labels is not None:
            assert self.data.condition is not None  # noqa: S101
            wrong_logits = self.players["discriminator"](self._seen(real), self.data.condition.others(labels)).float()
            loss = loss + self.params.mismatch * self.discriminator_loss(real_logits, wrong_logits, self.params.label_smoothing)
            numbers["wrong_label_score"] = wrong_logits.detach().mean()
        if moves % self.penalty.every == 0:
            judge = self.players["discriminator"]
            penalty, values = penalties(lambda samples: judge(samples, labels), self._seen(real), self._seen(fake), self.penalty)
            loss = loss + penalty * self.penalty.every
            numbers.update(values)
        return Move(loss, numbers)

    def _generate(self, real: Tensor, labels: Tensor | None) -> Move:
        with fixed(self._judging):
            if self.params.loss == "relativistic":
                real_logits, fake_logits = self._judge_both(self._seen(real), self._seen(self._fake), labels)
            else:
                fake_logits = self.players["discriminator"](self._seen(self._fake), labels).float()
                real_logits = torch.empty(0)
        loss = self.generator_loss(fake_logits, real_logits)
        numbers = {"generator_loss": loss.detach()}
        if self.likelihood.weight:
            of_words = self._cross_entropy(real, labels)
            loss = loss + self.likelihood.weight * of_words
            numbers["cross_entropy"] = of_words.detach()
        return Move(loss, numbers)

    def after_move(self, turn: Turn) -> None:
        if turn.draws and self.penalty.clip:
            clip_weights(self.players["discriminator"].parameters(), self.penalty.clip)

    def forget(self) -> None:
        self._fake = torch.empty(0)

    def learn(self, turn: Turn, numbers: Mapping[str, Tensor]) -> None:
        if self.strength is not None and "overfitting" in numbers:
            self.strength.take(numbers["overfitting"])

    def _latents(self, n: int) -> Tensor:
        return torch.randn(n, self.latent, device=self.device)

    def _seen(self, samples: Tensor) -> Tensor:
        if not self.params.augment:
            return samples
        return augment(samples, colour=samples.dim() == 4, strength=None if self.strength is None else self.strength.strength)

    def _judge_both(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Float32 logits (N,) of real and of generated samples."""
        discriminator = self.players["discriminator"]
        if self.judges_apart:
            return discriminator(real, labels).float(), discriminator(fake, labels).float()
        both_labels = None if labels is None else torch.cat([labels, labels])
        real_logits, fake_logits = discriminator(torch.cat([real, fake.to(real.dtype)]), both_labels).float().chunk(2)
        return real_logits, fake_logits
