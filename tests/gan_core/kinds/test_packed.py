"""Packing and reading back are inverse, from arrays and from a spool."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_core.data.dataset import SPLITS, Dataset
from gan_core.errors import DataError
from gan_core.kinds import KINDS
from gan_core.kinds.captions import Captioned
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.pixels import Spool, SpoolRows
from gan_core.kinds.points import Points
from gan_core.kinds.unpaired import Unpaired
from gan_core.metrics.stacked import mode_shares, unstacked


def rows(spool: Spool, numbers: Mapping[str, Sequence[int]], channels: int) -> dict[str, SpoolRows]:
    return {split: spool.rows(numbers[split], channels) for split in SPLITS}


def pictures(shape: tuple[int, ...] = (3, 4, 4)) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {"train": draw.integers(0, 256, (6, *shape), dtype=np.uint8), "holdout": draw.integers(0, 256, (2, *shape), dtype=np.uint8)}


def test_every_kind_says_its_own_name() -> None:
    assert [KINDS[name].kind for name in KINDS] == list(KINDS)


class TestArrays:
    """What a notebook has: arrays, without a spool."""

    def test_images(self, tmp_path: Path) -> None:
        Images.pack(tmp_path, pictures(), {"train": [0, 1] * 3, "holdout": [1, 0]}, ("a", "b"))
        dataset = Dataset.open(tmp_path)
        np.testing.assert_array_equal(dataset.samples["train"], pictures()["train"])
        assert dataset.labels["holdout"].tolist() == [1, 0]

    def test_pairs(self, tmp_path: Path) -> None:
        Pairs.pack(tmp_path, pictures(), pictures((1, 4, 4)))
        dataset = Dataset.open(tmp_path)
        assert (dataset.spec.shape, dataset.spec.inputs) == ((3, 4, 4), (1, 4, 4))
        np.testing.assert_array_equal(dataset.inputs["holdout"], pictures((1, 4, 4))["holdout"])

    def test_unpaired(self, tmp_path: Path) -> None:
        inputs = {"train": pictures()["train"][:5], "holdout": pictures()["holdout"][:1]}
        Unpaired.pack(tmp_path, pictures(), inputs, ("photo", "drawing"))
        dataset = Dataset.open(tmp_path)
        assert [len(dataset.inputs[split]) for split in SPLITS] == [5, 1]
        assert [len(dataset.samples[split]) for split in SPLITS] == [6, 2]

    def test_captions(self, tmp_path: Path) -> None:
        Captioned.pack(tmp_path, pictures(), {"train": [["red dot", "a dot"]] * 6, "holdout": [["blue dot"]] * 2})
        dataset = Dataset.open(tmp_path)
        assert isinstance(dataset.spec, Captioned)
        assert dataset.spec.vocabulary == ("dot", "a", "red")
        assert dataset.captions["train"].tokens[:2].tolist() == [[4, 2], [3, 2]]
        assert dataset.captions["holdout"].tokens[0].tolist() == [1, 2]

    @pytest.mark.parametrize("wrong", [np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 5, 5), np.uint8)])
    def test_another_type_or_shape_is_refused_with_both(self, tmp_path: Path, wrong: np.ndarray) -> None:
        with pytest.raises(DataError, match=r"expected uint8 .* got uint8 \(6, 3, 4, 4\) and (float64 \(2, 3, 4|uint8 \(2, 3, 5)"):
            Images.pack(tmp_path, {**pictures(), "holdout": wrong})


class TestSpool:
    def test_gives_back_what_was_put_down(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(0)
        pictures = [generator.integers(0, 256, (channels, 5, 5), dtype=np.uint8) for channels in (1, 3, 3, 1, 3)]
        with Spool(tmp_path / "spool", (5, 5)) as spool:
            assert [spool.append(picture) for picture in pictures] == [0, 1, 2, 3, 4]
            for number in (3, 0, 4, 1, 2):
                np.testing.assert_array_equal(spool.read(number), pictures[number])
            extra = generator.integers(0, 256, (1, 5, 5), dtype=np.uint8)
            assert spool.append(extra) == 5
            np.testing.assert_array_equal(spool.read(5), extra)
            np.testing.assert_array_equal(spool.read(2), pictures[2])

    def test_usual_channels(self, tmp_path: Path) -> None:
        with Spool(tmp_path / "spool", (4, 4)) as spool:
            for channels in (1, 1, 3, 1, 3):
                spool.append(np.zeros((channels, 4, 4), dtype=np.uint8))
            assert spool.usual_channels(range(5)) == 1
            assert spool.usual_channels([1, 2]) == 3
            assert spool.usual_channels([2, 4, 0]) == 3

    @pytest.mark.parametrize("shape", [(2, 4, 4), (1, 4, 5), (1, 5, 5)])
    def test_refuses_other_shapes(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        with Spool(tmp_path / "spool", (4, 4)) as spool, pytest.raises(ValueError, match="expected uint8"):
            spool.append(np.zeros(shape, dtype=np.uint8))


class TestImages:
    def test_packed_and_opened(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(0)
        pictures = [generator.integers(0, 256, (3, 4, 4), dtype=np.uint8) for _ in range(7)]
        with Spool(tmp_path / "spool", (4, 4)) as spool:
            for picture in pictures:
                spool.append(picture)
            numbers = {"train": [6, 0, 3, 1], "holdout": [5, 2]}
            labels = {"train": [0, 1, 1, 0], "holdout": [1, 1]}
            (tmp_path / "ready").mkdir()
            spec = Images.pack(tmp_path / "ready", rows(spool, numbers, 3), labels, ("a", "b"))
        dataset = Dataset.open(tmp_path / "ready")
        assert dataset.spec == spec
        assert spec.shape == (3, 4, 4)
        assert spec.counts == {"train": 4, "holdout": 2}
        for split, order in numbers.items():
            assert dataset.samples[split].dtype == np.uint8
            np.testing.assert_array_equal(dataset.samples[split], [pictures[number] for number in order])
            assert dataset.labels[split].dtype == np.int64
            np.testing.assert_array_equal(dataset.labels[split], labels[split])
        for name, digest in spec.sha256.items():
            assert hashlib.sha256((tmp_path / "ready" / name).read_bytes()).hexdigest() == digest

    @given(st.data())
    def test_unpacking_gives_back_what_was_packed(self, data: st.DataObject) -> None:
        channels, size, count = (data.draw(st.sampled_from(values)) for values in ((1, 3), (1, 4, 5), range(2, 12)))
        pictures = np.random.default_rng(count).integers(0, 256, (count, channels, size, size), dtype=np.uint8)
        order = data.draw(st.permutations(range(count)))
        held = data.draw(st.integers(1, count - 1))
        numbers = {"train": order[held:], "holdout": order[:held]}
        labels = {split: [number % 2 for number in some] for split, some in numbers.items()}
        with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "spool", (size, size)) as spool:
            for picture in pictures:
                spool.append(picture)
            Images.pack(Path(folder), rows(spool, numbers, channels), labels, ("even", "odd"))
            dataset = Dataset.open(Path(folder))
            for split, some in numbers.items():
                np.testing.assert_array_equal(dataset.samples[split], pictures[some])
                np.testing.assert_array_equal(dataset.labels[split], labels[split])

    def test_same_bytes_as_numpy_writes(self, tmp_path: Path) -> None:
        pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
        with Spool(tmp_path / "spool", (4, 4)) as spool:
            for picture in pictures:
                spool.append(picture)
            Images.pack(tmp_path, rows(spool, {"train": range(4), "holdout": [4]}, 1))
        np.save(tmp_path / "expected.npy", pictures[:4])
        assert (tmp_path / "train.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
        assert not (tmp_path / "train_labels.npy").exists()

    def test_mixed_channels_become_the_asked_ones(self, tmp_path: Path) -> None:
        grey, colour = np.full((1, 4, 4), 7, dtype=np.uint8), np.full((3, 4, 4), 9, dtype=np.uint8)
        with Spool(tmp_path / "spool", (4, 4)) as spool:
            spool.append(grey)
            spool.append(colour)
            Images.pack(tmp_path, rows(spool, {"train": [0], "holdout": [1]}, 3))
            assert np.load(tmp_path / "train.npy").tolist() == np.full((1, 3, 4, 4), 7).tolist()
            Images.pack(tmp_path, rows(spool, {"train": [0], "holdout": [1]}, 1))
            assert np.load(tmp_path / "holdout.npy").tolist() == np.full((1, 1, 4, 4), 9).tolist()


class TestStacked:
    def packed(self, folder: Path, classes: tuple[str, ...] | None = ("a", "b", "c")) -> tuple[Dataset, dict[str, list[int]]]:
        """Stacks of 4 x 4 pictures, each filled with its own number; and the class of each number."""
        numbers = {"train": list(range(30)), "holdout": list(range(30, 40))}
        labels = {split: [number % 3 for number in some] for split, some in numbers.items()}
        with Spool(folder / "spool", (4, 4)) as spool:
            for number in range(40):
                spool.append(np.full((1, 4, 4), number, dtype=np.uint8))
            (folder / "ready").mkdir()
            spec = Images.pack(folder / "ready", rows(spool, numbers, 1), labels if classes else None, classes)
        spec.stack(folder / "ready", seed=0)
        return Dataset.open(folder / "ready"), numbers

    def test_each_image_is_in_three_stacks_of_its_own_split(self, tmp_path: Path) -> None:
        dataset, numbers = self.packed(tmp_path)
        assert dataset.spec.shape == (3, 4, 4)
        for split, some in numbers.items():
            channels = dataset.samples[split][:, :, 0, 0]
            assert all(sorted(channels[:, channel]) == some for channel in range(3))
            assert len({tuple(stack) for stack in channels.tolist()} & {(i, i, i) for i in some}) < len(some)

    def test_the_class_is_the_combination(self, tmp_path: Path) -> None:
        dataset, _ = self.packed(tmp_path)
        assert dataset.spec.stacked == ("a", "b", "c")
        assert dataset.spec.classes is not None
        assert dataset.spec.classes[:4] == ("a+a+a", "a+a+b", "a+a+c", "a+b+a")
        for stack, label in zip(dataset.samples["train"][:, :, 0, 0] % 3, dataset.labels["train"], strict=True):
            assert dataset.spec.classes[label] == "+".join("abc"[one] for one in stack)

    def test_unstacked_again(self, tmp_path: Path) -> None:
        dataset, numbers = self.packed(tmp_path)
        single = unstacked(dataset)
        assert (single.spec.shape, single.spec.classes, single.spec.counts["train"]) == ((1, 4, 4), ("a", "b", "c"), 90)
        values = single.samples["train"][:, 0, 0, 0]
        np.testing.assert_array_equal(values % 3, single.labels["train"])
        assert sorted(values) == sorted(3 * numbers["train"])
        shares = mode_shares(dataset)
        assert shares == pytest.approx(np.full(27, 1 / 27))

    def test_needs_labels(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"data\.stack: the images have no labels"):
            self.packed(tmp_path, classes=None)


class TestPoints:
    def test_packed_and_opened(self, tmp_path: Path) -> None:
        points = {"train": np.array([[0, 5], [2, 5], [4, 5]], dtype=np.float32), "holdout": np.array([[9, 9]], dtype=np.float32)}
        truth = {"shape": "circle", "radius": 2.0, "sigma": 0.0}
        Points.pack(tmp_path, points, truth)
        dataset = Dataset.open(tmp_path)
        assert dataset.spec.kind == "points"
        assert dataset.spec.shape == (2,)
        assert dataset.spec.truth == truth
        assert dataset.spec.mean == (2.0, 5.0)
        # The second column never changes; dividing by its deviation must stay possible.
        assert dataset.spec.std == pytest.approx((np.sqrt(8 / 3), 1.0))
        for split, expected in points.items():
            np.testing.assert_array_equal(dataset.samples[split], expected)
            assert dataset.samples[split].dtype == np.float32
