"""The words of a sweep: what they mean, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

from gan_core.errors import ConfigError
from tasks import params
from tasks.params import Entry
from tasks.trials import search_space
from tasks.trials.search_space import Choice, Range


def entry(**train: Any) -> Entry:
    section = {"recipe": "gan", "images": 1_000, **train}
    sections = {"data": {"source": "sklearn://digits"}, "validate": {}, "train": section, "evaluate": {}, "register": {}}
    return params.parse({"generators": {"x": sections}})["x"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("train.loss=hinge,non-saturating", Choice(("hinge", "non-saturating"))),
        ("train.batch=32", Choice((32,))),
        ("train.ema=null,0,10_000", Choice((None, 0, 10_000))),
        ("train.augment=true,false", Choice((True, False))),
        ("train.optimizer.learning_rate=1e-4..1e-3", Range(1e-4, 1e-3, log=True)),
        ("train.optimizer.decay=0.0..1.0", Range(0.0, 1.0, log=False)),
        ("train.batch=32..64", Range(32, 64, log=False)),
        ("train.batch=log:32..64", Range(32, 64, log=True)),
        ("train.batch=10..100", Range(10, 100, log=True)),
        ("train.x=-1..1", Range(-1, 1, log=False)),
    ],
)
def test_words_and_what_they_mean(word: str, meant: Choice | Range) -> None:
    assert search_space.parse([word]) == {word.partition("=")[0]: meant}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "something to vary"),
        (["train.batch"], "write KEY=A,B,C"),
        (["train.batch="], "write KEY=A,B,C"),
        (["data.size=16,32"], "varies keys of train"),
        (["train.batch=32", "train.batch=64"], "twice"),
        (["train.batch=32,32"], "a value twice"),
        (["train.batch=32,,64"], "no single value"),
        (["train.generator={width: 8}"], "no single value"),
        (["train.x=2001-13-45"], "no single value"),
        (["train.batch=64..32"], "has to be the lower"),
        (["train.batch=1..2..3"], "two numbers"),
        (["train.x=0..inf"], "two numbers"),
        (["train.x=.nan..1"], "two numbers"),
        (["train.x=log:0..1"], "above 0"),
        (["train.generator=a", "train.generator.width=8"], "is a section"),
    ],
)
def test_words_that_are_refused(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        search_space.parse(words)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.los=hinge", r"train\.los: unknown key; did you mean loss\?"),
        ("train.loss=hinge,hinges", r"train\.loss=hinges train\.seed=1: generators\.x\.train\.loss"),
        ("train.optimizer.learning_rate=0.1..3.0", "learning_rate=3 train.seed=1: .*less than or equal to 1"),
        ("train.batch.size=3", "no section"),
    ],
)
def test_a_combination_that_params_yaml_would_refuse_is_named_before_anything_runs(word: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        search_space.check("x", entry(batch=16), search_space.parse([word, "train.seed=1,2"]))


def test_an_entry_with_other_values_is_else_the_same() -> None:
    before = entry(batch=16, optimizer={"decay": 0.5})
    after = search_space.overridden("x", before, {"train.optimizer.learning_rate": 0.01, "train.discriminator.width": 8})
    assert (after.train.batch, after.train.optimizer.decay, after.train.optimizer.learning_rate) == (16, 0.5, 0.01)
    assert search_space.overridden("x", before, {}) == before


def test_the_present_values_are_found_where_the_space_holds_them() -> None:
    space = search_space.parse(["train.batch=16,32", "train.optimizer.learning_rate=1e-4..1e-2", "train.ema=null,0"])
    assert search_space.present(entry(batch=16), space) == {"train.batch": 16, "train.optimizer.learning_rate": 5e-4, "train.ema": None}
    assert search_space.present(entry(batch=64), space) is None
    assert search_space.present(entry(batch=16, optimizer={"learning_rate": 0.1}), space) is None


def test_a_grid_is_every_combination_of_lists() -> None:
    assert search_space.grid(search_space.parse(["train.batch=16,32", "train.ema=0..9"])) is None
    found = search_space.grid(search_space.parse(["train.batch=16,32", "train.seed=1,2"]))
    assert found == [{"train.batch": batch, "train.seed": seed} for batch in (16, 32) for seed in (1, 2)]
