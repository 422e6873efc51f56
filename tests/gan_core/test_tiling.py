"""Pictures of any size in overlapping tiles: as the network makes them whole, and without seams."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.data.scaling import images_to_bytes, images_to_unit
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.unpaired import Unpaired
from gan_core.networks import build_generator
from gan_core.params.networks import DcganGeneratorParams, NetworkParams, TranslatorParams, UnetParams
from gan_core.tiling import Tiling, translated

FAMILIES = [
    UnetParams(widths=(4, 8), normalization="batch"),
    UnetParams(widths=(4, 8, 8), normalization="none", skip=True),
    TranslatorParams(width=4, blocks=1, downsamplings=1),
    TranslatorParams(width=4, blocks=2, downsamplings=2),
]


def generator_of(params: NetworkParams) -> Generator:
    """Freshly initialised, with weights so large that what it makes depends on all that it sees."""
    data = (Pairs if isinstance(params, UnetParams) else Unpaired)(shape=(3, 16, 16), inputs=(3, 16, 16))
    torch.manual_seed(0)
    network = build_generator(params, data, 1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.weight.mul_(6)
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.normal_()
    return Generator(GeneratorConfig("pix2pix", data, 1, params, 1, 0, ""), network)


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth places, edges and noise, (H, W, 3)."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [127 + 90 * np.sin(rows / (7 + 5 * c) + columns / (11 + 3 * c)) for c in range(3)]
    image = np.stack(waves, axis=2) + draw.normal(0, 8, (height, width, 3))
    image[height // 3 : height // 2, width // 4 : width // 2] += 60
    return np.clip(image, 0, 255).astype(np.uint8)


def scaled(rows: NDArray[np.uint8]) -> Tensor:
    return images_to_unit(torch.from_numpy(np.ascontiguousarray(rows.transpose(2, 0, 1))))


def stored(made: Tensor) -> NDArray[np.uint8]:
    return np.asarray(images_to_bytes(made).permute(1, 2, 0).numpy())


def in_tiles(generator: Generator, picture: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    made = np.zeros_like(picture)
    translated(generator, picture, Tiling.of(generator, tile), scaled, stored, made)
    return made


def seam(made: NDArray[np.uint8], whole: NDArray[np.uint8]) -> float:
    """The largest step, in levels, along a whole column or row of what is other than in a picture without tiles."""
    off = made.astype(float) - whole
    return max(float(np.abs(np.diff(off, axis=axis).mean(axis=(1 - axis, 2))).max(initial=0)) for axis in (0, 1))


@pytest.mark.parametrize("params", FAMILIES[:2], ids=str)
@pytest.mark.parametrize("size", [(150, 203), (64, 300), (97, 96)])
def test_tiles_make_what_the_whole_makes(params: NetworkParams, size: tuple[int, int]) -> None:
    generator, picture = generator_of(params), photo(*size)
    whole = in_tiles(generator, picture, 512)
    tiled = in_tiles(generator, picture, 96)
    assert whole.std() > 5
    assert np.abs(whole.astype(int) - tiled).max() <= 1  # also at the picture's borders
    assert seam(tiled, whole) < 0.1


@pytest.mark.parametrize("params", FAMILIES[2:], ids=str)
def test_instance_normalisation_is_alike_in_all_tiles(params: NetworkParams) -> None:
    generator, picture = generator_of(params), photo(160, 420)
    tiled, whole = in_tiles(generator, picture, 96), in_tiles(generator, picture, 512)
    # Pictures of their own, each by its own statistics, laid beside each other.
    apart = np.concatenate([in_tiles(generator, picture[:, start : start + 96], 512) for start in range(0, 384, 96)], axis=1)
    off, alone = (np.abs(one[:, :384].astype(int) - whole[:, :384]).mean() for one in (tiled, apart))
    assert off < 0.5 * alone
    # Other tiles, whose seams would be elsewhere, make the same of every pixel.
    otherwise = in_tiles(generator, picture, 136)
    assert np.abs(tiled.astype(int) - otherwise).max() <= 1
    assert seam(tiled, otherwise) < 0.1 < seam(apart, whole[:, :384])
    assert "forward" not in vars(next(module for module in generator.network.modules() if isinstance(module, nn.InstanceNorm2d)))


@pytest.mark.parametrize("params", FAMILIES, ids=str)
def test_no_pixel_further_than_the_reach_counts_and_those_almost_as_far_do(params: NetworkParams) -> None:
    network = generator_of(params).network.double()
    for layer in [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]:
        layer.forward = lambda features: features  # type: ignore[method-assign]
    for layer in [module for module in network.modules() if isinstance(module, nn.ReLU)]:
        layer.forward = lambda features: features  # type: ignore[method-assign]
    network = getattr(network, "there", network)
    reach, multiple = int(network.reach), int(network.side_multiple)
    side = -(-(2 * reach + 4 * multiple) // multiple) * multiple
    before = torch.zeros(1, 3, side, side, dtype=torch.float64)
    furthest = 0
    for place in range(side // 2, side // 2 + multiple):
        after = before.clone()
        after[..., place] = 1e-3
        seen = (network(after) - network(before)).abs().amax(dim=(0, 1, 2)).nonzero().flatten()
        furthest = max(furthest, int((seen - place).abs().max()))
    assert reach - 2 * multiple <= furthest <= reach


def test_sixteen_bits_and_small_pictures_and_writing_over_the_picture_itself() -> None:
    generator = generator_of(FAMILIES[1])
    deep = photo(150, 203).astype(np.uint16) * 257
    low, high = 0.0, 65_535.0

    def up(rows: NDArray[np.uint16]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(rows.transpose(2, 0, 1)).astype(np.float32)) / (high - low) * 2 - 1

    def down(made: Tensor) -> NDArray[np.uint16]:
        return np.asarray((made.add(1).mul(high / 2).round().clamp(0, high)).permute(1, 2, 0).numpy().astype(np.uint16))

    whole, apart, over = np.zeros_like(deep), np.zeros_like(deep), deep.copy()
    translated(generator, deep, Tiling.of(generator, 512), up, down, whole)
    translated(generator, deep, Tiling.of(generator, 96), up, down, apart)
    translated(generator, over, Tiling.of(generator, 96), up, down, over)
    np.testing.assert_array_equal(apart, over)
    assert np.abs(whole.astype(int) - apart).max() <= 16  # of 65,535
    for size in ((1, 1), (3, 40), (17, 5)):
        assert in_tiles(generator, photo(*size), 512).shape == (*size, 3)


def test_what_cannot_be_tiled_is_named() -> None:
    unet = generator_of(FAMILIES[1])
    with pytest.raises(ConfigError, match=r"tile: 40 is too small: .* depends on those up to \d+ beside it; use \d+ or more, better 512"):
        Tiling.of(unet, 40)
    data = Images(shape=(3, 16, 16))
    drawing = Generator(GeneratorConfig("gan", data, 4, DcganGeneratorParams(width=4), 1, 0, ""), nn.Linear(1, 1))
    with pytest.raises(ConfigError, match="draws from latents"):
        Tiling.of(drawing)
    one_size = Generator(unet.config, nn.Conv2d(3, 3, 1))
    with pytest.raises(ConfigError, match="pictures of one size alone"):
        Tiling.of(one_size)
