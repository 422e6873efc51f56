"""Texts taken apart and put together again; of Python's own library alone, since it also stands beside exported generators."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache

_UNSPACED = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303b\u3041-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
"""Chinese characters and Japanese and Bopomofo signs, as a class of a pattern: no space stands between their words."""
_WIDE = re.compile(rf"[{_UNSPACED}\u3000-\u303f\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uff65]")
"""The same and the marks that stand between them."""
_INVISIBLE = {ord(sign): None for sign in "\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"} | {
    0x200B: " "
}
"""Signs of lines and directions that nobody sees: hyphens of syllables, marks of writing from the right; a space without width."""
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}%/'\u00b0\u2026\u00bb\u201d\u2019\u060c\u061b\u061f\u0964\u0965")
_NO_SPACE_BEHIND = frozenset("([{$#@/\u00ab\u2018\u201c\u201a\u201e\u00bf\u00a1")
_WORD = re.compile(rf"(?=\w)[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words of a text in order: lower case, in Unicode's composed form.

    A word is a run of letters and digits, or one sign of a script that has no spaces between words, such as Chinese.
    """
    return _WORD.findall(_composed(text))


def pieces(text: str) -> list[str]:
    """The words and marks of a sentence in order: lower case, in Unicode's composed form.

    A word is a run of letters, digits and the marks that combine with them, also with an apostrophe, a hyphen or, between digits, a point,
    comma or colon in it, and with an apostrophe before it; or one sign of a script that has no spaces between words. Every other character
    that is no space is a piece of its own, with what is joined to it in an emoji.

    >>> pieces("The man's well-known dog, 3.5 kg.")
    ['the', "man's", 'well-known', 'dog', ',', '3.5', 'kg', '.']
    """
    composed = _composed(text)
    return (_PIECE if composed.isascii() else _piece_of_any_script()).findall(composed)


def joined(found: Iterable[str]) -> str:
    """Words and marks as a sentence: a space between two, but before what closes or ends, behind what opens, and in Chinese and Japanese.

    >>> joined(["the", "dog", ",", "3.5", "kg", "(", '"', "wet", '"', ")", "."])
    'the dog, 3.5 kg ("wet").'
    """
    marks = list(found)
    turned = next((mark for mark in marks if mark in "\u00ab\u00bb"), "") == "\u00bb"  # German quotes
    quoted = low = False
    text, glued = "", True
    for mark in marks:
        closes, opens = mark in _NO_SPACE_BEFORE, mark in _NO_SPACE_BEHIND
        if mark == '"':
            closes, opens = quoted, not quoted
            quoted = opens
        elif mark in "\u00ab\u00bb" and turned:
            closes, opens = opens, closes
        elif mark == "\u201c":  # opens English quotes, and closes German ones
            closes, opens = low, not low
        low = mark == "\u201e" or (low and mark != "\u201c")
        text += mark if glued or closes or _WIDE.match(mark) else f" {mark}"
        glued = opens or _WIDE.match(mark[-1:]) is not None
    return text


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).lower().translate(_INVISIBLE)


def _pieces_of(letter: str, inside: str, mark: str) -> re.Pattern[str]:
    """As patterns: `letter` is what stands for a letter or digit, `inside` what may stand between two, `mark` what is no word."""
    return re.compile(rf"['\u2019]?{letter}+(?:(?:{inside}|(?<=\d)[.,:](?=\d)){letter}+)*|{mark}")


_PIECE = _pieces_of(r"[^\W_]", r"['-]", r"\S")


@cache
def _piece_of_any_script() -> re.Pattern[str]:
    """With the signs that combine with letters, such as vowels of Devanagari, which Python's `\\w` leaves out."""
    combining = "".join(chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code))[0] == "M")
    sign = rf"\S[{combining}\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"  # with colours of skin and the letters of a flag
    emoji = rf"[\U0001f1e6-\U0001f1ff]{{2}}|{sign}(?:\u200d{sign})*"
    return _pieces_of(rf"(?:[^\W_{_UNSPACED}]|[{combining}])", r"['\u2019\u200c\u200d-]", emoji)
