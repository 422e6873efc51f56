"""Two tables, one of which holds children of the other's rows: each from a source of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from tasks.sources.raw import Kind, RawReader
from tasks.sources.source import Source, SourceFile

PARENTS, CHILDREN = "table", "children"
"""What their files are called in raw, before the suffix."""


class KeyedSource:
    """Tables of parents and of children."""

    kind: Kind = "table"
    truth = None
    fingerprint = None

    def __init__(self, parents: Source, children: Source) -> None:
        self._parents, self._children = parents, children
        self.identity = f"{parents.identity} {children.identity}"

    @property
    def notes(self) -> Sequence[str]:
        return [*self._parents.notes, *self._children.notes]

    def look(self) -> Sequence[SourceFile]:
        both = zip((PARENTS, CHILDREN), (self._parents, self._children), strict=True)
        return [replace(file, path=f"{name}{PurePosixPath(file.path).suffix}") for name, source in both for file in source.look()]

    def check(self, before: RawReader | None = None) -> int:
        """How many parents there are."""
        self._children.check()
        return self._parents.check(before)
