"""Volumes as pictures: seen from one side, lit by a lamp beside the eye."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

AZIMUTH, ELEVATION = -60.0, 25.0
"""Where the eye is, in degrees: around the upright axis from the first one on, and above the ground."""

_SIDES = 4
_EXTENT = 1.45  # half the width that is seen; half of a volume's side is 1
_CHUNK = 16  # volumes at once
_SOLID = 0.35  # of the density between voxels, from which on a ray stops: a leg one voxel wide is seen as a line and not as dots
_DARKEST, _BRIGHTEST, _PAPER = 40, 235, 255


def shaded(
    volumes: NDArray[np.uint8], azimuth: float = AZIMUTH, elevation: float = ELEVATION, side: int | None = None
) -> NDArray[np.uint8]:
    """What is seen of volumes (N, 1, X, Y, Z), filled where at least 128, with Z upright: grey pictures on white, uint8 (N, 1, side, side).

    Each ray stops at the first filled place; how much the surface there faces the eye is how bright it is (headlight shading).

    Args:
        azimuth: degrees.
        elevation: degrees.
        side: of a picture, in pixels; None: twice the volumes' longest side, at least 64.
    """
    import torch

    side = side or max(64, 2 * max(volumes.shape[2:]))
    seen_from = eye(azimuth, elevation)
    found = [
        _seen(torch.from_numpy(np.array(volumes[start : start + _CHUNK])).float() / 255, seen_from, side).numpy()
        for start in range(0, len(volumes), _CHUNK)
    ]
    return np.concatenate(found) if found else np.empty((0, 1, side, side), dtype=np.uint8)


def from_all_sides(volumes: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Volumes (N, 1, X, Y, Z) as `shaded` pictures them, from four sides, a quarter of a turn apart."""
    return [shaded(volumes, azimuth=AZIMUTH + 360 * turn / _SIDES) for turn in range(_SIDES)]


def eye(azimuth: float, elevation: float) -> Tensor:
    """To the right, upwards and towards the eye that stands there, in degrees: (3, 3), each row as (x, y, z)."""
    import torch

    azimuth, elevation = math.radians(azimuth), math.radians(elevation)
    around, above = (math.cos(azimuth), math.sin(azimuth)), (math.cos(elevation), math.sin(elevation))
    return torch.tensor(
        [
            [-around[1], around[0], 0.0],
            [-above[1] * around[0], -above[1] * around[1], above[0]],
            [above[0] * around[0], above[0] * around[1], above[1]],
        ]
    )


def _seen(density: Tensor, eye: Tensor, side: int) -> Tensor:
    import torch
    import torch.nn.functional as F

    n = len(density)
    steps, depths = (torch.linspace(-_EXTENT, _EXTENT, count) for count in (side, 2 * max(density.shape[2:])))
    # Places (depth, row, column) as (x, y, z): the nearest first, the highest first.
    near, up, right = torch.meshgrid(depths.flip(0), steps.flip(0), steps, indexing="ij")
    places = torch.stack([right, up, near], dim=-1) @ eye

    def at(field: Tensor, where: Tensor) -> Tensor:  # torch counts axes from the last one on
        return F.grid_sample(field, where.flip(-1), align_corners=False)

    filled = at(density, places.expand(n, *places.shape))[:, 0] >= _SOLID
    hit, first = filled.any(dim=1), filled.int().argmax(dim=1)
    surface = places[first, torch.arange(side)[:, None], torch.arange(side)][:, None]
    smooth = F.avg_pool3d(F.avg_pool3d(density, 3, 1, 1), 3, 1, 1)
    slopes = torch.cat(torch.gradient(smooth, dim=(2, 3, 4)), dim=1)
    normals = F.normalize(-at(slopes, surface)[:, :, 0], dim=1)
    facing = torch.einsum("nchw,c->nhw", normals, eye[2]).clamp(0, 1)
    picture = torch.where(hit, _DARKEST + (_BRIGHTEST - _DARKEST) * facing, torch.tensor(float(_PAPER)))
    return picture.round().byte()[:, None]
