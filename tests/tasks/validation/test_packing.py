"""The split never leaks or moves a sample."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.validation.packing import split_of, splits_of

digests = st.binary(min_size=1, max_size=20).map(lambda data: hashlib.sha256(data).hexdigest())


class TestSplit:
    def test_is_pinned(self) -> None:
        # Moving samples between the splits of existing data sets is a leak, so the rule may never change.
        sides = "".join(split_of(hashlib.sha256(bytes([i])).hexdigest(), 3, 0.3)[0] for i in range(40))
        assert sides == "tttttthhttthhttttthtthhtttthhttttththttt"

    @given(digests, st.integers(0, 2**31 - 1), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
    def test_a_larger_share_only_moves_samples_out_of_train(self, sha256: str, seed: int, first: float, second: float) -> None:
        small, large = sorted([first, second])
        if split_of(sha256, seed, small) == "holdout":
            assert split_of(sha256, seed, large) == "holdout"

    @pytest.mark.parametrize("holdout", [0.05, 0.1, 0.5, 0.9])
    def test_share(self, holdout: float) -> None:
        sides = [split_of(hashlib.sha256(str(i).encode()).hexdigest(), 0, holdout) for i in range(20_000)]
        # Four standard deviations of a binomial: a sound hash fails this for one set of digests in 16,000, and these are fixed.
        assert abs(sides.count("holdout") / 20_000 - holdout) < 4 * np.sqrt(holdout * (1 - holdout) / 20_000)

    def test_depends_on_the_seed(self) -> None:
        names = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(2_000)]
        held = [{name for name in names if split_of(name, seed, 0.5) == "holdout"} for seed in (0, 1)]
        # Independent halves share a quarter of all.
        assert 400 < len(held[0] & held[1]) < 600

    def test_with_enough_held_out_it_is_a_function_of_each_alone(self) -> None:
        keys = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(500)]
        assert splits_of(keys, [None] * 500, 1, 0.3, 10, 0) == [split_of(key, 1, 0.3) for key in keys]

    def test_what_scores_need_is_held_out_by_the_same_draw(self) -> None:
        keys = [hashlib.sha256(str(i // 2).encode()).hexdigest() for i in range(60)]  # equal twos
        few, more = (splits_of(keys, [None] * 60, 0, holdout, 10, 0) for holdout in (0.01, 0.3))
        assert few.count("holdout") == 10
        assert all(one == other for one, other in zip(few[::2], few[1::2], strict=True))
        assert more.count("holdout") > 10
        assert all(there == "holdout" for here, there in zip(few, more, strict=True) if here == "holdout")

    @pytest.mark.parametrize(("selection", "kept"), [(0.2, None), (40, 40), (0.001, 10), (10_000, 174)])
    def test_what_is_kept_for_selection_is_next_in_the_draw(self, selection: float, kept: int | None) -> None:
        keys = [hashlib.sha256(str(i // 2).encode()).hexdigest() for i in range(500)]  # equal twos
        without, sides = (splits_of(keys, [None] * 500, 1, 0.3, 10, 0, asked) for asked in (None, selection))
        assert [side == "holdout" for side in sides] == [side == "holdout" for side in without]
        assert all(one == other for one, other in zip(sides[::2], sides[1::2], strict=True))
        expected = [key for key in keys if split_of(key, 1, 0.3 + 0.2) != split_of(key, 1, 0.3)]
        assert sides.count("selection") == (len(expected) if kept is None else kept)
        more = splits_of(keys, [None] * 500, 1, 0.3, 10, 0, 0.4)
        assert selection > 0.4 or all(there == "selection" for here, there in zip(sides, more, strict=True) if here == "selection")

    @pytest.mark.parametrize("seed", range(10))
    def test_some_of_each_label_are_held_out_and_most_stay(self, seed: int) -> None:
        keys = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(400)]
        labels: list[str | None] = ["yes" if i < 4 else "no" for i in range(400)]
        sides = splits_of(keys, labels, seed, 0.1, 10, 1)
        assert 1 <= sides[:4].count("holdout") <= 3
        assert splits_of(keys[:1] * 4, labels[:4], seed, 0.001, 10, 1) == ["train"] * 4  # all equal: nothing can be held out
