"""Workspaces with toy stages, and a real Prefect server for all tests of the flows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loopback
import pytest
import toy_workspace as toy
from command_line import Record, Retrain

from flows import server
from tasks.graph import repro
from tasks.workspace import STAGES, Workspace

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@pytest.fixture(scope="session", autouse=True)
def _private_prefect(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Prefect reads its settings at its import: it must not find a person's."""
    for key in [key for key in os.environ if key.startswith(("PREFECT_", "MLFLOW_"))]:
        del os.environ[key]
    client = Workspace(tmp_path_factory.mktemp("client"))
    client.private.mkdir()
    os.environ.update(server.environment(client))
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"


_RUNNING: list[server.Server] = []
"""The server of this worker's tests, once one of them has asked for it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """The server ends after the last test of this folder: doing nothing, it takes a hundredth of a core."""
    yield
    if _RUNNING and (nextitem is None or Path(__file__).parent not in nextitem.path.parents):
        _RUNNING.pop().stop()


@pytest.fixture(scope="module")
def prefect_server(tmp_path_factory: pytest.TempPathFactory, _private_prefect: None) -> Iterator[str]:
    """The API's address of a real Prefect server. What a module's tests deploy there is gone for the next one's."""
    if not _RUNNING:
        own = server.Server.start(Workspace(tmp_path_factory.mktemp("prefect")))
        own.wait()
        _RUNNING.append(own)
    url = _RUNNING[0].url
    yield url
    for one in loopback.post(f"{url}/deployments/filter", json={}, timeout=30).raise_for_status().json():
        loopback.delete(f"{url}/deployments/{one['id']}", timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which every stage of `digits` has run, by DVC alone."""
    workspace = toy.make(tmp_path_factory.mktemp("finished") / "w")
    repro.prepare(workspace)
    command = [sys.executable, "-m", "dvc", "repro", f"{STAGES[-1]}@digits"]
    subprocess.run(command, cwd=workspace.root, env=repro.environment(workspace), check=True, capture_output=True)
    toy.forget(workspace)
    return workspace.root


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with toy stages."""
    return toy.make(tmp_path / "w")


@pytest.fixture
def finished(tmp_path: Path, _finished: Path) -> Workspace:
    """A workspace with toy stages in which every stage of `digits` has run."""
    return Workspace(Path(shutil.copytree(_finished, tmp_path / "finished", symlinks=True)))


@pytest.fixture
def retrain(prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Retrain:
    """Runs the flow here, on the real server; returns its state, which never raises."""

    def run(workspace: Workspace, name: str = "digits", **parameters: Any) -> State[Any]:
        from prefect import settings

        from flows.retrain import retrain as flow

        monkeypatch.chdir(workspace.root)
        quick = {settings.PREFECT_API_URL: prefect_server, settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
        with settings.temporary_settings(quick):
            state = flow(name, **parameters, return_state=True)
            server.flush()
        return state

    return run


@pytest.fixture
def record(prefect_server: str) -> Callable[[Workspace], Record]:
    """What the server recorded of a workspace."""
    return lambda workspace: Record(prefect_server, workspace)
