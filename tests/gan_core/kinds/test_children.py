"""Rows with children: how they are packed, and that whatever is drawn is whole, of a generator that has learned nothing as well."""

from __future__ import annotations

import json

import numpy as np
import torch
from planted_children import COLUMNS, planted
from row_generator import untrained

from gan_core.kinds.encoding import Encoding
from gan_core.kinds.schema import Schema
from gan_core.networks.autoregressive import AutoregressiveGenerator


def test_children_come_back_as_they_were_packed() -> None:
    schema, rows, children, owners = planted()
    assert schema.children is not None
    below, of = schema.children.pooled(rows)
    order = np.argsort(owners, kind="stable")
    np.testing.assert_array_equal(below, children[order])
    np.testing.assert_array_equal(of, owners[order])
    assert Schema.from_json(json.loads(json.dumps(schema.as_json()))) == schema


def test_places_are_described_by_all_children_and_those_of_nobody_take_no_room() -> None:
    torch.manual_seed(0)  # modes are drawn, and a value at the edge of an unlikely one is cut off
    schema, rows, children, _ = planted()
    assert schema.children is not None
    first, third = schema.columns[2], schema.columns[2 + 2 * len(COLUMNS)]
    assert (first.name, third.name, first.modes) == ("orders[1].amount", "orders[3].amount", third.modes)
    assert first.extent == (children[:, 0].min(), children[:, 0].max())
    assert (first.missing, third.missing) == (0.25, 0.75)
    trimmed = schema.trimmed
    assert (len(schema.columns), len(trimmed.columns)) == (22, 14)
    encoding, shorter = Encoding(schema), Encoding(trimmed)
    assert encoding.choices.sizes == shorter.choices.sizes
    rows = torch.from_numpy(rows)
    np.testing.assert_allclose(encoding.decode(encoding.encode(rows)).numpy(), rows.numpy(), atol=0.005)


def test_what_is_drawn_has_children_where_it_says_so_and_gaps_only_where_the_table_has() -> None:
    schema, rows, _, _ = planted()
    made = untrained(schema, rows).sample(2_000, seed=0)
    below, _ = schema.children.pooled(made.samples) if schema.children is not None else (rows, rows)
    assert {*made.samples[:, 1].tolist()} == {0.0, 1.0, 2.0, 3.0}
    assert not np.isnan(below[:, :3]).any()
    assert {*below[:, 1].tolist()} == {0.0, 1.0}  # never the gap that a place without a child holds
    assert {*below[:, 2].tolist()} == {0.0, 1.0, 2.0}
    assert 0 < np.isnan(below[:, 3]).mean() < 1
    cells = made.samples[:, 2:].reshape(2_000, 5, len(COLUMNS))
    nobody = cells[np.arange(5) >= made.samples[:, [1]]]
    np.testing.assert_array_equal(nobody, np.tile([np.nan, 2.0, 2.0, np.nan], (len(nobody), 1)))


def test_a_place_of_nobody_costs_no_likelihood() -> None:
    """So rows without children are as likely as their own columns are, and their number."""
    schema, rows, _, _ = planted()
    generator = untrained(schema, rows)
    network = generator.network
    assert isinstance(network, AutoregressiveGenerator)
    childless = Encoding(schema).encode(torch.from_numpy(rows[rows[:, 1] == 0]))
    closed = network.closed
    with torch.no_grad():
        whole = network.cross_entropy(childless)
        network.closed = None
        assert float(network.cross_entropy(childless)) > float(whole) + 1
        network.closed = closed
        for place in range(2, len(network.choices.sizes)):  # the first two are the number of children and the age's mode
            for weight in network.networks[place].parameters():
                weight.normal_()
        assert float(network.cross_entropy(childless)) == float(whole)
