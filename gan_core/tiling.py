"""Pictures of any size through a generator that translates: in overlapping tiles, so that memory does not grow with the picture.

A pixel of what a convolutional network makes depends on the pixels up to `reach` beside it. Of each tile that much is left out where
another tile lies beside it, so what is kept is what the network makes of the whole picture, and over the next pixels one tile fades into
the other. Sides are padded to what the network takes, by reflection.

Instance normalisation looks at a whole picture, which no tile is. Its means and variances are therefore measured before, on tiles spread
over the picture that together are one batch, and are the same for all tiles: there are no seams, but what is made differs from what the
whole would become in one pass, the more so the less the tiles that were looked at are like the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.errors import ConfigError
from gan_core.generator import Generator

DEFAULT_TILE = 512
_BLEND = 16
"""Pixels over which one tile fades into the next."""
_SEEN = 1 << 18
"""Pixels that instance normalisation's statistics are taken from, at most."""


@dataclass(frozen=True)
class Tiling:
    """How a generator goes over a picture."""

    tile: int
    """Height and width of a tile, a multiple of `multiple`."""
    reach: int
    """How far the pixels lie that a pixel depends on."""
    multiple: int
    """What sides have to be multiples of."""

    @classmethod
    def of(cls, generator: Generator, tile: int | None = None) -> Tiling:
        """For tiles of `tile` pixels; None: 512, or more where a pixel depends on so many that this would be slow.

        Raises:
            ConfigError: the generator does not translate, or takes one size alone; or its pixels depend on more than such a tile holds.
        """
        if generator.config.inputs is None:
            raise ConfigError("tile: this generator draws from latents and is given no pictures; leave it out")
        if not can_tile(generator):
            raise ConfigError("tile: this generator's network takes pictures of one size alone; leave it out")
        network = _translating(generator)
        multiple, reach = int(network.side_multiple), int(network.reach)  # type: ignore[arg-type]
        fewest = _up(2 * reach + _BLEND + multiple, multiple)
        wanted = max(DEFAULT_TILE, 4 * reach) if tile is None else tile
        if wanted < fewest:
            better = _up(max(DEFAULT_TILE, 4 * reach), multiple)
            raise ConfigError(
                f"tile: {tile} is too small: what this generator makes of a pixel depends on those up to {reach} beside it; use {fewest} "
                f"or more, better {better}"
            )
        return cls(_up(wanted, multiple), reach, multiple)

    def starts(self, length: int) -> list[int]:
        """Where tiles begin along a side of `length` pixels, a multiple."""
        if length <= self.tile:
            return [0]
        step = (self.tile - 2 * self.reach - _BLEND) // self.multiple * self.multiple
        return [*range(0, length - self.tile, step), length - self.tile]

    def weights(self, start: int, length: int) -> NDArray[np.float32]:
        """What each pixel of a tile along a side weighs beside those of other tiles: 0 next to them, 1 in the middle."""
        size = min(self.tile, length)
        ramp = np.clip((np.arange(size) - self.reach + 0.5) / _BLEND, 0, 1)
        ones = np.ones(size)
        before, behind = ramp if start else ones, ramp[::-1] if start + size < length else ones
        return np.asarray(np.minimum(before, behind), dtype=np.float32)


def can_tile(generator: Generator) -> bool:
    """Whether a generator takes pictures of any size."""
    network = _translating(generator)
    return len(generator.config.inputs or ()) == 3 and all(hasattr(network, name) for name in ("side_multiple", "reach"))


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def _translating(generator: Generator) -> nn.Module:
    """The network that translates: of a pair of translators, the one that goes there."""
    return generator.network.get_submodule("there") if generator.goes_back else generator.network


Scaled = Callable[[NDArray[Any]], Tensor]
"""Rows (h, w, C) of a picture -> float32 (C', h, w) as networks see them."""
Stored = Callable[[Tensor], NDArray[Any]]
"""What a network made, (C, h, w) -> rows (h, w, C) of a picture."""


@torch.inference_mode()
def translated(
    generator: Generator,
    picture: NDArray[Any],  # (H, W, C)
    tiling: Tiling,
    scaled: Scaled,
    stored: Stored,
    into: NDArray[Any],  # (H, W, C'): may be `picture` itself, where it has as many channels
    on_tile: Callable[[int, int], None] = lambda done, total: None,
    label: int | str | None = None,  # that it is to get, as of `Generator.translate`
) -> None:
    """Write into `into` what the generator makes of a picture; `on_tile` is told how many tiles are done, of how many.

    A picture of no more than one tile goes through the network as a whole.

    Raises:
        ConfigError: as of `Generator.asked_of`.
    """
    height, width = picture.shape[:2]
    device = next(generator.network.parameters()).device
    rows_at, columns_at = (_reflected(length, _padded(length, generator, tiling)) for length in (height, width))
    tops, lefts = tiling.starts(len(rows_at)), tiling.starts(len(columns_at))
    network, asked = _translating(generator), generator.asked_of(1, label)

    def run(images: Tensor) -> Tensor:
        images = images.to(device).contiguous(memory_format=torch.channels_last)
        made: Tensor = network(images) if asked is None else network(images, asked.to(device).expand(len(images)))
        return made

    def made_of(rows: NDArray[Any], left: int) -> NDArray[np.float32]:
        given = scaled(rows[:, columns_at[left : left + tiling.tile]])[None]
        return np.asarray(run(given)[0].float().cpu().numpy())

    def rows_from(first: int, end: int) -> NDArray[Any]:
        return picture[rows_at[first:end]]

    total, done = len(tops) * len(lefts), 0
    with _one_normalisation(network, run, tiling, rows_from, scaled, columns_at, len(rows_at)) if total > 1 else nullcontext():
        band = rows_from(0, tiling.tile)
        # What the band before has a part in: weighted rows, and what they weigh.
        carried, weighed = np.zeros((0, 0, 0), dtype=np.float32), np.zeros(0, dtype=np.float32)
        for number, top in enumerate(tops):
            size, is_last = len(band), number + 1 == len(tops)
            sums = _across(partial(made_of, band), tiling, lefts, len(columns_at))
            done += len(lefts)
            down = tiling.weights(top, len(rows_at))
            sums *= down[:, None, None]
            if number:
                sums[: len(carried)] += carried
                down[: len(weighed)] += weighed
            end = size if is_last else tops[number + 1] - top
            if not is_last:
                # Read before anything is written over it.
                band = np.concatenate([band[end:], rows_from(top + size, top + end + size)])
                carried, weighed = sums[end:].copy(), down[end:]
            ready = sums[: min(end, height - top), :width]
            ready /= down[: len(ready), None, None]
            into[top : top + len(ready)] = stored(torch.from_numpy(ready).permute(2, 0, 1))
            on_tile(done, total)


def _across(made_of: Callable[[int], NDArray[np.float32]], tiling: Tiling, lefts: Sequence[int], width: int) -> NDArray[np.float32]:
    """One row of tiles, faded into each other: (h, width, C)."""
    sums: NDArray[np.float32] | None = None
    weights = np.zeros(width, dtype=np.float32)
    for left in lefts:
        tile = made_of(left).transpose(1, 2, 0)
        own = tiling.weights(left, width)
        if sums is None:
            sums = np.zeros((tile.shape[0], width, tile.shape[2]), dtype=np.float32)
        sums[:, left : left + len(own)] += tile * own[None, :, None]
        weights[left : left + len(own)] += own
    assert sums is not None  # noqa: S101  there is one tile at least
    sums /= weights[None, :, None]
    return sums


def _padded(length: int, generator: Generator, tiling: Tiling) -> int:
    """The side that a picture is padded to: a multiple, and no less than the generator was trained on."""
    least = min((generator.config.inputs or generator.config.shape)[1:])
    return _up(max(length, least), tiling.multiple)


def _reflected(length: int, padded: int) -> NDArray[np.int64]:
    """For each pixel of a padded side the one of the picture that stands there."""
    return np.pad(np.arange(length), (0, padded - length), mode="symmetric")


@contextmanager
def _one_normalisation(
    network: nn.Module,
    run: Callable[[Tensor], Tensor],
    tiling: Tiling,
    rows_from: Callable[[int, int], NDArray[Any]],
    scaled: Scaled,
    columns_at: NDArray[np.int64],
    height: int,
) -> Iterator[None]:
    """Instance normalisation by the same statistics in all tiles, measured on some that are spread over the picture."""
    layers = [module for module in network.modules() if isinstance(module, nn.InstanceNorm2d)]
    if not layers:
        yield
        return
    side = min(_up(max(4 * tiling.multiple, 2 * tiling.reach), tiling.multiple), height, len(columns_at), tiling.tile)
    count = max(1, _SEEN // side**2)
    across = max(1, min(round(math.sqrt(count * len(columns_at) / height)), len(columns_at) // side))
    down = max(1, min(count // across, height // side))
    tops, lefts = (
        [round(place) // tiling.multiple * tiling.multiple for place in np.linspace(0, length - side, number)]
        for length, number in ((height, down), (len(columns_at), across))
    )
    tiles = [scaled(rows_from(top, top + side)[:, columns_at[left : left + side]]) for top in tops for left in lefts]
    kept: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def normalise(layer: nn.InstanceNorm2d, features: Tensor) -> Tensor:
        if layer not in kept:
            variance, mean = torch.var_mean(features.float(), dim=(0, 2, 3), correction=0)
            kept[layer] = mean, variance
        mean, variance = kept[layer]
        return F.batch_norm(features, mean, variance, layer.weight, layer.bias, training=False, eps=layer.eps)

    try:
        for layer in layers:
            layer.forward = partial(normalise, layer)  # type: ignore[method-assign]
        run(torch.stack(tiles))
        yield
    finally:
        for layer in layers:
            del layer.forward
