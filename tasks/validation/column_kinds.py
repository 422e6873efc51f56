"""What `data.columns` can say of a column of a table."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self, get_args

InventedKind = Literal["id", "email", "phone", "name"]
ColumnKind = Literal["number", "date", "boolean", "category", InventedKind, "drop"]
INVENTED: tuple[InventedKind, ...] = get_args(InventedKind)
"""Columns that are not learned: others of the same kind are invented."""
KINDS: tuple[ColumnKind, ...] = ("number", "date", "boolean", "category", *INVENTED, "drop")

_PLAIN = re.compile(r"[A-Za-z_][\w-]*(?: [\w-]+)*", re.ASCII)
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}


@dataclass(frozen=True)
class Asked:
    """What an entry says of a column."""

    kind: ColumnKind
    format: str | None = None
    """Of a date, how it is written, as strftime has it."""

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what stands in `data.columns`: a kind; after `date`, a format may follow.

        Raises:
            ValueError: it is none; says which there are.
        """
        word, _, form = text.strip().partition(" ")
        if word not in KINDS:
            near = difflib.get_close_matches(word, KINDS, n=1)
            raise ValueError(
                f"{text[:80]!r} is no kind of column; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}")
            )
        if not form:
            return cls(word)
        if word != "date" or not reads_back(form):
            raise ValueError(f"{text[:80]!r}: only a date has a format behind it, with year, month and day, such as `date %d/%m/%Y`")
        return cls(word, form)

    def __str__(self) -> str:
        return self.kind if self.format is None else f"{self.kind} {self.format}"


def reads_back(form: str) -> bool:
    """Whether what this format of strftime writes names a day."""
    moment = datetime(2001, 11, 22)
    try:
        return datetime.strptime(moment.strftime(form), form) == moment
    except ValueError:
        return False


def as_yaml(text: str) -> str:
    """A text as YAML has it, in quotes where it would be something else without."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _YAML_WORDS else json.dumps(text, ensure_ascii=False)
