"""Labels of images: from their folders, from a file, or none; through folders and archives alike."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from raw_sets import noise, png

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from tasks.fetch import fetch
from tasks.params import Entry, parse
from tasks.validate import validate
from tasks.validation.labels import read_labels
from tasks.workspace import Workspace


def entry(folder: Path, validation: Mapping[str, Any] | None = None, train: Mapping[str, Any] | None = None, **data: Any) -> Entry:
    sections = {
        "data": {"source": f"folder://{folder}", "size": 8, "holdout": 0.3, **data},
        "validate": {"min_samples": 10, **(validation or {})},
        "train": {"recipe": "gan", "images": 100, **(train or {})},
    }
    return parse({"generators": {"photos": {**sections, "evaluate": {}, "register": {}}}})["photos"]


def put(folder: Path, files: Mapping[str, bytes], form: str) -> Path:
    """The files as a folder, or as a zip file; returns the path of either."""
    if form == "zip":
        with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
            for path, data in files.items():
                archive.writestr(path, data)
        return folder.with_suffix(".zip")
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def prepared(workspace: Workspace, one: Entry) -> dict[str, str | None]:
    """Fetched and validated; by path the label of each good image."""
    fetch(workspace, "photos", one)
    validate(workspace, "photos", one)
    manifest = pd.read_parquet(workspace.ready("photos") / "manifest.parquet")
    return {path: None if pd.isna(label) else label for path, label in zip(manifest["path"], manifest["label"], strict=True)}


def quarantined(workspace: Workspace) -> dict[str, str]:
    with (workspace.ready("photos") / "quarantine.csv").open(newline="") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def stylegan(count: int = 40) -> dict[str, bytes]:
    """A set as StyleGAN's dataset_tool.py writes it: folders of numbers, and dataset.json."""
    paths = [f"{i // 20:05}/img{i:08}.png" for i in range(count)]
    labels = {"labels": [[path, i % 3] for i, path in enumerate(paths)]}
    return {path: png(noise(i)) for i, path in enumerate(paths)} | {"dataset.json": json.dumps(labels).encode()}


@pytest.mark.parametrize("form", ["folder", "zip"])
class TestFile:
    def test_a_set_of_stylegan(self, workspace: Workspace, tmp_path: Path, form: str) -> None:
        files = stylegan()
        source = put(tmp_path / "set", files, form)
        with pytest.raises(DataError, match=r"set data\.labels: dataset\.json to take labels from that"):
            fetch(workspace, "photos", entry(source))
        labels = prepared(workspace, entry(source, train={"condition": "label"}, labels="dataset.json"))
        assert labels == {path: str(i % 3) for i, path in enumerate(path for path in files if path.endswith(".png"))}
        assert Dataset.open(workspace.ready("photos")).spec.classes == ("0", "1", "2")

    def test_a_set_of_kaggle(self, workspace: Workspace, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
        rows = "".join(f"{i:03}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(30))
        files = {f"train/{i:03}.png": png(noise(i)) for i in range(30)} | {f"test/{i:03}.png": png(noise(100 + i)) for i in range(30, 40)}
        source = put(tmp_path / "set", {**files, "train.csv": f"id,breed\n{rows}".encode()}, form)
        with pytest.raises(DataError, match=r"data\.labels to a file that says what they show \(there is train\.csv\)"):
            fetch(workspace, "photos", entry(source))
        labels = prepared(workspace, entry(source, labels="train.csv"))
        assert labels == {f"train/{i:03}.png": "cat" if i % 2 else "dog" for i in range(30)}
        assert "left out: 10 images in test, of none of which train.csv says anything" in capsys.readouterr().out

    def test_what_has_no_label_or_two_or_no_image(self, workspace: Workspace, tmp_path: Path, form: str) -> None:
        rows = [f"{i}.png,{'ab'[i % 2]}" for i in range(30)] + ["3.png,a", "99.png,a", "4.png,", "5.png,b c"]
        files = {f"{i}.png": png(noise(i)) for i in range(32)}
        source = put(tmp_path / "set", {**files, "labels.csv": "\n".join(["file,label", *rows]).encode()}, form)
        labels = prepared(workspace, entry(source, {"max_quarantined": 0.5}, labels="labels.csv"))
        assert labels == {f"{i}.png": "ab"[i % 2] for i in range(30) if i not in (3, 5)}
        assert quarantined(workspace) == {
            "3.png": "has 2 labels: b, a",
            "5.png": "has 2 labels: b, b c",
            "30.png": "no label in labels.csv",
            "31.png": "no label in labels.csv",
            "labels.csv#33": "there is no image 99.png",
            "labels.csv#34": "names no label",
        }

    def test_none(self, workspace: Workspace, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
        files = {f"2024-{1 + i % 6:02}/{i}.png": png(noise(i)) for i in range(30)} | {"top.png": png(noise(99))}
        source = put(tmp_path / "set", files, form)
        assert prepared(workspace, entry(source, labels="none")) == dict.fromkeys(files)
        assert Dataset.open(workspace.ready("photos")).spec.classes is None
        assert "31 samples, " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.json"])
def test_the_column_that_is_named_and_what_of_it_counts(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Of files that say several things: the column `name`, of which the tone counts; a sun has none, and is left out."""
    tones = ["light", "dark", None]
    files = {f"images/{i}.png": png(noise(i)) for i in range(45)}
    rows = [
        {"file": path, "class": "x", "name": f"man {i}: {tone} skin tone" if (tone := tones[i % 3]) else "sun"}
        for i, path in enumerate(files)
    ]
    as_csv = "\n".join(["file,class,name", *(",".join(row.values()) for row in rows)])
    text = {"metadata.csv": as_csv, "metadata.json": json.dumps(rows)}.get(name, "\n".join(map(json.dumps, rows)))
    source = put(tmp_path / "set", {**files, name: text.encode()}, "folder")
    labels = prepared(workspace, entry(source, labels=name, label="name", label_pattern=": ([a-z]+)( skin) tone$"))
    assert labels == {path: f"{tones[i % 3]} skin" for i, path in enumerate(files) if tones[i % 3]}
    assert not quarantined(workspace)
    assert "note: left out: 15 files in whose label data.label_pattern is not found, such as 'sun'" in capsys.readouterr().out
    with pytest.raises(DataError, match=rf"{name}: has no 'names' \(data\.label\); did you mean name\?"):
        fetch(workspace, "photos", entry(source, labels=name, label="names"))
    with pytest.raises(
        DataError, match=r"data\.label_pattern: 'hair' is found in no label of .*, such as 'man 0: light skin tone'; change it"
    ):
        prepared(workspace, entry(source, labels=name, label="name", label_pattern="hair"))


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_names_of_files_hold_their_classes(workspace: Workspace, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {f"deep/cup_{i}_{'left' if i % 2 else 'right'}.png": png(noise(i)) for i in range(30)}
    source = put(tmp_path / "set", {**names, "deep/stray.png": png(noise(99))}, form)
    labels = prepared(workspace, entry(source, labels="names", label_pattern=r"_([a-z]+)\.png"))
    assert labels == {path: "left" if "left" in path else "right" for path in names}
    assert "note: left out: 1 files in whose name data.label_pattern is not found, such as 'deep/stray.png'" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"data\.label_pattern: 'hair' is found in no name, such as 'deep/cup_0_right\.png'; change it"):
        prepared(workspace, entry(source, labels="names", label_pattern="hair"))


def test_a_change_of_the_key_alone_is_seen(workspace: Workspace, tmp_path: Path) -> None:
    files = {f"{'ab'[i % 2]}/{i}.png": png(noise(i)) for i in range(30)}
    rows = "".join(f"{path},{'xy'[i % 3 == 0]}\n" for i, path in enumerate(files))
    source = put(tmp_path / "set", {**files, "labels.csv": f"file,label\n{rows}".encode()}, "zip")
    for labels, classes in (("folders", ("a", "b")), ("labels.csv", ("x", "y")), ("none", None), ("folders", ("a", "b"))):
        prepared(workspace, entry(source, labels=labels))
        assert Dataset.open(workspace.ready("photos")).spec.classes == classes


def test_a_folder_a_person_is_refused_with_advice(workspace: Workspace, tmp_path: Path) -> None:
    source = put(tmp_path / "set", {f"person {i % 15}/{i}.png": png(noise(i)) for i in range(20)}, "folder")
    with pytest.raises(
        DataError, match=r"at least 2 samples of each class .*\n(.*\n)*.*if they are something else, set data\.labels: none"
    ):
        prepared(workspace, entry(source))
    assert len(prepared(workspace, entry(source, labels="none"))) == 20


@pytest.mark.parametrize(
    ("data", "train", "message"),
    [
        ({"labels": "folder"}, {}, r"data\.labels: 'folder' is no file such as labels\.csv, .*; did you mean folders\?"),
        ({"labels": "../x.csv"}, {}, r"data\.labels: '\.\./x\.csv' is no file inside the source's folder"),
        ({"labels": "/x.csv"}, {}, r"is no file inside the source's folder"),
        ({"labels": "none"}, {"condition": "label"}, r"data\.labels: none leaves no labels"),
        ({"labels": "none", "source": "sklearn://digits"}, {}, r"labels: only for folders, archives and buckets"),
        ({"labels": "none", "layout": "side-by-side"}, {"recipe": "pix2pix"}, r"labels: only for .*, not layout side-by-side"),
        ({"labels": "none", "source": "points://ring"}, {}, r"labels, size: only for images"),
        ({"label": "tone"}, {}, r"label: says what of a file of labels counts; name the file in labels, such as metadata\.jsonl"),
        ({"labels": "none", "label_pattern": "a"}, {}, r"label_pattern: says what of a file of labels counts"),
        ({"labels": "names"}, {}, r"labels: names, and nothing says what of a name is the class; give label_pattern"),
        ({"labels": "names", "source": "arrays://x.npy", "label_pattern": "a"}, {}, r"labels: only for folders, archives and buckets"),
        ({"labels": "names", "label_pattern": "a", "layout": "frame-folders"}, {}, r"labels: clips of layout frame-folders have folders"),
        ({"labels": "x.csv", "label_pattern": "("}, {}, r"data\.label_pattern: '\(' is no regular expression"),
    ],
)
def test_keys_that_do_not_fit(tmp_path: Path, data: dict[str, Any], train: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        entry(tmp_path, None, train, **data)


def test_labels_are_one_however_their_accents_are_stored() -> None:
    rows = read_labels("file,label\na.png,caf\u00e9\nb.png,cafe\u0301\n".encode(), "labels.csv")
    assert [row.value for row in rows] == ["caf\u00e9", "caf\u00e9"]
