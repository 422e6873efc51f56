"""The latent whose sample is nearest to a given image, found by optimisation (as Abdal et al., 2019, for latents of one normal layer)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gan_core.errors import ConfigError
from gan_core.generator import Generator, Order
from gan_core.kinds.pixels import Pixels
from gan_core.optimizers import Adam

CANDIDATES = 256
"""Samples among which the way begins."""
_STARTS = 4  # of the candidates, from each of which the way is gone
_RATE = 0.1
_SCALES = (1, 2, 4)  # by which both images are reduced, so that what lies beside its place pulls too

Features = Callable[[Tensor], Tensor]
"""From images (N, C, H, W) in -1..1 to (N, D), with a gradient."""


@dataclass(frozen=True)
class Projected:
    """What came nearest to one image."""

    latent: NDArray[np.float32]
    """(latent,)"""
    label: float | None
    """Index of its class, or its number."""
    prompt: str | None
    sample: NDArray[Any]
    """(C, H, W), drawn from it."""
    distance: float
    """Root mean square difference of the pixels, of 255 levels."""
    drawn: float
    """The same of the nearest of `CANDIDATES` samples that were only drawn: what the optimisation began with."""

    @property
    def in_words(self) -> str:
        return (
            f"its pixels differ by {self.distance:.1f} of 255 levels (root mean square); the nearest of {CANDIDATES} drawn at random "
            f"differs by {self.drawn:.1f}"
        )


def project(
    generator: Generator,
    image: NDArray[Any],
    steps: int = 200,
    seed: int = 0,
    label: str | None = None,
    features: Features | None = None,
) -> Projected:
    """Look for the latent of an image; the same arguments give the same on the same machine.

    What is made smaller is the mean square difference of the pixels, at three scales, and of the features, each in units of what it is for
    the candidates. Latents stay within the length that typical ones have, so what is found is what the generator could draw.

    Args:
        generator: of images, from latents.
        image: (C, H, W), as its samples are.
        steps: of Adam, 0 to 10,000; 0 gives the nearest of the candidates.
        seed: of the candidates.
        label: the class, by name; None: that of the candidates that come nearest, of all classes, or captions that it was trained on.
        features: that count beside pixels; None: pixels alone.

    Raises:
        ConfigError: the generator makes no images from latents, the image has another shape, or an argument is out of range.
    """
    check_target(generator)
    config = generator.config
    data = Pixels.of(config.data)
    if image.dtype != data.dtype or image.shape != config.shape:
        raise ConfigError(f"project: expected an image {np.dtype(data.dtype)} {config.shape}, got {image.dtype} {image.shape}")
    if not 0 <= steps <= 10_000:
        raise ConfigError(f"steps: {steps} is not in 0 to 10,000")
    order = generator.order(CANDIDATES, seed, label)
    (candidates,) = generator.draw([order])
    wanted = config.data.to_networks(torch.from_numpy(np.array(image[None])))
    made = config.data.to_networks(torch.from_numpy(candidates.samples))
    with torch.no_grad():
        units = [part.mean().clamp_min(1e-12) for part in _parts(made, wanted, features)]
        chosen = _loss(made, wanted, features, units).topk(_STARTS, largest=False).indices
    found = _descended(generator, order, chosen, wanted, features, units, steps)
    (samples,) = generator.draw([found])
    with torch.no_grad():
        drawn = config.data.to_networks(torch.from_numpy(samples.samples))
        best = int(_loss(drawn, wanted, features, units).argmin())
    at = int(chosen[best % _STARTS])
    return Projected(
        found.first[best].numpy(),
        None if order.labels is None else order.labels[at].item(),
        None if order.prompts is None else order.prompts[at],
        samples.samples[best],
        _apart(data.levels(samples.samples[best]), data.levels(image)),
        _apart(data.levels(candidates.samples[int(chosen[0])]), data.levels(image)),
    )


def check_target(generator: Generator) -> None:
    """Whether there are latents to look for.

    Raises:
        ConfigError: the generator makes no images from latents.
    """
    if generator.config.inputs is not None or len(generator.config.shape) != 3:
        raise ConfigError("project: this generator makes no images from latents, so there is no latent to look for")


def _descended(
    generator: Generator, order: Order, chosen: Tensor, wanted: Tensor, features: Features | None, units: list[Tensor], steps: int
) -> Order:
    """Where some of an order's latents begin, and where they end up."""
    begin = order.first[chosen]
    given = None if order.given is None else order.given[chosen]
    longest = math.sqrt(begin.shape[1]) + 2.0  # longer are fewer than 1 in 400 of normal latents
    latents = begin.clone().requires_grad_(True)
    optimizer = Adam([latents], _RATE)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for _ in range(steps):
        optimizer.zero_grad()
        _loss(generator.network(latents, given), wanted, features, units).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        slower.step()
        with torch.no_grad():
            latents.mul_((longest / latents.norm(dim=1, keepdim=True)).clamp(max=1.0))
    both = torch.cat([begin, latents.detach()])
    return replace(order, first=both, given=None if given is None else torch.cat([given, given]), labels=None, prompts=None)


def _loss(made: Tensor, wanted: Tensor, features: Features | None, units: list[Tensor]) -> Tensor:
    """(N,)"""
    return torch.stack([part / unit for part, unit in zip(_parts(made, wanted, features), units, strict=True)]).sum(dim=0)


def _parts(made: Tensor, wanted: Tensor, features: Features | None) -> list[Tensor]:
    """Mean squares (N,) of what differs between (N, C, H, W) and (1, C, H, W)."""
    scales = [scale for scale in _SCALES if min(made.shape[2:]) >= scale]
    parts = [(F.avg_pool2d(made, scale) - F.avg_pool2d(wanted, scale)).square().mean(dim=(1, 2, 3)) for scale in scales]
    return parts if features is None else [*parts, (features(made) - features(wanted)).square().mean(dim=1)]


def _apart(sample: NDArray[Any], image: NDArray[Any]) -> float:
    """Root mean square difference of two images, in their units."""
    return float(np.sqrt(np.square(sample.astype(np.float64) - image).mean()))
