"""Scaling to what networks see, and back."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_core.data.scaling import images_to_bytes, images_to_unit, points_to_data, points_to_unit


def test_every_byte_survives_the_way_there_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    unit = images_to_unit(every)
    assert unit.dtype == torch.float32
    assert (unit.min(), unit.max()) == (-1, 1)
    assert torch.equal(images_to_bytes(unit), every)
    assert torch.equal(every, torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16))


def test_bytes_are_rounded_to_the_nearest_and_clipped() -> None:
    values = torch.tensor([-7.0, -1.0, -1 + 0.4 / 127.5, -1 + 0.6 / 127.5, 0.0, 1.0, 1.5, torch.inf, -torch.inf])
    kept = values.clone()
    assert images_to_bytes(values).tolist() == [0, 0, 0, 1, 128, 255, 255, 255, 0]
    assert torch.equal(values, kept)
    assert images_to_bytes(torch.tensor([0.5], dtype=torch.bfloat16)).dtype == torch.uint8


@given(
    points=st.lists(st.tuples(*[st.floats(-1e3, 1e3, width=32)] * 2), min_size=1, max_size=20),
    mean=st.tuples(*[st.floats(-100, 100)] * 2),
    std=st.tuples(*[st.floats(0.01, 100)] * 2),
)
def test_points_survive_the_way_there_and_back(
    points: list[tuple[float, float]], mean: tuple[float, float], std: tuple[float, float]
) -> None:
    before = torch.tensor(points, dtype=torch.float32)
    unit = points_to_unit(before, mean, std)
    np.testing.assert_allclose(unit, (before.double().numpy() - mean) / std, rtol=1e-5, atol=1e-5 * max(1, 100 / min(std)))
    back = points_to_data(unit, mean, std)
    assert back.dtype == torch.float32
    np.testing.assert_allclose(back, before, rtol=1e-5, atol=1e-3)
