"""Rows encoded and decoded again."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import planted_table
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from row_generator import untrained

from gan_core.kinds.encoding import Choices, Encoding
from gan_core.kinds.schema import Column, Mode, Schema
from gan_core.kinds.table import Table
from gan_core.networks.tabular import TabularGenerator
from gan_core.params.networks import TabularGeneratorParams


def test_an_encoded_row_is_scalars_and_then_choices() -> None:
    values, labels = planted_table.rows(400)
    known = planted_table.schema(values, labels)
    encoding = Encoding(known)
    modes = [len(column.modes or ()) for column in known.columns[:2]]
    assert encoding.scalars == 2  # the constant takes no room
    assert encoding.choices.sizes == (*(size for size in modes if size > 1), 3, 3)
    torch.manual_seed(0)
    encoded = encoding.encode(torch.from_numpy(values))
    assert encoded.shape == (400, encoding.width)
    assert encoded.dtype == torch.float32
    assert encoded[:, :2].abs().max() <= 1
    for choice in encoded[:, 2:].split(encoding.choices.sizes, dim=1):
        assert set(choice.unique().tolist()) <= {0.0, 1.0}
        assert (choice.sum(dim=1) == 1).all()
    colours = encoded[:, encoding.width - 6 : encoding.width - 3].argmax(dim=1)
    assert colours.tolist() == values[:, 3].astype(int).tolist()


def test_each_number_is_told_by_the_mode_that_it_lies_in() -> None:
    values, labels = planted_table.rows(400)
    known = planted_table.schema(values, labels)
    encoding = Encoding(known)
    means = np.array([mode.mean for mode in known.columns[0].modes or ()])
    assert len(means) >= 2
    torch.manual_seed(0)
    choice = encoding.encode(torch.from_numpy(values))[:, 2 : 2 + len(means)].argmax(dim=1).numpy()
    assert (np.sign(means[choice]) == np.sign(values[:, 0])).all()  # the two planted modes are 20 deviations apart


def test_decoding_gives_the_rows_back() -> None:
    values, labels = planted_table.rows(400)
    encoding = Encoding(planted_table.schema(values, labels))
    torch.manual_seed(0)
    decoded = encoding.decode(encoding.encode(torch.from_numpy(values)))
    assert decoded.dtype == torch.float64
    np.testing.assert_array_equal(decoded[:, 1:].numpy(), values[:, 1:])  # whole numbers, constants and categories exactly
    np.testing.assert_allclose(decoded[:, 0].numpy(), values[:, 0], atol=0.0101)


def test_whatever_a_network_says_decodes_to_values_that_the_column_can_have() -> None:
    values, labels = planted_table.rows(200)
    encoding = Encoding(planted_table.schema(values, labels))
    torch.manual_seed(0)
    decoded = encoding.decode(torch.randn(1_000, encoding.width) * 3).numpy()
    assert (decoded.min(axis=0) >= values.min(axis=0)).all()
    assert (decoded.max(axis=0) <= values.max(axis=0)).all()
    np.testing.assert_array_equal(decoded[:, 1:], np.round(decoded[:, 1:]))
    np.testing.assert_array_equal(decoded[:, 0], np.round(decoded[:, 0], 2))


def gapped() -> tuple[NDArray[np.float64], Schema]:
    """A number with a spike and gaps, one whose every value is a spike, a constant with gaps, and a plain one."""
    draw = np.random.default_rng(0)
    gain = np.where(draw.random(400) < 0.6, 0.0, draw.normal(500, 50, 400).round(1))
    prices = draw.choice([9.99, 19.99], 400)
    always = np.full(400, 7.0)
    plain = draw.normal(size=400).round(3)
    gain[::3], always[::2] = np.nan, np.nan
    rows = np.stack([gain, prices, always, plain], axis=1)
    return rows, Schema(tuple(Column(name, "number", "float64") for name in "abcd")).fitted(rows, None, 0, modes=1)


def test_gaps_and_spikes_are_options_beside_the_modes() -> None:
    rows, known = gapped()
    encoding = Encoding(known)
    assert (encoding.scalars, encoding.modes) == (2, (1, 0))
    assert encoding.choices.sizes == (3, 2, 2)  # mode, 0 and gap; the two prices; 7 and gap
    encoded = encoding.encode(torch.from_numpy(rows))
    gain = torch.from_numpy(rows[:, 0])
    assert encoded[:, 2].bool().tolist() == (gain.isfinite() & (gain != 0)).tolist()
    assert encoded[:, 3].bool().tolist() == (gain == 0).tolist()
    assert encoded[:, 4].bool().tolist() == gain.isnan().tolist()
    assert not encoded[gain.isnan() | (gain == 0), 0].any()
    decoded = encoding.decode(encoded).numpy()
    np.testing.assert_array_equal(decoded[:, 1:3], rows[:, 1:3])
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(rows))
    np.testing.assert_array_equal(decoded[:, 0] == 0, rows[:, 0] == 0)
    np.testing.assert_allclose(decoded, rows, atol=0.101)


def test_what_training_never_had_is_told_by_what_lies_beside_it() -> None:
    _, known = gapped()
    encoding = Encoding(known)
    rows = torch.tensor([[np.nan, 18.0, 8.0, np.nan]], dtype=torch.float64)  # the last column has no gaps
    decoded = encoding.decode(encoding.encode(rows))
    assert decoded[0, 0].isnan()
    assert decoded[0, 1:3].tolist() == [19.99, 7.0]
    assert decoded[0, 3].isfinite()


@pytest.mark.parametrize("points", [True, False])
def test_a_generator_s_scalar_fades_where_a_spike_or_gap_is_chosen(points: bool) -> None:
    """And without any, a table's network is what it was."""
    known = gapped()[1] if points else planted_table.schema(*planted_table.rows(200))
    encoding = Encoding(known)
    latent = 5 + encoding.choices.width
    torch.manual_seed(0)
    gated = TabularGenerator(TabularGeneratorParams(), Table((5,), schema=known), latent)
    plain = copy.deepcopy(gated)
    plain.gate_factors.zero_()
    plain.gate_constants.fill_(1.0)
    assert gated.state_dict().keys() == plain.state_dict().keys()
    latents = torch.randn(50, latent)
    one, other = gated(latents), plain(latents)
    if not points:
        assert encoding.modes == ()
    expected = other.clone()
    if points:
        expected[:, 0] *= other[:, 2]
    torch.testing.assert_close(one, expected)


finite = st.floats(-1e9, 1e9).map(lambda value: round(value, 6))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(finite, st.integers(-1_000, 1_000), st.integers(0, 2)), min_size=2, max_size=30), st.integers(0, 2**31 - 1))
def test_any_table_comes_back(rows: list[tuple[float, int, int]], seed: int) -> None:
    """To within the part that is cut off, beyond four deviations of the mode that the value was told by, and float32's precision."""
    values = np.array(rows, dtype=np.float64)
    columns = (Column("a", "number", "float64"), Column("b", "number", "int64"), Column("c", "category", "string", ("x", "y", "z")))
    encoding = Encoding(Schema(columns).fitted(values, None, 0))
    torch.manual_seed(seed)
    encoded = encoding.encode(torch.from_numpy(values))
    decoded = encoding.decode(encoded).numpy()
    np.testing.assert_array_equal(decoded[:, 2], values[:, 2])
    spread = np.ptp(values[:, :2], axis=0)
    assert encoding.scalars <= (spread > 0).sum()
    cut = (encoded[:, : encoding.scalars].abs() >= 1).any(dim=1).numpy()
    error = np.abs(decoded[:, :2] - values[:, :2])
    assert (error[~cut] <= 1e-5 * spread + 1 + 1e-6 * np.abs(values[~cut, :2])).all()


class TestChoices:
    def test_softmax_is_that_of_each_choice(self) -> None:
        choices = Choices((2, 3, 5))
        torch.manual_seed(0)
        logits = torch.randn(7, 10, requires_grad=True)
        found = choices.softmax(logits)
        expected = torch.cat([part.softmax(dim=1) for part in logits.split((2, 3, 5), dim=1)], dim=1)
        torch.testing.assert_close(found, expected)
        (gradient,) = torch.autograd.grad(found.square().sum(), logits)
        (reference,) = torch.autograd.grad(expected.square().sum(), logits)
        torch.testing.assert_close(gradient, reference)

    def test_one_hot_and_back(self) -> None:
        choices = Choices((2, 4, 3))
        chosen = torch.tensor([[0, 3, 2], [1, 0, 0]])
        assert choices.one_hot(chosen).tolist() == [[1, 0, 0, 0, 0, 1, 0, 0, 1], [0, 1, 1, 0, 0, 0, 1, 0, 0]]
        torch.testing.assert_close(choices.chosen(choices.one_hot(chosen)), chosen)

    @pytest.mark.parametrize("count", [1, 5])
    def test_none_at_all(self, count: int) -> None:
        choices = Choices(())
        assert choices.one_hot(torch.zeros(count, 0, dtype=torch.long)).shape == (count, 0)
        assert choices.chosen(torch.zeros(count, 0)).shape == (count, 0)


def test_a_table_of_numbers_of_one_mode_has_no_choices() -> None:
    values = np.random.default_rng(0).normal(5, 2, size=(200, 1))
    encoding = Encoding(Schema((Column("x", "number", "float64", low=-5.0, high=15.0, modes=(Mode(1.0, 5.0, 2.0),)),)))
    assert (encoding.scalars, encoding.width) == (1, 1)
    encoded = encoding.encode(torch.from_numpy(values))
    np.testing.assert_allclose(encoded.numpy(), (values - 5) / 8, rtol=1e-6)  # four deviations are 1
    np.testing.assert_allclose(encoding.decode(encoded).numpy(), values, rtol=1e-5)


def test_rows_are_the_same_however_many_are_drawn_at_once_and_on_however_many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = planted_table.rows(300)
    generator = untrained(Schema(planted_table.COLUMNS, "bought"), rows, planted_table.CLASSES, labels)
    together = generator.sample(700, seed=3).samples
    assert generator.config.data.together > 700
    monkeypatch.setattr(Table, "together", 256)
    np.testing.assert_array_equal(generator.sample(700, seed=3).samples, together)
    threads = torch.get_num_threads()
    try:
        for some in (1, 2, 3):
            torch.set_num_threads(some)
            np.testing.assert_array_equal(generator.sample(700, seed=3).samples, together)
            assert torch.get_num_threads() == some
    finally:
        torch.set_num_threads(threads)


def test_fewer_rows_of_very_many_categories_are_drawn_at_once() -> None:
    """So that their choices, padded, take 8 MB at most, or those of 256 rows."""

    def spec(values: int) -> Table:
        column = Column("c", "category", "string", tuple(map(str, range(values))))
        return Table((2,), schema=Schema((column, replace(column, name="d"))))

    assert [spec(values).together for values in (10, 1_000, 100_000)] == [2_048, 1_048, 256]
