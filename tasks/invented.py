"""Columns that are not learned but invented: ids of the same pattern, e-mail addresses, telephone numbers, names.

What is kept of a column is its pattern alone, never a value of it.
"""

from __future__ import annotations

import math
import random
import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gan_core.errors import ConfigError
from gan_core.kinds.schema import DType, Invented
from gan_core.randomness import mix
from tasks import people

_CLASSES = (
    string.digits, string.digits + "abcdef", string.digits + "ABCDEF", string.ascii_uppercase, string.ascii_lowercase,
    string.digits + string.ascii_uppercase, string.digits + string.ascii_lowercase, string.digits + string.ascii_letters,
)  # fmt: skip
"""What a place of a pattern is drawn from, the narrower first."""
_ENOUGH = 10  # values for each of a class: what was not seen then is none of the pattern's
_RARELY = 10**6
_DOMAINS = ("example.com", "example.net", "example.org")
"""Kept free for examples (RFC 2606), so no address there is anyone's."""


def invented(name: str, kind: str, values: Sequence[Any], place: int = 0, missing: float = 0.0) -> Invented:
    """What is kept of a column to invent others like it.

    Args:
        values: the different ones that it holds; none is kept.
        place: how many columns of a row that is written stand before it.
        missing: share of the rows that have none.
    """
    texts = [str(value) for value in values]
    if kind == "email":
        return Invented(name, kind, place, missing=missing)
    if kind == "name":
        manner = people.manner_of(texts) or people.Manner()
        return Invented(name, kind, place, (manner.locale, manner.form), missing=missing)
    if kind == "phone":
        return Invented(name, kind, place, tuple(_of_phones(texts)), missing=missing)
    dtype: DType = "int64" if all(re.fullmatch(r"0|[1-9]\d{0,17}", text) for text in texts) else "string"
    if (found := _counter(texts)) is not None:
        before, after, width, first = found
        return Invented(name, kind, place, (before, after), first, width, dtype)
    return Invented(name, kind, place, tuple(_of_ids(texts, dtype == "int64")), dtype=dtype)


def drawn(column: Invented, n: int, seed: int) -> list[Any]:
    """`n` values, no two of them equal but names; the same seed gives the same ones. A counter goes on behind the last of the data.
    None as often as rows of the data have none.

    Raises:
        ConfigError: the pattern has fewer.
    """
    found = _all_drawn(column, n, seed)
    if not column.missing:
        return found
    is_missing = np.random.default_rng(mix(seed, *column.name.encode(), 0)).random(n) < column.missing
    return [None if gap else value for value, gap in zip(found, is_missing, strict=True)]


def _all_drawn(column: Invented, n: int, seed: int) -> list[Any]:
    if column.kind == "name":
        return list(people.Manner(*column.pattern).drawn(n, mix(seed, *column.name.encode())))
    if column.kind == "email":
        return list(_addresses(n, mix(seed, *column.name.encode())))
    if column.first is not None:
        before, after = column.pattern
        texts = [f"{before}{column.first + i:0{column.width}}{after}" for i in range(n)]
    else:
        texts = list(_of_pattern(column, n, seed))
    return [int(text) for text in texts] if column.dtype == "int64" else texts


def in_words(column: Invented, known: int) -> str:
    """What is invented, beside a column of `known` different values."""
    if column.kind == "email":
        return "invented, none of them in the data"
    (example,) = _all_drawn(column, 1, 0)
    if column.kind == "name":
        return f"invented, such as {example}"
    room = math.prod(map(len, column.pattern))
    some = room / max(known, 1)
    by_chance = column.kind == "id" and column.first is None and some < _RARELY
    return f"new ones are drawn, such as {example}" + (f"; one in {some:,.0f} may be one of the data's" if by_chance else "")


def _counter(texts: Sequence[str]) -> tuple[str, str, int, int] | None:
    """What stands before and behind a number that counts the rows, its digits where it is padded, and the next one; None: none does."""
    first, last = min(texts), max(texts)
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    before = first[:same].rstrip(string.digits)
    tail = min((text[::-1] for text in texts), default=""), max((text[::-1] for text in texts), default="")
    alike = next((i for i, (a, b) in enumerate(zip(*tail, strict=False)) if a != b), min(map(len, tail)))
    after = tail[0][:alike][::-1].lstrip(string.digits)
    parts = [text[len(before) : len(text) - len(after)] for text in texts]
    if not all(part.isascii() and part.isdigit() for part in parts):
        return None
    numbers = [int(part) for part in parts]
    # Of very many possible ones, one drawn at random is hardly ever one of the data's; of fewer, only one behind the last is surely none.
    if max(numbers) - min(numbers) >= 2 * len(numbers) and max(numbers) >= _RARELY * len(numbers):
        return None
    is_padded = len({*map(len, parts)}) == 1 and any(part[0] == "0" for part in parts)
    return before, after, len(parts[0]) if is_padded else 0, max(numbers) + 1


def _of_ids(texts: Sequence[str], whole: bool) -> Iterator[str]:
    length = Counter(map(len, texts)).most_common(1)[0][0]
    alike = [text for text in texts if len(text) == length]
    for place, seen in enumerate(map(set, zip(*alike, strict=True))):
        options = next((one for one in _CLASSES if seen <= {*one}), "".join(sorted(seen)))
        if len(seen) == 1 or len(alike) >= _ENOUGH * len(options):
            options = "".join(sorted(seen))
        yield options.replace("0", "") if whole and place == 0 and len(options) > 1 else options


def _of_phones(texts: Sequence[str]) -> Iterator[str]:
    """A pattern that begins as all numbers do; the first digit that differs is 0, where hardly any real number has one."""
    shapes = Counter(_shape(text) for text in texts)
    shape = shapes.most_common(1)[0][0]
    alike = [text for text in texts if _shape(text) == shape]
    differs = False
    for seen in map(set, zip(*alike, strict=True)):
        if len(seen) == 1:
            yield next(iter(seen))
        else:
            yield string.digits if differs else "0"
            differs = True


def _shape(text: str) -> str:
    return re.sub(r"\d", "9", text)


def _of_pattern(column: Invented, n: int, seed: int) -> Iterator[str]:
    """Each value is a number in the pattern's own system; a random line through all of them meets none twice."""
    sizes = [len(options) for options in column.pattern]
    room = math.prod(sizes)
    if n > room:
        raise ConfigError(f"count: {n:,} rows are asked for, and {column.name} has {room:,} values of its pattern; ask for fewer")
    # Not numpy's: the numbers are longer than 64 bits.
    random_of = random.Random(mix(seed, *column.name.encode()))  # noqa: S311
    start, step = random_of.randrange(room), 1
    while room > 2 and math.gcd(step := random_of.randrange(1, room), room) != 1:
        pass
    for i in range(n):
        number, text = (start + i * step) % room, ""
        for options in reversed(column.pattern):
            number, digit = divmod(number, len(options))
            text = options[digit] + text
        yield text


def _addresses(n: int, seed: int) -> Iterator[str]:
    random_of = random.Random(seed)  # noqa: S311
    taken: Counter[str] = Counter()
    for first, last in people.people(n, seed):
        person = re.sub(r"[^a-z.]", "", f"{first}.{last}".lower())
        taken[person] += 1
        yield f"{person}{taken[person] if taken[person] > 1 else ''}@{random_of.choice(_DOMAINS)}"
