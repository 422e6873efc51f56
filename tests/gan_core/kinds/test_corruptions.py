"""Spoiled images: each kind against what it says of itself."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from PIL import Image

from gan_core.kinds.corruptions import HOLE, corrupt, holes, plain_restoration
from gan_core.params.common import Corruption

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize("corruption", get_args(Corruption))
def test_the_same_seed_spoils_alike_and_the_image_stays(corruption: Corruption) -> None:
    before = IMAGE.copy()
    first, again = corrupt(IMAGE, corruption, 7), corrupt(IMAGE, corruption, 7)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(IMAGE, before)
    assert (corrupt(IMAGE, corruption, 8) != first).any() == (corruption in ("mask", "noise"))


def test_noise_has_its_deviation() -> None:
    grey = np.full((3, 128, 128), 128, dtype=np.uint8)
    difference = corrupt(grey, "noise", 0).astype(float) - 128
    assert difference.mean() == pytest.approx(0, abs=0.5)
    assert difference.std() == pytest.approx(25, rel=0.02)


def test_a_hole_is_a_square_that_the_spoiled_image_alone_tells() -> None:
    image = IMAGE.copy()
    image[:, 3, 4] = HOLE  # a pixel of the very grey, outside most holes
    sides = set()
    for seed in range(60):
        spoiled = corrupt(image, "mask", seed)
        where = holes(spoiled[None])[0]
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        assert where[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert where.sum() == len(rows) * len(columns) == len(rows) ** 2
        assert np.abs(spoiled.astype(int) - image)[:, ~where].max() <= 1
        sides.add(len(rows))
    assert sides <= set(range(8, 17))
    assert len(sides) > 5


def test_the_mean_of_what_is_around_fills_a_hole() -> None:
    spoiled = corrupt(IMAGE, "mask", 0)
    where = holes(spoiled[None])[0]
    filled = plain_restoration(spoiled[None], "mask", 3)[0]
    np.testing.assert_array_equal(filled[:, ~where], spoiled[:, ~where])
    for channel in range(3):
        assert set(filled[channel][where]) == {round(float(spoiled[channel][~where].mean()))}


def test_downsampling_is_pillows_bicubic_there_and_back() -> None:
    picture = Image.fromarray(IMAGE.transpose(1, 2, 0))
    expected = picture.resize((8, 8), Image.Resampling.BICUBIC).resize((32, 32), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(corrupt(IMAGE, "downsample", 0), np.asarray(expected).transpose(2, 0, 1))
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8) * 8, (1, 32, 32))
    assert np.abs(corrupt(ramp, "downsample", 0)[:, :, 6:-6].astype(int) - ramp[:, :, 6:-6]).max() <= 1  # a straight ramp survives


def test_grey_is_the_luma_of_itu_r_601() -> None:
    spoiled = corrupt(IMAGE, "grey", 0)
    expected = np.tensordot([0.299, 0.587, 0.114], IMAGE.astype(float), axes=1)
    assert spoiled.shape == (1, 32, 32)
    assert np.abs(spoiled[0] - expected).max() <= 1
    np.testing.assert_array_equal(plain_restoration(spoiled[None], "grey", 3)[0], np.repeat(spoiled, 3, axis=0))
