"""What is known of the images of a raw data set before one is opened: labels by folder, labels or captions by a file."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tasks.params import DataParams
from tasks.sources.annotations import ImageNames, by_image, untold_folders
from tasks.sources.raw import Member, RawReader, class_of, safe_path
from tasks.validation.captions import read_captions
from tasks.validation.labels import read_labels


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


def by_folder(raw: RawReader, data: DataParams) -> Annotated:
    """The first folder of a path as the label, where folders are classes or the two kinds of a translation."""
    are_labels = data.folders_are_classes or data.layout == "unpaired-folders"
    labels = {member.path: label for member in raw.members if are_labels and (label := class_of(member.path)) is not None}
    beside = [member.path for member in raw.members if labels and member.path not in labels]
    return Annotated(raw.members, labels, reasons=dict.fromkeys(beside, "in no class: it lies beside the folders that are the classes"))


def by_file(raw: RawReader, data: DataParams) -> Annotated:
    """What the file of captions or labels says.

    Raises:
        DataError: it is not there, or not such a file.
    """
    name, notes = safe_path(data.annotations or ""), list[str]()
    has_captions = data.layout == "captions"
    images = [member for member in raw.members if member.path != name]
    names = ImageNames((member.path for member in images), name)
    read = read_captions if has_captions else read_labels
    rows = [names.found(row) for row in read(raw.read_path(name), name, notes.append)]
    told = by_image(rows)
    untold = untold_folders((member.path for member in images), told)
    for folder, count in untold.items():
        notes.append(f"left out: {count:,} images in {folder or 'no folder'}, of none of which {name} says anything")
    images = [member for member in images if posixpath.dirname(member.path) not in untold]
    reasons = {member.path: f"no {'caption' if has_captions else 'label'} in {name}" for member in images if member.path not in told}
    if not has_captions:
        reasons |= {path: f"has {len(labels)} labels: {', '.join(labels)}" for path, labels in told.items() if len(labels) > 1}
    return Annotated(
        images,
        {} if has_captions else {path: labels[0] for path, labels in told.items()},
        told if has_captions else None,
        reasons,
        [(f"{name}#{row.number}", row.text, row.reason) for row in rows if row.reason is not None],
        notes,
    )
