"""Programs that do the same work, side by side: A B A B ..., so that the machine's moods meet all of them alike.

Each side is a process that warms up once and then trains only while its window is open (`benchmarks.pace`).
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pace import REPLIES

ROOT = Path(__file__).resolve().parent.parent
_START_SECONDS = 300.0
_GRACE_SECONDS = 60.0
_OF_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""The last two are what `tasks` sets in this process, too: peers and former versions have to do without."""


@dataclass(frozen=True)
class Side:
    """A program in a race."""

    name: str
    command: Sequence[str]
    """Its Python, a module of this package, and arguments."""
    root: Path = ROOT
    """The checkout whose code it runs."""
    copies: int = 1
    """Processes that do it at the same time; what they get done is added up."""


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
                list(side.command), cwd=log.parent, env=environment({REPLIES: str(write)}, side.root), stdin=subprocess.PIPE,
                stdout=output, stderr=subprocess.STDOUT, pass_fds=(write,), text=True,
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

    def open(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.replies.close()


class _Team:
    """The processes of a side."""

    def __init__(self, side: Side, folder: Path) -> None:
        self.runners = [_Runner(side, folder / f"log-{number}.txt") for number in range(side.copies)]

    def facts(self) -> dict[str, Any]:
        first, *_ = [runner.reply(_START_SECONDS) for runner in self.runners]
        return first

    def window(self, seconds: float) -> dict[str, float]:
        for runner in self.runners:
            runner.open(seconds)
        first, *others = (runner.reply(seconds + _GRACE_SECONDS) for runner in self.runners)
        for other in others:  # each at its own rate: one that is in a long step ends later
            for unit in ("steps", "images"):
                first[unit] += other[unit] * first["seconds"] / other["seconds"]
        return first

    def end(self) -> None:
        for runner in self.runners:
            runner.end()


def race(sides: Sequence[Side], rounds: int, seconds: float, say: Callable[[str], None] = lambda line: None, busy: int = 0) -> list[Laps]:
    """The windows of each side, in the order of `sides`; a side that fails says so and has none from then on.

    Args:
        sides: what runs; all of them live until the end, and all but one wait.
        rounds: windows a side.
        seconds: of each window.
        say: told of each side that is ready or has failed.
        busy: programs beside all windows that keep a core at work each.
    """
    laps = {side.name: Laps(side.name) for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        teams: dict[str, _Team] = {}
        loops: list[subprocess.Popen[bytes]] = []
        try:
            for number, side in enumerate(sides):
                team = teams[side.name] = _Team(side, _folder(Path(folder) / str(number)))
                _asked(laps[side.name], teams, team.facts, laps[side.name].facts.update)
                say(f"  {side.name}: {laps[side.name].failure or 'ready'}")
            loops += [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
            for _ in range(rounds):
                for name, team in list(teams.items()):
                    _asked(laps[name], teams, lambda team=team: team.window(seconds), laps[name].windows.append)
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
            for team in teams.values():
                team.end()
    return [laps[side.name] for side in sides]


def _asked(laps: Laps, teams: dict[str, _Team], ask: Callable[[], dict[str, Any]], keep: Callable[[dict[str, Any]], None]) -> None:
    """Keep the answer, or the reason why there is none, and then no longer ask."""
    try:
        keep(ask())
    except (SideError, OSError, ValueError) as error:
        laps.failure = str(error)
        teams.pop(laps.name).end()


def ratios(one: Laps, other: Laps, unit: str = "images") -> list[float]:
    """How many times as fast `one` was as `other`, round by round; empty where a side has failed."""
    return [mine / theirs for mine, theirs in zip(one.rates(unit), other.rates(unit), strict=False)]


def environment(more: Mapping[str, str], root: Path = ROOT) -> dict[str, str]:
    """What children see: a checkout, both cores, no chatter, and threads that wait as each program has them wait."""
    kept = {key: value for key, value in os.environ.items() if key not in _OF_THREADS}
    return {**kept, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1", **more}


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path
