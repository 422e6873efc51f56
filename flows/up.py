"""`gantry up` and `gantry down`: the workspace's own pair of servers, with their pages, for one person.

Prefect's server works on the record in the workspace, MLflow's on the registry in the workspace, so what was run without them is seen
with them and the other way round. Both listen on 127.0.0.1 and live until `gantry down`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flows.server import Server
from gan_core.errors import GantryError
from gan_core.files import write_whole
from tasks.graph import repro
from tasks.records import moved, tracking
from tasks.workspace import Workspace

_START_PATIENCE = 180.0
_STOP_PATIENCE = 15.0


@dataclass(frozen=True)
class Running:
    """A server that `gantry up` started."""

    url: str
    """Of its page."""
    process: int
    created: float
    """When the process began, by the system: another process may get the same number later."""
    place: str | None = None
    """The workspace's root at that time; None where a Gantry that did not note it wrote this."""

    @classmethod
    def of(cls, workspace: Workspace, url: str, process: int) -> Running:
        return cls(url, process, psutil.Process(process).create_time(), str(workspace.root.resolve()))

    def is_of(self, workspace: Workspace) -> bool:
        """Whether it works in this very folder, which may have been moved since, and not in one that this is a copy of."""
        with suppress(psutil.Error, OSError):
            return workspace.root.samefile(psutil.Process(self.process).cwd())
        return False

    @property
    def is_alive(self) -> bool:
        with suppress(psutil.Error):
            process = psutil.Process(self.process)
            return bool(process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE)
        return False

    def end(self) -> None:
        """End it and all that it started."""
        if not self.is_alive:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGTERM)
            deadline = time.monotonic() + _STOP_PATIENCE
            while self.is_alive and time.monotonic() < deadline:
                time.sleep(0.1)
            os.killpg(self.process, signal.SIGKILL)  # what it started, should it have stayed behind


def up(workspace: Workspace, ports: Mapping[str, int], say: Callable[[str], None]) -> dict[str, str]:
    """Start both servers, those that do not run yet, and wait until they answer.

    Args:
        ports: of `prefect` and `mlflow`.
        say: takes lines for the person who waits.

    Returns:
        The environment variables by which commands use them.

    Raises:
        GantryError: a port is taken, or a server did not start; what was started before it is left running.
    """
    repro.prepare(workspace)
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # the pair is the workspace's own, whatever servers this shell uses
    running = _running(workspace)
    for name, server in list(running.items()):
        if server.place not in (None, str(workspace.root.resolve())):
            say(f"{name}: the workspace was at {server.place} when it was started; ending it")
            running.pop(name).end()
    for name, start in (("mlflow", _start_mlflow), ("prefect", _start_prefect)):
        if name not in running:
            say(f"starting {name}")
            running[name] = start(workspace, ports[name])
            _remember(workspace, running)
        say(f"{name}: {running[name].url}")
    return {"PREFECT_API_URL": f"{running['prefect'].url}/api", "MLFLOW_TRACKING_URI": running["mlflow"].url}


def down(workspace: Workspace) -> list[str]:
    """End the servers that `up` started; returns their names."""
    running = _running(workspace)
    for server in running.values():
        server.end()
    _record(workspace).unlink(missing_ok=True)
    return list(running)


def _record(workspace: Workspace) -> Path:
    return workspace.private / "servers.json"


def _running(workspace: Workspace) -> dict[str, Running]:
    try:
        noted = json.loads(_record(workspace).read_text())
        servers = {name: Running(**what) for name, what in noted.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError):
        raise GantryError(f"{_record(workspace)}: not what `gantry up` writes; end its servers by hand and remove it") from None
    return {name: server for name, server in servers.items() if server.is_alive and server.is_of(workspace)}


def _remember(workspace: Workspace, running: Mapping[str, Running]) -> None:
    write_whole(_record(workspace), json.dumps({name: asdict(server) for name, server in running.items()}))


def _start_prefect(workspace: Workspace, port: int) -> Running:
    server = Server.start(workspace, full=True, port=port, lasting=True, option="--prefect-port")
    server.wait()
    return Running.of(workspace, str(server.ui), server.process.pid)


def _start_mlflow(workspace: Workspace, port: int) -> Running:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise GantryError(f"127.0.0.1:{port}: {error.strerror}; choose another port with --mlflow-port") from None
    database = tracking.configure(workspace)
    # Files are read and written without the server, which is on this machine: so they are found when it is down, too.
    artifacts = (workspace.root.resolve() / moved.ARTIFACTS).as_uri()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database, "--default-artifact-root", artifacts, "--no-serve-artifacts"]
    log = workspace.private / "mlflow.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=workspace.root,
            # Its job runners, which nothing here uses, take more than a gigabyte.
            env={**os.environ, **tracking.QUIET_ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running.of(workspace, f"http://127.0.0.1:{port}", process.pid)
    deadline = time.monotonic() + _START_PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{running.url}/health", timeout=2):  # noqa: S310
            return running
        time.sleep(0.1)
    running.end()
    last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
    raise GantryError(f"the local MLflow server did not start; its log is {log}:\n{last}")
