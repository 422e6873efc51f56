"""Two tables, one of which holds children of the other's rows: each from a source of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath

from gan_core.errors import ConfigError, DataError
from tasks.sources.raw import Kind, RawReader
from tasks.sources.source import Source, SourceFile

PARENTS, CHILDREN = "table", "children"
"""What their files are called in raw, before the suffix."""


@contextmanager
def below_children() -> Iterator[None]:
    """What is wrong with the source of children is said of their key."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise type(error)(str(error).replace("data.source", "data.children.source")) from None


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
        with below_children():
            children = self._children.look()
        both = (PARENTS, self._parents.look()), (CHILDREN, children)
        return [replace(file, path=f"{name}{PurePosixPath(file.path).suffix}") for name, files in both for file in files]

    def check(self, before: RawReader | None = None) -> int:
        """How many parents there are."""
        with below_children():
            self._children.check()
        return self._parents.check(before)
