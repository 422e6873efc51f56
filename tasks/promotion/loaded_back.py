"""A registered version as others get it: loaded from the registry by MLflow, in a process that never saw the model being made.

`python -m tasks.promotion.loaded_back PARENT` is that process. It takes most of its time to import, so it is started early, while the
champion is still being scored, and told the version once that is known. A line of JSON on its input is a request, a line on its output
the answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gan_core.errors import RegistryError
from tasks.records import tracking
from tasks.system.imports import all_imported
from tasks.system.processes import die_with

if TYPE_CHECKING:
    from pandas import DataFrame

_SECONDS = 10  # for the process to end by itself


class FreshProcess:
    """A process that loads registered versions and asks them; a context manager, which ends it."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tasks.promotion.loaded_back", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # The parent's modules may have been found by a path that the child would not have.
            env={**tracking.QUIET_ENVIRONMENT, **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
        )

    def predict(self, address: str, uri: str, rows: list[dict[str, Any]], params: Mapping[str, Any]) -> dict[str, list[Any]]:
        """What `mlflow.pyfunc.load_model(uri).predict(rows, params)` answers there: columns by name.

        Args:
            address: of the tracking server and registry.
            uri: of the version, as `models:/digits/3`.
            rows: records of the request's frame; none for an empty one.
            params: of the request.

        Raises:
            RegistryError: it cannot be loaded, or refuses the request; with what the process said.
        """
        assert self._child.stdin is not None and self._child.stdout is not None  # noqa: S101, PT018
        request = json.dumps({"address": address, "uri": uri, "rows": rows, "params": dict(params)})
        try:
            self._child.stdin.write(request + "\n")
            self._child.stdin.flush()
            answer = json.loads(self._child.stdout.readline())
        except (OSError, ValueError):
            self.close()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise RegistryError(f"{uri}: the process that loads it back ended: {said[-1] if said else 'without a word'}") from None
        if "error" in answer:
            raise RegistryError(f"{uri}: cannot be loaded back from {tracking.without_password(address)}: {answer['error']}")
        columns: dict[str, list[Any]] = answer["columns"]
        return columns

    def close(self) -> None:
        """End the process."""
        if self._child.poll() is None:
            self._child.terminate()
        try:
            self._child.communicate(timeout=_SECONDS)
        except (subprocess.TimeoutExpired, ValueError, OSError):
            self._child.kill()
            self._child.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
        self._errors.close()


def columns_of(frame: DataFrame) -> dict[str, list[Any]]:
    """A served model's answer by column, as JSON has it: days and moments by ISO 8601, as MLflow writes them."""
    columns: dict[str, list[Any]] = json.loads(json.dumps(frame.to_dict("list"), default=lambda value: value.isoformat()))
    return columns


def main() -> None:
    """Answer requests until the input ends, or the parent."""
    die_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends this process
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever the libraries print is no answer
    import mlflow
    import pandas as pd
    from mlflow import pyfunc

    from tasks.records import served_model  # noqa: F401  what the version's own code imports, while there is time

    tracking.know_no_other_packages()
    all_imported()

    for line in sys.stdin:
        request = json.loads(line)
        try:
            mlflow.set_tracking_uri(request["address"])
            mlflow.set_registry_uri(request["address"])
            frame = pyfunc.load_model(request["uri"]).predict(pd.DataFrame(request["rows"]), params=request["params"])
            answer: dict[str, Any] = {"columns": columns_of(frame)}
        except Exception as error:  # whatever stops it from being served is what is asked about
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
