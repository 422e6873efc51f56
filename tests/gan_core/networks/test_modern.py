"""The modern family: its tensors against the published configurations, what it is at the start, shapes, exact resume, one graph."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.images import Images
from gan_core.kinds.volumes import Volumes
from gan_core.networks import build_discriminator, build_generator
from gan_core.networks.common import IMAGE_LAYERS
from gan_core.networks.modern import Block, _doubled, _halved
from gan_core.params import GanParams
from gan_core.params.networks import ModernDiscriminatorParams, ModernGeneratorParams
from gan_core.penalties import zero_centred_penalty
from gan_core.training import train

Make = Callable[..., Dataset]


def weights(network: nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


def published(widths: list[int], groups: list[int], classes: int) -> tuple[list[int], list[int]]:
    """The sizes of all tensors of both players of a published configuration: two blocks a resolution, `groups` by their number as the
    authors have them, a latent of 64; classes embedded in 64 numbers for the generator, in as many as channels for the discriminator."""
    tower = []
    for width, count in zip(widths, groups, strict=True):
        inside = 2 * width
        tower += 2 * [width * inside, inside, inside * (inside // count) * 9, inside, inside * width]
    tower += [one * other for one, other in itertools.pairwise(widths) if one != other]
    first, last = widths[0], widths[-1]
    generator = [*tower, first * 16, (128 if classes else 64) * first, last * 3, *([classes * 64] if classes else [])]
    judged = [first * first, classes * first] if classes else [first]
    return generator, [*tower, 3 * last, first * 16, *judged]


CONFIGURATIONS: dict[str, tuple[int, list[int], list[int], int, float]] = {
    # Side, channels at each resolution, numbers of groups, classes; millions of numbers in the generator.
    "CIFAR-10": (32, [768] * 4, [96] * 4, 0, 20.7),
    "FFHQ-256": (256, [768, 768, 768, 768, 384, 192, 96], [96, 96, 96, 96, 48, 24, 12], 0, 23.1),
    "ImageNet-64": (64, [1536] * 5, [96] * 5, 1_000, 103.6),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_tensor_of_the_published_configurations(name: str) -> None:
    side, widths, groups, classes, millions = CONFIGURATIONS[name]
    (group_width,) = {2 * width // count for width, count in zip(widths, groups, strict=True)}
    spec = Images((3, side, side), classes=tuple(map(str, range(classes))) if classes else None)
    told: dict[str, Any] = {"widths": widths, "group_width": group_width}
    with torch.device("meta"):
        generator = build_generator(ModernGeneratorParams(**told), spec, 64)
        discriminator = build_discriminator(ModernDiscriminatorParams(**told), spec)
    for network, expected in zip((generator, discriminator), published(widths, groups, classes), strict=True):
        assert sorted(one.numel() for one in network.parameters()) == sorted(expected)
    assert weights(generator) / 1e6 == pytest.approx(millions, abs=0.05)


def test_width_doubles_up_to_eight_times() -> None:
    network = build_generator(ModernGeneratorParams(width=4, depth=1), Images((3, 128, 128)), 8)
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    assert [block.expand.in_channels for block in blocks] == [32, 32, 32, 16, 8, 4]
    assert weights(build_generator(ModernGeneratorParams(), Images((3, 32, 32)), 64)) < 2_000_000


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 24, 16), (5, 16, 16), (1, 8, 8, 8)])
@pytest.mark.parametrize("classes", [0, 3])
def test_shapes(shape: tuple[int, ...], classes: int) -> None:
    kind = Images if len(shape) == 3 else Volumes
    spec = kind(shape, classes=("a", "b", "c") if classes else None)
    generator = build_generator(ModernGeneratorParams(width=4, depth=1, group_width=4), spec, 6)
    discriminator = build_discriminator(ModernDiscriminatorParams(width=4, depth=1, group_width=4), spec)
    labels = torch.tensor([0, 2]) if classes else None
    made = generator(torch.randn(2, 6), labels)
    assert made.shape == (2, *shape)
    assert discriminator(made, labels).shape == (2,)
    zero_centred_penalty(lambda samples: discriminator(samples, labels), made).backward()  # type: ignore[no-untyped-call]
    assert all(one.grad is None or one.grad.isfinite().all() for one in discriminator.parameters())


def test_at_the_start_blocks_add_nothing_and_features_keep_their_size() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 32, 16, 16)
    block = Block(32, 16, 1, IMAGE_LAYERS)
    assert torch.equal(block(x), x)
    inside = block.mix(F.leaky_relu(block.expand(x), 0.2)).detach()[..., 1:-1, 1:-1]
    # Each convolution makes up for the leaky ReLU behind it, and so does the last that is looked at here.
    assert inside.std() == pytest.approx(math.sqrt(2 / 1.04), rel=0.15)
    deep = Block(32, 16, 16, IMAGE_LAYERS)
    assert deep.expand.weight.detach().std() == pytest.approx(math.sqrt(2 / 1.04) / math.sqrt(32) / 2, rel=0.05)  # 16 ** (-1 / 4)
    made = build_generator(ModernGeneratorParams(), Images((3, 32, 32)), 64)(torch.randn(64, 64))
    assert 0.2 < float(made.std()) < 2


def test_interpolation_is_bilinear_both_ways() -> None:
    ramp = torch.arange(16.0).expand(1, 2, 16, 16).contiguous()
    assert torch.allclose(_doubled(ramp)[..., 1:-1], (torch.arange(32.0) * 0.5 - 0.25)[1:-1].expand(1, 2, 32, 30))
    assert torch.allclose(_halved(ramp)[..., 1:-1], (torch.arange(8.0) * 2 + 0.5)[1:-1].expand(1, 2, 8, 6))
    assert torch.allclose(_halved(torch.ones(1, 3, 8, 8)), torch.ones(1, 3, 4, 4))  # the border is no darker
    draw = torch.Generator().manual_seed(0)
    images, small = torch.zeros(1, 1, 16, 16), torch.randn(1, 1, 8, 8, generator=draw)
    images[..., 2:-2, 2:-2] = torch.randn(1, 1, 12, 12, generator=draw)
    # One is the other's transpose, but for the factor of four pixels for one.
    assert float((_halved(images) * small).sum() * 4) == pytest.approx(float((images * _doubled(small)).sum()), rel=1e-4)


def test_recomputed_features_give_the_same_gradients() -> None:
    found = []
    for recompute in (False, True):
        torch.manual_seed(3)
        judge = build_discriminator(ModernDiscriminatorParams(width=8, recompute=recompute), Images((3, 16, 16)))
        for one in judge.modules():
            if isinstance(one, Block):
                nn.init.normal_(one.project.weight, 0.0, 0.1)
        images = torch.randn(4, 3, 16, 16)
        (judge(images).sum() + zero_centred_penalty(judge, images)).backward()
        found.append([one.grad for one in judge.parameters()])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert other is not None
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"widths": [8, 8]}, "widths has 2 numbers, and these samples have 3 resolutions"),
        ({"depths": [1] * 4}, "depths has 4 numbers"),
        ({"width": 12, "group_width": 16}, "12 channels, 24 within a block, do not come out even in groups of 16"),
    ],
)
def test_what_does_not_fit_is_refused(told: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_generator(ModernGeneratorParams(**told), Images((1, 16, 16)), 8)


def test_a_stopped_training_ends_where_an_undisturbed_one_does(make_dataset: Make, tmp_path: Path) -> None:
    small = {"network": "modern", "width": 4, "depth": 1, "group_width": 4}
    told = {"images": 48, "batch": 8, "latent": 4, "condition": "label", "generator": {**small, "recompute": True}, "discriminator": small}
    params, dataset = GanParams.model_validate(told), make_dataset(classes=2, shape=(3, 8, 8))
    assert train(params, dataset, tmp_path / "whole")
    assert not train(params, dataset, tmp_path / "parts", should_stop=iter([False, False, True]).__next__)
    assert train(params, dataset, tmp_path / "parts")
    one, other = (checkpoint.read(tmp_path / name / "checkpoint").tensors for name in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_it_is_one_graph_of_any_batch() -> None:
    spec = Images((3, 8, 8), classes=("a", "b"))
    params = ModernGeneratorParams(width=4, depth=1, group_width=4)
    network = build_generator(params, spec, 4).eval()
    generator = Generator(GeneratorConfig("gan", spec, 4, params, 0, 0, ""), network)
    free = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(network, (torch.randn(3, 4), torch.tensor([0, 1, 0])), dynamic_shapes=(free, free))
    latents, labels = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
    with torch.inference_mode():
        assert torch.allclose(program.module()(latents, labels), generator.network(latents, labels), atol=1e-6)
