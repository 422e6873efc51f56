"""The validate stage from raw to ready, on good, odd and broken data."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from raw_sets import entry, noise, png, write_arrays, write_files, write_points

from gan_core.data.dataset import SPLITS, Dataset
from gan_core.errors import DataError, GantryError
from tasks.params import ValidateParams, parse
from tasks.sources.raw import About, RawFile, sync, write_raw
from tasks.validate import validate
from tasks.validation import decoding
from tasks.validation.images import decode
from tasks.validation.packing import split_of
from tasks.workspace import Workspace

FOLDER = {"source": "folder:///pictures", "size": 8}
FEW = {"min_samples": 10}


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def run(place: Workspace, data: Mapping[str, Any] = FOLDER, limits: Mapping[str, Any] = FEW) -> Dataset:
    validate(place, "pets", entry(data, limits))
    return Dataset.open(place.ready("pets"))


def manifest(place: Workspace) -> pd.DataFrame:
    return pd.read_parquet(place.ready("pets") / "manifest.parquet")


def quarantine(place: Workspace) -> dict[str, str]:
    with (place.ready("pets") / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["path"] for row in rows}) == len(rows), "a sample is listed twice"
    return {row["path"]: row["reason"] for row in rows}


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def pets(count: int = 60) -> dict[str, bytes]:
    return {f"{('cats', 'dogs')[i % 2]}/{i:03d}.png": png(noise(i)) for i in range(count)}


class TestGoodData:
    def test_rows_of_the_manifest_are_the_samples_in_packed_order(self, place: Workspace) -> None:
        files = pets()
        write_files(place.raw("pets"), files)
        dataset = run(place, {**FOLDER, "holdout": 0.3, "seed": 5})
        rows = manifest(place)
        assert list(rows.columns) == ["path", "sha256", "width", "height", "mode", "mean", "std", "label", "split"]
        assert dataset.spec.shape == (3, 8, 8)
        assert dataset.spec.classes == ("cats", "dogs")
        assert sorted(rows["path"]) == sorted(files)
        for split in SPLITS:
            part = rows[rows["split"] == split]
            assert list(part["path"]) == sorted(part["path"])
            assert len(part) == dataset.spec.counts[split] > 0
            for row, pixels, label in zip(part.itertuples(), dataset.samples[split], dataset.labels[split], strict=True):
                data = files[str(row.path)]
                picture = decode(data, 8, ValidateParams())
                np.testing.assert_array_equal(pixels, picture.pixels)
                assert dataset.spec.classes[label] == row.label == str(row.path).partition("/")[0]
                assert row.sha256 == hashlib.sha256(data).hexdigest()
                assert split_of(str(row.sha256), 5, 0.3) == split
                assert (row.width, row.height, row.mode, row.mean, row.std) == (8, 8, "RGB", picture.mean, picture.std)
        assert list(rows["split"]) == sorted(rows["split"], reverse=True)  # train first

    def test_last_line(self, place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
        files = pets() | {"cats/copy.png": pets()["cats/000.png"], "cats/broken.png": b""}
        write_files(place.raw("pets"), files)
        dataset = run(place, limits={**FEW, "max_quarantined": 0.1})
        train, held_out = dataset.spec.counts["train"], dataset.spec.counts["holdout"]
        assert capsys.readouterr().out.splitlines()[-1] == (
            f"validate pets: 61 images ({train} train, {held_out} held out), 1 quarantined, 1 equal to another, 22 expectations met"
        )
        assert quarantine(place) == {"cats/broken.png": "empty file"}

    def test_a_third_part_is_kept_for_selection_and_takes_nothing_that_is_held_out(
        self, place: Workspace, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_files(place.raw("pets"), pets())
        before = run(place)
        held_out = np.array(before.samples["holdout"])
        dataset = run(place, {**FOLDER, "selection": 14})
        assert {split: len(dataset.samples[split]) for split in dataset.spec.splits} == {"train": 36, "holdout": 10, "selection": 14}
        np.testing.assert_array_equal(dataset.samples["holdout"], held_out)
        assert list(dict.fromkeys(manifest(place)["split"])) == ["train", "holdout", "selection"]
        assert "(36 train, 10 held out, 14 for selection)" in capsys.readouterr().out
        view = dataset.selecting
        np.testing.assert_array_equal(view.samples["holdout"], dataset.samples["selection"])
        np.testing.assert_array_equal(view.labels["holdout"], dataset.labels["selection"])
        assert (view.spec.counts, list(view.samples)) == ({"train": 36, "holdout": 14}, ["train", "holdout"])
        with pytest.raises(DataError, match=r"has no part that snapshots are selected by; set data\.selection"):
            _ = before.selecting
        with pytest.raises(DataError, match=r"data\.selection: asks for 30 samples, and at most half of what is not held out is kept, 25"):
            run(place, {**FOLDER, "selection": 30})

    def test_without_labels(self, place: Workspace) -> None:
        write_files(place.raw("pets"), {path.replace("/", "-"): data for path, data in pets().items()})
        dataset = run(place)
        assert dataset.spec.classes is None
        assert dataset.labels == {}
        assert manifest(place)["label"].isna().all()
        assert not list(place.ready("pets").glob("*labels*"))

    @pytest.mark.parametrize(("grey", "asked", "channels"), [(40, None, 1), (20, None, 3), (30, None, 3), (40, 3, 3), (20, 1, 1)])
    def test_channels_are_the_asked_ones_or_what_most_files_have(
        self, place: Workspace, grey: int, asked: int | None, channels: int
    ) -> None:
        shapes = [(8, 8)] * grey + [(8, 8, 3)] * (60 - grey)
        write_files(place.raw("pets"), {f"{i:02d}.png": png(noise(i, *shape)) for i, shape in enumerate(shapes)})
        assert run(place, {**FOLDER, "channels": asked}).spec.shape == (channels, 8, 8)
        assert set(manifest(place)["mode"]) == {"L", "RGB"}

    def test_arrays(self, place: Workspace) -> None:
        write_arrays(place.raw("pets"), noise(0, 50, 8, 8), np.arange(50) % 2, ["even", "odd"])
        dataset = run(place, {"source": "sklearn://digits"})
        rows = manifest(place)
        for split in SPLITS:
            numbers = [int(path.removeprefix("images.npy#")) for path in rows[rows["split"] == split]["path"]]
            assert numbers == sorted(numbers)
            np.testing.assert_array_equal(dataset.samples[split], noise(0, 50, 8, 8)[numbers][:, None])
            np.testing.assert_array_equal(dataset.labels[split], np.array(numbers) % 2)

    def test_points(self, place: Workspace) -> None:
        points = np.random.default_rng(0).normal(3, 2, (400, 2)).astype(np.float32)
        points[17, 0] = np.inf
        truth = {"shape": "circle", "radius": 2.0, "sigma": 0.0}
        write_points(place.raw("pets"), points, truth)
        dataset = run(place, {"source": "points://circle"})
        assert quarantine(place)["points.npy#17"].startswith("not finite: (inf, ")
        assert dataset.spec.truth == truth
        train = dataset.samples["train"].astype(np.float64)
        assert dataset.spec.mean == pytest.approx(train.mean(axis=0), rel=1e-12)
        assert dataset.spec.std == pytest.approx(train.std(axis=0), rel=1e-12)
        rows = manifest(place)
        assert rows[["width", "height", "mode", "mean", "std", "label"]].isna().all(axis=None)
        kept = np.delete(points, 17, axis=0)
        np.testing.assert_array_equal(np.sort(np.concatenate([dataset.samples[s] for s in SPLITS]), axis=0), np.sort(kept, axis=0))


class TestSplit:
    def test_equal_files_are_on_one_side(self, place: Workspace) -> None:
        files = {f"{i:02d}-{copy}.png": png(noise(i)) for i in range(30) for copy in range(4)}
        write_files(place.raw("pets"), files)
        run(place, {**FOLDER, "holdout": 0.5})
        assert manifest(place).groupby("sha256")["split"].nunique().tolist() == [1] * 30

    def test_new_files_never_move_old_ones(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets(60))
        run(place)
        before = manifest(place).set_index("path")["split"]
        write_files(place.raw("pets"), pets(90) | {"birds/1.png": png(noise(1000)), "birds/2.png": png(noise(1001))})
        run(place, limits={**FEW, "min_per_class": 1})
        after = manifest(place).set_index("path")["split"]
        assert len(after) == 92
        assert after[before.index].tolist() == before.tolist()

    def test_an_empty_split_is_refused(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets(10))
        with pytest.raises(DataError, match=r"at least 1 sample to train on .*: found 0"):
            run(place, {**FOLDER, "holdout": 0.999})

    def test_as_many_are_held_out_as_scores_need(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets(30))
        run(place, {**FOLDER, "holdout": 0.001})
        assert manifest(place)["split"].value_counts().to_dict() == {"train": 20, "holdout": 10}


class TestWhatEvaluateRefuses:
    """Is refused before anything is trained, and leaves nothing that could be trained on."""

    def test_too_few_samples_to_hold_some_out(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets(18))
        with pytest.raises(DataError, match=r"9 held-out samples are too few to score with, at least 10 are needed; raise data\.holdout"):
            run(place, {**FOLDER, "holdout": 0.001})
        assert set(contents(place.ready("pets"))) == {"quarantine.csv"}

    def test_one_picture_under_many_names(self, place: Workspace) -> None:
        write_files(place.raw("pets"), {f"{i:02}.jpg": jpeg(noise(0)) + str(i).encode() for i in range(40)})
        with pytest.raises(DataError, match="all held-out images are the same, so there is nothing to compare with"):
            run(place)
        assert set(contents(place.ready("pets"))) == {"quarantine.csv"}

    @pytest.mark.parametrize(
        ("data", "features", "message"),
        [
            ({"layout": "side-by-side"}, "segmentation", "the inputs are no label maps, which have areas of at least two colours"),
            ({"corruption": "noise"}, "segmentation", r"features: segmentation needs label maps as inputs, not spoiled images"),
            ({}, "segmentation", "segmentation is for pairs of label map and image"),
            ({}, "classifier", "a classifier needs at least two classes, and the data has 0"),
        ],
    )
    def test_features_that_the_data_has_not(self, place: Workspace, data: dict[str, Any], features: str, message: str) -> None:
        """Photos as inputs: smooth shades, which fall into a few greys and are no labels."""
        shades = np.add.outer(np.arange(16), np.arange(32)).astype(np.uint8)
        files = {f"{i:02}.png": png(np.repeat((5 * shades + 2 * i)[..., None], 3, 2) + noise(i, 16, 32, 3) // 64) for i in range(30)}
        write_files(place.raw("pets"), files)
        recipe = {"recipe": "pix2pix" if data else "gan", "images": 100}
        sections = {"data": {**FOLDER, "size": 16, **data}, "validate": FEW, "train": recipe, "evaluate": {"features": features}}
        with pytest.raises(GantryError, match=message):
            validate(place, "pets", parse({"generators": {"pets": {**sections, "register": {}}}})["pets"])
        assert set(contents(place.ready("pets"))) == {"quarantine.csv"}


class TestSameBytes:
    def test_on_every_run(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets() | {"cats/broken.png": b"", "dogs/copy.png": pets()["dogs/001.png"]})
        limits = {**FEW, "max_quarantined": 0.1}
        run(place, limits=limits)
        first = contents(place.ready("pets"))
        assert set(first) == {
            "dataset.json", "train.npy", "train_labels.npy", "holdout.npy", "holdout_labels.npy", "manifest.parquet", "quarantine.csv",
        }  # fmt: skip
        run(place, limits=limits)
        assert contents(place.ready("pets")) == first

    def test_with_any_number_of_processes(self, place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        write_files(place.raw("pets"), pets())
        run(place)
        first = contents(place.ready("pets"))
        monkeypatch.setattr(decoding.cores, "usable", lambda: 3)
        monkeypatch.setattr(decoding, "_POOL_FILES", 1)
        monkeypatch.setattr(decoding, "_CHUNK_FILES", 7)
        run(place)
        assert contents(place.ready("pets")) == first

    def test_whatever_the_source_is_called(self, place: Workspace) -> None:
        # The same files from elsewhere are the same data set, so nothing after it needs to run.
        write_files(place.raw("pets"), pets())
        run(place)
        first = contents(place.ready("pets"))
        write_raw(place.raw("pets"), About("files", "folder:///elsewhere", 60), pets())
        run(place, {**FOLDER, "source": "folder:///elsewhere"})
        assert contents(place.ready("pets")) == first


class TestConflicts:
    def test_equal_files_of_two_classes_are_set_aside_once_each(self, place: Workspace) -> None:
        same = png(noise(500))
        write_files(place.raw("pets"), pets() | {"cats/x.png": same, "dogs/x.png": same, "dogs/y.png": same})
        run(place, limits={**FEW, "max_quarantined": 0.1})
        reason = "conflicting labels: equal samples stand in cats and dogs"
        assert quarantine(place) == dict.fromkeys(["cats/x.png", "dogs/x.png", "dogs/y.png"], reason)
        assert hashlib.sha256(same).hexdigest() not in set(manifest(place)["sha256"])

    def test_rows_of_an_array_too(self, place: Workspace) -> None:
        images = noise(0, 50, 8, 8)
        images[31] = images[8]
        images[30] = images[10]  # equal, and of the same class: kept
        write_arrays(place.raw("pets"), images, np.arange(50) % 2, ["even", "odd"])
        run(place, {"source": "sklearn://digits"}, {**FEW, "max_quarantined": 0.1})
        assert set(quarantine(place)) == {"images.npy#8", "images.npy#31"}


class TestRefused:
    def third_broken(self, place: Workspace, gantry_data: Path) -> None:
        broken = ["truncated_image.png", "broken_data_stream.png", "decompression_bomb.ico", "bad_palette_entry.gpl", "hopper.psd"]
        files = {f"broken/{i}-{name}": (gantry_data / "odd/pillow" / name).read_bytes() for i in range(6) for name in broken}
        files |= {f"good/{i:02d}.png": png(noise(i)) for i in range(60)}
        write_files(place.raw("pets"), {path.replace("/", "-"): data for path, data in files.items()})

    def test_a_third_of_the_files_broken(self, place: Workspace, gantry_data: Path) -> None:
        write_files(place.raw("pets"), pets())
        run(place)  # a good data set was there before
        self.third_broken(place, gantry_data)
        with pytest.raises(DataError) as caught:
            run(place)
        message = str(caught.value)
        assert "pets: the data set is refused, 1 of 17 expectations are not met" in message
        assert "at most 1 % in quarantine (validate.max_quarantined): 30 of 90 (33.3%) are in quarantine" in message
        assert "\nto go on without them: `validate: {max_quarantined: 0.34}` in its entry of params.yaml\n" in message
        assert "broken-0-broken_data_stream.png: broken: " in message
        assert "and 25 more" in message
        assert str(place.ready("pets") / "quarantine.csv") in message
        assert len(quarantine(place)) == 30
        # Nothing that training could take for a data set is left, and everything that a person needs is.
        assert [path.name for path in place.ready("pets").iterdir()] == ["quarantine.csv"]
        (page,) = [line.partition(": ")[2] for line in message.splitlines() if line.startswith("results of the check")]
        assert "broken_data_stream.png" in Path(page).read_text()
        results = json.loads((place.validation("pets") / "results.json").read_text())
        assert results["source"]["success"] is False
        named = [one["result"]["unexpected_index_list"] for one in results["source"]["results"] if not one["success"]]
        assert {row["path"] for row in named[0]} == set(quarantine(place))
        assert sorted(path.name for path in place.ready("pets").parent.iterdir()) == ["raw", "ready", "validation"]

    def test_the_same_is_accepted_where_it_is_allowed(self, place: Workspace, gantry_data: Path) -> None:
        self.third_broken(place, gantry_data)
        dataset = run(place, limits={**FEW, "max_quarantined": 0.34})
        assert sum(dataset.spec.counts.values()) == 60

    def test_too_few_samples_and_too_small_a_class(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets(40) | {"mice/1.png": png(noise(900))})
        with pytest.raises(DataError) as caught:
            run(place, limits={"min_per_class": 5})
        message = str(caught.value)
        assert "2 of 22 expectations are not met" in message
        assert "at least 100 samples (validate.min_samples): found 41" in message
        assert "at least 5 samples of each class (validate.min_per_class): not so for 1 of 3 (33.3%)\n    mice: 1" in message

    def test_a_class_without_any_good_sample(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets() | {"mice/1.png": b"no image"})
        with pytest.raises(DataError, match="mice: 0"):
            run(place, limits={**FEW, "max_quarantined": 0.5})

    def test_a_single_class(self, place: Workspace) -> None:
        write_files(place.raw("pets"), {path: data for path, data in pets().items() if path.startswith("cats")})
        with pytest.raises(DataError, match="at least 2 classes, where there are labels: found 1"):
            run(place)

    def test_nothing_good_at_all(self, place: Workspace) -> None:
        write_files(place.raw("pets"), {f"{i}.png": b"no image" for i in range(20)})
        with pytest.raises(DataError, match=r"20 of 20 \(100.0%\) are in quarantine"):
            run(place)
        assert len(quarantine(place)) == 20

    def test_nothing_at_all(self, place: Workspace) -> None:
        write_files(place.raw("pets"), {})
        with pytest.raises(DataError, match=r"holds no samples; look at data.source \(folder:///pictures\)"):
            run(place)

    def test_nothing_fetched(self, place: Workspace) -> None:
        with pytest.raises(DataError, match=r"index\.json: not there; run the fetch stage first"):
            run(place)

    def test_a_damaged_archive_leaves_what_was_there(self, place: Workspace) -> None:
        write_files(place.raw("pets"), pets())
        run(place)
        before = contents(place.ready("pets"))
        (shard,) = place.raw("pets").glob("*.tar")
        data = bytearray(shard.read_bytes())
        data[len(data) // 2] ^= 1
        shard.write_bytes(data)
        with pytest.raises(DataError, match="damaged at"):
            run(place)
        assert contents(place.ready("pets")) == before
        assert sorted(path.name for path in place.ready("pets").parent.iterdir()) == ["raw", "ready", "validation"]

    def test_what_dvc_sees(self, place: Workspace) -> None:
        write_files(place.raw("pets"), {"1.png": b"no image"})
        (place.root / "params.yaml").write_text(PARAMS)
        child = command(place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = child.communicate(timeout=60)
        assert child.returncode == DataError.exit_code == 3
        assert "Traceback" not in err
        assert err.startswith("error: pets: the data set is refused")
        assert out == ""


PARAMS = """
generators:
  pets:
    data: {source: "folder:///pictures", size: 8}
    validate: {min_samples: 10}
    train: {recipe: gan, images: 100}
    evaluate: {}
    register: {}
"""


def command(place: Workspace, **options: Any) -> subprocess.Popen[Any]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen([sys.executable, "-m", "tasks.validate", "pets"], cwd=place.root, env=environment, **options)


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children and ends them with it")
def test_killed_midway_leaves_no_process_and_the_next_run_is_right(place: Workspace) -> None:
    if decoding.cores.usable() == 1:
        pytest.skip("one processor: nothing runs beside the stage")
    # Enough files for several processes, all from two pictures of some size, so that decoding takes a few seconds.
    pictures = [jpeg(noise(i, 400, 400, 3)) for i in range(2)]
    write_files(place.raw("pets"), {f"{i:04d}.jpg": pictures[i % 2] + str(i).encode() for i in range(800)})
    (place.root / "params.yaml").write_text(PARAMS)
    child = command(place, stdout=subprocess.DEVNULL)
    spool = place.ready("pets").with_name(".validate.partial") / "spool"
    deadline = time.monotonic() + 60
    while not (spool.exists() and spool.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    helpers = {int(one) for one in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()}
    assert len(helpers) >= 2
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 20
    while any(map(alive, helpers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, helpers))
    assert not place.ready("pets").exists()
    assert spool.exists()  # what the kill left behind

    assert command(place).wait(120) == 0
    assert not spool.parent.exists()
    dataset = Dataset.open(place.ready("pets"))
    assert sum(dataset.spec.counts.values()) == len(manifest(place)) == 800
    expected = [decode(picture, 8, ValidateParams()).pixels for picture in pictures]
    for split in SPLITS:
        numbers = manifest(place).query("split == @split")["path"].str[:4].astype(int)
        np.testing.assert_array_equal(dataset.samples[split], [expected[number % 2] for number in numbers])


class TestRealData:
    def from_folder(self, place: Workspace, folder: Path, skip: tuple[str, ...] = ()) -> None:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in skip]
        files = [RawFile(path.relative_to(folder).as_posix(), path.stat().st_size, lambda path=path: path.open("rb")) for path in paths]
        sync(place.raw("pets"), About("files", f"folder://{folder}", len(files)), files)

    def test_odd_files(self, place: Workspace, gantry_data: Path) -> None:
        self.from_folder(place, gantry_data / "odd", ("INDEX.csv",))
        limits = {"min_samples": 2, "max_quarantined": 0.25, "min_per_class": 1}
        with pytest.raises(DataError, match="lfs_pointer: 0"):  # classes of which nothing is left
            run(place, {**FOLDER, "size": 32}, limits)
        assert set(quarantine(place)) == {
            "lfs_pointer/maps_train_1.jpg",
            "lfs_pointer/maps_train_3.jpg",
            "mnist_bad/html_saved_as_train-images-idx3-ubyte.gz",
            "pillow/bad_palette_entry.gpl",
            "pillow/broken_data_stream.png",
            "pillow/decompression_bomb.ico",
            "pillow/hopper.psd",
            "pillow/truncated_image.png",
        }

    def test_copies_stay_on_one_side(self, place: Workspace, gantry_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = gantry_data / "odd/leak_and_duplicates"
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jpg")}
        others = pets()  # enough to score with
        write_files(place.raw("pets"), {path.replace("/", "-"): data for path, data in (files | others).items()})
        run(place, {**FOLDER, "size": 32, "holdout": 0.5}, {"min_samples": 2})
        assert manifest(place).groupby("sha256")["split"].nunique().max() == 1
        assert "2 equal to another" in capsys.readouterr().out

    def test_copies_in_several_classes_contradict_each_other(self, place: Workspace, gantry_data: Path) -> None:
        self.from_folder(place, gantry_data / "odd/leak_and_duplicates")
        limits = {"min_samples": 2, "min_per_class": 1, "max_quarantined": 0.5}
        with pytest.raises(DataError, match=r"at least 1 sample of each class .*\n    testB: 0"):
            run(place, {**FOLDER, "size": 32}, limits)
        reason = "conflicting labels: equal samples stand in testB and trainB"
        assert quarantine(place) == dict.fromkeys(["testB/00749.jpg", "trainB/00555.jpg", "trainB/00567.jpg"], reason)

    def test_sign_digits(self, place: Workspace, gantry_data: Path) -> None:
        self.from_folder(place, gantry_data / "sign-digits", ("LICENSE",))
        dataset = run(place, {**FOLDER, "size": 32}, {})
        assert dataset.spec.shape == (3, 32, 32)
        assert dataset.spec.classes == tuple("0123456789")
        assert sum(dataset.spec.counts.values()) == 1_000
        assert quarantine(place) == {}
        np.testing.assert_allclose(dataset.samples["train"].mean(), manifest(place).query("split == 'train'")["mean"].mean(), atol=1)

    def test_mnist_stays_bit_equal(self, place: Workspace, gantry_data: Path) -> None:
        folder = gantry_data / "MNIST/raw"
        write_raw(
            place.raw("pets"), About("idx", "torchvision://MNIST", 70_000), {path.name: path.read_bytes() for path in folder.glob("*.gz")}
        )
        dataset = run(place, {"source": "torchvision://MNIST"}, {})
        assert dataset.spec.shape == (1, 28, 28)
        assert sum(dataset.spec.counts.values()) == 70_000
        assert quarantine(place) == {}
        rows = manifest(place)
        parts = {part: _plain_idx(folder, part) for part in ("train", "t10k")}
        for split in SPLITS:
            paths = rows[rows["split"] == split]["path"]
            places = [path.split("-images-idx3-ubyte.gz#") for path in paths]
            expected = np.stack([parts[part][0][int(number)] for part, number in places])
            np.testing.assert_array_equal(dataset.samples[split][:, 0], expected)
            np.testing.assert_array_equal(dataset.labels[split], [parts[part][1][int(number)] for part, number in places])


def _plain_idx(folder: Path, part: str) -> tuple[Any, Any]:
    """By another way than the code under test: the format's offsets, 16 bytes before images and 8 before labels."""
    import gzip

    images = np.frombuffer(gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8).reshape(-1, 28, 28)
    return images, np.frombuffer(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
