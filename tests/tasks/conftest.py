"""Fixtures of the tests that meet a real MLflow."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from functools import cache
from pathlib import Path

import pytest
from real_mlflow import free_port, kill_group, tiny_generator, wait_until_it_answers
from unruly_network import Network, unruly

from tasks.promotion import loaded_back
from tasks.records import tracking
from tasks.workspace import Workspace


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database as MLflow creates it, once for all tests, which copy it: that of no place, so that nobody is told that it moved."""
    root = tmp_path_factory.mktemp("mlflow-database")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.configure(Workspace(root))
    with closing(sqlite3.connect(root / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = 'mlartifacts/0'")
    return root / "mlflow.db"


@pytest.fixture
def workspace(tmp_path: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with the embedded registry."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / "a workspace"
    root.mkdir()
    shutil.copy(mlflow_database, root / "mlflow.db")
    return Workspace(root)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[str]:
    """The address of a real MLflow server on loopback, with its own database and artifacts."""
    root = tmp_path_factory.mktemp("mlflow-server")
    shutil.copy(mlflow_database, root / "mlflow.db")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{root / 'mlflow.db'}", "--artifacts-destination", str(root / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = root / "server.log"
    with log.open("wb") as output:
        child = subprocess.Popen(command, cwd=root, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/health", child, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        kill_group(child)


@pytest.fixture
def network(workspace: Workspace, mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """The server, by way of such a network; what the workspace asks goes through it."""

    with unruly(mlflow_server) as network:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", network.address)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_JITTER", "0")
        yield network


@pytest.fixture
def generator_folder(tmp_path: Path) -> Path:
    """A saved generator of images by label."""
    tiny_generator().save(tmp_path / "some" / "generator")
    return tmp_path / "some" / "generator"


@pytest.fixture(scope="session")
def shared_process() -> Iterator[Callable[[], loaded_back.FreshProcess]]:
    """One process that loads versions back, for all tests, from the first that asks for it: it takes seconds to start."""
    with ExitStack() as stack:
        start = loaded_back.FreshProcess
        yield cache(lambda: stack.enter_context(start()))


@pytest.fixture(autouse=True)
def _one_loader(shared_process: Callable[[], loaded_back.FreshProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    """The register stage, where a test calls it, loads versions back in the shared process; where a test runs it, in its own."""
    monkeypatch.setattr(loaded_back, "FreshProcess", lambda: nullcontext(shared_process()))
