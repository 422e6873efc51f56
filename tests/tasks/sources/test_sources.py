"""What each source offers, and how it refuses what cannot be used."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from gan_core.errors import ConfigError, DataError, GantryError
from tasks.params import DataParams
from tasks.sources import Source, SourceFile, open_source, source
from tasks.sources.idx import read_idx
from tasks.sources.points import distribution, draw
from tasks.workspace import Workspace


def opened(workspace: Workspace, source: str, **keys: Any) -> Source:
    return open_source(workspace, DataParams(source=source, **keys))


def read(file: SourceFile) -> bytes:
    with file.open() as stream:
        return stream.read()


def contents(source: Source) -> dict[str, bytes]:
    return {file.path: read(file) for file in source.look()}


def fill(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


class TestDigits:
    def test_are_those_of_scikit_learn(self, workspace: Workspace) -> None:
        from sklearn.datasets import load_digits

        digits = opened(workspace, "sklearn://digits")
        files = contents(digits)
        images, labels = (np.load(BytesIO(files[name]), allow_pickle=False) for name in ("images.npy", "labels.npy"))
        expected = load_digits()
        assert (images.dtype, images.shape, labels.dtype) == (np.uint8, (1797, 8, 8), np.int64)
        np.testing.assert_allclose(images, expected.images * 255 / 16, atol=0.5)
        assert (images.min(), images.max()) == (0, 255)
        np.testing.assert_array_equal(labels, expected.target)
        assert json.loads(files["classes.json"]) == [str(name) for name in expected.target_names]
        assert (digits.kind, digits.check()) == ("arrays", 1797)

    def test_tilted_ones_are_turned_by_the_angle_that_they_are_labelled_with(self, workspace: Workspace) -> None:
        """Turned back they look more like their digit, as scikit-learn has it, than turned as far again."""
        from PIL import Image

        files = contents(opened(workspace, "sklearn://tilted-digits"))
        images, labels = (np.load(BytesIO(files[name]), allow_pickle=False) for name in ("images.npy", "labels.npy"))
        angles = np.array(json.loads(files["classes.json"]), dtype=int)[labels]
        assert (images.dtype, images.shape[1:], angles.min(), angles.max()) == (np.uint8, (16, 16), -60, 60)
        plain = contents(opened(workspace, "sklearn://digits"))
        upright, digits = (np.load(BytesIO(plain[name]), allow_pickle=False) for name in ("images.npy", "labels.npy"))
        upright = upright[np.isin(digits, (2, 3, 4, 5, 7))]
        assert len(images) == len(upright)

        def distances(sign: int) -> NDArray[np.float64]:
            turned = [
                Image.fromarray(image).rotate(sign * angle).resize((10, 10)) for image, angle in zip(images, angles.tolist(), strict=True)
            ]
            return np.abs(np.stack([np.asarray(one) for one in turned])[:, 1:9, 1:9] - upright.astype(float)).mean(axis=(1, 2))

        far = np.abs(angles) > 15
        assert (distances(1) < distances(-1))[far].mean() > 0.95

    @pytest.mark.filterwarnings("ignore:loadtxt")
    @pytest.mark.parametrize("data", [b"", b"no gzip", gzip.compress(b"1,2\n3"), gzip.compress(b",".join([b"17"] * 65))])
    def test_a_damaged_file_is_named(self, workspace: Workspace, tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        from tasks.sources import digits

        path = tmp_path / "digits.csv.gz"
        path.write_bytes(data)
        monkeypatch.setattr(digits, "_data_file", lambda: path)
        with pytest.raises(DataError, match=r"digits\.csv\.gz: .*install scikit-learn again"):
            opened(workspace, "sklearn://digits").look()


class TestPoints:
    def test_file(self, workspace: Workspace) -> None:
        points = opened(workspace, "points://circle", count=1_000, radius=2.0, seed=3)
        array = np.load(BytesIO(contents(points)["points.npy"]), allow_pickle=False)
        assert (array.dtype, array.shape, points.kind, points.check()) == (np.float32, (1_000, 2), "points", 1_000)
        assert points.truth == {"shape": "circle", "radius": 2.0, "sigma": 0.0}

    def test_circle(self) -> None:
        points = draw(distribution("circle", 2.0, None), 20_000, 0)
        np.testing.assert_allclose(np.hypot(*points.T), 2.0, rtol=1e-6)
        angles = np.arctan2(points[:, 1], points[:, 0])
        assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01

    def test_noise_of_the_circle(self) -> None:
        truth = distribution("circle", 3.0, 0.1)
        # The same draws without noise: what is left is the noise.
        noise = draw(truth, 20_000, 0) - draw({**truth, "sigma": 0.0}, 20_000, 0)
        for column in noise.T:
            assert stats.kstest(column, stats.norm(0, 0.1).cdf).pvalue > 0.01

    @pytest.mark.parametrize(("shape", "sigma", "modes"), [("ring", 0.02, 8), ("grid", 0.05, 25)])
    def test_mixtures(self, shape: str, sigma: float, modes: int) -> None:
        truth = distribution(shape, 2.0, None)
        centers = np.array(truth["centers"])
        assert (len(centers), truth["sigma"]) == (modes, sigma)
        points = draw(truth, 50_000, 1)
        distances = np.linalg.norm(points[:, None] - centers, axis=2)
        nearest = distances.argmin(axis=1)
        assert stats.chisquare(np.bincount(nearest, minlength=modes)).pvalue > 0.01
        for column in (points - centers[nearest]).T:
            assert stats.kstest(column, stats.norm(0, sigma).cdf).pvalue > 0.01

    def test_means(self) -> None:
        ring = np.array(distribution("ring", 2.0, None)["centers"])
        np.testing.assert_allclose(np.hypot(*ring.T), 2.0)
        np.testing.assert_allclose(np.sort(np.arctan2(ring[:, 1], ring[:, 0])), np.pi / 4 * np.arange(-3, 5), atol=1e-9)
        grid = distribution("grid", 2.0, None)["centers"]
        assert sorted(map(tuple, grid)) == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]

    def test_more_points_begin_with_the_same(self) -> None:
        truth = distribution("grid", 2.0, None)
        np.testing.assert_array_equal(draw(truth, 70_000, 5)[:100], draw(truth, 100, 5))
        assert not np.array_equal(draw(truth, 100, 5), draw(truth, 100, 6))

    def test_are_pinned(self) -> None:
        # Other points for the same entry would retrain everybody's generators.
        points = draw(distribution("ring", 2.0, None), 3, 0)
        np.testing.assert_allclose(points, [[-1.997485, -0.002642], [1.427022, 1.416312], [-1.424927, 1.421445]], atol=1e-6)


class TestFolder:
    @pytest.fixture
    def photos(self, workspace: Workspace) -> Path:
        folder = workspace.root / "photos"
        folder.mkdir()
        return folder

    def test_by_class(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "cat/1.png", "cat/2.JPG", "dog/1.webp")
        photo_source = opened(workspace, "folder://photos")
        assert contents(photo_source) == {path: path.encode() for path in ("cat/1.png", "cat/2.JPG", "dog/1.webp")}
        assert (photo_source.kind, photo_source.truth, photo_source.notes, photo_source.check()) == ("files", None, [], 3)

    def test_flat(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "1.png", "2.png")
        assert sorted(contents(opened(workspace, f"folder://{photos}"))) == ["1.png", "2.png"]

    def test_what_is_left_out_is_counted(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "a.png", ".hidden.png", ".git/b.png", "Thumbs.db", "notes.txt", "sub/more.txt", "README", "png")
        os.mkfifo(photos / "pipe.png")
        photo_source = opened(workspace, "folder://photos")
        assert list(contents(photo_source)) == ["a.png"]
        assert photo_source.notes == [
            "left out: 2 .txt, 2 hidden, 2 without extension, 1 Thumbs.db or desktop.ini (Windows), 1 no ordinary files"
        ]

    def test_broken_images_are_taken(self, workspace: Workspace, photos: Path) -> None:
        (photos / "empty.png").touch()
        assert contents(opened(workspace, "folder://photos")) == {"empty.png": b""}

    def test_the_class_is_the_first_folder(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "cat/old/1.png", "dog/new/2.png")
        photo_source = opened(workspace, "folder://photos")
        assert sorted(contents(photo_source)) == ["cat/old/1.png", "dog/new/2.png"]
        assert photo_source.notes == ["some images lie several folders deep; the first folder is the class: cat, dog"]

    def test_neither_flat_nor_by_class(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "cat/1.png", "dog/1.png", "x.png", "y.png")
        with pytest.raises(DataError, match=r"photos: 2 images beside 2 folders.*move x\.png, y\.png into .*as source: cat, dog"):
            opened(workspace, "folder://photos").look()

    @pytest.mark.parametrize(
        ("paths", "message"),
        [
            (
                ("photos/cat/1.png", "photos/dog/1.png"),
                "all images lie in the folder photos, .*add /photos to data.source, or set data.labels: none",
            ),
            (("x.png", "cat/1.png"), "or set data.labels: none to take all without labels"),
            (("train/1.png", "val/1.png", "test/1.png"), "the folders test, train, val are parts of a set .*add /train to data.source"),
            (("train/1.png", "test/2.png", "train.csv"), r"or data\.labels to a file that says what they show \(there is train\.csv\)"),
            (("train2017/1.png", "val2017/1.png"), "are parts of a set and no classes"),
            (
                ("trainA/1.png", "trainB/1.png", "testA/1.png", "testB/1.png"),
                r"data\.layout: unpaired-folders and data\.folders: \[trainA, trainB\]",
            ),
            (
                ("00000/1.png", "00001/2.png", "dataset.json"),
                r"folders \(00000, 00001\) lie beside dataset\.json; set data\.labels: dataset\.json",
            ),
        ],
    )
    def test_folders_that_are_no_classes(self, workspace: Workspace, photos: Path, paths: tuple[str, ...], message: str) -> None:
        fill(photos, *paths)
        with pytest.raises(DataError, match=message):
            opened(workspace, "folder://photos").look()
        taken = opened(workspace, "folder://photos", labels="none")
        assert sorted(contents(taken)) == sorted(path for path in paths if path.endswith(".png"))
        assert all("class" not in note for note in taken.notes)
        if "photos" not in message and "x.png" not in paths:
            assert len(opened(workspace, "folder://photos", labels="folders").look()) == len(contents(taken))

    @pytest.mark.parametrize(
        "names", [("2021-01", "2021-02", "2022_03_04"), ("january", "Feb-2020"), tuple(f"person {i}" for i in range(21))]
    )
    def test_folders_that_may_be_no_classes_are_noted(self, workspace: Workspace, photos: Path, names: tuple[str, ...]) -> None:
        fill(photos, *(f"{name}/{i}.png" for name in names for i in range(2)))
        asked = opened(workspace, "folder://photos")
        asked.look()
        [note] = asked.notes
        assert f"{len(names)} folders with {2 * len(names)} images are taken as classes: " in note
        assert "set data.labels: none; otherwise data.labels: folders, and this note is gone" in note
        for labels in ("none", "folders"):
            said = opened(workspace, "folder://photos", labels=labels)
            said.look()
            assert said.notes == []

    def test_a_folder_whose_accents_are_written_in_the_other_way(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "e\u0301te\u0301/1.png", "hiver/1.png")
        with pytest.raises(DataError, match="there is e\u0301te\u0301, whose accents are written in the other of Unicode's two ways; copy"):
            opened(workspace, "folder://photos", layout="unpaired-folders", folders=["\u00e9t\u00e9", "hiver"]).look()

    def test_a_file_of_labels(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "1.png", "dataset.json", "b/2.png", "b/notes.csv")
        (photos / "dataset.json").write_text('{"labels": [["1.png", 0]]}')
        labelled = opened(workspace, "folder://photos", labels="dataset.json")
        assert sorted(contents(labelled)) == ["1.png", "b/2.png", "dataset.json"]
        assert (labelled.check(), labelled.notes) == (2, ["left out: 1 .csv"])
        with pytest.raises(
            DataError, match=r"labels\.csv is not there; name the file .* data\.labels; there are b/notes\.csv, dataset\.json"
        ):
            opened(workspace, "folder://photos", labels="labels.csv").look()
        (photos / "dataset.json").write_text("<html>")
        labelled.look()
        with pytest.raises(DataError, match=r"dataset\.json: is a web page, not a list of labels"):
            labelled.check()

    def test_links(self, workspace: Workspace, photos: Path, tmp_path: Path) -> None:
        fill(photos, "cat/1.png")
        fill(tmp_path, "secret/key.png")
        links = {
            "cat/inside.png": "1.png",
            "cat/outside.png": tmp_path / "secret" / "key.png",
            "cat/relative.png": "../../../secret/key.png",
            "cat/nowhere.png": "nothing.png",
            "cat/circle.png": "circle.png",
            "dog": tmp_path / "secret",
            "loop": ".",
        }
        for name, target in links.items():
            (photos / name).symlink_to(target)
        photo_source = opened(workspace, "folder://photos", labels="none")
        assert contents(photo_source) == {"cat/1.png": b"cat/1.png", "cat/inside.png": b"cat/1.png"}
        assert photo_source.notes == ["left out: 6 linked elsewhere"]

    def test_a_folder_with_a_longer_name_is_outside(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "1.png")
        fill(workspace.root, "photos-private/2.png")
        (photos / "2.png").symlink_to("../photos-private/2.png")
        assert list(contents(opened(workspace, "folder://photos"))) == ["1.png"]

    def test_the_folder_itself_may_be_a_link(self, workspace: Workspace, photos: Path) -> None:
        fill(photos, "1.png")
        (workspace.root / "link").symlink_to("photos")
        assert list(contents(opened(workspace, "folder://link"))) == ["1.png"]

    def test_a_file_replaced_by_a_link_after_the_look(self, workspace: Workspace, photos: Path, tmp_path: Path) -> None:
        fill(photos, "1.png")
        fill(tmp_path, "secret.png")
        [file] = opened(workspace, "folder://photos").look()
        (photos / "1.png").unlink()
        (photos / "1.png").symlink_to(tmp_path / "secret.png")
        with pytest.raises(DataError, match=r"1\.png: cannot be read"):
            file.open()
        (photos / "1.png").unlink()
        with pytest.raises(GantryError, match=r"1\.png: vanished during the fetch"):
            file.open()

    def test_odd_names(self, workspace: Workspace, photos: Path) -> None:
        for name in (b"two\nlines.png", b"latin \xfc.png", "日本.png".encode(), b"back\\slash.png", b"-rf *.png", b"$HOME.png"):
            Path(os.fsdecode(bytes(photos) + b"/" + name)).write_bytes(name)
        assert contents(opened(workspace, "folder://photos")) == {
            "two\\x0alines.png": b"two\nlines.png",
            "latin \\xfc.png": b"latin \xfc.png",
            "日本.png": "日本.png".encode(),
            "back\\\\slash.png": b"back\\slash.png",
            "-rf *.png": b"-rf *.png",
            "$HOME.png": b"$HOME.png",
        }

    def test_variables(self, workspace: Workspace, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(photos, "cat/1.png")
        monkeypatch.setenv("PHOTOS", str(photos))
        monkeypatch.setenv("KIND", "cat")
        assert list(contents(opened(workspace, "folder://${PHOTOS}/$KIND"))) == ["1.png"]
        monkeypatch.setenv("HOME", str(workspace.root))
        assert list(contents(opened(workspace, "folder://~/photos/cat"))) == ["1.png"]

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("folder://$NOT_THERE/x", "data.source: '$NOT_THERE/x': the environment variable NOT_THERE is not set"),
            ("folder://$EMPTY/x", "the environment variable EMPTY is not set"),
            ("folder://5$", "write `$$` for a plain one"),
            ("folder://a\0b", "a path cannot hold a zero byte"),
        ],
    )
    def test_paths_that_cannot_be_expanded(self, workspace: Workspace, source: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EMPTY", "")
        with pytest.raises(ConfigError, match=re.escape(message)):
            opened(workspace, source)

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("folder://nothing", r"folder://nothing: the folder .*/a workspace/nothing is not there; create it or correct data\.source"),
            ("folder:///proc/self/nothing", r"the folder /proc/self/nothing is not there"),
            ("folder://file.png", r"file\.png is a file; name the folder"),
            ("folder://file.png/below", r"file\.png/below cannot be read \(Not a directory\)"),
            ("folder://circle", r"circle cannot be read \("),
            ("folder://" + "x" * 300, r"cannot be read \(File name too long\)"),
            ("folder://empty", r"/empty: no images in it; an image file's name ends in"),
            ("folder://texts", r"/texts: no images in it \(left out: 2 \.txt\);"),
        ],
    )
    def test_missing(self, workspace: Workspace, source: str, message: str) -> None:
        fill(workspace.root, "file.png", "texts/a.txt", "texts/b.txt")
        (workspace.root / "empty").mkdir()
        (workspace.root / "circle").symlink_to("circle")
        with pytest.raises(DataError, match=message):
            opened(workspace, source).look()

    def test_state(self, workspace: Workspace, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(photos, "1.png")
        [fresh] = opened(workspace, "folder://photos").look()
        # Just written: it might change again within the clock's resolution.
        assert fresh.state is None
        monkeypatch.setattr(source, "_SETTLED_NS", -1)

        def state() -> str | None:
            return opened(workspace, "folder://photos").look()[0].state

        first = state()
        assert first is not None
        assert state() == first
        # Other bytes of the same length, put there with the old time.
        facts = (photos / "1.png").stat()
        (photos / "new").write_bytes(b"2.png")
        os.utime(photos / "new", ns=(facts.st_atime_ns, facts.st_mtime_ns))
        (photos / "new").replace(photos / "1.png")
        assert state() != first


def idx(array: NDArray[Any]) -> bytes:
    """An idx file, not compressed."""
    code = {"u1": 0x08, "i4": 0x0C}[array.dtype.str[1:]]
    return struct.pack(f">{1 + array.ndim}I", code << 8 | array.ndim, *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


class TestIdx:
    """MNIST's siblings, small ones made here; the real MNIST at the end."""

    @pytest.fixture
    def arrays(self) -> dict[str, NDArray[np.uint8]]:
        generator = np.random.default_rng(0)
        arrays = {}
        for part, count in (("train", 60), ("t10k", 10)):
            arrays[f"{part}-images-idx3-ubyte"] = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
            arrays[f"{part}-labels-idx1-ubyte"] = generator.integers(0, 10, count, dtype=np.uint8)
        return arrays

    @pytest.fixture
    def raw_folder(self, workspace: Workspace, arrays: dict[str, NDArray[np.uint8]]) -> Path:
        """A filled root, `filled` in the workspace."""
        folder = workspace.root / "filled" / "FashionMNIST" / "raw"
        folder.mkdir(parents=True)
        for name, array in arrays.items():
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        return folder

    @pytest.fixture
    def fashion(self, workspace: Workspace, raw_folder: Path) -> Callable[[], Source]:
        return lambda: opened(workspace, "torchvision://FashionMNIST", root="filled")

    def test_packed_files_are_taken_as_they_are(self, fashion: Callable[[], Source], raw_folder: Path) -> None:
        images = fashion()
        assert contents(images) == {path.name: path.read_bytes() for path in raw_folder.iterdir()}
        assert (images.kind, images.truth, images.check()) == ("idx", None, 70)

    def test_unpacked_files(self, fashion: Callable[[], Source], raw_folder: Path, arrays: dict[str, NDArray[np.uint8]]) -> None:
        for path in raw_folder.iterdir():
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
        images = fashion()
        files = contents(images)
        assert images.check() == 70
        assert files == contents(fashion())
        for name, array in arrays.items():
            np.testing.assert_array_equal(read_idx(files[f"{name}.gz"], array.ndim, name), array)

    def test_qmnist_has_names_and_labels_of_its_own(self, workspace: Workspace, arrays: dict[str, NDArray[np.uint8]]) -> None:
        folder = workspace.root / "QMNIST" / "raw"
        folder.mkdir(parents=True)
        for name, array in arrays.items():
            part = name.split("-")[0].replace("t10k", "test")
            if "labels" in name:
                rows = np.tile(np.arange(1_000, 1_008, dtype=np.int32), (len(array), 1))
                rows[:, 0] = array
                (folder / f"qmnist-{part}-labels-idx2-int.gz").write_bytes(gzip.compress(idx(rows)))
            else:
                (folder / f"qmnist-{part}-images-idx3-ubyte").write_bytes(idx(array))
        images = opened(workspace, "torchvision://QMNIST", root=".")
        files = contents(images)
        assert images.check() == 70
        for name, array in arrays.items():
            np.testing.assert_array_equal(read_idx(files[f"{name}.gz"], array.ndim, name), array)

        labels = folder / "qmnist-test-labels-idx2-int.gz"
        for damaged in (b"", b"no gzip", gzip.compress(b"\0\0\x0c\x02"), gzip.compress(idx(np.full((10, 8), 11, np.int32)))):
            labels.write_bytes(damaged)
            with pytest.raises(DataError, match=r"qmnist-test-labels-idx2-int\.gz: damaged, or no labels of QMNIST.*; put a good copy"):
                images.check()

    def test_missing_files_are_named(self, fashion: Callable[[], Source], raw_folder: Path) -> None:
        for path in raw_folder.glob("*-labels-*"):
            path.unlink()
        message = r"FashionMNIST/raw: train-labels-idx1-ubyte\.gz, t10k-labels-idx1-ubyte\.gz missing; put a good copy there, or unset"
        with pytest.raises(DataError, match=message):
            fashion().look()

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda data: data[: len(data) // 2], "and there are"),
            (lambda data: data[:-4], "damaged"),
            (lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:], "damaged"),
            (lambda data: b"", "ends within its header"),
            (lambda data: b"<!DOCTYPE html>\n<html>moved", "is a web page, not gzip, as a failed download leaves it"),
            (lambda data: b"version https://git-lfs.github.com/spec/v1", "not gzip"),
            (lambda data: gzip.compress(gzip.decompress(data)[:-1]), "its header states 60 x 28 x 28 values, and there are 47,039"),
            (lambda data: gzip.compress(gzip.decompress(data) + b"\0"), "and there are more"),
            (lambda data: gzip.compress(struct.pack(">4I", 0x803, 1 << 20, 1 << 20, 1 << 20)), "values, more than"),
            (lambda data: gzip.compress(struct.pack(">4I", 0x803, 20_000, 28, 28)), "values, and there are 0"),
            (lambda data: gzip.compress(struct.pack(">2I", 0x801, 60) + bytes(60)), "begins with 00000801"),
            (lambda data: gzip.compress(idx(np.zeros((59, 28, 28), np.uint8))), None),
        ],
    )
    def test_damage_is_named(
        self, fashion: Callable[[], Source], raw_folder: Path, damage: Callable[[bytes], bytes], message: str | None
    ) -> None:
        path = raw_folder / "train-images-idx3-ubyte.gz"
        path.write_bytes(damage(path.read_bytes()))
        images = fashion()
        images.look()
        where, message = (
            (path, message)
            if message
            else (
                raw_folder / "train-labels-idx1-ubyte.gz",
                "has 60 labels, and train-images-idx3-ubyte.gz has 59 images",
            )
        )
        with pytest.raises(
            DataError, match=f"^{re.escape(str(where))}: .*{re.escape(message)}.*; put a good copy there, or unset data.root"
        ):
            images.check()

    def test_a_root_that_is_not_there(self, workspace: Workspace) -> None:
        with pytest.raises(ConfigError, match=r"data\.root: .*/a workspace/nowhere is no folder; name the one that holds MNIST/raw"):
            opened(workspace, "torchvision://MNIST", root="nowhere")
        with pytest.raises(ConfigError, match="environment variable NOT_THERE is not set"):
            opened(workspace, "torchvision://MNIST", root="$NOT_THERE")

    def test_a_real_web_page_for_mnist(self, workspace: Workspace, gantry_data: Path) -> None:
        folder = workspace.root / "MNIST" / "raw"
        shutil.copytree(gantry_data / "MNIST" / "raw", folder)
        target = folder / "train-images-idx3-ubyte.gz"
        target.chmod(0o644)
        shutil.copy(gantry_data / "odd" / "mnist_bad" / "html_saved_as_train-images-idx3-ubyte.gz", target)
        images = opened(workspace, "torchvision://MNIST", root=".")
        images.look()
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: is a web page"):
            images.check()


class TestDownload:
    @pytest.fixture
    def mirror(self, gantry_data: Path) -> Iterator[str]:
        """The address of a server on loopback that has the real files of MNIST."""
        handler = partial(SimpleHTTPRequestHandler, directory=str(gantry_data / "MNIST" / "raw"))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/"
            server.shutdown()
            thread.join()

    @pytest.fixture
    def mnist(self) -> Any:
        import gan_core.torchvision_cpu  # noqa: F401, I001
        from torchvision.datasets import MNIST

        return MNIST

    def test_by_torchvision(
        self, workspace: Workspace, gantry_data: Path, mirror: str, mnist: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mnist, "mirrors", [mirror])
        (workspace.root / "filled").mkdir()
        fresh = opened(workspace, "torchvision://MNIST", root="filled")
        files = contents(fresh)
        assert files == {path.name: path.read_bytes() for path in (gantry_data / "MNIST" / "raw").iterdir()}
        assert fresh.check() == 70_000
        assert list(fresh.notes) == [
            f"{workspace.root}/filled/MNIST/raw holds none of the files of MNIST; those in .gantry/downloads are used"
        ]
        assert list((workspace.root / "filled").iterdir()) == []
        # From now on without the network.
        monkeypatch.setattr(mnist, "mirrors", ["http://127.0.0.1:1/"])
        assert contents(opened(workspace, "torchvision://MNIST")) == files

    def test_without_network(self, workspace: Workspace, mnist: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mnist, "mirrors", ["http://127.0.0.1:1/"])
        with pytest.raises(
            GantryError, match=r"^torchvision://MNIST: cannot be downloaded \(.*refused.*\); try again when the network"
        ) as caught:
            opened(workspace, "torchvision://MNIST").look()
        # Exit code 1: the flow tries again.
        assert type(caught.value) is GantryError
        assert list((workspace.private / "downloads").iterdir()) == []
