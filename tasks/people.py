"""Names of people, by Faker's lists: which language a column of them is in and how they are written, and others like them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module

_ENOUGH = 0.5
"""Share of a column's texts with a first name that Faker knows where one would stand; no other words are such so often."""
_SOME = 0.2  # and with a last name, of which there are too many to know most
_FEW = 20  # last names in a list, of which nothing is told
_LONGEST = 80  # characters of a name
_MOST_TOLD = 1_000  # texts of a column that are looked up
_DRAWN = 1_000  # first names, and last names, that are combined
_TITLE = re.compile(r"([^\W\d_]+\.-?)+|mrs?|ms|miss|frau|herr|mme|sra?", re.IGNORECASE)
_JOINED = re.compile("[\u3040-\u9fff\uac00-\ud7af]{2,4}")  # in Chinese, Japanese and Korean no space stands between the two


@dataclass(frozen=True)
class Manner:
    """How people are named."""

    locale: str = "en_US"
    """Of Faker."""
    form: str = "{first} {last}"
    """What a name consists of; in capitals what is written so."""

    def drawn(self, n: int, seed: int) -> Iterator[str]:
        """`n` names; some may be alike, and any may be somebody's by chance."""
        for first, last in people(n, seed, self.locale):
            yield self.form.format(first=first, last=last, FIRST=first.upper(), LAST=last.upper())


def manner_of(texts: Sequence[str]) -> Manner | None:
    """How the people of a column are named; None where its texts are no names, or of people whom Faker does not know.

    Last names alone are not told from other words.
    """
    told = [text for text in texts[:_MOST_TOLD] if len(text) <= _LONGEST and not any(map(str.isdigit, text))]
    told_of = len(texts[:_MOST_TOLD])
    found: dict[Manner, int] = {}
    splits = _splits([_words(text) for text in told])
    for locale, (first, last) in _lists().items():
        for form, names in splits.items():
            firsts, lasts = sum(one in first for one, _ in names), sum(other in last for _, other in names)
            if firsts >= max(1, _ENOUGH * told_of) and (form == "{first}" or len(last) < _FEW or lasts >= _SOME * told_of):
                found[Manner(locale, form)] = firsts + lasts
    if not found:
        return None
    best = max(found, key=lambda manner: found[manner])

    def are(so: Callable[[str], object]) -> bool:
        return 2 * sum(bool(so(text)) for text in told) > len(told)

    form = best.form.replace(" ", "" if are(_JOINED.fullmatch) else ", " if are(lambda text: "," in text) else " ")
    return Manner(best.locale, form.upper() if are(str.isupper) else form)


def people(n: int, seed: int, locale: str = "en_US") -> Iterator[tuple[str, str]]:
    """First and last name of `n` people."""
    first, last = _usual(locale)
    random_of = random.Random(seed)  # noqa: S311
    for _ in range(n):
        yield random_of.choice(first), random_of.choice(last)


def _words(text: str) -> list[str]:
    """A name's words in lower case, without titles; of two that are joined, each by itself."""
    if _JOINED.fullmatch(text):
        parted = 1 if len(text) < 4 else 2
        return [text[:parted], text[parted:]]
    return [word for word in re.split(r"[\s,]+", text.casefold()) if word and not _TITLE.fullmatch(word)]


def _splits(texts: Sequence[list[str]]) -> dict[str, list[tuple[str, str]]]:
    """By the form that they would have: the first and the last names of all texts that may be of it."""
    several, single = [words for words in texts if len(words) > 1], [words for words in texts if len(words) == 1]
    if len(single) > len(several):
        return {"{first}": [(words[0], "") for words in single]}
    return {
        "{first} {last}": [(words[0], words[-1]) for words in several],
        "{last} {first}": [(words[1], words[0]) for words in several],  # what is behind them is a middle name, or a father's
    }


@cache
def _lists() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """The first and last names, in lower case, of each locale."""
    from faker.config import AVAILABLE_LOCALES

    found = {}
    for locale in sorted(AVAILABLE_LOCALES):
        with suppress(ModuleNotFoundError):  # of some no names are known
            person = import_module(f"faker.providers.person.{locale}").Provider
            if "_" in locale:  # the others' lists are of many peoples
                found[locale] = _listed(person, "first_names"), _listed(person, "last_names")
    return found


def _listed(person: type, which: str) -> frozenset[str]:
    lists = [getattr(person, f"{which}{of}", ()) for of in ("", "_male", "_female")]
    return frozenset(str(name).casefold() for names in lists if isinstance(names, Iterable) for name in names)


@cache
def _usual(locale: str) -> tuple[list[str], list[str]]:
    """First and last names as often as Faker draws them."""
    from faker import Faker

    fake = Faker(locale)
    fake.seed_instance(0)
    return [fake.first_name() for _ in range(_DRAWN)], [fake.last_name() for _ in range(_DRAWN)]
