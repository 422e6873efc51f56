"""The captions file of a folder of images: which text belongs to which image.

Either CSV in UTF-8 with the columns `file` and `caption` (others are left alone), or, where the name ends in .jsonl, a JSON object a
line with `file`, and `caption` or `name`. `file` is the image's path, relative to the source's folder. An image may have several rows.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gan_core.errors import DataError
from gan_core.kinds.text import MAX_CHARACTERS, words
from tasks.sources.raw import safe_path


@dataclass(frozen=True)
class CaptionRow:
    """One row of a captions file: an image's caption, or the reason why it cannot be used."""

    number: int
    """The line on which it ends, from 1; the header is line 1 of a CSV file."""
    text: str
    """What the row holds, for a digest."""
    image: str = ""
    """The image's path in raw."""
    caption: str = ""
    reason: str | None = None


def read_captions(data: bytes, name: str) -> list[CaptionRow]:
    """Every row of a captions file called `name`, good or not, in order.

    Raises:
        DataError: it is not UTF-8, or has not the two columns; then nothing of it can be used.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}: not UTF-8 text (line {line}); save it as UTF-8") from None
    rows = _json_rows(text) if name.lower().endswith((".jsonl", ".ndjson")) else _csv_rows(text, name)
    return [row if row.reason else _checked(row) for row in rows]


def _csv_rows(text: str, name: str) -> Iterator[CaptionRow]:
    # Long cells are refused below, one by one; the reader's own limit would end the file at the first of them.
    before = csv.field_size_limit(max(len(text), 1 << 17))
    try:
        reader = csv.reader(io.StringIO(text, newline=""))
        header = [cell.strip().lower() for cell in next(reader, [])]
        missing = [column for column in ("file", "caption") if column not in header]
        if missing:
            raise DataError(f"{name}: no column {' and none '.join(missing)} in its first line; write `file,caption` there")
        file, caption = header.index("file"), header.index("caption")
        for cells in reader:
            content = "\0".join(cells)
            if len(cells) == len(header):
                yield CaptionRow(reader.line_num, content, cells[file], cells[caption])
            elif cells:
                hint = "; quote a caption that holds commas" if len(cells) > len(header) else ""
                reason = f"{_cells(len(cells))}, and the header has {len(header)}{hint}"
                yield CaptionRow(reader.line_num, content, reason=reason)
    except csv.Error as error:
        raise DataError(f"{name}: no readable CSV from line {reader.line_num} on ({error})") from None
    finally:
        csv.field_size_limit(before)


def _json_rows(text: str) -> Iterator[CaptionRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            yield CaptionRow(number, line, reason="no JSON object")
            continue
        image, caption = fields.get("file"), fields.get("caption", fields.get("name"))
        if not isinstance(image, str) or not isinstance(caption, str):
            yield CaptionRow(number, line, reason="lacks the text `file`, or `caption` (or `name`)")
        else:
            yield CaptionRow(number, line, image, caption)


def _checked(row: CaptionRow) -> CaptionRow:
    """The row with its path as raw has it, or with the reason why it cannot be used."""
    path = posixpath.normpath(row.image.strip()) if row.image.strip() else ""
    reason = None
    if not path:
        reason = "names no file"
    elif path.startswith(("/", "../")) or path in (".", "..") or "\0" in path:
        reason = f"{safe_path(row.image[:80])} leads out of the folder; write a path relative to it"
    elif len(row.caption) > MAX_CHARACTERS:
        reason = f"a caption of {len(row.caption):,} characters, and at most {MAX_CHARACTERS:,} are taken"
    elif any("\ud800" <= character <= "\udfff" for character in row.caption):
        reason = "the caption holds half a character, which cannot be written as UTF-8"
    elif not words(row.caption):
        reason = f"the caption {row.caption[:80]!r} has no words"
    return CaptionRow(row.number, row.text, safe_path(path), " ".join(row.caption.split()), reason)


def captions_by_image(rows: Sequence[CaptionRow]) -> dict[str, tuple[str, ...]]:
    """Of each image that has any its captions, each once, in order."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.reason is None:
            found.setdefault(row.image, {})[row.caption] = None
    return {image: tuple(captions) for image, captions in found.items()}


def _cells(count: int) -> str:
    return f"{count} cell{'' if count == 1 else 's'}"
