"""The order of samples: a function of (seed, samples seen) and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_core.data.batches import Batches, Shuffle
from gan_core.data.dataset import Dataset, write_spec
from gan_core.kinds.pairs import Pairs

CPU = torch.device("cpu")


@given(count=st.integers(1, 50), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 1_000))
def test_each_epoch_is_a_permutation(count: int, seed: int, epoch: int) -> None:
    indices = Shuffle(count, seed).indices(epoch * count, count)
    assert indices.dtype == np.int64
    assert sorted(indices) == list(range(count))


@given(
    count=st.integers(1, 30),
    seed=st.integers(0, 2**31 - 1),
    asked=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 80)), min_size=1, max_size=6),
)
def test_the_indices_are_one_endless_row_wherever_it_is_entered(count: int, seed: int, asked: list[tuple[int, int]]) -> None:
    """One shuffle asked in any order, back and forth and over several epochs, gives slices of the row that a fresh one gives."""
    row = Shuffle(count, seed).indices(0, 280)
    used = Shuffle(count, seed)
    for seen, size in asked:
        np.testing.assert_array_equal(used.indices(seen, size), row[seen : seen + size])
        np.testing.assert_array_equal(Shuffle(count, seed).indices(seen, size), row[seen : seen + size])


def test_a_batch_over_an_epoch_s_border_ends_one_permutation_and_begins_the_next() -> None:
    shuffle = Shuffle(10, seed=3)
    first, second = shuffle.indices(0, 10), shuffle.indices(10, 10)
    np.testing.assert_array_equal(shuffle.indices(7, 6), [*first[7:], *second[:3]])


def test_epochs_and_seeds_differ_and_torch_s_global_state_has_no_part() -> None:
    shuffle = Shuffle(100, seed=0)
    torch.manual_seed(0)
    first = shuffle.indices(0, 100)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(Shuffle(100, seed=0).indices(0, 100), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.array_equal(shuffle.indices(100, 100), first)
    assert not np.array_equal(Shuffle(100, seed=1).indices(0, 100), first)


def test_only_few_permutations_are_kept() -> None:
    shuffle = Shuffle(10, seed=0)
    for seen in range(0, 1_000, 4):
        shuffle.indices(seen, 4)
    assert len(shuffle._epochs) <= 2


@pytest.mark.parametrize("classes", [0, 3])
def test_images_come_scaled_with_their_own_labels(make_dataset: Callable[..., Dataset], classes: int) -> None:
    dataset = make_dataset((3, 8, 8), classes=classes, count=10)
    batch = Batches(dataset, seed=5, device=CPU).after(8, 6)
    indices = Shuffle(10, 5).indices(8, 6)
    assert batch.real.dtype == torch.float32
    np.testing.assert_allclose(batch.real.numpy(), dataset.samples["train"][indices] / 127.5 - 1, atol=1e-6)
    if classes:
        assert batch.labels is not None
        np.testing.assert_array_equal(batch.labels, dataset.labels["train"][indices])
    else:
        assert batch.labels is None


def test_points_come_with_mean_0_and_deviation_1(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset((2,), count=10)
    batch = Batches(dataset, seed=5, device=CPU).after(0, 10)
    indices = Shuffle(10, 5).indices(0, 10)
    np.testing.assert_allclose(batch.real.numpy(), dataset.samples["train"][indices] / [1.5, 1.4], atol=1e-6)
    assert batch.labels is None


def test_reading_a_batch_never_changes_the_data(make_dataset: Callable[..., Dataset]) -> None:
    dataset = make_dataset((1, 8, 8), count=10)
    before = np.array(dataset.samples["train"])
    Batches(dataset, seed=0, device=CPU).after(0, 10).real.fill_(9)
    np.testing.assert_array_equal(dataset.samples["train"], before)


def test_pairs_come_together_unless_a_game_wants_them_apart(tmp_path: Path) -> None:
    """Apart, inputs and samples are still whole epochs of each, in two orders that a seed decides."""
    numbers = np.arange(10, dtype=np.uint8)[:, None, None, None].repeat(3, 1).repeat(8, 2).repeat(8, 3)
    for split in ("train", "holdout"):
        np.save(tmp_path / f"{split}.npy", numbers)
        np.save(tmp_path / f"{split}_inputs.npy", numbers + 100)
    shape = (3, 8, 8)
    write_spec(tmp_path, Pairs(shape, {"train": 10, "holdout": 10}, inputs=shape))

    def drawn(paired: bool) -> tuple[list[int], list[int]]:
        batch = Batches(Dataset.open(tmp_path), seed=5, device=CPU, paired=paired).after(0, 10)
        assert batch.inputs is not None
        samples, inputs = (((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist() for images in (batch.real, batch.inputs))
        return samples, [value - 100 for value in inputs]

    samples, inputs = drawn(paired=True)
    assert samples == inputs
    apart, others = drawn(paired=False)
    assert apart == samples != others
    assert sorted(others) == list(range(10))
    assert drawn(paired=False) == (apart, others)
