"""A workspace with toy stages, and a real Prefect server for all tests of the flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import toy_workspace as toy

from flows.server import Server
from tasks.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with toy stages."""
    return toy.make(tmp_path / "w")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's address of a real Prefect server."""
    with Server.start(Workspace(tmp_path_factory.mktemp("prefect"))) as server:
        server.wait()
        yield server.url
