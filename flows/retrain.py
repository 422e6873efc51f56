"""The flow that retrains one generator: the five stages in their order, and a page about the outcome.

Called directly (`gantry run`), served on a schedule (`gantry schedule`) or deployed, it is the same flow. It works in the workspace
that its process was started in.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Completed

from flows import runs, server
from gan_core.errors import BusyError, ConfigError
from tasks.graph import repro, sharing
from tasks.params import Entry
from tasks.preflight import preflight
from tasks.promotion.decision import LastDecision
from tasks.promotion.standing import standing
from tasks.records import tracking
from tasks.stages import SKIPPED, STOPPED, TIMEOUTS, stage_task
from tasks.system import locks, processes
from tasks.workspace import STAGES, Workspace, current


def _run_name() -> str:
    return f"{runtime.flow_run.parameters.get('name')}, {datetime.now():%d %b %Y %H:%M}"


@flow(name=runs.FLOW, flow_run_name=_run_name, persist_result=False)
def retrain(name: str, timeouts: dict[str, float] | None = None, force: list[str] | None = None, budget: float | None = None) -> State[Any]:
    """Bring the data of generator `name`, train, score, and register it, as far as anything has changed.

    Args:
        name: an entry of params.yaml.
        timeouts: seconds that a stage may take, for those that differ from `tasks.stages.TIMEOUTS`.
        force: stages to run although nothing has changed.
        budget: seconds that the training is given, which say how many images it sees (`tasks.start`); None: as params.yaml says.

    Raises:
        ConfigError: params.yaml or an argument is wrong.
        RegistryError: the tracking server cannot be reached.
        StageError: a stage ended in error; what was done before it is kept.
    """
    try:
        processes.follow_scheduler()
        return _retrain(current(), name, timeouts or {}, force or [], budget)
    except BaseException:
        if processes.is_scheduler_gone():
            # The stage has saved its state and ended. Prefect's client would try for minutes to tell a server that died with the
            # scheduler; the next run records this one as crashed.
            os._exit(1)
        raise


def _retrain(workspace: Workspace, name: str, timeouts: Mapping[str, float], force: Sequence[str], budget: float | None) -> State[Any]:
    runs.mark(workspace)
    runs.keep_expected_ends_quiet()
    try:
        entry = preflight(workspace, name)
        limits, forced = {**TIMEOUTS, **_of_stages("timeouts", timeouts)}, _of_stages("force", dict.fromkeys(force, True))
        return _run_stages(workspace, name, entry, limits, forced, budget)
    except BusyError as busy:  # expected, so nobody is alarmed
        get_run_logger().info(str(busy))
        return Cancelled(name=SKIPPED, message=str(busy))


def _run_stages(
    workspace: Workspace, name: str, entry: Entry, limits: Mapping[str, float], forced: Mapping[str, Any], budget: float | None
) -> State[Any]:
    with locks.retraining(workspace, name), repro.forking(workspace, name), runs.Pause() as pause, runs.Witness() as witness:
        runs.close_dead(workspace, name)
        if sharing.is_on():
            tracking.close_dead(workspace, name, runs.is_over)  # of workers that died; a lone workspace goes on with its own
            sharing.begin(workspace, name, get_run_logger().info)
        states = []
        for stage in STAGES:
            witness.tell(stage)
            try:
                state = stage_task(stage, entry)(workspace, name, entry, stage, limits[stage], stage in forced, budget, return_state=True)
            except KeyboardInterrupt:
                if pause.was_asked:
                    instead = f"instead of pausing it was stopped in {stage}, and its state is saved"
                    return pause.replace(Cancelled(message=f"{instead}; start the deployment again to go on from there"))
                return Cancelled(message=f"stopped by Ctrl-C in {stage}; the next run goes on from there")
            except TerminationSignal:
                if runs.is_being_cancelled():
                    raise  # by Prefect, which says so itself
                return Cancelled(name=STOPPED, message=f"stopped by SIGTERM in {stage}; the next run goes on from there")
            except processes.SchedulerGoneError:
                if not server.is_reachable(str(PREFECT_API_URL.value())):
                    raise  # it died with the scheduler
                return Cancelled(name=STOPPED, message=f"stopped with its schedule in {stage}; the next run goes on from there")
            if state.name == SKIPPED:
                raise BusyError(state.message)
            state.result()  # raises what the stage raised
            states.append(state)
    decision = LastDecision.read(workspace, name)
    said = "no decision" if decision is None else decision.in_words
    if all(state.name == "Cached" for state in states[1:]):
        # A decision of a version that did not name its generator cannot be held against the registry.
        found = standing(workspace, name)
        message = f"{name}: nothing has changed; {f'as before, {said}' if found is None else found.in_words}"
    else:
        message = f"{name}: {said}"
        _publish(workspace, name, states, decision, message)
    if decision is not None:
        nothing = all(state.name == "Cached" for state in states[1:])
        runs.rename("nothing has changed" if nothing else f"version {decision.version} {decision.outcome.partition(':')[0]}")
    get_run_logger().info(message)
    return Completed(message=message)


def picture(workspace: Workspace, name: str) -> Path:
    """Where the picture of what the generator makes is."""
    return workspace.report(name) / "grids" / "generated.png"


def _publish(workspace: Workspace, name: str, states: Sequence[State[Any]], decision: LastDecision | None, message: str) -> None:
    """Leave a page with the run in Prefect: the decision, the picture, the scores, the stages."""
    lines = [f"# {message}", ""]
    lines += [f"- {reason}" for reason in (decision.reasons if decision else ())]
    image = picture(workspace, name)
    film = image.with_suffix(".webp")
    form, shown = ("webp", film) if film.exists() else ("png", image)
    if shown.exists():
        lines += ["", f"![what {name} generates](data:image/{form};base64,{base64.b64encode(shown.read_bytes()).decode()})"]
    page = workspace.report(name) / "report.html"
    if page.exists():
        address = tracking.artifact_page(workspace, decision.run_id, page.name) if decision and decision.run_id else None
        there = "The whole report" if address is None else f"[The whole report]({address})"  # a page of a server cannot open a file
        lines += ["", f"{there}: `gantry report {name} --open`{'' if address is None else ' opens it, too'}."]
    if decision is not None:
        lines += ["", f"| metric | version {decision.version} | champion before |", "|---|---|---|"]
        lines += [f"| {key} | {_number(value)} | {_number(decision.champion.get(key))} |" for key, value in decision.challenger.items()]
    lines += ["", "| stage | state | why |", "|---|---|---|"]
    lines += [f"| {stage} | {state.name} | {state.message} |" for stage, state in zip(STAGES, states, strict=True)]
    create_markdown_artifact("\n".join(lines), key=name.replace("_", "-"), description=message)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _of_stages(argument: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = [stage for stage in given if stage not in STAGES]
    if unknown:
        raise ConfigError(f"{argument}: {', '.join(unknown)}: no such stage; there are {', '.join(STAGES)}")
    return given
