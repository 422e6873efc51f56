"""`gantry list` knows the deciding score of every kind of data."""

from __future__ import annotations

from typing import Any

import pytest

from flows.overview import _deciding
from tasks.params import Entry, parse

SECTIONS: dict[str, Any] = {"validate": {}, "evaluate": {}, "register": {}}
ENTRIES: dict[str, dict[str, Any]] = {
    "images": {"data": {"source": "sklearn://digits"}, "train": {"images": 640}},
    "points": {"data": {"source": "points://circle"}, "train": {"images": 640}},
    "mixture": {"data": {"source": "points://ring"}, "train": {"images": 640}},
    "table": {"data": {"source": "sklearn://breast-cancer"}, "train": {"recipe": "tabular", "images": 640}},
    "pairs": {"data": {"source": "folder:///pairs", "layout": "side-by-side"}, "train": {"recipe": "pix2pix", "images": 640}},
    "unpaired": {"data": {"source": "folder:///two", "layout": "unpaired-folders"}, "train": {"recipe": "cyclegan", "images": 640}},
}


def entry(name: str, **register: Any) -> Entry:
    return parse({"generators": {"it": {**SECTIONS, **ENTRIES[name], "register": register}}})["it"]


@pytest.mark.parametrize(
    ("name", "measured", "metric"),
    [
        ("images", {"recall": 0.5, "fid": 2.0}, "fid"),
        ("points", {"bins_filled": 36, "radius_error": 0.1}, "radius_error"),
        ("mixture", {"modes": 8, "high_quality": 0.9}, "high_quality"),
        ("pairs", {"l1": 0.1, "fid": 2.0}, "fid"),
        ("unpaired", {"translated": 0.9, "fid": 2.0}, "fid"),
    ],
)
def test_each_kind_shows_what_decides(name: str, measured: dict[str, float], metric: str) -> None:
    assert _deciding(measured, entry(name), {}) == metric


def test_tables_show_a_score() -> None:
    assert _deciding({"detection": 0.7, "column_distance": 0.1}, entry("table"), {}) == "detection"
    assert _deciding({"utility": 0.9, "column_distance": 0.1}, entry("table", improve="utility"), {}) == "utility"


def test_the_entrys_own_wish_goes_first_and_one_that_was_not_measured_shows_nothing() -> None:
    assert _deciding({"recall": 0.5, "fid": 2.0}, entry("images", improve="recall"), {}) == "recall"
    assert _deciding({"fid": 2.0}, entry("images", improve="recall"), {}) is None


def test_without_an_entry_the_last_decision_says_which() -> None:
    assert _deciding({"recall": 0.5, "fid": 2.0}, None, {"beside_real": {"metric": "fid"}}) == "fid"
    assert _deciding({}, None, {}) is None
