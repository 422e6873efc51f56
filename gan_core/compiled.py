"""A training's step as one graph, compiled for this processor by torch's compiler (Ansel et al., 2024, PyTorch 2).

Both players' forward passes, their gradients, penalties' gradients of gradients, and Adam are traced together, with
`torch._dynamo.config.trace_autograd_ops`, and become a few loops in C++ between products of matrices. What a small network's step costs
step by step is the start of some hundred operations from Python, and that is gone.

Random numbers are drawn as in eager steps, by torch's generator and in the same order (inductor's `fallback_random`), so a step is still a
function of (seed, images seen). Sums are in another order, so a compiled run ends with other last bits than one that is not. Whether steps
are compiled is therefore decided before the first one, from what is known then and never from the clock, kept with the training's state,
and the same when it is resumed.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from gan_core.data.batches import Batch, Batches
from gan_core.device import choose_device
from gan_core.distributed import Group
from gan_core.errors import ConfigError, TrainingError
from gan_core.params import TrainParams
from gan_core.recipes.game import Recipe, Turn
from gan_core.steps import EagerStep, Optimizers, Step

PAYS_FROM = 60_000
"""Steps of a budget that pay for compiling, where nothing of it is kept from before (docs/performance.md)."""
FACT = "step"
"""Under which a checkpoint has how its training's steps are played; not those of trainings with `compile: off`."""
_MOST_KINDS = 2
"""Of steps that are compiled: with and without penalties."""


@dataclass(frozen=True)
class Choice:
    """How a training's steps are played, and why."""

    step: Literal["compiled", "eager"]
    why: str

    @property
    def in_words(self) -> str:
        """In a line, that begins with the key."""
        if self.step == "eager":
            return f"train.compile: steps are not compiled: {self.why}"
        return f"train.compile: steps are compiled, which takes half a minute or more the first time: {self.why}"

    def as_record(self) -> dict[str, str]:
        """As JSON holds it."""
        return {FACT: self.step, f"{FACT}_why": self.why}


def chosen(params: TrainParams, recipe: Recipe[Any], kind: str, group: Group, kept: str | None) -> Choice:
    """How steps are to be played.

    Args:
        kind: of the data.
        kept: how the steps of a training that is resumed were played; None where there were none.

    Raises:
        ConfigError: `compile: on`, and they cannot be compiled.
        TrainingError: they were compiled, and here cannot be.
    """
    if params.compile == "off":
        return Choice("eager", "train.compile is off")
    if kept == "eager":
        return Choice("eager", "they were when the training began")
    obstacle = _obstacle(params, recipe, kind, group)
    if kept == "compiled":
        if obstacle := obstacle or lacking():
            raise TrainingError(
                f"train.compile: the training that is to go on began with compiled steps, and {obstacle}; others would end with other "
                "last bits. Let it go on where it began, or remove its state to start over"
            )
        return Choice("compiled", "they were when the training began")
    if params.compile == "on":
        if obstacle := obstacle or lacking():
            raise ConfigError(f"train.compile: on, and {obstacle}; write off, or auto, which compiles what can be")
        return Choice("compiled", "train.compile is on")
    steps = params.budget // _images_a_step(params, recipe)
    if obstacle is None and steps < PAYS_FROM:
        obstacle = f"a budget of {steps:,} steps does not pay for compiling, which {PAYS_FROM:,} do"
    obstacle = obstacle or lacking()  # last, for what is to be installed only where it would pay
    return Choice("eager", obstacle) if obstacle else Choice("compiled", f"a budget of {steps:,} steps pays for it")


def step_of(
    choice: Choice,
    params: TrainParams,
    recipe: Recipe[Any],
    optimizers: Optimizers,
    batches: Batches,
    eager: EagerStep,
    images: int,
    kept: str | None,
) -> tuple[Step, Choice]:
    """What plays steps as was chosen from `images` on. Where the compiler fails, `auto` falls back on eager steps.

    Raises:
        ConfigError, TrainingError: as `chosen`, where the compiler fails.
    """
    if choice.step == "eager" or images >= params.budget:
        return eager, choice
    try:
        step = CompiledStep(params, recipe, optimizers, batches)
        step.prepare(images)
    except Exception as error:  # of torch's compiler, of the C++ compiler that it calls, or of the disk
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        why = f"its step does not compile here ({first[:200]})"
        if kept == "compiled":
            raise TrainingError(
                f"train.compile: {why}, and the training that is to go on began with compiled steps; put that right, or remove its state "
                "to start over"
            ) from error
        if params.compile == "on":
            raise ConfigError(f"train.compile: on, and {why}; put that right, or write off") from error
        return eager, Choice("eager", why)
    return step, choice


def _obstacle(params: TrainParams, recipe: Recipe[Any], kind: str, group: Group) -> str | None:
    """Why such steps cannot be compiled anywhere or on this system, in words; None where they can be."""
    if why := params.uncompiled(kind):
        return why
    if (device := choose_device(params.device)).type != "cpu":
        return f"on {device.type} steps are not compiled"
    if group.size > 1:
        return f"steps of {group.size} processes are not compiled"
    if len(_kinds(params, recipe)) > _MOST_KINDS:
        return f"its steps are of {len(_kinds(params, recipe))} kinds, by where penalties fall, each of which would be compiled"
    if sys.platform not in ("linux", "darwin"):
        return f"on {sys.platform} steps are not compiled"
    return None


def lacking() -> str | None:
    """What torch's compiler needs and does not find here, in words, with the remedy."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")  # as torch's compiler looks for it
    if not shutil.which(compiler):
        return f"there is no C++ compiler here ({compiler}); install one, such as the package g++, or name it in CXX"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return f"there is no Python.h in {sysconfig.get_path('include')}; install Python's headers, such as the package python3-dev"
    return None


def _images_a_step(params: TrainParams, recipe: Recipe[Any]) -> int:
    return params.batch * _draws(recipe)


def _draws(recipe: Recipe[Any]) -> int:
    """Batches that a step draws."""
    return sum(turn.repeats for turn in recipe.turns if turn.draws)


def _kind(images: int, params: TrainParams, recipe: Recipe[Any]) -> tuple[int, ...]:
    """Of each batch of the step after `images` 0 where it is played with penalties, 1 where it is not: in place of the number of moves,
    which is another one in each step, and would be compiled anew."""
    first = images // params.batch
    return tuple(int((first + number) % recipe.penalised_every != 0) for number in range(_draws(recipe)))


def _kinds(params: TrainParams, recipe: Recipe[Any]) -> set[tuple[int, ...]]:
    """All kinds of step that a training has."""
    return {_kind(step * _images_a_step(params, recipe), params, recipe) for step in range(recipe.penalised_every)}


class _Moments:
    """A turn's weights, and Adam's moments of them (Kingma and Ba, 2015), which lie where the optimiser keeps them."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        (self._group,) = optimizer.param_groups
        self.weights: list[Tensor] = self._group["params"]
        for weight in self.weights:
            if not optimizer.state[weight]:
                zeros = {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
                optimizer.state[weight] = {"step": torch.zeros(()), **zeros}
        each = [optimizer.state[weight] for weight in self.weights]
        self._first, self._second = ([state[name] for state in each] for name in ("exp_avg", "exp_avg_sq"))
        self._steps: list[Tensor] = [state["step"] for state in each]
        self._made = [int(step) for step in self._steps]

    @property
    def tensors(self) -> list[Tensor]:
        """All that a step changes."""
        return [*self.weights, *self._first, *self._second]

    def scales(self, moves: int) -> Tensor:
        """What the next moves are scaled by, the rate among it: (moves, 2, weights)."""
        (beta, square), rate = self._group["betas"], self._group["lr"]

        def of(count: int) -> tuple[float, float]:
            return rate / (1 - beta**count), 1 / math.sqrt(1 - square**count)

        pairs = [[of(made + move) for made in self._made] for move in range(1, moves + 1)]
        return torch.tensor(pairs).transpose(1, 2)

    def count(self, moves: int) -> None:
        """Note that moves were made."""
        self._made = [made + moves for made in self._made]
        torch._foreach_add_(self._steps, moves)

    @torch.no_grad()
    def move(self, gradients: Sequence[Tensor], scales: Tensor) -> None:
        """Move the weights; traced."""
        beta, square = self._group["betas"]
        for number, gradient in enumerate(gradients):
            first, second = self._first[number], self._second[number]
            first.lerp_(gradient, 1 - beta)
            second.mul_(square).addcmul_(gradient, gradient, value=1 - square)
            self.weights[number].sub_(scales[0, number] * first / (second.sqrt() * scales[1, number] + self._group["eps"]))


class CompiledStep:
    """The whole step as one graph, for a game all of whose turns are played from the beginning to the end.

    Gradients are left in the weights, as eager steps leave them.
    """

    def __init__(self, params: TrainParams, recipe: Recipe[Any], optimizers: Optimizers, batches: Batches) -> None:
        self._params, self._recipe, self._batches = params, recipe, batches
        self._moments = [_Moments(optimizers[index]) for index in range(len(recipe.turns))]
        # torch's compiler keeps what it made beside a function's code, up to eight times: each training has code of its own.
        own = cast(types.FunctionType, CompiledStep._traced)
        traced = types.MethodType(types.FunctionType(own.__code__.replace(), own.__globals__), self)
        self._graph: Callable[..., Any] = torch.compile(traced, fullgraph=True, dynamic=False, options={"fallback_random": True})

    def prepare(self, images: int) -> None:
        """Compile every kind of step, and leave all as it was.

        Raises:
            Exception: whatever torch's compiler raises.
        """
        players = self._recipe.players.values()
        tensors = [*(one for player in players for one in (*player.parameters(), *player.buffers()))]
        tensors += [one for moments in self._moments for one in moments.tensors]
        kept = [tensor.detach().clone() for tensor in tensors]
        try:
            with _one_graph():
                for kind in sorted(_kinds(self._params, self._recipe)):
                    self._graph(self._drawn(images), kind, self._scales())
        finally:
            self._recipe.forget()
            with torch.no_grad():
                for tensor, value in zip(tensors, kept, strict=True):
                    tensor.copy_(value)

    def play(self, images: int, played: Sequence[Turn]) -> list[Mapping[str, Tensor]]:
        kind = _kind(images, self._params, self._recipe)
        numbers, gradients = self._graph(self._drawn(images), kind, self._scales())
        for turn, moments, found in zip(self._recipe.turns, self._moments, gradients, strict=True):
            moments.count(turn.repeats)
            for weight, gradient in zip(moments.weights, found, strict=True):
                weight.grad = gradient
        return cast(list[Mapping[str, Tensor]], numbers)

    def _drawn(self, images: int) -> list[tuple[Tensor, Tensor | None]]:
        """The step's batches, and their labels."""
        batch = self._params.batch
        drawn = (self._batches.after(images + number * batch, batch) for number in range(_draws(self._recipe)))
        return [(one.real, one.labels) for one in drawn]

    def _scales(self) -> list[Tensor]:
        return [moments.scales(turn.repeats) for turn, moments in zip(self._recipe.turns, self._moments, strict=True)]

    def _traced(
        self, batches: Sequence[tuple[Tensor, Tensor | None]], kind: tuple[int, ...], scales: Sequence[Tensor]
    ) -> tuple[list[Mapping[str, Tensor]], list[Sequence[Tensor]]]:
        """The step; what each move says, and each turn's last gradients."""
        numbers, gradients = [], []
        latest, drawn = Batch(*batches[0]), 0
        for turn, moments, scale in zip(self._recipe.turns, self._moments, scales, strict=True):
            found: Sequence[Tensor] = ()
            for repeat in range(turn.repeats):
                moves = 0
                if turn.draws:
                    latest, moves, drawn = Batch(*batches[drawn]), kind[drawn], drawn + 1
                move = self._recipe.move(turn, latest, moves, repeat == turn.repeats - 1)
                found = torch.autograd.grad(move.loss, moments.weights)
                moments.move(found, scale[repeat])
                self._recipe.after_move(turn)
                numbers.append(move.numbers)
            gradients.append(found)
        self._recipe.forget()
        return numbers, gradients


@contextmanager
def _one_graph() -> Iterator[None]:
    """torch's compiler as it is needed here: gradients are traced, and nothing is left beside this process.

    Elsewhere in the process it is as others have set it.
    """
    import torch._dynamo.config as tracing
    import torch._inductor.config as inductor

    with tracing.patch(trace_autograd_ops=True), inductor.patch(compile_threads=1):
        yield
