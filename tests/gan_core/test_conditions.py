"""Rows that are as they were asked for: each of them, the same again by seed, and what cannot be is refused by name."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from row_generator import untrained

from gan_core import conditions
from gan_core.conditions import Where, sample_where
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.kinds.schema import Column, Schema

COUNT = 2_000
DRAW = np.random.default_rng(0)
COLUMNS = (
    Column("age", "number", "int64"),
    Column("price", "number", "float64", format="1.234,5 €"),
    Column("since", "number", "date", format="%d.%m.%Y"),
    Column("country", "category", "string", ("DE", "NL", "US", "")),
    Column("rooms, all", "category", "int64", ("1", "2", "3")),
    Column("age>=65", "category", "bool", ("False", "True")),
)
AGE, PRICE, SINCE, COUNTRY, ROOMS, OLD = range(6)
DAYS = (date(2020, 1, 1).toordinal() - date(1970, 1, 1).toordinal(), date(2022, 12, 31).toordinal() - date(1970, 1, 1).toordinal())


@pytest.fixture(scope="module")
def generator() -> Generator:
    age = np.where(DRAW.random(COUNT) < 0.1, math.nan, DRAW.integers(18, 91, COUNT))
    age[:2] = 18, 90
    since = DRAW.integers(DAYS[0], DAYS[1] + 1, COUNT)
    since[:2] = DAYS
    rest = [DRAW.integers(0, len(column.categories or ()), COUNT) for column in COLUMNS[3:]]
    rows = np.column_stack([age, DRAW.gamma(2, 500, COUNT).round(2), since, *rest]).astype(np.float64)
    labels = DRAW.choice(3, COUNT, p=[0.6, 0.3, 0.1])
    return untrained(Schema(COLUMNS, "plan"), rows, ("free", "pro", "team"), labels)


def found(generator: Generator, *texts: str, n: int = 200, seed: int = 0) -> conditions.Found:
    return sample_where(generator, n, Where.of(generator.config, texts), seed)


class TestTheLabelIsExact:
    def test_as_the_generator_draws_it_when_asked_for_it(self, generator: Generator) -> None:
        made = found(generator, "plan=pro")
        np.testing.assert_array_equal(made.samples.samples, generator.sample(200, label="pro").samples)
        assert made.drawn == 200

    def test_several_classes_keep_their_shares(self, generator: Generator) -> None:
        made = found(generator, "plan!=free", n=4_000)
        assert made.samples.labels is not None
        counts = np.bincount(made.samples.labels, minlength=3)
        assert (counts[0], made.drawn) == (0, 4_000)
        assert counts[1] / 4_000 == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 4_000) + 0.02)

    def test_beside_a_class_that_is_asked_for(self, generator: Generator) -> None:
        assert Where.of(generator.config, ["age>30"], label=2).labels == (2,)
        with pytest.raises(ConfigError, match="where: no row can be so, as plan=pro leaves no plan"):
            Where.of(generator.config, ["plan=pro"], label=2)


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("age >= 65", lambda rows: rows[:, AGE] >= 65),
        ("age<30, country=NL", lambda rows: (rows[:, AGE] < 30) & (rows[:, COUNTRY] == 1)),
        ("country=nl", lambda rows: rows[:, COUNTRY] == 1),
        ("country=", lambda rows: rows[:, COUNTRY] == 3),
        ("country!=NL", lambda rows: np.isin(rows[:, COUNTRY], [0, 2])),
        ("age=", lambda rows: np.isnan(rows[:, AGE])),
        ("age!=", lambda rows: ~np.isnan(rows[:, AGE])),
        ("price>1.000,5 €", lambda rows: rows[:, PRICE] > 1000.5),
        ("price>1000.5,plan=free", lambda rows: rows[:, PRICE] > 1000.5),
        ("since>=01.06.2021", lambda rows: rows[:, SINCE] >= DAYS[0] + 517),
        ("since<2021-06-01", lambda rows: rows[:, SINCE] < DAYS[0] + 517),
        ("rooms, all>=2", lambda rows: rows[:, ROOMS] >= 1),
        ("age>=65=True", lambda rows: rows[:, OLD] == 1),
    ],
)
def test_every_row_is_so_and_the_rate_is_what_chance_gives(generator: Generator, text: str, is_so: object) -> None:
    made = found(generator, text)
    assert len(made.samples.samples) == 200
    assert made.samples.labels is not None
    assert len(made.samples.labels) == 200
    assert is_so(made.samples.samples).all()  # type: ignore[operator]
    free = generator.sample(20_000, seed=7, label="free" if "plan=free" in text else None)
    share = is_so(free.samples).mean()  # type: ignore[operator]
    assert made.acceptance == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / made.drawn) + 0.01)


def test_a_seed_gives_the_same_rows_and_another_others(generator: Generator) -> None:
    one, same, other = (found(generator, "age>=65", "plan!=team", seed=seed).samples for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.samples, same.samples)
    np.testing.assert_array_equal(one.labels, same.labels)
    assert not np.array_equal(one.samples, other.samples)


def test_what_is_too_rare_ends_with_a_bound(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "_FEWEST_ATTEMPTS", 3_000)
    monkeypatch.setattr(conditions, "ATTEMPTS", 10)
    with pytest.raises(
        ConfigError, match=r"where: of 3,000 rows that were drawn, \d+ are so \(age=33,country=NL\), and 300 are asked for; ask"
    ):
        found(generator, "age=33,country=NL", n=300)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agee>=65", "where: no column 'agee'; did you mean age?"),
        ("zzz=1", "where: no column 'zzz'; there are age, price, since, country, rooms, all, age>=65, plan"),
        ("age", "where: 'age' is no condition; write COLUMN=VALUE"),
        ("country=NK", "where: country is never 'NK'; there are DE, NL, US"),
        ("country=Oz", "where: country is never 'Oz'; there are DE, NL, US"),
        ("plan=gold", "where: plan is never 'gold'; there are free, pro, team"),
        ("age>=91", "where: age is never >= 91; it goes from 18 to 90"),
        ("age=17", "where: age is never = 17; it goes from 18 to 90"),
        ("age>old", "where: age: 'old' is no number; it goes from 18 to 90"),
        ("since>soon", "where: since: 'soon' is no date; write it as 31.01.2020"),
        ("since>31.12.2022", "where: since is never > 31.12.2022; it goes from 01.01.2020 to 31.12.2022"),
        ("country>NL", "where: country > NL: its values have no order; write country=VALUE"),
        ("rooms, all>3", "where: no value of rooms, all is > 3; there are 1, 2, 3"),
        ("price=", "where: price is never missing in the data; write a value"),
        ("age>=", "where: age >= nothing; write a value, or age= for a missing one"),
    ],
)
def test_what_cannot_be_is_refused_naming_what_can(generator: Generator, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        found(generator, text)
    assert str(refused.value).startswith(message)
