"""Latents to draw samples from: independent ones, truncated ones, and a walk from one to the next."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_core.errors import ConfigError
from gan_core.randomness import mix

FRAMES = 8
"""Latents of a walk from one stop to the next, where there are enough of them."""

STOPS = 3
"""Fewest stops of a walk: a way there and back through one other would show each picture twice."""


def independent(n: int, length: int, seed: int, truncation: float | None = None) -> Tensor:
    """`n` normal latents, (n, length); the first m of more latents are not the same m.

    Args:
        truncation: no coordinate is larger than this: typical samples at the cost of variety (Brock et al., 2019), above 0.
    """
    # Mixed, since torch's generator on the CPU looks at a seed's low 32 bits alone.
    generator = torch.Generator().manual_seed(mix(seed))
    if truncation is None:
        return torch.randn(n, length, generator=generator)
    # By the inverse of the distribution, so that each latent takes one draw.
    edge = 0.5 * math.erfc(truncation / math.sqrt(2))
    uniform = torch.rand(n, length, generator=generator, dtype=torch.float64)
    drawn: Tensor = torch.special.ndtri(edge + uniform * (1 - 2 * edge))
    return drawn.to(torch.float32).clamp_(-truncation, truncation)


def walk(n: int, length: int, seed: int, truncation: float | None = None) -> Tensor:
    """`n` latents on a closed way, (n, length), that passes a new stop every `FRAMES` of them, and `STOPS` at least.

    Between stops the way follows the sphere (Shoemake, 1985), on which normal latents lie; the last step leads back to the first stop.

    Raises:
        ConfigError: `n` is too small to go anywhere.
    """
    if n < STOPS:
        raise ConfigError(f"walk: {n} samples go nowhere; ask for {STOPS} at least, or for {STOPS * FRAMES} to see it move")
    stops = independent(max(STOPS, math.ceil(n / FRAMES)), length, seed, truncation)
    at = torch.arange(n) * len(stops) / n
    start = at.long()
    return between(stops[start], stops[(start + 1) % len(stops)], (at - start).unsqueeze(1))


def between(one: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """Latents on the way from one to the other, along the sphere (Shoemake, 1985): all of that shape, or of one that spreads to it.

    Args:
        one: (N, latent).
        other: (N, latent).
        share: (N, 1) of the way; 0 is `one`.
    """
    cosine = torch.nn.functional.cosine_similarity(one, other, dim=1).clamp(-1, 1).unsqueeze(1)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    straight = torch.lerp(one, other, share)
    curved = (torch.sin((1 - share) * angle) * one + torch.sin(share * angle) * other) / sine.clamp_min(1e-6)
    return torch.where(sine > 1e-6, curved, straight)
