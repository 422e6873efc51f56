"""The comparison of network families: its entries differ in networks alone, and its table says what was measured."""

from __future__ import annotations

import pytest

from benchmarks.environment import example
from benchmarks.families import FAMILIES, entry_of, table
from gan_core.kinds.images import Images
from gan_core.networks import build_discriminator, build_generator
from gan_core.params import GanParams

SHAPES = {"clothing-64": (3, 64, 64), "sign-digits": (3, 32, 32), "mnist": (1, 28, 28)}


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTRY_DATA", "/data")  # entries name it, nothing is read


@pytest.mark.parametrize(("data", "family"), [(data, family) for data in FAMILIES for family in FAMILIES[data]])
def test_an_entry_differs_from_the_example_in_its_networks_alone(data: str, family: str) -> None:
    params = entry_of(data, family, 640, 3).train
    assert isinstance(params, GanParams)
    there = example(data, train={"images": 640, "seed": 3, "threads": 1}).train
    networks = {"generator", "discriminator"}
    assert params.model_dump(exclude=networks) == there.model_dump(exclude=networks)
    players, spec = params.settled_players("images"), Images(SHAPES[data], classes=("a", "b"))
    assert {player.network for player in players.values()} == {family}
    build_generator(players["generator"], spec, params.latent)
    build_discriminator(players["discriminator"], spec)


def test_the_table_has_a_line_a_family_with_the_scores_of_its_seeds_in_order_and_counts_lost_ones() -> None:
    row = {"data": "mnist", "asked": 10.0, "images": 2_000}
    rows = [
        row | {"family": "dcgan", "seed": 1, "scores": {"fid": 2.0, "recall": 0.5}},
        row | {"family": "dcgan", "seed": 0, "scores": {"fid": 1.0, "recall": 0.25}},
        row | {"family": "modern", "seed": 0, "lost": "collapsed"},
    ]
    lines = table(rows).splitlines()
    assert lines[2:] == ["| mnist | dcgan | 2,000 | 200 | 1, 2 |  | 0.25, 0.5 |  | 0 |", "| mnist | modern | 2,000 | 200 |  |  |  |  | 1 |"]
    assert len({line.count("|") for line in lines}) == 1
