"""The pair of servers of one's own: up once, and down again with nothing left."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import loopback
import pytest
import toy_workspace as toy
from chromium import Watched, chromium
from command_line import run

from flows import up, watching
from flows.server import is_reachable
from gan_core.errors import GantryError
from tasks import watching as used
from tasks.workspace import Workspace


def free_ports() -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return [str(listener.getsockname()[1]) for listener in (one, other)]


@dataclass(frozen=True)
class Pair:
    """Both servers, started by `gantry up`; the tests that share them end with the one that ends them."""

    workspace: Workspace
    options: list[str]
    first: subprocess.CompletedProcess[str]
    prefect: str
    mlflow: str


@pytest.fixture(scope="module")
def pair(_finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    workspace = Workspace(Path(shutil.copytree(_finished, tmp_path_factory.mktemp("up") / "w", symlinks=True)))
    prefect, mlflow = free_ports()
    options = ["up", "--prefect-port", prefect, "--mlflow-port", mlflow]
    first = run(workspace, *options, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    yield Pair(workspace, options, first, f"http://127.0.0.1:{prefect}", f"http://127.0.0.1:{mlflow}")
    up.down(workspace)


def test_both_servers_come_up_once(pair: Pair) -> None:
    assert pair.first.returncode == 0, pair.first.stderr
    variables = dict(one.split("=", 1) for one in pair.first.stdout.rpartition("export ")[2].split())
    assert variables == {"PREFECT_API_URL": f"{pair.prefect}/api", "MLFLOW_TRACKING_URI": pair.mlflow}
    for page in (pair.prefect, pair.mlflow):
        assert "<html" in loopback.get(page, timeout=30, follow_redirects=True).text
    again = run(pair.workspace, *pair.options)
    assert "starting" not in again.stdout
    assert again.stdout.endswith(pair.first.stdout.splitlines()[-1] + "\n")


def test_prefect_hears_of_what_differs_in_use(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    found = used.Watched("digits", 3, 5, 300, 300, "a", "b", ("brightness is lower",), 0.5, 0.01, 0.0, None, None, None, {})
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert not watching.tell(pair.workspace, found)
    from prefect import settings

    address = f"{pair.prefect}/api"
    monkeypatch.setenv("PREFECT_API_URL", address)
    with settings.temporary_settings({settings.PREFECT_API_URL: address}):
        assert watching.tell(pair.workspace, found)
    asked, until = {"filter": {"event": {"name": [watching.EVENT]}}}, time.monotonic() + 120
    while not (events := loopback.post(f"{address}/events/filter", json=asked, timeout=60).json()["events"]):
        assert time.monotonic() < until, "the event did not arrive"
        time.sleep(0.2)
    assert events[0]["resource"]["prefect.resource.id"] == "gantry.generator.digits"
    assert events[0]["payload"]["findings"] == ["brightness is lower"]


def test_their_pages_ask_no_other_host_for_anything(pair: Pair) -> None:
    # Both of Prefect's pages, whichever it opens by itself: a browser keeps the one that was chosen last.
    pages = {f"{pair.prefect}{path}": "Prefect Server" for path in ("", "/v2/runs", "/v2/deployments", "/dashboard", "/runs")}
    pages |= {f"{pair.mlflow}{path}": "MLflow" for path in ("", "/#/experiments", "/#/models")}
    with chromium() as browser:
        for address, title in pages.items():
            watched = Watched(browser)
            watched.page.goto(address)
            watched.page.wait_for_function("title => document.title.includes(title) && document.body.innerText.length > 100", arg=title)
            watched.wait_until_quiet()
            assert watched.elsewhere == [], address
            watched.page.context.close()


def test_both_servers_go_whole(pair: Pair) -> None:
    assert run(pair.workspace, "down").stdout == "ended: mlflow, prefect\n"
    assert not is_reachable(f"{pair.prefect}/api")
    assert run(pair.workspace, "down").stdout.startswith("no servers")
    toy.assert_nothing_left(pair.workspace.root)


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
