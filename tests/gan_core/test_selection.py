"""The best of a training's snapshots is shipped, whole, whatever interrupts it; by default the last, to the same bits as ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gan_core import checkpoint
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError
from gan_core.generator import Generator
from gan_core.params import GanParams
from gan_core.selection import Score, Scorer, Selection, in_words
from gan_core.training import identity, train

Make = Callable[..., Dataset]


def params(**changes: Any) -> GanParams:
    network = {"network": "mlp", "widths": [8]}
    base = {"images": 160, "batch": 8, "latent": 4, "generator": network, "discriminator": network, "loss": "hinge", "select": "best"}
    return GanParams.model_validate({**base, **changes})


def by_images(*best_first: int, unscored: tuple[int, ...] = ()) -> Scorer:
    """Snapshots score by their place in a list; those in no list are worst. What it is given it may spoil."""

    def score(generator: Generator) -> Score | None:
        images = generator.config.images
        for weight in generator.network.parameters():
            weight.data.zero_()
        if images in unscored:
            return None
        return Score("fid", best_first.index(images) if images in best_first else 99, lower_is_better=True)

    return score


def files(folder: Path) -> dict[str, bytes]:
    """What a finished run leaves, apart from the checkpoints on the way."""
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and "checkpoints" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_the_best_snapshot_is_shipped_as_it_was_then(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset((2,))
    # Up to 80 images a run of the same parameters that is stopped there has been through the same steps.
    stopped = lambda: True  # noqa: E731
    for _ in range(10):
        train(params(), dataset, tmp_path / "half", scorer=by_images(), should_stop=stopped)
    there, _ = checkpoint.load_latest(tmp_path / "half" / "checkpoints")
    assert there is not None
    assert there.images == 80
    assert train(params(), dataset, tmp_path / "whole", scorer=by_images(80, 160))
    shipped, kept = Generator.load(tmp_path / "whole" / "generator"), checkpoint.read(tmp_path / "whole" / "checkpoint")
    assert (shipped.config.images, kept.images) == (80, 80)
    for name, tensor in kept.tensors.items():
        assert tensor.equal(there.tensors[name]), name
    for name, tensor in shipped.network.state_dict().items():
        assert tensor.equal(there.tensors[f"average/{name}"]), name
    told = json.loads((tmp_path / "whole" / "selected.json").read_text())
    assert told == {"images": 80, "seen": 160, "budget": 160, "scored": 20, "metric": "fid", "value": 0, "last": 1}
    assert in_words(told, "images") == ("the snapshot at 80 of 160 images is shipped, its fid of 0 is the best of 20 (the last had 1)")
    curve = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["images"] for line in curve if line.get("selection_fid") == 0] == [80]


def test_scoring_changes_nothing_about_the_training(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset((2,))
    assert train(params(select="last", log_every=8), dataset, tmp_path / "last")
    assert train(params(log_every=8), dataset, tmp_path / "best", scorer=by_images(160))
    expected, found = files(tmp_path / "last"), files(tmp_path / "best")
    for name in ("generator/generator.safetensors", "checkpoint/state.safetensors", "samples/000000160.png"):
        assert found[name] == expected[name], name
    assert "selected.json" not in expected


@pytest.mark.parametrize(("patience", "ends"), [(None, 160), (0.25, 96), (0.24, 96)])
def test_killed_at_any_step_it_ends_bit_for_bit_where_the_undisturbed_one_does(
    make_dataset: Make, tmp_path: Path, patience: float | None, ends: int
) -> None:
    options, scorer = {"select_every": 16, "patience": patience}, by_images(48, 16, unscored=(64, 160))
    dataset = make_dataset((2,))
    assert train(params(**options), dataset, tmp_path / "undisturbed", scorer=scorer)
    expected = files(tmp_path / "undisturbed")
    told = json.loads(expected["selected.json"])
    assert (told["images"], told["seen"], told["scored"]) == (48, ends, ends // 16)
    for cadence in (1, 40):
        draw, folder = np.random.default_rng(cadence), tmp_path / f"killed-{cadence}"
        while True:
            left = int(draw.integers(1, 9))

            def count(_: Any) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt

            try:
                done = train(params(**options, checkpoint_every=cadence), dataset, folder, count, scorer=scorer)
            except KeyboardInterrupt:
                continue
            assert done
            break
        found = files(folder)
        assert found == expected


def test_where_no_snapshot_can_be_scored_the_last_is_shipped_and_it_is_said(make_dataset: Make, tmp_path: Path) -> None:
    notes: list[str] = []
    options = params(images=16, select_every=8, patience=0.1)
    assert train(options, make_dataset((2,)), tmp_path / "run", scorer=lambda generator: None, on_note=notes.append)
    assert notes == ["none of 2 snapshots could be scored; the last is shipped"]
    assert Generator.load(tmp_path / "run" / "generator").config.images == 16


def test_without_a_function_that_scores_nothing_begins(make_dataset: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.select: best takes a function that scores snapshots"):
        train(params(), make_dataset((2,)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_that_ships_the_last_is_the_one_that_it_always_was(make_dataset: Make) -> None:
    dataset = make_dataset((2,))
    assert not {"select", "select_every", "patience"} & identity(params(select="last"), dataset)["train"].keys()
    assert identity(params(patience=0.5), dataset)["train"]["patience"] == 0.5
    for key in ("patience", "select_every"):
        with pytest.raises(ValidationError, match=rf"{key}: is about choosing among snapshots, and select is last"):
            params(select="last", **{key: 1})


def test_a_higher_score_is_better_where_that_is_so() -> None:
    found = Selection()
    for images, value in enumerate((0.2, 0.7, 0.7, 0.5)):
        found = found.after(Score("recall", value, lower_is_better=False), images, dict)
    assert (found.images, found.scored, found.last and found.last.value) == (1, 4, 0.5)
