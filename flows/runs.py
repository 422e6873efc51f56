"""Prefect's record of a workspace's runs, and how it is kept true when a run was killed.

A run that dies by SIGKILL, or with its machine, cannot say so: Prefect shows it as Running for ever. A workspace's runs carry its tag,
and only one run of a generator can hold the generator's lock. So whoever holds it knows that all others are dead.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import DeploymentStatus, State, StateType
from prefect.exceptions import CancelledRun, ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL
from prefect.states import Crashed

from tasks.stages import STOPPED
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

FLOW = "retrain"
PAUSE_SECONDS = 2.0
"""How often a run looks whether it was paused."""


def tag(workspace: Workspace) -> str:
    """What marks the runs of one workspace on a server that several may share."""
    return f"{socket.gethostname()}:{workspace.root.resolve()}"


def unfinished(workspace: Workspace, name: str | None = None) -> list[FlowRun]:
    """The runs of this workspace that Prefect takes to be under way; of `name` only, where it is given."""
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])),
                tags=FlowRunFilterTags(all_=[tag(workspace)]),
            ),
        )
    return [run for run in found if name is None or run.parameters.get("name") == name]


def mark(workspace: Workspace) -> None:
    """Put the workspace's tag on the present run, if whoever started it did not.

    Not by `prefect.tags`, which marks the run's tasks too: before each task Prefect then asks for the tag's concurrency limit, and on
    SQLite that question is now and then refused while the state of the task before is written, and asked again two seconds later.
    """
    if tag(workspace) not in runtime.flow_run.tags:
        with get_client(sync_client=True) as client:
            client.update_flow_run(runtime.flow_run.id, tags=[*runtime.flow_run.tags, tag(workspace)])


def close_dead(workspace: Workspace, name: str) -> None:
    """Record as Crashed what a killed run of `name` left as Running. To be called with the generator's lock held."""
    dead: State[Any] = Crashed(message="its process was killed before it could say so")
    with get_client(sync_client=True) as client:
        for run in unfinished(workspace, name):
            if str(run.id) != runtime.flow_run.id:
                client.set_flow_run_state(run.id, dead, force=True)
                for task in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))):
                    if task.state is None or not task.state.is_final():
                        client.set_task_run_state(task.id, dead, force=True)


def rename(title: str) -> None:
    """Have the present run's line in Prefect's list end with what came of it."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, name=f"{runtime.flow_run.name}: {title}")


class Pause:
    """Whether somebody has pressed Pause on Prefect's page, which changes a word there and reaches nobody.

    The run would go on, without the place that it holds among the runs of its deployment; so its process is interrupted, as by Ctrl-C.
    """

    def __init__(self) -> None:
        self.was_asked = False
        self._over = threading.Event()

    def __enter__(self) -> Self:
        run, process = UUID(str(runtime.flow_run.id)), os.getpid()
        # Made here, since a thread does not see settings that hold for a while; a client of its own, since the run's is for one thread.
        client = SyncPrefectClient(PREFECT_API_URL.value(), auth_string=PREFECT_API_AUTH_STRING.value(), api_key=PREFECT_API_KEY.value())
        threading.Thread(target=self._watch, args=(client, run, process), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def replace(self, state: State[Any]) -> State[Any]:
        """Put a final state in the place of the pause, which Prefect lets only a resumed run leave; returns it."""
        with get_client(sync_client=True) as client:
            # A copy, into which the client writes whose it is: a flow that returns such a state ends as "1/1 states cancelled."
            client.set_flow_run_state(UUID(str(runtime.flow_run.id)), state.model_copy(deep=True), force=True)
        return state

    def _watch(self, client: SyncPrefectClient, run: UUID, process: int) -> None:
        with client:
            while not self._over.wait(PAUSE_SECONDS):
                with suppress(Exception):  # a server that is away for a moment ends no run
                    state = client.read_flow_run(run).state
                    # Resumed before this look, it waits for a worker to begin it a second time.
                    asked = state is not None and (state.is_paused() or state.is_scheduled() or state.is_pending())
                    if asked and not self._over.is_set():
                        self.was_asked = True
                        os.kill(process, signal.SIGINT)
                        return


class Witness:
    """Has somebody say of a run of a worker that it is over, should it be killed; see `flows.witness`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if runtime.deployment.id is not None:
            command = [sys.executable, "-P", "-m", "flows.witness"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            about = {"url": PREFECT_API_URL.value(), "headers": _login(), "run": runtime.flow_run.id, "name": STOPPED}
            self.tell(json.dumps(about))  # not in its environment or on its command line, which others may read
        return self

    def tell(self, line: str) -> None:
        """Tell it which stage begins."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):  # who killed it has no need of it
                self._process.stdin.write(f"{line}\n".encode())
                self._process.stdin.flush()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()  # before its input ends, which it would take for this process's death
            self._process.communicate()


def _login() -> dict[str, str]:
    """What tells the server who asks, as Prefect's own client does."""
    if name_and_password := PREFECT_API_AUTH_STRING.value():
        name_and_password = getattr(name_and_password, "get_secret_value", lambda: name_and_password)()
        return {"Authorization": f"Basic {base64.b64encode(name_and_password.encode()).decode()}"}
    key = PREFECT_API_KEY.value()
    return {"Authorization": f"Bearer {key}"} if key else {}


def keep_expected_ends_quiet() -> None:
    """Leave out of the log the traceback that Prefect writes for a run that returns a cancelled state to its worker."""
    logging.getLogger("prefect.flow_runs").addFilter(_is_alarm)


def _is_alarm(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], CancelledRun))


def is_being_cancelled() -> bool:
    """Whether somebody has cancelled the present run on Prefect's page."""
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(UUID(str(runtime.flow_run.id))).state
    return state is not None and state.is_cancelling()


def is_over(flow_run: str) -> bool:
    """Whether a run has ended; of one that the server does not know, nothing can be said, and it counts as under way."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(flow_run)).state
        except (ObjectNotFound, ValueError):
            return False
    return state is not None and state.is_final()


def deployment(name: str) -> DeploymentResponse | None:
    """What the server has under an entry's name, of whoever made it."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(f"{FLOW}/{name}")
        except ObjectNotFound:
            return None


def pause(name: str) -> None:
    """Have the server plan no more runs of an entry's deployment."""
    found = deployment(name)
    if found is not None:
        with get_client(sync_client=True) as client:
            client.pause_deployment(found.id)


def is_paused(found: DeploymentResponse) -> bool:
    """Whether its times are not kept to: it is paused, or each of its schedules is."""
    return found.paused or (bool(found.schedules) and not any(schedule.active for schedule in found.schedules))


def keeper(found: DeploymentResponse) -> str:
    """Who made a deployment, by the tags that it carries beside its entry's name."""
    return ", ".join(tag for tag in found.tags if tag != found.name)


def is_served(found: DeploymentResponse) -> bool:
    """Whether a `gantry schedule` that was not ended, here or elsewhere, runs a deployment; of a killed one, for another minute."""
    return found.work_pool_name is None and not found.paused and found.status == DeploymentStatus.READY


def forget_deployments(workspace: Workspace, keep: Sequence[str]) -> None:
    """Remove this workspace's deployments other than `keep`: entries that left params.yaml, or lost their schedule."""
    with get_client(sync_client=True) as client:
        found = client.read_deployments(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
            deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[tag(workspace)])),
        )
        for deployment in found:
            if deployment.name not in keep:
                client.delete_deployment(deployment.id)
