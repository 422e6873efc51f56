"""The split never leaks or moves a sample; packing and reading back are inverse."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError
from gan_core.metrics.stacked import mode_shares, unstacked
from tasks.validation.packing import Spool, pack_images, pack_points, pack_stacked, split_of, splits_of

digests = st.binary(min_size=1, max_size=20).map(lambda data: hashlib.sha256(data).hexdigest())


class TestSplit:
    def test_is_pinned(self) -> None:
        # Moving samples between the splits of existing data sets is a leak, so the rule may never change.
        sides = "".join(split_of(hashlib.sha256(bytes([i])).hexdigest(), 3, 0.3)[0] for i in range(40))
        assert sides == "tttttthhttthhttttthtthhtttthhttttththttt"

    @given(digests, st.integers(0, 2**31 - 1), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
    def test_a_larger_share_only_moves_samples_out_of_train(self, sha256: str, seed: int, first: float, second: float) -> None:
        small, large = sorted([first, second])
        if split_of(sha256, seed, small) == "holdout":
            assert split_of(sha256, seed, large) == "holdout"

    @pytest.mark.parametrize("holdout", [0.05, 0.1, 0.5, 0.9])
    def test_share(self, holdout: float) -> None:
        sides = [split_of(hashlib.sha256(str(i).encode()).hexdigest(), 0, holdout) for i in range(20_000)]
        # Four standard deviations of a binomial: a sound hash fails this for one set of digests in 16,000, and these are fixed.
        assert abs(sides.count("holdout") / 20_000 - holdout) < 4 * np.sqrt(holdout * (1 - holdout) / 20_000)

    def test_depends_on_the_seed(self) -> None:
        names = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(2_000)]
        held = [{name for name in names if split_of(name, seed, 0.5) == "holdout"} for seed in (0, 1)]
        # Independent halves share a quarter of all.
        assert 400 < len(held[0] & held[1]) < 600

    def test_with_enough_held_out_it_is_a_function_of_each_alone(self) -> None:
        keys = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(500)]
        assert splits_of(keys, [None] * 500, 1, 0.3, 10, 0) == [split_of(key, 1, 0.3) for key in keys]

    def test_what_scores_need_is_held_out_by_the_same_draw(self) -> None:
        keys = [hashlib.sha256(str(i // 2).encode()).hexdigest() for i in range(60)]  # equal twos
        few, more = (splits_of(keys, [None] * 60, 0, holdout, 10, 0) for holdout in (0.01, 0.3))
        assert few.count("holdout") == 10
        assert all(one == other for one, other in zip(few[::2], few[1::2], strict=True))
        assert more.count("holdout") > 10
        assert all(there == "holdout" for here, there in zip(few, more, strict=True) if here == "holdout")

    @pytest.mark.parametrize("seed", range(10))
    def test_some_of_each_label_are_held_out_and_most_stay(self, seed: int) -> None:
        keys = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(400)]
        labels: list[str | None] = ["yes" if i < 4 else "no" for i in range(400)]
        sides = splits_of(keys, labels, seed, 0.1, 10, 1)
        assert 1 <= sides[:4].count("holdout") <= 3
        assert splits_of(keys[:1] * 4, labels[:4], seed, 0.001, 10, 1) == ["train"] * 4  # all equal: nothing can be held out


class TestSpool:
    def test_gives_back_what_was_put_down(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(0)
        pictures = [generator.integers(0, 256, (channels, 5, 5), dtype=np.uint8) for channels in (1, 3, 3, 1, 3)]
        with Spool(tmp_path / "spool", 5) as spool:
            assert [spool.append(picture) for picture in pictures] == [0, 1, 2, 3, 4]
            for number in (3, 0, 4, 1, 2):
                np.testing.assert_array_equal(spool.read(number), pictures[number])
            extra = generator.integers(0, 256, (1, 5, 5), dtype=np.uint8)
            assert spool.append(extra) == 5
            np.testing.assert_array_equal(spool.read(5), extra)
            np.testing.assert_array_equal(spool.read(2), pictures[2])

    def test_usual_channels(self, tmp_path: Path) -> None:
        with Spool(tmp_path / "spool", 4) as spool:
            for channels in (1, 1, 3, 1, 3):
                spool.append(np.zeros((channels, 4, 4), dtype=np.uint8))
            assert spool.usual_channels(range(5)) == 1
            assert spool.usual_channels([1, 2]) == 3
            assert spool.usual_channels([2, 4, 0]) == 3

    @pytest.mark.parametrize("shape", [(2, 4, 4), (1, 4, 5), (1, 5, 5)])
    def test_refuses_other_shapes(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        with Spool(tmp_path / "spool", 4) as spool, pytest.raises(ValueError, match="expected uint8"):
            spool.append(np.zeros(shape, dtype=np.uint8))


class TestImages:
    def test_packed_and_opened(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(0)
        pictures = [generator.integers(0, 256, (3, 4, 4), dtype=np.uint8) for _ in range(7)]
        with Spool(tmp_path / "spool", 4) as spool:
            for picture in pictures:
                spool.append(picture)
            numbers = {"train": [6, 0, 3, 1], "holdout": [5, 2]}
            labels = {"train": [0, 1, 1, 0], "holdout": [1, 1]}
            (tmp_path / "ready").mkdir()
            spec = pack_images(tmp_path / "ready", spool, numbers, labels, 3, ("a", "b"))
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
        with tempfile.TemporaryDirectory() as folder, Spool(Path(folder) / "spool", size) as spool:
            for picture in pictures:
                spool.append(picture)
            pack_images(Path(folder), spool, numbers, labels, channels, ("even", "odd"))
            dataset = Dataset.open(Path(folder))
            for split, some in numbers.items():
                np.testing.assert_array_equal(dataset.samples[split], pictures[some])
                np.testing.assert_array_equal(dataset.labels[split], labels[split])

    def test_same_bytes_as_numpy_writes(self, tmp_path: Path) -> None:
        pictures = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
        with Spool(tmp_path / "spool", 4) as spool:
            for picture in pictures:
                spool.append(picture)
            pack_images(tmp_path, spool, {"train": range(4), "holdout": [4]}, None, 1, None)
        np.save(tmp_path / "expected.npy", pictures[:4])
        assert (tmp_path / "train.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()
        assert not (tmp_path / "train_labels.npy").exists()

    def test_mixed_channels_become_the_asked_ones(self, tmp_path: Path) -> None:
        grey, colour = np.full((1, 4, 4), 7, dtype=np.uint8), np.full((3, 4, 4), 9, dtype=np.uint8)
        with Spool(tmp_path / "spool", 4) as spool:
            spool.append(grey)
            spool.append(colour)
            pack_images(tmp_path, spool, {"train": [0], "holdout": [1]}, None, 3, None)
            assert np.load(tmp_path / "train.npy").tolist() == np.full((1, 3, 4, 4), 7).tolist()
            pack_images(tmp_path, spool, {"train": [0], "holdout": [1]}, None, 1, None)
            assert np.load(tmp_path / "holdout.npy").tolist() == np.full((1, 1, 4, 4), 9).tolist()


class TestStacked:
    def packed(self, folder: Path, classes: tuple[str, ...] | None = ("a", "b", "c")) -> tuple[Dataset, dict[str, list[int]]]:
        """Stacks of 4 x 4 pictures, each filled with its own number; and the class of each number."""
        numbers = {"train": list(range(30)), "holdout": list(range(30, 40))}
        labels = {split: [number % 3 for number in some] for split, some in numbers.items()}
        with Spool(folder / "spool", 4) as spool:
            for number in range(40):
                spool.append(np.full((1, 4, 4), number, dtype=np.uint8))
            (folder / "ready").mkdir()
            spec = pack_images(folder / "ready", spool, numbers, labels if classes else None, 1, classes)
        pack_stacked(folder / "ready", spec, seed=0)
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
        pack_points(tmp_path, points, truth)
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
