"""What a generator drew is found again; directions are what the first layer's weights say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_core.directions import directions
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS
from gan_core.projection import project


def made(family: str = "dcgan", classes: tuple[str, ...] | None = ("cat", "dog"), **told: int) -> Generator:
    data, params = Images((1, 16, 16), classes=classes), GENERATORS[family].model_validate(told or {"width": 8})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_generator(params, data, 6)
        for weights in network.parameters():
            weights.data *= 4  # untrained, it draws grey alone
    return Generator(GeneratorConfig("gan", data, 6, params, 640, 0, "d" * 64), network)


def test_what_was_drawn_is_found_again() -> None:
    generator = made()
    drawn = generator.sample(1, seed=99, label="dog").samples[0]
    found = project(generator, drawn, steps=60)
    assert found.distance < 0.5 * found.drawn
    assert found.drawn > 10
    assert found.sample.shape == drawn.shape
    np.testing.assert_array_equal(project(generator, drawn, steps=60).latent, found.latent)
    assert np.linalg.norm(found.latent) <= np.sqrt(6) + 2.001
    assert project(generator, drawn, steps=0).distance == found.drawn


def test_features_count_beside_pixels() -> None:
    generator = made(classes=None)
    drawn = generator.sample(1, seed=99).samples[0]
    asked: list[tuple[int, ...]] = []

    def features(images: torch.Tensor) -> torch.Tensor:
        asked.append(tuple(images.shape))
        return images.flatten(1)

    assert project(generator, drawn, steps=3, features=features).label is None
    assert (4, 1, 16, 16) in asked


def test_what_has_no_latent_is_refused() -> None:
    points = Points((2,), mean=(0.0, 1.0), std=(1.0, 2.0))
    params = GENERATORS["mlp"].model_validate({"widths": [4]})
    generator = Generator(GeneratorConfig("gan", points, 4, params, 640, 0, "d" * 64), build_generator(params, points, 4))
    with pytest.raises(ConfigError, match="makes no images from latents"):
        project(generator, np.zeros((1, 16, 16), np.uint8))
    with pytest.raises(ConfigError, match=r"expected an image uint8 \(1, 16, 16\)"):
        project(made(), np.zeros((3, 16, 16), np.uint8))
    with pytest.raises(ConfigError, match="steps: -1"):
        project(made(), np.zeros((1, 16, 16), np.uint8), steps=-1)


@pytest.mark.parametrize("family", ["dcgan", "residual"])
def test_directions_are_what_the_first_layer_stretches_most(family: str) -> None:
    generator = made(family)
    found = directions(generator, 6)
    weights = generator.network.dense.weight[:, :6]  # type: ignore[union-attr,index]
    torch.testing.assert_close(found @ found.T, torch.eye(6))
    stretched = (found @ weights.T).norm(dim=1)  # type: ignore[operator]
    torch.testing.assert_close(stretched, torch.linalg.svdvals(weights))  # type: ignore[arg-type]


def test_networks_without_them() -> None:
    with pytest.raises(ConfigError, match="does not begin with one dense layer"):
        directions(made("mlp", components=2), 2)
    with pytest.raises(ConfigError, match="7 is not in 1 to 6"):
        directions(made(), 7)
