"""Files of two folders as pairs, in memory and through the validate stage; files that hold both images."""

from __future__ import annotations

import csv
import hashlib
import unicodedata
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from raw_sets import noise, png, write_files

from gan_core.data.dataset import SPLITS, Dataset
from gan_core.errors import DataError
from gan_core.kinds.corruptions import corrupt
from tasks.fetch import fetch
from tasks.params import Entry, ValidateParams, parse
from tasks.sources.raw import Member
from tasks.validate import validate
from tasks.validation.images import UnusableImageError, decode_halves
from tasks.validation.packing import corruption_seed, split_of
from tasks.validation.pairing import have_one_shape, pair_up
from tasks.workspace import Workspace

LIMITS = ValidateParams()
FEW = {"min_samples": 10, "max_quarantined": 0.5}


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def pair_entry(**data: Any) -> Entry:
    sections = {
        "data": {"source": "folder:///pictures", "size": 8, "holdout": 0.3, **data},
        "validate": FEW,
        "train": {"recipe": "pix2pix", "images": 8},
    }
    return parse({"generators": {"pairs": {**sections, "evaluate": {}, "register": {}}}})["pairs"]


def packed(place: Workspace, **data: Any) -> Dataset:
    validate(place, "pairs", pair_entry(**data))
    return Dataset.open(place.ready("pairs"))


def quarantined(place: Workspace) -> dict[str, str]:
    with (place.ready("pairs") / "quarantine.csv").open(newline="") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def side_by_side(count: int) -> dict[str, bytes]:
    return {f"{i:02}.png": png(np.concatenate([noise(i), noise(100 + i)], axis=1)) for i in range(count)}


def member(path: str) -> Member:
    return Member(path, 1, "0" * 64, "shard", 0)


def test_names_make_pairs_and_every_other_file_has_a_reason() -> None:
    paths = ["A/1.jpg", "B/1.png", "A/x/2.png", "B/x/2.png", "A/3.png", "B/4.png", "A/5.png", "A/5.jpg", "B/5.png", "C/1.png", "1.png"]
    found = pair_up([member(path) for path in paths], ("A", "B"))
    assert [tuple(one.path for one in partners.members) for partners in found if partners.reason is None] == [
        ("A/1.jpg", "B/1.png"), ("A/5.jpg", "B/5.png"), ("A/x/2.png", "B/x/2.png"),
    ]  # fmt: skip
    assert {partners.members[0].path: partners.reason for partners in found if partners.reason is not None} == {
        "1.png": "lies in neither of the folders A and B (data.folders)",
        "A/3.png": "without a partner: there is no B/3 with any ending",
        "A/5.png": "a second file of one name: A/5.jpg is there too",
        "B/4.png": "without a partner: there is no A/4 with any ending",
        "C/1.png": "lies in neither of the folders A and B (data.folders)",
    }


@pytest.mark.parametrize("direction", ["a-to-b", "b-to-a"])
def test_two_halves_become_input_and_sample(place: Workspace, direction: str) -> None:
    write_files(place.raw("pairs"), side_by_side(20))
    dataset = packed(place, layout="side-by-side", direction=direction)
    spec = dataset.spec
    assert (spec.kind, spec.shape, spec.inputs, spec.classes, sum(spec.counts.values())) == ("pairs", (3, 8, 8), (3, 8, 8), None, 20)
    left, right = (dataset.inputs, dataset.samples) if direction == "a-to-b" else (dataset.samples, dataset.inputs)
    originals = {noise(i).tobytes(): noise(100 + i) for i in range(20)}
    for split in SPLITS:
        for first, second in zip(left[split], right[split], strict=True):
            np.testing.assert_array_equal(second.transpose(1, 2, 0), originals[first.transpose(1, 2, 0).tobytes()])


def test_two_folders_become_input_and_sample_and_what_has_no_partner_is_named(place: Workspace) -> None:
    numbers = [*range(20), *range(200, 210)]
    files = {f"photos/{i:02}.jpg.png": png(noise(i)) for i in numbers} | {f"maps/{i:02}.jpg.png": png(noise(100 + i)) for i in numbers}
    files["photos/alone.png"] = png(noise(50))
    files["maps/19.jpg.png"] = b"\x89PNG broken"
    files["photos/18.jpg.png"] = b""
    files["maps/18.jpg.png"] = png(np.full((8, 8, 3), 7, np.uint8))
    write_files(place.raw("pairs"), files)
    dataset = packed(place, layout="paired-folders", folders=["photos", "maps"], direction="b-to-a")
    assert sum(dataset.spec.counts.values()) == 28
    originals = {noise(100 + i).tobytes(): noise(i) for i in numbers}
    for split in SPLITS:
        for given, sample in zip(dataset.inputs[split], dataset.samples[split], strict=True):
            np.testing.assert_array_equal(sample.transpose(1, 2, 0), originals[given.transpose(1, 2, 0).tobytes()])
    assert quarantined(place) == {
        "photos/18.jpg.png": "photos/18.jpg.png: empty file; "
        "maps/18.jpg.png: blank: standard deviation 0.00 of its pixels (validate.min_std is 0.5)",
        "photos/19.jpg.png": "maps/19.jpg.png: broken: begins like a PNG file, but its header cannot be read",
        "photos/alone.png": "without a partner: there is no maps/alone with any ending",
    }


def test_names_with_accents_make_pairs_however_they_are_written() -> None:
    found = pair_up([member(unicodedata.normalize(form, path)) for form, path in (("NFC", "A/é.jpg"), ("NFD", "B/é.png"))], ("A", "B"))  # type: ignore[arg-type]
    assert [len(partners.members) for partners in found] == [2]


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ((512, 256), (512, 256), True),
        ((512, 256), (256, 256), False),
        ((256, 512), (512, 256), False),
        ((1000, 667), (64, 43), True),
        ((1000, 667), (64, 42), True),
        ((667, 1000), (43, 64), True),
        ((1000, 667), (64, 48), False),
        ((1023, 611), (128, 77), True),
        ((256, 256), (256, 250), False),
    ],
)
def test_shapes_that_are_one_but_for_rounding(first: tuple[int, int], second: tuple[int, int], is_one: bool) -> None:
    assert have_one_shape(first, second) == have_one_shape(second, first) == is_one


def test_partners_of_different_shape_are_set_aside_by_name(place: Workspace) -> None:
    files = {f"A/{i:02}.png": png(noise(i, 10, 20, 3)) for i in range(24)} | {
        f"B/{i:02}.png": png(noise(100 + i, 5, 10, 3)) for i in range(24)
    }
    files["B/20.png"] = png(noise(50, 10, 10, 3))
    files["A/21.png"] = png(noise(51, 20, 10, 3))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for name, exif in (("A/22.png", turned), ("A/23.png", Image.Exif())):
        file = BytesIO()  # a JPEG file, which is decoded at an eighth of its size
        Image.fromarray(noise(52, 640, 320, 3)).save(file, "JPEG", exif=exif)
        files[name] = file.getvalue()
    write_files(place.raw("pairs"), files)
    dataset = packed(place, layout="paired-folders", size=8)
    assert sum(dataset.spec.counts.values()) == 21
    what = "partners of different shape, whose central squares show different parts"
    assert quarantined(place) == {
        "B/20.png": f"{what}: A/20.png is 20 x 10 pixels and B/20.png is 10 x 10 pixels",
        "B/21.png": f"{what}: A/21.png is 10 x 20 pixels and B/21.png is 10 x 5 pixels",
        "B/23.png": f"{what}: A/23.png is 320 x 640 pixels and B/23.png is 10 x 5 pixels",
    }


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (noise(0, 8, 17, 3), "no two images side by side: the width, 17, is odd"),
        (noise(0, 8, 8, 3), "no two images side by side: the width, 8, is not above the height, 8"),
        (np.concatenate([noise(0), np.zeros((8, 8, 3), np.uint8)], axis=1), "right half: blank: standard deviation 0.00"),
        (np.concatenate([np.zeros((8, 8, 3), np.uint8), noise(0)], axis=1), "left half: blank"),
    ],
)
def test_a_file_without_two_good_halves_has_a_reason(pixels: np.ndarray, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason):
        decode_halves(png(pixels), 8, LIMITS)


def test_halves_are_cropped_and_scaled_as_images_of_their_own() -> None:
    pixels = noise(0, 10, 40, 3)
    left, right = decode_halves(png(pixels), 10, LIMITS)
    np.testing.assert_array_equal(left.pixels.transpose(1, 2, 0), pixels[:, 5:15])
    np.testing.assert_array_equal(right.pixels.transpose(1, 2, 0), pixels[:, 25:35])
    assert (left.width, left.height) == (40, 10)


@pytest.mark.parametrize("corruption", ["mask", "downsample", "noise", "grey"])
def test_images_become_pairs_by_their_content_and_the_seed(place: Workspace, corruption: Any) -> None:
    files = {f"{label}/{i:02}.png": png(noise(i + 20 * (label == "b"))) for label in ("a", "b") for i in range(20)}
    write_files(place.raw("pairs"), files)
    dataset = packed(place, corruption=corruption, seed=3)
    spec = dataset.spec
    assert (spec.kind, spec.corruption, spec.inputs, spec.classes) == (
        "pairs",
        corruption,
        (1 if corruption == "grey" else 3, 8, 8),
        ("a", "b"),
    )

    for path, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        image = noise(int(path[2:4]) + 20 * (path[0] == "b")).transpose(2, 0, 1)
        split = split_of(sha256, 3, 0.3)
        (at,) = np.flatnonzero((dataset.samples[split] == image).all(axis=(1, 2, 3)))
        np.testing.assert_array_equal(dataset.inputs[split][at], corrupt(image, corruption, corruption_seed(sha256, 3)))


def test_packing_twice_gives_the_same_bytes(place: Workspace) -> None:
    write_files(place.raw("pairs"), side_by_side(20))
    first = packed(place, layout="side-by-side").spec
    assert packed(place, layout="side-by-side").spec == first


@pytest.mark.parametrize(("corruption", "message"), [("grey", "takes the colour from images, and these"), ("downsample", "6 pixels")])
def test_images_that_cannot_be_spoiled_so_are_refused(place: Workspace, corruption: Any, message: str) -> None:
    write_files(place.raw("pairs"), {f"{i:02}.png": png(noise(i, 8, 8)) for i in range(20)})
    entry = pair_entry(corruption=corruption)
    if corruption == "downsample":
        entry = entry.model_copy(update={"data": entry.data.model_copy(update={"size": 6})})
    with pytest.raises(DataError, match=message):
        validate(place, "pairs", entry)


class TestFetch:
    def folder(self, tmp_path: Path, *names: str) -> dict[str, Any]:
        for name in names:
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(noise(0)))
        return {"source": f"folder://{tmp_path / 'source'}"}

    def test_only_the_two_folders_are_taken(self, place: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = self.folder(tmp_path, "A/1.png", "B/1.png", "C/1.png", "2.png")
        fetch(place, "pairs", pair_entry(layout="paired-folders", **source))
        said = capsys.readouterr().out
        assert "left out beside A and B: 2.png, C" in said
        assert "2 samples, " in said  # no word of classes

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (("A/1.png", "b/1.png"), "there is no folder 'B'; did you mean b?|there is no folder 'B'; there are A, b"),
            (("A/1.png", "B/1.txt"), "no images in B, and data.folders asks for some in each of its two"),
            (("1.png",), "there is no folder 'A'; there are no folders in it"),
        ],
    )
    def test_a_missing_folder_is_named(self, place: Workspace, tmp_path: Path, names: tuple[str, ...], message: str) -> None:
        with pytest.raises(DataError, match=message):
            fetch(place, "pairs", pair_entry(layout="paired-folders", **self.folder(tmp_path, *names)))

    def test_halves_may_lie_in_folders(self, place: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        fetch(place, "pairs", pair_entry(layout="side-by-side", **self.folder(tmp_path, "train/1.png", "2.png")))
        assert "2 samples, " in capsys.readouterr().out
