"""Several generators side by side: `gantry run --all` and `gantry run --changed`.

Each is retrained by `gantry run NAME` in a process of its own, so it ends, is resumed and is locked as when a person had started it. All of
them talk to one Prefect server. One that fails does not keep the others; a stop is passed on to all, and each saves its state.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal, Protocol

from flows import server
from gan_core.errors import BusyError
from tasks import kinds
from tasks.graph import repro
from tasks.params import Entry
from tasks.preflight import check_registry
from tasks.system import processes
from tasks.system.cores import usable
from tasks.system.gpu import will_use_cuda
from tasks.workspace import Workspace

_MEMORY = 2**30
"""Bytes that a run takes at least: the command, DVC and a small stage."""
_LONGEST_LINE = 2**20


_End = Literal["done", "skipped", "failed", "stopped", "not started"]
_ENDS: Mapping[int, _End] = {0: "done", BusyError.exit_code: "skipped"}
"""By exit code of a run; what others mean depends on whether it was told to stop."""


@dataclass(frozen=True)
class Outcome:
    """How the run of one generator ended."""

    name: str
    ended: _End
    """Skipped: somebody else is at work on it."""
    said: str
    """Its last word: the decision, or the first line of the error."""
    seconds: float


class EntriesListener(Protocol):
    """Who wants to see the runs as they go, such as a terminal."""

    def started(self, name: str) -> None: ...

    def line(self, name: str, text: str) -> None: ...

    def ended(self, name: str) -> None: ...


def run_many(
    workspace: Workspace, entries: Mapping[str, Entry], options: Sequence[str], jobs: int | None, listener: EntriesListener
) -> list[Outcome]:
    """Run `gantry run NAME OPTIONS` for each entry, as many at once as may be.

    Ctrl-C and SIGTERM end the runs under way, which save their states, and start no more.

    Args:
        entries: by name, in the order in which they are started.
        options: of `gantry run`, for each.
        jobs: how many at once; None: as many as cores and memory have room for.
        listener: is told how it goes.

    Returns:
        An outcome for each entry, in the same order.

    Raises:
        ConfigError: this is no workspace. RegistryError: the tracking server cannot be reached.
        GantryError: the Prefect server cannot be reached or started.
    """
    repro.prepare(workspace)
    check_registry(workspace)
    processes.be_scheduler()
    cores = usable()
    needs = {name: cores_of(entry, cores) if jobs is None else 1 for name, entry in entries.items()}
    with server.connected(workspace) as own:
        if own:
            own.wait()
        places, cores = (max(1, _free_memory() // _MEMORY), cores) if jobs is None else (jobs, jobs)
        return asyncio.run(_run_all(workspace, needs, options, _Room(places, cores), listener))


def cores_of(entry: Entry, cores: int) -> int:
    """How many of the machine's cores an entry's training keeps busy."""
    if entry.train.threads is not None:
        return min(entry.train.threads, cores)
    return 1 if kinds.of(entry.data.kind).keeps_one_core or will_use_cuda(entry.train.device) else cores


class _Room:
    """What the runs under way share: places, and cores."""

    def __init__(self, places: int, cores: int) -> None:
        self._places, self._free = places, cores
        self._change = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, cores: int) -> AsyncIterator[None]:
        """Wait for a place and so many cores, and keep them."""
        async with self._change:
            await self._change.wait_for(lambda: self._places > 0 and self._free >= cores)
            self._places, self._free = self._places - 1, self._free - cores
        try:
            yield
        finally:
            async with self._change:
                self._places, self._free = self._places + 1, self._free + cores
                self._change.notify_all()


def _free_memory() -> int:
    """Bytes that programs can have now."""
    import psutil

    return int(psutil.virtual_memory().available)


async def _run_all(
    workspace: Workspace, needs: Mapping[str, int], options: Sequence[str], room: _Room, listener: EntriesListener
) -> list[Outcome]:
    """The outcome of each entry; `needs` says how many cores each takes."""
    under_way: set[asyncio.subprocess.Process] = set()
    is_stopped = False

    def stop() -> None:
        nonlocal is_stopped
        if not is_stopped:  # once: a run that is saving its state is not to be disturbed
            is_stopped = True
            for child in under_way:
                with suppress(ProcessLookupError):
                    child.send_signal(signal.SIGINT)

    async def run(name: str, cores: int) -> Outcome:
        async with room.taken(cores):
            if is_stopped:
                return Outcome(name, "not started", "stopped before its turn", 0.0)
            listener.started(name)
            start = time.monotonic()
            child = await _start(workspace, name, options)
            under_way.add(child)
            if is_stopped:
                child.send_signal(signal.SIGINT)
            last = await _follow(child, name, lambda line: listener.line(name, line))
            code = await child.wait()
            under_way.discard(child)
        listener.ended(name)
        ended = _ENDS.get(code, "stopped" if is_stopped else "failed")
        return Outcome(name, ended, last or f"ended with exit code {code}", time.monotonic() - start)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return list(await asyncio.gather(*(run(name, cores) for name, cores in needs.items())))


async def _start(workspace: Workspace, name: str, options: Sequence[str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flows.cli", "run", name, *options),
        cwd=workspace.root,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C comes from here, once
        limit=_LONGEST_LINE,
    )


async def _follow(child: asyncio.subprocess.Process, name: str, on_line: Callable[[str], None]) -> str:
    """Pass a run's output on; returns the first line of its error, or what it said of the generator last."""
    assert child.stdout is not None  # noqa: S101
    said, error = "", ""
    async for raw in child.stdout:
        line = raw.decode(errors="replace").rstrip()
        on_line(line)
        if line.startswith("error: "):
            error = error or line.removeprefix("error: ")
        elif line.startswith((f"{name}: ", "stopped; ")):
            said = line.removeprefix(f"{name}: ")
    return error or said
