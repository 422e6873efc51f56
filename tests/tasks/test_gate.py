from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.gate import decide, veto
from tasks.metrics import BETTER
from tasks.params import RegisterParams

GOOD = {"fid": 10.0, "recall": 0.6, "modes": 10.0}


def rule(**settings: object) -> RegisterParams:
    return RegisterParams.model_validate(settings)


def test_every_metric_of_the_schema_has_a_direction() -> None:
    assert {metric for metric, better in BETTER.items() if better == "lower"} == {"fid", "kid", "radius_error"}


def test_the_first_becomes_the_champion() -> None:
    decision = decide(GOOD, None, rule(), "images")
    assert (decision.outcome, decision.reasons, decision.promotes) == ("first", ("there is no champion yet",), True)


def test_a_better_one_is_promoted() -> None:
    decision = decide(GOOD, {**GOOD, "fid": 12.0}, rule(), "images")
    assert (decision.outcome, decision.promotes) == ("promoted", True)
    assert decision.reasons == ("fid 10 is lower than the champion's 12",)


def test_a_worse_one_is_not() -> None:
    decision = decide(GOOD, {**GOOD, "fid": 9.5}, rule(), "images")
    assert (decision.outcome, decision.promotes) == ("kept: worse", False)
    assert decision.reasons == ("fid 10 is not lower than the champion's 9.5",)


def test_a_draw_keeps_the_champion() -> None:
    decision = decide(GOOD, GOOD, rule(), "images")
    assert decision.outcome == "kept: worse"
    assert decision.reasons == ("fid 10 equals the champion's 10",)


def test_numbers_are_shown_with_the_digits_that_tell_them_apart() -> None:
    decision = decide({"fid": 10.000001}, {"fid": 10.000002}, rule(), "images")
    assert decision.reasons == ("fid 10.000001 is lower than the champion's 10.000002",)


@pytest.mark.parametrize("metric", BETTER)
def test_the_asked_metric_decides_in_its_direction(metric: str) -> None:
    low, high = {metric: 0.2}, {metric: 0.3}
    better, worse = (low, high) if BETTER[metric] == "lower" else (high, low)
    assert decide(better, worse, rule(improve=metric), "images").outcome == "promoted"
    assert decide(worse, better, rule(improve=metric), "images").outcome == "kept: worse"


@pytest.mark.parametrize(
    ("scores", "kind", "named"),
    [
        ({"fid": 1.0, "recall": 1.0}, "images", "fid"),
        ({"radius_error": 1.0}, "points", "radius_error"),
        ({"high_quality": 1.0}, "points", "high_quality"),
    ],
)
def test_the_default_metric_follows_the_kind(scores: dict[str, float], kind: str, named: str) -> None:
    assert decide(scores, scores, rule(), kind).reasons[0].startswith(named)  # type: ignore[arg-type]


@pytest.mark.parametrize("champion", [None, {"fid": 1e9, "recall": 0.0}])
@pytest.mark.parametrize(
    ("scores", "settings", "outcome"),
    [
        ({"fid": math.nan, "recall": 0.5}, {}, "vetoed: fid is nan"),
        ({"fid": 1.0, "recall": math.inf}, {}, "vetoed: recall is inf"),
        ({"recall": 0.5}, {}, "vetoed: fid, which decides, was not measured; measured were recall"),
        ({"fid": 1.0, "recall": 0.39}, {"require": {"recall": ">= 0.4"}}, "vetoed: recall 0.39 is not >= 0.4"),
        ({"fid": 1.0}, {"require": {"recall": ">= 0.4"}}, "vetoed: recall is required to be >= 0.4 and was not measured"),
        ({"fid": 5.0}, {"require": {"fid": "<5"}}, "vetoed: fid 5 is not <5"),
    ],
)
def test_a_veto_stands_above_everything(
    champion: dict[str, float] | None, scores: dict[str, float], settings: dict[str, object], outcome: str
) -> None:
    decision = decide(scores, champion, rule(**settings), "images")
    assert (decision.outcome, decision.promotes) == (outcome, False)


@pytest.mark.parametrize(
    ("condition", "met"),
    [(">= 0.5", True), ("<= 0.5", True), ("> 0.5", False), ("< 0.5", False), (">0.49", True), ("<= 5e-1", True), ("  >=  -1 ", True)],
)
def test_floors_at_their_edge(condition: str, met: bool) -> None:
    decision = decide({"fid": 1.0, "recall": 0.5}, None, rule(require={"recall": condition}), "images")
    assert decision.promotes is met


def test_every_unmet_floor_is_named() -> None:
    decision = decide(GOOD, None, rule(require={"recall": ">= 0.9", "modes": ">= 11"}), "images")
    assert decision.reasons == ("recall 0.6 is not >= 0.9", "modes 10 is not >= 11")


@pytest.mark.parametrize("champion", [{"recall": 0.5}, {"fid": math.nan}, {}])
def test_a_champion_without_the_score_is_not_beaten(champion: dict[str, float]) -> None:
    assert decide(GOOD, champion, rule(), "images").outcome == "vetoed: the champion has no finite fid to compare with"


def test_a_reason_from_outside_vetoes() -> None:
    assert veto("it is Sunday").outcome == "vetoed: it is Sunday"
    assert not veto("it is Sunday").promotes


@given(st.floats(), st.floats())
def test_two_generators_never_both_win(first: float, second: float) -> None:
    one_way = decide({"fid": first}, {"fid": second}, rule(), "images")
    the_other = decide({"fid": second}, {"fid": first}, rule(), "images")
    assert not (one_way.promotes and the_other.promotes)
    if one_way.promotes:
        assert first < second
