"""What comes next, by moving the last frame: what is moved arrives whole where it should, gradients, weights, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gan_core.errors import ConfigError
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.predictions import Predictions
from gan_core.networks import build_generator
from gan_core.networks.advection import AdvectionGenerator
from gan_core.params import Pix2pixParams
from gan_core.params.networks import AdvectionParams

GIVEN, FRAMES, SIDES = 2, 3, (16, 24)


def advection(**options: Any) -> AdvectionGenerator:
    torch.manual_seed(0)
    data = Predictions((3, FRAMES, *SIDES), inputs=(3, GIVEN, *SIDES))
    network = build_generator(AdvectionParams(width=4, **options), data, 0)
    assert isinstance(network, AdvectionGenerator)
    return network


def test_a_frame_is_moved_as_far_as_is_said_and_nothing_of_it_fades() -> None:
    """With all weight on one place, and on what is moved, a clip's last frame comes out shifted, its border drawn on, for each frame."""
    network = advection(normalization="none").eval()
    moves = [(0, 0), (-3, 5), (15, -23)]
    inputs = torch.rand(2, 3, GIVEN, *SIDES) * 2 - 1
    with torch.no_grad():
        for weight in (*network.head[-1].parameters(), *network.unet.last.parameters()):
            weight.zero_()
        bias = network.head[-1].bias.view(FRAMES, -1)  # type: ignore[union-attr, operator]
        for of_frame, (down, right) in zip(bias, moves, strict=True):
            of_frame[SIDES[0] - 1 + down] = of_frame[network.places[0] + SIDES[1] - 1 + right] = 100.0
        assert network.unet.last.bias is not None
        network.unet.last.bias.view(FRAMES, -1)[:, 0] = 100.0
        made = network(inputs.flatten(1, 2)).view(2, 3, FRAMES, *SIDES)
    for index, (down, right) in enumerate(moves):
        rows, columns = (torch.arange(side).sub(by).clamp(0, side - 1) for side, by in zip(SIDES, (down, right), strict=True))
        torch.testing.assert_close(made[:, :, index], inputs[:, :, -1][:, :, rows][:, :, :, columns])


@pytest.mark.parametrize(("motions", "anew"), [(1, True), (3, True), (1, False), (3, False)])
def test_frames_have_the_range_of_images_and_every_weight_a_gradient(motions: int, anew: bool) -> None:
    network = advection(motions=motions, anew=anew)
    made = network(torch.rand(2, 3 * GIVEN, *SIDES) * 2 - 1)
    assert made.shape == (2, 3 * FRAMES, *SIDES)
    assert made.abs().max() <= 1
    made.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in network.parameters())


def test_without_anything_anew_a_frame_holds_as_much_as_the_last_one_given() -> None:
    """A spot in the middle, from where no shift that is likely at the start takes it out, is spread and not lost."""
    network = advection(anew=False).eval()
    inputs = torch.full((1, 3, GIVEN, *SIDES), -1.0)
    inputs[..., 7:9, 11:13] = 1.0
    with torch.no_grad():
        network.head[-1].bias.view(FRAMES, -1)[:, [15 + 2, 31 + 23 - 4]] += 20.0  # type: ignore[union-attr, operator]
        made = network(inputs.flatten(1, 2)).view(3, FRAMES, *SIDES)
    torch.testing.assert_close((made + 1).sum(dim=(2, 3)), torch.full((3, FRAMES), 8.0), rtol=1e-3, atol=0)


def test_what_is_no_clip_is_refused() -> None:
    with pytest.raises(ConfigError, match="advection: goes on from the first frames of clips"):
        build_generator(AdvectionParams(), Pairs((3, 16, 16), inputs=(3, 16, 16)), 0)
    params = Pix2pixParams.model_validate({"images": 8, "generator": {"network": "advection"}})
    assert params.problems("predictions", SIDES) == []
    assert params.problems("pairs", SIDES) == ["train.generator.network: advection draws predictions; use unet"]
    with pytest.raises(ValueError, match="'dcgan' is no network of pairs; there are unet, advection"):
        Pix2pixParams.model_validate({"images": 8, "generator": {"network": "dcgan"}})
