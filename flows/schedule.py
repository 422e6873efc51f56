"""`gantry schedule`: every entry with a cron expression, run by Prefect at its times, on a real server with its page."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cronsim import CronSim

from flows import server
from gan_core.errors import ConfigError, GantryError
from tasks import params
from tasks.graph import repro
from tasks.preflight import check_registry
from tasks.system import locks, processes
from tasks.workspace import Workspace

PORT = 4200


def schedules(workspace: Workspace) -> dict[str, str]:
    """The cron expression of each entry that has one.

    Raises:
        ConfigError: none has, or params.yaml is wrong.
    """
    found = {name: entry.schedule for name, entry in params.load(workspace.root).items() if entry.schedule is not None}
    if not found:
        raise ConfigError(
            f'{workspace.root / "params.yaml"}: no entry has a schedule; write `schedule: "0 3 * * *"` for every night at three'
        )
    return found


def next_run(cron: str, after: datetime | None = None) -> datetime:
    """The first time after `after` (now), local, at which a cron expression is due."""
    due: datetime = next(CronSim(cron, after or datetime.now()))
    return due


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
    crons = schedules(workspace)
    repro.prepare(workspace)
    check_registry(workspace)
    processes.be_scheduler()
    with server.connected(workspace, full=True, port=port) as local:
        say("starting the Prefect server" if local else f"using the Prefect server at {os.environ['PREFECT_API_URL']}")
        if local:
            local.wait()
            say(f"its page: {local.ui}")
        _serve(workspace, crons, say)


def _serve(workspace: Workspace, crons: Mapping[str, str], say: Callable[[str], None]) -> None:
    from prefect import serve as serve_deployments
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows import runs
    from flows.retrain import retrain

    for name in crons:
        _check_is_free(workspace, name)
    zone = local_timezone()
    deployments = [
        RunnerDeployment.from_flow(
            retrain,
            name=name,
            schedule=Cron(cron, timezone=zone),
            parameters={"name": name},
            tags=[runs.tag(workspace)],
            # A run that takes longer than the time to the next one is not joined by it.
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for name, cron in crons.items()
    ]
    runs.forget_deployments(workspace, keep=list(crons))
    for name in crons:
        # A killed scheduler leaves its run as Running, and that would keep every later one out.
        with suppress(GantryError), locks.retraining(workspace, name):
            runs.close_dead(workspace, name)
    for name, cron in sorted(crons.items(), key=lambda item: next_run(item[1])):
        say(f"{name}: next at {next_run(cron):%a %d %b %Y %H:%M} ({cron}, {zone})")
    say("Ctrl-C ends it")
    # Its schedules are paused when it ends, so that a server that lives on does not plan runs that nobody would start.
    serve_deployments(*deployments, pause_on_shutdown=True, print_starting_message=False)


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
        raise GantryError(f"{runs.FLOW}/{name} on this Prefect server is run by the schedule of {', '.join(found.tags)}; end that first")


def local_timezone() -> str:
    """The machine's time zone by its IANA name, which Prefect needs; UTC where it has none."""
    named = os.environ.get("TZ", "").removeprefix(":")
    link = Path("/etc/localtime")
    if not named and link.is_symlink():
        _, found, zone = str(link.resolve()).partition("/zoneinfo/")
        named = zone if found else ""
    return named if named and _is_zone(named) else "UTC"


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True
