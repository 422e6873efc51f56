"""Files of captions and labels, in the forms that people have them, and the images that they name."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

import pytest

from gan_core.errors import DataError
from tasks.sources.annotations import CAPTIONS, LABELS, ImageNames, What, by_image, read_told, untold_folders

PATHS = ("images/a.png", "images/b.jpg", "train/c.png", "val/c.png", "images/é.png", "top.png")


def told(text: str, name: str, what: What = CAPTIONS) -> dict[str, tuple[str, ...]]:
    rows = read_told(text.encode(), name, what)
    assert [row.reason for row in rows if row.reason] == []
    names = ImageNames(PATHS, name)
    found = [names.found(row) for row in rows]
    assert [row.reason for row in found if row.reason] == []
    return by_image(found)


A_AND_B = {"images/a.png": ("a red bird", "a bird, red"), "images/b.jpg": ("two dogs",)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("captions.csv", 'file,caption\nimages/a.png,a red bird\nimages/a.png,"a bird, red"\nimages/b.jpg,two dogs\n'),
        ("captions.txt", 'image,caption\na.png,a red bird\na.png,"a bird, red"\nb.jpg,two dogs\n'),
        ("metadata.csv", 'file_name,text\nimages/a.png,a red bird\nimages/a.png,"a bird, red"\nimages/b.jpg,two dogs'),
        ("images/metadata.csv", 'file_name,text\r\na.png,a red bird\r\na.png,"a bird, red"\r\nb.jpg,two dogs\r\n'),
        ("excel.csv", "\ufeffImage;Caption\na.png;a red bird\na.png;a bird, red\nb.jpg;two dogs\n"),
        ("quoted.csv", '"Caption","File Name"\n"a red bird","a.png"\n"a bird, red","a.png"\n"two dogs","b.jpg"\n'),
        ("two.csv", 'file,caption_1,caption_2\na.png,a red bird,"a bird, red"\nb.jpg,two dogs,\n'),
        ("twice.csv", 'file,caption,caption\na.png,a red bird,"a bird, red"\nb.jpg,two dogs,\n'),
        ("Flickr8k.token.txt", "a.png#0\ta red bird\na.png#1\ta bird, red\nb.jpg#0\ttwo dogs\n"),
        ("results.csv", "image_name| comment_number| comment\na.png| 0| a red bird\na.png| 1| a bird, red\nb.jpg| 0| two dogs\n"),
        ("plain.csv", 'a.png,a red bird\na.png,"a bird, red"\nb.jpg,two dogs\n'),
        ("photo.csv", 'photo,words\na.png,a red bird\na.png,"a bird, red"\nb.jpg,two dogs\n'),
        ("windows.csv", 'file,caption\nimages\\a.png,a red bird\nimages\\a.png,"a bird, red"\nimages\\b.jpg,two dogs\n'),
        (
            "metadata.jsonl",
            '{"file_name": "images/a.png", "text": ["a red bird", "a bird, red"]}\n{"file_name": "b.jpg", "text": "two dogs"}\n',
        ),
        ("lines.json", '{"image": "a.png", "caption": ["a red bird", "a bird, red"]}\n{"image": "b.jpg", "caption": "two dogs"}\n'),
        ("map.json", json.dumps({"a.png": ["a red bird", "a bird, red"], "b.jpg": "two dogs"})),
        (
            "list.json",
            json.dumps([{"image": "images/a.png", "caption": ["a red bird", "a bird, red"]}, {"image": "b.jpg", "caption": "two dogs"}]),
        ),
        (
            "annotations/captions_train2017.json",
            json.dumps(
                {
                    "info": {},
                    "images": [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.jpg"}],
                    "annotations": [
                        {"image_id": 7, "id": 1, "caption": "a red bird"},
                        {"image_id": 8, "id": 2, "caption": "two dogs"},
                        {"image_id": 7, "id": 3, "caption": "a bird, red"},
                    ],
                }
            ),
        ),
        (
            "dataset_flickr8k.json",
            json.dumps(
                {
                    "images": [
                        {"filename": "a.png", "sentences": [{"raw": "a red bird"}, {"raw": "a bird, red"}]},
                        {"filepath": "images", "filename": "b.jpg", "sentences": [{"raw": "two dogs"}]},
                    ]
                }
            ),
        ),
    ],
)
def test_captions_in_every_usual_form(name: str, text: str) -> None:
    assert {path: tuple(" ".join(value.split()) for value in values) for path, values in told(text, name).items()} == A_AND_B


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "file,label\na.png,6\nb.jpg,cat\n"),
        ("train.csv", "id,breed\na,6\nb,cat\n"),
        ("train.csv", "image_id,height,label\na,3,6\nb,4,cat\n"),
        ("labels.txt", "a.png\t6\nb.jpg\tcat\n"),
        ("dataset.json", '{"labels": [["images/a.png", 6], ["images/b.jpg", "cat"]]}'),
        ("map.json", '{"a.png": 6, "b.jpg": "cat"}'),
        ("metadata.jsonl", '{"file_name": "a.png", "label": 6}\n{"file_name": "b.jpg", "label": "cat"}\n'),
    ],
)
def test_labels_in_every_usual_form(name: str, text: str) -> None:
    assert told(text, name, LABELS) == {"images/a.png": ("6",), "images/b.jpg": ("cat",)}


def test_columns_that_are_left_alone_are_said() -> None:
    said: list[str] = []
    rows = read_told(b"file,title,caption,licence\na.png,Bird,a red bird,CC0\n", "captions.csv", CAPTIONS, said.append)
    assert [row.value for row in rows] == ["a red bird"]
    assert said == ["captions.csv: captions are what stands in caption; left alone: title"]


class TestQuotes:
    def test_a_quote_that_is_never_closed_costs_its_own_row(self) -> None:
        lines = [f"{i}.png,a circle {i}" for i in range(20)]
        lines[9] = '9.png,"a red square'
        for later in ('12.png,the "big" one', '12.png,"the big one"', '12.png,12 inches"', "12.png,nothing"):
            lines[12] = later
            rows = read_told("\n".join(["file,caption", *lines, ""]).encode(), "captions.csv", CAPTIONS)
            assert {row.number: row.reason for row in rows if row.reason} == {
                11: "the quotes on line 11 are not closed as CSV has it; a quote within quotes is written twice"
            }
            assert [row.number for row in rows] == list(range(2, 22))

    def test_text_after_a_closed_quote(self) -> None:
        rows = read_told(b'file,caption\na.png,"red" bird\nb.png,green\n', "captions.csv", CAPTIONS)
        assert [(row.number, row.value, row.reason is None) for row in rows] == [(2, "", False), (3, "green", True)]

    def test_line_breaks_in_quotes_are_kept(self) -> None:
        rows = read_told(b'file,caption\r\na.png,"red\r\n\r\n""big"" bird,\x0bx"\r\nb.png,green\r\n', "captions.csv", CAPTIONS)
        assert [(row.number, row.value) for row in rows] == [(2, 'red\r\n\r\n"big" bird,\x0bx'), (5, "green")]

    def test_a_table_of_tabs_has_no_quotes(self) -> None:
        rows = read_told(b'a.png#0\t"A bird\na.png#1\tA 5" bird\n', "x.token", CAPTIONS)
        assert [row.value for row in rows] == ['"A bird', 'A 5" bird']


class TestNames:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("", "names no file"),
            ("../a.png", "../a.png leads out of the folder; write a path relative to it"),
            ("x/../../a.png", "leads out of the folder"),
            ("/etc/passwd", "leads out of the folder"),
            ("nowhere.png", "there is no image nowhere.png"),
            ("ages/A.png", "there is no image ages/A.png; there is images/a.png"),
            ("ages/a.png", "there is no image ages/a.png; there is images/a.png"),
            ("a.jpg", "there is no image a.jpg"),
            ("c.png", "2 images are called c.png (train/c.png, val/c.png); write the path of one"),
            ("c", "2 images are called c (train/c.png, val/c.png); write the path of one"),
        ],
    )
    def test_no_image_or_several(self, name: str, reason: str) -> None:
        [row] = read_told(f"file,caption\n{name},red\n".encode(), "captions.csv", CAPTIONS)
        assert reason in (ImageNames(PATHS, "captions.csv").found(row).reason or "")

    @pytest.mark.parametrize("name", ["A.PNG", "Images/A.png", "IMAGES\\a.PNG", "A", "\u00c9.png"])
    def test_upper_and_lower_case_are_alike_where_one_image_is_left(self, name: str) -> None:
        [row] = read_told(f"file,caption\n{name},red\n".encode(), "captions.csv", CAPTIONS)
        assert ImageNames(PATHS, "captions.csv").found(row).image == ("images/\u00e9.png" if name[0] == "\u00c9" else "images/a.png")
        assert ImageNames([*PATHS, "images/A.Png"], "captions.csv").found(replace(row, image="a.PNG")).reason is not None

    def test_the_file_s_own_folder_comes_before_others(self) -> None:
        [row] = read_told(b"file,caption\nc.png,red\n", "val/captions.csv", CAPTIONS)
        assert ImageNames(PATHS, "val/captions.csv").found(row).image == "val/c.png"

    @pytest.mark.parametrize("here", ["NFC", "NFD"])
    @pytest.mark.parametrize("there", ["NFC", "NFD"])
    @pytest.mark.parametrize("name", ["é.png", "images/é.png", "é"])
    def test_accents_composed_or_not(self, here: str, there: str, name: str) -> None:
        path = unicodedata.normalize(there, "images/é.png")  # type: ignore[arg-type]
        [row] = read_told(f"file,caption\n{unicodedata.normalize(here, name)},red\n".encode(), "captions.csv", CAPTIONS)  # type: ignore[arg-type]
        assert ImageNames([path], "captions.csv").found(row).image == path

    def test_folders_of_which_nothing_is_told(self) -> None:
        assert untold_folders(PATHS, {"images/a.png": 1, "top.png": 1}) == {"train": 1, "val": 1}
        assert untold_folders(PATHS, {}) == {}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("labels.json", b'{"labels": null}', "in no form that labels are read from; it says that there are none"),
        ("labels.json", b'{"a": 1}', "in no form that labels are read from; write a list of objects with `file` and `label`"),
        ("labels.json", b"[1, 2", "no readable JSON"),
        ("labels.json", b"[" * 100_000, "no readable JSON"),
        ("labels.json", b"<html>", "is a web page, not a list of labels"),
        ("labels.csv", b'{"labels": []}', "is a JSON document, .*, not a list of labels"),
        ("labels.csv", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("labels.csv", b"a,b,c\n1,2,3\n", "no column file and none label"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole(name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_told(data, name, LABELS)


def test_rows_of_json_that_cannot_be_used() -> None:
    rows = read_told(
        b'{"labels": [["a.png", 1], ["b.png", [0.5, 1]], 3, ["c.png", null], ["d.png", true], ["e.png", -2.5]]}', "dataset.json", LABELS
    )
    lacks = "lacks the text `file`, or a `label` that is a text or a number"
    assert [(row.number, row.value, row.reason) for row in rows] == [
        (1, "1", None), (2, "", lacks), (3, "", "no JSON object"), (4, "", lacks), (5, "", lacks), (6, "-2.5", None),
    ]  # fmt: skip
