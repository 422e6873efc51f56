"""The labels of images: their folders, or what a file of one of the forms of `tasks.sources.annotations` says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tasks.sources.annotations import Told, labels_in, read_told
from tasks.sources.raw import safe_path

_LONGEST = 100
"""Characters of a class's name."""


def read_labels(data: bytes, name: str, on_note: Callable[[str], None] = lambda note: None, column: str | None = None) -> list[Told]:
    """Every label in a file called `name`, good or not, in order.

    Args:
        column: as of `tasks.sources.annotations.labels_in`.

    Raises:
        DataError: as `tasks.sources.annotations.read_told`.
    """
    return [_checked(one) for one in read_told(data, name, labels_in(column), on_note)]


def _checked(told: Told) -> Told:
    """The label as a class's name, or with the reason why it cannot be used."""
    if told.reason is not None:
        return told
    label = safe_path(" ".join(told.value.split()))
    if not label:
        return replace(told, reason="names no label")
    if len(label) > _LONGEST:
        return replace(told, reason=f"a label of {len(label):,} characters, and at most {_LONGEST} are taken")
    return replace(told, value=label)
