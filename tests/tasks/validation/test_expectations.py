"""Great Expectations decides for real: every expectation is met by a good table and broken by a planted fault, by name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import pytest

from tasks import kinds
from tasks.params import ValidateParams
from tasks.validation import page_templates
from tasks.validation.expectations import CheckedTable, Verdict, check, classes_table, manifest_table, source_table

LIMITS = ValidateParams(max_quarantined=0.1, min_samples=20, min_side=8, max_side=64, min_std=1, min_per_class=5)


def good() -> dict[str, pd.DataFrame]:
    """Frames that meet everything: 20 samples of two classes, and one of 21 in quarantine."""
    paths = [f"{'cats' if i < 10 else 'dogs'}/{i:02d}.png" for i in range(20)]
    digests = [f"{i:064x}" for i in range(20)]
    split = ["holdout" if i % 10 == 0 else "train" for i in range(20)]
    manifest = pd.DataFrame(
        {
            "path": paths,
            "sha256": digests,
            "width": pd.array([32] * 20, dtype="Int32"),
            "height": pd.array([64] * 20, dtype="Int32"),
            "mode": ["RGB"] * 20,
            "mean": [100.0] * 20,
            "std": [20.0] * 20,
            "label": ["cats"] * 10 + ["dogs"] * 10,
            "split": split,
        }
    )
    source = pd.DataFrame(
        {"path": [*paths, "cats/bad.png"], "sha256": [*digests, "f" * 64], "reason": [*[None] * 20, "truncated: the file ends early"]}
    )
    classes = pd.DataFrame({"label": ["cats", "dogs"], "samples": [10, 10], "train": [9, 9], "holdout": [1, 1], "share": [0.5, 0.5]})
    return {"source": source, "manifest": manifest, "classes": classes}


def tables(
    frames: dict[str, pd.DataFrame], limits: ValidateParams = LIMITS, names: tuple[str, ...] = ("cats", "dogs")
) -> list[CheckedTable]:
    return [
        source_table(frames["source"], limits),
        manifest_table(frames["manifest"], names, limits, kinds.of("images").expected(limits)),
        classes_table(frames["classes"], limits),
    ]


def verdict(folder: Path, frames: dict[str, pd.DataFrame], limits: ValidateParams = LIMITS) -> Verdict:
    return check("pets", tables(frames, limits), folder)


def put(table: str, column: str, *values: object) -> Callable[[dict[str, pd.DataFrame]], None]:
    """A fault: the first values of a column replaced."""

    def plant(frames: dict[str, pd.DataFrame]) -> None:
        frames[table][column] = pd.Series([*values, *frames[table][column][len(values) :]], dtype=object).convert_dtypes()

    return plant


def first_rows(table: str, count: int) -> Callable[[dict[str, pd.DataFrame]], None]:
    def plant(frames: dict[str, pd.DataFrame]) -> None:
        frames[table] = frames[table].head(count)

    return plant


def test_good_tables_meet_every_expectation(tmp_path: Path) -> None:
    result = verdict(tmp_path, good())
    assert result.passed
    assert result.failures == ()
    assert result.met == sum(len(table.suite) for table in tables(good())) == 22


@pytest.mark.parametrize(
    ("plant", "expected", "found", "row"),
    [
        (put("source", "path", None), "every sample has a path", "not so for 1 of 21", None),
        (put("source", "path", "dogs/19.png"), "no path occurs twice", "not so for 2 of 21", "dogs/19.png"),
        (put("source", "sha256", None), "every sample has a sha256", "not so for 1 of 21", "cats/00.png"),
        (
            put("source", "reason", "blank", "empty"),
            "at most 10 % in quarantine (validate.max_quarantined)",
            "3 of 21 (14.3%) are in quarantine",
            "cats/00.png: blank",
        ),
        (first_rows("manifest", 19), "at least 20 samples (validate.min_samples)", "found 19", None),
        (put("manifest", "path", "dogs/19.png"), "no path occurs twice", "not so for 2 of 20", "dogs/19.png"),
        (put("manifest", "sha256", None), "every sample has a sha256", "not so for 1 of 20", "cats/00.png"),
        (put("manifest", "split", None), "every sample has a split", "not so for 1 of 20", "cats/00.png"),
        (put("manifest", "split", "test"), "splits are train and holdout", "not so for 1 of 20", "cats/00.png: test"),
        (put("manifest", "split", *["train"] * 20), "at least 1 sample held out", "found 0", None),
        (put("manifest", "split", *["holdout"] * 20), "at least 1 sample to train on", "found 0", None),
        (put("manifest", "width", 7), "width of 8 to 64 pixels (validate.min_side, max_side)", "not so for 1 of 20", "cats/00.png: 7"),
        (put("manifest", "height", 64, 65), "height of 8 to 64 pixels", "not so for 1 of 20", "cats/01.png: 65"),
        (put("manifest", "mode", None), "every image has a mode", "not so for 1 of 20", "cats/00.png"),
        (put("manifest", "mode", "BGR;15"), "modes are known ones", "not so for 1 of 20", "cats/00.png: BGR;15"),
        (put("manifest", "mean", 255.5), "mean of the pixels", "not so for 1 of 20", "cats/00.png: 255.5"),
        (
            put("manifest", "std", 0.5),
            "standard deviation of the pixels from 1 (validate.min_std)",
            "not so for 1 of 20",
            "cats/00.png: 0.5",
        ),
        (put("manifest", "label", None), "every sample has a label", "not so for 1 of 20", "cats/00.png"),
        (put("manifest", "label", "mice"), "labels are names of classes", "not so for 1 of 20", "cats/00.png: mice"),
        (first_rows("classes", 1), "at least 2 classes", "found 1", None),
        (put("classes", "samples", 4), "at least 5 samples of each class (validate.min_per_class)", "not so for 1 of 2", "cats: 4"),
        (put("classes", "train", 0), "at least 1 sample of each class to train on", "not so for 1 of 2", "cats: 0"),
    ],
)
def test_a_planted_fault_is_named(
    tmp_path: Path, plant: Callable[[dict[str, pd.DataFrame]], None], expected: str, found: str, row: str | None
) -> None:
    frames = good()
    plant(frames)
    result = verdict(tmp_path, frames)
    assert not result.passed
    assert result.met == 21
    (failure,) = result.failures
    assert failure.expected.startswith(expected)
    assert failure.found.startswith(found)
    if row is not None:
        assert row in failure.rows
    assert expected in str(failure)


@pytest.mark.parametrize("bad", [1, 7, 29, 58, 93])
def test_a_share_exactly_at_the_limit_is_accepted(tmp_path: Path, bad: int) -> None:
    source = pd.DataFrame({"path": map(str, range(100)), "sha256": "f" * 64, "reason": ["blank"] * bad + [None] * (100 - bad)})
    at, below = ValidateParams(max_quarantined=bad / 100), ValidateParams(max_quarantined=bad / 100 - 0.0001)
    assert check("at", [source_table(source, at)], tmp_path / "at").passed
    assert not check("below", [source_table(source, below)], tmp_path / "below").passed


def test_long_lists_are_cut_and_counted(tmp_path: Path) -> None:
    source = pd.DataFrame({"path": [f"{i:05d}" for i in range(12_000)], "sha256": "f" * 64, "reason": "blank"})
    (failure,) = check("broken", [source_table(source, LIMITS)], tmp_path).failures
    assert failure.found == "12,000 of 12,000 (100.0%) are in quarantine"
    assert failure.rows == ("00000: blank", "00001: blank", "00002: blank", "00003: blank", "00004: blank", "and 11,995 more")


def test_nothing_left_is_a_failure_and_no_crash(tmp_path: Path) -> None:
    frames = good()
    frames["manifest"] = frames["manifest"].head(0)
    frames["source"]["reason"] = "blank"
    frames["classes"][["samples", "train", "holdout"]] = 0
    result = verdict(tmp_path, frames)
    assert {failure.expected.split(" (")[0] for failure in result.failures} == {
        "at most 10 % in quarantine",
        "at least 20 samples",
        "at least 1 sample to train on",
        "at least 1 sample held out",
        "at least 5 samples of each class",
        "at least 1 sample of each class to train on",
    }


def test_results_and_pages(tmp_path: Path) -> None:
    result = verdict(tmp_path, good())
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"source", "manifest", "classes"}
    assert all(result["success"] for result in results.values())
    # Below the limit, and still every file is named with its reason.
    (quarantine,) = [one for one in results["source"]["results"] if one["expectation_config"]["kwargs"]["column"] == "reason"]
    assert quarantine["result"]["unexpected_index_list"] == [{"path": "cats/bad.png", "reason": "truncated: the file ends early"}]
    assert (tmp_path / "index.html").stat().st_size > 1_000
    pages = {page.name: page.read_text() for page in tmp_path.glob("validations/**/*.html")}
    assert set(pages) == {"data-source.html", "data-manifest.html", "data-classes.html"}
    assert "truncated: the file ends early" in (tmp_path / result.pages["source"]).read_text()
    assert set(result.pages) == {"source", "manifest", "classes"}


def test_names_cannot_plant_a_script_in_the_pages(tmp_path: Path) -> None:
    planted = "<script>alert('planted')</script>&amp;$column"
    frames = good()
    frames["manifest"]["label"] = frames["manifest"]["label"].replace("cats", planted)
    frames["manifest"]["path"] = frames["manifest"]["path"].str.replace("cats", planted)
    frames["manifest"].loc[0, "mode"] = "odd"
    frames["manifest"].loc[1, "label"] = planted + "2"
    frames["classes"]["label"] = [planted, "dogs"]
    frames["classes"].loc[0, "samples"] = 1
    frames["source"].loc[:4, "path"] = planted
    frames["source"].loc[:4, "reason"] = planted
    result = check("pets", tables(frames, names=(planted, "dogs")), tmp_path)
    # The person at the terminal and programs that read the JSON see the names as they are.
    assert len(result.failures) == 5
    assert f"{planted}: 1" in result.failures[-1].rows
    assert json.loads((tmp_path / "results.json").read_text())["source"]["success"] is False
    assert planted in json.dumps(json.loads((tmp_path / "results.json").read_text()))
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) == 7
    for page in pages:
        assert "<script>alert" not in page.read_text(), page


def test_no_template_of_the_pages_is_compiled_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: Counter[str | None] = Counter()
    plain = jinja2.Environment.compile

    def counted(self: jinja2.Environment, source: Any, name: str | None = None, *arguments: Any, **options: Any) -> Any:
        compiled[name] += 1
        return plain(self, source, name, *arguments, **options)

    monkeypatch.setattr(jinja2.Environment, "compile", counted)
    monkeypatch.setattr(page_templates, "_CACHE", page_templates._InMemory())
    pages = [verdict(tmp_path / name, good()).pages["manifest"] for name in ("first", "second")]
    assert compiled["page.j2"] == 1
    assert set(compiled.values()) == {1}
    first, second = (re.sub(r"[0-9a-f-]{36}|\d{8}T\d{6}\S*Z|T[\d:.]+Z|[\d:. -]{10,}", "", (tmp_path / name / page).read_text())
                     for name, page in zip(("first", "second"), pages, strict=True))  # fmt: skip
    assert first == second, "but for the moment"
