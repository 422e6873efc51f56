from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.errors import ConfigError
from gan_core.generator import Samples
from gan_core.pictures import grid, scatter
from tasks import samples as samples_module
from tasks.sample_files import write_samples
from tasks.samples import encode_png

RANDOM = np.random.default_rng(0)
GREY = Samples(RANDOM.integers(0, 256, (12, 1, 16, 16), dtype=np.uint8), np.arange(12) % 3, "images")
COLOUR = Samples(RANDOM.integers(0, 256, (5, 3, 8, 8), dtype=np.uint8), None, "images")
POINTS = Samples(RANDOM.normal(size=(20, 2)).astype(np.float32), None, "points")
CLASSES = ("cat", "dog", "../a bird")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


class TestPng:
    @pytest.mark.parametrize("samples", [GREY, COLOUR])
    def test_images_become_a_grid(self, samples: Samples, tmp_path: Path) -> None:
        write_samples(samples, tmp_path / "new" / "grid.png")
        np.testing.assert_array_equal(pixels(tmp_path / "new" / "grid.png"), grid(samples.samples))

    def test_points_become_a_scatter(self, tmp_path: Path) -> None:
        write_samples(POINTS, tmp_path / "points.PNG")
        np.testing.assert_array_equal(pixels(tmp_path / "points.PNG"), scatter(POINTS.samples))

    @pytest.mark.parametrize("samples", [GREY, COLOUR])
    def test_images_become_an_endless_film(self, samples: Samples, tmp_path: Path) -> None:
        write_samples(samples, tmp_path / "walk.gif")
        with Image.open(tmp_path / "walk.gif") as film:
            assert film.n_frames == len(samples.samples)  # type: ignore[attr-defined]
            assert film.info["loop"] == 0
            assert film.size[0] % samples.samples.shape[-1] == 0
            film.seek(3)
            brightness = np.asarray(film.convert("L")).mean()
        image = Image.fromarray(np.squeeze(samples.samples[3].transpose(1, 2, 0)))
        assert brightness == pytest.approx(np.asarray(image.convert("L")).mean(), abs=3)

    @pytest.mark.parametrize("samples", [GREY, COLOUR])
    def test_an_encoded_image_is_the_image(self, samples: Samples) -> None:
        decoded = np.asarray(Image.open(BytesIO(encode_png(samples.samples[3]))))
        np.testing.assert_array_equal(decoded.reshape(*decoded.shape[:2], -1).transpose(2, 0, 1), samples.samples[3])


class TestNpz:
    def test_images_and_labels(self, tmp_path: Path) -> None:
        write_samples(GREY, tmp_path / "out.npz", CLASSES)
        with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
            assert set(arrays) == {"images", "labels", "classes"}
            assert tuple(arrays["classes"]) == CLASSES
            assert (arrays["images"].dtype, arrays["labels"].dtype) == (np.uint8, np.int64)
            np.testing.assert_array_equal(arrays["images"], GREY.samples)
            np.testing.assert_array_equal(arrays["labels"], GREY.labels)

    def test_points(self, tmp_path: Path) -> None:
        write_samples(POINTS, tmp_path / "out.npz")
        with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
            assert set(arrays) == {"points"}
            assert arrays["points"].dtype == np.float32
            np.testing.assert_array_equal(arrays["points"], POINTS.samples)


class TestFolder:
    def test_one_png_each_with_number_and_class(self, tmp_path: Path) -> None:
        write_samples(GREY, tmp_path / "out", CLASSES)
        names = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert names[:3] == ["00-cat.png", "01-dog.png", "02-.._a_bird.png"]
        assert len(names) == 12
        np.testing.assert_array_equal(pixels(tmp_path / "out" / "01-dog.png"), GREY.samples[1, 0])

    def test_without_labels_the_number_is_the_name(self, tmp_path: Path) -> None:
        write_samples(COLOUR, tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png", "3.png", "4.png"]

    def test_points_are_a_table(self, tmp_path: Path) -> None:
        write_samples(POINTS, tmp_path / "out")
        write_samples(POINTS, tmp_path / "out.csv")
        assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "out" / "points.csv").read_bytes()
        assert (tmp_path / "out" / "points.csv").read_text().splitlines()[0] == "x0,x1"
        table = np.loadtxt(tmp_path / "out" / "points.csv", delimiter=",", skiprows=1, dtype=np.float32)
        np.testing.assert_array_equal(table, POINTS.samples)

    def test_an_empty_folder_is_filled(self, tmp_path: Path) -> None:
        (tmp_path / "out.d").mkdir()
        write_samples(COLOUR, tmp_path / "out.d")
        assert len(list((tmp_path / "out.d").iterdir())) == 5

    def test_a_folder_with_something_in_it_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("years of work")
        with pytest.raises(ConfigError, match="out: holds files already"):
            write_samples(COLOUR, tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["grid.png", "out.npz"])
def test_the_same_samples_give_the_same_bytes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_samples(GREY, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    monkeypatch.setattr("time.localtime", lambda *_: (2001, 1, 1, 1, 1, 1, 0, 1, 0))
    write_samples(GREY, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"grid\.bmp: \.bmp is no form .* use \.webp, \.tiff, \.tif, \.png, \.npz, \.jpg"):
        write_samples(GREY, tmp_path / "grid.bmp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["grid.png", "out.npz", "out"])
def test_a_place_that_cannot_be_written_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=f"file/{name}: cannot be written"):
        write_samples(GREY, tmp_path / "file" / name)


def test_a_failure_halfway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[bytes] = []

    def fail_at_the_third(image: np.ndarray) -> bytes:
        if len(encoded) == 2:
            raise OSError(28, "No space left on device")
        encoded.append(encode_png(image))
        return encoded[-1]

    monkeypatch.setattr(samples_module, "encode_png", fail_at_the_third)
    with pytest.raises(ConfigError, match="No space left on device"):
        write_samples(COLOUR, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
