"""What a server keeps of what it draws, and what `gantry watch` says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from real_mlflow import tiny_generator
from served import NAME, STRICT, Registered, running

from gan_core.errors import ConfigError, DataError
from gan_core.generator import Generator, Samples
from tasks.records.registry import Registry
from tasks.serving.app import Server
from tasks.serving.kept import MOST, Keeper, Kept, place_of
from tasks.watching import watch

CLASSES = ("cat", "dog", "3")


def generator() -> Generator:
    made = tiny_generator()
    for weights in made.network.parameters():
        weights.data *= 3
    return made


@pytest.fixture
def registered(tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registered]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = Registered(tmp_path / "workspace", mlflow_database)
    found.add(generator())
    return found


def serve(registered: Registered, *asked: dict[str, object]) -> None:
    with running(Server(registered.workspace, NAME, STRICT, look_every=3_600)) as client:
        for said in asked:
            answer = client.post("/samples", json=said, headers={"Accept": "application/x-npz"})
            assert answer.status_code == 200, answer.text


def test_what_is_used_as_it_was_promoted(registered: Registered) -> None:
    serve(registered, *({"n": 60, "seed": seed} for seed in range(5)), {"n": 10, "truncation": 0.1})
    found = watch(registered.workspace, NAME)
    assert (found.requests, found.samples, found.compared, found.findings) == (6, 310, 300, ())
    assert found.labels == {"cat": 104, "dog": 103, "3": 103}
    assert found.distance < 3 * found.noise
    assert found.seconds is not None
    assert 0 < found.seconds[0] <= found.seconds[1]
    assert "no difference beyond noise" in found.in_words
    # The next server goes on with it, and another one beside it leaves it alone.
    server = Server(registered.workspace, NAME, STRICT, look_every=3_600)
    with running(server) as client:
        serve(registered, {"n": 5})
        client.get("/samples?n=7")
    assert watch(registered.workspace, NAME).samples == 317


def test_clients_that_ask_by_one_seed_are_seen(registered: Registered) -> None:
    serve(registered, *[{"n": 20, "label": "dog"}] * 5)
    assert any("clients ask by the same seeds" in one for one in watch(registered.workspace, NAME).findings)


def test_samples_that_are_not_the_versions_are_seen(registered: Registered) -> None:
    serve(registered, *({"n": 60, "seed": seed} for seed in range(3)))
    path = place_of(registered.workspace.served(NAME), 1)
    kept = Kept.read(path)
    kept.samples = [(sample // 2).astype(np.uint8) for sample in kept.samples]
    kept.write(path)
    assert any("brightness is lower" in one for one in watch(registered.workspace, NAME).findings)


def test_what_cannot_be_compared(registered: Registered) -> None:
    with pytest.raises(ConfigError, match="nothing is kept of version 1 yet"):
        watch(registered.workspace, NAME)
    serve(registered, {"n": 49})
    with pytest.raises(ConfigError, match="49 samples are kept"):
        watch(registered.workspace, NAME)
    path = place_of(registered.workspace.served(NAME), 1)
    content = path.read_bytes()
    path.write_bytes(content[:500])
    with pytest.raises(DataError, match="cannot be read"):
        watch(registered.workspace, NAME)
    path.write_bytes(content)
    kept = Kept.read(path)
    kept.counts.sha256 = "0" * 64
    kept.write(path)
    with pytest.raises(ConfigError, match="is of other weights"):
        watch(registered.workspace, NAME)


def test_every_sample_is_as_likely_to_be_kept(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    keeper.begin()
    for start in range(0, 8 * MOST, 250):
        values = np.arange(start, start + 250, dtype=np.float32)[:, None]
        keeper.add(1, "0" * 64, Samples(values, np.zeros(250, dtype=np.int64), "points"), CLASSES, plain=True)
    keeper.end()
    kept = Kept.read(place_of(tmp_path, 1))
    values = np.array(kept.samples)[:, 0]
    assert (len(values), len(set(values.tolist())), kept.counts.plain) == (MOST, MOST, 8 * MOST)
    shares = np.histogram(values, bins=8, range=(0, 8 * MOST))[0]
    assert np.abs(shares - MOST / 8).max() < 5 * np.sqrt(MOST / 8)


def test_a_full_place_stops_no_answer(registered: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    registered.workspace.private.mkdir(exist_ok=True)
    (registered.workspace.private / "served").write_text("no folder")
    serve(registered, {"n": 3})
    assert Registry.open(registered.workspace).aliases(NAME) == {"champion": 1}
