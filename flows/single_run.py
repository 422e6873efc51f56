"""One run of the flow for a person who waits for it: `gantry run NAME`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console

from flows import server
from flows.terminal import Terminal, seconds_in_words
from gan_core.errors import BusyError
from tasks.graph import repro
from tasks.system.imports import quick_imports
from tasks.workspace import Workspace


def run_once(
    workspace: Workspace,
    name: str,
    force: Sequence[str],
    timeouts: Mapping[str, float],
    to_stderr: bool = False,
    budget: float | None = None,
) -> None:
    """Run the flow here, shown on the terminal; with a Prefect server of its own where PREFECT_API_URL is not set.

    Args:
        workspace: with the entry.
        name: of the entry.
        force: stages that run although nothing changed.
        timeouts: seconds by stage.
        budget: seconds that the training is given.
        to_stderr: leave standard output to what a program reads.

    Raises:
        GantryError: as `flows.retrain.retrain`. BusyError: somebody else is at work on the entry.
        KeyboardInterrupt: Ctrl-C; the stage has saved its state. SystemExit: likewise after SIGTERM.
    """
    start = time.monotonic()
    # The person reads the terminal, and Prefect's log keeps the rest.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    console = Console(highlight=False, emoji=False, stderr=to_stderr)
    with repro.forking(workspace, name), Terminal(console, name) as terminal, server.connected(workspace) as own:
        terminal.waiting("starting")
        # While the server starts: Prefect takes a second or two to import, DVC half of one; MLflow, too, where a server is asked.
        with quick_imports():
            import fastapi  # noqa: F401 Prefect's client imports it, and its engines, at its first run
            from prefect import flow_engine, settings, task_engine  # noqa: F401

            from flows.retrain import picture, retrain
            from tasks.records import tracking
            from tasks.stages import SKIPPED, STOPPED, listener

            repro.load(workspace)
        if not tracking.is_own(workspace):
            tracking.load()
        if own:
            own.wait()
        # Heartbeats tell a server's automations that a run is alive. A run's own server has none, and the run would wait for the next beat.
        beat = {settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if own else {}
        token = listener.set(terminal)
        try:
            with settings.temporary_settings(beat):
                state = retrain(name, timeouts=dict(timeouts) or None, force=list(force) or None, budget=budget, return_state=True)
        finally:
            listener.reset(token)
    if state.name == SKIPPED:
        raise BusyError(state.message)
    if state.name == STOPPED:
        sys.exit(128 + signal.SIGTERM)
    if state.is_cancelled():
        raise KeyboardInterrupt
    state.result()
    console.print(f"{state.message}", markup=False, soft_wrap=True)
    if picture(workspace, name).exists():
        console.print(f"picture: {picture(workspace, name).relative_to(workspace.root)}", markup=False, soft_wrap=True)
    console.print(f"took {seconds_in_words(time.monotonic() - start)}", style="dim", markup=False)
