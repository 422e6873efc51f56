"""`arrays://`: images in arrays of many, with their labels, through fetch and validation; and what is refused of them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from raw_sets import inspect, noise

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from tasks.fetch import fetch
from tasks.params import DataParams, Entry, parse
from tasks.sources import arrays, open_source
from tasks.sources.raw import RawReader
from tasks.validate import validate
from tasks.validation.inspection import Inspection
from tasks.workspace import Workspace

GREY = noise(0, 60, 8, 10)
COLOUR = noise(1, 60, 8, 8, 3)
LABELS = np.arange(60) % 3


def entry(path: Path, **data: Any) -> Entry:
    sections = {"data": {"source": f"arrays://{path}", "holdout": 0.4, **data}, "validate": {"min_samples": 10}}
    return parse({"generators": {"set": {**sections, "train": {"recipe": "gan", "images": 100}, "evaluate": {}, "register": {}}}})["set"]


def looked_at(workspace: Workspace, path: Path, **data: Any) -> Inspection:
    one = entry(path, **data)
    fetch(workspace, "set", one)
    with RawReader.open(workspace.raw("set")) as raw:
        return inspect(raw, one.data, one.validation, workspace.root / "spool")


def pictures(result: Inspection, channels: int) -> NDArray[Any]:
    return np.stack([*result.samples.rows([row.number for row in result.rows], channels)])


def idx(path: Path, values: NDArray[Any], code: int = 8) -> None:
    data = struct.pack(f">HBB{values.ndim}I", 0, code, values.ndim, *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def one_npy(root: Path) -> Path:
    np.save(root / "slices.npy", GREY)
    return root / "slices.npy"


def keras(root: Path) -> Path:
    parts = {"x_train": GREY[:40], "y_train": LABELS[:40].astype(np.uint8), "x_test": GREY[40:], "y_test": LABELS[40:].astype(np.uint8)}
    np.savez(root / "set.npz", **parts)
    return root / "set.npz"


def medical(root: Path) -> Path:
    parts = {"train": slice(0, 30), "val": slice(30, 40), "test": slice(40, 60)}
    both = {f"{part}_images": GREY[of] for part, of in parts.items()} | {f"{part}_labels": LABELS[of, None] for part, of in parts.items()}
    np.savez_compressed(root / "set.npz", **both)
    return root / "set.npz"


def files_of_arrays(root: Path) -> Path:
    np.save(root / "X.npy", GREY)
    np.save(root / "y.npy", np.array(["cat", "dog", "eel"])[LABELS])
    return root


def files_of_idx(root: Path) -> Path:
    idx(root / "train-images-idx3-ubyte.gz", GREY[:40])
    idx(root / "train-images-idx3-ubyte", GREY[:40])  # packed and unpacked
    idx(root / "train-labels-idx1-ubyte.gz", LABELS[:40].astype(np.uint8))
    idx(root / "t10k-images.idx3-ubyte", GREY[40:])  # as some sites name them
    idx(root / "t10k-labels.idx1-ubyte", LABELS[40:].astype(np.uint8))
    return root


@pytest.mark.parametrize(
    ("write", "classes", "first"),
    [
        (one_npy, None, "slices.npy#0"),
        (keras, ("0", "1", "2"), "x_test.npy#0"),
        (medical, ("0", "1", "2"), "test_images.npy#0"),
        (files_of_arrays, ("cat", "dog", "eel"), "X.npy#0"),
        (files_of_idx, ("0", "1", "2"), "t10k-images.idx3-ubyte.npy#0"),
    ],
)
def test_each_form_gives_its_images_and_labels(
    workspace: Workspace, tmp_path: Path, write: Callable[[Path], Path], classes: tuple[str, ...] | None, first: str
) -> None:
    (tmp_path / "mine").mkdir()
    path = write(tmp_path / "mine")
    result = looked_at(workspace, path, size=[8, 10])
    assert (result.classes, result.rows[0].path, {row.reason for row in result.rows}) == (classes, first, {None})
    place = {image.tobytes(): number for number, image in enumerate(GREY)}
    numbers = [place[image.tobytes()] for image in pictures(result, 1)]
    assert sorted(numbers) == list(range(60))
    names = classes or ()
    assert [row.label for row in result.rows] == [names[number % 3] if names else None for number in numbers]
    plain = looked_at(workspace, path, labels="none")
    assert (plain.classes, {row.label for row in plain.rows}) == (None, {None})


@pytest.mark.parametrize(
    ("values", "asked", "kept"),
    [
        (COLOUR, {}, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), {}, COLOUR.transpose(0, 3, 1, 2)),
        (np.asfortranarray(COLOUR), {}, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR[..., [0, 1, 2, 0, 1]], {"channels": 5}, COLOUR[..., [0, 1, 2, 0, 1]].transpose(0, 3, 1, 2)),
        (COLOUR.astype(">u2") * 16, {"depth": 16, "range": [0, 4095]}, (COLOUR.astype(np.uint16) * 16).transpose(0, 3, 1, 2)),
        (GREY / 100 - 1, {"depth": "float", "range": "data"}, (GREY / 100 - 1).astype(np.float32)[:, None]),
        (GREY > 128, {}, (GREY > 128).astype(np.uint8)[:, None] * 255),
        (GREY / 255, {"range": [0, 1]}, GREY[:, None]),
    ],
)
def test_depth_bands_and_range_are_those_of_files(
    workspace: Workspace, tmp_path: Path, values: NDArray[Any], asked: Mapping[str, Any], kept: NDArray[Any]
) -> None:
    np.save(tmp_path / "set.npy", values)
    result = looked_at(workspace, tmp_path / "set.npy", size=list(kept.shape[2:]), **asked)
    made = pictures(result, kept.shape[1])
    assert (made.dtype, {row.reason for row in result.rows}) == (kept.dtype, {None})
    np.testing.assert_array_equal(made, kept)


def test_a_set_is_packed_unchanged_on_the_second_fetch_and_drawn_by_numbers(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "set.npz", images=GREY, targets=LABELS / 2, age=np.arange(60), about=np.array({"a": 1}, dtype=object))
    one = entry(tmp_path / "set.npz", size=8, label_as="number")
    one = one.model_copy(update={"train": one.train.model_copy(update={"condition": "number"})})
    fetch(workspace, "set", one)
    said = capsys.readouterr().out
    assert "left out, neither images nor their labels: age (60 int64), about (one value objects of Python, which are never" in said
    fetch(workspace, "set", one)
    assert "unchanged, 60 samples" in capsys.readouterr().out
    validate(workspace, "set", one)
    dataset = Dataset.open(workspace.ready("set"))
    assert (dataset.spec.shape, dataset.spec.numbers) == ((1, 8, 8), (0.0, 1.0))
    manifest = pd.read_parquet(workspace.ready("set") / "manifest.parquet")
    index = manifest["path"].str.partition("#")[2].astype(int)
    np.testing.assert_array_equal(manifest["number"], LABELS[index] / 2)


def test_single_images_that_cannot_be_used_are_set_aside(workspace: Workspace, tmp_path: Path) -> None:
    values = (GREY / 255).astype(np.float32)
    values[3, 2, 2], values[5] = np.nan, 0.5
    np.save(tmp_path / "set.npy", values)
    result = looked_at(workspace, tmp_path / "set.npy", depth="float", range="data")
    reasons = {row.path: row.reason for row in result.rows if row.reason is not None}
    assert reasons.pop("set.npy#3") == "some pixels are no numbers, or infinite"
    assert (reasons.popitem()[1] or "").startswith("blank: standard deviation 0.00")
    assert (reasons, result.range) == ({}, (0.0, 1.0))


def _npz(path: Path, **arrays: Any) -> None:
    np.savez(path / "set.npz", **arrays)


def _cut(path: Path) -> None:
    np.save(path / "set.npy", GREY)
    whole = (path / "set.npy").read_bytes()
    (path / "set.npy").write_bytes(whole[:-5])


def _swollen(path: Path) -> None:
    """More values than its header states, as a repeated write leaves it."""
    np.save(path / "set.npy", GREY)
    with (path / "set.npy").open("ab") as file:
        file.write(b"\0")


def _short_idx(path: Path) -> None:
    idx(path / "train-images-idx3-ubyte", GREY)
    whole = (path / "train-images-idx3-ubyte").read_bytes()
    (path / "train-images-idx3-ubyte").write_bytes(whole[:-5])


def _damaged_zip(path: Path) -> None:
    np.savez_compressed(path / "set.npz", images=GREY)
    whole = bytearray((path / "set.npz").read_bytes())
    whole[200:300] = bytes(100)
    (path / "set.npz").write_bytes(whole)


def _lying_zip(path: Path) -> None:
    """Of an array that would be far larger than its file."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 64, 64)})
    with zipfile.ZipFile(path / "set.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue())


@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (lambda path: _npz(path, images=GREY, labels=LABELS[:59]), "set.npz", r"set\.npz: labels has 59 labels, and images 60 images"),
        (lambda path: _npz(path, table=GREY[:, :, 0]), "set.npz", r"no array of images in it \(there is table \(60 x 8 uint8\)\)"),
        (lambda path: _npz(path, images=np.array([{}, {}])), "set.npz", r"images \(2 objects of Python, which are never unpickled\)"),
        (lambda path: _npz(path, images=GREY[:0]), "set.npz", r"images is of 0 x 8 x 10 values, and so holds nothing"),
        (lambda path: _npz(path, **{"a/b": GREY, "a-b": GREY}), "set.npz", r"two arrays are called a-b; take one of them out"),
        (_cut, "set.npy", r"set\.npy: damaged: it has not the 4,800 values that its head states"),
        (_swollen, "set.npy", r"set\.npy: damaged: it has not the 4,800 values"),
        (_short_idx, "", r"train-images-idx3-ubyte: damaged: it has not the 4,800 values"),
        (_damaged_zip, "set.npz", r"set\.npz"),
        (_lying_zip, "set.npz", r"would expand to more than 100 times its size"),
        (lambda path: (path / "set.npy").write_bytes(b"<html>"), "set.npy", r"set\.npy: no readable \.npy file"),
        (lambda path: (path / "set.npz").write_bytes(b"PK\3\4 and no more"), "set.npz", r"set\.npz: no archive of arrays, or damaged"),
        (lambda path: idx(path / "train-images-idx3-ubyte", GREY, code=1), "", r"no idx file, although its name ends as one's does"),
        (lambda path: (path / "rows.csv").write_bytes(b"a,b"), "rows.csv", r"no arrays in .*rows\.csv; name a \.npy or \.npz file"),
        (lambda path: None, "", r"no arrays in "),
        (lambda path: None, "nowhere.npy", r"nowhere\.npy is not there"),
    ],
)
def test_what_is_broken_is_named_before_it_is_fetched(
    workspace: Workspace, tmp_path: Path, write: Callable[[Path], None], name: str, message: str
) -> None:
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine")
    with pytest.raises(DataError, match=message):
        fetch(workspace, "set", entry(tmp_path / "mine" / name))
    assert not [*(workspace.root / ".gantry").rglob("*.npy")]


@pytest.mark.parametrize(
    ("values", "labels", "asked", "message"),
    [
        (noise(0, 20, 8, 8, 4), None, {}, "neither the first nor the last side is 1 or 3 channels .* say data.channels: 4"),
        (GREY, None, {"channels": 4}, "grey images, 60 x 8 x 10, and data.channels asks for 4"),
        (GREY, LABELS / 2, {}, "labels are numbers that are not whole, such as 0.5; set data.label_as: number"),
    ],
)
def test_what_does_not_fit_the_entry_is_named(
    workspace: Workspace, tmp_path: Path, values: NDArray[Any], labels: NDArray[Any] | None, asked: Mapping[str, Any], message: str
) -> None:
    _npz(tmp_path, images=values, **({} if labels is None else {"labels": labels}))
    with pytest.raises(DataError, match=message):
        looked_at(workspace, tmp_path / "set.npz", **asked)


def test_keys_of_other_sources_are_refused(tmp_path: Path) -> None:
    for key, value, message in (
        ("labels", "labels.csv", "labels: only for folders"),
        ("group", "a", "group: only for folders"),
        ("layout", "volumes", "layout: only for folders"),
        ("fit", "random-crop", "random-crop takes parts of large files"),
    ):
        with pytest.raises(ConfigError, match=message):
            entry(tmp_path, **{key: value})
    with pytest.raises(ConfigError, match="'arrays://' names no file"):
        parse({"generators": {"set": {"data": {"source": "arrays://"}}}})


def test_an_array_larger_than_memory_is_not_held(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation sees blocks of a mapped array."""
    monkeypatch.setattr("tasks.validation.image_arrays._ARRAY_BLOCK", 16)
    np.save(tmp_path / "set.npy", np.repeat(GREY, 20, axis=0))
    monkeypatch.setattr(RawReader, "read", lambda raw, member: pytest.fail(f"{member.path} was read as a whole"))
    assert len(looked_at(workspace, tmp_path / "set.npy").rows) == 1_200


def test_a_folder_holds_arrays_of_many_or_one_image_each(tmp_path: Path) -> None:
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", GREY[number])
    assert not arrays.holds_arrays(tmp_path)
    np.save(tmp_path / "4.npy", COLOUR)
    assert arrays.holds_arrays(tmp_path)
    source = open_source(Workspace(tmp_path), DataParams(source=f"arrays://{tmp_path}"))
    assert [file.path for file in source.look()] == ["4.npy"]
    assert source.notes[0].count("(8 x 10 uint8)") == 3
