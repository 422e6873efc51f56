"""The loop: a run that was interrupted ends bit for bit where the undisturbed one does, and leaves a true record."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from gan_core import checkpoint
from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import ConfigError, TrainingError
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.params import GanParams, StackganParams
from gan_core.params.common import OptimizerParams
from gan_core.training import Progress, _set_rates, train

Make = Callable[..., Dataset]

DCGAN = {"network": "dcgan", "width": 4}
RESIDUAL = {"network": "residual", "width": 4}
MLP = {"network": "mlp", "widths": [16, 8]}


def params(**changes: Any) -> GanParams:
    base = {"images": 160, "batch": 8, "latent": 4, "generator": DCGAN, "discriminator": DCGAN, "loss": "hinge"}
    return GanParams.model_validate({**base, **changes})


def files(folder: Path) -> dict[str, bytes]:
    """What a finished run leaves, apart from the checkpoints on the way."""
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and "checkpoints" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def record(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Killed(BaseException):
    """Stands for whatever ends a process without warning: nothing is saved."""


class Interruption:
    """Ends a run after some steps: by asking it to stop, or as a kill does."""

    def __init__(self, steps: int, kill: bool) -> None:
        self.left = steps
        self.kill = kill

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left == 0 and not self.kill

    def on_progress(self, now: Progress) -> None:
        if self.left == 0 and self.kill:
            raise Killed


def train_with_interruptions(options: GanParams, dataset: Dataset, folder: Path, seed: int) -> int:
    """Train to the end, stopped or killed at random steps; returns how often."""
    draw = np.random.default_rng(seed)
    for count in range(5):
        interruption = Interruption(steps=int(draw.integers(1, 8)), kill=bool(draw.integers(2)))
        with contextlib.suppress(Killed):
            if train(options, dataset, folder, interruption.on_progress, should_stop=interruption.should_stop):
                return count
    assert train(options, dataset, folder)
    return 5


CONFIGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "points": (
        {"shape": (2,)},
        {"generator": MLP, "discriminator": MLP, "loss": "non-saturating", "label_smoothing": 0.1, "log_every": 20},
    ),
    "by label, spectral norm, dropout, augmentation, decay": (
        {"classes": 3},
        {"condition": "label", "discriminator": {**DCGAN, "dropout": 0.3}, "augment": True, "optimizer": {"decay": 0.5}},
    ),
    "several discriminator steps": (
        {"classes": 3, "shape": (3, 16, 16)},
        {"condition": "label", "generator": RESIDUAL, "discriminator": RESIDUAL, "discriminator_steps": 3, "images": 288},
    ),
    "wasserstein with clipping and rmsprop": (
        {},
        {"loss": "wasserstein", "penalty": {"clip": 0.02}, "optimizer": {"name": "rmsprop", "learning_rate": 5e-5},
         "discriminator": {**DCGAN, "normalization": "none"}, "discriminator_steps": 2, "images": 240},
    ),
    "lazy gradient penalty": (
        {},
        {"loss": "wasserstein", "penalty": {"gradient": 10, "every": 3}, "discriminator": {**DCGAN, "normalization": "none"},
         "optimizer": {"betas": [0.5, 0.9], "generator_learning_rate": 1e-3}},
    ),
    "adaptive augmentation": (
        {},
        {"augment": "adaptive", "augment_span": 200, "augment_target": -0.9, "loss": "relativistic", "penalty": {}},
    ),
    "relativistic with r1 and r2 in bfloat16": (
        {},
        {"loss": "relativistic", "penalty": {"r1": 1, "r2": 1, "every": 2}, "precision": "bf16", "generator": RESIDUAL},
    ),
    "batch norm in both, least squares, no average": (
        {"count": 13},  # a batch reaches over an epoch's border nearly each time
        {"loss": "least-squares", "discriminator": {**DCGAN, "normalization": "batch"}, "ema": 0, "preview_every": 50},
    ),
    "dense for images, minimax": (
        {"classes": 2},
        {"condition": "label", "loss": "minimax", "generator": {**MLP, "normalization": "batch"}, "discriminator": {**MLP, "dropout": 0.5}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_an_interrupted_run_ends_bit_for_bit_where_the_undisturbed_one_does(make_dataset: Make, tmp_path: Path, name: str) -> None:
    """Stopped and killed at random points, with other checkpoint cadences: the same weights, optimisers, record and pictures."""
    data, options = CONFIGS[name]
    dataset = make_dataset(**data)
    assert train(params(**options), dataset, tmp_path / "undisturbed")
    expected = files(tmp_path / "undisturbed")
    assert {"generator/generator.safetensors", "checkpoint/state.safetensors", "metrics.jsonl"} <= expected.keys()
    for seed, cadence in enumerate((17, 10_000)):
        folder = tmp_path / f"interrupted-{cadence}"
        assert train_with_interruptions(params(**options, checkpoint_every=cadence), dataset, folder, seed) >= 2
        found = files(folder)
        assert found.keys() == expected.keys()
        for file, data_of_file in expected.items():
            assert found[file] == data_of_file, file


CADENCES = st.one_of(st.none(), st.integers(1, 200))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(log=CADENCES, preview=CADENCES, save=CADENCES, kills=st.integers(0, 2**31), looks=st.booleans())
def test_the_weights_are_a_function_of_parameters_data_and_seed_alone(
    make_dataset: Make,
    tmp_path_factory: pytest.TempPathFactory,
    log: int | None,
    preview: int | None,
    save: int | None,
    kills: int,
    looks: bool,
) -> None:
    """Not of how often it is written, drawn or saved, of how often the process ends, or of whether somebody watches."""
    folder = tmp_path_factory.mktemp("run")
    dataset = make_dataset(shape=(2,), folder=folder / "ready")
    options = {"generator": MLP, "discriminator": {**MLP, "dropout": 0.3}, "penalty": {"r1": 1, "every": 3}}
    assert train(params(**options), dataset, folder / "plain")
    cadences = {"log_every": log, "preview_every": preview, "checkpoint_every": save}
    changed = params(**options, **{key: value for key, value in cadences.items() if value is not None})
    if looks:
        assert train(changed, dataset, folder / "changed", lambda now: None, lambda line: None)
    else:
        train_with_interruptions(changed, dataset, folder / "changed", kills)
    for file in ("generator/generator.safetensors", "checkpoint/state.safetensors"):
        assert (folder / "changed" / file).read_bytes() == (folder / "plain" / file).read_bytes()


def test_text_to_image_resumes_bit_for_bit_in_each_part_of_its_budget(captioned: Make, tmp_path: Path) -> None:
    dataset = captioned()
    fields = {"recipe": "stackgan", "images": 240, "batch": 8, "latent": 3, "code": 4, "generator_width": 4, "discriminator_width": 4}
    options = StackganParams.model_validate({**fields, "text_share": 0.3, "second_from": 0.6, "watch": "off"})
    assert train(options, dataset, tmp_path / "undisturbed")
    expected = files(tmp_path / "undisturbed")
    # In the middle of the text encoder's part, at its border, with the first stage, and with both.
    for steps in (4, 9, 14, 22):
        folder = tmp_path / f"stopped-{steps}"
        stop = Interruption(steps, kill=False)
        assert not train(options, dataset, folder, should_stop=stop.should_stop)
        assert train(options, dataset, folder)
        assert files(folder) == expected, steps


def test_moments_of_the_optimisers_survive_value_by_value(make_dataset: Make, tmp_path: Path) -> None:
    """Convolutions lie in memory channels last, and a fused step walks memory: a moment laid out otherwise would meet the wrong weight."""
    dataset = make_dataset()
    train(params(images=80), dataset, tmp_path / "whole")
    train_with_interruptions(params(images=80), dataset, tmp_path / "parts", seed=0)
    whole, parts = (load_file(tmp_path / name / "checkpoint" / "state.safetensors") for name in ("whole", "parts"))
    moments = [key for key in whole if key.startswith("optimizers/") and whole[key].dim() == 4]
    assert len(moments) > 8
    for key in moments:
        assert torch.equal(whole[key], parts[key]), key
        assert whole[key].abs().max() > 0


def test_equal_runs_are_equal_and_another_seed_is_another_run(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        torch.manual_seed(int.from_bytes(name.encode()))  # what was drawn before has no part in it
        train(params(seed=seed), dataset, tmp_path / name)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    one, three = files(tmp_path / "one"), files(tmp_path / "three")
    assert one.keys() == three.keys()
    assert all(one[name] != three[name] for name in one)


@pytest.mark.parametrize("damage", ["truncate", "remove"])
def test_a_damaged_checkpoint_costs_some_steps_and_nothing_else(make_dataset: Make, tmp_path: Path, damage: str) -> None:
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "undisturbed")
    folder = tmp_path / "damaged"
    notes: list[str] = []
    assert not train(params(checkpoint_every=16), dataset, folder, should_stop=after(100))
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    path = newest / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-7]) if damage == "truncate" else path.unlink()
    assert train(params(checkpoint_every=16), dataset, folder, on_note=notes.append)
    assert files(folder) == files(tmp_path / "undisturbed")
    assert len(notes) == 2
    assert notes[0].startswith("passed over a checkpoint: ")
    assert newest.name in notes[0]
    assert notes[1] == "resumed at 96 of 160 images"


def after(images: int) -> Callable[[], bool]:
    """Asks to stop once so many images were seen, at 8 a step."""
    return Interruption(math.ceil(images / 8), kill=False).should_stop


def test_where_no_checkpoint_is_sound_the_run_starts_over(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "undisturbed")
    folder = tmp_path / "damaged"
    train(params(checkpoint_every=16), dataset, folder, should_stop=after(100))
    for state in (folder / "checkpoints").glob("*/state.json"):
        state.write_text("{}")
    assert train(params(), dataset, folder)
    assert files(folder) == files(tmp_path / "undisturbed")


def test_what_a_crash_left_of_the_record_is_cut_off(make_dataset: Make, tmp_path: Path) -> None:
    """Lines after the checkpoint, and one that is half-written, go; earlier ones stay."""
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "undisturbed")
    folder = tmp_path / "crashed"
    train(params(), dataset, folder, should_stop=after(80))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"images": 88, "generator_loss": 9}\n{"images": 96, "gener')
    assert train(params(), dataset, folder)
    assert files(folder) == files(tmp_path / "undisturbed")


def test_a_finished_run_that_is_started_again_only_writes_its_results_again(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "run")
    before = files(tmp_path / "run")
    seen: list[Progress] = []
    assert train(params(), dataset, tmp_path / "run", seen.append)
    assert seen == []
    assert files(tmp_path / "run") == before


def test_a_stop_at_the_last_step_can_be_resumed_too(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "undisturbed")
    assert not train(params(), dataset, tmp_path / "run", should_stop=after(160))
    assert not (tmp_path / "run" / "generator").exists()
    assert train(params(), dataset, tmp_path / "run")
    assert files(tmp_path / "run") == files(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": "non-saturating"}, "loss hinge there, non-saturating here"),
        ({"seed": 3}, "seed 0 there, 3 here"),
        ({"images": 320}, "images 160 there, 320 here"),
        ({"optimizer": {"learning_rate": 0.002}}, "optimizer.learning_rate 0.0005 there, 0.002 here"),
        ({"generator": {"network": "dcgan", "width": 8}}, "generator.width 4 there, 8 here"),
    ],
)
def test_the_training_of_other_parameters_in_a_folder_is_not_taken_up(
    make_dataset: Make, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "run", should_stop=after(40))
    before = files(tmp_path / "run")
    with pytest.raises(TrainingError, match=rf"run: holds an unfinished training of other parameters or data \({said}\); give this"):
        train(params(**changes), dataset, tmp_path / "run")
    assert files(tmp_path / "run") == before
    assert train(params(checkpoint_every=32), dataset, tmp_path / "run")


def test_the_training_of_other_data_in_a_folder_is_not_taken_up(make_dataset: Make, tmp_path: Path) -> None:
    """Also of data that was never written."""
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "run", should_stop=after(40))
    other = {**dataset.samples, "train": 255 - dataset.samples["train"]}
    with pytest.raises(TrainingError, match=r"\(other data\)"):
        train(params(), Dataset(replace(dataset.spec, sha256={}), other, {}), tmp_path / "run")


def test_a_checkpoint_of_a_version_that_did_not_say_what_it_belongs_to_is_resumed(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    train(params(), dataset, tmp_path / "undisturbed")
    train(params(), dataset, tmp_path / "run", should_stop=after(40))
    found, _ = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
    assert found is not None
    checkpoint.save(checkpoint.Checkpoint(found.images, found.tensors, {"counts": found.facts["counts"]}), tmp_path / "run" / "checkpoints")
    assert train(params(), dataset, tmp_path / "run")
    assert files(tmp_path / "run") == files(tmp_path / "undisturbed")


class TestRecord:
    def test_cadences_are_counted_in_images(self, make_dataset: Make, tmp_path: Path) -> None:
        train(params(log_every=32, preview_every=64, images=150), make_dataset(), tmp_path)
        assert [line["images"] for line in record(tmp_path)] == [32, 64, 96, 128, 152]
        assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["000000064.png", "000000128.png", "000000152.png"]

    def test_a_cadence_that_no_step_meets_is_kept_on_average(self, make_dataset: Make, tmp_path: Path) -> None:
        train(params(log_every=20, preview_every=200), make_dataset(), tmp_path)
        assert [line["images"] for line in record(tmp_path)] == [24, 40, 64, 80, 104, 120, 144, 160]
        assert [path.name for path in (tmp_path / "samples").iterdir()] == ["000000160.png"]

    def test_by_default_it_has_two_hundred_lines_and_ten_pictures(self, make_dataset: Make, tmp_path: Path) -> None:
        options = params(images=800, batch=2, generator=MLP, discriminator=MLP)
        train(options, make_dataset(shape=(2,)), tmp_path)
        assert [line["images"] for line in record(tmp_path)] == list(range(4, 801, 4))
        assert len(list((tmp_path / "samples").iterdir())) == 10

    def test_a_line_is_the_mean_over_the_images_since_the_line_before(self, make_dataset: Make, tmp_path: Path) -> None:
        dataset = make_dataset()
        train(params(log_every=8), dataset, tmp_path / "fine")
        train(params(log_every=40), dataset, tmp_path / "coarse")
        fine = record(tmp_path / "fine")
        for number, line in enumerate(record(tmp_path / "coarse")):
            for key in ("generator_loss", "discriminator_loss", "real_score", "fake_score", "accuracy_pairs"):
                mean = np.mean([one[key] for one in fine[number * 5 : number * 5 + 5]])
                assert line[key] == pytest.approx(mean, rel=1e-4, abs=1e-6)

    def test_a_lazy_penalty_is_the_mean_of_the_steps_that_had_it(self, make_dataset: Make, tmp_path: Path) -> None:
        dataset = make_dataset()
        options: dict[str, Any] = {"penalty": {"r1": 1.0, "every": 4}, "images": 64}
        train(params(**options, log_every=8), dataset, tmp_path / "fine")
        train(params(**options, log_every=64), dataset, tmp_path / "coarse")
        fine = record(tmp_path / "fine")
        assert ["r1" in line for line in fine] == [True, False, False, False, True, False, False, False]
        assert record(tmp_path / "coarse")[0]["r1"] == pytest.approx((fine[0]["r1"] + fine[4]["r1"]) / 2, rel=1e-4)

    def test_every_move_of_the_discriminator_counts(self, make_dataset: Make, tmp_path: Path) -> None:
        """Also a penalty that never falls on the last of a step's moves."""
        options: dict[str, Any] = {"discriminator_steps": 2, "penalty": {"r1": 1.0, "every": 2}, "images": 64, "log_every": 64}
        train(params(**options), make_dataset(), tmp_path / "run")
        (line,) = record(tmp_path / "run")
        assert line["r1"] > 0

    def test_each_step_is_told(self, make_dataset: Make, tmp_path: Path) -> None:
        seen: list[Progress] = []
        train(params(log_every=16), make_dataset(), tmp_path, seen.append)
        assert [progress.images for progress in seen] == list(range(8, 161, 8))
        assert {progress.budget for progress in seen} == {160}
        assert seen[0].numbers == {}
        assert seen[1].numbers.keys() == record(tmp_path)[0].keys() - {"images"}

    def test_previews_are_of_the_same_latents_and_the_last_shows_what_ships(self, make_dataset: Make, tmp_path: Path) -> None:
        from gan_core.pictures import grid

        train(params(), make_dataset(), tmp_path)
        generator = Generator.load(tmp_path / "generator")
        with Image.open(tmp_path / "samples" / "000000160.png") as image:
            shown = np.asarray(image)
        drawn = grid(generator.sample(64, 0).samples)
        assert shown.shape == drawn.shape
        # Its weights lie otherwise in memory, which may round a pixel the other way.
        assert np.abs(shown.astype(int) - drawn).max() <= 1


class TestResult:
    def test_the_checkpoint_keeps_both_players_and_their_optimisers(self, make_dataset: Make, tmp_path: Path) -> None:
        train(params(), make_dataset(), tmp_path)
        state = checkpoint.read(tmp_path / "checkpoint")
        assert state.images == 160
        for player in ("generator", "discriminator"):
            assert checkpoint.subtree(state.tensors, f"players/{player}")
        for optimizer in ("0", "1"):
            moments = checkpoint.subtree(state.tensors, f"optimizers/{optimizer}")
            assert {key.split("/")[1] for key in moments} == {"step", "exp_avg", "exp_avg_sq"}
            assert float(moments["0/step"]) == 20

    def test_without_an_average_the_raw_generator_ships(self, make_dataset: Make, tmp_path: Path) -> None:
        dataset = make_dataset()
        for ema in (0, 100):
            train(params(ema=ema), dataset, tmp_path / str(ema))
            shipped = load_file(tmp_path / str(ema) / "generator" / "generator.safetensors")
            state = checkpoint.read(tmp_path / str(ema) / "checkpoint").tensors
            raw = checkpoint.subtree(state, "players/generator")
            average = checkpoint.subtree(state, "average")
            assert all(torch.equal(shipped[key], average[key]) for key in shipped)
            assert all(torch.equal(shipped[key], raw[key]) for key in shipped) == (ema == 0)

    def test_what_ships_says_what_it_is(self, make_dataset: Make, tmp_path: Path) -> None:
        dataset = make_dataset(classes=3)
        train(params(condition="label", images=150), dataset, tmp_path)
        generator = Generator.load(tmp_path / "generator")
        assert (generator.config.images, generator.config.dataset) == (152, dataset.spec.digest)
        assert generator.config.classes == ("class-0", "class-1", "class-2")
        assert generator.sample(6, label="class-1").samples.shape == (6, 1, 16, 16)

    def test_several_discriminator_steps_each_see_their_own_images(self, make_dataset: Make, tmp_path: Path) -> None:
        train(params(discriminator_steps=5, images=200), make_dataset(), tmp_path)
        state = checkpoint.read(tmp_path / "checkpoint")
        assert state.images == 200
        assert float(state.tensors["optimizers/0/0/step"]) == 25
        assert float(state.tensors["optimizers/1/0/step"]) == 5

    def test_clipped_weights_stay_within_their_bound(self, make_dataset: Make, tmp_path: Path) -> None:
        plain = {**DCGAN, "normalization": "none"}
        train(params(loss="wasserstein", penalty={"clip": 0.02}, discriminator=plain), make_dataset(), tmp_path)
        weights = checkpoint.subtree(checkpoint.read(tmp_path / "checkpoint").tensors, "players/discriminator")
        assert max(float(weight.abs().max()) for weight in weights.values()) == pytest.approx(0.02)
        assert "critic_distance" in record(tmp_path)[-1]

    def test_the_data_is_left_as_it_was(self, make_dataset: Make, tmp_path: Path) -> None:
        dataset = make_dataset(classes=2)
        before = files(tmp_path / "ready")
        train(params(condition="label", augment=True), dataset, tmp_path / "run")
        assert files(tmp_path / "ready") == before


def test_learning_rates_fall_in_a_straight_line_over_the_last_part() -> None:
    options = params(images=1_000, optimizer={"learning_rate": 0.01, "generator_learning_rate": 0.02, "decay": 0.4})
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizers: Mapping[int, torch.optim.Optimizer] = {
        index: torch.optim.Adam([{"params": [weight], "initial_lr": rate}], lr=rate) for index, rate in ((0, 0.01), (1, 0.02))
    }
    for images, left in ((0, 1), (600, 1), (700, 0.75), (800, 0.5), (999, 0.0025), (0, 1)):
        _set_rates(optimizers, options, images)
        assert [optimizer.param_groups[0]["lr"] for optimizer in optimizers.values()] == pytest.approx([0.01 * left, 0.02 * left])


def test_each_player_has_its_own_learning_rate(make_dataset: Make, tmp_path: Path) -> None:
    """With betas of 0 Adam's first step moves a weight by the learning rate, whatever its gradient."""
    dataset = make_dataset(shape=(2,))
    optimizer = OptimizerParams(learning_rate=0.01, generator_learning_rate=0.03, betas=(0.0, 0.0))
    options = params(generator=MLP, discriminator=MLP, loss="minimax", optimizer=optimizer.model_dump())
    states = []
    for steps in (1, 2):
        train(options, dataset, tmp_path / str(steps), should_stop=after(8 * steps))
        states.append(checkpoint.load_latest(tmp_path / str(steps) / "checkpoints")[0])
    first, second = states
    assert first is not None
    assert second is not None
    for player, rate in (("discriminator", 0.01), ("generator", 0.03)):
        key = f"players/{player}/layers.2.weight"
        assert float((second.tensors[key] - first.tensors[key]).abs().median()) == pytest.approx(rate, rel=0.02)


class TestNotFinite:
    def poisoned(self, folder: Path, at: int) -> Dataset:
        """Points of which one is not a number."""
        folder.mkdir()
        train_points = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
        train_points[at] = np.nan
        np.save(folder / "train.npy", train_points)
        np.save(folder / "holdout.npy", train_points[:10])
        write_spec(folder, Points((2,), {"train": 200, "holdout": 10}, mean=(0.0, 0.0), std=(1.0, 1.0)))
        return Dataset.open(folder)

    @pytest.mark.parametrize("log_every", [8, 1_000])
    def test_the_run_stops_and_names_what_where_and_what_to_do(self, tmp_path: Path, log_every: int) -> None:
        """By the next line of the record or the next checkpoint, whichever comes first, and no damaged state is saved."""
        dataset = self.poisoned(tmp_path / "ready", at=11)
        options = params(generator=MLP, discriminator=MLP, log_every=log_every, checkpoint_every=16, images=1_000)
        with pytest.raises(TrainingError) as raised:
            train(options, dataset, tmp_path / "run")
        message = str(raised.value)
        assert message.startswith("discriminator_loss is not finite at ")
        assert "lower train.optimizer.learning_rate, or give the discriminator less weight" in message
        assert not (tmp_path / "run" / "generator").exists()
        saved, notes = checkpoint.load_latest(tmp_path / "run" / "checkpoints")
        assert notes == []
        if saved is not None:
            assert all(torch.isfinite(value).all() for value in saved.tensors.values())
        if log_every == 8:
            assert all(math.isfinite(value) for line in record(tmp_path / "run") for value in line.values())
        with pytest.raises(TrainingError) as again:
            train(options, dataset, tmp_path / "run")
        assert str(again.value) == message

    def test_a_loss_that_overflows_is_named(self, make_dataset: Make, tmp_path: Path) -> None:
        """A learning rate far too high for squares of logits."""
        wild = {"learning_rate": 1.0, "betas": [0.0, 0.0]}
        options = params(
            generator={"widths": [512] * 6}, discriminator={"widths": [512] * 6}, loss="least-squares", optimizer=wild, images=4_000
        )
        with pytest.raises(TrainingError, match=r"^\w+_(loss|score) is not finite at [\d,]+ points; lower train\.optimizer\.learning_rate"):
            train(options, make_dataset(shape=(2,)), tmp_path / "run")
        assert not (tmp_path / "run" / "generator").exists()


class TestLearning:
    def test_points_on_a_circle(self, make_dataset: Make, tmp_path: Path) -> None:
        """In a few seconds the points come near a radius of 2 and reach round."""
        mlp = {"network": "mlp", "widths": [32, 16]}
        options = params(
            images=200_000, batch=256, latent=3, generator=mlp, discriminator=mlp, loss="non-saturating",
            optimizer={"learning_rate": 2e-3, "betas": [0.5, 0.9]},
        )  # fmt: skip
        dataset = make_dataset(shape=(2,), count=1_000)
        train(params(images=256, batch=256, latent=3, generator=mlp, discriminator=mlp), dataset, tmp_path / "start")
        train(options, dataset, tmp_path / "end")
        errors, bins = [], []
        for name in ("start", "end"):
            points = Generator.load(tmp_path / name / "generator").sample(2_000).samples
            errors.append(float(np.abs(np.linalg.norm(points, axis=1) - 2).mean()))
            bins.append(len(set(np.floor(np.degrees(np.arctan2(points[:, 1], points[:, 0])) // 10))))
        assert errors[1] < 0.4 < errors[0]
        assert bins[1] >= 30

    def test_labels(self, tmp_path: Path) -> None:
        """Of two classes, one dark and one bright, the generator draws the one that is asked for."""
        folder = tmp_path / "ready"
        folder.mkdir()
        draw = np.random.default_rng(0)
        for split, n in (("train", 200), ("holdout", 10)):
            labels = np.arange(n, dtype=np.int64) % 2
            np.save(folder / f"{split}.npy", (draw.integers(20, 60, (n, 1, 8, 8)) + 170 * labels[:, None, None, None]).astype(np.uint8))
            np.save(folder / f"{split}_labels.npy", labels)
        write_spec(folder, Images((1, 8, 8), {"train": 200, "holdout": 10}, ("dark", "bright")))
        wide = {"network": "dcgan", "width": 16}
        options = params(images=6_400, batch=32, condition="label", generator=wide, discriminator=wide, optimizer={"learning_rate": 1e-3})
        train(options, Dataset.open(folder), tmp_path / "run")
        generator = Generator.load(tmp_path / "run" / "generator")
        dark, bright = (generator.sample(50, label=name).samples.mean() for name in ("dark", "bright"))
        assert dark == pytest.approx(39.5, abs=25)
        assert bright == pytest.approx(209.5, abs=25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"condition": "label"}, "the data has no labels"),
        ({"generator": {"network": "dcgan", "widths": [8]}}, r"generator\.widths: 1 given, and 16 pixels take 3"),
        ({"discriminator": {"network": "dcgan", "widths": [8]}}, r"discriminator\.widths: 1 given, and 16 pixels take 2"),
    ],
)
def test_parameters_that_do_not_fit_the_data_are_refused_before_anything_is_written(
    make_dataset: Make, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(params(**changes), make_dataset(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
