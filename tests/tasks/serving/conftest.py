"""Servers of champions on loopback, with real registries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from real_mlflow import tiny_generator
from served import NAME, STRICT, Registered, running

from tasks.serving.app import Server


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
