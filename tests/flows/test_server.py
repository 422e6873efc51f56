"""The Prefect server of one's own: that it answers, records, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
import toy_workspace as toy
import uvicorn
from command_line import clean_environment

from flows import server
from gan_core.errors import GantryError
from tasks.workspace import Workspace


def test_a_server_answers_on_loopback_and_leaves_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with server.Server.start(workspace) as own:
        own.wait()
        assert own.url.startswith("http://127.0.0.1:")
        assert server.is_reachable(own.url)
        assert (tmp_path / ".gantry/prefect/prefect.db").exists()
    assert not server.is_reachable(own.url)
    toy.assert_nothing_left(tmp_path)


def test_uvicorn_is_given_a_tcp_socket_whose_answers_it_sends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[socket.socket] = []

    def run(running: uvicorn.Server, sockets: list[socket.socket]) -> None:
        running.started = True
        given.extend(sockets)

    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(server.prefect_page, "create", lambda: None)
    monkeypatch.setattr(uvicorn.Server, "run", run)
    (tmp_path / "prefect.db").touch()
    with socket.create_server(("127.0.0.1", 0)) as listener, (tmp_path / "lock").open("wb") as lock:
        server._serve(0, os.dup(listener.fileno()), lock.fileno())
        [taken] = given
        with taken:
            assert (taken.family, taken.getsockname()) == (socket.AF_INET, listener.getsockname())


def test_two_servers_start_at_once_on_one_new_database(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with server.Server.start(workspace) as first, server.Server.start(workspace) as second:
        waiting = [threading.Thread(target=own.wait) for own in (first, second)]
        for thread in waiting:
            thread.start()
        for thread in waiting:
            thread.join()
        assert server.is_reachable(first.url)
        assert server.is_reachable(second.url)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_parent_takes_its_server_along(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import time; from pathlib import Path; from flows.server import Server; from tasks.workspace import Workspace;"
        f"s = Server.start(Workspace(Path({str(tmp_path)!r}))); s.wait(); print(s.url, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert parent.stdout is not None
    url = parent.stdout.readline().strip()
    assert server.is_reachable(url)
    parent.send_signal(number)
    parent.wait()
    toy.assert_nothing_left(tmp_path)
    assert not server.is_reachable(url)


def test_a_parent_killed_at_once_takes_its_server_along(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from flows.server import Server; from tasks.workspace import Workspace;"
        f"Server.start(Workspace(Path({str(tmp_path)!r}))); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, env=clean_environment())
    toy.assert_nothing_left(tmp_path)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    home = tmp_path / ".gantry/prefect"
    home.mkdir(parents=True)
    (home / "prefect.db").write_bytes(b"this is no database" * 100)
    with server.Server.start(Workspace(tmp_path)) as own, pytest.raises(GantryError, match=r"server\.log") as caught:
        own.wait()
    assert "not a database" in str(caught.value)
    assert "exit 0" not in str(caught.value)


def test_the_database_of_a_second_workspace_is_a_copy_and_a_damaged_one_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "cache/gantry" / f"prefect-{version('prefect')}.db"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"no database at all" * 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for folder in ("first", "second"):
        with server.Server.start(Workspace(tmp_path / folder)) as own:
            own.wait()
    assert [*(tmp_path / "cache/gantry").iterdir()] == [kept]
    schemas = []
    for path in (kept, tmp_path / "first/.gantry/prefect/prefect.db", tmp_path / "second/.gantry/prefect/prefect.db"):
        with closing(sqlite3.connect(path)) as connection:
            schemas.append(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall())
    assert len(schemas[0]) > 100
    assert schemas[0] == schemas[1] == schemas[2]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GantryError, match=f"127.0.0.1:{port}.*--port"):
            server.Server.start(Workspace(tmp_path), port=port)


def test_an_address_without_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(GantryError, match=r"PREFECT_API_URL=http://127\.0\.0\.1:9/api"), server.connected(Workspace(tmp_path)):
        pass
