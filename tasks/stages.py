"""The five stages as Prefect tasks. Each is DVC's stage of the same name, run in a child; Prefect adds retries, states and the live log.

A stage that DVC finds unchanged ends in state Cached, with the reason. `fetch` is always run, since only it can see whether the
source has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from prefect import Task, get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from gan_core.errors import BusyError, GantryError
from tasks.graph import repro, sharing
from tasks.params import Entry
from tasks.promotion.standing import lost
from tasks.records import tracking
from tasks.start import pin
from tasks.system import locks
from tasks.system.gpu import will_use_cuda
from tasks.workspace import STAGES, Workspace

_HOUR = 3600.0

TIMEOUTS: Mapping[str, float] = {
    "fetch": 6 * _HOUR,
    "validate": 6 * _HOUR,
    "train": 14 * 24 * _HOUR,
    "evaluate": 6 * _HOUR,
    "register": 1 * _HOUR,
}
"""Seconds that a stage may take where nobody says otherwise: long enough for honest work, short enough to end what hangs."""

# Exit codes (gan_core.errors) after which another try may pass: a source or a server that was out of reach. Bad parameters and bad
# data stay bad, and a stage that crashed is a defect to look at.
_PASSING: Mapping[str, frozenset[int]] = {
    "fetch": frozenset({1}),
    "start": frozenset({5}),
    "train": frozenset({5}),
    "evaluate": frozenset({5}),
    "register": frozenset({5}),
}
_RETRY_DELAYS = [10.0, 60.0, 180.0]

SKIPPED = "Skipped"
"""Name of the state of a run, and of its stage, that somebody else's work on the same entry kept from running."""
STOPPED = "Stopped"
"""Name of the state of a run that was asked to end by SIGTERM, as when a worker is taken down; what it saved is kept."""

GPU_LIMIT = "gpu"
"""The server's concurrency limit that a training on a GPU takes a slot of, while it runs; without one nothing is limited.

Not a limit of the task's tag: that is held by a stage that has nothing to do, too, and for ever by one that was killed.
"""


@dataclass(frozen=True)
class StageResult:
    """How a stage ended."""

    stage: str
    outcome: Literal["ran", "cached", "failed", "stopped"]
    reason: str
    """Cached: why it did not have to run. Ran: why it had to, or for fetch what it found. Failed: the first line of the error."""
    seconds: float


class Listener(Protocol):
    """Who wants to see a run as it goes, such as a terminal."""

    def started(self, stage: str) -> None: ...

    def line(self, stage: str, text: str) -> None: ...

    def ended(self, result: StageResult) -> None: ...


class _Nobody:
    def started(self, stage: str) -> None:
        pass

    def line(self, stage: str, text: str) -> None:
        pass

    def ended(self, result: StageResult) -> None:
        pass


listener: ContextVar[Listener] = ContextVar("listener", default=_Nobody())  # noqa: B039


def stage_task(stage: str, entry: Entry) -> Task[..., State[Any]]:
    """The Prefect task of a stage; tagged `gpu` where it will train on one."""
    return Task(
        fn=_run,
        name=stage,
        task_run_name=stage,
        tags=["gpu"] if _needs_gpu(stage, entry) else [],
        retries=len(_RETRY_DELAYS) if stage in _PASSING else 0,
        retry_delay_seconds=_RETRY_DELAYS,
        retry_condition_fn=_can_pass,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


def _run(workspace: Workspace, name: str, entry: Entry, stage: str, timeout: float, force: bool, budget: float | None = None) -> State[Any]:
    """Run a stage, if it has to be."""
    listening = listener.get()
    listening.started(stage)
    start = time.monotonic()
    try:
        outcome, reason = _reproduce(workspace, name, entry, stage, timeout, force, budget)
    except BusyError as busy:
        listening.ended(StageResult(stage, "stopped", str(busy), time.monotonic() - start))
        return Cancelled(name=SKIPPED, message=str(busy))
    except GantryError as error:
        listening.ended(StageResult(stage, "failed", str(error).partition("\n")[0], time.monotonic() - start))
        raise
    except BaseException:
        listening.ended(StageResult(stage, "stopped", "before its end", time.monotonic() - start))
        raise
    listening.ended(StageResult(stage, outcome, reason, time.monotonic() - start))
    return Completed(name="Cached" if outcome == "cached" else "Completed", message=reason)


def _reproduce(
    workspace: Workspace, name: str, entry: Entry, stage: str, timeout: float, force: bool, budget: float | None
) -> tuple[Literal["ran", "cached"], str]:
    logger = get_run_logger()
    listening = listener.get()

    def say(line: str) -> None:
        logger.info(line)
        listening.line(stage, line)

    if stage == "train":
        pin(workspace, name, entry.train, say, timeout, budget)
    status = repro.look(workspace, stage, name)
    # DVC sees what the stage reads and writes here, and not what it did to the registry.
    if not status.changed and stage == STAGES[-1] and (reason := lost(workspace, name)) is not None:
        status, force = repro.Status(True, reason), True
    if not status.changed and not force and stage != STAGES[0]:
        return "cached", status.reason
    if status.changed and stage == "train" and workspace.was_stopped(name):
        causes = status.causes
        stopped = "the last training was stopped before its end" if causes else "it was stopped before its end, and goes on from there"
        status = repro.Status(True, f"{causes}; {stopped}" if causes else stopped)
    if status.changed or force:
        logger.info("has to run: %s", status.reason if status.changed else "asked for")
    sharing.bring(workspace, stage, name, say)
    before = tracking.dvc_hash(workspace, workspace.raw(name))
    with _gpu(stage, entry, say) as device:
        restored = repro.reproduce(
            workspace,
            stage,
            name,
            force=force or stage == STAGES[0],
            on_line=say,
            timeout=timeout,
            extra_environment={tracking.FLOW_RUN: str(flow_run.id), **device},
        )
    sharing.send(workspace, stage, name, say)
    if restored is not None:
        return "cached", restored
    if stage == STAGES[0]:
        same = before is not None and tracking.dvc_hash(workspace, workspace.raw(name)) == before
        return "ran", "the source has nothing new" if same else "new data" if before is not None else "first data"
    return "ran", status.reason


@contextmanager
def _gpu(stage: str, entry: Entry, say: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """A slot of the server's limit, and then one of this machine's GPUs, for a stage that needs one.

    Yields:
        The environment by which the stage sees no other GPU.
    """
    if not _needs_gpu(stage, entry):
        yield {}
        return
    # A server that is away for a moment ends no training that takes hours.
    with concurrency(GPU_LIMIT, raise_on_lease_renewal_failure=False), locks.gpu(say) as device:
        yield device


def _needs_gpu(stage: str, entry: Entry) -> bool:
    return stage == "train" and will_use_cuda(entry.train.device)


def _can_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed stage may do better when tried again."""
    error = state.data
    return (
        isinstance(error, repro.StageError)
        and error.was_explained
        and error.code is not None
        and error.code in _PASSING.get(error.stage, frozenset())
    )
