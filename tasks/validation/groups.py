"""Samples that belong together, such as views of one object, told by the paths of their files: all of a group are held out, or none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from gan_core.errors import DataError
from tasks.validation.packing import joined


def held_in(text: str, pattern: re.Pattern[str]) -> str | None:
    """What the parentheses of a regular expression hold in a text, joined, or all that it finds; None where it is not found."""
    match = pattern.search(text)
    if match is None or not pattern.groups:
        return None if match is None else match[0]
    parts = [part for part in match.groups() if part is not None]
    return "".join(parts) if parts else None


def groups_of(paths: Sequence[str], pattern: str) -> list[str | None]:
    """The name of each sample's group, as `data.group` has it; None where the pattern is not found.

    Raises:
        DataError: it is found in no path, or all are of one group, so that nothing could be held out.
    """
    finds = re.compile(pattern)
    found = [held_in(path, finds) for path in paths]
    if paths and not any(name is not None for name in found):
        raise DataError(f"data.group: {pattern!r} is found in no file's path, such as {paths[0]}; change it or leave it out")
    if len(paths) > 1 and len({*found}) == 1:
        raise DataError(f"data.group: all {len(paths):,} samples are of one group, {found[0]!r}, so none could be held out; change it")
    return found


def note(paths: Sequence[str], groups: Sequence[str | None]) -> str:
    """How many groups there are, and what stands for itself."""
    alone = [path for path, group in zip(paths, groups, strict=True) if group is None]
    besides = f"; {len(alone):,} are of none, such as {alone[0]}, and each stands for itself (data.group)" if alone else ""
    return f"{len(paths):,} samples are of {len({*groups} - {None}):,} groups, each held out as a whole{besides}"


def keys_by_group(keys: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """The keys that sides are drawn by, with one for all of a group: of its name, so that more samples of it do not move it.

    Groups that share an equal sample are on one side, too.
    """
    first: dict[str, int] = {}
    pairs = [(index, first.setdefault(key, index)) for index, key in enumerate(keys)]
    own = [key if name is None else hashlib.sha256(f"group:{name}".encode()).hexdigest() for key, name in zip(keys, groups, strict=True)]
    begun: dict[str, int] = {}
    return joined(own, [*pairs, *((index, begun.setdefault(key, index)) for index, key in enumerate(own))])
