"""The training step: Gantry's loop against Keras, eager PyTorch and PyPI's trainers on the same layers, and against the machine."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.environment import Context, MissingError
from benchmarks.race import Laps, Side, race, ratios
from benchmarks.results import Goal, Result, number, ratio_goal, spread

GANTRY, FLOAT32 = "Gantry", "Gantry, float32"
_ON_BATCH, _FUNCTION = "Keras, train_on_batch", "Keras, tf.function"
_EAGER, _EAGER_BF16 = "eager PyTorch", "eager PyTorch, bf16 autocast"
_TORCHGAN, _MIMICRY = "torchgan", "torch-mimicry"
_MATMUL, _MATMUL_BF16, _COPY = "matrix product, float32", "matrix product, bfloat16", "copying memory"
_LIMITS = (_MATMUL, _MATMUL_BF16, _COPY)


@dataclass(frozen=True)
class Race:
    """A generator that several programs train."""

    title: str
    entry: str
    """Of examples/ or params.yaml."""
    word: str
    """What the peers call it."""
    goals: dict[str, float]
    """Least ratio to each peer."""
    train: dict[str, Any] = field(default_factory=dict)
    """What is changed of the entry's training, so that all train the same layers by the same game."""
    unit: str = "images"
    threads: int | None = None
    share: float | None = None
    """Goal: of the measured bfloat16 rate."""
    packages: bool = False
    """Whether PyPI's trainers take part."""
    limits: bool = True
    """Whether the machine's own rates do: points and mixed networks say nothing about them that the others do not."""


RACES = {
    "dcgan": Race(
        "DCGAN on MNIST", "mnist-dcgan", "dcgan", {_ON_BATCH: 3, _FUNCTION: 3, _EAGER: 2, _TORCHGAN: 2, _MIMICRY: 2}, share=0.6,
        packages=True,
    ),
    "mlp": Race(
        "MLP GAN on MNIST", "mnist-mlp", "mlp", {_ON_BATCH: 5, _FUNCTION: 5, _EAGER: 4},
        train={
            "penalty": None, "label_smoothing": 0.1, "optimizer": {"learning_rate": 0.0002, "betas": [0.5, 0.999], "decay": 0.5},
            "generator": {"network": "mlp", "widths": [256, 512, 1024], "normalization": "none", "components": 100},
            "discriminator": {"network": "mlp", "widths": [1024, 512, 256], "dropout": 0.3},
        },
    ),
    "mixed": Race(
        "Dense generator, convolutional discriminator on MNIST", "mnist-mixed", "mixed", {}, limits=False,
        train={
            "batch": 128, "penalty": None, "optimizer": {"learning_rate": 0.0001, "betas": [0.5, 0.999]},
            "discriminator": {"network": "dcgan", "widths": [64, 128], "dropout": 0.25},
        },
    ),
    "circle": Race("Points on a circle", "circle", "circle", {_ON_BATCH: 60}, unit="steps", threads=1, limits=False),
}  # fmt: skip


def run(race_of: Race, context: Context) -> Result:
    """All sides of a race."""
    points = race_of.word == "circle"
    ready = context.prepared("circle") if points else context.digits
    words = ("--threads", str(race_of.threads)) if race_of.threads else ()
    sides = [context.gantry(GANTRY, ready, race_of.entry, *words, **race_of.train)]
    convolutional = race_of.word in ("dcgan", "mixed")
    if convolutional:
        sides.append(context.gantry(FLOAT32, ready, race_of.entry, *words, **race_of.train, precision="float32"))
    missing = _peers(race_of, context, sides, convolutional)
    if race_of.limits:
        sides += [
            context.limit(_MATMUL, "matmul"),
            context.limit(_MATMUL_BF16, "matmul", "--dtype", "bfloat16"),
            context.limit(_COPY, "copy"),
        ]
    laps = race(sides, context.rounds, context.seconds, context.say)
    return _result(race_of, laps, missing)


def _peers(race_of: Race, context: Context, sides: list[Side], convolutional: bool) -> str | None:
    """Add the peers to `sides`, or say why there are none."""
    points = race_of.word == "circle"
    data = context.circle_points if points else context.digits / "train.npy"
    try:
        if context.device == "cpu":  # the peers' TensorFlow has no GPU
            for name, style in ((_ON_BATCH, "train_on_batch"), (_FUNCTION, "tf_function")):
                sides.append(context.peer(name, "keras_gan", race_of.word, "--data", str(data), "--style", style))
        root = "-" if points else str(context.torchvision_root)
        eager = ("torch_gan", race_of.word, "--root", root, "--device", context.device)
        sides.append(context.peer(_EAGER, *eager))
        if convolutional:
            sides.append(context.peer(_EAGER_BF16, *eager, "--precision", "bf16"))
        if race_of.packages and context.device == "cpu":
            sides.append(context.peer(_TORCHGAN, "torchgan_gan", "--root", root))
            sides.append(context.peer(_MIMICRY, "mimicry_gan", "--root", root))
    except MissingError as error:
        return str(error)
    return None


def _result(race_of: Race, laps: Sequence[Laps], missing: str | None) -> Result:
    found = {one.name: one for one in laps}
    gantry, unit = found[GANTRY], race_of.unit
    rows = [_row(one, gantry, unit) for one in laps if one.name not in _LIMITS]
    rows += [("the peers", f"not there: {missing}", "")] if missing else []
    goals = [
        ratio_goal(f"{race_of.title}, {unit} a second against {name}", least, ratios(gantry, found[name], unit), found[name].failure)
        if name in found
        else Goal(
            f"{race_of.title}, {unit} a second against {name}", f"{least:g}x", f"not measured: {missing or 'not on this device'}", None
        )
        for name, least in race_of.goals.items()
    ]
    notes = [_settings(race_of)]
    if gantry.windows and race_of.limits:
        share, said = _shares(found)
        notes.append(said)
        if race_of.share:
            reached, met = ("not measured", None) if share is None else (number(share), share >= race_of.share)
            goals.append(Goal(f"{race_of.title}, share of the measured bfloat16 matrix-product rate", f"{race_of.share:g}", reached, met))
    return Result(
        race_of.title,
        f"`{race_of.entry}` through Gantry's whole loop, and the same layers, optimisers and batches in other programs.",
        ("program", f"{unit} a second", "Gantry against it"),
        rows, goals, _raw(laps), notes,
    )  # fmt: skip


def _row(one: Laps, gantry: Laps, unit: str) -> Sequence[str]:
    if not one.windows:
        return one.name, f"failed: {one.failure}", ""
    gained = [] if one is gantry else ratios(gantry, one, unit)
    return one.name, spread(one.rates(unit)), f"{spread(gained)}x" if gained else ""


def _settings(race_of: Race) -> str:
    threads = f"{race_of.threads} thread" if race_of.threads else "all cores"
    return f"Ratios are of windows in the same round: median, least and most. Gantry's defaults: {threads}" + (
        ", bf16 where the processor has it, float32 for penalties, normalisation, weights and optimisers."
        if race_of.word in ("dcgan", "mixed")
        else ", float32."
    )


def _shares(found: dict[str, Laps]) -> tuple[float | None, str]:
    """Which share of what the machine can do the default settings reach, and the same in words."""
    gantry = found[GANTRY]
    operations = gantry.facts["operations"]
    said = [f"A step takes {number(operations / 1e6)} million floating-point operations a sample"]
    share = None
    for name, which in ((_MATMUL, GANTRY if FLOAT32 not in found else FLOAT32), (_MATMUL_BF16, GANTRY if FLOAT32 in found else None)):
        limit = found[name]
        if which is None or not limit.windows or not found[which].windows:
            continue
        shares = [mine * operations / theirs for mine, theirs in zip(found[which].rates(), limit.rates(), strict=True)]
        said.append(f"{which} reaches {spread(shares)} of the rate of a large {name} ({number(limit.rate() / 1e9)} GFLOP/s)")
        share = statistics.median(shares)
    if found[_COPY].windows:
        said.append(f"memory is copied at {number(found[_COPY].rate() / 1e9)} GB/s, read and written")
    return share, "; ".join(said) + "."


def _raw(laps: Sequence[Laps]) -> dict[str, Any]:
    return {one.name: {"facts": one.facts, "windows": one.windows, "failure": one.failure} for one in laps}


WORKS = {name: partial(run, one) for name, one in RACES.items()}
