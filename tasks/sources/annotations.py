"""Files that say something of images, a caption or a label: which text belongs to which image. In UTF-8, one of these:

    a table     CSV (RFC 4180; commas or semicolons), or cells between tabs or bars without quotes. Its first line names the columns, as
                `file,caption`, `image,caption`, `file_name,text` or `id,breed` do; or there are two columns, and the first line
                is a row. Flickr's `name.jpg#0`, a tab and a caption are such a table. Several columns of captions are all taken.
    JSON lines  an object a line, with such keys; several captions as a list
    JSON        a list of such objects; an object of names and texts; COCO's `images` and `annotations`; `images` with `sentences`;
                StyleGAN's `labels`, a list of names and labels

An image is named by its path, relative to the source's folder or to the file's own; or by any end of its path that no other image has,
such as its bare name, also without what follows the last dot. Unicode's composed and decomposed forms are the same name.
"""

from __future__ import annotations

import csv
import difflib
import io
import itertools
import json
import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gan_core.errors import DataError
from tasks.addresses import IMAGE_SUFFIXES
from tasks.sources.content import what_came
from tasks.sources.raw import safe_path

_IMAGE_COLUMNS = (
    *("file", "file_name", "filename", "image", "image_name", "image_file", "image_path", "img", "path", "filepath", "file_path"),
    *("image_id", "id", "id_code"),
)
"""What the column is called that names the image; the first that is there."""
_MARKS = (",", "\t", ";", "|")
_QUOTED = (",", ";")
"""Marks between cells that may stand in quotes; between others, a quote is a character like any other."""
_NUMBERED = re.compile(r"#\d+$")
_LONGEST_ROW = 100
"""Lines of a row whose cells hold line breaks."""
_CELL_LIMIT = 2**31 - 1
_SHOWN = 80


@dataclass(frozen=True)
class Told:
    """What a file says of one image, or the reason why it cannot be used."""

    number: int
    """The line on which it begins, from 1; in JSON, its place in the list."""
    text: str
    """What the row holds, for a digest."""
    image: str = ""
    """As the file names it; once found, the image's path in raw."""
    value: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class What:
    """What is looked for in a file."""

    noun: str
    columns: tuple[str, ...]
    """What its column or key may be called, the first that is there; with a number behind it, it is another one of the same kind."""
    asked: str | None = None
    """The one that a person names; then it is no other."""

    def of(self, names: Sequence[str]) -> list[int]:
        """The places of its columns among names that are told by `_plain`."""
        for column in self.columns:
            if found := [i for i, name in enumerate(names) if self._is(name, column)]:
                return found
        return []

    def others(self, names: Sequence[str]) -> list[int]:
        """The places among such names of all that might be its columns."""
        return [i for i, name in enumerate(names) if any(self._is(name, column) for column in self.columns)]

    def _is(self, name: str, column: str) -> bool:
        return name == column if self.asked is not None else re.fullmatch(rf"{column}s?_?\d*", name) is not None

    def missing(self, file: str, names: Sequence[str]) -> DataError:
        """That a file with such columns or keys has not the one that is asked for."""
        near = difflib.get_close_matches(str(self.asked), names, n=1)
        there = f"did you mean {safe_path(near[0])}?" if near else f"there are {safe_path(', '.join(name[:40] for name in names[:10]))}"
        return DataError(f"{file}: has no {safe_path(str(self.asked)[:_SHOWN])!r} (data.label); {there}")


CAPTIONS = What("caption", ("caption", "text", "sentence", "description", "comment", "prompt", "title", "name"))
LABELS = What("label", ("label", "class", "class_name", "category", "target", "y"))


def labels_in(column: str | None) -> What:
    """Labels, in the column or under the key that an entry names; None: as such columns are usually called."""
    return LABELS if column is None else What(LABELS.noun, (_plain(column),), column)


def read_told(data: bytes, name: str, what: What, on_note: Callable[[str], None] = lambda note: None) -> list[Told]:
    """All that a file called `name` says, usable or not, in order.

    Args:
        data: its bytes.
        name: its path; one that ends in .json, .jsonl or .ndjson is JSON.
        what: what is looked for.
        on_note: told what of it is left alone, though it might be looked for too.

    Raises:
        DataError: it is not UTF-8, or none of the forms; then nothing of it can be used.
    """
    is_json = name.lower().endswith((".json", ".jsonl", ".ndjson"))
    if came := what_came(data, right=(b"{", b"[") if is_json else ()):
        raise DataError(f"{name}: is {came}, not a list of {what.noun}s")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}: not UTF-8 text (line {line}); save it as UTF-8") from None
    if name.lower().endswith(".json"):
        return list(_from_json(text, name, what))
    return list(_from_json_lines(text, name, what) if is_json else _from_table(text, name, what, on_note))


# Tables


def _from_table(text: str, name: str, what: What, on_note: Callable[[str], None]) -> Iterator[Told]:
    lines = list(io.StringIO(text, newline=""))
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise DataError(f"{name}: is empty; write a line of columns' names, such as `file,{what.noun}`, and a row for each image")
    # Long cells are refused one by one; the reader's own limit would end the file at the first of them.
    before = csv.field_size_limit(_CELL_LIMIT)
    try:
        mark = max(_MARKS, key=lambda mark: _promise(_row(lines[first : first + 1], mark), what))
        header = _row(lines[first : first + 1], mark)
        image, values, below = _columns(header, lines, first, mark, name, what)
        if below > first and (others := [header[i].strip() for i in what.others(list(map(_plain, header))) if i not in (image, *values)]):
            taken = ", ".join(header[i].strip() for i in values)
            on_note(f"{name}: {what.noun}s are what stands in {safe_path(taken)}; left alone: {safe_path(', '.join(others))}")
        yield from _table_rows(lines, below, mark, len(header), image, values)
    finally:
        csv.field_size_limit(before)


def _promise(cells: Sequence[str], what: What) -> int:
    """How much a first line looks like one of a table, parted at the right mark."""
    plain = [_plain(cell) for cell in cells]
    if len(cells) < 2:
        return 0
    return 1 + 2 * (any(name in _IMAGE_COLUMNS for name in plain) or _is_image(cells[0])) + bool(what.of(plain))


def _columns(header: Sequence[str], lines: Sequence[str], first: int, mark: str, name: str, what: What) -> tuple[int, Sequence[int], int]:
    """Which column names the image, which ones hold what is looked for, and the place of the first row's line."""
    names = [_plain(cell) for cell in header]
    if len(header) == 2 and any(map(_is_image, header)):
        image = 0 if _is_image(header[0]) else 1
        return image, [1 - image], first
    image_column = next((names.index(column) for column in _IMAGE_COLUMNS if column in names), None)
    if image_column is None:
        sample = next((_row([line], mark) for line in lines[first + 1 :] if line.strip()), [])
        image_column = next((i for i, cell in enumerate(sample[: len(header)]) if _is_image(cell)), None)
    values = [i for i in what.of(names) if i != image_column]
    if not values and image_column is not None and len(header) == 2 and what.asked is None:
        values = [1 - image_column]
    if what.asked is not None and not values:
        raise what.missing(name, [cell.strip() for cell in header])
    if image_column is None or not values:
        missing = [*(["file"] if image_column is None else []), *([] if values else [what.noun])]
        shown = ", ".join(safe_path(cell.strip()[:40]) for cell in header[:5])
        raise DataError(
            f"{name}: no column {' and none '.join(missing)} in its first line ({shown}); "
            f"write `file,{what.noun}` there, `image,{what.noun}` or the like"
        )
    return image_column, values, first + 1


def _table_rows(lines: Sequence[str], start: int, mark: str, width: int, image: int, values: Sequence[int]) -> Iterator[Told]:
    while start < len(lines):
        taken = 0

        def few(start: int = start) -> Iterator[str]:
            nonlocal taken
            for line in lines[start : start + _LONGEST_ROW]:
                # A line that is a row of its own is none that a quote before it was to hold.
                if taken and len(cells := _row([line], mark)) == width and _is_image(cells[image]):
                    return
                taken += 1
                yield line

        number, line = start + 1, lines[start]
        try:
            cells = _row(few(), mark, strict=True)
        except csv.Error:
            start += 1
            yield Told(
                number, line, reason=f"the quotes on line {number:,} are not closed as CSV has it; a quote within quotes is written twice"
            )
            continue
        start += taken
        content = "\0".join(cells)
        if not cells or not any(cell.strip() for cell in cells):
            continue
        if len(cells) == width:
            yield from (Told(number, content, cells[image], cells[value]) for value in values if len(values) == 1 or cells[value].strip())
        else:
            hint = f"; quote a text that holds {'commas' if mark == ',' else repr(mark)}" if len(cells) > width and mark in _QUOTED else ""
            yield Told(number, content, reason=f"{len(cells)} cell{'' if len(cells) == 1 else 's'}, and the first line has {width}{hint}")


def _row(lines: Iterable[str], mark: str, strict: bool = False) -> list[str]:
    """The cells of the first row of some lines."""
    if mark in _QUOTED:
        return next(csv.reader(iter(lines), delimiter=mark, strict=strict), [])
    return next(csv.reader(iter(lines), delimiter=mark, quoting=csv.QUOTE_NONE, strict=strict), [])


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _is_image(name: str) -> bool:
    return os.path.splitext(_NUMBERED.sub("", name.strip()))[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


# JSON


def _from_json_lines(text: str, name: str, what: What) -> Iterator[Told]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    objects = [_object(line) for _, line in lines]
    _check_asked(objects, name, what)
    for (number, line), fields in zip(lines, objects, strict=True):
        yield from _from_object(number, fields, line, what)


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _check_asked(rows: Iterable[Any], name: str, what: What) -> None:
    """Refuse a file of objects of which none has what a person asks for."""
    objects = [row for row in rows if isinstance(row, dict)]
    if what.asked is not None and objects and not any(what.of(list(map(_plain, row))) for row in objects):
        raise what.missing(name, list(objects[0]))


def _from_json(text: str, name: str, what: What) -> Iterator[Told]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if re.match(r"\s*\{[^\n]*\}\s*\n\s*\{", text):
            yield from _from_json_lines(text, name, what)
            return
        raise DataError(f"{name}: no readable JSON ({str(error) or type(error).__name__}); get or write it again") from None
    match content:
        case [*_]:
            rows: Iterable[Any] = content
        case {"labels": [*_] as rows} if what is LABELS:
            pass
        case {"images": [*images], "annotations": [*annotations]}:
            files = {_key(one.get("id")): one.get("file_name") for one in images if isinstance(one, dict)}
            rows = [_of_coco(one, files) for one in annotations]
        case {"images": [*images]} if any(isinstance(one, dict) and "sentences" in one for one in images):
            rows = [_of_karpathy(one) for one in images]
        case dict() if content and all(map(_is_image, content)):
            rows = [[image, value] for image, value in content.items()]
        case _:
            nothing = "; it says that there are none" if isinstance(content, dict) and content.get("labels", 0) is None else ""
            raise DataError(
                f"{name}: JSON in no form that {what.noun}s are read from{nothing}; write a list of objects with `file` and `{what.noun}`"
            )
    rows = list(rows)
    _check_asked(rows, name, what)
    for number, row in enumerate(rows, start=1):
        shown = json.dumps(row)
        match row:
            case [str(image), value]:
                yield from _from_object(number, {"file": image, what.columns[0]: value}, shown, what)
            case _:
                yield from _from_object(number, row, shown, what)


def _key(value: Any) -> str:
    return json.dumps(value)


def _of_coco(annotation: Any, files: Mapping[str, Any]) -> Any:
    if not isinstance(annotation, dict):
        return annotation
    return {"file": files.get(_key(annotation.get("image_id"))), "caption": annotation.get("caption")}


def _of_karpathy(image: Any) -> Any:
    if not isinstance(image, dict):
        return image
    sentences = image.get("sentences")
    texts = [one.get("raw") for one in sentences if isinstance(one, dict)] if isinstance(sentences, list) else None
    folder = image.get("filepath")
    file = image.get("filename")
    return {"file": f"{folder}/{file}" if isinstance(folder, str) and isinstance(file, str) else file, "caption": texts}


def _from_object(number: int, fields: Any, text: str, what: What) -> Iterator[Told]:
    if not isinstance(fields, dict):
        yield Told(number, text, reason="no JSON object")
        return
    named = {_plain(key): value for key, value in fields.items()}
    image = next((named[column] for column in _IMAGE_COLUMNS if column in named), None)
    found = [list(named.values())[i] for i in what.of(list(named))]
    values = [one for value in found for one in (value if isinstance(value, list) else [value])]
    # Several floats are no labels, but the shares or the scores of some.
    numbers = () if what.noun != LABELS.noun else (int,) if len(values) > 1 else (int, float)
    texts = [str(value) for value in values if type(value) in (str, *numbers)]
    if not isinstance(image, str) or not values or len(texts) != len(values):
        or_number = " or a number" if what.noun == LABELS.noun else ""
        yield Told(number, text, reason=f"lacks the text `file`, or a `{what.asked or what.noun}` that is a text{or_number}")
    else:
        yield from (Told(number, text, image, value) for value in texts)


# Names of images


class ImageNames:
    """The images of a source, to be found by what a file calls them.

    Args:
        paths: of the images, as in raw.
        file: of the file that names them, relative to the source's folder.
    """

    def __init__(self, paths: Iterable[str], file: str) -> None:
        self._paths = {*paths}
        self._folder = posixpath.dirname(file)
        self._by_end: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self._paths):
            base = _composed(posixpath.basename(path))
            for end in {base, posixpath.splitext(base)[0]}:
                self._by_end[end].append(path)

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        """Images by their names without upper case, with suffix and without."""
        found: dict[str, list[str]] = defaultdict(list)
        for end, paths in self._by_end.items():
            found[end.casefold()] += paths
        return found

    def found(self, told: Told) -> Told:
        """The same, with the image's path in raw, or with the reason why there is none."""
        if told.reason is not None:
            return told
        name = told.image.strip()
        path = posixpath.normpath(_NUMBERED.sub("", name) if _is_image(name) else name) if name else ""
        if not path:
            return replace(told, reason="names no file")
        if path.startswith(("/", "../")) or path in (".", "..") or "\0" in path:
            return replace(told, reason=f"{safe_path(name[:_SHOWN])} leads out of the folder; write a path relative to it")
        forms = (path, posixpath.normpath(path.replace("\\", "/")))
        for form in map(safe_path, forms):
            for there in (form, posixpath.join(self._folder, form)):
                if there in self._paths:
                    return replace(told, image=there)
        ends = [end for form in forms if (end := self._ending(safe_path(form)))]
        if not ends:
            wanted = _composed(safe_path(forms[1])).casefold()
            near = self._folded.get(posixpath.basename(wanted), [])
            folded = {one: f"/{_composed(one).casefold()}" for one in near}
            alike = [
                one for one, whole in folded.items() if whole.endswith(f"/{wanted}") or posixpath.splitext(whole)[0].endswith(f"/{wanted}")
            ]
            if len(alike) == 1:  # as programs of Windows write names, to which upper and lower case are the same
                return replace(told, image=alike[0])
            hint = f"; there is {near[0]}" if near else ""
            return replace(told, image=safe_path(path), reason=f"there is no image {safe_path(path[:_SHOWN])}{hint}")
        if len(ends[0]) > 1:
            names = ", ".join(ends[0][:3])
            return replace(told, reason=f"{len(ends[0])} images are called {safe_path(path[:_SHOWN])} ({names}); write the path of one")
        return replace(told, image=ends[0][0])

    def _ending(self, path: str) -> list[str]:
        """The images whose path ends with this one, with or without what follows the last dot."""
        path = _composed(path)
        there = self._by_end.get(posixpath.basename(path), ())
        whole = [one for one in there if f"/{_composed(one)}".endswith(f"/{path}")]
        return whole or [one for one in there if f"/{posixpath.splitext(_composed(one))[0]}".endswith(f"/{path}")]


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def by_image(rows: Iterable[Told]) -> dict[str, tuple[str, ...]]:
    """Of each image of which something is told that can be used what that is, each text once, in order."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.reason is None:
            found.setdefault(row.image, {})[row.value] = None
    return {image: tuple(values) for image, values in found.items()}


def untold_folders(paths: Iterable[str], told: Mapping[str, object]) -> dict[str, int]:
    """The folders with images of none of which anything is told, and how many each has; none where nothing is told of any image."""
    counts: dict[str, int] = {}
    has: set[str] = set()
    for folder, group in itertools.groupby(sorted(paths, key=posixpath.dirname), key=posixpath.dirname):
        images = list(group)
        counts[folder] = len(images)
        if any(path in told for path in images):
            has.add(folder)
    return {folder: count for folder, count in counts.items() if folder not in has} if has else {}
