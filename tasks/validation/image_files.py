"""Image files, looked at once each and put into a spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from gan_core.errors import DataError
from gan_core.kinds.pixels import Spool
from tasks.params import FOLDER_LAYOUTS, DataParams, ValidateParams
from tasks.sources.raw import Member, RawReader, class_of
from tasks.validation.annotated import Annotated
from tasks.validation.bands import decode, decode_halves, extent_of
from tasks.validation.decoding import decoded
from tasks.validation.images import Picture, Shape
from tasks.validation.inspection import Inspection, OnRow, Row, each_told
from tasks.validation.ranges import Ranges

_SORTS: Mapping[float | None, str] = {None: "float or signed values", 255: "8 bits", 65_535: "16 bits"}


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a raw data set, and how they are decoded."""

    raw: RawReader
    data: DataParams
    limits: ValidateParams
    spool: Spool
    ranges: Ranges
    shape: Shape
    met: dict[float | None, str] = field(default_factory=dict)
    """By the value that is white, as its type says, the first file of it."""

    def check_alike(self) -> None:
        """Refuse files whose values mean different things and are kept as they are.

        Raises:
            DataError: names one of each sort.
        """
        if self.shape.depth == "float" and len(self.met) > 1:
            sorts = " and ".join(f"{path} has {_SORTS.get(top) or f'values up to {top}'}" for top, path in self.met.items())
            raise DataError(f"data.depth: float keeps values as files have them, and these are of several sorts: {sorts}; save them alike")

    def rows(self, about: Annotated, member: Member, picture: Picture | str) -> Iterator[Row]:
        """Of a file that is a sample, or several, or of one that is none."""
        label = about.labels.get(member.path)
        reason = picture if isinstance(picture, str) else about.reasons.get(member.path)
        if isinstance(picture, str) or reason is not None:
            yield Row(member.path, member.sha256, label, reason=reason)
        elif picture.crops:
            yield from self.crop_rows(member.path, member.sha256, label, picture)
        else:
            yield row_of(member.path, member.sha256, label, picture, self.spool.append(picture.pixels))

    def crop_rows(self, path: str, sha256: str, label: str | None, picture: Picture, given: Picture | None = None) -> Iterator[Row]:
        """A row for each crop of a picture, and of what a generator is given to make it of, but for blank ones; at least one."""
        shown = [
            number
            for number, crop in enumerate(picture.crops)
            if min(crop.std, crop.std if given is None else given.crops[number].std) >= self.limits.min_std
        ]
        if not shown:
            why = f"blank: in each of {len(picture.crops)} crops pixels vary less than {self.limits.min_std:g} (validate.min_std)"
            yield Row(path, sha256, label, reason=why)
        for number in shown:
            crop = picture.crops[number]
            facts = {"left": crop.left, "top": crop.top}
            places = [self.spool.append(one.crops[number].pixels) for one in (picture, given) if one is not None]
            row = row_of(f"{path}#{number}", sha256, label, picture, *places)
            yield replace(row, mean=crop.mean, std=crop.std, facts=facts, part=number)

    def pictures(self, members: Sequence[Member]) -> Iterator[Picture | str]:
        """Of each of these in order the picture, or the reason why there is none."""
        decoder = partial(decode, size=self.shape, limits=self.limits, bounds=self.ranges.bounds)
        for member, picture in zip(members, decoded(self.raw, members, decoder, self.shape.n_bytes), strict=True):
            if not isinstance(picture, str):
                self.ranges.add(picture.extent, class_of(member.path) if self.data.layout in FOLDER_LAYOUTS else None)
                self.met.setdefault(picture.extent.top, member.path)
            yield picture

    def halves(self) -> Iterator[tuple[Picture, Picture] | str]:
        """Of each file in order its two pictures, or the reason why there are none."""
        decoder = partial(decode_halves, size=self.shape, limits=self.limits, bounds=self.ranges.bounds)
        for member, halves in zip(self.raw.members, decoded(self.raw, self.raw.members, decoder, self.shape.n_bytes), strict=True):
            if not isinstance(halves, str):
                self.ranges.add(halves[0].extent)
                self.met.setdefault(halves[0].extent.top, member.path)
            yield halves


def inspect_files(
    raw: RawReader,
    about: Annotated,
    data: DataParams,
    limits: ValidateParams,
    spool: Path,
    on_row: OnRow,
    rows_of: Callable[[ImageFiles, Annotated], tuple[Iterator[Row], int]],  # the rows, and how many there are, of crops at most
) -> Inspection:
    """Look at every image file.

    Raises:
        DataError: raw is damaged.
    """
    shape = Shape.of(data)
    extents = (
        one for one in decoded(raw, about.images, partial(extent_of, size=shape, limits=limits), shape.n_bytes) if not isinstance(one, str)
    )
    ranges = Ranges.of(data.range, extents)
    kept = Spool(spool, shape.size, shape.dtype, shape.channels)
    files = ImageFiles(RawReader(raw.folder, raw.about, about.images), data, limits, kept, ranges, shape)
    rows, total = rows_of(files, about)
    counted = [*each_told(rows, total, on_row), *about.refused_rows()]
    files.check_alike()
    return Inspection(counted, about.classes, files.spool, about.captions, files.ranges.bounds, [*about.notes, *files.ranges.notes()])


def file_rows(files: ImageFiles, about: Annotated) -> tuple[Iterator[Row], int]:
    """A row a file, or a crop of it."""
    pictures = files.pictures(about.images)
    rows = chain.from_iterable(map(partial(files.rows, about), about.images, pictures))
    return rows, len(about.images) * files.shape.most


def row_of(path: str, sha256: str, label: str | None, picture: Picture, number: int, given: int | None = None) -> Row:
    """Of a good sample: what is known of its picture."""
    return Row(path, sha256, label, None, number, given, picture.width, picture.height, picture.mode, picture.mean, picture.std)
