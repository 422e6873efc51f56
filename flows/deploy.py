"""`gantry deploy`: a Prefect deployment for each entry of params.yaml, run by the workers of a work pool, and what watches over them.

Everything is told again at each call, and what is there already is updated, so it can be part of every release. A pool belongs to one
params.yaml: what this command made there, and params.yaml has no more, is removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags, WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import DeploymentSort
from prefect.events.actions import ActionTypes, ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.utilities.callables import parameter_schema
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

from flows import runs
from flows.retrain import retrain
from gan_core.errors import ConfigError
from tasks import params
from tasks.cron import Times
from tasks.params import Entry
from tasks.stages import GPU_LIMIT
from tasks.system.processes import OWN_CODE
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PoolType = Literal["process", "docker", "kubernetes"]

WORKSPACE = "GANTRY_WORKSPACE"
"""The environment variable by which a worker knows where its workspace is."""

EVENT = "gantry.retrain"
"""The event that starts an entry; its resource is `gantry.entry.NAME`."""

HEARTBEAT = 30
"""Seconds between a run's signs of life; after three that are missing it counts as crashed."""

PASSED_ON = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "GANTRY_REMOTE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
)
"""What a container gets of its worker's environment. Only the names are deployed; the worker fills them in when it starts a run."""

_TAG = "gantry"


@dataclass(frozen=True)
class Plan:
    """What is asked of `deploy`."""

    pool: str
    kind: PoolType = "process"
    """Of the pool, where it is not there yet."""
    queue: str | None = None
    """Of the pool; None: its default one."""
    image: str | None = None
    """docker and kubernetes: what a run's container is made of."""
    gpus: int | None = None
    """How many trainings may use a GPU at once, on all machines together; None leaves the limit as it is."""
    notify: Sequence[str] = ()
    """Notification blocks, as `slack-webhook/ops`, that hear of failed, late and crashed runs."""


@dataclass(frozen=True)
class Deployed:
    """What `deploy` did."""

    entries: Mapping[str, Times | None]
    """Name of each deployment, and when it is due."""
    removed: Sequence[str]
    automations: Sequence[str]


def deploy(workspace: Workspace, plan: Plan) -> Deployed:
    """Make the server's deployments of a pool those of params.yaml.

    Raises:
        ConfigError: params.yaml is wrong or empty, a schedule's time zone is not known, the pool is of another type, an image is missing,
            a block is not there, or a `gantry schedule` runs an entry. Nothing has been changed then.
    """
    entries = params.load(workspace.root)
    if not entries:
        raise ConfigError(f"{workspace.root / 'params.yaml'}: no entry to deploy; `gantry add mnist` adds one")
    if plan.kind != "process" and plan.image is None:
        raise ConfigError(f"--image: a {plan.kind} pool makes a container for each run; say of which image, such as registry/gantry:1.0")
    times = {name: Times.of(entry.schedule, entry.timezone) if entry.schedule else None for name, entry in entries.items()}
    known = {name: runs.deployment(name) for name in entries}
    for name, found in known.items():
        if found is not None and runs.is_served(found):
            raise ConfigError(f"{runs.FLOW}/{name} is run by the `gantry schedule` of {runs.keeper(found)}; end that first")
    served = {name for name, found in known.items() if found is not None and found.work_pool_name is None}
    with get_client(sync_client=True) as client:
        blocks = {reference: _block(client, reference) for reference in plan.notify}
        _see_to_pool(client, plan)
        if plan.gpus is not None:
            client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, plan.gpus)
        flow = client.create_flow(retrain)
        made = {
            name: _deployment(client, flow, plan, name, entry, times[name], was_served=name in served) for name, entry in entries.items()
        }
        removed = _forget_others(client, plan.pool, made)
        automations = _automations(client, plan, made, blocks)
    return Deployed(times, removed, automations)


def _see_to_pool(client: SyncPrefectClient, plan: Plan) -> None:
    """See that the pool is of the type that is asked for; it is created where it is not there."""
    import asyncio

    try:
        found = client.read_work_pool(plan.pool)
    except ObjectNotFound:
        template = asyncio.run(get_default_base_job_template_for_infrastructure_type(plan.kind))
        found = client.create_work_pool(WorkPoolCreate(name=plan.pool, type=plan.kind, base_job_template=template or {}))
    if found.type != plan.kind:
        raise ConfigError(
            f"--type {plan.kind}: the pool {plan.pool} is of type {found.type}; name another pool, or say --type {found.type}"
        )


def _deployment(client: SyncPrefectClient, flow: UUID, plan: Plan, name: str, entry: Entry, due: Times | None, was_served: bool) -> UUID:
    schedules = []
    if due is not None:
        schedules.append(DeploymentScheduleCreate(schedule=CronSchedule(cron=due.cron, timezone=due.timezone)))
    return client.create_deployment(
        flow,
        name,
        description=f"Retrain {name}: {entry.data.source}, recipe {entry.train.recipe}.",
        work_pool_name=plan.pool,
        work_queue_name=plan.queue,
        schedules=schedules,
        paused=False if was_served else None,  # a schedule that ended has paused it; what a person has paused stays so
        # A run that takes longer than the time to the next one is not joined by it.
        concurrency_limit=1,
        concurrency_options=ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        parameters={"name": name},
        parameter_openapi_schema=parameter_schema(retrain).model_dump(),
        enforce_parameter_schema=True,
        tags=[_TAG, f"pool:{plan.pool}", name],
        entrypoint=f"{retrain.fn.__module__}.{retrain.fn.__name__}",
        pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": f"{{{{ ${WORKSPACE} }}}}"}}],
        job_variables=_job_variables(plan),
    )


def _job_variables(plan: Plan) -> dict[str, Any]:
    environment = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT), "PYTHONSAFEPATH": OWN_CODE["PYTHONSAFEPATH"]}
    if plan.kind == "process":
        return {"env": environment}  # the rest is the worker's own
    return {"image": plan.image, "env": {**environment, **{key: f"{{{{ ${key} }}}}" for key in PASSED_ON}}}


def _forget_others(client: SyncPrefectClient, pool: str, made: Mapping[str, UUID]) -> list[str]:
    """Remove what was deployed to the pool before, and is not in params.yaml any more."""
    removed, offset = [], 0
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[_TAG]))
    inside = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    while page := client.read_deployments(
        deployment_filter=ours, work_pool_filter=inside, sort=DeploymentSort.NAME_ASC, limit=200, offset=offset
    ):
        gone = [deployment for deployment in page if deployment.id not in made.values()]
        for deployment in gone:
            client.delete_deployment(deployment.id)
            for automation in client.read_automations_by_name(_on_event(deployment.name)):
                client.delete_automation(automation.id)
        removed += [deployment.name for deployment in gone]
        offset += len(page) - len(gone)
    return removed


def _automations(client: SyncPrefectClient, plan: Plan, made: Mapping[str, UUID], blocks: Mapping[str, UUID]) -> list[str]:
    wanted = [_crashed_without_a_word()]
    wanted += [_retrained_on_event(name, deployment) for name, deployment in made.items()]
    if blocks:
        wanted += [_told(what, list(blocks.values())) for what in ("Failed", "Late", "Crashed")]
    for automation in wanted:
        known = client.read_automations_by_name(automation.name)
        for one in known[1:]:  # two deployments at once may have made it twice
            client.delete_automation(one.id)
        if known:
            automation.enabled = known[0].enabled  # a person may have switched it off
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)
    return [automation.name for automation in wanted]


def _crashed_without_a_word() -> AutomationCore:
    """A run that gives no more signs of life has died with its machine, and holds its deployment's only place."""
    ends = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed", "AwaitingRetry")}
    return AutomationCore(
        name="gantry: runs that died are marked as crashed",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *ends},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=_of_the_flow(),
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(seconds=3 * HEARTBEAT),
        ),
        actions=[
            ChangeFlowRunState(
                name="Crashed", state=StateType.CRASHED, message=f"no sign of life for {3 * HEARTBEAT} s; the next run goes on", force=False
            )
        ],
    )


def _retrained_on_event(name: str, deployment: UUID) -> AutomationCore:
    return AutomationCore(
        name=_on_event(name),
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={EVENT},
            match=ResourceSpecification({"prefect.resource.id": f"gantry.entry.{name}"}),
            threshold=1,
            within=timedelta(0),
        ),
        actions=[RunDeployment(source="selected", deployment_id=deployment, parameters=None, job_variables=None)],
    )


def _told(state: str, blocks: Sequence[UUID]) -> AutomationCore:
    body = "{{ flow_run.name }}: {{ flow_run.state.name }}. {{ flow_run.state.message }}\n{{ flow_run|ui_url }}"
    actions: list[ActionTypes] = [
        SendNotification(block_document_id=block, subject=f"Gantry: a run is {state.lower()}", body=body) for block in blocks
    ]
    return AutomationCore(
        name=f"gantry: {state.lower()} runs are told",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={f"prefect.flow-run.{state}"},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=_of_the_flow(),
            for_each={"prefect.resource.id"},
            threshold=1,
            within=timedelta(0),
        ),
        actions=actions,
    )


def _of_the_flow() -> ResourceSpecification:
    return ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": retrain.name})


def _on_event(name: str) -> str:
    return f"gantry: {EVENT} starts {name}"


def _block(client: SyncPrefectClient, reference: str) -> UUID:
    kind, found, name = reference.partition("/")
    if found and kind and name:
        try:
            return client.read_block_document_by_name(name, kind).id
        except ObjectNotFound:
            pass
    raise ConfigError(f"--notify {reference}: no such block; write TYPE/NAME, such as slack-webhook/ops (`prefect block ls` shows them)")
