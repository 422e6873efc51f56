"""Checkpoints: whole or not there, and damage never loaded."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_core import checkpoint
from gan_core.checkpoint import Checkpoint
from gan_core.errors import DataError


def example(images: int = 128) -> Checkpoint:
    draw = torch.Generator().manual_seed(images)
    tensors = {
        "players/generator/weight": torch.randn(4, 3, generator=draw),
        "players/generator/count": torch.tensor(images),
        "optimizers/0/0/step": torch.tensor(float(images)),
        "half": torch.randn(5, generator=draw).to(torch.bfloat16),
    }
    return Checkpoint(images, tensors, {"counts": {"generator_loss": images // 64}})


def same(one: Checkpoint | None, other: Checkpoint) -> bool:
    return (
        one is not None
        and one.images == other.images
        and one.facts == other.facts
        and one.tensors.keys() == other.tensors.keys()
        and all(torch.equal(one.tensors[key], value) and one.tensors[key].dtype == value.dtype for key, value in other.tensors.items())
    )


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    checkpoint.save(example(), tmp_path)
    assert same(checkpoint.read(tmp_path / "000000000128"), example())


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the layout of its tensors in memory."""
    checkpoint.write(example(), tmp_path / "one")
    turned = {key: value.t().contiguous().t() if value.dim() == 2 else value for key, value in reversed(example().tensors.items())}
    checkpoint.write(Checkpoint(128, turned, example().facts), tmp_path / "other")
    for name in ("state.safetensors", "state.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_an_empty_folder_and_a_missing_one_hold_none(tmp_path: Path) -> None:
    assert checkpoint.load_latest(tmp_path) == (None, [])
    assert checkpoint.load_latest(tmp_path / "nothing") == (None, [])


def test_the_newest_two_are_kept_and_the_newest_is_used(tmp_path: Path) -> None:
    for images in (999, 1_000, 20, 12_345_678):
        checkpoint.save(example(images), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000001000", "000012345678"]
    found, notes = checkpoint.load_latest(tmp_path)
    assert same(found, example(12_345_678))
    assert notes == []


def truncate(folder: Path) -> None:
    path = folder / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def empty(folder: Path) -> None:
    (folder / "state.safetensors").write_bytes(b"")


def lose_tensors(folder: Path) -> None:
    (folder / "state.safetensors").unlink()


def lose_facts(folder: Path) -> None:
    (folder / "state.json").unlink()


def empty_facts(folder: Path) -> None:
    (folder / "state.json").write_bytes(b"")


def other_facts(folder: Path) -> None:
    (folder / "state.json").write_text('["no", "facts"]')


def no_text(folder: Path) -> None:
    (folder / "state.json").write_bytes(b"\xff" * 40)


def older_format(folder: Path) -> None:
    facts = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**facts, "format": 0}))


def without_format(folder: Path) -> None:
    (folder / "state.json").write_text('{"step": 12}')


def another_state(folder: Path) -> None:
    checkpoint.write(example(512), folder.parent / "other")
    (folder.parent / "other" / "state.safetensors").replace(folder / "state.safetensors")


def a_pickle(folder: Path) -> None:
    (folder / "state.safetensors").write_bytes(pickle.dumps({"weight": 1}))


DAMAGES = [
    truncate, empty, lose_tensors, lose_facts, empty_facts, other_facts, no_text, older_format, without_format, another_state, a_pickle,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_named_and_the_one_before_it_used(tmp_path: Path, damage: Any) -> None:
    checkpoint.save(example(64), tmp_path)
    checkpoint.save(example(128), tmp_path)
    damage(tmp_path / "000000000128")
    with pytest.raises(DataError, match="000000000128"):
        checkpoint.read(tmp_path / "000000000128")
    found, notes = checkpoint.load_latest(tmp_path)
    assert same(found, example(64))
    assert len(notes) == 1
    assert "000000000128" in notes[0]


def test_where_all_are_damaged_there_is_none_and_a_note_each(tmp_path: Path) -> None:
    for images in (64, 128):
        checkpoint.save(example(images), tmp_path)
        truncate(tmp_path / f"{images:012d}")
    found, notes = checkpoint.load_latest(tmp_path)
    assert found is None
    assert len(notes) == 2


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, name: str) -> None:
    """Each byte in turn has one bit flipped: what is read is either refused or, in a space say, means the same."""
    checkpoint.save(example(), tmp_path)
    path = tmp_path / "000000000128" / name
    original, draw = path.read_bytes(), np.random.default_rng(0)
    for position in range(len(original)):
        damaged = bytearray(original)
        damaged[position] ^= 1 << int(draw.integers(8))
        path.write_bytes(damaged)
        try:
            found = checkpoint.read(path.parent)
        except DataError:
            continue
        assert same(found, example()), f"byte {position}: {original[position : position + 1]!r}"
        assert name == "state.json"


def test_a_planted_pickle_is_never_loaded(tmp_path: Path) -> None:
    """Even with a checksum that fits."""
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trap,)

    for planted in (pickle.dumps(Trap()), b"\x80\x02" + pickle.dumps(Trap())):
        checkpoint.save(example(), tmp_path)
        folder = tmp_path / "000000000128"
        (folder / "state.safetensors").write_bytes(planted)
        torch.save({"trap": Trap()}, folder / "state.pt")
        with pytest.raises(DataError):
            checkpoint.read(folder)
    assert not trap.exists()


def test_a_write_that_fails_half_way_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a full disk would: the tensors are written, the facts are not."""
    checkpoint.save(example(64), tmp_path)
    write = checkpoint._write_durably

    def full(path: Path, data: bytes) -> None:
        if path.name == "state.json":
            path.write_bytes(data[:10])
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoint, "_write_durably", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(example(128), tmp_path)
    monkeypatch.undo()
    found, notes = checkpoint.load_latest(tmp_path)
    assert same(found, example(64))
    assert notes == []
    checkpoint.save(example(128), tmp_path)  # what was left half-written is in nobody's way
    checkpoint.save(example(192), tmp_path)
    assert same(checkpoint.load_latest(tmp_path)[0], example(192))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000128", "000000000192"]


def _save_for_ever(folder: Path) -> None:
    images = 0
    while True:
        images += 64
        checkpoint.save(Checkpoint(images, {"weight": torch.full((200_000,), float(images))}), folder)


def test_killed_while_writing_the_newest_is_always_sound(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    for round_number in range(6):
        folder = tmp_path / str(round_number)
        child = multiprocessing.get_context("fork").Process(target=_save_for_ever, args=(folder,))
        child.start()
        while not list(folder.glob("[0-9]*")):
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.05))
        assert child.pid is not None
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        found, notes = checkpoint.load_latest(folder)
        assert notes == []
        assert found is not None
        assert torch.equal(found.tensors["weight"], torch.full((200_000,), float(found.images)))
        checkpoint.save(Checkpoint(found.images + 64, {"weight": torch.zeros(3)}), folder)
        assert checkpoint.load_latest(folder)[0] is not None


def test_trees_of_tensors_are_flattened_and_taken_apart_again() -> None:
    weight, bias = torch.ones(2), torch.zeros(1)
    flat = checkpoint.flatten({"players": {"generator": {"layers.0.weight": weight}, "g": {"b": bias}}, "sums": {}, "top": bias})
    assert flat == {"players/generator/layers.0.weight": weight, "players/g/b": bias, "top": bias}
    assert checkpoint.subtree(flat, "players/g") == {"b": bias}
    assert checkpoint.subtree(flat, "players/generator") == {"layers.0.weight": weight}
    assert checkpoint.subtree(flat, "sums") == {}
