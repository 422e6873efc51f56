"""Pairs of images: the halves of one file, or the files of one name in two folders, whatever follows its last dot, and of one shape."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import PurePosixPath

from gan_core.params.common import Fit
from tasks.sources.raw import Member
from tasks.validation.annotated import Annotated
from tasks.validation.image_files import ImageFiles, row_of
from tasks.validation.images import Picture
from tasks.validation.inspection import Row

_DIFFERENT: Mapping[Fit, str] = {
    "crop": "partners of different shape, whose central squares show different parts",
    "pad": "partners of different shape, which would not lie upon each other (data.fit: pad)",
    "stretch": "partners of different shape, which would be stretched differently (data.fit: stretch)",
    "random-crop": "partners of different size, whose crops would show different parts (data.fit: random-crop)",
}


@dataclass(frozen=True, slots=True)
class Partners:
    """A pair of files, or a file that is in none."""

    members: tuple[Member, ...]
    """Of the first and of the second folder; one alone where there is a reason."""
    reason: str | None = None
    """Why it is in no pair, in words."""


def pair_up(members: Sequence[Member], folders: tuple[str, str]) -> list[Partners]:
    """Pairs by name, and every file that is in none, in the order of the first one's path.

    Args:
        members: files below the two folders; others are in no pair.
        folders: names of the two.
    """
    found: dict[str, dict[str, Member]] = {folder: {} for folder in folders}
    partners = []
    for member in sorted(members, key=lambda member: member.path):
        folder, _, below = member.path.partition("/")
        # Systems write an accent in two ways, composed and decomposed.
        name = unicodedata.normalize("NFC", str(PurePosixPath(below).with_suffix(""))) if below else ""
        if folder not in found or not below:
            partners.append(Partners((member,), f"lies in neither of the folders {folders[0]} and {folders[1]} (data.folders)"))
        elif name in found[folder]:
            partners.append(Partners((member,), f"a second file of one name: {found[folder][name].path} is there too"))
        else:
            found[folder][name] = member
    for here, there in (folders, folders[::-1]):
        for name, member in found[here].items():
            if name not in found[there]:
                partners.append(Partners((member,), f"without a partner: there is no {there}/{name} with any ending"))
            elif here == folders[0]:
                partners.append(Partners((member, found[there][name])))
    return sorted(partners, key=lambda one: one.members[0].path)


def have_one_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether the central parts of two pictures show the same part of what the pictures show.

    They do where one picture is the other at another size, whose sides were rounded to whole pixels, both up or both down.

    Args:
        first: width and height in pixels, upright.
        second: of the other picture.
    """
    (larger_width, larger_height), (width, height) = sorted((first, second), key=lambda size: size[0] * size[1], reverse=True)
    aspect = larger_width / larger_height
    return abs(width - height * aspect) <= max(1.0, aspect)


def side_by_side_rows(files: ImageFiles, about: Annotated) -> tuple[Iterator[Row], int]:
    """A row a file, whose halves are a pair."""
    rows = chain.from_iterable(map(partial(_rows_of_halves, files), about.images, files.halves()))
    return rows, len(about.images) * files.shape.most


def _rows_of_halves(files: ImageFiles, member: Member, halves: tuple[Picture, Picture] | str) -> Iterator[Row]:
    if isinstance(halves, str):
        yield Row(member.path, member.sha256, reason=halves)
    else:
        yield from _pair_rows(member.path, member.sha256, halves, files)


def partner_rows(files: ImageFiles, about: Annotated) -> tuple[Iterator[Row], int]:
    """A row a pair, under the path of the image that a generator is to make; a row for each file that is in no pair."""
    partners = pair_up(about.images, files.data.folders)
    return _partner_rows(files, partners), len(partners) * files.shape.most


def _partner_rows(files: ImageFiles, partners: Sequence[Partners]) -> Iterator[Row]:
    members = [member for one in partners if one.reason is None for member in one.members]
    pictures = files.pictures(members)
    for one in partners:
        target = one.members[-1 if one.reason else 1 - files.data.given_half]
        sha256 = hashlib.sha256("".join(member.sha256 for member in one.members).encode()).hexdigest()
        if one.reason is not None:
            yield Row(target.path, sha256, reason=one.reason)
            continue
        first, second = next(pictures), next(pictures)
        if isinstance(first, str) or isinstance(second, str):
            broken = [f"{member.path}: {what}" for member, what in zip(one.members, (first, second), strict=True) if isinstance(what, str)]
            yield Row(target.path, sha256, reason="; ".join(broken))
        elif not (have_one_shape(first.upright, second.upright) if files.shape.fit != "random-crop" else first.upright == second.upright):
            shapes = " and ".join(
                f"{member.path} is {picture.upright[0]} x {picture.upright[1]} pixels"
                for member, picture in zip(one.members, (first, second), strict=True)
            )
            yield Row(target.path, sha256, reason=f"{_DIFFERENT[files.shape.fit]}: {shapes}")
        else:
            yield from _pair_rows(target.path, sha256, (first, second), files)


def _pair_rows(path: str, sha256: str, pair: tuple[Picture, Picture], files: ImageFiles) -> Iterator[Row]:
    given, target = pair[files.data.given_half], pair[1 - files.data.given_half]
    if target.crops:
        yield from files.crop_rows(path, sha256, None, target, given)
    else:
        number, given_number = files.spool.append(target.pixels), files.spool.append(given.pixels)
        yield row_of(path, sha256, None, target, number, given_number)
