"""The MLflow run that an entry's stages share, and the connection to the tracking server.

One run is carried from train to register: train starts it and leaves its id in models/NAME/run.json, the later stages resume it.
Everything goes through `MlflowClient` with an explicit address, never through MLflow's global state, so that two workspaces in
one process do not mix.

The record of a training is its metrics.jsonl; MLflow holds a copy that `Run.log_record` brings level with it.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from gan_core.errors import RegistryError
from tasks.records import moved
from tasks.system import kept_databases
from tasks.system.imports import quick_imports
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from gan_core.data.dataset import DatasetSpec

_Logged = TypeVar("_Logged")

PARENT_RUN = "GANTRY_PARENT_RUN_ID"
"""The environment variable by which a sweep tells its trials the run that theirs stand below."""
PARENT_TAG = "mlflow.parentRunId"
FLOW_RUN = "GANTRY_FLOW_RUN_ID"
"""The environment variable by which the flow tells its stages its Prefect run."""

_FLOW_RUN_TAG = "flow_run"
_START_TAG = "start"
"""What tells a run from others that were started meanwhile, and not from itself, where the server was asked twice to create it."""

# What MLflow accepts in one request.
_METRICS_A_BATCH = 1_000
_ENTRIES_A_BATCH = 100

# Of MLflow and what it brings; values that a person or an operator set before win.
QUIET_ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # or a workspace's own pyproject.toml and uv.lock go with every version of every model
    "GIT_PYTHON_REFRESH": "quiet",
}
# Patience over HTTP, where a person or an operator set none; MLflow's own is seven more tries of two minutes each.
# Whether a server is there at all: one that is busy is waited for, and one that asks for time gets it.
_FIRST_ASKED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
}
# What can be asked again later, while something else waits: two tries of at most three seconds each.
_IN_PASSING = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
_SOON_SECONDS, _LATE_SECONDS = 10.0, 300.0
"""After how long MLflow is asked again where it failed: twice as long each time, from the one to the other."""


def address(workspace: Workspace) -> str:
    """Where runs and models are kept: the server that was asked for, MLFLOW_TRACKING_URI, or a SQLite file in the workspace's root.

    `mlflow ui` and `mlflow models serve`, started in the root, look at the same file without being told.
    """
    return _elsewhere(workspace) or f"sqlite:///{_own(workspace)}"


def without_password(uri: str) -> str:
    """An address as it may be shown: without the password that it may carry."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return uri.replace(f":{parts.password}@", ":***@", 1)


def address_in_words(workspace: Workspace) -> str:
    """`address` as it may be kept and shown: without a password, and without the workspace's place, which may change."""
    return "mlflow.db" if is_own(workspace) else without_password(address(workspace))


def is_own(workspace: Workspace) -> bool:
    """Whether runs and models are kept in the workspace itself, so that nobody else writes there."""
    return not _elsewhere(workspace)


def own_database(workspace: Workspace) -> Path | None:
    """The SQLite file of the workspace's own registry, whether it is there or not; None where a server keeps it."""
    return _sqlite_path(address(workspace)) if is_own(workspace) else None


def _own(workspace: Workspace) -> Path:
    return workspace.root.resolve() / "mlflow.db"


def _elsewhere(workspace: Workspace) -> str | None:
    """The address that was asked for; None where that is the workspace's own file, as for `mlflow` in another folder."""
    asked = workspace.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    path = None if asked is None else _sqlite_path(asked)
    return None if path is not None and path.resolve() == _own(workspace) else asked


def settle(workspace: Workspace) -> None:
    """See that the workspace's own registry keeps its files in the workspace, wherever that is now; to be done before they are touched.

    Not only when it is opened: meanwhile somebody else may have opened it under another path, such as out of a container.

    Raises:
        RegistryError: as `moved.settle`.
    """
    database = own_database(workspace)
    if database is not None:
        moved.settle(database, workspace.root.resolve(), lambda line: print(line, file=sys.stderr))


def lies_outside(workspace: Workspace, files: str) -> bool:
    """Whether the workspace's own registry keeps files at an address that others may use; a server's are the server's."""
    path = moved.local_path(files)
    return is_own(workspace) and (path is None or not path.resolve().is_relative_to(workspace.root.resolve()))


def exists(workspace: Workspace) -> bool:
    """Whether there is anything to look at: a server's address, or an embedded database that was created before."""
    path = _sqlite_path(address(workspace))
    return path is None or path.exists()


def configure(workspace: Workspace) -> str:
    """Make MLflow quiet and private, see that the tracking server answers, and return its address.

    A SQLite file that is not there yet is created.

    Raises:
        RegistryError: nothing usable answers at the address; at once where nobody listens there, within two minutes where somebody does.
    """
    return client(workspace).tracking_uri  # type: ignore[no-any-return]


def load() -> None:
    """Import MLflow's client, which takes two seconds, while there is something else to wait for."""
    _quiet()
    with quick_imports():
        import mlflow.tracking  # noqa: F401


def know_no_other_packages() -> None:
    """Keep MLflow, where it saves or loads a model, from reading what each of hundreds of installed packages consists of (0.9 s).

    It would know to which package a module belongs, for requirements that pip did not install; that of Gantry's models it did.
    """
    from mlflow.utils import requirements_utils

    requirements_utils._MODULES_TO_PACKAGES = {}


def client(workspace: Workspace) -> MlflowClient:
    """A client of the workspace's tracking server and model registry, checked as `configure` does."""
    _quiet()
    uri = address(workspace)
    sqlite = _sqlite_path(uri)
    if sqlite is not None:
        _check_sqlite(sqlite)
    else:
        _check_database_server(uri)

    load()
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    # These log a traceback beside the exception that is raised, or warn about a server that the next request reports anyway.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    with errors(uri), _patience(_FIRST_ASKED):
        if sqlite is not None:
            _create_sqlite(sqlite, workspace.root.resolve() / moved.ARTIFACTS)
            settle(workspace)
        found = MlflowClient(uri)
        found.search_experiments(max_results=1)
    return found


def _quiet() -> None:
    for key, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(key, value)


@contextmanager
def errors(uri: str) -> Iterator[None]:
    """Turn what MLflow, its database and its HTTP client raise into a `RegistryError` that names the address."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ImportError as error:
        raise RegistryError(f"{without_password(uri)}: the package {error.name} is needed for this address; install it") from error
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        text = " ".join(str(error).split())
        if uri.startswith("http") and is_outage(error):
            reason = _shortened(text.rpartition(": ")[2].strip("()'\" "))
            advice = "start it, or correct MLFLOW_TRACKING_URI (unset: a SQLite file in the workspace)"
            raise RegistryError(f"{without_password(uri)}: the MLflow server does not answer ({reason}); {advice}") from error
        if "failed with error code 401" in text or "failed with error code 403" in text:
            raise RegistryError(
                f"{without_password(uri)}: the MLflow server refuses this user; set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            ) from error
        if "failed with error code" in text:
            raise RegistryError(
                f"{without_password(uri)}: answers, but not as an MLflow server does; correct MLFLOW_TRACKING_URI"
            ) from error
        raise RegistryError(f"{without_password(uri)}: MLflow refused: {_shortened(text)}") from error


def is_outage(error: BaseException | None) -> bool:
    """Whether the server, or its database, could not be used at this moment, rather than refused what was asked."""
    from requests.exceptions import RequestException
    from sqlalchemy.exc import OperationalError

    while error is not None:
        if isinstance(error, OperationalError) or (isinstance(error, RequestException) and error.response is None):
            return True
        error = error.__cause__ or error.__context__
    return False


def artifact_page(workspace: Workspace, run_id: str, artifact: str) -> str | None:
    """Where MLflow's page shows an artifact of a run; None where no server is asked, or it does not answer."""
    uri = address(workspace)
    if not uri.startswith(("http://", "https://")):
        return None
    try:
        mlflow_client = client(workspace)
        with errors(uri):
            found = mlflow_client.get_run(run_id).info.experiment_id
    except RegistryError:
        return None
    parts = urlsplit(uri)
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")  # a link is no place for a password
    return f"{place}/#/experiments/{found}/runs/{run_id}/artifacts/{artifact}"


def dvc_hash(workspace: Workspace, path: Path) -> str | None:
    """What DVC's lock file knows as the hash of an output, such as `workspace.ready("digits")`; None where it knows nothing."""
    return dvc_hashes(workspace).get(path.relative_to(workspace.root).as_posix())


def dvc_hashes(workspace: Workspace) -> dict[str, str]:
    """The hash of every output that DVC's lock file knows, by its path in the workspace; empty where there is none that can be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe", pure=True).load((workspace.root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
        return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", ()) if out.get("md5")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, YAMLError):
        return {}


def pages(search: Any, **arguments: Any) -> Iterator[Any]:
    """Everything that one of MLflow's searches finds, however many pages that takes."""
    token = None
    while True:
        page = search(page_token=token, **arguments)
        yield from page
        token = page.token
        if not token:
            return


def runs(mlflow_client: MlflowClient, name: str, condition: str = "") -> list[Any]:
    """MLflow's runs of the experiment `name` that were not deleted, and that meet a condition in MLflow's words."""
    with errors(mlflow_client.tracking_uri):
        experiment = mlflow_client.get_experiment_by_name(name)
        if experiment is None:
            return []
        return list(pages(mlflow_client.search_runs, experiment_ids=[experiment.experiment_id], filter_string=condition))


def delete_run(workspace: Workspace, mlflow_client: MlflowClient, run_id: str) -> None:
    """Delete a run with its artifacts and models. Its numbers stay in the database, marked as deleted, until `mlflow gc`.

    Raises:
        RegistryError: as `delete_artifacts`.
    """
    settle(workspace)
    with errors(mlflow_client.tracking_uri):
        info = mlflow_client.get_run(run_id).info
        delete_unnamed_models(workspace, mlflow_client, info.experiment_id, run_id)
        delete_artifacts(workspace, mlflow_client, info.artifact_uri)
        mlflow_client.delete_run(run_id)


def delete_unnamed_models(workspace: Workspace, mlflow_client: MlflowClient, experiment_id: str, run_id: str) -> None:
    """Delete the models of a run, with their files, that no version names.

    Raises:
        RegistryError: as `delete_artifacts`.
    """
    logged = pages(mlflow_client.search_logged_models, experiment_ids=[experiment_id], filter_string=f"source_run_id='{run_id}'")
    for model in list(logged):
        if not named_by(mlflow_client, model.artifact_location):
            delete_artifacts(workspace, mlflow_client, model.artifact_location)
            mlflow_client.delete_logged_model(model.model_id)


def named_by(mlflow_client: MlflowClient, files: str) -> list[tuple[str, int]]:
    """The versions, by name and number, whose files lie at an address."""
    found = pages(mlflow_client.search_model_versions, filter_string=f"source_path='{files}'")
    return [(version.name, int(version.version)) for version in found]


def delete_artifacts(workspace: Workspace, mlflow_client: MlflowClient, files: str) -> None:
    """Delete what lies at an address, wherever the server keeps it.

    Raises:
        RegistryError: it is no server that keeps it, and it lies outside of the workspace.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if lies_outside(workspace, files):
        raise RegistryError(f"{files}: lies outside of {workspace.root.resolve()}, where others may use it; it was not deleted")
    get_artifact_repository(files, tracking_uri=mlflow_client.tracking_uri).delete_artifacts()


@contextmanager
def run(workspace: Workspace, name: str, run_id: str | None = None, system_metrics: bool = False) -> Iterator[Run]:
    """Start a run in the experiment `name`, or go on with `run_id`, and end it truthfully.

    It ends FINISHED, FAILED after an exception, or KILLED after Ctrl-C or SIGTERM (which is turned into `SystemExit` here, so that
    `finally` blocks run). A run that the server does not know, as after a change of MLFLOW_TRACKING_URI, is said and replaced by a new one.

    Args:
        system_metrics: also log the machine's load every ten seconds.

    Raises:
        RegistryError: the tracking server cannot be reached.
    """
    mlflow_client = client(workspace)
    with errors(mlflow_client.tracking_uri):
        known = run_id is not None and _is_known(mlflow_client, run_id)
        if run_id is not None and known:
            mlflow_client.update_run(run_id, status="RUNNING")
        else:
            if run_id is not None:
                print(f"{without_password(mlflow_client.tracking_uri)} does not know run {run_id}: starting a new one", file=sys.stderr)
            parent = os.environ.get(PARENT_RUN)
            tags = {PARENT_TAG: parent} if parent else {}
            named = f"{name} {datetime.now().astimezone():%Y-%m-%d %H:%M}"
            run_id = _created(mlflow_client, experiment(mlflow_client, workspace, name), named, tags)
        if flow_run := os.environ.get(FLOW_RUN):
            mlflow_client.set_tag(run_id, _FLOW_RUN_TAG, flow_run)
    status = "FINISHED"
    with _terminable():
        stop_monitor = _start_monitor(mlflow_client.tracking_uri, run_id) if system_metrics else None
        try:
            yield Run(workspace, mlflow_client, run_id, resumed=known)
        except BaseException as error:
            status = "KILLED" if _is_kill(error) else "FAILED"
            raise
        finally:
            if stop_monitor is not None:
                stop_monitor()
            try:
                with errors(mlflow_client.tracking_uri), _patience(_IN_PASSING):
                    mlflow_client.set_terminated(run_id, status)
            except RegistryError as error:
                print(f"warning: run {run_id} could not be marked as {status}: {error}", file=sys.stderr)


class Logbook:
    """What a stage logs beside its work, to a run that may be out of reach or refuse it.

    The stage's files hold all of it, and the register stage brings MLflow level with them. So a failure is said, and nothing else, and
    MLflow is left in peace for a while.
    """

    def __init__(self, found: Run) -> None:
        self._run = found
        self._wait = 0.0
        self._not_before = 0.0

    def log(self, action: Callable[[Run], _Logged], in_passing: bool = False) -> _Logged | None:
        """Do something with the run; None where that fails.

        Args:
            in_passing: wait for seconds only, and not even ask where it has just failed: there is work to be done, and another time.
        """
        if in_passing and time.monotonic() < self._not_before:
            return None
        try:
            with _patience(_IN_PASSING if in_passing else _FIRST_ASKED):
                done = action(self._run)
        except Exception as error:  # of MLflow, its stores of artifacts, their HTTP clients and databases: anything
            if not self._wait:
                text = (
                    str(error)
                    if isinstance(error, RegistryError)
                    else f"{type(error).__name__}: {_shortened(' '.join(str(error).split()))}"
                )
                print(f"warning: {text}\nnote: this goes on; MLflow is brought level later", file=sys.stderr, flush=True)
            self._run.doubt()
            self._wait = min(max(2 * self._wait, _SOON_SECONDS), _LATE_SECONDS)
            self._not_before = time.monotonic() + self._wait
            return None
        if self._wait:
            print("note: MLflow takes what is logged again", file=sys.stderr, flush=True)
            self._wait = 0.0
        return done


def close_dead(workspace: Workspace, name: str, is_over: Callable[[str], bool]) -> None:
    """Record as KILLED what a worker that died left as RUNNING. Whoever goes on with such a run sets it RUNNING again.

    Args:
        is_over: whether a Prefect run, by its id, has come to its end.

    Raises:
        RegistryError: the tracking server cannot be reached.
    """
    mlflow_client = client(workspace)
    with errors(mlflow_client.tracking_uri):
        for run in runs(mlflow_client, name, "attributes.status = 'RUNNING'"):
            flow_run = run.data.tags.get(_FLOW_RUN_TAG)
            if flow_run is not None and is_over(flow_run):
                mlflow_client.set_terminated(run.info.run_id, "KILLED")


@dataclass
class Run:
    """One MLflow run that is under way."""

    workspace: Workspace
    client: MlflowClient
    id: str
    resumed: bool = False
    """Whether the server may already hold points of this run."""
    _points: dict[str, dict[int, float]] = field(default_factory=dict, init=False)
    _frames: set[str] | None = field(default=None, init=False)
    """Pictures that the server holds, asked once."""

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log a nested mapping under dotted keys, `{"data": {"size": 16}}` as `data.size`. Keys that the run has already are left alone."""
        from mlflow.entities import Param

        with errors(self.client.tracking_uri):
            there = self.client.get_run(self.id).data.params if self.resumed else {}
            entries = [Param(key, value) for key, value in _flatten(params) if key not in there]
            for batch in _batches(entries, _ENTRIES_A_BATCH):
                self.client.log_batch(self.id, params=batch)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags on the run."""
        from mlflow.entities import RunTag

        with errors(self.client.tracking_uri):
            for batch in _batches([RunTag(key, value) for key, value in tags.items()], _ENTRIES_A_BATCH):
                self.client.log_batch(self.id, tags=batch)

    def doubt(self) -> None:
        """Ask the server again what it holds, after a failure: what was sent may have arrived."""
        self.resumed = True
        self._points.clear()
        self._frames = None

    def tags(self) -> Mapping[str, str]:
        """What the run is tagged with."""
        with errors(self.client.tracking_uri):
            return dict(self.client.get_run(self.id).data.tags)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log numbers at `step` (images seen). A point that the run has already, with the same value, is not logged twice."""
        self._log_points([(key, step, float(value)) for key, value in metrics.items()])

    def log_record(self, record: Path, already: int = 0) -> int:
        """Bring MLflow level with a metrics.jsonl: one JSON object a line, whose `images` is the step of its other numbers.

        Points that the run has already are left alone, so it may be called after a crash, after a resume, or twice. A last line
        without its end is not read.

        Args:
            record: the file; one that is not there counts as empty.
            already: lines that are known to be logged, as returned by the call before.

        Returns:
            Lines of the record that MLflow holds now.

        Raises:
            RegistryError: a line is not what a record holds, or MLflow does not take it.
        """
        lines = _complete_lines(record)
        points = [point for number in range(already, len(lines)) for point in _points_of(lines[number], f"{record}, line {number + 1}")]
        self._log_points(points)
        return max(already, len(lines))

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or everything in a folder, to the run's artifacts, below `folder`."""
        settle(self.workspace)
        with errors(self.client.tracking_uri):
            if path.is_dir():
                self.client.log_artifacts(self.id, str(path), folder)
            else:
                self.client.log_artifact(self.id, str(path), folder)

    def log_image(self, path: Path, key: str, step: int) -> None:
        """Log a picture as one frame of the series `key`, which MLflow's page shows with a slider over the steps. Once a step."""
        from PIL import Image

        settle(self.workspace)
        with errors(self.client.tracking_uri):
            if self._frames is None:
                there = self.client.list_artifacts(self.id, "images") if self.resumed else ()
                self._frames = {Path(file.path).name for file in there}
            # How MLflow names the frames of a series.
            if any(frame.startswith(f"{key}+step+{step}+") for frame in self._frames):
                return
            with Image.open(path) as image:
                self.client.log_image(self.id, image, key=key, step=step)

    def log_dataset(self, spec: DatasetSpec, source: str, dvc_hash: str | None) -> None:
        """Name the data that the run trains on: where it came from, its form, its digest and its hash in DVC. No data is copied.

        Args:
            source: `data.source` of the entry.
            dvc_hash: as `dvc_hash(workspace, workspace.ready(name))` returns it.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile: dict[str, Any] = {"counts": dict(spec.counts), "shape": list(spec.shape), "digest": spec.digest, "dvc_hash": dvc_hash}
        if spec.classes is not None:
            profile["classes"] = list(spec.classes)
        if spec.numbers is not None:
            profile["numbers"] = list(spec.numbers)
        dataset = Dataset(
            name=source,
            digest=spec.digest[:36],  # the longest that MLflow takes
            source_type="dvc" if dvc_hash else "local",
            source=json.dumps({"uri": source, "dvc_hash": dvc_hash}),
            profile=json.dumps(profile, sort_keys=True),
        )
        with errors(self.client.tracking_uri):
            self.client.log_inputs(self.id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
        self.set_tags({"dataset_digest": spec.digest} | ({"dvc.ready": dvc_hash} if dvc_hash else {}))

    def _log_points(self, points: list[tuple[str, int, float]]) -> None:
        from mlflow.entities import Metric

        with errors(self.client.tracking_uri):
            now = time.time_ns() // 1_000_000
            new = [(key, step, value) for key, step, value in points if not _same(self._known(key).get(step), value)]
            for batch in _batches(new, _METRICS_A_BATCH):
                self.client.log_batch(self.id, metrics=[Metric(key, value, now, step) for key, step, value in batch])
                for key, step, value in batch:
                    self._known(key)[step] = value

    def _known(self, key: str) -> dict[int, float]:
        """Points of a metric that the server holds, asked once."""
        if key not in self._points:
            history = self.client.get_metric_history(self.id, key) if self.resumed else ()
            self._points[key] = {point.step: point.value for point in history}
        return self._points[key]


def curve_key(name: str) -> str:
    """By which MLflow knows a number of a training's record.

    Its page shows a section for what stands before a slash, in alphabetical order, and last what has none: so the losses come first, then
    the other curves, and then the scores, which are single points.
    """
    return f"losses/{name}" if name.endswith("_loss") else f"training/{name}"


def curve_name(key: str) -> str | None:
    """The number of the record that MLflow's page shows under `key`; None where it is none. An earlier Gantry put no section before it."""
    section, _, name = key.rpartition("/")
    return name if section in ("", "losses", "training") else None


def _sqlite_path(uri: str) -> Path | None:
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) and ":memory:" not in uri else None


def _check_sqlite(path: Path) -> None:
    """Say at once what MLflow would try ten times over nearly two minutes."""
    import sqlite3

    if not path.exists():
        if not os.access(path.parent, os.W_OK):
            raise RegistryError(f"{path}: MLflow's database cannot be created; see that {path.parent} is there and may be written")
        return
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=5)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise RegistryError(f"{path}: MLflow's database cannot be opened ({error}); put a backup in its place, or move it away") from None


def _check_database_server(uri: str) -> None:
    """The same for a database server that MLflow is to use directly."""
    import socket

    parts = urlsplit(uri)
    ports = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
    dialect = parts.scheme.partition("+")[0]
    if dialect not in ports or not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or ports[dialect]), timeout=5).close()
    except OSError as error:
        shown = without_password(uri)
        raise RegistryError(f"{shown}: the database does not answer ({error}); start it, or correct MLFLOW_TRACKING_URI") from None


def _create_sqlite(path: Path, artifacts: Path) -> None:
    """Create MLflow's database under another name and put it in place whole, so that neither a crash nor a second process harms it."""
    import fcntl
    from importlib.metadata import version

    if path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # The folder itself is the lock: there is no lock file to clean up.
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_name(f".{path.name}.unfinished")
            for leftover in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
                leftover.unlink(missing_ok=True)
            kept = f"mlflow-{version('mlflow')}.db"
            if kept_databases.bring(kept, unfinished):
                _say_whose(unfinished, artifacts)
            else:
                # Its hundreds of small transactions would wait for the disk each; one wait at the end is enough.
                event.listen(Engine, "connect", _without_waiting)
                try:
                    SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts.as_uri()).engine.dispose()
                finally:
                    event.remove(Engine, "connect", _without_waiting)
                kept_databases.keep(unfinished, kept)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
    finally:
        os.close(folder)


def _say_whose(database: Path, artifacts: Path) -> None:
    """What an empty database holds of its workspace: its default experiment, where and when."""
    now = time.time_ns() // 1_000_000
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? || '/' || experiment_id, creation_time = ?, last_update_time = ?",
            (artifacts.as_uri(), now, now),
        )


def _without_waiting(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def _patience(values: Mapping[str, str]) -> AbstractContextManager[None]:
    return _environment({key: value for key, value in values.items() if key not in os.environ})


def sent_once() -> AbstractContextManager[None]:
    """Requests over HTTP are not sent again where the answer is lost."""
    return _environment({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _shortened(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_known(mlflow_client: MlflowClient, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(mlflow_client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise


def experiment(mlflow_client: MlflowClient, workspace: Workspace, name: str) -> str:
    """The id of the experiment `name`, created or restored where need be."""
    from mlflow.exceptions import MlflowException

    found = mlflow_client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(mlflow_client.create_experiment(name, _artifact_location(mlflow_client.tracking_uri, workspace, name)))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = mlflow_client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        mlflow_client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _created(mlflow_client: MlflowClient, experiment_id: str, named: str, tags: Mapping[str, str]) -> str:
    """A new run. Where an answer is lost MLflow asks again, and there are two: the other one is removed, or would be RUNNING for ever."""
    start = uuid4().hex
    run_id: str = mlflow_client.create_run(experiment_id, run_name=named, tags={**tags, _START_TAG: start}).info.run_id
    if mlflow_client.tracking_uri.startswith("http"):
        for twin in pages(mlflow_client.search_runs, experiment_ids=[experiment_id], filter_string=f"tags.{_START_TAG} = '{start}'"):
            if twin.info.run_id != run_id:
                mlflow_client.set_terminated(twin.info.run_id, "KILLED")
                mlflow_client.delete_run(twin.info.run_id)
    return run_id


def _artifact_location(uri: str, workspace: Workspace, name: str) -> str | None:
    """A server knows where its artifacts belong; a bare database takes them beside it in the workspace."""
    if uri.startswith(("http://", "https://", "databricks")):
        return None
    return (workspace.root.resolve() / moved.ARTIFACTS / name).as_uri()


def _is_kill(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM raise `SystemExit` where it would end the process on the spot, and leave handlers of others alone."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _start_monitor(uri: str, run_id: str) -> Any:
    """Start MLflow's system metrics; returns what stops them. The machine's load is nice to know and never a reason to fail."""
    try:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=uri)
        monitor.start()
    except Exception as error:
        print(f"warning: no system metrics ({error})", file=sys.stderr)
        return None

    def stop() -> None:
        # In a thread, since it waits for a request that may be under way to a server that is gone.
        stopper = threading.Thread(target=monitor.finish, daemon=True)
        stopper.start()
        stopper.join(timeout=5)

    return stop


def _flatten(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(list(value) if isinstance(value, tuple) else value)


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _same(known: float | None, value: float) -> bool:
    return known is not None and (known == value or (math.isnan(known) and math.isnan(value)))


def _complete_lines(record: Path) -> list[str]:
    try:
        text = record.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return text.split("\n")[:-1]


def _points_of(line: str, where: str) -> list[tuple[str, int, float]]:
    try:
        numbers = json.loads(line)
        step = numbers["images"]
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError("`images` is no whole number")
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{where}: not a line of a training's record ({error!r}); run the train stage again") from None
    numeric = {key: value for key, value in numbers.items() if key != "images" and isinstance(value, int | float)}
    return [(curve_key(key), step, float(value)) for key, value in numeric.items()]
