"""What tests of servers share: a registry with versions, and a server of it that really listens."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
import uvicorn
from starlette.types import ASGIApp

from gan_core.generator import Generator
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.serving.app import LOOPBACK, Limits
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
def running(server: ASGIApp, lifespan: Literal["on", "off"] = "on") -> Iterator[httpx.Client]:
    """A client of a server that answers on a free port."""
    with listening("127.0.0.1", 0) as there:
        program = uvicorn.Server(uvicorn.Config(server, log_config=None, access_log=False, lifespan=lifespan))
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
