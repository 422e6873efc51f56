"""Text to image: the encoders, conditioning augmentation, both stages and their discriminators."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from gan_core.kinds.captions import Captioned
from gan_core.networks import build_generator
from gan_core.networks.stack import ConditioningAugmentation, StackDiscriminator, StackGenerator
from gan_core.networks.text import TEXT_WIDTH, ImageEncoder, TextEncoder, similarities
from gan_core.params.networks import StackGeneratorParams

TOKENS = torch.tensor([[2, 3, 4, 0], [3, 0, 0, 0], [4, 2, 0, 0]])


def generator(side: int = 32) -> StackGenerator:
    torch.manual_seed(0)
    network = build_generator(StackGeneratorParams(width=16, code=6), Captioned((3, side, side), vocabulary=tuple("abcdefg")), 4 + 2 * 6)
    assert isinstance(network, StackGenerator)
    return network


def test_a_texts_encoding_hangs_on_its_words_and_their_order_and_not_on_padding_or_company() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(9).eval()
    encoded = encoder(TOKENS)
    assert encoded.shape == (3, TEXT_WIDTH)
    torch.testing.assert_close(encoded.mean(dim=1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoder(TOKENS[2:, :2]), encoded[2:])
    torch.testing.assert_close(encoder(F.pad(TOKENS, (0, 7))), encoded)
    swapped = encoder(torch.tensor([[2, 4, 0, 0]]))
    assert (swapped - encoded[2:]).abs().max() > 1e-3
    assert encoder(torch.zeros(1, 3, dtype=torch.int64)).isfinite().all()


def test_words_are_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(9, word_dropout=1.0)
    unknown = encoder.eval()(torch.tensor([[1, 1, 1, 0]]))
    torch.testing.assert_close(encoder.train()(TOKENS[:1]), unknown)
    assert (encoder.eval()(TOKENS[:1]) - unknown).abs().max() > 1e-3


def test_similarities_are_cosines() -> None:
    torch.manual_seed(0)
    images, texts = torch.randn(3, 5), torch.randn(4, 5)
    expected = torch.stack([torch.stack([F.cosine_similarity(image, text, dim=0) for text in texts]) for image in images])
    torch.testing.assert_close(similarities(images, texts), expected)
    assert ImageEncoder((3, 16, 16), width=4)(torch.randn(2, 3, 16, 16)).shape == (2, TEXT_WIDTH)


def test_a_code_is_drawn_from_the_texts_own_normal_distribution() -> None:
    torch.manual_seed(0)
    augmentation = ConditioningAugmentation(6)
    texts = torch.randn(1, TEXT_WIDTH).expand(20_000, -1)
    codes, mean, log_std = augmentation(texts, torch.randn(20_000, 6))
    torch.testing.assert_close(codes.mean(dim=0), mean[0], atol=0.05, rtol=0)
    torch.testing.assert_close(codes.std(dim=0), log_std[0].exp(), atol=0.05, rtol=0)


@pytest.mark.parametrize("side", [32, 64])
def test_the_second_stage_begins_with_the_first_ones_image_enlarged(side: int) -> None:
    network = generator(side).eval()
    latents = torch.randn(3, 16)
    images, texts = network(latents, TOKENS), network.text(TOKENS)
    assert images.shape == (3, 3, side, side)
    draft, _, _ = network.draw_draft(latents, texts)
    assert draft.shape == (3, 3, side // 2, side // 2)
    enlarged = F.interpolate(draft, scale_factor=2.0, mode="bicubic")
    torch.testing.assert_close(images, torch.tanh(enlarged))
    assert network.draft(latents, TOKENS).shape == images.shape
    torch.nn.init.normal_(network.second.to_image[-1].weight)  # type: ignore[arg-type]
    assert (network(latents, TOKENS) - images).abs().max() > 0.01


def test_every_part_of_the_latent_and_the_text_changes_the_image() -> None:
    network = generator().eval()
    torch.nn.init.normal_(network.second.to_image[-1].weight)  # type: ignore[arg-type]
    latents = torch.randn(1, 16)
    images = network(latents, TOKENS[:1])
    for part in (slice(0, 4), slice(4, 10), slice(10, 16)):
        other = latents.clone()
        other[:, part] += 1
        assert (network(other, TOKENS[:1]) - images).abs().max() > 1e-4, part
    assert (network(latents, TOKENS[1:2]) - images).abs().max() > 1e-4


def test_a_discriminator_judges_image_and_text_together() -> None:
    torch.manual_seed(0)
    judge = StackDiscriminator((3, 32, 32), width=4)
    images, texts = torch.randn(3, 3, 32, 32, requires_grad=True), torch.randn(3, TEXT_WIDTH)
    logits = judge.eval()(images, texts)
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(judge.judge(judge.features(images), texts), logits)
    assert (judge(images, texts.roll(1, 0)) - logits).abs().max() > 1e-6
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert gradient.abs().amax(dim=(1, 2, 3)).min() > 0
