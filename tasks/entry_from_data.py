"""An entry of params.yaml, with its reasons in comments, written from the data that it is to be about."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.errors import ConfigError, DataError
from gan_core.params.common import common_halvings
from gan_core.params.tabular import TIMES
from tasks import kinds, params
from tasks.addresses import ARRAY_SUFFIXES, LINE_SUFFIXES, TORCHVISION, is_archive_name, table_suffix
from tasks.params import ChildrenParams, DataParams, Entry, ValidateParams
from tasks.sources import open_source
from tasks.sources.raw import safe_path
from tasks.validation.column_kinds import INVENTED, as_yaml
from tasks.validation.formats import UnusableError
from tasks.validation.heads import keys_of_arrays, sides_of
from tasks.wording import counted
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from gan_core.rules import Rule
    from tasks.sources.source import SourceFile
    from tasks.validation.columns_shown import FoundColumn
    from tasks.validation.table_files import Cells
    from tasks.validation.tables import TableRow, TableRows

TABLE_BUDGET, VALUES_BUDGET = 300_000, 1_000_000
"""Rows that training looks at: in a game, and at most by likelihood, which takes less than half of the time a row."""
PICTURE_BUDGET = 200_000
_LOOKS = "rows that training looks at, repeats included"
_PICTURES = ("recipe: gan", f"images: {PICTURE_BUDGET:_}  # pictures that training looks at, repeats included")
"""The lines of a training of pictures."""
_LARGEST_OWN = 32
"""Pixels of a side up to which images in arrays keep their own size."""
_MOST_CLASSES = 1_000
_TRIED, _LARGEST_TRIED = 8, 64 << 20
"""Files of sounds, volumes and clips that are decoded; larger ones are not."""
_FEW_ROWS = 2_000
"""Tables of fewer rows hold out more of them, since a comparison needs some hundreds, and play the game: likelihood learns a few hundred by
heart before it has learned what they have in common."""
_WIDEST = 50_000  # columns times what they are encoded in, up to which a network a value has some millions of weights
_NUMBER_WIDTH = 5  # of a column of numbers, about
_MOST_HELD = 0.995  # share of the sentences that are not too long
_RARE = 50  # times as many rows as a rare class has, the most frequent one has
_MOST_SUGGESTED = 20  # values of a column that is offered as the label


@dataclass(frozen=True)
class Draft:
    """An entry that was written from data."""

    name: str
    text: str
    """Of a YAML file with this entry alone."""
    entry: Entry
    """The same, read."""
    said: tuple[str, ...]
    """What was found in the data: a note each, some of several lines."""
    labels: tuple[str, ...] = ()
    """Columns of a table that rows could be drawn by."""


def draft(workspace: Workspace, path: Path, name: str | None = None, labels: Sequence[str] = (), second: Path | None = None) -> Draft:
    """Look at a table, a text, arrays of images, or a folder or archive of pictures, sounds, volumes, clips or texts, and write an entry
    for it.

    A table of which nothing could be learned but a column of sentences is a text. A folder of two tables and nothing else is as two tables
    that are named.

    Args:
        workspace: where the entry is to stand; what lies in it is named relative to it.
        path: of the file or folder.
        name: of the entry; None: as the file or folder is called.
        labels: the columns of a table that rows are drawn by.
        second: another table, one of which belongs to the other by a key, whichever that is.

    Raises:
        ConfigError: no name can be made of the path's, or a label is asked of pictures.
        DataError: it cannot be used, or two tables have no key; says why.
    """
    for one in (path, *([second] if second is not None else [])):
        if not one.exists():
            raise DataError(f"--from: {one} is not there")
    if name is not None and not params.NAME.fullmatch(name):
        raise ConfigError(f"--name {name[:80]}: a name has 1 to 63 of a-z, 0-9, - and _, and starts with a letter or digit")
    if second is not None:
        return _of_two_tables(workspace, (path, second), name, labels)
    name = name or _name_of(path)
    if (arrays := _arrays_in(path)) is not None:
        return _of_arrays(workspace, arrays, path, name, labels)
    if (two := _two_tables_in(path)) is not None:
        return _of_two_tables(workspace, two, name, labels)
    if path.is_dir() or is_archive_name(path.name):
        return _of_folder(workspace, path, name, labels)
    if path.name.lower().endswith(LINE_SUFFIXES):
        return _of_text(workspace, path, name, labels)
    try:
        return _of_table(workspace, path, name, labels)
    except DataError:
        if sum(_sentences_in(path)) != 1:
            raise
        return _of_text(workspace, path, name, labels)


def _name_of(path: Path) -> str:
    name = re.sub(r"[^a-z0-9_-]+", "-", path.resolve().name.partition(".")[0].lower()).strip("-_")[:63]
    if not name:
        raise ConfigError(f"{path}: no entry can be called so; say how with --name")
    return name


def _place_of(workspace: Workspace, path: Path) -> str:
    full, root = path.absolute(), workspace.root.resolve()
    if "$" in str(full):
        raise ConfigError(f"{path}: a $ in a path stands for a variable in params.yaml; rename it, or write the entry by hand")
    return str(full.relative_to(root)) if full.is_relative_to(root) else str(full)


def _of_table(workspace: Workspace, path: Path, name: str, labels: Sequence[str]) -> Draft:
    from tasks.validation.tables import inspect_table

    data = DataParams(source=_address(workspace, path), label=tuple(labels) or None)
    rows, _, read = inspect_table(_cells_of(workspace, path), data, path.name)
    table = replace(read, found=tuple(one.as_written for one in read.found))
    good = sum(row.reason is None for row in rows)
    columns = _learned(table.found)
    said = [*table.read_as(path.name)]
    for at, one in zip(_sentences_in(path), table.found, strict=False):
        if at and one.kind.kind not in INVENTED:
            said.append(f"{one.name} holds sentences; for a generator of them write source: text://... and text: {as_yaml(one.name)}")
    return _drafted(
        f"{safe_path(path.name)}: {len(rows):,} rows, {len(table.found):,} columns, as they were found.",
        name,
        [*_about_rows(data, labels, table, good), *_columns_of(columns), *_rules_of(table.suggested)],
        [*_of_rows(good, columns), *_balance(rows)],
        [*said, *_held(table.suggested), *_set_apart(rows), *_too_few(good, "rows")],
        _offered(columns),
    )


def _of_two_tables(workspace: Workspace, paths: tuple[Path, Path], name: str | None, labels: Sequence[str]) -> Draft:
    """Of a table and of another whose rows belong to its rows, in whichever order they are named."""
    from tasks.validation.families import inspect_families
    from tasks.validation.keys_found import found_keys, rules_of_both

    cells = [_cells_of(workspace, path) for path in paths]
    key, *others = found_keys(cells, [path.name for path in paths], DataParams(source=_address(workspace, paths[0])).missing)
    path, below = paths[key.first], paths[1 - key.first]
    children = ChildrenParams(source=_address(workspace, below), key=key.foreign)
    is_more = key.most > children.most
    children = children.model_copy(update={"most": max(key.most, children.most)})
    data = DataParams(source=_address(workspace, path), label=tuple(labels) or None, key=key.key, children=children)
    families = inspect_families(cells[key.first], cells[1 - key.first], data)
    table, second = (replace(one, found=tuple(each.as_written for each in one.found)) for one in (families.table, families.second))
    rows, good = families.parents, len(table.values)
    columns, of_children = _learned(table.found), _learned(second.found)
    rules = (*table.suggested, *rules_of_both(table))
    dates = [one for one in of_children if one.kind.kind == "date" and not one.missing]
    holds = f"{safe_path(key.key)} of {path.name} in every row"
    how_many = f"of its {key.rows:,} rows {key.with_children:,} have some, {key.most:,} at most"
    lines = [
        *_about_rows(data, labels, table, good),
        f"key: {as_yaml(key.key)}  # names each row; new ones are drawn",
        *_columns_of(columns),
        "children:",
        f"  source: {as_yaml(children.source)}",
        f"  key: {as_yaml(key.foreign)}  # {holds}; {how_many}",
        *([f"  most: {key.most}  # that a row may have"] if is_more else []),
        *(f"  {line}" for line in _columns_of(of_children)),
        *([f"  order: {as_yaml(dates[0].name)}  # of a row's children, in the data and as they are drawn"] if len(dates) == 1 else []),
        *_rules_of(rules),
    ]
    said = [f"{below.name} belongs to {path.name}: its {safe_path(key.foreign)} holds {holds}; {how_many}"]
    said += [
        f"it might as well be {safe_path(one.foreign)} of {paths[1 - one.first].name} and {safe_path(one.key)} of {paths[one.first].name}"
        for one in others
        if one.rank[:2] == key.rank[:2]
    ]
    return _drafted(
        f"{safe_path(path.name)}: {len(rows):,} rows, {len(table.found):,} columns; {safe_path(below.name)}: "
        f"{len(cells[1 - key.first].rows):,} rows, {len(second.found):,} columns, as they were found.",
        name or _name_of(path),
        lines,
        [*_by_value(good), *_balance(rows)],
        [
            *said,
            *table.read_as(path.name),
            *second.read_as(below.name),
            *_held(rules),
            *_set_apart([*rows, *families.orphans.values()]),
            *_too_few(good, "rows"),
        ],
        _offered(columns),
    )


def _two_tables_in(path: Path) -> tuple[Path, Path] | None:
    """The two tables that a folder holds, and nothing else."""
    if not path.is_dir():
        return None
    files = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    if len(files) != 2 or not all(one.is_file() and table_suffix(one.name) for one in files):
        return None
    return files[0], files[1]


def _address(workspace: Workspace, path: Path) -> str:
    return f"table://{_place_of(workspace, path)}"


def _cells_of(workspace: Workspace, path: Path) -> Cells:
    from tasks.sources.tables import read_rows

    (file,) = open_source(workspace, DataParams(source=_address(workspace, path))).look()
    with file.open() as opened:
        return read_rows(opened.read(), path.name)


def _learned(found: Sequence[FoundColumn]) -> list[FoundColumn]:
    """The columns whose kind an entry says."""
    return [one for one in found if one.name and not one.needs_no_kind]


def _about_rows(data: DataParams, labels: Sequence[str], table: TableRows, good: int) -> Iterator[str]:
    """Where they are, what they are drawn by, and how many are held out, as lines of an entry."""
    yield f"source: {as_yaml(data.source)}"
    if labels:
        shown = as_yaml(labels[0]) if len(labels) == 1 else f"[{', '.join(map(as_yaml, labels))}]"
        drawn_by = [one for one in table.found if one.is_label and one.needs_no_kind]
        why = "what others tell of it is scored" if not drawn_by else f"rows are drawn by {'it' if len(labels) == 1 else 'them'}"
        remarks = "; ".join(_remark(one) for one in table.found if one.is_label)
        yield f"label: {shown}  # {why}: {remarks}"
    if good < _FEW_ROWS:
        yield f"holdout: 0.3  # more than the usual tenth, since there are {good:,} rows"


def _columns_of(columns: Sequence[FoundColumn]) -> Iterator[str]:
    if columns:
        widest = min(max(len(one.yaml) for one in columns), 40)
        yield "columns:"
        yield from (f"  {one.yaml.ljust(widest)}  # {_remark(one)}" for one in columns)


def _rules_of(rules: Sequence[Rule]) -> Iterator[str]:
    from tasks.validation.table_rules import as_lines

    if rules:
        yield "rules:  # what holds in every row, and so in every generated one; rows that come to break it go to quarantine"
        yield from (f"  {line}" for line in as_lines(rules))


def _held(rules: Sequence[Rule]) -> Iterator[str]:
    if rules:
        yield f"every row keeps what now stands in the entry as rules: {'; '.join(map(str, rules))}"


def _set_apart(rows: Sequence[TableRow]) -> Iterator[str]:
    """How many cannot be used."""
    if faults := [row.reason for row in rows if row.reason is not None]:
        yield f"{len(faults):,} of {len(rows):,} rows go to quarantine, the first since {faults[0]}"


def _offered(columns: Sequence[FoundColumn]) -> tuple[str, ...]:
    return tuple(one.name for one in columns if one.kind.kind in ("category", "boolean") and 1 < one.values <= _MOST_SUGGESTED)


def _balance(rows: Sequence[TableRow]) -> Iterator[str]:
    of_classes = Counter(row.label for row in rows if row.label is not None)
    if of_classes and (rarest := min(of_classes.values())) * _RARE <= max(of_classes.values()):
        yield f"balance: 0.5  # the rarest class has {rarest:,} rows: they are shown more often, and drawn as often as they are"


def _of_rows(count: int, columns: Sequence[FoundColumn]) -> list[str]:
    """The training of a table with so many rows that can be used, as lines of an entry."""
    encoded = sum(one.values or _NUMBER_WIDTH for one in columns)
    if count >= _FEW_ROWS and len(columns) * encoded <= _WIDEST:
        return [*_by_value(count, "; without, it plays a game")]
    return [
        "recipe: tabular",
        f"images: {TABLE_BUDGET:_}  # {_LOOKS}; more make a better generator, and take longer",
        "penalty: {r1: 0.1, r2: 0.1, every: 4}  # of the discriminator; in every step it teaches no more, and takes 1.4 times as long",
    ]


def _by_value(count: int, else_: str = "") -> list[str]:
    """A training by likelihood."""
    return [
        "recipe: tabular",
        f"images: {min(TIMES * count, VALUES_BUDGET):_}  # {_LOOKS}; more than {TIMES} times each, and they are learned by heart",
        "batch: 500",
        f"generator: {{network: autoregressive}}  # draws value by value, and learns by the likelihood of rows{else_}",
    ]


def _refuse(labels: Sequence[str], why: str) -> None:
    if labels:
        raise ConfigError(f"--label {labels[0]}: only for tables; {why}")


def _of_text(workspace: Workspace, path: Path, name: str, labels: Sequence[str]) -> Draft:
    from tasks.validation.text_files import read_texts

    _refuse(labels, "the folders of texts are their classes")
    data = DataParams(source=f"text://{_place_of(workspace, path)}")
    (file,) = open_source(workspace, data).look()
    with file.open() as opened:
        read = read_texts(opened.read(), path.name)
    good = [one.text for one in read.texts if one.reason is None]
    if not good:
        raise DataError(f"{path}: no sentences in it; a text holds one a line, or a column of them")
    lines, said = [f"source: {as_yaml(data.source)}", *_of_words(good)], []
    if read.column is not None:
        said.append(f"sentences are taken from {read.column}")
    if faults := [one.reason for one in read.texts if one.reason is not None]:
        said.append(f"{len(faults):,} of {len(read.texts):,} sentences go to quarantine, the first: {faults[0]}")
    what = counted(len(good), "sentences")
    said += [what, *_too_few(len(good), "sentences")]
    return _drafted(f"{safe_path(path.name)}: {what}.", name, lines, _train_of("coco-captions"), said)


def _of_words(texts: Sequence[str]) -> list[str]:
    """How long sentences are, and how many words are told apart, as lines of an entry."""
    from gan_core.kinds.spelling import pieces

    found = [pieces(text) for text in texts]
    lengths, counts = sorted(map(len, found)), Counter(word for one in found for word in one)
    usual = lengths[int(_MOST_HELD * (len(lengths) - 1))]
    length = next((limit for limit in (8, 12, 16, 20, 24, 32, 48) if usual <= limit), 64)
    words = min(max(100 * -(-sum(count > 1 for count in counts.values()) // 100), 100), 5_000)
    rare = sum(count for _, count in counts.most_common()[words:]) / max(counts.total(), 1)
    there = f"there are {lengths[0]} to {lengths[-1]}, and half have {lengths[len(lengths) // 2]} or fewer"
    return [
        f"length: {length}  # words and marks of a sentence, at most; {there}",
        f"words: {words:_}  # of {len(counts):,} that occur; the others, {rare:.1%} of the text, are one unknown word",
    ]


def _sentences_in(path: Path) -> tuple[bool, ...]:
    """Of each column of a table whether it holds sentences; nothing where it cannot be read, which is for others to say."""
    from tasks.validation.table_files import read_table
    from tasks.validation.text_files import text_columns

    try:
        cells = read_table(path.read_bytes(), path.name)
    except (DataError, OSError, ValueError):
        return ()
    whole = [row for row in cells.rows if not isinstance(row, str)]
    holding = text_columns({name: [row[i] for row in whole] for i, name in enumerate(cells.names)})
    return tuple(name in holding for name in cells.names)


def _of_folder(workspace: Workspace, path: Path, name: str, labels: Sequence[str]) -> Draft:
    from tasks.sources.folder import folder_or_archive
    from tasks.sources.recognised import recognised

    _refuse(labels, "the folders of files are their classes")
    data, said = DataParams(source=f"folder://{_place_of(workspace, path)}"), []
    while (found := recognised(folder_or_archive(workspace, data))).below:
        data = DataParams(source=f"{data.source}/{found.below}")
        said.append(f"{found.why}; {found.below} is taken")
    lines = [f"source: {as_yaml(data.source)}"]
    if found.layout != "images":
        lines.append(f"layout: {found.layout}  # {found.why}")
    lines += [f"{key}: {as_yaml(value) if key == 'captions' else value}  # {why}" for key, (value, why) in found.keys.items()]
    example, size = _BY_LAYOUT[found.layout]
    count, noun = len(found.files), found.noun
    if found.layout == "sentences":
        sentences = _sentences_of(found.files)
        count, noun = len(sentences), "sentences"
        lines += _of_words(sentences)
    elif size and "size" not in found.keys:
        lines.append(size)
    what = counted(count, noun) + (f" in {counted(len(found.classes), 'folders')}" if found.classes else "")
    train = _train_of(example) if example else [*_PICTURES]
    if len(found.classes) > 1:
        train.insert(1, f"condition: label  # the folders are classes: {_first(found.classes)}")
    if found.layout != "images":
        said.append(f"layout {found.layout}: {found.why}")
    if found.layout == "clips":
        said.append("its networks draw one thing that moves over a ground of one colour; for anything else write dcgan for motion, twice")
    written = _drafted(f"{safe_path(path.name)}: {what}.", name, lines, train)
    source = open_source(workspace, written.entry.data)
    source.look()  # as fetch will: what it refuses is refused here
    said += [*found.notes, *source.notes, *_unusable(found.files, written.entry.data, path, noun), *_too_few(count, noun)]
    return replace(written, said=(*said, what))


def _unusable(files: Sequence[SourceFile], data: DataParams, path: Path, called: str) -> Iterator[str]:
    """What validation would set aside of a few files.

    Raises:
        DataError: all of them.
    """
    decoder = kinds.of(data.kind).decoder(data, ValidateParams())
    if decoder is None or data.layout == "frame-folders":
        return
    faults = []
    tried = [file for file in files[:: max(len(files) // _TRIED, 1)] if file.size <= _LARGEST_TRIED][:_TRIED]
    for file in tried:
        try:
            with file.open() as stream:
                decoder(stream.read())
        except UnusableError as reason:
            faults.append(f"{file.path}: {reason}")
    if faults and len(faults) == len(tried):
        raise DataError(f"{path}: none of {len(tried)} {called} looked at can be used; {faults[0]}")
    if faults:
        yield f"{len(faults)} of {len(tried)} {called} looked at would go to quarantine; {faults[0]}"


def _too_few(count: int, called: str) -> Iterator[str]:
    least = ValidateParams().min_samples
    if count < least:
        few = f"{counted(count, called)} {'is' if count == 1 else 'are'} too few"
        yield f"{few}: validate refuses fewer than {least} (validate.min_samples), and hundreds make a generator"


def _first(classes: Sequence[object]) -> str:
    """The first classes, as a comment has them."""
    return ", ".join(safe_path(str(one)[:24]) for one in classes[:5]) + (", ..." if len(classes) > 5 else "")


def _arrays_in(path: Path) -> Path | None:
    """The file or folder that holds arrays of many images, where the path, or a folder `raw` in it as torchvision makes one, does."""
    from tasks.sources.arrays import holds_arrays

    if not path.is_dir():
        return path if path.suffix.lower() in ARRAY_SUFFIXES else None
    return next((one for one in (path, path / "raw") if one.is_dir() and holds_arrays(one)), None)


def _of_arrays(workspace: Workspace, arrays: Path, path: Path, name: str, labels: Sequence[str]) -> Draft:
    from tasks.sources.arrays import ArraysSource

    _refuse(labels, "labels lie in an array beside the images'")
    source = ArraysSource(workspace, data := DataParams(source=f"arrays://{_place_of(workspace, arrays)}"))
    source.look()
    count, first = source.check(), source.found[0]
    lines, train, said = [f"source: {as_yaml(data.source)}"], [*_PICTURES], [*source.notes]
    if (place := arrays.resolve()).name == "raw" and place.parent.name in TORCHVISION:
        root = _place_of(workspace, place.parent.parent)
        lines = [f"source: torchvision://{place.parent.name}  # as it lies below the folder root", f"root: {as_yaml(root)}"]
    lines += [f"{key}: {value}  # {why}" for key, (value, why) in keys_of_arrays(first.images).items()]
    sides = sides_of(first.images)
    own = max(sides) <= _LARGEST_OWN and common_halvings(sides) is not None
    size = f"{sides[0] if sides[0] == sides[1] else list(sides)}  # height and width in pixels, as they are" if own else None
    lines.append(f"size: {size}" if size else _BY_LAYOUT["images"][1])
    if first.labels is not None:
        names = source.read(first.labels).reshape(-1)
        found = sorted({*names.tolist()})
        if names.dtype.kind == "f":
            lines.append(f"label_as: number  # {first.labels.name} holds them, {found[0]:g} to {found[-1]:g}")
            train = [train[0], "condition: number", *train[1:]]
        elif 1 < len(found) <= _MOST_CLASSES:
            train = [train[0], f"condition: label  # {first.labels.name} holds {len(found)} classes: {_first(found)}", *train[1:]]
        else:
            lines.append(f"labels: none  # {first.labels.name} holds {len(found):,} different ones; folders takes them as classes")
    what = counted(count, "images")
    said.append(f"images: {', '.join(f'{one.images.name} {one.images.shape}' for one in source.found)}")
    written = _drafted(f"{safe_path(path.name)}: {what}.", name, lines, train, [*said, what])
    open_source(workspace, written.entry.data).look()  # as fetch will: what it refuses is refused here
    return written


def _sentences_of(files: Sequence[SourceFile]) -> list[str]:
    from tasks.validation.text_files import read_texts

    found = []
    for file in files:
        with file.open() as stream:
            found += [one.text for one in read_texts(stream.read(), file.path).texts if one.reason is None]
    return found


_BY_LAYOUT = {
    "sentences": ("coco-captions", ""),
    "images": (None, "size: 32  # height and width in pixels that they are brought to; 64 takes four times as long"),
    "sounds": ("spoken-digits", "bands: 32  # of pitch; more tell more pitches apart, and cost more"),
    "volumes": ("chairs", "size: 32  # voxels along each side, 128 at most; 64 takes eight times as long"),
    "clips": ("moving-shapes", "size: 32  # height and width of a frame in pixels; 64 takes four times as long"),
    "captions": ("emoji", "size: 64  # height and width in pixels; the first stage draws half of it"),
    "side-by-side": ("facades", "size: 128  # height and width in pixels; 256 takes four times as long"),
    "paired-folders": ("facades", "size: 128  # height and width in pixels; 256 takes four times as long"),
    "unpaired-folders": ("cat2dog", "size: 64  # height and width in pixels; 128 takes four times as long"),
}
"""By layout the example whose training an entry begins with, and a line of its data."""


def _train_of(example: str) -> list[str]:
    """The lines of an example's training, without what is for its classes alone."""
    from tasks.scaffold import template

    lines = template(f"examples/{example}.yaml").read_text(encoding="utf-8").splitlines()
    start = lines.index("    train:") + 1
    section = [line[6:] for line in itertools.takewhile(lambda line: line.startswith("      "), lines[start:])]
    kept = [line for line in section if not line.startswith(("condition:", "mismatch:"))]
    because = f"  # as the example {example}, whose results are measured; so are the keys below"
    return [f"{line}{because}" if line.startswith("recipe:") else line for line in kept]


def _remark(one: FoundColumn) -> str:
    missing = f"; {one.missing:.1%} missing" if one.missing else ""
    return f"{one.remark}{missing}"


def _drafted(
    title: str, name: str, data: Sequence[str], train: Sequence[str], said: Sequence[str] = (), labels: tuple[str, ...] = ()
) -> Draft:
    """Of the lines of an entry; what is written is right, or this says what is not."""
    sections = [f"  {as_yaml(name)}:", "    data:", *(f"      {line}" for line in data), "    validate: {}"]
    sections += ["    train:", *(f"      {line}" for line in train), "    evaluate: {}", "    register: {}"]
    text = "\n".join(["generators:", f"  # {title}", *sections]) + "\n"
    return Draft(name, text, params.parse_text(text, where=f"the entry for {name}")[name], tuple(said), labels)
