"""`gantry init --from`: an entry written from a table, or from a folder of any kind, is one that runs as it stands."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import soundfile
import tifffile
import torch
from command_line import called
from PIL import ExifTags, Image

from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, DataError
from gan_core.kinds.images import Images
from gan_core.layers import layers
from gan_core.params import TabularParams
from gan_core.recipes import build_recipe
from tasks import pace, params, scaffold
from tasks.entry_from_data import draft
from tasks.fetch import fetch
from tasks.start import BUDGET, start
from tasks.validate import validate
from tasks.workspace import Workspace

DRAW = np.random.default_rng(0)


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return scaffold.init_workspace(tmp_path / "w")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    days = pd.Series(pd.to_datetime(DRAW.integers(10_000, 18_000, 300), unit="D")).dt.strftime("%d.%m.%Y")
    frame = pd.DataFrame(
        {
            "id": [f"C-{i:04}" for i in DRAW.permutation(9_999)[:300]], "age": DRAW.integers(18, 90, 300).astype("float"),
            "since: day": days, "plan #1": DRAW.choice(["free", "pro"], 300), "churned": DRAW.choice(["yes", "no"], 300),
        }
    )  # fmt: skip
    frame.loc[::10, "age"] = None
    path = tmp_path / "Our Clients.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_table_s_entry_says_what_each_column_is_and_validates(place: Workspace, table: Path) -> None:
    found = draft(place, table, labels=["churned"])
    assert (found.name, found.labels) == ("our-clients", ("plan #1",))
    kinds = {line.split("  ")[1].strip(): line for line in found.said[-1].splitlines()[2:]}
    assert re.match(r"  id +id +it holds an id", kinds["id"])  # as the entry has it, not `drop`
    scaffold.add_text(place, found.text, str(table))
    text = (place.root / "params.yaml").read_text()
    assert "  # Our Clients.csv: 300 rows, 5 columns, as they were found.\n" in text
    words = " ".join(text.split())
    assert " id: id # it holds an id, another one in most rows (300 different ones in 300); id draws new ones age: number # 18" in words
    assert " to 89; 10.0% missing " in words
    entry = params.load_entry(place.root, "our-clients")
    assert entry.data.columns == {"id": "id", "age": "number", "since: day": "date %d.%m.%Y", "plan #1": "category"}
    assert (entry.data.source, entry.data.label, entry.data.holdout) == (f"table://{table}", "churned", 0.3)
    for stage in (fetch, validate):
        stage(place, "our-clients", entry)


def test_rules_that_hold_in_every_row_stand_in_it_and_few_are_not_none(place: Workspace, tmp_path: Path) -> None:
    start = pd.Timestamp("2021-01-01") + pd.to_timedelta(DRAW.integers(0, 500, 2_000), unit="D")
    end = start + pd.to_timedelta(DRAW.integers(0, 40, 2_000), unit="D")
    people = DRAW.choice([f"{first} {last}" for first in ("Ann", "Ben", "Cem") for last in ("Fox", "Day", "Lee", "May")], 2_000)
    frame = pd.DataFrame({"start": start, "end": end, "full name": people, "fraud": np.where(np.arange(2_000) == 3, "yes", "no")})
    frame.to_csv(tmp_path / "loans.csv", index=False)
    found = draft(place, tmp_path / "loans.csv")
    assert found.said[-1] == "every row keeps what now stands in the entry as rules: start <= end"
    assert "2 values: no 99.95%, yes 0.05%" in found.text
    assert "what is drawn would be a real one; name invents others; if they are none, write category" in " ".join(found.text.split())
    scaffold.add_text(place, found.text, "loans")
    entry = params.load_entry(place.root, "loans")
    assert [str(rule) for rule in entry.data.table_rules] == ["start <= end"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with customers and their orders. Numbers of orders and grades are among the customers' numbers, too."""
    folder, random = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    since = pd.Timestamp("2021-01-01") + pd.to_timedelta(random.integers(0, 500, 120), unit="D")
    customers = pd.DataFrame({"id": range(1, 121), "plan": random.choice(["free", "pro"], 120), "since": since.strftime("%Y-%m-%d")})
    owner = random.permutation(np.repeat(range(60), 4))
    day = (since[owner] + pd.to_timedelta(random.integers(0, 90, 240), unit="D")).strftime("%Y-%m-%d")
    grades = random.integers(1, 6, 240)
    orders = pd.DataFrame({"order": range(1, 241), "grade": grades, "customer_id": owner + 1, "day": day})
    customers.to_csv(folder / "customers.csv", index=False)
    orders.to_csv(folder / "orders.csv", index=False)
    return folder


def test_two_tables_have_the_key_that_holds_in_every_row(place: Workspace, shop: Path) -> None:
    found = draft(place, shop / "orders.csv", labels=["plan"], second=shop / "customers.csv")
    assert found.name == "customers"
    first, rest = found.said[0].split(": ")
    assert first == "orders.csv belongs to customers.csv"
    assert rest == "its customer_id holds id of customers.csv in every row; of its 120 rows 60 have some, 4 at most"
    assert found.said[-1] == "every row keeps what now stands in the entry as rules: since <= orders.day"
    assert draft(place, shop, "customers", ["plan"]).text == found.text
    scaffold.add_text(place, found.text, "shop", {found.name: found.entry})
    entry = params.load_entry(place.root, "customers")
    assert entry == found.entry
    data, children = entry.data, entry.data.children
    assert children is not None
    assert (data.source, data.key, data.label, data.holdout) == (f"table://{shop / 'customers.csv'}", "id", "plan", 0.3)
    assert (children.source, children.key, children.order) == (f"table://{shop / 'orders.csv'}", "customer_id", "day")
    assert children.columns == {"order": "id", "grade": "category", "day": "date %Y-%m-%d"}
    for stage in (fetch, validate):
        stage(place, "customers", entry)


def test_two_tables_without_a_key_say_what_comes_nearest(place: Workspace, shop: Path, tmp_path: Path) -> None:
    orders = pd.read_csv(shop / "orders.csv")
    orders.loc[7, "customer_id"] = 999
    orders.drop(columns=["order", "grade"]).to_csv(tmp_path / "orders.csv", index=False)
    (tmp_path / "apart.csv").write_text("kind\na\na\n")
    nearest = r"customer_id of orders.csv is no id of customers.csv in 1 of 240 rows, such as '999'. Where"
    with pytest.raises(DataError, match=f"--from: customers.csv and orders.csv have no key: .*; the nearest: {nearest}"):
        draft(place, shop / "customers.csv", second=tmp_path / "orders.csv")
    with pytest.raises(DataError, match=r"have no key: .*; give each by itself"):
        draft(place, shop / "customers.csv", second=tmp_path / "apart.csv")


def test_the_entry_is_read_once(place: Workspace, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, texts = params.parse_text, list[str]()
    monkeypatch.setattr(params, "parse_text", lambda text, where: texts.append(text) or read(text, where))
    found = draft(place, table)
    scaffold.add_text(place, found.text, str(table), {found.name: found.entry})
    assert texts.count(found.text) == 1


@pytest.mark.parametrize(
    ("rows", "kinds", "values", "is_by_value"),
    [(2_000, 2, 12, True), (1_999, 2, 12, False), (2_000, 12, 400, False)],
    ids=["many rows", "few rows, which likelihood learns by heart", "wide, which makes its networks large"],
)
def test_how_rows_are_learned(place: Workspace, tmp_path: Path, rows: int, kinds: int, values: int, is_by_value: bool) -> None:
    numbers = np.arange(rows)
    kind = {f"kind{k}": [f"v{(one + k) % values}" for one in numbers.tolist()] for k in range(kinds)}
    pd.DataFrame({"size": (numbers % 97 / 7).round(2), **kind}).to_csv(tmp_path / "parts.csv", index=False)
    train = params.parse_text(draft(place, tmp_path / "parts.csv").text)["parts"].train
    assert isinstance(train, TabularParams)
    told = train.generator.network, train.batch, train.images
    assert told == (("autoregressive", 500, 80_000) if is_by_value else ("tabular", 100, 300_000))
    assert is_by_value or train.penalty.every == 4


def test_patience_shows_rows_no_more_often_than_the_entry_does(
    place: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = np.arange(2_000)
    pd.DataFrame({"size": (numbers % 97 / 7).round(2), "kind": np.where(numbers % 3, "a", "b")}).to_csv(tmp_path / "parts.csv", index=False)
    scaffold.add_text(place, draft(place, tmp_path / "parts.csv").text, "parts")
    entry = params.load_entry(place.root, "parts")
    for stage in (fetch, validate):
        stage(place, "parts", entry)
    monkeypatch.setenv(BUDGET, "60")
    monkeypatch.setattr(pace, "measured", lambda params, dataset, folder, seconds: folder.mkdir() or 1_000_000.0)
    start(place, "parts", entry)
    assert json.loads((place.start("parts") / "start.json").read_text())["images"] == entry.train.budget == 80_000
    said = capsys.readouterr().out
    assert "note: 57,000,000 rows fit into 60 s" in said
    assert re.search(r"note: 80,000 rows are seen, 4\d times each of 1,[78]\d\d: more, and they are learned by heart\n", said)


def test_what_lies_in_the_workspace_is_named_relative_to_it(place: Workspace, table: Path) -> None:
    inside = place.root / "rows.csv"
    table.rename(inside)
    assert '      source: "table://rows.csv"\n' in draft(place, inside).text


@pytest.mark.parametrize(("folders", "condition"), [(("cat", "dog"), "label"), (("",), None)])
def test_a_folder_of_pictures(place: Workspace, tmp_path: Path, folders: tuple[str, ...], condition: str | None) -> None:
    for folder in folders:
        (tmp_path / "pets" / folder).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(DRAW.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / "pets" / folder / f"{i}.png")
    found = draft(place, tmp_path / "pets", name="mine")
    scaffold.add_text(place, found.text, "pets")
    written = params.load_entry(place.root, "mine")
    assert written.data.source == f"folder://{tmp_path / 'pets'}"
    assert getattr(written.train, "condition", None) == (condition or "none")
    assert found.said[-1] == ("6 pictures in 2 folders" if condition else "3 pictures")


def _wavs(folder: Path, count: int = 12) -> None:
    for number, digit in enumerate(["one", "two"] * (count // 2)):
        (folder / digit).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / digit / f"{number}.wav", DRAW.normal(0, 0.1, 3_000), 8_000)


def _grids(folder: Path) -> None:
    (folder / "odd").mkdir(parents=True)
    for number in range(12):
        np.save(folder / f"{number}.npy" if number else folder / "odd" / "0.npy", DRAW.random((8, 8, 8)) > 0.5)


def _pictures(folder: Path, *names: str, width: int = 16) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DRAW.integers(0, 255, (16, width, 3), dtype=np.uint8)).save(folder / name)


def _captioned(folder: Path) -> None:
    _pictures(folder, *(f"images/{i}.png" for i in range(12)))
    (folder / "captions.csv").write_text("file,caption\n" + "".join(f"{i}.png,a red thing number {i}\n" for i in range(12)))


def _strips(folder: Path) -> None:
    _pictures(folder, *(f"{kind}/{i}.png" for kind in ("up", "left") for i in range(6)), width=16 * 12)


def _halves(folder: Path) -> None:
    _pictures(folder, *(f"{part}/{part}{i}.png" for part in ("train", "val") for i in range(12)), width=32)


def _partners(folder: Path) -> None:
    _pictures(folder, *(f"{side}/{i}.png" for side in "AB" for i in range(12)))


def _strangers(folder: Path) -> None:
    _pictures(folder, *(f"{side}/{side}{i}.png" for side in ("trainA", "trainB", "testA", "testB") for i in range(6)))


@pytest.mark.parametrize(
    ("fill", "recipe", "asked", "said"),
    [
        (_wavs, "gan", {"layout": "sounds", "rate": 8_000, "seconds": 0.5}, "12 files are sounds, by their names"),
        (_grids, "gan", {"layout": "volumes", "labels": "none"}, "12 files are volumes, by their names"),
        (_strips, "gan", {"layout": "clips", "frames": 8}, "12 of 12 pictures looked at are animated, or strips of square frames"),
        (_captioned, "stackgan", {"layout": "captions", "captions": "captions.csv"}, "says of 12 of 12 pictures what they show"),
        (_halves, "pix2pix", {"layout": "side-by-side"}, "train, val are parts of a set and no classes; train is taken"),
        (_partners, "pix2pix", {"layout": "paired-folders", "folders": ("A", "B")}, "12 files have a partner of the same name"),
        (_strangers, "cyclegan", {"layout": "unpaired-folders", "folders": ("trainA", "trainB")}, "hardly any file has a partner"),
    ],
)
def test_a_folder_s_kind_is_told_and_the_entry_fits_it(
    place: Workspace, tmp_path: Path, fill: Callable[[Path], None], recipe: str, asked: dict[str, Any], said: str
) -> None:
    fill(tmp_path / "mine")
    found = draft(place, tmp_path / "mine")
    assert said in "\n".join(found.said)
    assert f"  recipe: {recipe}  # as the example " in found.text
    scaffold.add_text(place, found.text, "mine")
    entry = params.load_entry(place.root, "mine")
    assert asked == {key: getattr(entry.data, key) for key in asked}
    assert getattr(entry.train, "condition", "none") == ("label" if fill in (_wavs, _strips) else "none")


def test_files_that_cannot_be_used_are_told_of_before_anything_is_fetched(place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "memos").mkdir()
    for number in range(3):
        (tmp_path / "memos" / f"{number}.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(99))
    with pytest.raises(
        DataError, match=r"none of 3 sounds looked at can be used; \d.m4a: an M4A or MP4 file, which libsndfile does not read; make"
    ):
        draft(place, tmp_path / "memos")
    soundfile.write(tmp_path / "memos" / "3.MP3", DRAW.normal(0, 0.1, 66_000), 22_050, format="MP3")
    found = draft(place, tmp_path / "memos")
    assert any(said.startswith("3 of 4 sounds looked at would go to quarantine; ") and ".m4a: an M4A" in said for said in found.said)
    assert "rate: 22_050  #" in found.text
    assert "seconds: 4  #" in found.text


@pytest.mark.parametrize(
    ("sides", "orientation", "form", "size"),
    [
        ([(96, 72)] * 5 + [(72, 96)], None, "jpg", (40, 32)),
        ([(72, 96)] * 5 + [(60, 60)], None, "jpg", (32, 40)),
        ([(72, 96)] * 6, 6, "jpg", (40, 32)),  # held upright, stored as it lay
        ([(72, 96)] * 6, 6, "tif", (40, 32)),
        ([(20, 50)] * 6, None, "jpg", (32, 64)),
        ([(96, 72), (72, 96)] * 3, None, "jpg", 32),
        ([(60, 66)] * 6, None, "jpg", 32),
    ],
)
def test_pictures_that_are_no_squares_keep_the_shape_of_most(
    place: Workspace, tmp_path: Path, sides: list[tuple[int, int]], orientation: int | None, form: str, size: int | tuple[int, int]
) -> None:
    """Given as height and width."""
    (tmp_path / "mine").mkdir()
    told = Image.Exif()
    if orientation:
        told[ExifTags.Base.Orientation] = orientation
    for number, (height, width) in enumerate(sides):
        pixels = DRAW.integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{number}.{form}", exif=told)
    found = draft(place, tmp_path / "mine")
    assert found.entry.data.size == size
    spec = Images((3, *(found.entry.data.sides or ())), {"train": 6, "holdout": 1})
    build_recipe(found.entry.train, spec, torch.device("cpu"))  # whose networks take it


@pytest.mark.parametrize("moves", [True, False])
def test_folders_of_frames_are_told_from_classes(place: Workspace, tmp_path: Path, moves: bool) -> None:
    for film in range(3):
        (tmp_path / "films" / str(film)).mkdir(parents=True)
        noise = DRAW.integers(0, 255, (64, 64), dtype=np.uint8).repeat(4, axis=0)
        for number in range(8, 17):
            picture = noise[4 * film + number :][:32] if moves else DRAW.integers(0, 255, (32, 64), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "films" / str(film) / f"f{number}.png")
    notes = [said for said in draft(place, tmp_path / "films").said if "layout: frame-folders" in said]
    assert bool(notes) == moves
    if moves:
        assert notes[0].endswith("each of the 3 folders is a clip and no class, write layout: frame-folders and frames: 8 below data")


def test_networks_of_the_settings_that_are_written_take_sounds(place: Workspace, tmp_path: Path) -> None:
    _wavs(tmp_path / "mine", 120)
    scaffold.add_text(place, draft(place, tmp_path / "mine").text, "mine")
    entry = params.load_entry(place.root, "mine")
    for stage in (fetch, validate):
        stage(place, "mine", entry)
    assert layers(entry.train, Dataset.open(place.ready("mine")))


def _bands(folder: Path, number: int) -> None:
    array = DRAW.integers(0, 10_000, (20, 20, 5), dtype=np.uint16)
    tifffile.imwrite(folder / f"{number}.tif", array, photometric="minisblack", planarconfig="contig")


def _pages(folder: Path, number: int) -> None:
    tifffile.imwrite(folder / f"{number}.tif", DRAW.integers(0, 255, (4, 20, 20), dtype=np.uint8), photometric="minisblack")


def _temperatures(folder: Path, number: int) -> None:
    tifffile.imwrite(folder / f"{number}.tif", DRAW.normal(15, 5, (20, 20)).astype(np.float32))


def _deep(folder: Path, number: int) -> None:
    (folder / f"{number}.png").write_bytes(imagecodecs.png_encode(DRAW.integers(0, 4_096, (20, 20), dtype=np.uint16)))


def _arrays(folder: Path, number: int) -> None:
    np.save(folder / f"{number}.npy", DRAW.normal(size=(2, 20, 20)).astype(np.float32))


def _zipped_arrays(folder: Path, number: int) -> None:
    np.savez(folder / f"{number}.npz", image=DRAW.integers(0, 255, (20, 20), dtype=np.uint8))


def _see_through(folder: Path, number: int) -> None:
    Image.fromarray(DRAW.integers(1, 255, (20, 20, 4), dtype=np.uint8)).save(folder / f"{number}.png")


@pytest.mark.parametrize(
    ("write", "channels", "depth", "bounds", "packed"),
    [
        (_bands, 5, 16, "data", (5, 32, 32)),
        (_pages, 4, 8, "type", None),
        (_temperatures, None, "float", "data", None),
        (_deep, None, 16, "data", None),
        (_arrays, 2, "float", "data", (2, 32, 32)),
        (_zipped_arrays, None, 8, "type", None),
        (_see_through, None, 8, "type", None),
    ],
)
def test_depth_and_bands_of_pictures_are_kept(
    place: Workspace,
    tmp_path: Path,
    write: Callable[[Path, int], None],
    channels: int | None,
    depth: Any,
    bounds: str,
    packed: tuple[int, ...] | None,
) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(30):
        write(tmp_path / "mine", number)
    scaffold.add_text(place, draft(place, tmp_path / "mine").text, "mine")
    entry = params.load_entry(place.root, "mine")
    assert (entry.data.channels, entry.data.depth, entry.data.range) == (channels, depth, bounds)
    if packed is None:
        return
    loose = entry.model_copy(update={"validation": entry.validation.model_copy(update={"min_samples": 10})})
    for stage in (fetch, validate):
        stage(place, "mine", loose)
    spec = Dataset.open(place.ready("mine")).spec
    assert (spec.shape, sum(spec.counts.values())) == (packed, 30)


def test_pictures_whose_depths_differ_are_brought_to_8_bits_and_cubes_are_volumes(place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(4):
        _deep(tmp_path / "mine", number)
        Image.fromarray(DRAW.integers(0, 255, (20, 20), dtype=np.uint8)).save(tmp_path / "mine" / f"plain{number}.png")
    assert "depth:" not in draft(place, tmp_path / "mine").text
    (tmp_path / "cubes").mkdir()
    for number in range(4):
        np.save(tmp_path / "cubes" / f"{number}.npy", DRAW.integers(0, 2, (20, 20, 20), dtype=np.uint8))
    assert "layout: volumes" in draft(place, tmp_path / "cubes").text


def _idx(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()))


def _mnist(folder: Path) -> Path:
    for part, count in (("train", 40), ("t10k", 20)):
        _idx(folder / "MNIST" / "raw" / f"{part}-images-idx3-ubyte.gz", DRAW.integers(0, 255, (count, 28, 28), dtype=np.uint8))
        _idx(folder / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte.gz", (np.arange(count) % 10).astype(np.uint8))
    return folder / "MNIST"


def _own_idx(folder: Path) -> Path:
    _mnist(folder)
    return (folder / "MNIST" / "raw").rename(folder / "mine")


def _aged(folder: Path) -> Path:
    np.savez(folder / "faces.npz", images=DRAW.integers(0, 255, (60, 3, 40, 40), dtype=np.uint8), target=DRAW.uniform(1, 90, 60))
    return folder / "faces.npz"


def _scans(folder: Path) -> Path:
    np.save(folder / "scans.npy", DRAW.integers(0, 10_000, (60, 30, 24, 6), dtype=np.uint16))
    return folder


def _people(folder: Path) -> Path:
    np.savez(folder / "people.npz", x=DRAW.integers(0, 255, (1_200, 8, 8), dtype=np.uint8), y=np.arange(1_200))
    return folder / "people.npz"


@pytest.mark.parametrize(
    ("write", "data", "condition"),
    [
        (_mnist, {"source": "torchvision://MNIST", "size": 28}, "label"),
        (_own_idx, {"size": 28, "channels": None}, "label"),
        (_aged, {"size": 32, "label_as": "number"}, "number"),
        (_scans, {"size": 32, "channels": 6, "depth": 16, "range": "data"}, "none"),
        (_people, {"size": 8, "labels": "none"}, "none"),
    ],
)
def test_arrays_of_many_images_are_told_by_their_heads(
    place: Workspace, tmp_path: Path, write: Callable[[Path], Path], data: dict[str, Any], condition: str
) -> None:
    (tmp_path / "sets").mkdir()
    found = draft(place, write(tmp_path / "sets"), name="mine")
    scaffold.add_text(place, found.text, "mine")
    entry = params.load_entry(place.root, "mine")
    assert {key: getattr(entry.data, key) for key in data} == data
    assert entry.data.source.startswith(data.get("source", "arrays://"))
    assert getattr(entry.train, "condition", None) == condition
    fetch(place, "mine", entry)


def test_an_archive_is_looked_into_and_what_is_only_labelled_has_no_captions(place: Workspace, tmp_path: Path) -> None:
    _pictures(tmp_path / "pets", *(f"{i}.png" for i in range(12)))
    (tmp_path / "pets" / "labels.csv").write_text("file,label\n" + "".join(f"{i}.png,{'cat' if i % 2 else 'dog'}\n" for i in range(12)))
    packed = shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "pets")
    found = draft(place, Path(packed))
    assert f'source: "folder://{packed}"' in found.text
    assert "layout:" not in found.text
    assert "12 pictures" in found.said


def test_a_folder_of_nothing_for_a_generator_says_what_there_is(place: Workspace, table: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    table.rename(tmp_path / "rows" / "rows.csv")
    with pytest.raises(DataError, match=r"no pictures, sounds, volumes or clips in it .*; for a table name its file, such as rows"):
        draft(place, tmp_path / "rows")


def test_what_cannot_be_used_is_refused_by_its_name(place: Workspace, table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.label: Our Clients\.csv has no column 'churn'; did you mean churned\?"):
        draft(place, table, labels=["churn"])
    with pytest.raises(DataError, match=r"nowhere\.csv is not there"):
        draft(place, tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match="--name My Table: a name has"):
        draft(place, table, name="My Table")
    with pytest.raises(ConfigError, match=r"¿\.csv: no entry can be called so; say how with --name"):
        draft(place, table.rename(tmp_path / "¿.csv"))
    (tmp_path / "pets").mkdir()
    with pytest.raises(ConfigError, match="--label churned: only for tables"):
        draft(place, tmp_path / "pets", labels=["churned"])


def gantry(folder: Path, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    """`gantry ARGUMENTS`; what is typed comes from a terminal."""
    command = [sys.executable, "-m", "flows.cli", *arguments]
    if typed is None:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    ours, its = os.openpty()
    try:
        os.write(ours, typed.encode())
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, stdin=its)
    finally:
        os.close(ours)
        os.close(its)


def test_the_command_makes_the_workspace_and_asks_only_on_a_terminal(table: Path, tmp_path: Path) -> None:
    silent = gantry(tmp_path, "init", "w", "--from", table.name)
    assert silent.returncode == 0, silent.stderr

    assert "added our-clients to w/params.yaml; next:\n  cd w && gantry run our-clients --budget 20m\n" in silent.stdout
    assert "note: rows can be drawn by a column, such as churned; `label: churned` below data says so\n" in silent.stdout
    asked = gantry(tmp_path / "w", "init", "--from", f"../{table.name}", typed="churned\nmine\ny\n")
    assert asked.returncode == 0, asked.stderr
    assert "rows can be drawn by one of: plan #1, churned\n" in asked.stdout
    assert "added mine to params.yaml; next:\n  gantry run mine --budget 20m\n" in asked.stdout
    assert {name: entry.data.label for name, entry in params.load(tmp_path / "w").items()} == {
        "digits": None, "circle": None, "our-clients": None, "mine": "churned",
    }  # fmt: skip
    refused = gantry(tmp_path / "w", "init", "--from", f"../{table.name}", "--yes")
    assert (refused.returncode, refused.stderr.startswith("error: params.yaml: has a generator 'our-clients' already;")) == (2, True)
    three = gantry(tmp_path / "w", "init", *["--from", f"../{table.name}"] * 3)
    assert (three.returncode, "two tables with a key; more tables are not drawn together" in three.stderr) == (2, True)
    declined = gantry(tmp_path, "init", "v", "--from", table.name, typed="\nmine\nn\n")
    assert (declined.returncode, (tmp_path / "v").exists()) == (1, False)


def test_a_program_is_told_the_entry_and_asked_nothing(tmp_path: Path) -> None:
    workspace = scaffold.init_workspace(tmp_path)
    (tmp_path / "notes.txt").write_text("a red cat near the cup.\n")
    told = called(workspace, "init", "--from", "notes.txt", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["workspace"], found["name"], found["labels"], "1 sentence" in found["notes"]) == (".", "notes", [], True)
    assert any(note.startswith("1 sentence is too few: validate refuses fewer than 100") for note in found["notes"])
    assert params.Entry.model_validate(found["entry"]) == params.load(tmp_path)["notes"]
    assert "note: 1 sentence\n" in told.stderr
    assert json.loads(called(workspace, "init", "other", "--json").stdout) == {"workspace": "other"}


SENTENCES = [
    f"a {colour} {thing} near the {other}." for colour in ("red", "blue") for thing in ("cat", "dog", "cup") for other in "abcdefgh"
]


def test_a_text_is_told_from_a_table_and_its_entry_validates(place: Workspace, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join([*SENTENCES, "\x07"] * 3))
    found = draft(place, tmp_path / "lines.txt")
    assert "length: 8  # words and marks of a sentence, at most; there are 7 to 7, and half have 7 or fewer\n" in found.text
    assert any("3 of 147 sentences go to quarantine, the first: holds control characters" in said for said in found.said)
    scaffold.add_text(place, found.text, "lines.txt")
    entry = params.load_entry(place.root, "lines")
    assert (entry.data.kind, entry.data.words) == ("sentences", 100)
    loose = entry.model_copy(update={"validation": entry.validation.model_copy(update={"max_quarantined": 0.5})})
    for stage in (fetch, validate):
        stage(place, "lines", loose)
    assert layers(entry.train, Dataset.open(place.ready("lines")))


def test_a_table_of_one_column_of_sentences_is_a_text_and_another_says_how_to_ask_for_it(place: Workspace, tmp_path: Path) -> None:
    pd.DataFrame({"caption": SENTENCES}).to_csv(tmp_path / "one.csv", index=False)
    found = draft(place, tmp_path / "one.csv")
    assert 'source: "text://' in found.text
    assert "sentences are taken from caption" in found.said
    pd.DataFrame({"number": range(len(SENTENCES)), "review": SENTENCES}).to_csv(tmp_path / "two.csv", index=False)
    assert 'source: "text://' in draft(place, tmp_path / "two.csv").text  # as a table it has nothing to learn
    stars = [number % 5 for number in range(len(SENTENCES))]
    pd.DataFrame({"stars": stars, "review": SENTENCES}).to_csv(tmp_path / "two.csv", index=False)
    found = draft(place, tmp_path / "two.csv")
    assert 'source: "table://' in found.text
    assert "review holds sentences; for a generator of them write source: text://... and text: review" in found.said


def test_a_folder_of_texts_is_recognised(place: Workspace, tmp_path: Path) -> None:
    for label in ("good", "bad"):
        (tmp_path / "said" / label).mkdir(parents=True)
        (tmp_path / "said" / label / "lines.txt").write_text("\n".join(SENTENCES))
    (tmp_path / "said" / "README.txt").write_text("about it")
    found = draft(place, tmp_path / "said")
    assert "layout: sentences  # 2 files are texts, by their names" in found.text
    assert "condition: label  # the folders are classes: bad, good" in found.text
    assert found.said[-1] == f"{2 * len(SENTENCES)} sentences in 2 folders"
    assert any(said.startswith(f"{2 * len(SENTENCES)} sentences are too few: validate refuses fewer than 100") for said in found.said)


def test_what_is_not_there_and_what_is_too_little_is_said(place: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--from: .*nowhere is not there"):
        draft(place, tmp_path / "nowhere")
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "rows.csv").write_text("width,height\n" + "".join(f"{row},{row * row % 7}\n" for row in range(40)))
    (tmp_path / "notes.txt").write_text("a red bus goes by\nthe dog sleeps\n")
    for name, counted in (("photos", "3 pictures"), ("rows.csv", "40 rows"), ("notes.txt", "2 sentences")):
        said = draft(place, tmp_path / name).said
        assert f"{counted} are too few: validate refuses fewer than 100 (validate.min_samples), and hundreds make a generator" in said
    (tmp_path / "rows.csv").write_text("width,height\n")
    with pytest.raises(DataError, match=r"rows\.csv: has no rows below its first line, which names width, height"):
        draft(place, tmp_path / "rows.csv")
