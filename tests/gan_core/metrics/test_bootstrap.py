"""Replicates of a bootstrap against the metric computed on the drawn samples themselves, and their spread against the truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.metrics.bootstrap import BAGS, Draws
from gan_core.metrics.frechet import (
    FeatureStatistics,
    directions,
    frechet_distance,
    frechet_influences,
    frechet_replicates,
    frechet_unbiased,
)
from gan_core.metrics.kernel import cubic, gaussian, kernel_distance, kernel_replicates
from gan_core.metrics.manifold import membership


def features(count: int, width: int, seed: int, shift: float = 0.0) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    return random.normal(shift, 1 + 0.1 * np.arange(width), size=(count, width))


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return frechet_distance(FeatureStatistics.of(first), FeatureStatistics.of(second))


class TestDraws:
    def test_are_a_function_of_their_arguments(self) -> None:
        one, same, other = Draws(1000, 5, 1), Draws(1000, 5, 1), Draws(1000, 5, 2)
        np.testing.assert_array_equal(one.indices(3), same.indices(3))
        assert not np.array_equal(one.indices(3), other.indices(3))

    @pytest.mark.parametrize("size", [1, 3, BAGS, BAGS + 1, 10 * BAGS, 1000])
    def test_every_sample_is_in_one_bag(self, size: int) -> None:
        draws = Draws(size, 4, 0)
        assert sorted(np.concatenate(draws.members).tolist()) == list(range(size))
        assert len(draws.members) == min(size, BAGS)
        assert max(map(len, draws.members)) - min(map(len, draws.members)) <= 1
        assert draws.counts.sum(axis=1).tolist() == [len(draws.members)] * 4

    @pytest.mark.parametrize(("size", "clusters"), [(1, None), (7, None), (BAGS + 9, None), (60, np.arange(60) % 13)])
    def test_a_replicate_takes_each_bag_as_often_as_it_counts(self, size: int, clusters: NDArray[np.int64] | None) -> None:
        draws = Draws(size, 4, 0, clusters)
        for replicate, counts in enumerate(draws.counts):
            taken = [member for members, count in zip(draws.members, counts, strict=True) for member in members.tolist() * int(count)]
            assert draws.indices(replicate).tolist() == taken

    def test_up_to_as_many_as_there_are_bags_it_is_the_ordinary_bootstrap(self) -> None:
        draws = Draws(200, 2000, 0)
        taken = np.stack([np.bincount(draws.indices(index), minlength=200) for index in range(2000)])
        assert (taken.sum(axis=1) == 200).all()
        # Binomial(200, 1/200) for each sample.
        assert taken.mean() == 1
        assert taken.var() == pytest.approx(1 - 1 / 200, rel=0.01)

    def test_of_no_samples(self) -> None:
        assert len(Draws(0, 3, 0)) == 3
        assert len(Draws(0, 3, 0).indices(2)) == 0

    @pytest.mark.parametrize("size", [150, 5000])
    def test_the_spread_of_the_mean_is_its_standard_error(self, size: int) -> None:
        values = np.random.default_rng(0).exponential(size=size)
        draws = Draws(size, 4000, 1)
        means = (draws.counts @ draws.of_bags(values)) / (draws.counts @ draws.bag_sizes)
        assert means.mean() == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(4000 * size))
        # 256 bags know it to 4 %, 4,000 replicates to 1 %.
        assert means.std() == pytest.approx(values.std() / np.sqrt(size), rel=0.15)


@pytest.mark.parametrize(("real", "generated", "width"), [(40, 90, 6), (700, 900, 5), (20, 300, 30)])
class TestAgainstTheDrawnSamplesThemselves:
    def test_kernel(self, real: int, generated: int, width: int) -> None:
        first, second = features(real, width, 0), features(generated, width, 1, shift=0.3)
        draws, others = Draws(real, 4, 2), Draws(generated, 4, 3)
        replicates = kernel_replicates(first, second, draws, others)
        for index in range(4):
            assert replicates[index] == pytest.approx(written_out(first, second, draws.indices(index), others.indices(index)), rel=1e-9)


def reweighted(features: NDArray[np.float64], sample: int, share: float) -> FeatureStatistics:
    """The statistics of features of which one has a larger share than the others."""
    weights = np.full(len(features), (1 - share) / len(features))
    weights[sample] += share
    covariance = np.cov(features, rowvar=False, aweights=weights, ddof=0) * len(features) / (len(features) - 1)
    return FeatureStatistics.from_moments(len(features), weights @ features, covariance)


@pytest.mark.parametrize(("real", "generated", "width"), [(40, 90, 6), (700, 900, 5), (20, 300, 30), (300, 20, 30), (15, 20, 30)])
def test_an_influence_is_the_derivative_by_a_samples_share(real: int, generated: int, width: int) -> None:
    first, second = features(real, width, 0), features(generated, width, 1, shift=0.3)
    _, of_real, of_generated = frechet_influences(first, second)
    whole = FeatureStatistics.of(first), FeatureStatistics.of(second)
    more, less = 1e-5, -1e-5
    for sample in (0, 7, 14):
        ahead, back = (frechet_distance(reweighted(first, sample, share), whole[1]) for share in (more, less))
        assert of_real[sample] == pytest.approx((ahead - back) / (more - less), rel=1e-3, abs=1e-3)
        ahead, back = (frechet_distance(whole[0], reweighted(second, sample, share)) for share in (more, less))
        assert of_generated[sample] == pytest.approx((ahead - back) / (more - less), rel=1e-3, abs=1e-3)


def test_differences_of_two_generators_are_those_on_the_drawn_samples_themselves() -> None:
    real, one, other = features(200, 6, 0), features(400, 6, 1, shift=0.4), features(400, 6, 2, shift=0.45)
    draws, others = Draws(200, 100, 3), Draws(400, 100, 4)
    told = frechet_replicates(real, one, draws, others) - frechet_replicates(real, other, draws, others)
    drawn = [(real[draws.indices(index)], others.indices(index)) for index in range(100)]
    there = [distance(some, one[taken]) - distance(some, other[taken]) for some, taken in drawn]
    assert np.corrcoef(told, there)[0, 1] > 0.95
    assert told.std() == pytest.approx(np.std(there), rel=0.1)
    assert told.mean() == pytest.approx(np.mean(there), abs=0.2 * told.std())


def written_out(real: NDArray[np.float64], generated: NDArray[np.float64], taken: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """The kernel distance of a resample, over pairs of different samples only."""

    def mean(one: NDArray[np.float64], other: NDArray[np.float64], different: NDArray[np.bool_]) -> float:
        return float((((one @ other.T) / one.shape[1] + 1) ** 3)[different].mean())

    within = mean(real[taken], real[taken], taken[:, None] != taken)
    within += mean(generated[others], generated[others], others[:, None] != others)
    return within - 2 * mean(real[taken], generated[others], np.ones((len(taken), len(others)), dtype=bool))


def test_a_draw_of_each_sample_once_is_the_whole_set() -> None:
    first, second = features(60, 4, 0), features(80, 4, 1)
    draws, others = Draws(60, 1, 0), Draws(80, 1, 0)
    draws.counts[:] = others.counts[:] = 1
    assert frechet_replicates(first, second, draws, others)[0] == pytest.approx(distance(first, second), rel=1e-9)
    for kernel in (cubic, gaussian):
        replicates = kernel_replicates(first, second, draws, others, kernel=kernel)
        assert replicates[0] == pytest.approx(kernel_distance(first, second, kernel=kernel), rel=1e-9)


def test_equal_generators_come_out_equal_in_every_replicate() -> None:
    real, generated = features(50, 5, 0), features(300, 5, 1)
    draws, others = Draws(50, 20, 0), Draws(300, 20, 1)
    first, second = (frechet_replicates(real, generated.copy(), draws, others) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_spread_is_that_of_newly_drawn_samples() -> None:
    """The whole point: what resampling one set says of chance is what drawing sets anew shows."""
    anew = [distance(features(400, 4, 2 * seed), features(600, 4, 2 * seed + 1, shift=0.5)) for seed in range(300)]
    told = [
        frechet_replicates(features(400, 4, seed), features(600, 4, seed + 1, shift=0.5), Draws(400, 100, 0), Draws(600, 100, 1)).std()
        for seed in (1000, 2000, 3000, 4000)
    ]
    assert np.mean(told) == pytest.approx(np.std(anew), rel=0.2)


def test_constant_features_have_no_distance_from_themselves() -> None:
    same = np.ones((30, 4))
    np.testing.assert_allclose(frechet_replicates(same, same, Draws(30, 5, 0), Draws(30, 5, 1)), 0, atol=1e-12)


@pytest.mark.parametrize("replicates", [frechet_replicates, kernel_replicates])
def test_what_cannot_be_resampled(replicates: object) -> None:
    good, draws = features(10, 3, 0), Draws(10, 2, 0)
    spoiled = good.copy()
    spoiled[3, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        replicates(good, spoiled, draws, draws)  # type: ignore[operator]
    with pytest.raises(DataError, match="cannot be compared"):
        replicates(good, good[:, :2], draws, draws)  # type: ignore[operator]
    with pytest.raises(DataError, match="at least 2"):
        replicates(good, good[:1], draws, Draws(1, 2, 0))  # type: ignore[operator]


@pytest.mark.parametrize("metric", ["precision", "recall", "density", "coverage"])
def test_what_a_sample_weighs_in_precision_and_recall_is_what_is_lost_without_it(metric: str) -> None:
    real, generated = features(40, 3, 0), features(50, 3, 1, shift=0.8)
    found = membership(real, generated)
    of_real, of_generated = found.influences(metric)
    in_real = np.linalg.norm(generated[None] - real[:, None], axis=2) <= radii(real)[:, None]
    in_generated = np.linalg.norm(generated[None] - real[:, None], axis=2) <= radii(generated)[None]

    def without(real_one: int | None, generated_one: int | None) -> float:
        """The score with the balls as they are, and one sample left out."""
        here = np.arange(40) != real_one, np.arange(50) != generated_one
        inside, recalled = in_real[np.ix_(*here)], in_generated[np.ix_(*here)]
        if metric == "density":  # by k of all, as it is
            return float(inside.sum(axis=0).mean()) / 5 * (40 / here[0].sum())
        by = {"precision": inside.any(axis=0), "recall": recalled.any(axis=1), "coverage": inside.any(axis=1)}
        return float(by[metric].mean())

    whole = without(None, None)
    assert getattr(found.scores(), metric) == pytest.approx(whole)
    lost = np.array([39 * (whole - without(one, None)) for one in range(40)])
    assert of_real == pytest.approx(lost - lost.mean(), abs=1e-9)
    lost = np.array([49 * (whole - without(None, one)) for one in range(50)])
    assert of_generated == pytest.approx(lost - lost.mean(), abs=1e-9)


def radii(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each to its fifth nearest other one."""
    return np.asarray(np.sort(np.linalg.norm(points[None] - points[:, None], axis=2), axis=1)[:, 5])


def test_clusters_are_never_parted() -> None:
    clusters = np.repeat(np.arange(40), 5)[np.random.default_rng(0).permutation(200)]
    draws = Draws(200, 500, 0, clusters)
    assert sorted(np.concatenate(draws.members).tolist()) == list(range(200))
    assert len(draws.members) == 40
    assert all(len(set(clusters[members].tolist())) == 1 for members in draws.members)
    # Five that are equal are worth one: the spread of the mean is that of 40.
    values = np.random.default_rng(1).normal(size=40)[clusters]
    assert draws.means(values).std() == pytest.approx(values.std() / np.sqrt(40), rel=0.15)
    assert Draws(200, 500, 0).means(values).std() == pytest.approx(values.std() / np.sqrt(200), rel=0.15)
    assert sorted(np.concatenate(draws.folds(5)).tolist()) == list(range(200))


class TestUnbiased:
    """Ten columns. The truth is 10 * 0.2**2 for either: one varies less than the real ones, the other more."""

    @staticmethod
    def two(seed: int, count: int) -> list[float]:
        random = np.random.default_rng(seed)
        real = random.normal(size=(count, 10))
        draws, others = Draws(count, 1, 2 * seed), Draws(count, 1, 2 * seed + 1)
        return [
            of(real, random.normal(scale=scale, size=(count, 10)))
            for scale in (0.8, 1.2)
            for of in (distance, lambda one, other: frechet_unbiased(one, other, draws, others))
        ]

    def test_few_samples_do_not_favour_the_one_that_varies_less(self) -> None:
        found = np.array([self.two(seed, 60) for seed in range(200)])
        plain, unbiased = found[:, 0] - found[:, 2], found[:, 1] - found[:, 3]
        error = unbiased.std() / np.sqrt(200)
        assert plain.mean() < -5 * error
        assert unbiased.mean() == pytest.approx(0, abs=3 * error)
        assert found[:, [1, 3]].mean() == pytest.approx(0.4, abs=0.03)

    def test_partners_are_left_out_together(self) -> None:
        """What follows its input shares the accidents of the real samples, which makes it look nearer than it is."""
        found = []
        for seed in range(200):
            random = np.random.default_rng(seed)
            real = random.normal(size=(60, 10))
            draws = Draws(60, 1, seed)
            both = 0.8 * real, 0.8 * random.normal(size=(60, 10))
            found.append([distance(real, made) for made in both] + [frechet_unbiased(real, made, draws, draws) for made in both])
        plain_following, plain_free, following, free = np.mean(found, axis=0)
        assert plain_following < plain_free - 0.5
        assert following == pytest.approx(free, abs=0.06)

    def test_a_single_sample_has_no_parts(self) -> None:
        with pytest.raises(DataError, match="at least 2 are needed"):
            frechet_unbiased(features(1, 3, 0), features(9, 3, 1), Draws(1, 1, 0), Draws(9, 1, 1))


def test_how_many_directions_features_vary_in() -> None:
    draw = np.random.default_rng(0)
    assert directions(draw.normal(size=(5_000, 20))) == pytest.approx(20, rel=0.02)
    assert directions(draw.normal(size=(5_000, 1)) * np.ones(20)) == pytest.approx(1)
    assert directions(np.ones((10, 4))) == 1.0


def test_a_generator_that_follows_its_input_is_not_flattered_by_kid() -> None:
    """Of what varies as real ones do: the truth is 0, whether it is the partner itself or another sample."""
    found = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        real = random.normal(size=(40, 6))
        following, free = 0.9 * real + 0.436 * random.normal(size=(40, 6)), random.normal(size=(40, 6))
        found.append([kernel_distance(real, made, paired) for paired in (False, True) for made in (following, free)])
    plain, plain_free, following, free = np.mean(found, axis=0)
    error = 4 * np.std(found, axis=0).max() / np.sqrt(200)
    assert plain < plain_free - error
    assert (following, free) == (pytest.approx(0, abs=error), pytest.approx(0, abs=error))
    draws = Draws(40, 1, 0)
    draws.counts[:] = 1
    other = real[::-1] + 0.5
    assert kernel_replicates(real, other, draws, draws, True)[0] == pytest.approx(kernel_distance(real, other, True), rel=1e-9)
    with pytest.raises(DataError, match="40 real and 39 generated features are no pairs"):
        kernel_distance(real, real[:39], True)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(Draws(len(values), 400, 0).likely_means(values), [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize("count", [60, 600])
def test_the_likely_means_of_what_is_normal_are_those_of_students_t(count: int) -> None:
    values = np.random.default_rng(0).normal(3, 1, count)
    half = 1.96 * values.std() / np.sqrt(count)
    np.testing.assert_allclose(interval(values), (values.mean() - half, values.mean() + half), atol=0.25 * half)


def test_a_mean_of_few_large_values_is_missed_on_either_side_as_often_as_is_said() -> None:
    """One value in eight is large: replicates' own means lie below the true one in 10 % of such samples, where 2.5 % are said."""
    truth, above, below, plain = 0.125 * 0.4 * np.sqrt(2 / np.pi), 0, 0, 0
    for seed in range(400):
        random = np.random.default_rng((1, seed))
        values = np.where(random.random(60) < 0.125, np.abs(random.normal(0, 0.4, 60)), 0.0)
        low, high = interval(values)
        above, below = above + (low > truth), below + (high < truth)
        plain += bool(np.quantile(Draws(60, 400, 0).means(values), 0.975) < truth)
    assert plain > 0.07 * 400
    assert above < 0.05 * 400
    assert below < 0.05 * 400


def test_a_handful_that_differs_may_be_on_one_side_by_chance() -> None:
    values, draws, promoted, plainly = np.zeros(300), Draws(300, 400, 0), 0, 0
    values[:3] = 1  # as three heads in a row
    assert interval(values)[0] < 0 < interval(values)[1]
    values[:12] = 1
    assert interval(values)[0] > 0
    for seed in range(400):
        random = np.random.default_rng((2, seed))
        values = np.where(random.random(300) < 4 / 300, random.choice([-1.0, 1.0], 300), 0.0)  # two shares of 99 %
        promoted += bool(np.mean(draws.likely_means(values) > 0) >= 0.975)
        plain = draws.means(values)
        plainly += bool(np.mean(plain + values.mean() > plain.mean()) >= 0.975)
    assert plainly > 0.05 * 400
    assert promoted < 0.04 * 400


def test_likely_means_of_the_other_sign_are_the_same() -> None:
    draws, values = Draws(100, 300, 0), np.random.default_rng(0).exponential(size=100)
    np.testing.assert_allclose(draws.likely_means(-values), -draws.likely_means(values), rtol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_the_mean_of_values_that_are_alike_is_known(count: int) -> None:
    np.testing.assert_allclose(Draws(count, 50, 0).likely_means(np.full(count, 0.1)), 0.1, rtol=1e-12)


def test_likely_means_are_finite_where_most_replicates_hold_nothing_that_differs() -> None:
    for count in (2, 5, 40):
        assert np.isfinite(Draws(count, 500, 0).likely_means(np.eye(1, count)[0])).all()
