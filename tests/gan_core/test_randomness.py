"""Seeds mixed from several numbers, and the global state set from them."""

from __future__ import annotations

import torch

from gan_core.randomness import mix, reseed

CPU = torch.device("cpu")


def test_one_number_gives_the_first_output_of_splitmix64() -> None:
    """Published first outputs of SplitMix64 for the seeds 0 and 1234567, halved to fit 63 bits."""
    assert mix(0) == 0xE220A8397B1DCDAF >> 1
    assert mix(1234567) == 6457827717110365317 >> 1


def test_seeds_are_in_range_and_spread_well() -> None:
    """Neighbouring numbers of images and neighbouring seeds share no seed, and every bit is set half the time."""
    seeds = [mix(seed, images) for seed in range(20) for images in range(0, 64 * 500, 64)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    for bit in range(63):
        share = sum(seed >> bit & 1 for seed in seeds) / len(seeds)
        assert 0.47 < share < 0.53


def test_order_and_count_of_the_numbers_matter() -> None:
    assert len({mix(1, 2), mix(2, 1), mix(1, 2, 0), mix(0, 1, 2), mix(3)}) == 5


def test_reseeding_makes_every_draw_a_function_of_its_numbers() -> None:
    reseed(CPU, 7, 640)
    first = torch.randn(4), torch.rand(3), torch.nn.functional.dropout(torch.ones(32), 0.5)
    torch.randn(100)
    reseed(CPU, 7, 704)
    assert not torch.equal(torch.randn(4), first[0])
    reseed(CPU, 7, 640)
    for expected, drawn in zip(first, (torch.randn(4), torch.rand(3), torch.nn.functional.dropout(torch.ones(32), 0.5)), strict=True):
        assert torch.equal(drawn, expected)


def test_reseeding_is_manual_seed() -> None:
    reseed(CPU, 1, 2, 3)
    drawn = torch.randn(5)
    torch.manual_seed(mix(1, 2, 3))
    assert torch.equal(torch.randn(5), drawn)
