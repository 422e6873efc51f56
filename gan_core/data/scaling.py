"""Between a sample as it is stored and as networks see it.

Images, clips and volumes: uint8 0..255 on disk, float32 -1..1 in the networks; deeper images likewise, from the values that are black and
white. Points: any range on disk, mean 0 and deviation 1 a column in the networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def channels_last(dimensions: int) -> torch.memory_format:
    """The memory layout in which convolutions of tensors with so many dimensions are fastest, on either device."""
    import torch

    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(dimensions, torch.contiguous_format)


def images_to_unit(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1."""
    return images.float().div_(127.5).sub_(1.0)


def images_to_bytes(images: Tensor) -> Tensor:
    """float -1..1 -> uint8 0..255, rounded; what lies outside is clipped."""
    return images.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).byte()


def values_to_unit(values: Tensor, low: float, high: float) -> Tensor:
    """Any numbers -> float32, `low` as -1 and `high` as 1; what lies outside is clipped."""
    return values.float().sub(low).mul_(2.0 / (high - low)).sub_(1.0).clamp_(-1.0, 1.0)


def unit_to_values(unit: Tensor, low: float, high: float) -> Tensor:
    """The inverse of `values_to_unit`: float32, not rounded."""
    return unit.float().clamp(-1.0, 1.0).add_(1.0).mul_((high - low) / 2.0).add_(low)


def points_to_unit(points: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """float32 (N, D) -> the same with each column's mean taken off and divided by its deviation."""
    return (points - points.new_tensor(mean)) / points.new_tensor(std)


def points_to_data(points: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The inverse of `points_to_unit`."""
    points = points.float()
    return points * points.new_tensor(std) + points.new_tensor(mean)
