"""Networks of translation: the papers' sizes, what a patch sees, and where a translator starts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gan_core.errors import ConfigError
from gan_core.kinds.attributes import Attributed
from gan_core.kinds.unpaired import Unpaired
from gan_core.networks import build_generator
from gan_core.networks.patch import PatchDiscriminator
from gan_core.networks.translator import LabelledTranslator, RoundTrip, Translator, TranslatorBlock
from gan_core.params.networks import LabelledTranslatorParams, TranslatorParams


def params(**changes: Any) -> TranslatorParams:
    return TranslatorParams(**{"width": 4, "downsamplings": 2, "blocks": 1, **changes})


def translator(shape: tuple[int, ...] = (3, 16, 16), **changes: Any) -> Translator:
    torch.manual_seed(0)
    return Translator(params(**changes), Unpaired(shape, inputs=shape))


def round_trip(shape: tuple[int, ...] = (3, 16, 16)) -> RoundTrip:
    torch.manual_seed(0)
    network = build_generator(params(), Unpaired(shape, inputs=shape), 0)
    assert isinstance(network, RoundTrip)
    return network


def judge(shape: tuple[int, ...], **changes: Any) -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(shape, **changes)


def weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_papers_generator_has_11_378_million_weights() -> None:
    """As the authors' own code prints it for resnet_9blocks of width 64: 11.378 M."""
    network = translator(shape=(3, 256, 256), width=64, blocks=9)
    assert weights(network) == 11_378_179


def test_the_papers_discriminator_has_2_765_million_weights() -> None:
    network = judge((3, 256, 256), patch=70, width=64, normalization="instance")
    assert weights(network) == 2_764_737
    assert network(torch.zeros(1, 3, 256, 256)).shape == (1, 30, 30)


@pytest.mark.parametrize("downsamplings", [0, 1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_translator_keeps_the_shape(downsamplings: int, channels: int) -> None:
    network = translator(shape=(channels, 32, 32), downsamplings=downsamplings)
    made = network(torch.randn(2, channels, 32, 32))
    assert made.shape == (2, channels, 32, 32)
    assert made.abs().max() <= 1


def test_with_skip_it_starts_near_the_identity_and_without_it_does_not() -> None:
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    far = (translator()(images) - images).abs().mean()
    near = (translator(skip=True)(images) - images).abs().mean()
    assert near < 0.3 * far


def test_without_normalisation_blocks_begin_as_the_identity_and_colours_are_kept_apart() -> None:
    network = translator(normalization="none", skip=True, downsamplings=0)
    blocks = [layer for layer in network.layers if isinstance(layer, TranslatorBlock)]
    features = torch.randn(1, 4, 16, 16)
    assert blocks
    assert all(torch.equal(block(features), features) for block in blocks)
    dark, light = (torch.full((1, 3, 16, 16), value) for value in (-0.5, 0.5))  # all of one colour, which a norm by image takes away
    assert (network.layers(dark) - network.layers(light)).abs().mean() > 0.01
    normalised = translator(downsamplings=0)
    assert torch.allclose(normalised.layers(dark), normalised.layers(light), atol=1e-5)


def by_label(**changes: Any) -> LabelledTranslator:
    """With weights far from where they begin, so that nothing is a copy yet."""
    torch.manual_seed(0)
    options = LabelledTranslatorParams(**{"width": 4, "downsamplings": 0, "blocks": 1, "normalization": "none", **changes})
    network = LabelledTranslator(options, Attributed((3, 24, 24), inputs=(3, 24, 24), classes=("red", "green", "blue")))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape) * 0.2)
    return network


def test_a_mask_says_whatever_the_label_how_much_is_added_at_each_pixel() -> None:
    network = by_label(skip="masked")
    assert network.mask is not None
    images, labels = torch.rand(2, 3, 24, 24) * 2 - 1, torch.tensor([0, 1])
    with torch.no_grad():
        mask, made = network.mask(images), network(images, labels)
        assert mask.shape == (2, 1, 24, 24)
        assert ((mask > 0) & (mask < 1)).all()
        assert mask.std() > 0.01
        drawn = network.layers(images, network.embedding(labels))  # type: ignore[misc]
        torch.testing.assert_close(made, images + mask * drawn)
        assert (network(images, labels.flip(0)) - made).abs().max() > 0.01
        nn.init.constant_(network.mask[-2].bias, -1e4)
        assert torch.equal(network(images, labels), images)


def test_a_mask_begins_open_and_the_translation_near_the_identity() -> None:
    network = translator(normalization="none", skip="masked", downsamplings=0)
    assert network.mask is not None
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    assert network.mask(images).min() > 0.5
    assert 0 < (network(images) - images).abs().mean() < 0.3


@pytest.mark.parametrize("skip", [True, "masked"])
def test_pixelwise_is_a_map_of_colours(skip: bool | str) -> None:
    network = by_label(skip=skip, pixelwise=True)
    images, labels, order = torch.rand(2, 3, 24, 24) * 2 - 1, torch.tensor([0, 1]), torch.randperm(24 * 24)

    def shuffled(those: torch.Tensor) -> torch.Tensor:
        return those.flatten(2)[:, :, order].unflatten(2, (24, 24))

    torch.testing.assert_close(network(shuffled(images), labels), shuffled(network(images, labels)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"skip": "masked"},
        {"skip": "masked", "blocks": 0},
        {"pixelwise": True, "skip": "masked"},
        {"pixelwise": True, "downsamplings": 1},
    ],
)
def test_a_pixel_depends_on_those_as_far_as_it_says_and_no_further(changes: dict[str, Any]) -> None:
    network = by_label(**changes)
    images = (torch.rand(1, 3, 48, 48) * 2 - 1).requires_grad_(True)
    network(images, torch.tensor([1]))[0, :, 24, 24].sum().backward()
    assert images.grad is not None
    rows, columns = images.grad[0].abs().sum(0).nonzero(as_tuple=True)
    far = max(int((places - 24).abs().max()) for places in (rows, columns))
    assert far <= network.reach
    assert changes.get("downsamplings") or far == network.reach


def test_every_weight_has_a_gradient() -> None:
    """But the biases in front of an instance normalisation, which takes them off again."""
    network = round_trip()
    images = torch.rand(2, 3, 16, 16)
    network.back(network(images)).square().mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert all(weight.grad.abs().max() > 0 for name, weight in network.named_parameters() if name.endswith("weight"))  # type: ignore[union-attr]


def test_a_round_trip_has_a_network_each_way_and_goes_there_when_called() -> None:
    network = round_trip()
    assert weights(network) == 2 * weights(translator())
    images = torch.rand(1, 3, 16, 16)
    assert torch.equal(network(images), network.there(images))
    assert not torch.equal(network(images), network.back(images))


@pytest.mark.parametrize("patch", [16, 34, 70])
def test_a_logit_sees_a_patch_of_that_many_pixels(patch: int) -> None:
    network = judge((1, 128, 128), patch=patch, width=2)
    image = torch.rand(1, 1, 128, 128, requires_grad=True)
    logits = network(image)
    logits[0, logits.shape[1] // 2, logits.shape[2] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].abs() > 0
    assert (int(seen.any(0).sum()), int(seen.any(1).sum())) == (patch, patch)


def test_it_judges_an_output_beside_its_input() -> None:
    network = judge((3, 32, 32), patch=16, width=2, inputs=(1, 32, 32))
    given, made = torch.rand(2, 1, 32, 32), torch.rand(2, 3, 32, 32)
    logits = network(given, made)
    assert logits.shape == (2, 14, 14)
    assert not torch.equal(logits, network(1 - given, made))


def test_too_small_an_image_for_the_patch_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 pixels are too few for 4 convolutions; choose a smaller patch"):
        judge((3, 16, 16), patch=70, width=2)
