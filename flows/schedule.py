"""`gantry schedule`: every entry with a cron expression, run by Prefect at its times, on a real server with its page."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import psutil

from flows import server
from gan_core.errors import ConfigError, GantryError
from tasks import params
from tasks.cron import Times
from tasks.graph import repro
from tasks.graph.dvc_child import GRACE
from tasks.preflight import check_registry
from tasks.system import locks, processes
from tasks.workspace import Workspace

PORT = 4200


def schedules(workspace: Workspace, say: Callable[[str], None]) -> dict[str, Times]:
    """When each entry that has a schedule is due; one that is wrong, or whose time zone is not known, is left out, and said.

    Raises:
        ConfigError: none is left, or params.yaml cannot be read.
    """
    read = params.read(workspace.root)
    wrong = [*read.problems]
    found: dict[str, Times] = {}
    for name, entry in read.entries.items():
        if entry.schedule is not None:
            try:
                found[name] = Times.of(entry.schedule, entry.timezone)
            except ConfigError as error:
                wrong.append(f"{name}: {error}")
    if not found:
        path = workspace.root / "params.yaml"
        nothing = f'{path}: no entry has a schedule; write `schedule: "0 3 * * *"` for every night at three'
        raise ConfigError("\n".join(wrong) or nothing)
    for line in wrong:
        say(f"left out: {line}")
    return found


def next_run(times: Times, after: datetime | None = None) -> datetime:
    """The first time after `after` (now) at which Prefect runs an entry, in the time zone of its schedule.

    Prefect's own computation, also where it surprises: a time in the hour that a change of the clock skips is an hour early under Python
    3.11 and 3.12, and an hour late under later ones.

    Args:
        times: when it is due.
        after: with a time zone.
    """
    from prefect.server.schemas.schedules import CronSchedule

    zone, after = ZoneInfo(times.timezone), after or datetime.now(UTC)
    # Around a change of the clock Prefect gives times that have passed.
    dates = asyncio.run(CronSchedule(cron=times.cron, timezone=times.timezone).get_dates(n=4, start=after))
    return next(date for date in dates if date > after).astimezone(zone)


def serve(workspace: Workspace, port: int, say: Callable[[str], None]) -> None:
    """Serve all schedules until Ctrl-C or SIGTERM.

    Args:
        port: of the server that is started where PREFECT_API_URL is not set.
        say: takes lines for the person who started it.

    Raises:
        ConfigError: no entry has a schedule, or params.yaml is wrong.
        GantryError: the registry, or a server that PREFECT_API_URL names, cannot be reached, the port is taken, or somebody else
            schedules an entry of the same name on that server.
    """
    times = schedules(workspace, say)
    repro.prepare(workspace)
    check_registry(workspace)
    processes.be_scheduler()
    with server.connected(workspace, full=True, port=port) as local:
        say("starting the Prefect server" if local else f"using the Prefect server at {os.environ['PREFECT_API_URL']}")
        if local:
            local.wait()
            say(f"its page: {local.ui}")
        _serve(workspace, times, say)


def _serve(workspace: Workspace, wanted: Mapping[str, Times], say: Callable[[str], None]) -> None:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows import runs
    from flows.retrain import retrain

    times = _free_ones(workspace, wanted, say)
    deployments = [
        RunnerDeployment.from_flow(
            retrain,
            name=name,
            schedule=Cron(due.cron, timezone=due.timezone),
            parameters={"name": name},
            tags=[runs.tag(workspace), name],  # by which a planned run can be told from others
            # A run that takes longer than the time to the next one is not joined by it.
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for name, due in times.items()
    ]
    runs.forget_deployments(workspace, keep=list(times))
    for name in times:
        # A killed scheduler leaves its run as Running, and that would keep every later one out.
        with suppress(GantryError), locks.retraining(workspace, name):
            runs.close_dead(workspace, name)
    for name, first in sorted({name: next_run(due) for name, due in times.items()}.items(), key=lambda item: item[1]):
        say(f"{name}: next at {first:%a %d %b %Y %H:%M %Z} ({times[name]})")
    say("Ctrl-C ends it")
    # Its schedules are paused when it ends, so that a server that lives on does not plan runs that nobody would start.
    runner = Runner(pause_on_shutdown=True)
    for deployment in deployments:
        runner.add_deployment(deployment)
    try:
        _run_until_ended(runner.start)
    finally:
        for name in times:  # the runner does it too, unless it was ended while it began
            with suppress(Exception):
                runs.pause(name)


def _run_until_ended(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run Prefect's runner until Ctrl-C or SIGTERM, and let the runs that are under way come to an orderly end before it.

    In a thread: in the main one it would answer the signals itself, and kill the runs before they have said how they ended.
    """
    loop = asyncio.new_event_loop()
    main = loop.create_task(start())

    def run() -> None:
        with suppress(BaseException), asyncio.Runner(loop_factory=lambda: loop) as runner:  # raised again from `main`
            runner.get_loop().run_until_complete(main)

    thread = threading.Thread(target=run)
    before = {child.pid for child in psutil.Process().children()}
    thread.start()
    try:
        while thread.is_alive():
            thread.join(1)
    except BaseException as stop:
        runs = [child for child in psutil.Process().children() if child.pid not in before]
        for child in runs if isinstance(stop, SystemExit) else ():
            child.terminate()  # SIGTERM reached this process alone, and Ctrl-C reaches all
        _wait(runs, GRACE)
        raise
    finally:
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(main.cancel)
        thread.join()
    main.result()


def _wait(children: Sequence[psutil.Process], seconds: float) -> None:
    """Wait for the end of processes that somebody else takes out of the process table."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(_is_alive(child) for child in children):
        time.sleep(0.05)


def _is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _free_ones(workspace: Workspace, wanted: Mapping[str, Times], say: Callable[[str], None]) -> dict[str, Times]:
    """Those of the entries that nobody else retrains by this name; of the others it is said.

    Raises:
        GantryError: none is left.
    """
    free: dict[str, Times] = {}
    taken = None
    for name, due in wanted.items():
        try:
            _check_is_free(workspace, name)
        except GantryError as error:
            taken = error
            say(f"left out: {name}: {error}")
        else:
            free[name] = due
    if not free and taken is not None:
        raise taken
    return free


def _check_is_free(workspace: Workspace, name: str) -> None:
    """Refuse to take a name over that somebody else retrains by: a server knows a deployment by its name alone."""
    from flows import runs

    found = runs.deployment(name)
    if found is None or runs.tag(workspace) in found.tags:
        return
    if found.work_pool_name is not None:
        raise GantryError(
            f"{runs.FLOW}/{name} on this Prefect server is retrained by the workers of the pool {found.work_pool_name}; leave the schedule "
            f"to them, or `prefect deployment delete {runs.FLOW}/{name}` first"
        )
    if runs.is_served(found):
        raise GantryError(f"{runs.FLOW}/{name} on this Prefect server is run by the schedule of {runs.keeper(found)}; end that first")
