"""Clips as a picture that moves, and what judges them: where it comes to lie, that none of it is lost, gradients, labels, frames drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.kinds.clips import Clips
from gan_core.networks import build_discriminator, build_generator
from gan_core.networks.motion import _PACE, MotionDiscriminator, MotionGenerator, cosines, placed
from gan_core.params import GanParams
from gan_core.params.networks import MotionDiscriminatorParams, MotionGeneratorParams
from gan_core.training import train

FRAMES, SIDES, LATENT, N = 5, (16, 24), 6, 4
DATA = Clips((3, FRAMES, *SIDES), classes=("up", "left"))
LABELS = torch.tensor([0, 1, 0, 1])


def generator_of(data: Clips = DATA, latent: int = LATENT, **options: Any) -> MotionGenerator:
    torch.manual_seed(0)
    network = build_generator(MotionGeneratorParams(width=4, **options), data, latent)
    assert isinstance(network, MotionGenerator)
    return network


def discriminator_of(data: Clips = DATA, **options: Any) -> MotionDiscriminator:
    torch.manual_seed(0)
    network = build_discriminator(MotionDiscriminatorParams(width=4, **options), data)
    assert isinstance(network, MotionDiscriminator)
    return network


class Drawn(nn.Module):
    """One picture, whatever the latent."""

    def __init__(self, picture: torch.Tensor) -> None:
        super().__init__()
        self.picture = picture

    def forward(self, latents: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return self.picture.expand(len(latents), -1, -1, -1)


def test_the_picture_lies_where_its_path_says_on_a_ground_like_its_border() -> None:
    """By whole pixels it comes out as it was drawn, each frame by itself, and beyond a frame's end it comes in on the other side."""
    network = generator_of()
    picture = torch.full((3, SIDES[0] // 2, SIDES[1] // 2), -0.5)
    picture[:, 2:6, 3:8] = torch.rand(3, 4, 5)
    network.content = Drawn(picture)  # type: ignore[assignment]
    moves = torch.tensor([(0, 0), (3, -5), (-7, 11), (6, -9), (-1, 2)])
    waves = (2 * moves.T / torch.tensor(SIDES)[:, None]).atanh() @ torch.linalg.inv(_PACE * cosines(FRAMES))
    with torch.no_grad():
        for weight in network.path[-1].parameters():
            weight.zero_()
        network.path[-1].bias.copy_(waves.flatten())  # type: ignore[operator, union-attr]
        made = network(torch.randn(2, LATENT), LABELS[:2])
    still = torch.full((3, *SIDES), -0.5)
    still[:, 4:12, 6:18] = picture
    for frame, (down, right) in enumerate(moves.tolist()):
        torch.testing.assert_close(made[1, :, frame], still.roll((down, right), (1, 2)), atol=1e-4, rtol=0)


def test_between_two_pixels_each_has_its_share() -> None:
    row = placed(torch.tensor(2 * 0.25 / 8), side=8, short=4) @ torch.tensor([0.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(row, torch.tensor([0, 0, 0, 0.75, 0.25, 0, 0, 0]))


def test_nothing_of_a_picture_fades_wherever_it_goes() -> None:
    network = generator_of()
    with torch.no_grad():
        made = network(torch.randn(N, LATENT), LABELS)
        held = (made - made.flatten(2).median(dim=2).values[:, :, None, None, None]).sum(dim=(3, 4))
    assert held.abs().max() > 0
    torch.testing.assert_close(held, held[:, :, :1].expand_as(held), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("data", [DATA, DATA.unlabelled, Clips((1, 2, 16, 16))], ids=["labels", "no labels", "least"])
def test_clips_have_the_range_of_images_and_every_kernel_of_both_players_a_gradient(data: Clips) -> None:
    labels = LABELS if data.classes else None
    generator, discriminator = generator_of(data), discriminator_of(data)
    made = generator(torch.randn(N, LATENT), labels)
    assert made.shape == (N, *data.shape)
    assert made.abs().max() <= 1
    logits = discriminator(made, labels)
    assert logits.shape == (N, 2)
    logits.square().sum().backward()
    for network in (generator, discriminator):
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert weight.dim() == 1 or weight.grad.abs().max() > 0, name


def test_one_half_of_a_latent_says_what_moves_and_the_other_how() -> None:
    network = generator_of().eval()
    latents = torch.randn(1, LATENT).expand(2, -1).clone()
    labels = torch.zeros(2, dtype=torch.long)
    with torch.no_grad():
        for weight in network.parameters():  # fresh ones draw next to nothing
            weight += 0.2 * torch.randn_like(weight)
        latents[1, : LATENT // 2] += 1
        other_picture = network(latents, labels)
        torch.testing.assert_close(*network.path(network.input(latents[:, LATENT // 2 :], labels)))
        latents[1] = latents[0]
        latents[1, LATENT // 2 :] += 1
        other_path = network(latents, labels)
        torch.testing.assert_close(*network.content(latents[:, : LATENT // 2], labels))
        other_label = network(latents[:1].expand(2, -1), LABELS[:2])
    for made in (other_picture, other_path, other_label):
        assert (made[0] - made[1]).abs().max() > 1e-3


def test_the_second_logit_is_of_one_frame_that_is_drawn_anew_each_time_and_knows_no_label() -> None:
    network, clips = discriminator_of().eval(), torch.rand(N, *DATA.shape) * 2 - 1
    with torch.no_grad():
        each = torch.stack([network.frame(clips[:, :, frame]) for frame in range(FRAMES)], dim=1)
        seen = set()
        for seed in range(12):
            torch.manual_seed(seed)
            whole, single = network(clips, LABELS).unbind(1)
            torch.testing.assert_close(whole, network.whole(clips.flatten(1, 2), LABELS))
            near = (each - single[:, None]).abs()
            assert near.min(dim=1).values.max() < 1e-5
            seen |= set(near.argmin(dim=1).tolist())
            torch.manual_seed(seed)
            assert torch.equal(network(clips, LABELS.flip(0))[:, 1], single)
    assert seen == set(range(FRAMES))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="latent: content and motion take a part each; use 2 or more"):
        generator_of(latent=1)
    with pytest.raises(ConfigError, match=r"network motion: half of 8 x 24 pixels cannot be halved further, .*; use a size such as 16"):
        generator_of(Clips((3, 2, 8, 24)))
    params = GanParams.model_validate({"images": 8, "generator": {"network": "motion"}, "discriminator": {"network": "motion"}})
    assert params.problems("clips", SIDES) == []
    assert params.problems("images", SIDES) == ["train.generator.network: motion draws clips, and the source has images; use dcgan"]


def squares(folder: Path) -> Dataset:
    """Bright squares that move up or to the left."""
    draw, clips = np.random.default_rng(0), np.zeros((24, 3, 4, 16, 16), np.uint8)
    for number, clip in enumerate(clips):
        place, axis = draw.integers(0, 16, 2), number % 2
        for frame in range(4):
            rows, columns = ((place - frame * (np.arange(2) == axis))[:, None] + np.arange(3)) % 16
            clip[:, frame, rows[:, None], columns] = draw.integers(120, 255)
    labels = (np.arange(24) % 2).tolist()
    folder.mkdir()
    Clips.pack(folder, {"train": clips[:16], "holdout": clips[16:]}, {"train": labels[:16], "holdout": labels[16:]}, ("up", "left"))
    return Dataset.open(folder)


PARAMS: dict[str, Any] = {
    "images": 48, "batch": 8, "threads": 1, "condition": "label", "latent": 4, "mismatch": 0.5, "precision": "float32",
    "checkpoint_every": 16, "watch": "off", "generator": {"network": "motion", "width": 4, "normalization": "none"},
    "discriminator": {"network": "motion", "width": 4},
}  # fmt: skip


def test_a_run_that_was_stopped_or_whose_batches_came_in_parts_ends_alike(tmp_path: Path) -> None:
    """Stopped and resumed to the last bit; in parts up to the order of sums, each clip of a batch judged by the same frame of it."""
    dataset, params = squares(tmp_path / "data"), GanParams.model_validate(PARAMS)
    assert train(params, dataset, tmp_path / "whole")
    stop = iter([False, False, False, True])
    assert not train(params, dataset, tmp_path / "stopped", should_stop=lambda: next(stop))
    assert train(params, dataset, tmp_path / "stopped")
    assert train(GanParams.model_validate({**PARAMS, "accumulate": 2}), dataset, tmp_path / "parts")
    whole, stopped, parts = (load_file(tmp_path / name / "checkpoint" / "state.safetensors") for name in ("whole", "stopped", "parts"))
    for name, tensor in whole.items():
        assert torch.equal(tensor, stopped[name]), name
        if tensor.dim() > 1 and name.startswith("players"):  # a bias that the game has no slope in goes where rounding says
            torch.testing.assert_close(tensor, parts[name], rtol=1e-3, atol=1e-4)
