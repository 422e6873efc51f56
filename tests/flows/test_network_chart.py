"""The chart of a network that `gantry show` draws: boxes in the order of the calls, with all that was called in them."""

from __future__ import annotations

from flows.network_chart import chart
from gan_core.layers import Layer


def test_boxes_stand_in_the_order_of_calls_and_hold_all_that_was_called() -> None:
    made = [
        Layer("last", "Linear", (1,), 1_025, 1_024, turn=3),
        Layer("first", "Conv2d", (4, 16, 16), 40, 9_216, turn=0),
        Layer("act", "LeakyReLU", (4, 16, 16), 0, 0, turn=1),
        Layer("pass", "Identity", (1_024,), 0, 0, turn=2),
        Layer("spare", "Linear", None, 7, 0),
    ]
    lines = chart(made)
    inside = [line.strip("│ ") for line in lines if "│" in line]
    assert inside == ["first: Conv2d, LeakyReLU", "gives 1024, 40 parameters", "last: Linear", "gives 1, 1,025 parameters"]
    assert len({len(line) for line in lines}) == 1
    assert [line.count("┬") + line.count("┴") for line in lines] == [0, 0, 0, 1, 1, 0, 0, 0]


def test_an_embedding_beside_the_last_layer_is_none_of_what_that_gives() -> None:
    lines = chart([Layer("head", "Linear", (1,), 9, 8, turn=0), Layer("label", "LabelEmbedding", (8,), 16, 0, turn=1)])
    assert [line.strip("│ ") for line in lines if "gives" in line] == ["gives 1, 9 parameters", "gives 8, 16 parameters"]


def test_a_network_of_which_nothing_was_called_has_no_boxes() -> None:
    assert chart([Layer("spare", "Linear", None, 7, 0)]) == []
