"""Which files of two folders belong together: those of one name, whatever follows its last dot, and of one shape."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tasks.sources.raw import Member


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
    """Whether the central squares of two pictures show the same part of what the pictures show.

    They do where one picture is the other at another size, whose sides were rounded to whole pixels, both up or both down.

    Args:
        first: width and height in pixels, upright.
        second: of the other picture.
    """
    (larger_width, larger_height), (width, height) = sorted((first, second), key=lambda size: size[0] * size[1], reverse=True)
    aspect = larger_width / larger_height
    return abs(width - height * aspect) <= max(1.0, aspect)
