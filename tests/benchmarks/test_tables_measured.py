"""What is measured of generated tables is what sdmetrics 0.32.0 says of the same rows: the numbers here are its own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.tables import quality, trend
from gan_core.kinds.schema import Column

COLUMNS = (
    Column("x", "number", "int64"),
    Column("y", "number", "float64"),
    Column("c", "category", "string", ("0", "1", "2")),
    Column("d", "category", "string", ("0", "1")),
)


def rows(seed: int, shift: int) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    x = random.integers(0, 9, 500) + shift
    y = np.round(x + random.normal(0, 1, 500), 2)
    c = (x + random.integers(0, 2, 500)) % 3
    return np.stack([x, y, c, random.random(500) < 0.3], axis=1).astype(float)


def test_shapes_and_the_report_of_pairs_are_those_of_its_quality_report() -> None:
    found = quality(rows(0, 0), rows(1, 1), COLUMNS)
    assert found["shapes"] == pytest.approx(0.929)
    assert found["report"] == pytest.approx(0.7191736897616827)  # x and y, x and c alone go together; each side has parts of its own


@pytest.mark.parametrize(("pair", "similarity"), [((0, 2), 0.83), ((1, 2), 0.832), ((0, 3), 0.832), ((1, 3), 0.85)])
def test_a_number_beside_a_category_is_told_by_the_parts_of_the_real_range(pair: tuple[int, int], similarity: float) -> None:
    """ContingencySimilarity's."""
    real, generated = (side[:, list(pair)] for side in (rows(0, 0), rows(1, 1)))
    assert trend(real, generated, [COLUMNS[k] for k in pair]) == pytest.approx(similarity)
