from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.metrics import BETTER, FLOOR_ONLY
from tasks.params import RegisterParams
from tasks.promotion.comparison import Comparison
from tasks.promotion.gate import Decision, Measured, Record, conditions_of, decide, deciding_together, veto

GOOD = {"fid": 10.0, "recall": 0.6, "modes": 10.0}
CONDITIONS = {"dataset_digest": "d", "n_real": 180, "n_generated": 1800, "seed": 0, "extractor": "e"}


def rule(**settings: object) -> RegisterParams:
    return RegisterParams.model_validate(settings)


def compared(new: float, old: float, probability: float, metric: str = "fid", replicates: int = 1000) -> Comparison:
    return Comparison(metric, BETTER[metric], new, old, new - old, (new - old - 1, new - old + 1), 0.5, probability, replicates, 0.95)


def judged(new: float, old: float, probability: float, metric: str = "fid", **settings: object) -> Decision:
    record = Record(
        Measured({**GOOD, metric: new}, CONDITIONS), Measured({**GOOD, metric: old}, CONDITIONS), compared(new, old, probability, metric)
    )
    return decide(record, rule(improve=metric, **settings), "images")


def alone(scores: dict[str, float], **settings: object) -> Decision:
    return decide(Record(Measured(scores, CONDITIONS)), rule(**settings), "images")


def test_every_metric_of_the_schema_has_a_direction() -> None:
    assert {metric for metric, better in BETTER.items() if better == "lower"} >= {"fid", "kid", "radius_error"}
    assert set(BETTER.values()) == {"lower", "higher"}


def test_the_first_becomes_the_champion() -> None:
    decision = alone(GOOD)
    assert (decision.outcome, decision.reasons, decision.promotes) == ("first", ("there was no champion before it",), True)


def test_a_first_one_that_draws_hardly_anything_is_no_champion() -> None:
    decision = alone({**GOOD, "recall": 0.0})
    assert decision.outcome == (
        "vetoed: recall 0 is not > 0: it draws hardly anything of what there is; "
        "look at its samples, and train it for longer, or `gantry promote` it"
    )


@pytest.mark.parametrize(("held_out", "floor"), [(59, {}), (60, {"recall": ">= 0"})])
def test_where_few_are_held_out_or_the_rule_says_so_it_is_one_and_it_is_said(held_out: int, floor: dict[str, str]) -> None:
    measured = Measured({**GOOD, "recall": 0.0}, {**CONDITIONS, "n_real": held_out})
    decision = decide(Record(measured), rule(require=floor), "images")
    assert decision.outcome == "first"
    assert decision.reasons[1].startswith("recall is 0: it draws hardly anything of what there is; look at its samples")


def test_beside_a_champion_it_is_compared_as_others_are() -> None:
    nothing = {**GOOD, "recall": 0.0}
    record = Record(Measured({**nothing, "fid": 1.0}, CONDITIONS), Measured({**nothing, "fid": 2.0}, CONDITIONS), compared(1.0, 2.0, 0.99))
    assert decide(record, rule(), "images").outcome == "promoted"


@pytest.mark.parametrize(("held_out", "said"), [(12, True), (60, False)])
def test_few_held_out_samples_are_named_where_they_leave_it_open(held_out: int, said: bool) -> None:
    few = {**CONDITIONS, "n_real": held_out}
    record = Record(Measured({**GOOD, "fid": 23.4}, few), Measured({**GOOD, "fid": 42.6}, few), compared(23.4, 42.6, 0.925))
    decision = decide(record, rule(improve="fid"), "images")
    assert decision.outcome == "kept: inconclusive"
    assert [reason for reason in decision.reasons if reason.startswith(f"{held_out} held-out samples tell little apart")] == (
        [decision.reasons[-1]] if said else []
    )


def test_a_better_one_is_promoted() -> None:
    decision = judged(1.22, 1.33, 0.993)
    assert (decision.outcome, decision.promotes) == ("promoted", True)
    assert decision.reasons == ("fid 1.22 against 1.33: better in 99.3 % of 1,000 resamples",)


def test_a_worse_one_is_not() -> None:
    decision = judged(1.33, 1.22, 0.007)
    assert (decision.outcome, decision.promotes) == ("kept: worse", False)
    assert decision.reasons == ("fid 1.33 against 1.22: better in 0.7 % of 1,000 resamples",)


def test_what_chance_could_have_made_is_inconclusive() -> None:
    decision = judged(1.22, 1.24, 0.94)
    assert (decision.outcome, decision.promotes) == ("kept: inconclusive", False)
    assert decision.reasons == ("fid 1.22 against 1.24: better in 94.0 % of 1,000 resamples; 97.5 % are needed for a confidence of 95 %",)


@pytest.mark.parametrize(("probability", "outcome"), [(0.975, "promoted"), (0.9749, "kept: inconclusive"), (0.0251, "kept: inconclusive")])
def test_the_asked_confidence_is_the_border(probability: float, outcome: str) -> None:
    assert judged(1.0, 2.0, probability).outcome == outcome


def test_another_confidence_moves_the_border() -> None:
    assert judged(1.0, 2.0, 0.99, confidence=0.99).outcome == "kept: inconclusive"
    assert judged(1.0, 2.0, 0.96, confidence=0.9).outcome == "promoted"


def test_a_draw_keeps_the_champion() -> None:
    assert judged(1.0, 1.0, 0.5).outcome == "kept: inconclusive"
    assert judged(1.0, 1.0, 1.0).outcome == "kept: inconclusive"


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_resamples_never_overrule_the_scores_themselves(probability: float) -> None:
    new, old = (2.0, 1.0) if probability else (1.0, 2.0)
    assert judged(new, old, probability).outcome == "kept: inconclusive"


def test_numbers_are_shown_with_the_digits_that_tell_them_apart() -> None:
    assert judged(10.000001, 10.000002, 1.0).reasons[0].startswith("fid 10.000001 against 10.000002:")


@pytest.mark.parametrize("metric", sorted(set(BETTER) - set(FLOOR_ONLY)))
def test_the_metric_is_read_in_its_direction(metric: str) -> None:
    new, old = (0.2, 0.3) if BETTER[metric] == "lower" else (0.3, 0.2)
    record = Record(Measured({metric: new}, {}), Measured({metric: old}, {}), compared(new, old, 1.0, metric))
    other_way = Record(record.champion, record.challenger, compared(old, new, 0.0, metric))  # type: ignore[arg-type]
    asked = RegisterParams.model_construct(improve=metric, require={}, confidence=0.95, replicates=1000)
    assert decide(record, asked, "images").outcome == "promoted"
    assert decide(other_way, asked, "images").outcome == "kept: worse"


@pytest.mark.parametrize(
    ("scores", "kind", "named"),
    [
        ({"fid": 1.0, "recall": 1.0}, "images", "fid"),
        ({"radius_error": 1.0}, "points", "radius_error"),
        ({"high_quality": 1.0}, "points", "high_quality"),
    ],
)
def test_the_default_metric_follows_the_kind(scores: dict[str, float], kind: str, named: str) -> None:
    record = Record(Measured(scores, {}), Measured(scores, {}), compared(1.0, 2.0, 1.0, named))
    assert decide(record, rule(), kind).reasons[0].startswith(f"{named} ")  # type: ignore[arg-type]


@pytest.mark.parametrize("champion", [None, Measured({"fid": 1e9, "recall": 0.0}, CONDITIONS)])
@pytest.mark.parametrize(
    ("scores", "settings", "outcome"),
    [
        ({"fid": math.nan, "recall": 0.5}, {}, "vetoed: fid is nan"),
        ({"fid": 1.0, "recall": math.inf}, {}, "vetoed: recall is inf"),
        ({"recall": 0.5}, {}, "vetoed: whitened_kid, which decides, was not measured; measured were recall"),
        ({"fid": 1.0, "recall": 0.39}, {"require": {"recall": ">= 0.4"}}, "vetoed: recall 0.39 is not >= 0.4"),
        ({"fid": 1.0}, {"require": {"recall": ">= 0.4"}}, "vetoed: recall is required to be >= 0.4 and was not measured"),
        ({"fid": 5.0}, {"require": {"fid": "<5"}}, "vetoed: fid 5 is not <5"),
    ],
)
def test_a_veto_stands_above_everything(
    champion: Measured | None, scores: dict[str, float], settings: dict[str, object], outcome: str
) -> None:
    record = Record(Measured(scores, CONDITIONS), champion, compared(1.0, 1e9, 1.0))
    decision = decide(record, rule(**settings), "images")
    assert (decision.outcome, decision.promotes) == (outcome, False)


@pytest.mark.parametrize(
    ("condition", "met"),
    [(">= 0.5", True), ("<= 0.5", True), ("> 0.5", False), ("< 0.5", False), (">0.49", True), ("<= 5e-1", True), ("  >=  -1 ", True)],
)
def test_floors_at_their_edge(condition: str, met: bool) -> None:
    assert alone({"fid": 1.0, "recall": 0.5}, require={"recall": condition}).promotes is met


def test_every_unmet_floor_is_named() -> None:
    decision = alone(GOOD, require={"recall": ">= 0.9", "modes": ">= 11"})
    assert decision.reasons == ("recall 0.6 is not >= 0.9", "modes 10 is not >= 11")


@pytest.mark.parametrize("champion", [{"recall": 0.5}, {"fid": math.nan}, {}])
def test_a_champion_without_the_score_is_not_beaten(champion: dict[str, float]) -> None:
    record = Record(Measured(GOOD, CONDITIONS), Measured(champion, CONDITIONS), compared(1.0, 2.0, 1.0))
    assert decide(record, rule(), "images").outcome == "vetoed: the champion has no finite fid to compare with"


@pytest.mark.parametrize("key", CONDITIONS)
def test_scores_that_were_measured_differently_are_not_compared(key: str) -> None:
    other: dict[str, Any] = {**CONDITIONS, key: 7}
    record = Record(Measured(GOOD, CONDITIONS), Measured(GOOD, other), compared(1.0, 2.0, 1.0))
    assert decide(record, rule(), "images").outcome == (
        f"vetoed: the scores were measured differently, so they are not compared: {key} {CONDITIONS[key]} against 7"
    )


@pytest.mark.parametrize(
    "comparison", [None, compared(0.1, 0.9, 1.0, "recall"), dataclasses.replace(compared(1.0, 2.0, 1.0), probability_better=math.nan)]
)
def test_without_a_comparison_by_the_deciding_metric_nobody_wins(comparison: Comparison | None) -> None:
    record = Record(Measured(GOOD, CONDITIONS), Measured(GOOD, CONDITIONS), comparison)
    assert decide(record, rule(), "images").outcome == "vetoed: the two were not compared by fid"


def test_what_has_to_be_equal_is_read_from_the_evaluation() -> None:
    evaluation = {**CONDITIONS, "extractor": {"hash": "e", "kind": "classifier"}, "generator_sha256": "g", "neighbours": 5}
    assert conditions_of(evaluation) == CONDITIONS
    assert conditions_of({**evaluation, "extractor": None})["extractor"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"confidence": 0.5}, "greater than 0.5"),
        ({"confidence": 1.0}, "less than 1"),
        ({"replicates": 99}, "greater than or equal to 100"),
        ({"confidence": 0.999, "replicates": 1000}, "1000 are too few to tell a confidence of 0.999; at least 5000"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        rule(**settings)


def test_a_reason_from_outside_vetoes() -> None:
    assert veto("it is Sunday").outcome == "vetoed: it is Sunday"
    assert not veto("it is Sunday").promotes


@given(st.floats(), st.floats(), st.floats(0, 1))
def test_two_generators_never_both_win(first: float, second: float, probability: float) -> None:
    one_way = judged(first, second, probability)
    the_other = judged(second, first, 1 - probability)
    assert not (one_way.promotes and the_other.promotes)
    if one_way.promotes:
        assert first < second


def test_a_bias_that_was_taken_out_is_said() -> None:
    biased = dataclasses.replace(compared(1.22, 1.33, 0.2), difference=0.05)
    decision = decide(Record(Measured(GOOD, CONDITIONS), Measured(GOOD, CONDITIONS), biased), rule(improve="fid"), "images")
    assert decision.outcome == "kept: inconclusive"
    assert decision.reasons[0].startswith("fid 1.22 against 1.33: a difference of 0.05 without the bias of few samples, better in 20.0 %")


WHY = "60 samples are too few for features of 128 columns that vary so; at least 200 are needed"


@pytest.mark.parametrize("named", [{}, {"improve": "fid"}, {"improve": "fid_ratio"}])
def test_where_samples_are_few_kid_decides_and_it_is_said(named: dict[str, str]) -> None:
    scores = {**GOOD, "kid": 0.1, "fid_ratio": 0.5}
    measured = Measured(scores, CONDITIONS, undecided=dict.fromkeys(("fid", "fid_ratio"), WHY))
    decision = decide(Record(measured, Measured(scores, CONDITIONS), compared(0.1, 0.2, 0.99, "kid")), rule(**named), "pairs")
    assert decision.outcome == "promoted"
    assert decision.reasons[1] == f"kid decides, not {named.get('improve', 'fid')}: {WHY}"


def test_what_nothing_can_take_the_place_of_vetoes() -> None:
    scores = {**GOOD, "stage1_fid": 3.0}
    measured = Measured(scores, CONDITIONS, undecided={"stage1_fid": WHY})
    record = Record(measured, Measured(scores, CONDITIONS), compared(3.0, 9.0, 1.0, "stage1_fid"))
    outcome = decide(record, rule(improve="stage1_fid"), "captions").outcome
    assert outcome == f"vetoed: stage1_fid tells no two generators apart here: {WHY}; set register.improve: kid, or hold out more"


def test_one_that_is_better_but_draws_other_labels_than_asked_is_worse() -> None:
    scores = {**GOOD, "label_accuracy": 0.1}
    better, lost = compared(1.0, 2.0, 1.0), compared(0.1, 0.9, 0.0, "label_accuracy")
    decision = decide(Record(Measured(scores, CONDITIONS), Measured(scores, CONDITIONS), better, (lost,)), rule(), "images")
    assert decision.outcome == "kept: worse"
    assert decision.reasons[0] == "label_accuracy 0.1 against 0.9: better in 0.0 % of 1,000 resamples"
    assert deciding_together(scores, rule(), "images") == ("fid", "label_accuracy")
    assert deciding_together(scores, rule(improve="fid"), "images") == ("fid",)
    assert deciding_together(GOOD, rule(), "images") == ("fid",)
    assert deciding_together({**GOOD, "reverse_kl": 0.1}, rule(), "images") == ("fid", "reverse_kl"), "of stacks"


@pytest.mark.parametrize(
    ("fid", "labels", "outcome"),
    [
        (0.99, 0.5, "promoted"),
        (0.5, 0.99, "promoted"),
        (0.98, 0.98, "kept: inconclusive"),  # two chances share the 2.5 %
        (0.01, 0.99, "kept: worse"),
        (0.5, 0.01, "kept: worse"),
    ],
)
def test_better_by_one_and_worse_by_none(fid: float, labels: float, outcome: str) -> None:
    scores = {**GOOD, "label_accuracy": 0.5}
    one = compared(1.0, 2.0, fid) if fid >= 0.5 else compared(2.0, 1.0, fid)
    other = compared(0.9, 0.8, labels, "label_accuracy") if labels >= 0.5 else compared(0.8, 0.9, labels, "label_accuracy")
    decision = decide(Record(Measured(scores, CONDITIONS), Measured(scores, CONDITIONS), one, (other,)), rule(), "images")
    assert decision.outcome == outcome
    assert len(decision.reasons) == 2


@pytest.mark.parametrize(
    ("share", "interval", "outcome"),
    [
        (1 / 16, (0.0, 0.25), "first"),  # one in sixteen
        (0.5, (0.2, 0.7), "vetoed: copies 0.5 is not <= 0.05"),
        (0.04, (0.02, 0.3), "first"),
    ],
)
def test_copies_that_chance_explains_veto_nothing(share: float, interval: tuple[float, float], outcome: str) -> None:
    measured = Measured.of({**GOOD, "copies": share}, {**CONDITIONS, "copies": {"interval": list(interval)}})
    assert decide(Record(measured), rule(), "images").outcome == outcome


def test_looks_share_the_risk() -> None:
    assert rule(looks=10, confidence=0.95, replicates=1_000).confidence_of_one == pytest.approx(0.995)
    assert judged(1.0, 2.0, 0.99).outcome == "promoted"
    assert judged(1.0, 2.0, 0.99, looks=10).outcome == "kept: inconclusive"
    with pytest.raises(ValidationError, match=r"1000 are too few to tell a confidence of 0.95, which 365 looks share; at least 36500"):
        rule(looks=365)
