"""Fixtures of the tests that meet a real MLflow."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gan_core.generator import Generator, GeneratorConfig
from gan_core.networks import build_generator
from gan_core.networks.common import NetworkSpec
from tasks import tracking
from tasks.workspace import Workspace


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(url: str, child: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    """Poll `url` until it answers; fail with the log if the child ends or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{url} does not answer\n{log.read_text()}")


def kill_group(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database as MLflow creates it, once for all tests."""
    root = tmp_path_factory.mktemp("mlflow-database")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.configure(Workspace(root))
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


def tiny_generator(seed: int = 0, kind: str = "images", classes: tuple[str, ...] | None = ("cat", "dog", "3")) -> Generator:
    """An untrained generator of 8 x 8 images or of points in the plane; another seed has other weights."""
    import torch

    shape = (1, 8, 8) if kind == "images" else (2,)
    spec = NetworkSpec("mlp", shape, len(classes or ()), latent=4, widths=(8,))
    moments = {} if kind == "images" else {"mean": (0.0, 1.0), "std": (1.0, 2.0)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_generator(spec)
    return Generator(GeneratorConfig("gan", kind, shape, classes, 4, spec, 640, seed, "d" * 64, **moments), network)  # type: ignore[arg-type]


@pytest.fixture
def generator_folder(tmp_path: Path) -> Path:
    """A saved generator of images by label."""
    tiny_generator().save(tmp_path / "some" / "generator")
    return tmp_path / "some" / "generator"
