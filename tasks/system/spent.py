"""What a computation takes: time by the clock and of processors, memory at its most."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import psutil

from tasks.system.energy import EnergyMeter


@dataclass(frozen=True)
class Spent:
    """What was spent on a training, over all the starts that it took."""

    seconds: float = 0.0
    """By the clock, from the first step on: what is done before, such as compiling, is not the data's."""
    images: int = 0
    """Samples seen in this time."""
    processor_seconds: float = 0.0
    """Of all cores, and of all processes."""
    peak_memory: int = 0
    """Bytes of main memory at the most, of all processes together."""
    peak_device_memory: int = 0
    """Bytes of a GPU's memory that torch held at the most; 0 without one."""
    energy_kwh: float = 0.0
    """Estimated; 0 where nobody asked for it."""
    co2_kg: float = 0.0
    """What that energy stands for, in kilograms of CO2 equivalent."""

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> Self:
        """What `as_record` noted; nothing spent where that is not what stands there."""
        known = {one.name: noted.get(one.name, 0) for one in fields(cls)}
        if not all(isinstance(value, int | float) for value in known.values()):
            return cls()
        return cls(**known)  # type: ignore[arg-type]

    def and_then(self, later: Spent) -> Spent:
        """This, and what was spent after it: times add up, of the peaks the higher one counts."""
        return Spent(
            self.seconds + later.seconds,
            self.images + later.images,
            self.processor_seconds + later.processor_seconds,
            max(self.peak_memory, later.peak_memory),
            max(self.peak_device_memory, later.peak_device_memory),
            self.energy_kwh + later.energy_kwh,
            self.co2_kg + later.co2_kg,
        )

    @property
    def images_per_second(self) -> int:
        return round(self.images / self.seconds) if self.seconds else 0

    def as_record(self) -> dict[str, float | int]:
        return asdict(self)


class Meter:
    """Measures what this process spends from now on."""

    def __init__(self, energy: EnergyMeter | None = None) -> None:
        """Begin.

        Args:
            energy: what estimates that.
        """
        self._energy = energy
        self._processor = time.process_time()
        self._first: tuple[float, int] | None = None
        self._seen = 0

    def step(self, images: int) -> None:
        """A step has ended, after which the training has seen so many images."""
        self._first = self._first or (time.monotonic(), images)
        self._seen = images

    def spent(self, processes: int = 1, device_memory: int = 0) -> Spent:
        """Up to now.

        Args:
            processes: that do the same as this one.
            device_memory: at the most, in bytes.
        """
        now = time.monotonic()
        began, images = self._first or (now, self._seen)
        processor = time.process_time() - self._processor
        energy, co2 = (0.0, 0.0) if self._energy is None else self._energy.read()
        memory = processes * peak_memory()
        return Spent(now - began, self._seen - images, processes * processor, memory, device_memory, processes * energy, processes * co2)


def peak_memory() -> int:
    """Bytes of main memory that this process has used at the most.

    On Linux by the kernel's own account of this program: getrusage counts what its parent used, too, if it was started without a fork.
    """
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))
