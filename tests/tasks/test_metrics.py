"""Every score has its words, and how far one is from real is said in them."""

from __future__ import annotations

from typing import Any

import pytest

from gan_core.errors import ConfigError
from tasks.beside_real import BesideReal
from tasks.metrics import BETTER, CURVES, HIGHER, LOWER, METRICS, explained, known
from tasks.promotion.decision import LastDecision


def test_every_number_says_what_it_is_and_every_score_which_way_it_gets_better() -> None:
    assert not set(METRICS) & set(CURVES) - {"cycle_l1"}
    for one in (*METRICS.values(), *CURVES.values()):
        assert one.what
        assert one.meaning.endswith(".")
        assert one.range
    assert set(BETTER.values()) == {LOWER, HIGHER}


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("generator_loss", "generator_loss"),
        ("second_discriminator_loss", "discriminator_loss"),
        ("photos_accuracy_pairs", "accuracy_pairs"),
        ("input_discriminator_gradient", "gradient"),
        ("diversity_within_labels", "diversity_within_labels"),
        ("selection_fid", "fid"),
        ("champion.recall", "recall"),
        ("cycle_l1", "cycle_l1"),
        ("loss", None),
    ],
)
def test_a_number_is_known_whoever_it_is_of(name: str, of: str | None) -> None:
    assert known(name) == (None if of is None else {**CURVES, **METRICS}[of])


@pytest.mark.parametrize(
    ("name", "said"),
    [("fidd", r"'fidd' is no metric; did you mean fid\?"), ("FID", "did you mean fid"), ("zzzzz", "is no metric; there are fid, fid_inf")],
)
def test_an_unknown_name_is_answered_by_the_nearest(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        explained(name)


@pytest.mark.parametrize(
    ("metric", "value", "real", "words", "short"),
    [
        ("fid", 7.2, 0.23, "fid 7.2 is 31 times real against real (0.23): far from real", "31 x real"),
        ("fid", 0.46, 0.23, "fid 0.46 is 2 times real against real (0.23)", "2 x real"),
        ("column_distance", 0.05, 0.04, "column_distance 0.05 is 1.2 times real against real (0.04)", "1.2 x real"),
        ("kid", 0.01, -0.001, "kid 0.01; real samples get -0.001", ""),
        ("radius_error", 0.1, 0.0, "radius_error 0.1; real samples get 0", ""),
        ("detection", 0.96, 0.51, "detection 0.96; real samples get 0.51: far from real", ""),
        ("detection", 0.6, 0.51, "detection 0.6; real samples get 0.51", ""),
        ("utility", 0.91, None, "utility 0.91 is 91 % of what real samples get (1)", "91 % of real"),
        ("recall", 0.2, 0.8, "recall 0.2 is 25 % of what real samples get (0.8): far from real", "25 % of real"),
    ],
)
def test_a_score_beside_what_real_samples_get(metric: str, value: float, real: float | None, words: str, short: str) -> None:
    beside = BesideReal.of(metric, value, {} if real is None else {metric: real})
    assert beside is not None
    assert (beside.in_words, beside.short) == (words, short)
    assert beside.is_far == words.endswith("far from real")


def test_where_nothing_is_known_of_real_samples_nothing_is_said() -> None:
    assert BesideReal.of("l1", 0.2, {"fid": 1.0}) is None
    assert BesideReal.of("fid", None, {"fid": 1.0}) is None


FID = "fid 7.2 is 31 times real against real (0.23)"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            {"outcome": "first", "reasons": ["there was no champion before it"], "beside_real": {"in_words": FID}},
            f"version 3 is the champion (first): {FID}",
        ),
        ({"outcome": "first", "reasons": ["there was no champion before it"]}, "version 3 is the champion (first)"),
        (
            {"outcome": "kept: worse", "reasons": ["fid 9 against 7"], "beside_real": {"in_words": FID}},
            f"version 3 is the challenger (kept: worse): fid 9 against 7; {FID}",
        ),
        ({"outcome": "vetoed: fid is nan", "reasons": ["fid is nan"]}, "version 3 is the challenger (vetoed: fid is nan)"),
    ],
)  # fmt: skip
def test_the_decision_in_a_sentence(record: dict[str, Any], words: str) -> None:
    metrics = {"metrics": {"challenger": {}, "champion": None}, "version": 3}
    assert LastDecision.of({**metrics, **record}).in_words == words
