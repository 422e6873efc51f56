"""Files of sentences: lines, JSON lines, a column; what is wrong in them, and which column is meant."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
import raw_sets

from gan_core.errors import DataError
from tasks.fetch import fetch
from tasks.params import ValidateParams
from tasks.sources.raw import RawReader
from tasks.validation.text_files import Texts, read_texts
from tasks.workspace import Workspace

ROWS = ["a red house by the sea", "two cats, one dog", "nobody is there"]


def told(found: Texts) -> list[str]:
    return [one.reason or one.text for one in found.texts]


def test_lines() -> None:
    data = b"\xef\xbb\xbfa red house\r\n\r\n \ntwo cats\n\xff\xfe bad\nbell \x07 rings\n" + b"word " * 300 + b"\nlast, without an end"
    found = read_texts(data, "x.txt")
    assert told(found) == [
        "a red house", "two cats", "not UTF-8: byte 1 of the line; save the file as UTF-8", "holds control characters",
        "too long: 1,500 characters, and at most 1,000 are read", "last, without an end",
    ]  # fmt: skip
    assert ([one.number for one in found.texts], found.empty) == ([1, 4, 5, 6, 7, 8], 2)


def test_json_lines_of_objects_and_of_texts() -> None:
    lines = [
        '{"id": 1, "caption": "a red house by the sea"}',
        "",
        '{"id": 2}',
        "{broken",
        '{"caption": 3}',
        '{"caption": "two cats, one dog"}',
    ]
    found = read_texts("\n".join(lines).encode(), "x.jsonl")
    assert found.column == "caption"
    assert told(found)[:2] == [ROWS[0], "has no key caption"]
    assert told(found)[2].startswith("no JSON: Expecting property name")
    assert told(found)[3:] == ["holds a number and no text", ROWS[1]]
    assert told(read_texts(b'"half a sign \\ud83d of two"\n', "x.jsonl")) == ["holds control characters"]
    assert told(read_texts(b'"a red house by the sea"\n["no"]\n', "x.ndjson")) == [ROWS[0], "holds a list and no text"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "feather"])
def test_the_column_of_a_table_is_found(suffix: str) -> None:
    frame, buffer = pd.DataFrame({"id": [1, 2, 3], "what it says": ROWS, "kind": ["b", "c", "d"]}), io.BytesIO()
    if suffix in ("csv", "tsv"):
        frame.to_csv(buffer, index=False, sep="\t" if suffix == "tsv" else ",")
    else:
        getattr(frame, f"to_{suffix}")(buffer)
    found = read_texts(buffer.getvalue(), f"x.{suffix}")
    assert (told(found), found.column) == (ROWS, "what it says")


def test_a_column_of_chinese_holds_sentences_and_one_of_names_none() -> None:
    rows = ["\u6211\u559c\u6b22\u5927\u732b\u548c\u5c0f\u72d7\u54e6" + sign for sign in "\u3002\uff01\uff1f"]
    text = "who,what\n" + "".join(f"\u738b\u5c0f\u660e,{row}\n" for row in rows)
    found = read_texts(text.encode(), "x.csv")
    assert (told(found), found.column) == (rows, "what")


@pytest.mark.parametrize(
    ("line", "noted"),
    [("\u0e09\u0e31\u0e19\u0e23\u0e31\u0e01\u0e41\u0e21\u0e27", True), ("\u732b\u304c\u597d\u304d\u3001{}\u3067\u3059\u3002", False),
     ("donaudampfschiff {} f\u00e4hrt heute", False), ("Anna{}", True)],
)  # fmt: skip
def test_texts_without_spaces_between_words_are_told_of(line: str, noted: bool, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("".join(f"{line.format(number)}\n" for number in range(5)), encoding="utf-8")
    entry, workspace = raw_sets.entry({"source": f"folder://{tmp_path / 'files'}", "layout": "sentences"}), Workspace(tmp_path)
    fetch(workspace, "set", entry)
    with RawReader.open(workspace.raw("set")) as raw:
        notes = raw_sets.inspect(raw, entry.data, ValidateParams(), tmp_path / "spool").notes
    assert any("need spaces put in first" in note for note in notes) == noted


def test_of_several_columns_the_one_with_a_usual_name_is_taken_or_the_one_that_is_asked_for() -> None:
    text = "answer,question\n" + "".join(f'"{row}","{row[::-1]} of old"\n' for row in ROWS)
    with pytest.raises(DataError, match=r"x.csv: which column holds the sentences\? answer and question do, .*say which in data.text"):
        read_texts(text.encode(), "x.csv")
    assert told(read_texts(text.encode(), "x.csv", "answer")) == ROWS
    assert told(read_texts(text.replace("answer", "Text").encode(), "x.csv")) == ROWS
    with pytest.raises(DataError, match=r"data.text: there is no column reply; it has answer, question"):
        read_texts(text.encode(), "x.csv", "reply")
    for table in ("good,nobody is there.\nbad,all are here.\n", "two cats and one dog sleep\nthree dogs wake\n"):
        with pytest.raises(DataError, match=r"its first row reads like a sentence .*write one before it, or name the column in data.text"):
            read_texts(table.encode(), "x.csv")
    with pytest.raises(DataError, match="none does, by the looks of it"):
        read_texts(b"a,b\n1,x\n2,y\n", "x.csv")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<!doctype html><title>Sign in</title>", "a web page, 'Sign in', and no text"),
        ("a red house".encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("a red house".encode("utf-16-le"), "UTF-16, by the zero bytes among its letters; save it as UTF-8"),
        (b"PK\x03\x04rest", "a zip file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ],
)
def test_what_is_no_text_is_refused_by_what_it_is(data: bytes, what: str) -> None:
    with pytest.raises(DataError, match=f"x.txt: is {what}"):
        read_texts(data, "x.txt")
