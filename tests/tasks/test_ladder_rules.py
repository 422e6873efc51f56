"""Faults that the score which decides is blind to, planted in generators that nobody trained (benchmarks/ladders.py has more of them)."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.imitations import Drawn, Fault, Judged, Plane, blur, lost, noise, repeated, shuffled
from benchmarks.ladders import Ladder, missed, of_source, run
from gan_core.errors import DataError
from gan_core.metrics.pairs import partners_found
from tasks.params import RegisterParams
from tasks.promotion.contest import Side, contest
from tasks.promotion.gate import Measured
from tasks.scoring.pairs import PairEvidence
from tasks.scoring.unpaired import UnpairedEvidence

RULE = RegisterParams(replicates=200)


@pytest.mark.parametrize(
    ("shape", "fault"), [("circle", lost(*range(6))), ("circle", repeated(1.0)), ("ring", lost(0)), ("ring", repeated(1.0))]
)
def test_points_that_leave_a_part_out_are_worse(shape: str, fault: Fault) -> None:
    """Each point lies well, and radius_error and high_quality see no more than that."""
    judged = Judged(Plane(shape), 0)
    sound, spoiled = judged.side([], 0), judged.side([fault], 1)
    assert sound is not None
    assert spoiled is not None
    assert contest(spoiled, sound, RULE, "points", 0).decision.outcome == "kept: worse"


def pairs(real: np.ndarray, generated: np.ndarray) -> Side:
    evidence = PairEvidence(real, generated, {key: np.zeros(len(real)) for key in ("l1", "psnr", "ssim")})
    return Side(evidence, Measured(evidence.scores(), {}))


def test_images_for_the_wrong_input_are_worse() -> None:
    """They are as good a set as those for the right one, which is all that fid and kid see."""
    random = np.random.default_rng(0)
    real = random.normal(size=(200, 8)).astype(np.float32)
    right = (real + 0.3 * random.normal(size=real.shape)).astype(np.float32)
    wrong = right.copy()
    wrong[:60] = np.roll(wrong[:60], 1, axis=0)
    assert contest(pairs(real, wrong), pairs(real, right), RULE, "pairs", 0).decision.outcome == "kept: worse"


def test_translations_that_show_another_input_are_worse() -> None:
    random = np.random.default_rng(0)
    real, translated = (random.normal(size=(200, 8)).astype(np.float32) for _ in range(2))
    taken, cycle = np.ones(200, dtype=bool), np.zeros(200)

    def side(recalled: np.ndarray) -> Side:
        evidence = UnpairedEvidence(real, translated, taken, cycle, recalled)
        return Side(evidence, Measured(evidence.scores(), {}))

    sound, astray = side(random.random(200) < 0.98), side(random.random(200) < 0.7)
    assert contest(astray, sound, RULE, "unpaired", 0).decision.outcome == "kept: worse"
    assert contest(sound, astray, RULE, "unpaired", 0).decision.outcome == "promoted"


def test_a_partner_is_found_where_no_other_is_nearer() -> None:
    random = np.random.default_rng(0)
    real = random.normal(size=(60, 4))
    generated = real + 0.5 * random.normal(size=real.shape)
    distances = np.linalg.norm(generated[:, None] - real[None], axis=2)
    np.testing.assert_array_equal(partners_found(real, generated), distances.argmin(axis=1) == np.arange(60))
    assert partners_found(np.repeat(real, 2, axis=0), np.repeat(real, 2, axis=0)).all()  # a twin of the partner is no other
    many = random.normal(size=(4_000, 4))
    assert partners_found(many, random.permutation(many)).mean() == pytest.approx(0.01, abs=0.006)
    with pytest.raises(DataError, match="no pairs"):
        partners_found(real, generated[1:])


def test_a_ladder_says_what_it_finds() -> None:
    ladder: Ladder = of_source(Plane("ring"), {"noise": noise(0.05), "a mode": lost(0)}, {"one": repeated(1.0)})
    found = run(ladder, 1, RULE)
    assert (found.ordered, found.better, found.worse) == ([1.0] * 3, [True] * 3, [False] * 3)
    assert (found.said["one"], missed(found, 1)) == (["worse"], [])
    assert "reverse_kl" in found.seen["a mode"]
    assert "high_quality" not in found.seen["a mode"]


def test_faults_of_images_do_what_they_say() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 1, 6, 6), dtype=np.uint8)
    drawn = Drawn(images, np.arange(400) % 4, images[:20], images)
    round_about = shuffled(0.5)(drawn, random).samples
    assert sorted(image.tobytes() for image in round_about) == sorted(image.tobytes() for image in images)
    assert (round_about != images).any(axis=(1, 2, 3)).mean() == pytest.approx(0.5, abs=0.08)
    assert not (lost(1, 2)(drawn, random).sorts == 1).any()
    assert len(np.unique(repeated(1.0)(drawn, random).samples, axis=0)) == 20
    assert blur(1.0)(drawn, random).samples.std() < images.std() / 2
