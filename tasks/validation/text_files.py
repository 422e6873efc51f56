"""Files of sentences: text with one a line, JSON lines, or a column of a table."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan_core.errors import DataError
from gan_core.kinds.spelling import words
from gan_core.kinds.text import MAX_CHARACTERS
from tasks.addresses import EXCEL_SUFFIXES, table_suffix
from tasks.sources.content import what_came
from tasks.sources.raw import safe_path
from tasks.validation.table_files import read_table

_USUAL = ("text", "sentence", "sentences", "caption", "captions", "content", "body", "review", "comment", "description", "title")
"""What a column of sentences is called, the first that is there."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")  # or half a sign, as JSON may escape it
_SENTENCE = re.compile(r"(?:\S+\s+){2,}\S*[.!?\u3002\uff01\uff1f]|(?:\S+\s+){5,}\S+")
_RIGHT: Mapping[str, tuple[bytes, ...]] = {
    ".parquet": (b"PAR1",),
    ".jsonl": (b"{", b"[", b'"'),
    ".ndjson": (b"{", b"[", b'"'),
    **dict.fromkeys(EXCEL_SUFFIXES, (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")),
}
"""How files begin that would otherwise be taken for another thing."""
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_LOOKED_AT = 1_000
_SHOWN = 8


@dataclass(frozen=True)
class Text:
    """A sentence as it was written, or the reason why there is none."""

    number: int
    """Its line, or its row below the names of the columns, from 1."""
    text: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class Texts:
    """What a file holds."""

    texts: Sequence[Text]
    empty: int
    """Lines or rows with nothing in them."""
    column: str | None = None
    """That was taken."""


def read_texts(data: bytes, path: str, column: str | None = None) -> Texts:
    """The sentences of a file.

    Args:
        data: its bytes.
        path: its name, which ends with one of `TEXT_SUFFIXES` of `tasks.addresses`; messages begin with it.
        column: the column, or the key of an object, that holds them; None: the only one that does, or one with a usual name.

    Raises:
        DataError: it is another thing, or nobody can tell which column is meant.
    """
    suffix = f".{path.lower().rpartition('.')[2]}"
    if came := what_came(data, right=_RIGHT.get(suffix, ())):
        raise DataError(f"{path}: is {came}, and no text; correct data.source, or try again when the server is well")
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            raise DataError(f"{path}: is {name}; save it as UTF-8")
    if table_suffix(path) is not None:
        return _of_table(data, path, column)
    if (start := data[:_LOOKED_AT]).count(0) * 10 > len(start):
        raise DataError(f"{path}: is UTF-16, by the zero bytes among its letters; save it as UTF-8")
    lines = _lines(data)
    return _of_json(lines, path, column) if suffix in (".jsonl", ".ndjson") else _sifted(lines)


def _lines(data: bytes) -> list[Text]:
    """The lines of a text; a byte order mark before the first is none of it."""
    found = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            found.append(Text(number, line.decode("utf-8")))
        except UnicodeDecodeError as error:
            found.append(
                Text(number, line.decode("utf-8", "replace"), f"not UTF-8: byte {error.start + 1} of the line; save the file as UTF-8")
            )
    return found


def _sifted(texts: Sequence[Text], column: str | None = None) -> Texts:
    """Without those that are empty; with the reason why some cannot be used, whatever words they hold."""
    there = [one for one in texts if one.reason is not None or one.text.strip()]
    return Texts([one if one.reason is not None else _judged(one) for one in there], len(texts) - len(there), column)


def _judged(one: Text) -> Text:
    if _CONTROL.search(one.text):
        return Text(one.number, one.text, "holds control characters")
    if len(one.text) > MAX_CHARACTERS:
        return Text(one.number, one.text, f"too long: {len(one.text):,} characters, and at most {MAX_CHARACTERS:,} are read")
    return one


def _of_json(lines: Sequence[Text], path: str, column: str | None) -> Texts:
    values: list[tuple[Text, Any]] = []
    for line in lines:
        try:
            values.append((line, json.loads(line.text) if line.reason is None and line.text.strip() else ""))
        except (ValueError, RecursionError) as error:
            values.append((Text(line.number, line.text, f"no JSON: {error}"), ""))
    objects = [value for _, value in values if isinstance(value, dict)]
    key = _chosen({name: [one.get(name) for one in objects] for name in dict.fromkeys(key for one in objects for key in one)}, path, column)
    return _sifted([_of_value(line, value, key) for line, value in values], key)


def _of_value(line: Text, value: Any, key: str | None) -> Text:
    if line.reason is not None:
        return line
    found = value.get(key) if isinstance(value, dict) else value
    if isinstance(value, dict) and key not in value:
        return Text(line.number, line.text, f"has no key {key}")
    return Text(line.number, found) if isinstance(found, str) else Text(line.number, line.text, f"holds {_kind_of(found)} and no text")


def _kind_of(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _of_table(data: bytes, path: str, column: str | None) -> Texts:
    cells = read_table(data, path)
    whole = [row for row in cells.rows if not isinstance(row, str)]
    chosen = _chosen({name: [row[i] for row in whole] for i, name in enumerate(cells.names)}, path, column)
    at = cells.names.index(chosen) if chosen is not None else 0
    texts = []
    for number, row in enumerate(cells.rows, start=1):
        if isinstance(row, str):
            texts.append(Text(number, reason=row))
        elif row[at] is None or isinstance(row[at], str):
            texts.append(Text(number, row[at] or ""))
        else:
            texts.append(Text(number, str(row[at]), f"holds {_kind_of(row[at])} and no text"))
    return _sifted(texts, chosen)


def _chosen(columns: Mapping[str, Sequence[Any]], path: str, asked: str | None) -> str | None:
    """The column of sentences; None where there are no columns.

    Raises:
        DataError: the one that was asked for is not there, none holds sentences, or several do.
    """
    if not columns:
        return None
    named = ", ".join(safe_path(name[:40]) for name in [*columns][:_SHOWN])
    if asked is not None:
        if asked not in columns:
            raise DataError(f"{path}: data.text: there is no column {safe_path(asked[:80])}; it has {named}")
        return asked
    if sentence := next((name for name in columns if _SENTENCE.fullmatch(name.strip())), None):
        raise DataError(
            f"{path}: its first row reads like a sentence ({safe_path(sentence[:40])}), and a table begins with a row of columns' names; "
            "write one before it, or name the column in data.text"
        )
    holding = text_columns(columns)
    usual = next((name for wanted in _USUAL for name in columns if name.strip().lower() == wanted and name in holding), None)
    if usual is not None or len(holding) == 1:
        return usual or holding[0]
    if len(columns) == 1:
        return next(iter(columns))
    which = f"{' and '.join(map(safe_path, holding[:_SHOWN]))} do" if holding else "none does"
    raise DataError(f"{path}: which column holds the sentences? {which}, by the looks of it; say which in data.text. It has {named}")


def text_columns(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Those whose cells are mostly texts, and these mostly of several words, or of many signs of Chinese, by name."""
    found = []
    for name, cells in columns.items():
        there = [cell for cell in cells[:_LOOKED_AT] if cell is not None and cell != ""]
        texts = [cell for cell in there if isinstance(cell, str)]
        if len(texts) > len(there) / 2 and statistics.median(max(len(cell.split()), len(words(cell)) // 3) for cell in texts) >= 3:
            found.append(name)
    return found
