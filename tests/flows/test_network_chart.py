"""The chart of a network that `gantry show` draws: boxes in the order of the calls, with all that was called in them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from flows.network_chart import chart, drawing_to
from gan_core.errors import ConfigError
from gan_core.layers import Layer

PLAYERS = {
    "generator": [Layer("first", "Conv2d", (4, 16, 16), 40, 9_216, turn=0), Layer("last", "Linear", (1,), 1_025, 1_024, turn=1)],
    "discriminator": [Layer("<only>", "Linear", (1,), 9, 8, turn=2)],
}


def test_boxes_stand_in_the_order_of_calls_and_hold_all_that_was_called() -> None:
    made = [
        Layer("last", "Linear", (1,), 1_025, 1_024, turn=3),
        Layer("first", "Conv2d", (4, 16, 16), 40, 9_216, turn=0),
        Layer("act", "LeakyReLU", (4, 16, 16), 0, 0, turn=1),
        Layer("pass", "Identity", (1_024,), 0, 0, turn=2),
        Layer("spare", "Linear", None, 7, 0),
    ]
    lines = chart(made)
    inside = [line.strip("│ ") for line in lines if "│" in line]
    assert inside == ["first: Conv2d, LeakyReLU", "gives 1024, 40 parameters", "last: Linear", "gives 1, 1,025 parameters"]
    assert len({len(line) for line in lines}) == 1
    assert [line.count("┬") + line.count("┴") for line in lines] == [0, 0, 0, 1, 1, 0, 0, 0]


def test_an_embedding_beside_the_last_layer_is_none_of_what_that_gives() -> None:
    lines = chart([Layer("head", "Linear", (1,), 9, 8, turn=0), Layer("label", "LabelEmbedding", (8,), 16, 0, turn=1)])
    assert [line.strip("│ ") for line in lines if "gives" in line] == ["gives 1, 9 parameters", "gives 8, 16 parameters"]


def test_a_network_of_which_nothing_was_called_has_no_boxes() -> None:
    assert chart([Layer("spare", "Linear", None, 7, 0)]) == []


def test_a_drawing_has_a_box_a_layer_the_players_beside_each_other_and_all_within_the_sheet(tmp_path: Path) -> None:
    drawing_to(tmp_path / "new" / "networks.SVG")(PLAYERS)
    sheet = ElementTree.fromstring((tmp_path / "new" / "networks.SVG").read_text())  # noqa: S314 (our own)
    texts = [text.text for text in sheet.findall(".//{*}text")]
    assert texts[:2] == [
        "generator: 1,065 parameters, 10,240 multiply-adds a sample",
        "discriminator: 9 parameters, 8 multiply-adds a sample",
    ]
    assert texts[3:] == [
        "first: Conv2d", "gives 4x16x16, 40 parameters", "last: Linear", "gives 1, 1,025 parameters",
        "<only>: Linear", "gives 1, 9 parameters",
    ]  # fmt: skip
    _, first, last, only = [
        {key: float(value) for key, value in box.items() if key in "x y width height"} for box in sheet.findall(".//{*}rect")
    ]
    assert first["x"] == last["x"] < first["x"] + first["width"] < only["x"]
    assert first["y"] == only["y"] < first["y"] + first["height"] < last["y"]
    assert only["x"] + only["width"] < float(sheet.get("width", 0))
    (line,) = sheet.findall(".//{*}line")
    assert (float(line.get("y1", 0)), float(line.get("y2", 0))) == (first["y"] + first["height"], last["y"])


def test_the_same_drawing_as_png_has_its_boxes_where_the_svg_has_them(tmp_path: Path) -> None:
    for name in ("networks.svg", "networks.png"):
        drawing_to(tmp_path / name)(PLAYERS)
    sheet = ElementTree.fromstring((tmp_path / "networks.svg").read_text())  # noqa: S314 (our own)
    with Image.open(tmp_path / "networks.png") as picture:
        pixels = np.asarray(picture)
    assert (pixels.shape[1], pixels.shape[0]) == (int(sheet.get("width", 0)), int(sheet.get("height", 0)))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    for box in list(sheet.findall(".//{*}rect"))[1:]:
        x, y, height = (int(box.get(key, 0)) for key in ("x", "y", "height"))
        assert pixels[y + height // 2, x + 5].tolist() == [238, 242, 247]
        assert pixels[y + height // 2, x - 5].tolist() == [255, 255, 255]
        assert (pixels[y : y + height, x + 10 : x + 60] < 100).any()  # letters


def test_a_drawing_of_another_form_or_in_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"networks\.pdf: a drawing of networks is written as \.svg or \.png"):
        drawing_to(tmp_path / "networks.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"networks\.svg: cannot be written \(Not a directory\)|File exists"):
        drawing_to(tmp_path / "file" / "networks.svg")(PLAYERS)
