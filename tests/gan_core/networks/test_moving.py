"""Clips of things that move: a thing is the same in every frame, moved as far as is said and in front of what stays; labels, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.clips import Clips
from gan_core.networks import build_generator
from gan_core.networks.moving import MovingGenerator
from gan_core.params import GanParams
from gan_core.params.networks import MovingGeneratorParams
from gan_core.training import train

N, LATENT, SHAPE = 5, 6, (3, 7, 16, 32)


def moving(classes: tuple[str, ...] | None = None, **options: Any) -> MovingGenerator:
    torch.manual_seed(0)
    network = build_generator(MovingGeneratorParams(width=4, hidden=8, **options), Clips(SHAPE, classes=classes), LATENT)
    assert isinstance(network, MovingGenerator)
    return network


def test_a_thing_is_the_same_in_every_frame_only_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hides what is behind it, told to go down by a pixel a frame and to the right by two, over a background that stays."""
    network = moving(normalization="none")
    frames = torch.arange(SHAPE[1])
    picture = torch.full((N, 7, *SHAPE[2:]), -1.0)
    picture[:, :3] = torch.rand(N, 3, 1, 1)
    picture[:, 3:6, 2:4, 5:9] = torch.rand(N, 3, 2, 4)
    picture[:, 6, 2:4, 5:9] = 1.0
    monkeypatch.setattr(network.pictures, "forward", lambda *given: picture)
    told = torch.stack([*(torch.atanh(frames / (side - 1) * by) for side, by in ((16, 1), (32, 2)))])
    with torch.no_grad():
        for weight in network.motion[-1].parameters():
            weight.zero_()
        bias = network.motion[-1].bias.view(SHAPE[1], 4)  # type: ignore[union-attr, operator]
        bias[:, 0], bias[:, 2], bias[:, [1, 3]] = told[0], told[1], -6.0
        made = network(torch.randn(N, LATENT))
    assert made.shape == (N, *SHAPE)
    for frame in frames.tolist():
        expected = picture[:, :3].clone()
        expected[:, :, 2 + frame : 4 + frame, 5 + 2 * frame : 9 + 2 * frame] = picture[:, 3:6, 2:4, 5:9]
        torch.testing.assert_close(made[:, :, frame], expected, atol=0.04, rtol=0)  # it is still 0.3 pixels wide, of values up to 2 apart


@pytest.mark.parametrize("things", [1, 2])
def test_clips_have_the_range_of_images_and_every_weight_a_gradient(things: int) -> None:
    network, latents = moving(("up", "left"), things=things), torch.randn(N, LATENT)
    labels = torch.arange(N) % 2
    made = network(latents, labels)
    assert made.abs().max() <= 1
    assert (made - network(latents, 1 - labels)).abs().amax(dim=(1, 2, 3, 4)).min() > 0
    (made * torch.randn(made.shape)).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().max() > 0 for weight in network.parameters() if weight.dim() > 1)


def test_it_is_trained_and_loaded_again(tmp_path: Path) -> None:
    """Its kernels are those of images, beside a discriminator's of clips."""
    draw = np.random.default_rng(0)
    clips = {split: draw.integers(0, 256, (n, 3, 4, 16, 16), dtype=np.uint8) for split, n in {"train": 16, "holdout": 4}.items()}
    (tmp_path / "ready").mkdir()
    Clips.pack(tmp_path / "ready", clips, {split: [0, 1] * (len(of) // 2) for split, of in clips.items()}, ("up", "left"))
    told = {"network": "moving", "width": 4, "hidden": 8}
    params = GanParams.model_validate(
        {"images": 16, "batch": 4, "latent": LATENT, "condition": "label", "generator": told, "discriminator": {"width": 4}}
    )
    train(params, Dataset.open(tmp_path / "ready"), tmp_path / "run")
    generator = Generator.load(tmp_path / "run" / "generator")
    assert generator.sample(2, 0, label="left").samples.shape == (2, 3, 4, 16, 16)


def test_what_does_not_fit_is_refused() -> None:
    params = GanParams.model_validate({"images": 8, "generator": {"network": "moving"}})
    assert params.problems("clips", (16, 32)) == []
    assert params.problems("images", (16, 32)) == ["train.generator.network: moving draws clips, and the source has images; use dcgan"]
    with pytest.raises(ConfigError, match="dcgan: 18 x 32 pixels cannot be halved"):
        build_generator(MovingGeneratorParams(), Clips((3, 7, 18, 32)), LATENT)
