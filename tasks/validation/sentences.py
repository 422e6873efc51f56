"""Sentences: each looked at once, by its words and marks, or set aside with the reason."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from gan_core.kinds.spelling import pieces
from tasks.params import DataParams
from tasks.sources.raw import Member, RawReader
from tasks.validation.annotated import Annotated
from tasks.validation.inspection import Inspection, OnRow, Row
from tasks.validation.text_files import Text, read_texts

_LONG = 10
"""Letters of a word and the space behind it, on the average of a sentence, beyond which it is none: German has 6, Finnish 8."""


def inspect_sentences(raw: RawReader, about: Annotated, data: DataParams, on_row: OnRow) -> Inspection:
    """Look at every sentence of every file.

    Raises:
        DataError: a file is no text, or raw is damaged.
    """
    texts: list[str] = []
    found: list[Row] = []
    empty, columns = 0, Counter[str]()
    for member in about.images:
        read = read_texts(raw.read(member), member.path, data.text)
        empty += read.empty
        columns.update([] if read.column is None else [read.column])
        label, reason = about.labels.get(member.path), about.reasons.get(member.path)
        for row in _rows(member, read.texts, label, reason, data, texts):
            found.append(row)
            on_row(len(found), len(found))
    rows = [*found, *about.refused_rows()]
    return Inspection(rows, about.classes, texts, notes=[*about.notes, *_notes(rows, empty, columns)])


def _rows(
    member: Member, read: Sequence[Text], label: str | None, of_file: str | None, data: DataParams, texts: list[str]
) -> Iterator[Row]:
    """A row for each sentence; what a good one reads like goes into `texts`."""
    for one in read:
        found = pieces(one.text)
        reason = one.reason or of_file or _fault(found, data)
        # By its words: sentences that differ in case or spaces alone are equal.
        sha256 = hashlib.sha256(" ".join(found).encode("utf-8", "surrogatepass")).hexdigest()
        path = f"{member.path}#{one.number}"
        if reason is not None:
            yield Row(path, sha256, label, reason=reason)
            continue
        texts.append(one.text)
        yield Row(path, sha256, label, number=len(texts) - 1, facts={"words": len(found), "characters": len(one.text)})


def _fault(found: Sequence[str], data: DataParams) -> str | None:
    if len(found) > data.length:
        return f"too long: {len(found)} words and marks, more than {data.length} (data.length)"
    return None if any(any(map(str.isalnum, piece)) for piece in found) else "has no words"


def _notes(rows: Sequence[Row], empty: int, columns: Counter[str]) -> list[str]:
    notes = [f"left out: {empty:,} empty {'line' if empty == 1 else 'lines'}"] if empty else []
    if columns:
        notes.append(f"sentences are taken from {' and '.join(sorted(columns))}")
    facts = [row.facts for row in rows if row.facts is not None]
    words = [int(one["words"]) for one in facts]
    letters = [int(one["characters"]) / int(one["words"]) for one in facts]
    if facts and (median(words) <= 1 or median(letters) > _LONG):
        notes.append(
            f"of half of the sentences words have more than {_LONG} letters, or they are one word long; words are what stands between "
            "spaces, so texts of a language without them need spaces put in first, but for Chinese and Japanese"
        )
    return notes
