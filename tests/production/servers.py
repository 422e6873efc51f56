"""The servers of a production, real ones on loopback: PostgreSQL, an S3 store, Prefect and MLflow on both, with their logins.

Each can be ended, refused and started again, to see what runs make of it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

POSTGRES = Path("/usr/lib/postgresql/15/bin")
SCRIPTS = Path(sys.executable).parent
_PATIENCE = 240.0


def missing() -> str | None:
    """Why the servers cannot be started here; None where they can."""
    if not (POSTGRES / "initdb").exists():
        return f"no PostgreSQL 15 in {POSTGRES} (Debian: apt install postgresql)"
    if os.getuid() == 0 and _user() is None:
        return "PostgreSQL refuses to run as root, and there is no user `postgres`"
    return None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


@dataclass
class Process:
    """A server that can be started again as it was."""

    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                self.command, cwd=self.folder, env=dict(self.environment), stdout=output, stderr=output, start_new_session=True
            )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(20)
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self.child = None

    def wait(self, url: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self.child is not None and self.child.poll() is None:
            with suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
            time.sleep(0.2)
        raise AssertionError(f"{url} does not answer:\n{self.log.read_text()[-3000:]}")


@dataclass
class Production:
    """All of them; `with Production(folder) as servers`."""

    folder: Path
    secrets: dict[str, str] = field(default_factory=lambda: {name: f"planted-{name}-{secrets.token_hex(8)}" for name in _SECRETS})
    """Password of the database, secret key of the store, passwords of Prefect's and MLflow's servers."""
    way_to_mlflow: str | None = None
    """By which workers and people reach MLflow's server; None: straight."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = {name: free_port() for name in ("postgres", "store", "s3", "prefect", "mlflow")}
        self._database = Path(tempfile.mkdtemp(prefix="gantry-postgres-"))  # its user has no way into the folders of tests
        self.store = self._process("store", [str(SCRIPTS / "moto_server"), "-H", "127.0.0.1", "-p", str(self.ports["store"])])
        # What stands between a client and the store can be taken away, and the store keeps what it has.
        way = [sys.executable, str(Path(__file__).with_name("way.py")), str(self.ports["s3"]), str(self.ports["store"])]
        self.s3 = self._process("s3", way)
        self.prefect = self._process(
            "prefect",
            [
                *[sys.executable, "-m", "uvicorn", "--factory", "flows.prefect_page:create"],
                *["--host", "127.0.0.1", "--port", str(self.ports["prefect"])],
            ],
            PREFECT_HOME=str(self.folder / "prefect-home"),
            PREFECT_API_DATABASE_CONNECTION_URL=self._database_url("prefect", "postgresql+asyncpg"),
            PREFECT_SERVER_API_AUTH_STRING=f"gantry:{self.secrets['prefect']}",
            PREFECT_SERVER_API_PORT=str(self.ports["prefect"]),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE="prefect.server.concurrency.lease_storage.filesystem",
            DO_NOT_TRACK="true",
        )
        login = self.folder / "mlflow-login.ini"
        login.write_text(
            f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = {self._database_url('mlflow_login', 'postgresql')}\n"
            f"admin_username = gantry\nadmin_password = {self.secrets['mlflow']}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        login.chmod(0o600)
        self.mlflow = self._process(
            "mlflow",
            [
                *[sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--workers", "1"],
                *["--port", str(self.ports["mlflow"]), "--artifacts-destination", "s3://mlflow"],
            ],
            **self._s3_environment(),
            MLFLOW_BACKEND_STORE_URI=self._database_url("mlflow", "postgresql"),
            MLFLOW_AUTH_CONFIG_PATH=str(login),
            MLFLOW_FLASK_SERVER_SECRET_KEY=secrets.token_hex(16),
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            MLFLOW_DISABLE_TELEMETRY="true",
        )

    @property
    def mlflow_address(self) -> str:
        return f"http://127.0.0.1:{self.ports['mlflow']}"

    @property
    def environment(self) -> dict[str, str]:
        """What a worker, or a person, is told of them."""
        return {
            "PREFECT_API_URL": f"http://127.0.0.1:{self.ports['prefect']}/api",
            "PREFECT_API_AUTH_STRING": f"gantry:{self.secrets['prefect']}",
            "MLFLOW_TRACKING_URI": self.way_to_mlflow or self.mlflow_address,
            "MLFLOW_TRACKING_USERNAME": "gantry",
            "MLFLOW_TRACKING_PASSWORD": self.secrets["mlflow"],
            "GANTRY_REMOTE": "shared",
            **self._s3_environment(),
        }

    def __enter__(self) -> Self:
        try:
            self._create_database()
            self.store.start()
            self.s3.start()
            for name in ("prefect", "mlflow", "mlflow_login"):
                self.postgres("createdb", name)
            self.prefect.start()
            self.store.wait(f"http://127.0.0.1:{self.ports['store']}/moto-api/")
            self._create_buckets()
            self.mlflow.start()
            self.wait()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def wait(self) -> None:
        """Return when Prefect and MLflow answer."""
        self.prefect.wait(f"http://127.0.0.1:{self.ports['prefect']}/api/health")
        self.mlflow.wait(f"{self.mlflow_address}/health")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in (self.mlflow, self.prefect, self.s3, self.store):
            process.stop()
        with suppress(subprocess.SubprocessError):
            self.control("stop", "-m", "immediate")
        shutil.rmtree(self._database, ignore_errors=True)

    def control(self, *arguments: str) -> None:
        """`pg_ctl ARGUMENTS`, such as `restart -m immediate`, which is a crash."""
        options = f"-c listen_addresses=127.0.0.1 -p {self.ports['postgres']} -k {self._database} -c max_connections=200"
        command = [str(POSTGRES / "pg_ctl"), "-D", str(self._database / "data"), "-l", str(self._database / "log"), "-w", "-o", options]
        subprocess.run([*command, *arguments], user=_user(), cwd=self._database, check=True, capture_output=True, timeout=60)

    def postgres(self, tool: str, *arguments: str) -> str:
        """What one of PostgreSQL's tools answers, such as `psql -c QUESTION DATABASE`."""
        command = [str(POSTGRES / tool), "-h", "127.0.0.1", "-p", str(self.ports["postgres"]), "-U", "gantry", *arguments]
        environment = {**os.environ, "PGPASSWORD": self.secrets["database"]}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    def _create_database(self) -> None:
        password = self._database / "password"
        password.write_text(self.secrets["database"])
        for path in (self._database, password):
            if (user := _user()) is not None:
                shutil.chown(path, user)
        initdb = [str(POSTGRES / "initdb"), "-D", str(self._database / "data"), "-U", "gantry", "--pwfile", str(password)]
        initdb += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        subprocess.run(initdb, user=_user(), cwd=self._database, check=True, capture_output=True, timeout=120)
        self.control("start")

    def _create_buckets(self) -> None:
        import boto3

        access = self._s3_environment()
        client = boto3.client(
            "s3",
            endpoint_url=access["AWS_ENDPOINT_URL"],
            aws_access_key_id=access["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=access["AWS_SECRET_ACCESS_KEY"],
            region_name=access["AWS_DEFAULT_REGION"],
        )
        for bucket in ("mlflow", "dvc"):
            client.create_bucket(Bucket=bucket)

    def _process(self, name: str, command: list[str], **environment: str) -> Process:
        outside = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "AWS_", "GANTRY_"))}
        return Process(command, {**outside, **environment}, self.folder, self.folder / f"{name}.log")

    def _database_url(self, database: str, dialect: str) -> str:
        return f"{dialect}://gantry:{self.secrets['database']}@127.0.0.1:{self.ports['postgres']}/{database}"

    def _s3_environment(self) -> dict[str, str]:
        address = f"http://127.0.0.1:{self.ports['s3']}"
        return {
            "AWS_ACCESS_KEY_ID": "gantry",
            "AWS_SECRET_ACCESS_KEY": self.secrets["store"],
            "AWS_ENDPOINT_URL": address,
            "MLFLOW_S3_ENDPOINT_URL": address,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


_SECRETS = ("database", "store", "prefect", "mlflow")


def _user() -> str | None:
    """Whom PostgreSQL runs as: the present user, unless that is root; None says so where there is no other one as well."""
    import pwd

    if os.getuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return None
