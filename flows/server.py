"""A Prefect server of one's own: started for a run or a schedule where PREFECT_API_URL names none, and never left behind.

It is the real server on 127.0.0.1, with its SQLite database in the workspace, so what runs did can be looked at later. Prefect's own
temporary server takes two to three times as long to start and survives a killed parent; this one cannot, since the kernel ends it.

The listening socket is made here and handed to the child: there is no port to race for, and a request sent early waits for its answer.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from flows import prefect_page
from gan_core.errors import GantryError
from tasks.system import kept_databases
from tasks.system.imports import all_imported, quick_imports
from tasks.system.processes import die_with, end
from tasks.workspace import Workspace

_START_PATIENCE = 180.0
"""Seconds that a server has to answer; the first start in a workspace creates the database."""

_STOP_PATIENCE = 10.0

# A server for a single run plans nothing, shows nothing, and has nobody to notify. What stays is the record of runs and their logs.
_BARE = {
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",  # it takes two seconds
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_REPOSSESSOR_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


def home(workspace: Workspace) -> Path:
    """Prefect's home in the workspace, absolute as Prefect needs it."""
    return workspace.private.resolve() / "prefect"


def environment(workspace: Workspace) -> dict[str, str]:
    """What Prefect, client or server, is told before it is imported: where its home is, and to keep to itself."""
    return {
        "PREFECT_HOME": str(home(workspace)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": os.environ.get("DO_NOT_TRACK", "true"),
    }


@dataclass
class Server:
    """A server under way. Leaving the `with` block ends it; so does the end of this process, whatever its cause."""

    url: str
    """The API's address."""
    ui: str | None
    """The page's address, where there is one."""
    process: subprocess.Popen[bytes]
    _log: Path
    _lock: IO[bytes]

    @classmethod
    def start(cls, workspace: Workspace, *, full: bool = False, port: int = 0, lasting: bool = False, option: str = "--port") -> Self:
        """Start a server and return at once; `wait` says when it answers.

        Args:
            full: with its page and all services, as schedules need it.
            port: 0 takes a free one.
            lasting: it outlives this process, and whoever started it sees to its end.
            option: by which a person chooses another port.

        Raises:
            GantryError: the port is taken.
        """
        folder = home(workspace)
        folder.mkdir(parents=True, exist_ok=True)
        listener = socket.create_server(("127.0.0.1", 0), backlog=128) if port == 0 else _listen(port, option)
        number = listener.getsockname()[1]
        log = folder / "server.log"
        # One database, so one server after the other creates or upgrades it. The lock is given up when the server answers.
        lock = (folder / "starting.lock").open("wb")
        with suppress(FileNotFoundError):
            log.replace(log.with_name("server.previous.log"))  # what went wrong in a run is asked after the next one has begun
        with listener, log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.server", str(0 if lasting else os.getpid()), str(listener.fileno()), str(lock.fileno())],
                env={**os.environ, **environment(workspace), **_server_settings(number, full)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(listener.fileno(), lock.fileno()),
                start_new_session=True,  # Ctrl-C is for the run; the server outlives it by the moment in which the run's end is recorded
            )
        address = f"http://127.0.0.1:{number}"
        return cls(f"{address}/api", address if full else None, process, log, lock)

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            GantryError: it died or took too long; with the end of its log.
        """
        deadline = time.monotonic() + _START_PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if is_reachable(self.url, timeout=2.0):
                fcntl.flock(self._lock, fcntl.LOCK_UN)
                return
            time.sleep(0.05)
        ended = self.process.poll()
        self.stop()
        what = f"did not answer within {_START_PATIENCE:g} s" if ended is None else f"ended at its start (exit {ended})"
        last = "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
        raise GantryError(f"the local Prefect server {what}; its log is {self._log}:\n{last}")

    def stop(self) -> None:
        """End the server and wait for its end."""
        self._lock.close()
        end(self.process, _STOP_PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def is_reachable(url: str, timeout: float = 5.0) -> bool:
    """Whether a Prefect API answers at `url` (it ends in `/api`)."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=timeout) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


@contextmanager
def connected(workspace: Workspace, *, full: bool = False, port: int = 0) -> Iterator[Server | None]:
    """Have Prefect talk to PREFECT_API_URL, or to a server of this process's own, which is given while it is still starting.

    To be entered before anything imports Prefect, which reads its settings then.

    Args:
        full: the own server has its page and all services.
        port: of the own server; 0 takes a free one.

    Raises:
        GantryError: nothing answers at PREFECT_API_URL, or the port is taken.
    """
    os.environ.update(environment(workspace))
    wanted = os.environ.get("PREFECT_API_URL")
    if wanted:
        if not is_reachable(wanted):
            raise GantryError(f"PREFECT_API_URL={wanted}: no Prefect server answers there; start it, or unset the variable")
        yield None
        return
    with Server.start(workspace, full=full, port=port) as server:
        os.environ["PREFECT_API_URL"] = server.url
        try:
            yield server
        finally:
            flush()
            del os.environ["PREFECT_API_URL"]


def flush(timeout: float = 10.0) -> None:
    """Send what Prefect's client still holds back, log lines and states of task runs, while the server is there to take it."""
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all(timeout=timeout)
        EventsWorker.drain_all(timeout=timeout)


def _listen(port: int, option: str) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        raise GantryError(f"127.0.0.1:{port}: {error.strerror}; choose another port with {option}") from None


def _server_settings(port: int, full: bool) -> Mapping[str, str]:
    common = {
        "PREFECT_API_URL": "",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),  # the page asks the wrong server otherwise
        # In memory, a killed server would forget who holds a deployment's only slot, and the slot would be taken for ever.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }
    return common if full else {**common, **_BARE}


def _serve(parent: int, listener: int, lock: int) -> None:
    """The child's side: bound to `parent`'s life unless that is 0, on the listening socket that it inherits."""
    if parent:
        die_with(parent, signal.SIGKILL)
    fcntl.flock(lock, fcntl.LOCK_EX)
    database = Path(os.environ["PREFECT_HOME"]) / "prefect.db"
    if not database.exists() and "PREFECT_API_DATABASE_CONNECTION_URL" not in os.environ:
        _create_database(database)
    with quick_imports():  # a sixth of the start-up
        import uvicorn

        app = prefect_page.create()
    all_imported()
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=3)
    # By its number (`fd`) uvicorn takes it for a Unix socket, and every answer waits 40 ms for the client to confirm the answer's head.
    running = uvicorn.Server(config)
    running.run([socket.socket(fileno=listener)])
    if not running.started:
        sys.exit(1)


def _create_database(database: Path) -> None:
    """Prefect's empty database, which takes it 6 s of computing to make."""
    import asyncio
    from importlib.metadata import version

    kept, unfinished = f"prefect-{version('prefect')}.db", database.with_name(f".{database.name}.unfinished")
    if kept_databases.bring(kept, unfinished):
        unfinished.replace(database)
        return
    from prefect.server.database import provide_database_interface

    asyncio.run(provide_database_interface().create_db())
    kept_databases.keep(database, kept)


if __name__ == "__main__":
    _serve(*(int(argument) for argument in sys.argv[1:]))
