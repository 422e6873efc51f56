"""Steps as one graph: the same training to float precision, resumed bit for bit, and never other bits than those that were decided on."""

from __future__ import annotations

import json
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from planted_table import pack

from gan_core import checkpoint, compiled
from gan_core.data.dataset import Dataset
from gan_core.errors import ConfigError, TrainingError
from gan_core.params import CycleGanParams, GanParams, TabularParams, TrainParams
from gan_core.training import Progress, identity, train

Make = Callable[..., Dataset]

MLP = {"network": "mlp", "widths": [16, 8]}
STEPS, RATE = 20, 1e-3


class Killed(BaseException):
    """Stands for whatever ends a process without warning."""


def params(**changes: Any) -> GanParams:
    base = {"images": 8 * STEPS, "batch": 8, "latent": 4, "generator": MLP, "discriminator": MLP, "log_every": 40, "checkpoint_every": 24}
    return GanParams.model_validate({**base, **changes})


def dense() -> GanParams:
    """All at once that dense networks may ask for."""
    return params(
        condition="label",
        generator={**MLP, "normalization": "batch", "components": 3},
        discriminator={**MLP, "normalization": "spectral", "dropout": 0.3},
        penalty={"r1": 1.0, "r2": 1.0},
        optimizer={"learning_rate": RATE, "decay": 0.5},
        ema=40,
    )


def with_compile(options: TrainParams, how: str) -> Any:
    return options.model_copy(update={"compile": how})


def outs(folder: Path) -> dict[str, bytes]:
    kept = (path for path in sorted(folder.rglob("*")) if path.is_file() and "checkpoints" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def decided(folder: Path) -> dict[str, str]:
    told: dict[str, str] = json.loads((folder / "step.json").read_text())
    return told


def assert_alike(eager: Path, compiled: Path) -> None:
    """Every weight, average, moment and number of the record, to what float32 sums in another order leave of them after twenty steps."""
    one, other = (checkpoint.read(folder / "checkpoint").tensors for folder in (eager, compiled))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        # A bias in front of a batch normalisation has no gradient but rounding, which Adam makes steps of its whole rate of.
        most = STEPS * RATE if name.endswith((".bias", "running_mean")) else 2e-3
        assert other[name].float().numpy() == pytest.approx(tensor.float().numpy(), rel=0.01, abs=most), name
    records = ([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (eager, compiled))
    for expected, found in zip(*records, strict=True):
        assert found == pytest.approx(expected, rel=0.02, abs=2e-3)


needs_a_compiler = pytest.mark.skipif(compiled.lacking() is not None, reason=str(compiled.lacking()))


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)


@pytest.fixture
def traced_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of a step is played operation by operation: it is captured as ever, and g++ is not asked for half a minute."""
    compiler: Callable[..., Any] = torch.compile

    def captured(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        del options["options"]  # of the compiler that is left out
        graph: Callable[..., Any] = compiler(function, backend="aot_eager", **options)
        return graph

    monkeypatch.setattr(torch, "compile", captured)


def assert_resumed_bit_for_bit(options: GanParams, data: Dataset, undisturbed: Path, folder: Path) -> None:
    """Killed between a line of the record and a checkpoint; without a compiler it is not gone on with."""

    def kill(now: Progress) -> None:
        if now.images == 88:
            raise Killed

    with pytest.raises(Killed):
        train(options, data, folder, kill)
    with pytest.MonkeyPatch.context() as without:
        without.setenv("PATH", str(folder))
        without.delenv("CXX", raising=False)
        with pytest.raises(TrainingError, match=r"began with compiled steps, and there is no C\+\+ compiler here"):
            train(options, data, folder)
    notes: list[str] = []
    assert train(options, data, folder, on_note=notes.append)
    assert notes[0].startswith("resumed at 72 of 160 ")
    assert decided(folder)["step_why"] == "they were when the training began"
    assert {**outs(folder), "step.json": b""} == {**outs(undisturbed), "step.json": b""}


def train_both(options: TrainParams, data: Dataset, folder: Path) -> Path:
    """Where the compiled training is, which is like the eager one."""
    for how in ("off", "on"):
        train(with_compile(options, how), data, folder / how)
    assert_alike(folder / "off", folder / "on")
    assert decided(folder / "on") == {"step": "compiled", "step_why": "train.compile is on"}
    assert not (folder / "off" / "step.json").exists()
    return folder / "on"


@pytest.mark.slow
@needs_a_compiler
def test_a_compiled_step_learns_as_an_eager_one_and_is_resumed_bit_for_bit_or_not_at_all(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    network = {"network": "mlp", "widths": [4]}
    data, options = make_dataset((2,)), params(loss="non-saturating", generator=network, discriminator=network)
    compiled_one = train_both(options, data, tmp_path)
    assert_resumed_bit_for_bit(with_compile(options, "on"), data, compiled_one, tmp_path / "broken")


@needs_a_compiler
@pytest.mark.usefixtures("traced_alone")
def test_all_that_dense_networks_may_ask_for_is_one_graph(make_dataset: Make, tmp_path: Path) -> None:
    data = make_dataset((1, 6, 6), classes=3)
    compiled_one = train_both(dense(), data, tmp_path)
    assert_resumed_bit_for_bit(with_compile(dense(), "on"), data, compiled_one, tmp_path / "broken")


@needs_a_compiler
@pytest.mark.usefixtures("traced_alone")
def test_a_step_of_tables_is_one_graph(tmp_path: Path) -> None:
    data = pack(tmp_path / "table", count=200)
    options = TabularParams.model_validate({
        "images": 400, "batch": 20, "latent": 4, "pac": 2, "generator": {"widths": [16]},
        "discriminator": {"widths": [16], "dropout": 0.2}, "log_every": 100,
    })  # fmt: skip
    train_both(options, data, tmp_path)


@pytest.mark.slow
@needs_a_compiler
def test_a_step_that_does_not_compile_is_played_eagerly_by_auto_and_refused_by_on(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiled, "PAYS_FROM", STEPS)
    data, notes = make_dataset((2,)), list[str]()
    train(params(), data, tmp_path / "off")
    train(params(compile="auto"), data, tmp_path / "auto", on_note=notes.append)
    assert "steps are compiled" in notes[0]
    assert notes[1].startswith("train.compile: steps are not compiled: its step does not compile here (")
    assert decided(tmp_path / "auto")["step"] == "eager"
    one, other = outs(tmp_path / "off"), outs(tmp_path / "auto")
    assert other.pop("step.json")
    assert one == other
    with pytest.raises(ConfigError, match=r"train\.compile: on, and its step does not compile here"):
        train(params(compile="on"), data, tmp_path / "on")


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_auto_is_off_and_says_so_and_on_says_what_to_install(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "PAYS_FROM", STEPS)
    data, notes = make_dataset((2,)), list[str]()
    train(params(), data, tmp_path / "off")
    train(params(compile="auto"), data, tmp_path / "auto", on_note=notes.append)
    assert notes == [f"train.compile: steps are not compiled: {decided(tmp_path / 'auto')['step_why']}"]
    assert "there is no C++ compiler here" in notes[0]
    one, other = outs(tmp_path / "off"), outs(tmp_path / "auto")
    assert other.pop("step.json")
    assert one == other
    with pytest.raises(
        ConfigError, match=r"train\.compile: on, and there is no C\+\+ compiler here .*; install one, such as the package g\+\+"
    ):
        train(params(compile="on"), data, tmp_path / "on")


def test_without_python_s_headers_on_says_what_to_install(make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(ConfigError, match=r"train\.compile: on, and there is no Python\.h in .*; install .* the package python3-dev"):
        train(params(compile="on"), make_dataset((2,)), tmp_path / "on")


def test_auto_goes_by_the_steps_of_the_budget_and_keeps_what_it_decided(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset((2,))
    train(params(compile="auto"), data, tmp_path / "run", should_stop=lambda: True)
    assert decided(tmp_path / "run") == {"step": "eager", "step_why": "a budget of 20 steps does not pay for compiling, which 60,000 do"}
    monkeypatch.setattr(compiled, "PAYS_FROM", STEPS)  # as if a later Gantry compiled earlier
    train(params(compile="auto"), data, tmp_path / "run")
    assert decided(tmp_path / "run") == {"step": "eager", "step_why": "they were when the training began"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"generator": {"network": "dcgan"}}, "only dense networks"),
        ({"augment": True}, "train.augment"),
        ({"optimizer": {"name": "rmsprop"}}, "train.optimizer.name: rmsprop"),
        ({"precision": "bf16"}, "train.precision: bf16"),
        ({"accumulate": 2}, "train.accumulate: 2"),
        ({"processes": 2}, "train.processes: 2"),
        ({"penalty": {"r1": 1.0, "every": 8}, "discriminator_steps": 3}, "4 kinds"),
    ],
)
def test_what_is_no_single_graph_is_refused_before_anything_is_trained(
    make_dataset: Make, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    data = make_dataset((1, 16, 16))
    with pytest.raises(ConfigError, match=f"train.compile: on, and .*{why}"):
        train(params(compile="on", **changes), data, tmp_path / "run")


def test_other_recipes_say_that_they_are_no_single_graph() -> None:
    assert "recipe cyclegan" in str(CycleGanParams(compile="on").uncompiled("unpaired"))


def test_a_training_that_is_not_compiled_is_the_one_that_earlier_versions_began(make_dataset: Make) -> None:
    data = make_dataset((2,))
    assert "compile" not in identity(params(), data)["train"]
    assert identity(params(compile="auto"), data)["train"]["compile"] == "auto"
