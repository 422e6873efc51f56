"""What is found out about a table's columns."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import planted_table
import pytest
from numpy.typing import NDArray

from gan_core.kinds.schema import Column, Mode, Schema, fit_modes, fit_spikes


class TestModes:
    @pytest.mark.parametrize(
        "planted",
        [
            [(0.5, -10.0, 1.0), (0.5, 10.0, 1.0)],
            [(0.7, 0.0, 1.0), (0.3, 20.0, 3.0)],
            [(0.4, -2_000.0, 50.0), (0.35, 0.0, 100.0), (0.25, 3_000.0, 200.0)],
        ],
    )
    def test_of_a_planted_mixture_are_found(self, planted: list[tuple[float, float, float]]) -> None:
        draw = np.random.default_rng(0)
        counts = [int(4_000 * weight) for weight, _, _ in planted]
        values = np.concatenate([draw.normal(mean, std, n) for n, (_, mean, std) in zip(counts, planted, strict=True)])
        found = fit_modes(values)
        for weight, mean, std in planted:
            # Those near a planted one, taken together: the mixture may use two where one would do.
            near = [mode for mode in found if abs(mode.mean - mean) < 4 * std]
            share = sum(mode.weight for mode in near)
            assert share == pytest.approx(weight, abs=0.05)
            assert sum(mode.weight * mode.mean for mode in near) / share == pytest.approx(mean, abs=std / 3)
        assert sum(mode.weight for mode in found) == pytest.approx(1)
        assert [mode.weight for mode in found] == sorted((mode.weight for mode in found), reverse=True)

    def test_are_a_function_of_the_values(self) -> None:
        values = np.random.default_rng(1).normal(size=20_000)  # more than are fitted on
        assert fit_modes(values) == fit_modes(values.copy())

    @pytest.mark.parametrize("values", [[5.0] * 20, [0.0] * 3, [1e300] * 5, [0.1 + 0.2, 0.3, 0.3]])
    def test_a_constant_has_none(self, values: list[float]) -> None:
        assert fit_modes(np.array(values)) == ()

    @pytest.mark.parametrize("values", [[0.0, 1.0], [1e-200, 2e-200, 3e-200], [-1e200, 1e200, 5e199], [0.0] * 99 + [1e9]])
    def test_odd_values_have_finite_ones(self, values: list[float]) -> None:
        modes = fit_modes(np.array(values))
        assert modes
        assert all(np.isfinite([mode.weight, mode.mean, mode.std]).all() and mode.std > 0 for mode in modes)


def fitted(*columns: NDArray[np.float64]) -> Schema:
    """Numbers x0, x1, ..., as they are described."""
    schema = Schema(tuple(Column(f"x{number}", "number", "float64") for number in range(len(columns))))
    return schema.fitted(np.stack(columns, axis=1), None, 0)


class TestDescribedAsElsewhere:
    """A number in the modes and spikes of other rows, where they suit its own."""

    draw = np.random.default_rng(0)
    before, after = draw.normal(5, 1, 400), draw.normal(5, 1, 600)

    def test_a_spike_that_few_new_rows_make_changes_nothing(self) -> None:
        more = np.concatenate([self.after, np.full(30, 4.5)])
        there, here = fitted(self.before), fitted(more)
        assert (there.columns[0].spikes, here.columns[0].spikes) == ((), (4.5,))
        found, anew = here.described_as(there, more[:, None])
        assert (found.columns[0].modes, found.columns[0].spikes, anew) == (there.columns[0].modes, (), [])
        assert (found.columns[0].low, found.columns[0].high) == (more.min(), more.max())  # its own rows', not the others'

    def test_nothing_is_drawn_between_a_spike_and_the_rest(self) -> None:
        there, here = ([np.zeros(200), rest] for rest in (self.before, self.after + 1))
        rows = np.concatenate(here)
        found, anew = fitted(rows).described_as(fitted(np.concatenate(there)), rows[:, None])
        assert (found.columns[0].spikes, found.columns[0].between, anew) == ((0.0,), (here[1].min(), here[1].max()), [])

    @pytest.mark.parametrize(
        ("there", "here"),
        [
            (before, after + 40),  # beyond all its modes
            (np.concatenate([before, np.full(100, 9.0)]), after),  # a spike that there is no more
            (np.concatenate([before, np.full(100, np.nan)]), after),
            (before, np.concatenate([after, np.full(100, np.nan)])),
            (np.repeat([1.0, 2.0], 200), after),  # of spikes alone
        ],
        ids=["drifted", "spike gone", "gaps gone", "gaps come", "no modes there"],
    )
    def test_what_suits_no_longer_is_described_anew(self, there: NDArray[np.float64], here: NDArray[np.float64]) -> None:
        own = fitted(here, here)
        found, anew = own.described_as(fitted(there), np.stack([here, here], axis=1))
        assert (found, anew) == (own, ["x0", "x1"])  # x1 is no column there


class TestSpikes:
    def test_what_stands_out_is_found_most_frequent_first(self) -> None:
        draw = np.random.default_rng(0)
        values = np.concatenate([np.zeros(600), np.full(100, 40.0), draw.normal(40, 5, 1_000).round(1)])
        assert fit_spikes(draw.permutation(values)) == (0.0, 40.0)

    def test_a_column_of_few_values_is_spikes_alone(self) -> None:
        assert fit_spikes(np.repeat([9.99, 19.99, 29.99], [30, 10, 20])) == (9.99, 29.99, 19.99)

    @pytest.mark.parametrize("digits", [0, 1, 6])
    @pytest.mark.parametrize("count", [60, 500, 20_000])
    def test_rounding_alone_makes_none(self, count: int, digits: int) -> None:
        assert fit_spikes(np.random.default_rng(count).normal(50, 12, count).round(digits)) == ()

    def test_a_constant_has_none(self) -> None:
        assert fit_spikes(np.full(50, 0.1)) == ()

    def test_the_schema_keeps_gaps_spikes_and_modes_apart(self) -> None:
        draw = np.random.default_rng(0)
        gain = np.where(draw.random(2_000) < 0.9, 0.0, draw.normal(5_000, 100, 2_000).round())
        gain[::4] = np.nan
        rare = np.where(np.arange(2_000) < 1_990, 1.0, 2.0)
        empty = np.full(2_000, np.nan)
        columns = tuple(Column(name, "number", "int64") for name in ("gain", "rare", "empty"))
        known = Schema(columns).fitted(np.stack([gain, rare, empty], axis=1), None, 0, modes=1)
        assert (known.columns[0].spikes, known.columns[0].missing) == ((0.0,), 0.25)
        assert known.columns[0].modes == (Mode(1.0, pytest.approx(5_000, abs=30), pytest.approx(100, rel=0.2)),)
        assert (known.columns[1].spikes, known.columns[1].modes) == ((1.0, 2.0), ())
        assert (known.columns[2].spikes, known.columns[2].modes, known.columns[2].missing) == ((), (), 1.0)
        assert Schema.from_json(json.loads(json.dumps(dataclasses.asdict(known)))) == known


def test_the_schema_knows_range_decimals_and_shares() -> None:
    values, labels = planted_table.rows(500)
    known = planted_table.schema(values, labels)
    height, age, always, colour, _ = known.columns
    assert (height.low, height.high) == (values[:, 0].min(), values[:, 0].max())
    assert (height.decimals, age.decimals) == (2, 0)
    assert always.modes == ()
    assert (colour.modes, colour.low, colour.decimals) == (None, None, None)
    assert known.shares == pytest.approx([1 - labels.mean(), labels.mean()])


def test_more_than_eight_digits_are_not_rounded() -> None:
    fitted = Schema((Column("x", "number", "float64"),)).fitted(np.random.default_rng(0).normal(size=(50, 1)), None, 0)
    assert fitted.columns[0].decimals is None


def test_json_gives_the_schema_back() -> None:
    known = planted_table.schema(*planted_table.rows(100))
    assert isinstance((known.columns[0].modes or ())[0], Mode)
    assert Schema.from_json(json.loads(json.dumps(dataclasses.asdict(known)))) == known


def test_schemas_are_alike_whose_rows_can_stand_side_by_side() -> None:
    one, other = (planted_table.schema(*planted_table.rows(100, seed)) for seed in (0, 1))
    assert one != other
    assert one.is_like(other)
    recoloured = dataclasses.replace(other.columns[3], categories=("blue", "green"))
    assert not one.is_like(dataclasses.replace(other, columns=(*other.columns[:3], recoloured, other.columns[4])))
    assert not one.is_like(dataclasses.replace(other, label="sold"))
