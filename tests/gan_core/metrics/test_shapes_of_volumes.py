"""Volumes beside volumes: overlap, nearest neighbours, pieces."""

from __future__ import annotations

import numpy as np
import pytest

from gan_core.metrics.shapes import in_one_piece, matches, overlaps, pieces


def bar(start: int, stop: int) -> np.ndarray:
    grid = np.zeros((1, 4, 4, 40), dtype=np.uint8)
    grid[0, 1, 1, start:stop] = 255
    return grid


def bars(*ends: tuple[int, int]) -> np.ndarray:
    return np.stack([bar(*end) for end in ends])


def test_overlap_is_what_both_fill_over_what_either_fills() -> None:
    found = overlaps(bars((0, 4), (0, 0)), bars((0, 4), (2, 6), (10, 12), (0, 0)))
    np.testing.assert_allclose(found, [[1, 2 / 6, 0, 0], [0, 0, 0, 1]])


def test_two_sets_alike_are_not_told_apart_and_all_are_covered() -> None:
    real = bars((0, 5), (10, 16), (20, 27), (30, 38))
    same = matches(real, real.copy())
    assert same.coverage == 1
    assert same.accuracy == 0  # each has its double in the other set: closer than samples of one distribution are
    near, far = bars((0, 5), (1, 6), (20, 27), (21, 28)), bars((10, 13), (11, 14), (30, 33), (31, 34))
    apart = matches(near, far)
    assert apart.accuracy == 1
    assert apart.coverage == 0


def test_a_generator_that_draws_nothing_is_told_at_once() -> None:
    found = matches(bars((0, 5), (1, 6), (20, 27), (21, 28)), bars((0, 0), (0, 0), (0, 0), (0, 0)))
    assert found.accuracy == 1
    assert found.coverage == 0


def test_faces_join_voxels_and_edges_do_not() -> None:
    whole, parts, empty = bar(0, 8), bar(0, 6), bar(0, 0)
    parts[0, 2, 2, 6:8] = 255
    assert in_one_piece(np.stack([whole, parts, empty])).tolist() == pytest.approx([1, 0.75, 0])
    assert [pieces(one[0] > 0) for one in (whole, parts, empty)] == [1, 2, 0]
