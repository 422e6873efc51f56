"""Changes that make a small data set larger.

`augment` is for images and volumes (DiffAugment, Zhao et al., 2020): the same family of changes for real and generated ones, and
differentiable, so that only what the discriminator sees is changed and the generator never learns to draw the changes.
`mirrored_and_shifted` is for pairs, whose two images change alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, colour: bool = True, strength: Tensor | None = None) -> Tensor:
    """Colour (unless told not to), translation and cutout, each sample by its own draw: float (N, C, ...) in -1..1, the same shape.

    With a `strength`, a scalar, each of the three is made with that probability, for each sample by its own draw.
    """
    for change in (*([_colour] if colour else []), _translation, _cutout):
        changed = change(images)
        if strength is None:
            images = changed
        else:
            chosen = torch.rand(len(images), *[1] * (images.dim() - 1), device=images.device) < strength
            images = torch.where(chosen, changed, images)
    return images


def mirrored(images: Tensor) -> Tensor:
    """Each image with left and right exchanged or as it is, by its own draw: (N, C, H, W), the same shape."""
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(chosen, images.flip(3), images)


def varied(images: Tensor) -> Tensor:
    """Random crops of 60 to 100 % of the side, up to 15 % wider or narrower, scaled back to the whole; half of them mirrored.

    For fitting a classifier on few photographs (Szegedy et al., 2015). Float (N, C, H, W), the same shape.
    """
    n = len(images)

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(n, device=images.device) * (high - low) + low

    side = draw(0.6, 1.0)
    transform = torch.zeros(n, 2, 3, device=images.device)
    transform[:, 0, 0] = side * draw(0.85, 1.15) * torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
    transform[:, 1, 1] = side
    transform[:, 0, 2] = draw(-1, 1) * (1 - side)
    transform[:, 1, 2] = draw(-1, 1) * (1 - side)
    places = F.affine_grid(transform, list(images.shape), align_corners=False)
    return F.grid_sample(images, places, padding_mode="reflection", align_corners=False)


def mirrored_and_shifted(inputs: Tensor, outputs: Tensor, flip: bool, jitter: float) -> tuple[Tensor, Tensor]:
    """Pairs with both images mirrored, half of the time, and shifted by up to `jitter` of the side, what is missing reflected.

    Args:
        inputs: (N, C', H, W).
        outputs: (N, C, H, W).
        flip: whether pairs are mirrored at all.
        jitter: 0 to 0.25.
    """
    both = torch.cat([inputs, outputs], dim=1)
    n, _, height, width = both.shape
    if flip:
        mirrored = torch.rand(n, 1, 1, 1, device=both.device) < 0.5
        both = torch.where(mirrored, both.flip(3), both)
    down, right = int(height * jitter + 0.5), int(width * jitter + 0.5)
    if down or right:
        padded = F.pad(both, (right, right, down, down), mode="reflect")
        tops = torch.randint(0, 2 * down + 1, (n,)).tolist()
        lefts = torch.randint(0, 2 * right + 1, (n,)).tolist()
        both = torch.stack([one[:, y : y + height, x : x + width] for one, y, x in zip(padded, tops, lefts, strict=True)])
    first, second = both[:, : inputs.shape[1]], both[:, inputs.shape[1] :]
    return first.contiguous(memory_format=torch.channels_last), second.contiguous(memory_format=torch.channels_last)


def _colour(images: Tensor) -> Tensor:
    """Brightness within +-0.5, saturation within 0..2, contrast within 0.5..1.5; of other than three channels, which are no colours, and
    change alike, no saturation."""

    def draw() -> Tensor:
        return torch.rand(len(images), 1, 1, 1, device=images.device)

    images = images + (draw() - 0.5)
    saturation = draw() * 2
    if images.shape[1] in (1, 3):
        images = torch.lerp(images.mean(dim=1, keepdim=True), images, saturation)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(middle, images, draw() + 0.5)


def _translation(images: Tensor, share: float = 0.125) -> Tensor:
    """Shifts by up to an eighth of each side, filled with grey (0)."""
    n, _, *sides = images.shape
    limits = [int(side * share + 0.5) for side in sides]
    padded = F.pad(images, [limit for limit in reversed(limits) for _ in range(2)])
    places = [torch.arange(n, device=images.device).view(n, *[1] * len(sides))]
    for axis, (side, limit) in enumerate(zip(sides, limits, strict=True)):
        moved = torch.randint(0, 2 * limit + 1, (n, 1), device=images.device) + torch.arange(side, device=images.device)
        places.append(_along(moved, axis, len(sides)))
    return padded.movedim(1, -1)[tuple(places)].movedim(-1, 1)


def _cutout(images: Tensor, share: float = 0.5) -> Tensor:
    """A square (a cube) of half of each side, at a random place that may reach over the edge, set to grey (0)."""
    n, _, *sides = images.shape
    inside = torch.ones(n, *[1] * len(sides), dtype=torch.bool, device=images.device)
    for axis, side in enumerate(sides):
        size, places = int(side * share + 0.5), torch.arange(side, device=images.device)
        first = torch.randint(0, side + (1 - size % 2), (n, 1), device=images.device) - size // 2
        inside = inside & _along((places >= first) & (places < first + size), axis, len(sides))
    return images.masked_fill(inside[:, None], 0.0)


def _along(rows: Tensor, axis: int, axes: int) -> Tensor:
    """What is said of the places of one axis of each sample, (N, side), beside the other axes: (N, 1, ..., side, ..., 1)."""
    return rows.view(len(rows), *[1] * axis, -1, *[1] * (axes - 1 - axis))
