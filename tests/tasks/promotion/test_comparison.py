"""The paired bootstrap: what it says of generators that are equal, better and worse, and what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics.ngrams import Common
from gan_core.metrics.shapes import Matches
from gan_core.metrics.whitening import Whitening
from tasks.metrics import BETTER, FLOOR_ONLY
from tasks.promotion.comparison import Comparison, compare
from tasks.scoring.attributes import AttributeEvidence
from tasks.scoring.captions import CaptionEvidence
from tasks.scoring.clips import ClipEvidence
from tasks.scoring.images import ImageEvidence
from tasks.scoring.pairs import PairEvidence
from tasks.scoring.points import PointEvidence
from tasks.scoring.scoring import Evidence
from tasks.scoring.sentences import SentenceEvidence
from tasks.scoring.unpaired import UnpairedEvidence
from tasks.scoring.volumes import VolumeEvidence

OF_TABLES = ("utility", "detection", "column_distance", "correlation_distance", "children_distance", "relation_distance")
"""Compared in test_table_scoring.py."""


def features(count: int, seed: int, shift: float = 0.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(shift, 1, size=(count, 6)).astype(np.float32)


def of(generated: NDArray[np.float32], real: NDArray[np.float32] | None = None) -> ImageEvidence:
    return ImageEvidence(features(200, 0) if real is None else real, generated, None, None)


def compared(challenger: Evidence, champion: Evidence, metric: str = "fid", seed: int = 0) -> Comparison:
    return compare(challenger, champion, metric, replicates=300, confidence=0.9, seed=seed)


class Means(Evidence):
    """A generator whose score is the mean of what it drew, less that of the real samples."""

    def __init__(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> None:
        self.real, self.generated = real, generated
        self.n_real, self.n_generated = len(real), len(generated)

    def scores(self) -> dict[str, float]:
        return {"recall": self.score("recall")}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        shift = self.real[real].mean() if len(self.real) else 0.0
        return float(self.generated[generated].mean() - shift)


@pytest.mark.parametrize("metric", ["fid", "kid", "precision", "recall", "density", "coverage"])
def test_a_much_better_one_is_better_in_every_resample(metric: str) -> None:
    good, bad = of(features(400, 1)), of(features(400, 2, shift=2.0))
    found = compared(good, bad, metric)
    assert found.probability_better == 1.0
    assert found.gain > 0
    assert compared(bad, good, metric).probability_better == 0.0
    low, high = found.interval
    assert low < found.difference < high
    assert (low < 0) == (high < 0) == (found.difference < 0)
    assert (found.challenger, found.champion) == (
        pytest.approx(good.scores()[metric], rel=1e-5),
        pytest.approx(bad.scores()[metric], rel=1e-5),
    )


def test_the_same_generator_is_a_draw() -> None:
    found = compared(of(features(400, 1)), of(features(400, 1)))
    assert (found.probability_better, found.interval, found.difference) == (0.5, (0.0, 0.0), 0.0)


def test_is_a_function_of_its_arguments() -> None:
    one, other = of(features(400, 1)), of(features(400, 2, shift=0.1))
    assert compared(one, other) == compared(one, other)
    assert compared(one, other, seed=1) != compared(one, other)


@pytest.mark.parametrize("metric", ["fid", "kid", "recall", "label_error"])
def test_the_two_roles_mirror_each_other(metric: str) -> None:
    one, other = by_number(1), by_number(2)
    there, back = compared(one, other, metric), compared(other, one, metric)
    assert there.probability_better == pytest.approx(1 - back.probability_better)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]), rel=1e-5)


def test_few_samples_that_hold_few_of_the_rare_large_errors_do_not_decide() -> None:
    """The one is a little beside each number, the other far beside one in eight: by the truth they are equal."""
    said = []
    for seed in range(100):
        random = np.random.default_rng((3, seed))
        little, far = np.abs(random.normal(0, 0.05, 60)), np.where(random.random(60) < 0.125, np.abs(random.normal(0, 0.4, 60)), 0.0)
        one, other = (ImageEvidence(features(60, 0), features(60, 1), None, None, label_errors=errors) for errors in (little, far))
        said.append(compare(one, other, "label_error", 200, 0.95, seed).probability_better)
    assert np.mean(np.array(said) <= 0.025) <= 0.06  # by the replicates' own means 0.12
    assert np.mean(np.array(said) >= 0.975) <= 0.06


def test_a_mean_is_the_same_beside_other_scores() -> None:
    one, other = by_number(1), by_number(2)
    assert compared(*(ClipEvidence(by, np.ones(9), np.arange(9.0)) for by in (one, other)), "label_error") == compared(
        one, other, "label_error"
    )


def test_what_is_an_accident_of_the_real_samples_cancels() -> None:
    random = np.random.default_rng(0)
    real, drawn = random.normal(0, 100, 300), random.normal(0, 1, 300)
    found = compared(Means(real, drawn + 0.5), Means(real, drawn), "recall")
    # Both share latents and real samples, so the difference is known exactly however far apart the real samples are.
    np.testing.assert_allclose(found.interval, (0.5, 0.5), atol=1e-5)


def test_the_interval_is_that_of_a_difference_of_means() -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(0.1, 1, 2_000), random.normal(0, 1, 2_000)
    none = np.zeros(0)
    found = compare(Means(none, one), Means(none, other), "recall", replicates=1_000, confidence=0.9, seed=0)
    half = 1.645 * np.std(one - other) / np.sqrt(2_000)
    expected = (found.difference - half, found.difference + half)
    np.testing.assert_allclose(found.interval, expected, atol=0.2 * half)


class Shifted(Means):
    """A score that resamples shift, and the one generator's further than the other's, as distances are."""

    shift = 0.0

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        return super().resampled(metric, real, generated) + self.shift * (len(np.unique(generated)) < len(generated))


def test_what_resamples_shift_is_not_the_difference() -> None:
    none = np.zeros(0)
    one, other = (Shifted(none, features(100, seed)[:, 0].astype(np.float64)) for seed in (1, 2))
    one.shift = 10.0
    found = compared(one, other, "recall")
    assert found.difference == pytest.approx(one.generated.mean() - other.generated.mean(), rel=1e-5)
    assert found.interval[0] < found.difference < found.interval[1]
    assert found.deviation == pytest.approx(np.std(one.generated - other.generated) / 10, rel=0.2)


@pytest.mark.parametrize("metric", sorted(set(BETTER) - {*FLOOR_ONLY, *OF_TABLES}))
def test_no_score_is_compared_but_around_the_difference_seen(metric: str) -> None:
    """Whatever the score, and whatever evidence has it: the interval lies around what the samples themselves say."""
    one, other = next(pair for pair in EVIDENCE if metric in pair[0].scores())
    found = compare(one, other, metric, replicates=200, confidence=0.9, seed=0)
    low, high = found.interval
    if metric not in BIASED:
        assert found.difference == pytest.approx(one.scores()[metric] - other.scores()[metric], rel=1e-5)
    if metric in COUNTS:  # which few resamples change
        assert low <= found.difference <= high
    else:
        assert found.deviation > 0
        assert (low + high) / 2 == pytest.approx(found.difference, abs=0.15 * (high - low))


def by_class(seed: int) -> ImageEvidence:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(4), 300)
    drawn = probabilities.argmax(axis=1)
    return ImageEvidence(features(200, 0), features(300, seed), drawn, random.integers(0, 4, 300), probabilities, np.full(4, 0.25), True)


def by_published_features(seed: int) -> ImageEvidence:
    return ImageEvidence(3 * features(200, 0), 3 * features(300, seed), None, None, published=True)


def by_number(seed: int) -> ImageEvidence:
    errors = np.random.default_rng(seed).random(300)
    return ImageEvidence(features(200, 0), features(300, seed), None, None, label_errors=errors)


def of_captions(seed: int) -> CaptionEvidence:
    random = np.random.default_rng(seed)
    clusters = np.tile(np.arange(75), 4)
    return CaptionEvidence(features(200, 0), features(300, seed), random.random(300) < 0.5, features(300, seed + 9, 0.5), clusters)


def of_pairs(seed: int) -> PairEvidence:
    random = np.random.default_rng(seed)
    columns = {key: random.random(200) for key in ("l1", "psnr", "ssim", "hole_psnr", "last_ssim", "found", "found_in_real")}
    plain = {key: np.random.default_rng(0).random(200) for key in ("l1", "psnr", "ssim", "hole_psnr", "last_ssim")}
    return PairEvidence(features(200, 0), features(200, seed), columns, features(200, 9, 1.0), plain, Whitening.of(features(200, 7)))


def of_two_kinds(seed: int) -> UnpairedEvidence:
    random = np.random.default_rng(seed)
    return UnpairedEvidence(features(200, 0), features(150, seed), random.random(150) < 0.5, random.random(150), random.random(150) < 0.5)


def of_points(seed: int, shape: str) -> PointEvidence:
    points = np.random.default_rng(seed).normal(size=(300, 2)).astype(np.float32)
    truth = {"shape": shape, "radius": 1.0, "centers": [[0.0, 1.0], [1.0, 0.0], [9.0, 9.0]], "sigma": 0.2}
    return PointEvidence(points, truth, points)


def of_volumes(seed: int) -> VolumeEvidence:
    random = np.random.default_rng(seed)
    told, connected = (random.integers(0, 3, 200) / 2 for _ in range(2)), random.random(200)
    # Fewer are compared by overlap than there are features of.
    found = Matches(random.integers(-1, 200, 200), *told)
    return VolumeEvidence(ImageEvidence(features(250, 0), features(300, seed), None, None), found, connected)


def of_clips(seed: int) -> ClipEvidence:
    random = np.random.default_rng(seed)
    by_features = ImageEvidence(features(250, 0), features(300, seed), None, None)
    return ClipEvidence(by_features, np.random.default_rng(0).gamma(2.0, size=200), random.gamma(2.0 + seed, size=200))


def of_labels(seed: int) -> AttributeEvidence:
    """Translations of 100 images of two labels to the other two of three, half of them with a partner."""
    random = np.random.default_rng(seed)
    sources = np.tile(np.arange(100), 2)
    asked = (sources + np.repeat([1, 2], 100)) % 3
    each = {"source_l1": random.random(200), "cycle_l1": random.random(200)}
    partner, untouched = random.random(200), np.random.default_rng(0).random(200) + 0.5
    partner[::2] = untouched[::2] = np.nan
    real = features(300, 0)
    return AttributeEvidence(real, np.arange(300) % 3, features(200, seed), asked, sources, each, partner, untouched, ("a", "b", "c"))


def of_sentences(seed: int) -> SentenceEvidence:
    def drawn(count: int, seed: int) -> NDArray[np.int32]:
        random = np.random.default_rng(seed)
        tokens = 2 + random.geometric(0.2, (count, 6)).clip(max=20)
        return np.where(np.arange(6) < random.integers(4, 7, count)[:, None], tokens, 0).astype(np.int32)

    return SentenceEvidence(Common.of(drawn(200, 8), 30, most=100), drawn(200, 0), drawn(300, seed), drawn(200, 9))


BIASED = ("ngram_distance", "fid", "fid_infinity", "fid_ratio", "stage1_fid", "stage2_gain")
COUNTS = ("modes", "bins_filled")
EVIDENCE: list[tuple[Evidence, Evidence]] = [
    (by_class(1), by_class(2)),
    (by_number(1), by_number(2)),
    (by_published_features(1), by_published_features(2)),
    (of_captions(1), of_captions(2)),
    (of_pairs(1), of_pairs(2)),
    (of_two_kinds(1), of_two_kinds(2)),
    (of_volumes(1), of_volumes(2)),
    (of_sentences(1), of_sentences(2)),
    (of_clips(1), of_clips(2)),
    (of_labels(1), of_labels(2)),
    (of_points(1, "circle"), of_points(2, "circle")),
    (of_points(1, "ring"), of_points(2, "ring")),
]


def test_draws_of_one_caption_are_one_chance() -> None:
    """Four images of a caption that all find it, or all miss it, tell no more than one does."""
    random = np.random.default_rng(0)
    clusters = np.tile(np.arange(75), 4)
    pair = [CaptionEvidence(features(200, 0), features(300, seed), np.tile(random.random(75) < 0.5, 4), None, clusters) for seed in (1, 2)]
    found = compare(*pair, "caption_recall", replicates=1_000, confidence=0.9, seed=0)
    difference = pair[0].each["caption_recall"][:75].astype(float) - pair[1].each["caption_recall"][:75]
    assert found.deviation == pytest.approx(difference.std() / np.sqrt(75), rel=0.1)


def test_where_samples_are_too_few_the_distance_decides_nothing() -> None:
    wide = np.random.default_rng(0).normal(size=(1_000, 100)).astype(np.float32)
    few, enough = ImageEvidence(wide[:60], wide[60:200], None, None), ImageEvidence(wide[:400], wide[400:], None, None)
    expected = r"60 samples are too few for features of 100 columns that vary so; at least \d+ are needed"
    assert re.fullmatch(expected, few.undecided("fid") or "")
    assert [few.undecided(metric) for metric in ("kid", "recall")] == [None, None]
    assert enough.undecided("fid") is None
    # Not the columns count, but how many directions the real samples vary in.
    flat = (wide[:, :1] * np.ones(100)).astype(np.float32)
    assert ImageEvidence(flat[:60], wide[60:200], None, None).undecided("fid") is None


def test_unequal_numbers_are_not_compared() -> None:
    with pytest.raises(DataError, match="on 200 real and 400 generated samples for the challenger and 200 real and 300 generated samples"):
        compared(of(features(400, 1)), of(features(300, 2)))


@pytest.mark.parametrize("spoil", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(spoil: float) -> None:
    generated = features(400, 1)
    generated[7, 2] = spoil
    with pytest.raises(DataError, match="not finite"):
        compared(of(generated), of(features(400, 2)))


def as_good_by_chance(trial: int) -> tuple[Evidence, Evidence]:
    real = features(100, 10_000 + trial)
    return of(features(300, 3 * trial, shift=0.3), real), of(features(300, 3 * trial + 1, shift=-0.3), real)


def clearly_better(trial: int) -> tuple[Evidence, Evidence]:
    real = features(100, 10_000 + trial)
    return of(features(300, 3 * trial, shift=0.2), real), of(features(300, 3 * trial + 1, shift=0.5), real)


def less_varied(trial: int) -> tuple[Evidence, Evidence]:
    """As far from the real ones, by varying less where the other varies more; one generated sample for each real one."""
    real = features(60, 10_000 + trial)
    return of(0.8 * features(60, 3 * trial), real), of(1.2 * features(60, 3 * trial + 1), real)


@pytest.mark.parametrize(
    ("pair", "metric", "low", "high"),
    [
        (as_good_by_chance, "fid", 0.0, 0.08),
        (less_varied, "fid", 0.0, 0.08),
        (as_good_by_chance, "recall", 0.0, 0.08),
        (as_good_by_chance, "coverage", 0.0, 0.08),
        (clearly_better, "fid", 0.9, 1.0),
        (clearly_better, "kid", 0.9, 1.0),
    ],
)
def test_how_often_it_promotes(pair: Callable[[int], tuple[Evidence, Evidence]], metric: str, low: float, high: float) -> None:
    """A small calibration; benchmarks/gate_calibration.py is the large one. 2.5 % are to be expected of equals."""
    sure = [compare(*pair(trial), metric, replicates=200, confidence=0.95, seed=trial).probability_better >= 0.975 for trial in range(100)]
    assert low <= np.mean(sure) <= high
