"""The pair of servers of one's own: up once, and down again with nothing left."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import httpx
import pytest
import toy_workspace as toy
from command_line import run

from flows import up
from flows.server import is_reachable
from gan_core.errors import GantryError
from tasks.workspace import Workspace


def free_ports() -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return [str(listener.getsockname()[1]) for listener in (one, other)]


@pytest.fixture
def taken_down(finished: Workspace) -> Iterator[Workspace]:
    yield finished
    up.down(finished)


def test_both_servers_come_up_once_and_go_whole(taken_down: Workspace) -> None:
    workspace = taken_down
    prefect, mlflow = free_ports()
    options = ["up", "--prefect-port", prefect, "--mlflow-port", mlflow]
    first = run(workspace, *options, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert first.returncode == 0, first.stderr
    variables = dict(pair.split("=", 1) for pair in first.stdout.rpartition("export ")[2].split())
    assert variables == {"PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api", "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}"}
    for page in (f"http://127.0.0.1:{prefect}", f"http://127.0.0.1:{mlflow}"):
        assert "<html" in httpx.get(page, timeout=30, follow_redirects=True).text

    again = run(workspace, *options)
    assert "starting" not in again.stdout
    assert again.stdout.endswith(first.stdout.splitlines()[-1] + "\n")
    assert run(workspace, "down").stdout == "ended: mlflow, prefect\n"
    assert not is_reachable(variables["PREFECT_API_URL"])
    assert run(workspace, "down").stdout.startswith("no servers")
    toy.assert_nothing_left(workspace.root)


def test_a_taken_port_is_named_with_its_option(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GantryError, match=f"127.0.0.1:{port}.*--mlflow-port"):
            up.up(workspace, {"prefect": port, "mlflow": port}, lambda line: None)


def test_a_process_that_has_the_number_of_a_dead_server_is_left_alone(workspace: Workspace) -> None:
    workspace.private.mkdir()
    stranger = up.Running("http://127.0.0.1:9", os.getpid(), created=1.0)
    up._remember(workspace, {"prefect": stranger})
    assert up.down(workspace) == []
