"""Text to image (StackGAN, Zhang et al., 2017), with a text encoder that learns to match captions with images first.

The text encoder and an image encoder are trained on real pairs until `text_share` of the budget, then frozen (as AttnGAN does, Xu et
al., 2018). Then the stages play, each against its discriminator, which is matching-aware (Reed et al., 2016): besides generated images
with their captions it learns to refuse real images with wrong ones. The first stage plays on when the second joins, where the paper
freezes it: what is shipped is an average over time, and a frozen first stage would be the last one, not the average. As in the paper
the second stage's loss does not reach the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_core.augment import augment
from gan_core.data.batches import Batch
from gan_core.data.dataset import DatasetSpec
from gan_core.distributed import own_part, whole
from gan_core.kinds.captions import Captioned
from gan_core.losses import LOSSES, matching_loss, share_in_order, standard_normal_divergence
from gan_core.networks.stack import StackDiscriminator, StackGenerator, half
from gan_core.networks.text import ImageEncoder, similarities
from gan_core.params import StackganParams
from gan_core.params.networks import StackGeneratorParams
from gan_core.recipes.game import Move, Recipe, Turn, describe_logits


@dataclass(frozen=True)
class _Drawn:
    """What one stage has drawn for a batch."""

    images: Tensor
    """In -1..1, with the graph that the generator's move needs."""
    divergence: Tensor


class Stackgan(Recipe[StackganParams]):
    """Players `generator` (its text encoder included), `image_encoder`, and a discriminator a stage."""

    shipped = "generator"

    def __init__(self, params: StackganParams, spec: DatasetSpec, device: torch.device) -> None:
        super().__init__(params, spec, device)
        assert isinstance(spec, Captioned)  # noqa: S101  its parameters take no other kind
        self.latent = params.latent + 2 * params.code
        self.network = StackGeneratorParams(width=params.generator_width, code=params.code)
        shapes = {"first": half(spec.shape), "second": spec.shape}
        self.stages = tuple(shapes)
        self.generator = StackGenerator(self.network, spec, self.latent)
        self.image_encoder = ImageEncoder(half(spec.shape))
        self.discriminators = {stage: StackDiscriminator(shape, params.discriminator_width) for stage, shape in shapes.items()}
        self.players = {
            "generator": self.generator,
            "image_encoder": self.image_encoder,
            **{f"{stage}_discriminator": network for stage, network in self.discriminators.items()},
        }
        for player in self.players.values():
            player.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.matching = Turn(("generator.text", "image_encoder"), draws=True, until=params.text_share)
        self.judging = Turn(tuple(f"{stage}_discriminator" for stage in shapes), draws=True, since=params.text_share)
        self.drawing = Turn(
            ("generator.first_code", "generator.first", "generator.second_code", "generator.second"), since=params.text_share
        )
        self.generator_from = params.text_share
        self.turns = (self.matching, self.judging, self.drawing)
        self.discriminator_loss, self.generator_loss = LOSSES[params.loss]
        self._drawn: dict[str, _Drawn] = {}
        self._texts = torch.empty(0)

    def move(self, turn: Turn, batch: Batch, moves: int, last: bool) -> Move:
        assert batch.tokens is not None  # noqa: S101
        if turn is self.matching:
            return self._match(batch.real, batch.tokens)
        if turn is self.judging:
            both = moves * self.params.batch >= self.params.second_from * self.params.budget
            return self._judge(batch.real, batch.tokens, self.stages if both else self.stages[:1])
        return self._draw()

    def _match(self, real: Tensor, tokens: Tensor) -> Move:
        self.generator.text.train()
        self.image_encoder.train()
        images = self.image_encoder(self._seen(F.avg_pool2d(real, 2)))
        found = similarities(whole(images), whole(self.generator.text(tokens)))
        loss = matching_loss(found)
        return Move(loss, {"matching_loss": loss.detach(), "matched": _matched(found.detach())})

    def _judge(self, real: Tensor, tokens: Tensor, stages: tuple[str, ...]) -> Move:
        self.generator.text.eval()
        with torch.no_grad():
            texts = self._texts = self.generator.text(tokens)
        self._draw_batch(texts, stages)
        wrong_texts = own_part(whole(texts).roll(1, dims=0))
        loss = real.new_zeros(())
        numbers: dict[str, Tensor] = {}
        for stage in stages:
            judge = self.discriminators[stage]
            own = F.avg_pool2d(real, 2) if stage == "first" else real
            fake = self._drawn[stage].images.detach()
            real_features, fake_features = judge.features(self._seen(torch.cat([own, fake.to(own.dtype)]))).chunk(2)
            right, wrong = judge.judge(real_features, texts), judge.judge(real_features, wrong_texts)
            generated = judge.judge(fake_features, texts)
            stage_loss = 0.5 * (self.discriminator_loss(right, generated) + self.discriminator_loss(right, wrong))
            said = {"discriminator_loss": stage_loss.detach(), **describe_logits(right, generated, self.params.loss)}
            said["accuracy_wrong_caption"] = share_in_order(right.detach(), wrong.detach())
            numbers |= {f"{stage}_{key}": value for key, value in said.items()}
            loss = loss + stage_loss
        return Move(loss, numbers)

    def _draw_batch(self, texts: Tensor, stages: tuple[str, ...]) -> None:
        """Let the generator draw once, for the discriminators' move and for its own, between which it does not change."""
        latents = torch.randn(len(texts), self.latent, device=self.device)
        draft, mean, log_std = self.generator.draw_draft(latents, texts)
        self._drawn = {"first": _Drawn(torch.tanh(draft.float()), standard_normal_divergence(mean, log_std))}
        if len(stages) > 1:
            refined, mean, log_std = self.generator.refine(draft.detach(), latents, texts)
            self._drawn["second"] = _Drawn(torch.tanh(refined), standard_normal_divergence(mean, log_std))

    def _draw(self) -> Move:
        encoder = self.image_encoder.eval()
        loss = self._texts.new_zeros(())
        numbers: dict[str, Tensor] = {}
        for stage, drawn in self._drawn.items():
            logits = self.discriminators[stage](self._seen(drawn.images), self._texts)
            small = drawn.images if stage == "first" else F.avg_pool2d(drawn.images, 2)
            found = similarities(whole(encoder(self._seen(small))), whole(self._texts))
            adversarial, matching = self.generator_loss(logits), matching_loss(found)
            loss = loss + adversarial + self.params.matching * matching + self.params.divergence * drawn.divergence
            numbers |= {
                f"{stage}_generator_loss": adversarial.detach(),
                f"{stage}_divergence": drawn.divergence.detach(),
                f"{stage}_matched": _matched(found.detach()),
            }
        return Move(loss, numbers)

    def _seen(self, images: Tensor) -> Tensor:
        return augment(images, colour=False) if self.params.augment else images


def _matched(found: Tensor) -> Tensor:
    """The share of images (rows of cosines) that find their own caption first in the batch."""
    return (found.argmax(dim=1) == torch.arange(len(found), device=found.device)).float().mean()
