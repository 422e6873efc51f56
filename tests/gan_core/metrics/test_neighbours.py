"""The two nearest neighbours against scipy's tree, block by block."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from gan_core.errors import DataError
from gan_core.metrics.neighbours import TwoNearest


@pytest.mark.parametrize("block", [1, 7, 100, 1000])
def test_agrees_with_scipy_however_the_references_come(block: int) -> None:
    random = np.random.default_rng(0)
    references, queries = random.normal(3, 1, size=(100, 4)), random.normal(3, 1, size=(30, 4))
    found = TwoNearest(queries)
    for start in range(0, 100, block):
        found.update(references[start : start + block])
    distances, indices = KDTree(references).query(queries, k=2)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9)
    np.testing.assert_array_equal(found.index, indices[:, 0])
    np.testing.assert_allclose(found.ratio, distances[:, 0] / distances[:, 1], rtol=1e-9)
    assert found.seen == 100


def test_a_reference_that_is_the_query_itself() -> None:
    found = TwoNearest(np.array([[3.0, 4.0], [0.0, 0.0]]))
    found.update(np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 1.0]]))
    assert found.ratio.tolist() == [0.0, pytest.approx(1 / 5)]
    assert found.index[1] == 2


def test_one_reference_has_no_second() -> None:
    found = TwoNearest(np.zeros((1, 2)))
    found.update(np.ones((1, 2)))
    assert found.distances.tolist() == [[pytest.approx(np.sqrt(2)), np.inf]]


def test_what_cannot_be_searched() -> None:
    found = TwoNearest(np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"expected references \(M, 3\), got \(4, 2\)"):
        found.update(np.zeros((4, 2)))
    with pytest.raises(DataError, match="not finite among references 0 to 3"):
        found.update(np.full((4, 3), np.nan))
