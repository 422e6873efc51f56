"""A registered version over HTTP, as `mlflow models serve` serves it, on a loopback port of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gan_core.errors import RegistryError
from tasks.records import tracking
from tasks.system.processes import die_with

_PATIENCE = 180.0  # seconds that the server has to answer its first request; on two busy cores it takes 20
_SECONDS = 10  # for it to end by itself


class ModelServer:
    """`mlflow models serve` for one version; a context manager, which ends it."""

    def __init__(self, address: str, uri: str) -> None:
        """Start it and return at once.

        Args:
            address: of the tracking server and registry.
            uri: of the version, as `models:/digits/3`.
        """
        self.uri = uri
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  as long as the server
        told = {"MLFLOW_TRACKING_URI": address, "MLFLOW_REGISTRY_URI": address}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tasks.promotion.served_back", str(os.getpid()), uri, str(self._port)],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            env={**tracking.QUIET_ENVIRONMENT, **os.environ, **told, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # what it starts in turn is ended with it
        )

    def predict(self, rows: list[dict[str, Any]], params: Mapping[str, Any]) -> dict[str, list[Any]]:
        """What it answers to a request: columns by name, as `tasks.promotion.loaded_back.FreshProcess.predict` gives them.

        Raises:
            RegistryError: it does not start, or refuses the request; with what it said.
        """
        self._wait()
        asked: dict[str, Any] = {"dataframe_records": rows} if rows else {"inputs": []}
        try:
            answer = self._ask("invocations", json.dumps({**asked, "params": dict(params)}).encode())
            records: list[dict[str, Any]] = json.loads(answer)["predictions"]
            return {column: [record[column] for record in records] for column in (records[0] if records else ())}
        except urllib.error.HTTPError as error:
            reason = " ".join(error.read().decode(errors="replace").split())[:500]
            raise RegistryError(f"{self.uri}: served by MLflow, it refuses the request ({error.code}): {reason}") from None
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise RegistryError(f"{self.uri}: served by MLflow, it gives no answer: {error}") from None

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and self._child.poll() is None:
            with suppress(OSError):
                self._ask("ping")
                return
            time.sleep(0.2)
        ended = self._child.poll()
        self.close()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        how = f"did not answer within {_PATIENCE:g} s" if ended is None else f"ended (exit {ended})"
        raise RegistryError(f"{self.uri}: `mlflow models serve` {how}: {said[-1] if said else 'without a word'}")

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/{path}", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310
            answer: bytes = response.read()
        return answer

    def close(self) -> None:
        """End the server and all that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        self._said.close()


def main() -> None:
    """Become `mlflow models serve`, bound to the parent's life: `python -m tasks.promotion.served_back PARENT URI PORT`."""
    parent, uri, port = sys.argv[1:]
    die_with(int(parent))
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # it starts uvicorn by name
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, *options])  # noqa: S606


if __name__ == "__main__":
    main()
