"""Numbers as people write them: $1,234.50, 1.234,5 EUR, 25 %. Read from such texts, and written as such again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

_NARROW = "\u00a0\u202f\u2009"  # spaces that keep a number together
_SIGNS = "".join(chr(code) for code in range(0x20, 0x2100) if unicodedata.category(chr(code)) == "Sc")
_NAMES_OF_MONEY = "EUR|USD|GBP|CHF|JPY|CNY|INR|BRL|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|TRY|ZAR|MXN|kr|Kč|zł|Fr|R\\$|US\\$"
_AROUND = rf"(?:[{re.escape(_SIGNS)}%‰]|{_NAMES_OF_MONEY})"
_PARTS = re.compile(rf"([+-]?)({_AROUND}\s?)?([+-]?)(\d[\d.,'\s]*?)(\s?{_AROUND})?")
_STYLES = ((",", "."), (".", ","), ("'", "."), ("'", ","), (" ", "."), (" ", ","))
_NAMES = {",": "comma", ".": "point"}


@dataclass(frozen=True)
class NumberForm:
    """One way to write numbers."""

    before: str = ""
    """What stands before the digits, such as $."""
    after: str = ""
    thousands: str = ""
    """The mark between groups of three digits; empty: they are not parted."""
    decimal: str = "."
    decimals: int = 0
    """Digits behind the mark that every number has at least, trailing zeros too."""
    is_short: bool = False
    """Whether numbers have no trailing zeros, each as many digits as it takes."""

    @classmethod
    def candidates(cls, texts: Sequence[str], decimal: str | None) -> Iterator[Self]:
        """The forms that some of the texts are of, the likelier first: those of most, and of two readings a mark between thousands."""
        around: dict[tuple[str, str], int] = {}
        for text in texts:
            if (parts := _PARTS.fullmatch(_plain_spaces(text))) is not None:
                key = (parts[2] or "", parts[5] or "")
                around[key] = around.get(key, 0) + 1
        for before, after in sorted(around, key=lambda key: -around[key])[:3]:
            for thousands, mark in _STYLES:
                if decimal in (None, mark):
                    there = any(thousands in _plain_spaces(text) for text in texts)
                    yield cls(before, after, thousands if there else "", mark)

    @classmethod
    def of_example(cls, example: str) -> Self:
        """The form that writes 1234.5 so; the inverse of `example`."""
        start, end = example.index("1"), example.index("5") + 1
        digits, rest = example[start:end], example[end:].lstrip("0")
        zeros = len(example) - end - len(rest)
        decimals = zeros + 1 if zeros else 0
        return cls(example[:start], rest.removeprefix("#"), digits[1:-5], digits[-2], decimals, is_short=rest.startswith("#"))

    @property
    def example(self) -> str:
        """1234.5 in this form, with a # behind it where digits there are left out if they are zero."""
        return f"{self.before}1{self.thousands}234{self.decimal}5{'0' * (self.decimals - 1)}{'#' * self.is_short}{self.after}"

    def as_in(self, texts: Sequence[str]) -> Self:
        """The form with as many decimals as all of the texts have that it reads; short, where they differ in it and end with no zero."""
        fractions = [parts[4].partition(self.decimal)[2] for text in texts if (parts := self._parts(text)) is not None]
        lengths = {*map(len, fractions)}
        if len(lengths) == 1:
            return replace(self, decimals=lengths.pop())
        return replace(self, is_short=not any(fraction.endswith("0") for fraction in fractions))

    def read(self, text: str) -> float | None:
        """The number that a text of this form means; None where it is of another."""
        parts = self._parts(text)
        if parts is None:
            return None
        whole, _, fraction = parts[4].partition(self.decimal)
        groups = whole.split(self.thousands) if self.thousands else [whole]
        if len(groups[0]) > 1 and groups[0][0] == "0":
            return None  # a code, not a number
        grouped = len(groups) == 1 or (1 <= len(groups[0]) <= 3 and groups[0] != "0" and all(len(group) == 3 for group in groups[1:]))
        if not grouped or not all(group.isdigit() for group in groups) or (fraction and not fraction.isdigit()):
            return None
        number = float(f"{''.join(groups)}.{fraction or 0}")
        return -number if "-" in (parts[1], parts[3]) else number

    def _parts(self, text: str) -> re.Match[str] | None:
        parts = _PARTS.fullmatch(_plain_spaces(text))
        if parts is None or (parts[2] or "", parts[5] or "") != (self.before, self.after) or (parts[1] and parts[3]):
            return None
        return parts

    def write(self, number: float, decimals: int | None) -> str:
        """A number in this form, with so many decimals, or more where the form has more; None: as many as it has."""
        digits = f"{abs(number):,.{12 if decimals is None else max(decimals, self.decimals)}f}"
        whole, _, fraction = digits.partition(".")
        fraction = fraction.rstrip("0") if decimals is None or self.is_short else fraction
        sign = "-" if number < 0 and (whole + fraction).strip("0,") else ""
        written = whole.replace(",", self.thousands) + (self.decimal + fraction if fraction else "")
        return f"{sign}{self.before}{written}{self.after}"

    def is_whole(self, texts: Sequence[str]) -> bool:
        """Whether no text has decimals."""
        return not any(self.decimal in text for text in texts)

    def is_ambiguous(self, texts: Sequence[str]) -> bool:
        """Whether the mark between thousands could as well stand before decimals: nowhere twice in a number, and never beside another."""
        if self.thousands not in _NAMES or not any(self.thousands in text for text in texts):
            return False
        return all(text.count(self.thousands) < 2 and self.decimal not in text for text in texts)

    @staticmethod
    def name_of(mark: str) -> str:
        return _NAMES[mark]


def _plain_spaces(text: str) -> str:
    for space in _NARROW:
        text = text.replace(space, " ")
    return text
