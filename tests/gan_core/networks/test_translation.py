"""The U-Net and the PatchGAN: sizes and fields of view by the paper, gradients, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gan_core.errors import ConfigError
from gan_core.kinds.pairs import Pairs
from gan_core.networks import build_generator
from gan_core.networks.patch import PatchDiscriminator
from gan_core.params.networks import UnetParams

RGB = (3, 32, 32)


def unet(shape: tuple[int, ...] = RGB, inputs: tuple[int, ...] | None = None, **options: Any) -> nn.Module:
    return build_generator(UnetParams(**options), Pairs(shape, inputs=inputs or shape), 0)


def patch(shape: tuple[int, ...] = RGB, **options: Any) -> nn.Module:
    return PatchDiscriminator(shape, inputs=shape, **options)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("side", "channels", "given"), [(8, 3, 1), (16, 1, 3), (28, 3, 3), (64, 3, 1)])
@pytest.mark.parametrize("normalization", ["batch", "instance", "none"])
def test_a_unet_makes_images_as_large_as_its_inputs(side: int, channels: int, given: int, normalization: Any) -> None:
    network = unet((channels, side, side), (given, side, side), width=4, normalization=normalization)
    drawn = network(torch.randn(3, given, side, side))
    assert drawn.shape == (3, channels, side, side)
    assert drawn.abs().max() <= 1


def test_every_weight_of_both_gets_a_gradient() -> None:
    generator, discriminator = unet(width=4), patch(patch=34, width=4)
    inputs = torch.randn(2, *RGB)
    discriminator(inputs, generator(inputs)).square().mean().backward()
    for network in (generator, discriminator):
        # A bias in front of a normalisation would get none but rounding, so there is none.
        assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in network.parameters())


def test_each_skip_carries_what_the_level_below_cannot() -> None:
    """Without its deepest level the output still follows the input; a change of one pixel is seen at that very pixel."""
    torch.manual_seed(0)
    network = unet(width=4, normalization="none").eval()
    image = torch.zeros(1, *RGB)
    changed = image.clone()
    changed[0, :, 5, 7] = 1
    with torch.no_grad():
        for weight in network.unet.up[0].parameters():  # type: ignore[union-attr, index]
            weight.zero_()
        difference = (network(changed) - network(image)).abs().sum(dim=(0, 1))
    assert difference[5, 7] > 0
    assert int(difference.argmax()) in {row * 32 + column for row in (4, 5, 6) for column in (6, 7, 8)}


@pytest.mark.parametrize("given", [1, 3])
def test_with_a_skip_the_input_is_what_is_added_to(given: int) -> None:
    network = unet(RGB, (given, 32, 32), width=4, skip=True)
    inputs = torch.rand(2, given, 32, 32) * 2 - 1
    with torch.no_grad():
        for weight in network.unet.last.parameters():  # type: ignore[union-attr]
            weight.zero_()
        torch.testing.assert_close(network(inputs), inputs.expand(2, *RGB))


def test_the_70_pixel_patch_has_the_papers_size() -> None:
    """2,768,705 weights: convolutions of 64, 128, 256 and 512 channels and one to the logit, batch normalisation after three."""
    assert count(patch((3, 256, 256), patch=70, width=64, normalization="batch")) == 2_768_705
    assert patch((3, 256, 256), patch=70, width=4)(torch.randn(1, 3, 256, 256), torch.randn(1, 3, 256, 256)).shape == (1, 30, 30)


@pytest.mark.parametrize("side", [16, 34, 70])
def test_a_logit_sees_a_patch_of_its_side(side: int) -> None:
    torch.manual_seed(0)
    network = patch((1, 128, 128), patch=side, width=4)
    image = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits = network(image, image.detach())
    logits[0, logits.shape[1] // 2, logits.shape[2] // 2].backward()
    assert image.grad is not None
    seen = image.grad[0, 0] != 0
    assert (int(seen.any(dim=1).sum()), int(seen.any(dim=0).sum())) == (side, side)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="unet: needs inputs as large as its outputs"):
        unet(RGB, (3, 16, 16))
    with pytest.raises(ConfigError, match=r"generator\.widths: 6 given, one a halving, and 32 pixels cannot be halved so often"):
        unet(widths=(4,) * 6)
    with pytest.raises(ConfigError, match="50 pixels cannot be halved"):
        unet((3, 50, 50))
    with pytest.raises(ConfigError, match=r"generator\.skip: inputs of 3 channels cannot be added to outputs of 1"):
        unet((1, 32, 32), RGB, skip=True)
    with pytest.raises(ConfigError, match="patch: 16 pixels are too few for 4 convolutions"):
        patch((3, 16, 16), patch=70, width=4)
