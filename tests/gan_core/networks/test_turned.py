"""Volumes drawn in one direction and turned: where voxels come to lie, what the discriminator sees of them, labels, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.volumes import FILLED, Volumes
from gan_core.networks import build_discriminator, build_generator
from gan_core.networks.turned import TurnedDiscriminator, TurnedGenerator, turning
from gan_core.params import GanParams
from gan_core.params.networks import TurnedDiscriminatorParams, TurnedGeneratorParams
from gan_core.training import train

SIDE, LATENT = 16, 6
DEGREES = {"back": 180.0, "front": 0.0, "left": 90.0, "oblique": 330.0}
DATA = Volumes((1, SIDE, SIDE, SIDE), classes=tuple(DEGREES))
LABELS = torch.tensor([3, 1, 0, 2, 1, 3])


def generator_of(data: Volumes = DATA, **options: Any) -> TurnedGenerator:
    torch.manual_seed(0)
    network = build_generator(TurnedGeneratorParams.model_validate({"degrees": DEGREES, "width": 4, **options}), data, LATENT)
    assert isinstance(network, TurnedGenerator)
    return network


def discriminator_of(data: Volumes = DATA, **options: Any) -> TurnedDiscriminator:
    torch.manual_seed(0)
    network = build_discriminator(TurnedDiscriminatorParams.model_validate({"degrees": DEGREES, "width": 4, **options}), data)
    assert isinstance(network, TurnedDiscriminator)
    return network


def seen_by(judge: TurnedDiscriminator, samples: torch.Tensor) -> torch.Tensor:
    """What the convolutions are given."""
    seen: list[torch.Tensor] = []
    judge.judge.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach()))
    judge(samples, LABELS)
    return seen[0]


def test_each_is_turned_as_its_label_says_and_back_again() -> None:
    volumes = torch.rand(len(LABELS), 1, SIDE, SIDE, SIDE)
    turned = generator_of().turns(volumes, LABELS)
    torch.testing.assert_close(generator_of().eval().turns(volumes, LABELS), turned)  # in training as in use
    for one, there, label in zip(volumes, turned, LABELS.tolist(), strict=True):
        degrees = DEGREES[DATA.classes[label]]  # type: ignore[index]
        expected = ndimage.rotate(one[0].numpy(), degrees, axes=(0, 1), reshape=False, order=1, mode="nearest")
        np.testing.assert_allclose(there[0], expected, atol=1e-4)
    assert torch.equal(generator_of().turns(volumes[1:3], LABELS[1:3]), turned[1:3])  # a batch need not have every class
    back = discriminator_of().turns(turned, LABELS)
    quarters = LABELS != 3
    assert torch.equal(back[quarters], volumes[quarters])
    shares = torch.eye(len(DEGREES))[LABELS] * 0.6 + 0.1  # a mixture of classes stands as most of it does
    assert torch.equal(generator_of().turns(volumes, shares), turned)


def test_what_is_turned_over_the_edge_is_as_the_edge_is() -> None:
    matrix = turning(45, SIDE)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(SIDE * SIDE))
    torch.testing.assert_close(turning(90, SIDE) @ torch.arange(256.0), torch.arange(256.0).view(16, 16).rot90(1).flatten())


def test_an_object_is_the_same_in_all_directions_and_its_halves_are_alike() -> None:
    network = generator_of(mirrored=True).eval()
    with torch.no_grad():
        for weight in network.parameters():  # fresh ones draw next to nothing
            weight += 0.2 * torch.randn_like(weight)
        made = network(torch.randn(1, LATENT).expand(4, -1), torch.arange(4))
    back, front, left, _ = made
    assert front.std() > 0.01
    torch.testing.assert_close(front, front.flip(2))
    torch.testing.assert_close(back, front.rot90(2, (1, 2)))
    torch.testing.assert_close(left, front.rot90(1, (1, 2)))


def test_a_discriminator_sees_objects_turned_back_one_half_at_a_time() -> None:
    upright = torch.rand(len(LABELS), 1, SIDE, SIDE, SIDE)
    samples = generator_of().turns(upright, LABELS)
    quarters = (LABELS != 3).nonzero().flatten().tolist()
    assert torch.equal(seen_by(discriminator_of(), samples)[quarters], upright[quarters])
    halves = {"right": upright[:, :, :, SIDE // 2 :], "left": upright.flip(3)[:, :, :, SIDE // 2 :]}
    judge, drawn = discriminator_of(mirrored=True), set()
    for seed in range(4):
        torch.manual_seed(seed)
        for number, half in enumerate(seen_by(judge, samples).transpose(2, 3)):
            if number in quarters:
                drawn |= {(number, name) for name, one in halves.items() if torch.equal(half, one[number])}
    assert {name for _, name in drawn} == {"left", "right"}
    assert {number for number, _ in drawn} == {*quarters}


@pytest.mark.parametrize("mirrored", [False, True])
def test_every_kernel_of_both_players_has_a_gradient_and_so_has_a_penalty(mirrored: bool) -> None:
    generator, discriminator = generator_of(mirrored=mirrored), discriminator_of(mirrored=mirrored, hidden=8)
    made = generator(torch.randn(len(LABELS), LATENT), LABELS)
    assert made.shape == (len(LABELS), *DATA.shape)
    assert made.abs().max() <= 1
    logits = discriminator(made, LABELS)
    assert logits.shape == (len(LABELS),)
    (slope,) = torch.autograd.grad(logits.sum(), made, create_graph=True)
    (logits.square().sum() + slope.square().sum()).backward()
    for network in (generator, discriminator):
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert weight.dim() == 1 or weight.grad.abs().max() > 0, name


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"network turned: the label says how an object is turned; set train\.condition: label"):
        generator_of(DATA.unlabelled)
    with pytest.raises(ConfigError, match="network turned: degrees are of front, and the classes are back, front, left, oblique"):
        discriminator_of(degrees={"front": 0.0})
    told = {"network": "turned", "degrees": DEGREES}
    params = GanParams.model_validate({"images": 8, "condition": "label", "generator": told, "discriminator": told})
    assert params.problems("volumes", (SIDE, SIDE)) == []
    assert params.problems("images", (SIDE, SIDE)) == [
        "train.generator.network: turned draws volumes, and the source has images; use dcgan"
    ]


def test_a_shipped_generator_draws_filled_and_empty_and_batches_may_come_in_parts(tmp_path: Path) -> None:
    """In parts up to the order of sums: each volume is judged by the same half of it."""
    draw, labels = np.random.default_rng(0), [0, 1, 2, 3]
    volumes = (draw.random((16, 1, SIDE, SIDE, SIDE)) < 0.2).astype(np.uint8) * FILLED
    (tmp_path / "data").mkdir()
    splits = {"train": volumes, "holdout": volumes[:4]}, {"train": labels * 4, "holdout": labels}
    Volumes.pack(tmp_path / "data", *splits, DATA.classes)
    told = {"network": "turned", "degrees": DEGREES, "mirrored": True, "width": 4, "normalization": "none"}
    params = {
        "images": 16, "batch": 8, "threads": 1, "condition": "label", "generator": told, "discriminator": told, "watch": "off",
        "precision": "float32",
    }  # fmt: skip
    dataset = Dataset.open(tmp_path / "data")
    for name, parts in (("whole", 1), ("parts", 2)):
        assert train(GanParams.model_validate({**params, "accumulate": parts}), dataset, tmp_path / name)
    whole, split = (load_file(tmp_path / name / "checkpoint" / "state.safetensors") for name in ("whole", "parts"))
    for name, tensor in whole.items():
        if tensor.dim() > 1 and name.startswith("players"):
            torch.testing.assert_close(tensor, split[name], rtol=1e-3, atol=1e-4)
    made = Generator.load(tmp_path / "whole" / "generator").sample(4, labels=np.arange(4)).samples
    assert made.shape == (4, 1, SIDE, SIDE, SIDE)
    assert set(np.unique(made)) <= {0, FILLED}
