"""Translation by label or number: one translator for all labels, one discriminator (StarGAN, Choi et al., 2018).

The translator makes of an image what it would be with a label, and of that, with the image's own label, the image again. The
discriminator is shown images with the labels that they have or are to have, and judges patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_core.augment import augment, mirrored
from gan_core.data.batches import Batch
from gan_core.data.dataset import DatasetSpec
from gan_core.distributed import whole
from gan_core.errors import ConfigError
from gan_core.losses import LOSSES
from gan_core.networks import build_generator
from gan_core.networks.patch import PatchDiscriminator
from gan_core.params import StarGanParams
from gan_core.penalties import clip_weights, penalties
from gan_core.recipes.game import Move, Recipe, Turn, check_condition, describe_logits


@dataclass(frozen=True)
class _Shown:
    """What one step is played on."""

    real: Tensor
    """(N, C, H, W)."""
    labels: Tensor
    """(N,) that they have."""
    asked: Tensor
    """(N,) that they are to have."""
    fake: Tensor
    """(N, C, H, W) translations to these, with their gradient."""


class StarGan(Recipe[StarGanParams]):
    """Players `discriminator` and `generator`; see `StarGanParams` for what can be set."""

    shipped = "generator"

    def __init__(self, params: StarGanParams, spec: DatasetSpec, device: torch.device) -> None:
        super().__init__(params, spec, device)
        sides = spec.shape[1:]
        if misfits := params.problems(spec.kind, sides):
            raise ConfigError(misfits[0])
        check_condition(params.condition, spec)
        if spec.numbers is None and spec.n_classes < 2:
            raise ConfigError(f"translation by label is between labels, at least two, and the data has {spec.n_classes}; see data.labels")
        discriminator = params.discriminator
        self.network = params.generator.with_blocks(min(sides))
        normalization = discriminator.normalization or ("spectral" if params.loss == "hinge" else "instance")
        patch = discriminator.settled_patch(min(sides))
        self.players = {
            "generator": build_generator(self.network, spec, self.latent).to(device),
            "discriminator": PatchDiscriminator(spec.shape, patch, discriminator.width, normalization, condition=spec.condition).to(device),
        }
        for player in self.players.values():
            player.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.turns = (Turn(("discriminator",), params.discriminator_steps, draws=True), Turn(("generator",)))
        self.discriminator_loss, self.generator_loss = LOSSES[params.loss]
        self._shown: _Shown | None = None

    def move(self, turn: Turn, batch: Batch, moves: int, last: bool) -> Move:
        return self._discriminate(batch, moves, last) if turn.draws else self._translate()

    def _discriminate(self, batch: Batch, moves: int, last: bool) -> Move:
        assert batch.labels is not None  # noqa: S101
        real, labels = mirrored(batch.real) if self.params.mirror else batch.real, batch.labels
        # Asked for as often as there are: each image gets the label of one in the batch.
        there = whole(labels)
        asked = there[torch.randint(0, len(there), (len(labels),), device=labels.device)]
        # The translator does not change between the discriminator's last move and its own: it translates once for both.
        with torch.set_grad_enabled(last):
            fake = self.players["generator"](real, asked)
        self._shown = _Shown(real, labels, asked, fake)
        fake = fake.detach()
        logits, by_class = self._judge(torch.cat([real, fake.to(real.dtype)]), torch.cat([labels, asked]))
        real_logits, fake_logits = logits.chunk(2)
        loss = self.discriminator_loss(real_logits, fake_logits)
        numbers = {"discriminator_loss": loss.detach(), **describe_logits(real_logits, fake_logits, self.params.loss)}
        if by_class is not None:
            told = F.cross_entropy(by_class[: len(labels)], labels)
            loss = loss + self.params.classification * told
            numbers["classification_loss"] = told.detach()
        if self.params.mismatch:
            assert self.spec.condition is not None  # noqa: S101
            wrong_logits, _ = self._judge(real, self.spec.condition.others(labels))
            loss = loss + self.params.mismatch * self.discriminator_loss(real_logits, wrong_logits)
            numbers["wrong_label_score"] = wrong_logits.detach().mean()
        penalty = self.params.penalty
        # Real images have another label than the translations beside them; what lies between the two is judged as the latter.
        for own, without in ((labels, ("r2", "gradient")), (asked, ("r1",))) if moves % penalty.every == 0 else ():
            weights = penalty.model_copy(update=dict.fromkeys(without, 0.0))
            term, values = penalties(partial(self._mean_logit, own), real, fake, weights)
            loss = loss + term * penalty.every
            numbers.update(values)
        return Move(loss, numbers)

    def _translate(self) -> Move:
        shown, translator = self._shown, self.players["generator"]
        assert shown is not None  # noqa: S101
        logits, by_class = self._judge(shown.fake, shown.asked)
        total = self.generator_loss(logits)
        numbers = {"generator_loss": total.detach()}
        if by_class is not None:
            told = F.cross_entropy(by_class, shown.asked)
            total = total + self.params.classification * told
            numbers["translation_classification_loss"] = told.detach()
        for name, weight, given in (("cycle", self.params.cycle, shown.fake), ("identity", self.params.identity, shown.real)):
            if weight:
                difference = F.l1_loss(translator(given, shown.labels).float(), shown.real.float())
                numbers[f"{name}_l1"] = difference.detach() / 2  # in 0..1, as the score of the same name
                total = total + weight * difference
        return Move(total, numbers)

    def after_move(self, turn: Turn) -> None:
        if turn.draws and self.params.penalty.clip:
            clip_weights(self.players["discriminator"].parameters(), self.params.penalty.clip)

    def _judge(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Float32 logits (N, h, w) of images as ones with these labels; and (N, K), an image's patches together, with each, to classify."""
        discriminator, seen = self.players["discriminator"], augment(images) if self.params.augment else images
        if not self.params.classification:
            return discriminator(seen, labels=labels).float(), None
        as_each = discriminator(seen).float()
        return as_each[torch.arange(len(labels), device=labels.device), labels], as_each.mean(dim=(2, 3))

    def _mean_logit(self, labels: Tensor, images: Tensor) -> Tensor:
        """(N,): an image's patches together, so that a penalty does not grow with their number."""
        logits: Tensor = self.players["discriminator"](images, labels=labels)
        return logits.mean(dim=(1, 2))
