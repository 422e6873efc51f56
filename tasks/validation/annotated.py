"""What is known of the images of a raw data set before one is opened: labels by folder, labels or captions by a file."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from gan_core.errors import DataError
from tasks.sources.annotations import ImageNames, Told, by_image, untold_folders
from tasks.sources.raw import Member, RawReader, class_of, safe_path
from tasks.validation.captions import read_captions
from tasks.validation.groups import held_in
from tasks.validation.inspection import Row
from tasks.validation.labels import read_labels

if TYPE_CHECKING:
    from tasks.params import DataParams


@dataclass(frozen=True)
class Annotated:
    """Images and what is known of them, by their paths."""

    images: Sequence[Member]
    labels: Mapping[str, str]
    """The name of an image's class, where there are any."""
    captions: Mapping[str, tuple[str, ...]] | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why images cannot be used, however good they are, in words."""
    refused: Sequence[tuple[str, str, str]] = ()
    """Of each row of the file that cannot be used its path in quarantine, what it holds, and why."""
    notes: Sequence[str] = ()

    @property
    def classes(self) -> tuple[str, ...] | None:
        return tuple(sorted({*self.labels.values()})) or None

    def refused_rows(self) -> list[Row]:
        """A row for each of `refused`."""
        return [
            Row(where, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), reason=reason)
            for where, text, reason in self.refused
        ]


def by_labels(raw: RawReader, data: DataParams) -> Annotated:
    """By folder, by a file's own name or by the file of labels, as the entry has it.

    Raises:
        DataError: as `by_label_file`, or `data.label_pattern` is found in no name.
    """
    if data.annotations is not None:
        return by_label_file(raw, data.annotations, data)
    if data.labels == "names":
        assert data.label_pattern is not None  # noqa: S101
        return _with_pattern(Annotated(raw.members, {member.path: member.path for member in raw.members}), data.label_pattern, "name")
    return by_folder(raw, data.folders_are_classes)


def by_folder(raw: RawReader, are_labels: bool) -> Annotated:
    """The first folder of a path as the label, where folders are classes or the two domains of a translation."""
    labels = {member.path: label for member in raw.members if are_labels and (label := class_of(member.path)) is not None}
    beside = [member.path for member in raw.members if labels and member.path not in labels]
    return Annotated(raw.members, labels, reasons=dict.fromkeys(beside, "in no class: it lies beside the folders that are the classes"))


def by_label_file(raw: RawReader, path: str, data: DataParams) -> Annotated:
    """What the file of labels at `path` says.

    Raises:
        DataError: it is not there, or not such a file, or has nothing that the entry asks for.
    """
    told, about = _by_file(raw, path, "label", partial(read_labels, column=data.label_key))
    several = {path: f"has {len(labels)} labels: {', '.join(labels)}" for path, labels in told.items() if len(labels) > 1}
    about = replace(about, labels={path: labels[0] for path, labels in told.items()}, reasons={**about.reasons, **several})
    return about if data.label_pattern is None else _with_pattern(about, data.label_pattern, "label", f" of {safe_path(path)}")


def _with_pattern(about: Annotated, pattern: str, what: str, of: str = "") -> Annotated:
    """The same with what a regular expression finds in each label in its place; images in whose label it is not found are left out.

    Args:
        what: the labels are, in a word.
        of: which file they are, in words behind that.

    Raises:
        DataError: it is found in none.
    """
    finds = re.compile(pattern)
    labels = {path: found for path, label in about.labels.items() if (found := held_in(label, finds))}
    beside = [path for path in about.labels if path not in labels]
    if not labels:
        shown = f", such as {about.labels[beside[0]]!r}" if beside else ""
        raise DataError(f"data.label_pattern: {pattern!r} is found in no {what}{of}{shown}; change it or leave it out")
    if not beside:
        return replace(about, labels=labels)
    left_out = {*beside}
    such_as = f"in whose {what} data.label_pattern is not found, such as {about.labels[beside[0]]!r}"
    note = f"left out: {len(beside):,} files {such_as}"
    images = [member for member in about.images if member.path not in left_out]
    reasons = {path: reason for path, reason in about.reasons.items() if path not in left_out}
    return replace(about, images=images, labels=labels, reasons=reasons, notes=[*about.notes, note])


def by_caption_file(raw: RawReader, path: str) -> Annotated:
    """What the file of captions at `path` says.

    Raises:
        DataError: as `by_label_file`.
    """
    told, about = _by_file(raw, path, "caption", read_captions)
    return replace(about, captions=told)


def _by_file(
    raw: RawReader, path: str, what: str, read: Callable[[bytes, str, Callable[[str], None]], list[Told]]
) -> tuple[Mapping[str, tuple[str, ...]], Annotated]:
    """What is told of each image, and the images of which anything can be told."""
    name, notes = safe_path(path), list[str]()
    images = [member for member in raw.members if member.path != name]
    names = ImageNames((member.path for member in images), name)
    rows = [names.found(row) for row in read(raw.read_path(name), name, notes.append)]
    told = by_image(rows)
    untold = untold_folders((member.path for member in images), told)
    for folder, count in untold.items():
        notes.append(f"left out: {count:,} images in {folder or 'no folder'}, of none of which {name} says anything")
    images = [member for member in images if posixpath.dirname(member.path) not in untold]
    reasons = {member.path: f"no {what} in {name}" for member in images if member.path not in told}
    refused = [(f"{name}#{row.number}", row.text, row.reason) for row in rows if row.reason is not None]
    return told, Annotated(images, {}, reasons=reasons, refused=refused, notes=notes)
