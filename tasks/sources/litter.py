"""What operating systems and programs leave beside data: told by a path alone, and never taken for data."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAMES = {
    r"@eaDir": "@eaDir (a Synology NAS's thumbnails)",
    r"\.?@__thumb": "@__thumb (a QNAP NAS's thumbnails)",
    r"#recycle|@Recycle": "#recycle (a NAS's deleted files)",
    r"#snapshot|@Recently-Snapshot": "#snapshot (a NAS's older states)",
    r"__MACOSX": "__MACOSX (macOS's notes on files)",
    r"\._[^/]*": "._* (macOS's notes on files)",
    r"(?i:\$RECYCLE\.BIN)|RECYCLER": "$RECYCLE.BIN (Windows's deleted files)",
    r"System Volume Information": "System Volume Information (Windows)",
    r"(?i:(?:eh)?thumbs(?:_vista)?\.db|desktop\.ini)": "Thumbs.db or desktop.ini (Windows)",
    r"lost\+found": "lost+found (a file system's repairs)",
    r"\.ipynb_checkpoints": ".ipynb_checkpoints (a notebook's older states)",
    r"__pycache__": "__pycache__ (Python)",
    r"\.[^/]*": "hidden",
}
"""Patterns of a name, the first that fits counts; and what the thing is, in words."""
_PATTERN = re.compile(rf"(?:^|(?<=/))(?:{'|'.join(f'({name})' for name in _NAMES)})(?=/|\Z)")
_WORDS = tuple(_NAMES.values())


class Litter(NamedTuple):
    """A file or folder that is no data."""

    path: str
    """Of the outermost such thing in a path; all below it goes with it."""
    what: str
    """In words, to follow a number."""


def litter_in(path: str) -> Litter | None:
    """What in a path, relative to the data's place and with `/` between its parts, is no data; None where all of it is.

    Hidden files and folders, with a leading dot, count too.
    """
    found = _PATTERN.search(path)
    return None if found is None else Litter(path[: found.end()], _WORDS[(found.lastindex or 1) - 1])
