"""Old samples among new ones: a fixed number in every batch, none that is held out by now, under the names of their classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_core import checkpoint
from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset
from gan_core.data.replay import Mixed, Replay
from gan_core.data.shuffle import Shuffle
from gan_core.errors import ConfigError, DataError
from gan_core.kinds.images import Images
from gan_core.params import GanParams
from gan_core.training import train

CPU = torch.device("cpu")


def labelled(folder: Path, classes: tuple[str, ...], first: int, count: int = 30) -> Dataset:
    """Images whose first pixel counts up from `first`, and whose classes take turns."""
    folder.mkdir()
    images = np.zeros((count + 10, 1, 4, 4), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(first, first + count + 10)
    labels = [number % len(classes) for number in range(count + 10)]
    Images.pack(folder, {"train": images[:count], "holdout": images[count:]}, {"train": labels[:count], "holdout": labels[count:]}, classes)
    return Dataset.open(folder)


@given(share=st.floats(0.01, 0.99), batch=st.integers(2, 50), seen=st.integers(0, 500), sizes=st.lists(st.integers(1, 40), min_size=1))
def test_every_batch_has_as_many_old_ones_and_parts_of_it_are_the_whole(share: float, batch: int, seen: int, sizes: list[int]) -> None:
    spec = Images((1, 4, 4), {"train": 7, "holdout": 0})
    of = {"train": np.zeros((7, 1, 4, 4), dtype=np.uint8), "holdout": np.zeros((0, 1, 4, 4), dtype=np.uint8)}
    old = Dataset(spec, of, {})
    replay = Replay.of(old, old, share, batch)
    assert 1 <= replay.of_batch[0] <= batch - 1
    order = Mixed(Shuffle(20, 3), replay, 3)
    whole = order.indices(0, 20 * batch)
    is_old = whole.reshape(20, batch) >= 20
    assert set(is_old.sum(axis=1)) == {replay.of_batch[0]}
    # New and old ones each come all before one comes again.
    assert sorted(whole[whole < 20][:20].tolist()) == list(range(20))[: (whole < 20).sum()] or (whole < 20).sum() < 20
    parts, at = [], seen
    for size in sizes:
        parts.append(Mixed(Shuffle(20, 3), replay, 3).indices(at, size))
        at += size
    np.testing.assert_array_equal(np.concatenate(parts), order.indices(seen, at - seen))


def test_labels_follow_their_names_and_what_is_held_out_by_now_is_not_shown(tmp_path: Path) -> None:
    old = labelled(tmp_path / "old", ("a", "b", "gone"), first=0)
    new = labelled(tmp_path / "new", ("b", "c", "a"), first=100)
    # Of what was trained on before, three are held out by now.
    held_out = np.array(new.samples["holdout"])
    held_out[:3] = old.samples["train"][[0, 1, 4]]
    new = replace(new, samples={**new.samples, "holdout": held_out})
    replay = Replay.of(new, old, 0.5, 4)
    expected = [number for number in range(30) if number % 3 != 2 and number not in (0, 1, 4)]
    assert replay.rows.tolist() == expected
    batches = Batches(new, 0, CPU, replay=replay)
    seen = {}
    for at in range(0, 400, 4):
        batch = batches.after(at, 4)
        values = ((batch.real[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
        assert sum(value < 100 for value in values) == 2
        assert batch.labels is not None
        seen |= dict(zip(values, batch.labels.tolist(), strict=True))
    assert {value: label for value, label in seen.items() if value < 100} == {number: {0: 2, 1: 0}[number % 3] for number in expected}
    assert {value: label for value, label in seen.items() if value >= 100} == {100 + number: number % 3 for number in range(30)}


def test_a_training_that_replays_resumes_bit_for_bit_and_sees_the_old_data(tmp_path: Path) -> None:
    old, new = labelled(tmp_path / "old", ("a", "b"), 0), labelled(tmp_path / "new", ("a", "b"), 100)
    network = {"network": "mlp", "widths": [8]}
    base: dict[str, Any] = {"images": 64, "batch": 8, "latent": 4, "generator": network, "discriminator": network, "loss": "hinge"}
    assert train(GanParams.model_validate(base), old, tmp_path / "base")
    start = checkpoint.read(tmp_path / "base" / "checkpoint")
    params = GanParams.model_validate({**base, "start": "x/1", "replay": 0.3})

    def weights(folder: str, **how: Any) -> bytes:
        while not train(params, new, tmp_path / folder, start=start, **how):
            pass
        return (tmp_path / folder / "checkpoint" / "state.safetensors").read_bytes()

    whole = weights("whole", replay=old)
    assert weights("stopped", replay=old, should_stop=lambda: True) == whole
    assert weights("without") != whole


def test_what_does_not_stand_beside_the_new_data_is_refused(tmp_path: Path, make_dataset: Callable[..., Dataset]) -> None:
    new = labelled(tmp_path / "new", ("a", "b"), 0)
    with pytest.raises(
        DataError, match=r"train\.replay: the data that the start was trained on has images of shape \(1, 16, 16\), and this one"
    ):
        Replay.of(new, make_dataset(classes=2), 0.5, 8)
    plain = Dataset(Images(new.spec.shape, new.spec.counts), new.samples, {})
    with pytest.raises(DataError, match=r"has no labels, unlike this one; leave it out"):
        Replay.of(new, plain, 0.5, 8)
    with pytest.raises(DataError, match=r"nothing is left of the data"):
        Replay.of(new, labelled(tmp_path / "other", ("c", "d"), 0), 0.5, 8)


def test_captions_are_not_replayed(captioned: Callable[..., Dataset]) -> None:
    dataset = captioned()
    with pytest.raises(ConfigError, match=r"train\.replay: is not for captions; leave it out"):
        Replay.of(dataset, dataset, 0.5, 8)
