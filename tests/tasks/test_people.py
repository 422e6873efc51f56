"""Columns of people's names: told from other words in many languages, and others like them, written as they were."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from faker import Faker

from tasks.people import Manner, manner_of

COUNT = 200


def _texts(locale: str, make: Callable[[Faker], str], count: int = COUNT) -> list[str]:
    fake = Faker(locale)
    fake.seed_instance(1)
    return [make(fake) for _ in range(count)]


@pytest.mark.parametrize(
    ("locale", "form"),
    [
        ("en_US", "{first} {last}"), ("de_DE", "{first} {last}"), ("pl_PL", "{first} {last}"), ("el_GR", "{first} {last}"),
        ("hi_IN", "{first} {last}"), ("hu_HU", "{last} {first}"), ("ja_JP", "{last} {first}"), ("ru_RU", "{last} {first}"),
        ("zh_CN", "{last}{first}"), ("ko_KR", "{last}{first}"),
    ],
)  # fmt: skip
def test_a_language_is_told_with_the_order_of_its_names_titles_or_none(locale: str, form: str) -> None:
    assert manner_of(_texts(locale, lambda fake: fake.name())) == Manner(locale, form)


@pytest.mark.parametrize(
    ("make", "form", "pattern"),
    [
        (lambda fake: fake.first_name(), "{first}", r"[A-Z][a-z]+"),
        (lambda fake: f"{fake.last_name()}, Mr. {fake.first_name()} {fake.first_name()}", "{last}, {first}", r"[A-Z][\w'-]+, [A-Z][a-z]+"),
        (lambda fake: f"{fake.first_name()} J. {fake.last_name()}".upper(), "{FIRST} {LAST}", r"[A-Z]+ [A-Z'-]+"),
    ],
)  # fmt: skip
def test_others_are_written_as_they_were(make: Callable[[Faker], str], form: str, pattern: str) -> None:
    found = manner_of(_texts("en_US", make))
    assert found == Manner("en_US", form)
    made = list(found.drawn(COUNT, seed=0))
    assert [one for one in made if not re.fullmatch(pattern, one)] == []
    assert made == list(found.drawn(COUNT, seed=0)) != list(found.drawn(COUNT, seed=1))


@pytest.mark.parametrize("what", ["city", "street_name", "company", "color_name", "country", "job", "state", "month_name", "word", "bs"])
def test_other_words_are_no_people(what: str) -> None:
    assert manner_of(_texts("en_US", lambda fake: getattr(fake, what)())) is None


@pytest.mark.parametrize("texts", [[], [""], ["  ", ","], ["Mr."], ["a" * 10_000] * 3, ["Anna 7"] * 20, ["\u0301"] * 5])
def test_no_names_at_all(texts: list[str]) -> None:
    assert manner_of(texts) is None
