"""A GPU in one table: `python -m benchmarks.cuda [--minutes 8] [--device cuda] [--quick]`, which `benchmarks/cuda.sh` calls.

Images a second and memory of Gantry's whole loop, and of the same networks, game and batch as PyTorch's tutorials train them: losses
read in each step, a pass for each half of the discriminator's batch, plain Adam, a DataLoader; then with bf16, channels-last, compiled,
and as CUDA graphs. The data are noise, on which no speed depends. Each side is a process of its own. Takes `gan_core` and a PyTorch with
CUDA, and nothing else of the project; `--device cpu --quick` tries it without a GPU, on small images.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.endless import operations, train_while
from gan_core.data.dataset import Dataset
from gan_core.data.scaling import images_to_unit
from gan_core.device import choose_device
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.losses import LOSSES
from gan_core.params import GanParams, Pix2pixParams, TrainParams
from gan_core.penalties import zero_centred_penalty
from gan_core.recipes import build_recipe

_STEPS_WARM, _STEPS_PROFILED = 20, 16


@dataclass(frozen=True)
class Work:
    """Something to train."""

    size: int
    params: TrainParams
    is_compiled: bool = False
    """Whether the tutorial's loop is tried compiled, too, which takes a minute each."""

    def data(self, count: int) -> Dataset:
        """Noise, in colour."""
        images = np.random.default_rng(0).integers(0, 256, (2, count, 3, self.size, self.size), dtype=np.uint8)
        samples, inputs = ({"train": of, "holdout": of[:8]} for of in images)
        counts = {split: len(of) for split, of in samples.items()}
        shape = images.shape[2:]
        if isinstance(self.params, Pix2pixParams):
            return Dataset(Pairs(shape, counts, inputs=shape), samples, {}, inputs)
        return Dataset(Images(shape, counts), samples, {})


def _gan(batch: int, network: str, **changes: Any) -> GanParams:
    player = {"network": network, **changes.pop("player", {})}
    return GanParams.model_validate({"images": 10**6, "batch": batch, "generator": player, "discriminator": player, **changes})


_PENALTY = {"r1": 1.0, "r2": 1.0, "every": 8}
WORKS = {
    "dcgan 64": Work(64, _gan(128, "dcgan", loss="non-saturating", penalty={}, player={"width": 64}), is_compiled=True),
    "modern 64": Work(64, _gan(128, "modern", penalty=_PENALTY)),
    "modern 128": Work(128, _gan(64, "modern", penalty=_PENALTY), is_compiled=True),
    "modern 256": Work(256, _gan(32, "modern", penalty=_PENALTY)),
    "pix2pix 256": Work(256, Pix2pixParams(images=10**6, batch=16, jitter=0, flip=False), is_compiled=True),
}


@dataclass(frozen=True)
class Side:
    """How something is trained."""

    name: str
    is_gantry: bool = False
    precision: str = "float32"
    channels_last: bool = False
    compiled: str | None = None
    """A mode of torch.compile."""


GANTRY, TUTORIAL = "Gantry", "tutorial"
SIDES = (
    Side(GANTRY, is_gantry=True, precision="auto"),
    Side("Gantry, float32", is_gantry=True),
    Side(TUTORIAL),
    Side("tutorial, bf16", precision="bf16"),
    Side("tutorial, bf16, channels-last", precision="bf16", channels_last=True),
    Side("tutorial, bf16, channels-last, compiled", precision="bf16", channels_last=True, compiled="default"),
    Side("tutorial, bf16, channels-last, compiled, CUDA graphs", precision="bf16", channels_last=True, compiled="reduce-overhead"),
)


@dataclass
class Clock:
    """When a training has been timed: after some steps to warm up, a window of time, and some steps under the profiler."""

    device: torch.device
    seconds: float
    found: dict[str, float] = field(default_factory=dict)
    _steps: int = 0
    _images: int = 0
    _start: float = 0.0
    _profile: profile | None = None

    def step(self, images: int) -> bool:
        """Count a step on `images` samples; called after each. False: that is all."""
        self._steps += 1
        self._images += images
        now = time.perf_counter()
        if self._profile is not None:
            if self._steps == _STEPS_PROFILED:
                self.found["busy"] = self._busy()
            return self._steps < _STEPS_PROFILED
        if not self._start:
            if self._steps == _STEPS_WARM:
                self._begin()
        elif now - self._start >= self.seconds:
            self._wait()
            self.found["rate"] = self._images / (time.perf_counter() - self._start)
            if self.device.type != "cuda":
                return False
            self.found["mib"] = torch.cuda.max_memory_allocated() / 2**20
            self._profile = profile(activities=[ProfilerActivity.CUDA])
            self._profile.start()
            self._begin()
        return True

    def _begin(self) -> None:
        self._wait()
        self._steps = self._images = 0
        self._start = time.perf_counter()

    def _busy(self) -> float:
        """The share of the time that the device computed."""
        assert self._profile is not None
        self._wait()
        wall = time.perf_counter() - self._start
        self._profile.stop()
        computed = sum(float(event.self_device_time_total) for event in self._profile.key_averages()) / 1e6
        return computed / wall

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def by_tutorial(params: TrainParams, data: Dataset, clock: Clock, side: Side) -> None:
    """The same networks and game, step by step as PyTorch's DCGAN tutorial and pix2pix's repository write them."""
    device = clock.device
    recipe = build_recipe(params, data.spec, device)
    layout = torch.channels_last if side.channels_last else torch.contiguous_format
    generator, discriminator = (_laid_out(recipe.players[name], layout) for name in ("generator", "discriminator"))
    draw, judge = (
        (player if side.compiled is None else torch.compile(player, mode=side.compiled)) for player in (generator, discriminator)
    )
    of_generator, of_discriminator = (
        torch.optim.Adam(player.parameters(), lr=params.optimizer.learning_rate, betas=params.optimizer.betas)
        for player in (generator, discriminator)
    )
    discriminator_loss, generator_loss = LOSSES[params.loss]  # type: ignore[attr-defined]
    penalty = None if isinstance(params, Pix2pixParams) else params.penalty  # type: ignore[attr-defined]

    def half(run: Callable[..., Tensor], *given: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=side.precision == "bf16"):
            return run(*given).float()

    for step, (real, inputs) in enumerate(_batches(data, params.batch)):
        real = images_to_unit(real.to(device)).contiguous(memory_format=layout)
        given = [images_to_unit(inputs.to(device)).contiguous(memory_format=layout)] if data.inputs else []
        fake = half(draw, *(given or [torch.randn(len(real), recipe.latent, device=device)]))
        discriminator.zero_grad()
        loss = discriminator_loss(half(judge, *given, real), half(judge, *given, fake.detach()))
        if penalty is not None and penalty.r1 and step % penalty.every == 0:  # compiled steps cannot be differentiated twice
            loss = loss + penalty.every * penalty.r1 * (
                zero_centred_penalty(discriminator, real) + zero_centred_penalty(discriminator, fake.detach())
            )
        torch.autograd.backward(loss)
        of_discriminator.step()
        generator.zero_grad()
        logits = half(judge, *given, fake)
        on_real = half(judge, *given, real) if params.loss == "relativistic" else None  # type: ignore[attr-defined]
        loss_generator = generator_loss(logits, on_real)
        if isinstance(params, Pix2pixParams):
            loss_generator = loss_generator + params.reconstruction * nn.functional.l1_loss(fake, real)
        torch.autograd.backward(loss_generator)
        of_generator.step()
        loss.item(), loss_generator.item(), logits.mean().item()  # as a tutorial prints them
        if not clock.step(len(real)):
            return


def _laid_out(player: nn.Module, layout: torch.memory_format) -> nn.Module:
    return player.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


def _batches(data: Dataset, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    samples = torch.from_numpy(data.samples["train"])
    inputs = torch.from_numpy(data.inputs["train"]) if data.inputs else samples
    loader = DataLoader(TensorDataset(samples, inputs), batch, shuffle=True, drop_last=True, pin_memory=torch.cuda.is_available())
    while True:
        yield from loader


def product_rate(device: torch.device) -> float:
    """Floating-point operations a second of a large bf16 product."""
    side, times = (8_192, 50) if device.type == "cuda" else (512, 5)
    one, other = torch.randn(2, side, side, device=device).bfloat16()
    seconds = []
    for _ in range(3):  # the first warms up
        start = time.perf_counter()
        for _ in range(times):
            product = one @ other
        product[0, 0].item()
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 * times / min(seconds[1:])


def measured(work: Work, side: Side, device: torch.device, quick: bool) -> dict[str, float]:
    """`rate`, samples a second, and of a GPU `busy`, the share of the time that it computed, and `mib`, the most memory that was taken."""
    if quick:
        torch.set_num_threads(1)
    data = work.data(max(64, 2 * work.params.batch) if quick else 2_048)
    clock = Clock(device, 0.2 if quick else 5.0)
    params = work.params.model_copy(update={"device": device.type, "precision": side.precision})
    if side.is_gantry:
        train_while(params, data, clock.step)
    else:
        by_tutorial(params, data, clock, side)
    return clock.found


def small(work: Work) -> Work:
    """The same of 32 pixels and eight images a batch, for a processor."""
    return replace(work, size=32, params=work.params.model_copy(update={"batch": 8}))


def _in_a_process(work: str, side: Side, device: str, quick: bool, seconds: float) -> dict[str, float] | str:
    """What `measured` finds in a process of its own, or its last words."""
    command = [sys.executable, "-m", "benchmarks.cuda", "--device", device, "--one", work, side.name, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return "no time left"
    if done.returncode:
        return (done.stderr.strip() or "?").splitlines()[-1][:120]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure all sides of all works while there is time, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--quick", action="store_true", help="try everything once on small images; the numbers mean nothing")
    parser.add_argument("--one", nargs=2, metavar=("WORK", "SIDE"), help="one side alone, in this process")
    given = parser.parse_args()
    device = choose_device(given.device)
    works = {name: small(work) if given.quick else work for name, work in WORKS.items()}
    if given.one:
        name, side = given.one
        print(json.dumps(measured(works[name], next(one for one in SIDES if one.name == side), device, given.quick)))
        return
    end = time.monotonic() + 60 * given.minutes
    product = product_rate(device)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "the processor"
    print(f"{where}, torch {torch.__version__}: a large bf16 product goes at {product / 1e12:.3g} TFLOP/s\n")
    print("| work | side | images a second | Gantry against it | of the product's rate | busy | MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name, work in works.items():
        each = operations(work.params.model_copy(update={"batch": 2, "device": "cpu"}), work.data(16))
        rates: dict[str, float] = {}
        for side in (one for one in SIDES if one.compiled is None or work.is_compiled):
            found = (
                _in_a_process(name, side, given.device, given.quick, end - time.monotonic()) if time.monotonic() < end else "no time left"
            )
            print(_row(name, side.name, found, rates, each / product), flush=True)


def _row(work: str, side: str, found: dict[str, float] | str, rates: dict[str, float], share: float) -> str:
    """A line of the table; `rates` takes up the side's."""
    if isinstance(found, str):
        return f"| {work} | {side} | {found} | | | | |"
    rates[side] = rate = found["rate"]
    ahead = "" if side == GANTRY or GANTRY not in rates else f"{rates[GANTRY] / rate:.3g}x"
    of_gpu = f"{found['busy']:.2f} | {found['mib']:,.0f}" if "mib" in found else "|"
    return f"| {work} | {side} | {rate:,.4g} | {ahead} | {rate * share:.3g} | {of_gpu} |"


if __name__ == "__main__":
    main()
