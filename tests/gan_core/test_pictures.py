"""Grids and scatters: where each pixel goes, and the same bytes each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core import pictures
from gan_core.kinds.schema import Column


def tiles(n: int, channels: int, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Image i is all of value i, so that a tile tells which image it is."""
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, channels, side, side)).copy()


@pytest.mark.parametrize(
    ("n", "columns", "rows_and_columns"),
    [(1, None, (1, 1)), (4, None, (2, 2)), (5, None, (2, 3)), (64, None, (8, 8)), (10, 5, (2, 5)), (7, 3, (3, 3)), (3, 10, (1, 10))],
)
def test_a_grid_s_size_and_the_place_of_each_image(n: int, columns: int | None, rows_and_columns: tuple[int, int]) -> None:
    rows, across = rows_and_columns
    sheet = pictures.grid(tiles(n, 1, 32), columns)
    assert sheet.shape == (rows * 34 + 2, across * 34 + 2, 3)
    assert sheet.dtype == np.uint8
    expected = np.full_like(sheet, 255)
    for i in range(n):
        top, left = i // across * 34 + 2, i % across * 34 + 2
        expected[top : top + 32, left : left + 32] = i
    np.testing.assert_array_equal(sheet, expected)


@pytest.mark.parametrize(("side", "shown"), [(8, 32), (16, 32), (28, 56), (32, 32), (64, 64), (5, 35)])
def test_small_images_are_enlarged_by_whole_factors_without_smoothing(side: int, shown: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 3, side, side), dtype=np.uint8)
    sheet = pictures.grid(image)
    assert sheet.shape == (shown + 4, shown + 4, 3)
    factor = shown // side
    np.testing.assert_array_equal(sheet[2:-2:factor, 2:-2:factor], image[0].transpose(1, 2, 0))
    np.testing.assert_array_equal(sheet[2:-2, 2:-2], np.kron(image[0].transpose(1, 2, 0), np.ones((factor, factor, 1), np.uint8)))


def test_grey_images_are_grey_and_coloured_ones_keep_their_channels() -> None:
    assert (np.ptp(pictures.grid(tiles(3, 1, 32)), axis=2) == 0).all()
    red = np.zeros((1, 3, 32, 32), np.uint8)
    red[:, 0] = 200
    assert pictures.grid(red)[10, 10].tolist() == [200, 0, 0]


def test_a_scatter_shows_points_where_they_are() -> None:
    """x to the right, y upwards, real points in grey below generated ones in red."""
    real = np.array([[1.0, 1.0], [-1.0, -1.0]], np.float32)
    made = np.array([[1.0, -1.0], [-1.0, -1.0]], np.float32)
    sheet = pictures.scatter(made, real, size=101)
    assert sheet.shape == (101, 101, 3)
    low, high = round((1 - 1 / 1.15) * 50), round((1 + 1 / 1.15) * 50)
    grey, red, white = [170, 178, 189], [208, 62, 41], [255, 255, 255]
    assert sheet[low, high].tolist() == grey  # (1, 1): above, right
    assert sheet[high, high].tolist() == red  # (1, -1): below, right
    assert sheet[high, low].tolist() == red  # both: the generated one on top
    assert sheet[low, low].tolist() == white
    assert (sheet != 255).any(axis=2).sum() == 3 * 4


def test_the_scale_is_that_of_the_real_points_and_what_lies_outside_is_left_out() -> None:
    real = np.array([[2.0, 0.0], [0.0, -2.0]], np.float32)
    wild = np.array([[1e30, 0.0], [np.nan, 1.0], [np.inf, -np.inf], [0.0, 0.0]], np.float32)
    with np.errstate(invalid="ignore"):
        with_wild, without = pictures.scatter(wild, real), pictures.scatter(wild[3:], real)
    np.testing.assert_array_equal(with_wild, without)
    alone = pictures.scatter(real)
    assert (alone == [208, 62, 41]).all(axis=2).sum() == 2 * 4


def test_a_png_has_the_picture_s_pixels_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    sheet = pictures.grid(np.random.default_rng(0).integers(0, 256, (9, 3, 16, 16), dtype=np.uint8))
    pictures.save_png(sheet, tmp_path / "deep" / "down" / "one.png")
    pictures.save_png(sheet.copy(), tmp_path / "two.png")
    with Image.open(tmp_path / "two.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), sheet)
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "deep" / "down" / "one.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "two.png"]  # nothing half-written beside it


def test_a_picture_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pictures.save_png(np.zeros((4, 4, 3), np.uint8), path)
    before = path.read_bytes()
    with pytest.raises((TypeError, ValueError)):
        pictures.save_png(np.zeros((4, 4, 9), np.uint8), path)
    assert path.read_bytes() == before


class TestHistograms:
    COLUMNS = (
        Column("height", "number", "float64", low=0.0, high=24.0),
        Column("a name that is far too long for the panel of this column", "category", "string", ("x", "y")),
    )

    def test_bars_of_real_and_steps_of_generated_values(self) -> None:
        """All real heights in the first bin and all generated ones in the last: grey to the left, red to the right, at full height."""
        real, generated = np.array([[0.5, 0.0]] * 4), np.array([[23.5, 1.0]] * 4)
        sheet = pictures.histograms(real, generated, self.COLUMNS)
        assert sheet.dtype == np.uint8
        assert sheet.shape[2] == 3
        grey, red = ((sheet == colour).all(axis=2) for colour in (pictures._REAL, pictures._GENERATED))
        panel = sheet.shape[1] // 2
        assert np.flatnonzero(grey[:, :panel].any(axis=0)).max() < panel // 8
        tall = red[:, :panel].sum(axis=0) > 50
        assert np.flatnonzero(tall).min() > panel * 3 // 4

    def test_equal_values_are_drawn_over_each_other_and_odd_ones_somewhere(self) -> None:
        values = np.array([[1e9, 1.0], [-1e9, 0.0]])  # out of range: in the outermost bins
        first = pictures.histograms(values, values, self.COLUMNS)
        np.testing.assert_array_equal(first, pictures.histograms(values, values, self.COLUMNS))
        assert (first == pictures._GENERATED).all(axis=2).any()

    def test_of_many_categories_the_most_frequent_are_kept_and_the_others_counted(self) -> None:
        column = Column("town", "category", "string", tuple(f"t{i}" for i in range(40)))
        real = np.concatenate([np.full(60, 39.0), np.full(30, 5.0), np.arange(40.0)])
        generated = np.concatenate([np.full(10, 39.0), np.full(30, 0.0)])
        (of_real, of_generated), others = pictures._shares(real, generated, column)
        assert (len(of_real), others) == (24, 40 - 23)
        np.testing.assert_allclose(of_real[:2], [61 / 130, 31 / 130])
        np.testing.assert_allclose([of_real.sum(), of_generated.sum()], 1)
        assert of_generated[0] == 0.25
        few = Column("town", "category", "string", tuple(f"t{i}" for i in range(24)))
        (kept, _), none = pictures._shares(np.arange(24.0), np.arange(24.0), few)
        assert (len(kept), none) == (24, 0)

    def test_pairs_of_rows_say_which_columns_they_show(self) -> None:
        names = [Column(f"a rather long name {i}", "number", "float64", low=0.0, high=1.0) for i in range(300)]
        few = pictures.profiles(np.zeros((6, 2)), np.ones((6, 2)), names[:2])
        many = pictures.profiles(np.zeros((6, 300)), np.ones((6, 300)), names)
        inked = [(picture == pictures._INK).all(axis=2).any(axis=1) for picture in (few, many)]
        assert few.shape[0] < many.shape[0] < few.shape[0] + 150, "a key of a few lines, however many columns"
        assert all(rows[-25:].any() for rows in inked)

    def test_a_pair_of_rows_is_a_panel(self) -> None:
        """The generated row high on the left and low on the right, the other one the other way round."""
        columns = (self.COLUMNS[0], self.COLUMNS[1])
        generated, other = np.array([[24.0, 0.0]] * 7), np.array([[0.0, 1.0]] * 7)
        sheet = pictures.profiles(generated, other, columns)
        single = pictures.profiles(generated[:1], other[:1], columns)
        assert sheet.shape[1] > 5 * single.shape[1]
        panels = (sheet == pictures._REAL).all(axis=2).any(axis=1)
        assert np.flatnonzero(np.diff(panels.astype(int)) == 1).size == 2, "seven panels stand in two rows"
        grey, red = ((single == colour).all(axis=2) for colour in (pictures._REAL, pictures._GENERATED))
        middle, half = single.shape[1] // 2, single.shape[0] // 2
        assert grey[:half, middle + 10 :].any()
        assert not grey[:half, : middle - 10].any()
        assert red[:half, : middle - 10].any()
        assert not red[:half, middle + 10 :].any()

    def test_many_columns_stand_in_rows_of_six(self) -> None:
        columns = self.COLUMNS[:1] * 13
        sheet = pictures.histograms(np.zeros((5, 13)), np.zeros((5, 13)), columns)
        single = pictures.histograms(np.zeros((5, 6)), np.zeros((5, 6)), columns[:6])
        assert sheet.shape[1] == single.shape[1]
        assert sheet.shape[0] > 2.8 * single.shape[0]
