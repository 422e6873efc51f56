"""Image files, looked at once each and put into a spool."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gan_core.kinds.pixels import Spool
from tasks.params import FOLDER_LAYOUTS, DataParams, ValidateParams
from tasks.sources.raw import Member, RawReader, class_of
from tasks.validation.annotated import Annotated
from tasks.validation.decoding import decoded
from tasks.validation.images import Picture, decode, decode_halves, extent_of
from tasks.validation.inspection import Inspection, OnRow, Row, each_told
from tasks.validation.ranges import Ranges

DEFAULT_SIZE = 64
"""Height and width of image files after validation, where the entry does not say."""


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a raw data set, and how they are decoded."""

    raw: RawReader
    data: DataParams
    limits: ValidateParams
    spool: Spool
    ranges: Ranges

    def row(self, about: Annotated, member: Member, picture: Picture | str) -> Row:
        """Of a file that is a sample, or of one that is none."""
        label = about.labels.get(member.path)
        reason = picture if isinstance(picture, str) else about.reasons.get(member.path)
        if isinstance(picture, str) or reason is not None:
            return Row(member.path, member.sha256, label, reason=reason)
        return row_of(member.path, member.sha256, label, picture, self.spool.append(picture.pixels))

    def pictures(self, members: Sequence[Member]) -> Iterator[Picture | str]:
        """Of each of these in order the picture, or the reason why there is none."""
        decoder = partial(decode, size=self.spool.size, limits=self.limits, bounds=self.ranges.bounds)
        for member, picture in zip(members, decoded(self.raw, members, decoder, 3 * self.spool.size**2), strict=True):
            if not isinstance(picture, str):
                self.ranges.add(picture.extent, class_of(member.path) if self.data.layout in FOLDER_LAYOUTS else None)
            yield picture

    def halves(self) -> Iterator[tuple[Picture, Picture] | str]:
        """Of each file in order its two pictures, or the reason why there are none."""
        decoder = partial(decode_halves, size=self.spool.size, limits=self.limits, bounds=self.ranges.bounds)
        for halves in decoded(self.raw, self.raw.members, decoder, 3 * self.spool.size**2):
            if not isinstance(halves, str):
                self.ranges.add(halves[0].extent)
            yield halves


def inspect_files(
    raw: RawReader,
    about: Annotated,
    data: DataParams,
    limits: ValidateParams,
    spool: Path,
    on_row: OnRow,
    rows_of: Callable[[ImageFiles, Annotated], tuple[Iterator[Row], int]],  # the rows, and how many there are
) -> Inspection:
    """Look at every image file.

    Raises:
        DataError: raw is damaged.
    """
    size = data.size or DEFAULT_SIZE
    extents = (
        one for one in decoded(raw, about.images, partial(extent_of, size=size, limits=limits), 3 * size**2) if not isinstance(one, str)
    )
    files = ImageFiles(RawReader(raw.folder, raw.about, about.images), data, limits, Spool(spool, size), Ranges.of(data.range, extents))
    rows, total = rows_of(files, about)
    refused = [
        Row(where, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), reason=reason)
        for where, text, reason in about.refused
    ]
    counted = [*each_told(rows, total, on_row), *refused]
    return Inspection(counted, about.classes, files.spool, about.captions, files.ranges.bounds, [*about.notes, *files.ranges.notes()])


def file_rows(files: ImageFiles, about: Annotated) -> tuple[Iterator[Row], int]:
    """A row a file."""
    pictures = files.pictures(about.images)
    return map(partial(files.row, about), about.images, pictures), len(about.images)


def row_of(path: str, sha256: str, label: str | None, picture: Picture, number: int, given: int | None = None) -> Row:
    """Of a good sample: what is known of its picture."""
    return Row(path, sha256, label, None, number, given, picture.width, picture.height, picture.mode, picture.mean, picture.std)
