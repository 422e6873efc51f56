"""The captions of images: what a file of one of the forms of `tasks.sources.annotations` says they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gan_core.kinds.spelling import words
from gan_core.kinds.text import MAX_CHARACTERS
from tasks.sources.annotations import CAPTIONS, Told, read_told


def read_captions(data: bytes, name: str, on_note: Callable[[str], None] = lambda note: None) -> list[Told]:
    """Every caption in a file called `name`, good or not, in order.

    Raises:
        DataError: as `tasks.sources.annotations.read_told`.
    """
    return [_checked(one) for one in read_told(data, name, CAPTIONS, on_note)]


def _checked(told: Told) -> Told:
    """The caption with single spaces, or with the reason why it cannot be used."""
    if told.reason is not None:
        return told
    reason = None
    if len(told.value) > MAX_CHARACTERS:
        reason = f"a caption of {len(told.value):,} characters, and at most {MAX_CHARACTERS:,} are taken"
    elif any("\ud800" <= character <= "\udfff" for character in told.value):
        reason = "the caption holds half a character, which cannot be written as UTF-8"
    elif not words(told.value):
        reason = f"the caption {told.value[:80]!r} has no words"
    return replace(told, value=" ".join(told.value.split()), reason=reason)
