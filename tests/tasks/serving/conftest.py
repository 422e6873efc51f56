"""Servers of champions on loopback, with real registries."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import uvicorn
from real_mlflow import tiny_generator

from gan_core.generator import Generator
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.serving.app import LOOPBACK, Limits, Server
from tasks.serving.run import listening
from tasks.workspace import Workspace

NAME = "digits"
STRICT = Limits(hosts=LOOPBACK)


class Registered:
    """A workspace whose registry has versions of one generator."""

    def __init__(self, root: Path, database: Path) -> None:
        root.mkdir()
        shutil.copy(database, root / "mlflow.db")
        self.workspace = Workspace(root)

    def add(self, generator: Generator, name: str = NAME) -> int:
        """A new version, which becomes the champion."""
        registry = Registry.open(self.workspace)
        folder = self.workspace.root / "generator"
        generator.save(folder)
        with tracking.run(self.workspace, name) as run:
            version = registry.add(name, run.id, folder, {}, "a test")
        shutil.rmtree(folder)
        present = registry.champion(name)
        registry.move_champion(version, None if present is None else present.number, "promoted")
        return version.number


@contextmanager
def running(server: Server) -> Iterator[httpx.Client]:
    """A client of a server that answers on a free port."""
    with listening("127.0.0.1", 0) as there:
        program = uvicorn.Server(uvicorn.Config(server, log_config=None, access_log=False, lifespan="on"))
        thread = threading.Thread(target=program.run, args=([there],))
        thread.start()
        try:
            while not program.started:
                assert thread.is_alive()
                time.sleep(0.01)
            with httpx.Client(base_url=f"http://127.0.0.1:{there.getsockname()[1]}", timeout=60) as client:
                yield client
        finally:
            program.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[Registered]:
    """Its champion is `tiny_generator()`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        found = Registered(tmp_path_factory.mktemp("serving") / "workspace", mlflow_database)
        found.add(tiny_generator())
        yield found


@pytest.fixture(scope="module")
def server(registered: Registered) -> Server:
    """Serves it by two threads, and looks at the registry only when told."""
    return Server(registered.workspace, NAME, replace(STRICT, threads=2), look_every=3_600)


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """Of that server."""
    with running(server) as one:
        yield one
