"""Packed data sets: opened lazily, refused with the file's name where they are damaged, and named by one digest."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import DataError

Make = Callable[..., Dataset]


def test_what_was_written_is_opened_through_a_memory_map(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset((3, 8, 8), classes=2, count=12)
    assert dataset.spec.shape == (3, 8, 8)
    assert dataset.spec.classes == ("class-0", "class-1")
    assert dataset.spec.counts == {"train": 12, "holdout": 10}
    assert isinstance(dataset.samples["train"], np.memmap)
    assert not dataset.samples["train"].flags.writeable
    np.testing.assert_array_equal(dataset.labels["holdout"], np.arange(10) % 2)
    np.testing.assert_array_equal(dataset.samples["train"], np.load(tmp_path / "ready" / "train.npy"))


def test_points_carry_scale_and_truth(make_dataset: Make) -> None:
    spec = make_dataset((2,)).spec
    assert (spec.kind, spec.mean, spec.std) == ("points", (0.0, 0.0), (1.5, 1.4))
    assert spec.truth == {"shape": "circle", "radius": 2.0, "sigma": 0.0}
    assert spec.classes is None


def test_a_missing_folder_says_which_stage_makes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing/dataset\.json: not there; run the validate stage first"):
        Dataset.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", '"text"', "{}", '{"format": 1}', '{"format": 2}', '{"format": 1, "shape": 4}', "\x00", "\ud7ff" * 3],
)
def test_a_damaged_dataset_json_is_named(make_dataset: Make, tmp_path: Path, text: str) -> None:
    make_dataset()
    (tmp_path / "ready" / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"ready/dataset\.json: .*run the validate stage again"):
        Dataset.open(tmp_path / "ready")


def change(folder: Path, **changes: Any) -> None:
    path = folder / "dataset.json"
    fields = json.loads(path.read_text())
    for key, value in changes.items():
        if value is None:
            del fields[key]
        else:
            fields[key] = value
    path.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": None},
        {"shape": None},
        {"counts": None},
        {"counts": {"train": 40}},
        {"counts": [40, 10]},
        {"classes": 5},
        {"unheard": "of"},
        {"counts": {"train": "many", "holdout": 10}},
    ],
)
def test_a_dataset_json_with_wrong_fields_is_named(make_dataset: Make, tmp_path: Path, changes: dict[str, Any]) -> None:
    make_dataset()
    change(tmp_path / "ready", **changes)
    with pytest.raises(DataError, match=r"run the validate stage again"):
        Dataset.open(tmp_path / "ready")


def test_bytes_that_are_no_text_are_named(make_dataset: Make, tmp_path: Path) -> None:
    make_dataset()
    (tmp_path / "ready" / "dataset.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(DataError, match=r"dataset\.json: damaged"):
        Dataset.open(tmp_path / "ready")


@pytest.mark.parametrize("name", ["train.npy", "holdout.npy", "train_labels.npy", "holdout_labels.npy"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "rubbish", "pickle", "zip", "folder"])
def test_a_damaged_array_is_named(make_dataset: Make, tmp_path: Path, name: str, damage: str) -> None:
    make_dataset(classes=2)
    path = tmp_path / "ready" / name
    data = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.touch()
    elif damage == "truncated":
        path.write_bytes(data[:-20])
    elif damage == "rubbish":
        path.write_bytes(b"no array at all" * 30)
    elif damage == "pickle":
        path.write_bytes(pickle.dumps(np.zeros(3)))
    elif damage == "zip":
        with path.open("wb") as file:
            np.savez(file, np.zeros(3))
    elif damage == "folder":
        path.mkdir()
    with pytest.raises(DataError, match=rf"ready/{name}: cannot be read .*run the validate stage again"):
        Dataset.open(tmp_path / "ready")


def test_a_planted_object_array_is_never_unpickled(make_dataset: Make, tmp_path: Path) -> None:
    make_dataset(count=3)
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trap,)

    np.save(tmp_path / "ready" / "train.npy", np.array([Trap(), Trap(), Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"train\.npy: cannot be read"):
        Dataset.open(tmp_path / "ready")
    assert not trap.exists()


def test_an_array_of_another_shape_or_type_is_refused_with_both(make_dataset: Make, tmp_path: Path) -> None:
    make_dataset((1, 8, 8), classes=2, count=12)
    ready = tmp_path / "ready"
    np.save(ready / "train.npy", np.zeros((11, 1, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"train\.npy: has shape \(11, 1, 8, 8\) of uint8, and dataset\.json says \(12, 1, 8, 8\) of uint8"):
        Dataset.open(ready)
    np.save(ready / "train.npy", np.zeros((12, 1, 8, 8), np.float64))
    with pytest.raises(DataError, match=r"train\.npy: .*float64.*uint8"):
        Dataset.open(ready)
    np.save(ready / "train.npy", np.zeros((12, 1, 8, 8), np.uint8))
    np.save(ready / "train_labels.npy", np.zeros(12, np.float32))
    with pytest.raises(DataError, match=r"train_labels\.npy: .*float32.*int64"):
        Dataset.open(ready)


def test_the_digest_stays_where_the_folder_moves_and_follows_every_change(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset((1, 8, 8), classes=2, count=12)
    ready = tmp_path / "ready"
    digest = dataset.spec.digest
    assert len(digest) == 64
    shutil.copytree(ready, tmp_path / "elsewhere")
    assert Dataset.open(tmp_path / "elsewhere").spec.digest == digest
    assert write_spec(ready, dataset.spec).digest == digest  # as written, and as opened

    digests = {digest}
    for name in ("train.npy", "holdout.npy", "train_labels.npy", "holdout_labels.npy"):
        original = (ready / name).read_bytes()
        flipped = bytearray(original)
        flipped[-8] ^= 1
        (ready / name).write_bytes(flipped)
        digests.add(write_spec(ready, dataset.spec).digest)
        (ready / name).write_bytes(original)
    digests.add(replace(dataset.spec, classes=("class-1", "class-0")).digest)
    digests.add(replace(dataset.spec, stacked=("class-0",)).digest)  # type: ignore[call-arg]  these are images
    assert len(digests) == 7

    spec = make_dataset((2,), folder=tmp_path / "points").spec
    assert len({spec.digest, replace(spec, mean=(0.0,)).digest, replace(spec, truth={"shape": "grid"}).digest}) == 3  # type: ignore[call-arg]


def test_a_data_set_in_memory_is_named_as_it_would_be_on_disk(make_dataset: Make) -> None:
    """Two that differ in one pixel alone are two."""
    written = make_dataset((1, 8, 8), classes=2, count=12)
    samples = {split: np.array(array) for split, array in written.samples.items()}
    unnamed = replace(written.spec, sha256={})
    assert Dataset(unnamed, samples, written.labels).spec.digest == written.spec.digest
    other = {**samples, "train": samples["train"].copy()}
    other["train"][0, 0, 0, 0] ^= 1
    assert Dataset(unnamed, other, written.labels).spec.digest != written.spec.digest
