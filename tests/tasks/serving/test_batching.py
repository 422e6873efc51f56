"""What shares a pass, by a generator that draws when it is let."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from real_mlflow import tiny_generator

from gan_core.generator import Generator, Order, Samples
from tasks.serving import batching
from tasks.serving.batching import Batcher
from tasks.serving.champion import Served


class Held(Generator):
    """A generator whose passes wait until they are let go."""

    def __init__(self) -> None:
        tiny = tiny_generator()
        super().__init__(tiny.config, tiny.network)
        self.begun, self.let = threading.Semaphore(0), threading.Semaphore(0)

    def draw(self, orders: Sequence[Order]) -> list[Samples]:
        self.begun.release()
        assert self.let.acquire(timeout=60)
        return super().draw(orders)


class Scene:
    """Two threads that draw, and what they did."""

    def __init__(self) -> None:
        self.generator = Held()
        self.passes: list[tuple[int, int]] = []
        self.batcher = Batcher(128, 10_000, lambda requests, samples: self.passes.append((requests, samples)), threads=2)
        served = Served("tiny", 1, self.generator, (), together=True)
        self.asked = [
            lambda n=n: self.batcher.submit(lambda: served, n, lambda it: it.order(n), lambda _, drawn, seconds: len(drawn.samples))
            for n in (1, 2, 3)
        ]


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    with scene.batcher:
        yield scene
        scene.generator.let.release(10)


def test_what_comes_during_a_brief_pass_shares_the_next_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_BRIEF", 1e9)
    one, two, three = scene.asked
    scene.generator.let.release()
    assert one().result(60) == 1
    while not scene.batcher._rate:  # known only after the answer, and the next pass is brief by it
        time.sleep(0.001)
    assert scene.generator.begun.acquire(timeout=60)
    first = one()
    assert scene.generator.begun.acquire(timeout=60)
    others = [two(), three()]
    scene.generator.let.release(2)
    assert [future.result(60) for future in (first, *others)] == [1, 2, 3]
    assert scene.passes == [(1, 1), (1, 1), (2, 5)]


def test_a_long_pass_is_not_waited_for(scene: Scene) -> None:
    one, two, _ = scene.asked
    first = one()
    assert scene.generator.begun.acquire(timeout=60)
    second = two()
    assert scene.generator.begun.acquire(timeout=60)  # in the other thread, while the first is held
    scene.generator.let.release(2)
    assert [first.result(60), second.result(60)] == [1, 2]
    assert sorted(scene.passes) == [(1, 1), (1, 2)]
