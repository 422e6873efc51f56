"""The pool of past images: what it shows, and that it is part of a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_core.pool import ImagePool


def numbered(start: int, count: int) -> Tensor:
    """Images that are told apart by their value."""
    return torch.arange(start, start + count, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def values(images: Tensor) -> list[int]:
    return [int(value) for value in images[:, 0, 0, 0]]


def test_while_there_is_room_new_images_are_kept_and_shown() -> None:
    pool = ImagePool(5, (1, 2, 2))
    assert values(pool.exchange(numbered(0, 3))) == [0, 1, 2]
    assert values(pool.exchange(numbered(3, 2))) == [3, 4]
    assert values(pool.images) == [0, 1, 2, 3, 4]


def test_a_full_pool_shows_an_old_one_half_of_the_time_and_keeps_the_new_one_in_its_place() -> None:
    torch.manual_seed(0)
    pool = ImagePool(10, (1, 2, 2))
    pool.exchange(numbered(0, 10))
    new = numbered(10, 400)
    before, shown = set(values(pool.images)), values(pool.exchange(new))
    old = [value for value, own in zip(shown, values(new), strict=True) if value != own]
    assert 160 < len(old) < 240
    # Nothing is shown twice and nothing is lost: what went in came out or is still there.
    assert len(shown) == len(set(shown))
    assert set(shown) | set(values(pool.images)) == before | set(values(new))


def test_each_place_is_taken_equally_often() -> None:
    torch.manual_seed(0)
    counts = torch.zeros(4)
    pool = ImagePool(4, (1, 2, 2))
    pool.exchange(numbered(0, 4))
    for i in range(4, 1200):
        places = values(pool.images)
        pool.exchange(numbered(i, 1))
        if i in values(pool.images):
            counts[[a != b for a, b in zip(places, values(pool.images), strict=True)].index(True)] += 1
    assert counts.min() > 110  # 149.5 are expected, with a deviation of 10.6


def test_of_no_capacity_shows_new_ones_alone() -> None:
    pool = ImagePool(0, (1, 2, 2))
    assert values(pool.exchange(numbered(7, 3))) == [7, 8, 9]


def test_what_is_shown_has_no_gradient_and_later_changes_do_not_reach_it() -> None:
    pool = ImagePool(1, (1, 2, 2))
    image = numbered(1, 1).requires_grad_()
    shown = pool.exchange(image * 1)
    assert not shown.requires_grad
    with torch.no_grad():
        image.fill_(5)
    torch.manual_seed(0)
    while values(shown := pool.exchange(numbered(2, 1))) != [1]:
        pass
    assert values(pool.images) == [2]
    pool.images.fill_(9)
    assert values(shown) == [1]


def test_its_state_goes_from_pool_to_pool() -> None:
    first, second = ImagePool(3, (1, 2, 2)), ImagePool(3, (1, 2, 2))
    first.exchange(numbered(4, 2))
    second.load_state_dict(first.state_dict())
    assert values(second.exchange(numbered(6, 1))) == [6]
    assert values(second.images) == [4, 5, 6]
