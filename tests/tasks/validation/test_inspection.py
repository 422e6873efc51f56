"""Each kind of raw, sample by sample: what is kept, what is refused and how it is named."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoders import workers
from PIL import Image
from raw_sets import inspect, noise, npy, png, write_arrays, write_files, write_idx, write_points

from gan_core.errors import DataError
from gan_core.kinds.pixels import Spool
from tasks.params import DataParams, ValidateParams
from tasks.sources.raw import About, RawReader, write_raw
from tasks.system import cores
from tasks.validation import decoding
from tasks.validation.images import array_statistics, decode, statistics
from tasks.validation.inspection import Inspection

LIMITS = ValidateParams()


def look(raw: Path, data: Mapping[str, Any] | None = None, limits: ValidateParams = LIMITS) -> Inspection:
    with RawReader.open(raw) as reader:
        return inspect(reader, DataParams(**(data or {"source": "folder:///pictures", "size": 8})), limits, raw.parent / "spool")


def pictures(inspection: Inspection) -> list[np.ndarray[Any, Any]]:
    assert isinstance(inspection.samples, Spool)
    return [inspection.samples.read(row.number) for row in inspection.rows if row.number is not None]


class TestFiles:
    def test_good_and_broken(self, tmp_path: Path) -> None:
        good = png(noise(0))
        write_files(tmp_path / "raw", {"b/good.png": good, "a/broken.png": good[:60], "a/empty.png": b"", "b/blank.png": png(noise(0) * 0)})
        result = look(tmp_path / "raw")
        assert [row.path for row in result.rows] == ["a/broken.png", "a/empty.png", "b/blank.png", "b/good.png"]
        assert [row.label for row in result.rows] == ["a", "a", "b", "b"]
        # A class counts even where nothing of it can be used.
        assert result.classes == ("a", "b")
        broken, empty, blank, fine = result.rows
        assert broken.reason is not None
        assert empty.reason == "empty file"
        assert str(blank.reason).startswith("blank")
        assert fine.reason is None
        assert (fine.width, fine.height, fine.mode, fine.number) == (8, 8, "RGB", 0)
        assert [row.sha256 for row in (fine, empty)] == [hashlib.sha256(data).hexdigest() for data in (good, b"")]
        np.testing.assert_array_equal(pictures(result), [noise(0).transpose(2, 0, 1)])

    def test_no_folders_no_classes(self, tmp_path: Path) -> None:
        write_files(tmp_path / "raw", {"1.png": png(noise(1)), "2.png": png(noise(2))})
        result = look(tmp_path / "raw")
        assert result.classes is None
        assert {row.label for row in result.rows} == {None}

    def test_an_image_beside_the_classes_is_in_none(self, tmp_path: Path) -> None:
        write_files(tmp_path / "raw", {"cats/1.png": png(noise(1)), "2.png": png(noise(2))})
        assert [row.reason for row in look(tmp_path / "raw").rows] == ["in no class: it lies beside the folders that are the classes", None]

    def test_size_is_64_where_none_is_asked(self, tmp_path: Path) -> None:
        write_files(tmp_path / "raw", {"1.png": png(noise(1))})
        assert pictures(look(tmp_path / "raw", {"source": "folder:///pictures"}))[0].shape == (3, 64, 64)

    def test_huge_files_are_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding, "MAX_BYTES", 100)
        write_files(tmp_path / "raw", {"1.png": png(noise(1)), "2.png": b"x" * 100})
        monkeypatch.setattr(RawReader, "read", lambda self, member: b"x" if member.size <= 100 else pytest.fail("read"))
        assert str(look(tmp_path / "raw").rows[0].reason).startswith("too large: ")

    def test_a_damaged_archive_is_no_fault_of_the_sample(self, tmp_path: Path) -> None:
        write_files(tmp_path / "raw", {"1.png": png(noise(1))})
        (shard,) = (tmp_path / "raw").glob("*.tar")
        data = bytearray(shard.read_bytes())
        data[600] ^= 1
        shard.write_bytes(data)
        with pytest.raises(DataError, match=r"damaged at 1\.png"):
            look(tmp_path / "raw")


class TestProcesses:
    @pytest.fixture
    def many(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Enough pictures for several processes, some of them broken."""
        contents = {f"{i % 3}/{i:03d}.png": png(noise(i, 9 + i % 5, 8)) for i in range(150)}
        contents |= {f"0/broken{i}.png": png(noise(i))[: 40 + i] for i in range(20)}
        write_files(tmp_path / "raw", contents)
        monkeypatch.setattr(cores, "usable", lambda: 2)
        monkeypatch.setattr(decoding, "_CHUNK_FILES", 4)
        return tmp_path / "raw"

    def test_several_find_the_same_as_one(self, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        alone = look(many)
        expected = pictures(alone)
        monkeypatch.setattr(decoding, "_POOL_FILES", 1)
        together = look(many)
        assert together.rows == alone.rows
        np.testing.assert_array_equal(pictures(together), expected)
        assert len(expected) == 150
        assert not workers()

    def test_a_damaged_archive_reaches_the_parent(self, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding, "_POOL_FILES", 1)
        (shard,) = many.glob("*.tar")
        shard.write_bytes(shard.read_bytes()[:-30_000])
        with pytest.raises(DataError, match="damaged at 2/"):
            look(many)
        assert not workers()

    def test_what_killed_processes_had_under_way_is_done_again(self, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = look(many).rows
        monkeypatch.setattr(decoding, "_POOL_FILES", 1)
        killed = set()

        def kill_one(done: int, total: int) -> None:
            if done == 1:
                killed.update(workers())
                for child in killed:
                    os.kill(child, signal.SIGKILL)
                time.sleep(0.2)

        with RawReader.open(many) as raw:
            found = inspect(raw, DataParams(source="folder:///pictures", size=8), LIMITS, many.parent / "spool", kill_one)
        assert killed
        assert found.rows == expected
        assert not workers()


class TestArrays:
    @pytest.mark.parametrize("shape", [(6, 8, 8), (6, 8, 8, 1), (6, 8, 8, 3)])
    def test_the_asked_size_is_bit_equal(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        images = noise(0, *shape)
        write_arrays(tmp_path / "raw", images, np.arange(6) % 2, ["no", "yes"])
        result = look(tmp_path / "raw")
        np.testing.assert_array_equal(pictures(result), images.reshape(6, 8, 8, -1).transpose(0, 3, 1, 2))
        assert [row.label for row in result.rows] == ["no", "yes"] * 3
        assert result.rows[5].path == "images.npy#5"
        assert result.rows[5].mode == ("RGB" if shape[-1] == 3 else "L")
        assert result.rows[5].sha256 == hashlib.sha256(images[5].tobytes()).hexdigest()

    def test_the_source_s_own_size_where_none_is_asked(self, tmp_path: Path) -> None:
        write_arrays(tmp_path / "raw", noise(0, 3, 10, 12), np.zeros(3, dtype=np.int64), ["one"])
        result = look(tmp_path / "raw", {"source": "folder:///pictures"})
        np.testing.assert_array_equal(pictures(result), noise(0, 3, 10, 12)[:, None, :, 1:11])
        assert (result.rows[0].width, result.rows[0].height) == (12, 10)

    @pytest.mark.parametrize(("shape", "size"), [((2, 8, 8), 16), ((2, 9, 8, 3), 16), ((2, 20, 30, 1), 5), ((2, 30, 20, 3), 4)])
    def test_scaled_like_files(self, tmp_path: Path, shape: tuple[int, ...], size: int) -> None:
        images = noise(1, *shape)
        write_arrays(tmp_path / "raw", images, np.zeros(2, dtype=np.int64), ["one"])
        expected = [decode(png(image.squeeze()), size, LIMITS) for image in images]
        result = look(tmp_path / "raw", {"source": "sklearn://digits", "size": size})
        np.testing.assert_array_equal(pictures(result), [picture.pixels for picture in expected])
        assert [(row.mean, row.std) for row in result.rows] == [(picture.mean, picture.std) for picture in expected]

    def test_statistics_are_those_of_pictures(self) -> None:
        for images in (noise(0, 5, 7, 9), noise(0, 5, 7, 9, 3)):
            one_by_one = [statistics(Image.fromarray(image)) for image in images]
            np.testing.assert_allclose(np.transpose(array_statistics(images)), one_by_one, rtol=1e-14)  # NumPy 2.5 adds in another order

    def test_blank_and_small_ones_are_refused(self, tmp_path: Path) -> None:
        images = noise(0, 3, 8, 8)
        images[1] = 77
        write_arrays(tmp_path / "raw", images, np.zeros(3, dtype=np.int64), ["one"])
        result = look(tmp_path / "raw")
        assert [row.reason is None for row in result.rows] == [True, False, True]
        assert str(result.rows[1].reason).startswith("blank: standard deviation 0.00")
        assert [row.number for row in result.rows] == [0, None, 1]
        small = look(tmp_path / "raw", limits=ValidateParams(min_side=9))
        assert {row.reason for row in small.rows} == {"too small: 8 x 8 pixels (validate.min_side is 9)"}

    @pytest.mark.parametrize(
        ("images", "labels", "classes", "message"),
        [
            (noise(0, 4, 8), np.zeros(4, np.int64), ["a"], r"holds images \(4 x 8 uint8\), labels .*; expected arrays of images"),
            (noise(0, 4, 8, 8, 2), np.zeros(4, np.int64), ["a"], r"images\.npy: images of 8 x 8 x 2, .* say data\.channels: 2"),
            (noise(0, 4, 8, 8), np.zeros(3, np.int64), ["a"], r"labels has 3 labels, and images 4 images"),
            (noise(0, 4, 8, 8), np.array([0, 2, 1, 2]), ["a", "b"], r"labels\.npy: label 2 at index 1, .* 2 classes.* \(and 1 more"),
            (noise(0, 4, 8, 8), np.array([0, 0, 0, -1]), ["a"], r"labels\.npy: label -1 at index 3"),
            (noise(0, 4, 8, 8), np.zeros(4), ["a"], r"labels\.npy: holds float64"),
            (noise(0, 4, 8, 8), np.zeros(4, np.int64), 7, r"classes\.json: no list of names"),
            (noise(0, 4, 8, 0), np.zeros(4, np.int64), ["a"], r"images\.npy: images of 8 x 0 pixels"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tmp_path: Path, images: Any, labels: Any, classes: object, message: str) -> None:
        write_arrays(tmp_path / "raw", images, labels, classes)
        with pytest.raises(DataError, match=message):
            look(tmp_path / "raw")

    def test_a_pickle_is_never_loaded(self, tmp_path: Path) -> None:
        class Planted:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "planted",))

        contents = {"images.npy": npy(np.array([Planted()], dtype=object)), "labels.npy": npy(np.zeros(1)), "classes.json": b'["a"]'}
        write_raw(tmp_path / "raw", About("arrays", "sklearn://digits", 1), contents)
        with pytest.raises(DataError, match=r"images\.npy: no readable \.npy file"):
            look(tmp_path / "raw")
        assert not (tmp_path / "planted").exists()


class TestIdx:
    def test_both_parts_in_order(self, tmp_path: Path) -> None:
        images, labels = noise(0, 7, 8, 8), np.array([0, 1, 2, 9, 4, 5, 6], dtype=np.uint8)
        write_idx(tmp_path / "raw", {"train": (images[:5], labels[:5]), "t10k": (images[5:], labels[5:])})
        result = look(tmp_path / "raw")
        np.testing.assert_array_equal(pictures(result), images[:, None])
        assert [row.label for row in result.rows] == list("0129456")
        assert result.classes == tuple("0123456789")
        assert [result.rows[i].path for i in (4, 5)] == ["train-images-idx3-ubyte.gz#4", "t10k-images-idx3-ubyte.gz#0"]

    def test_siblings_have_their_own_names(self, tmp_path: Path) -> None:
        part = (noise(0, 2, 8, 8), np.array([1, 9], dtype=np.uint8))
        write_idx(tmp_path / "raw", {"train": part, "t10k": part}, "torchvision://FashionMNIST")
        assert [row.label for row in look(tmp_path / "raw").rows] == ["Trouser", "Ankle boot"] * 2

    @pytest.mark.parametrize(
        ("images", "labels", "message"),
        [
            (noise(0, 3, 8, 8), np.array([0, 1], np.uint8), "train-labels-idx1-ubyte.gz: has 2 labels, and .* 3 images"),
            (noise(0, 2, 8, 8), np.array([0, 10], np.uint8), "train-labels-idx1-ubyte.gz: label 10 at index 1, and there are 10 classes"),
            (noise(0, 2, 9, 8), np.array([0, 1], np.uint8), "images of train-.* and t10k-.* differ in size"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tmp_path: Path, images: Any, labels: Any, message: str) -> None:
        write_idx(tmp_path / "raw", {"train": (images, labels), "t10k": (noise(1, 1, 8, 8), np.zeros(1, np.uint8))})
        with pytest.raises(DataError, match=message):
            look(tmp_path / "raw")


class TestPoints:
    def test_rows_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        points = np.arange(40, dtype=np.float32).reshape(20, 2)
        points[17, 1], points[3, 0] = np.nan, -np.inf
        write_points(tmp_path / "raw", points)
        result = look(tmp_path / "raw", {"source": "points://circle"})
        assert {row.path: row.reason for row in result.rows if row.reason} == {
            "points.npy#3": "not finite: (-inf, 7)",
            "points.npy#17": "not finite: (34, nan)",
        }
        assert isinstance(result.samples, np.ndarray)
        for row in result.rows:
            if row.number is not None:
                assert hashlib.sha256(result.samples[row.number].tobytes()).hexdigest() == row.sha256

    @pytest.mark.parametrize("points", [np.zeros((5, 2)), np.zeros(5, np.float32), np.zeros((5, 0), np.float32)])
    def test_other_arrays_are_refused(self, tmp_path: Path, points: Any) -> None:
        write_points(tmp_path / "raw", points)
        with pytest.raises(DataError, match=r"points\.npy: holds .*; expected float32 \(N, D\)"):
            look(tmp_path / "raw", {"source": "points://circle"})
