"""Programs that do the same work, side by side: A B A B ..., so that the machine's moods meet all of them alike.

Each side is a process that warms up once and then trains only while its window is open (`benchmarks.pace`).
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pace import REPLIES

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 300.0
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Side:
    """A program in a race."""

    name: str
    command: Sequence[str]
    """Its Python, a module of this package, and arguments."""


@dataclass
class Laps:
    """What a side did: a window a round."""

    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    windows: list[dict[str, float]] = field(default_factory=list)
    failure: str | None = None
    """Why it has no windows, in its own last words."""

    def rates(self, unit: str = "images") -> list[float]:
        """Of each window, images or steps a second."""
        return [window[unit] / window["seconds"] for window in self.windows]

    def rate(self, unit: str = "images") -> float:
        """The median of `rates`."""
        return statistics.median(self.rates(unit))


class SideError(RuntimeError):
    """A side does not start, or does not answer."""


class _Runner:
    def __init__(self, side: Side, log: Path) -> None:
        self.log = log
        read, write = os.pipe()
        with log.open("w") as output:
            self.process = subprocess.Popen(
                list(side.command), cwd=log.parent, env=environment({REPLIES: str(write)}), stdin=subprocess.PIPE, stdout=output,
                stderr=subprocess.STDOUT, pass_fds=(write,), text=True,
            )  # fmt: skip
        os.close(write)
        self.replies = os.fdopen(read)

    def reply(self, seconds: float) -> dict[str, Any]:
        ready, _, _ = select.select([self.replies], [], [], seconds)
        line = self.replies.readline() if ready else ""
        if not line:
            self.process.kill()
            self.process.wait()
            words = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            raise SideError(words[-1].strip()[:200] if ready and words else f"no answer in {seconds:.0f} s")
        found: dict[str, Any] = json.loads(line)
        return found

    def window(self, seconds: float) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return self.reply(seconds + _GRACE_SECONDS)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.replies.close()


def race(sides: Sequence[Side], rounds: int, seconds: float, say: Callable[[str], None] = lambda line: None) -> list[Laps]:
    """The windows of each side, in the order of `sides`; a side that fails says so and has none from then on.

    Args:
        sides: what runs; all of them live until the end, and all but one wait.
        rounds: windows a side.
        seconds: of each window.
        say: told of each side that is ready or has failed.
    """
    laps = {side.name: Laps(side.name) for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        runners: dict[str, _Runner] = {}
        try:
            for number, side in enumerate(sides):
                runner = _Runner(side, _folder(Path(folder) / str(number)) / "log.txt")
                runners[side.name] = runner
                _asked(laps[side.name], runners, lambda runner=runner: runner.reply(_START_SECONDS), laps[side.name].facts.update)
                say(f"  {side.name}: {laps[side.name].failure or 'ready'}")
            for _ in range(rounds):
                for name, runner in list(runners.items()):
                    _asked(laps[name], runners, lambda runner=runner: runner.window(seconds), laps[name].windows.append)
        finally:
            for runner in runners.values():
                runner.end()
    return [laps[side.name] for side in sides]


def _asked(laps: Laps, runners: dict[str, _Runner], ask: Callable[[], dict[str, Any]], keep: Callable[[dict[str, Any]], None]) -> None:
    """Keep the answer, or the reason why there is none, and then no longer ask."""
    try:
        keep(ask())
    except (SideError, OSError, ValueError) as error:
        laps.failure = str(error)
        runners.pop(laps.name).end()


def ratios(one: Laps, other: Laps, unit: str = "images") -> list[float]:
    """How many times as fast `one` was as `other`, round by round; empty where a side has failed."""
    return [mine / theirs for mine, theirs in zip(one.rates(unit), other.rates(unit), strict=False)]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """What children see: this checkout, both cores, no chatter."""
    kept = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return {**kept, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1", **more}


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path
