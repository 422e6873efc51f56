"""A small process beside a run that says how it ended, where the run itself no longer can: `python -P -m flows.witness`.

`prefect worker start` that is ended, as at a release, kills its runs by SIGKILL (Prefect 3.8): the stage saves its state, and Prefect shows
the run as Running. A witness reads on its standard input what to ask the server, then a line for each stage that begins. Where the input
ends, the run has died; whoever lives to see a run's orderly end ends its witness, too.

It stands on the standard library, since it is there as long as a training is, and has a second to speak in: a container ends two seconds
after its worker does.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

_WORD_OF_ITS_WORKER = 1.0
"""Seconds in which a worker that goes on says itself that a run of its crashed."""


def main() -> None:
    """Wait for the run's end, and say so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a system that ends a service ends all of its processes at once
    about, stage = json.loads(sys.stdin.readline()), "its beginning"
    for line in sys.stdin:
        stage = line.strip()
    time.sleep(_WORD_OF_ITS_WORKER)
    message = f"stopped in {stage} with its worker, or killed; the next run goes on from there"
    with suppress(OSError):  # the server is gone too; the next run sets the record right
        _say(about["url"], about["headers"], about["run"], {"type": "CANCELLED", "name": about["name"], "message": message})


def _say(url: str, headers: Mapping[str, str], run: str, state: Mapping[str, str]) -> None:
    def ask(path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{url}/{path}", data, {**headers, "Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def type_of(made: Mapping[str, Any]) -> str | None:  # a run that was made a moment ago has no state yet
        return None if made["state"] is None else made["state"]["type"]

    if type_of(ask(f"flow_runs/{run}")) != "RUNNING":
        return
    ask(f"flow_runs/{run}/set_state", {"state": state})
    for task in ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}}):
        if type_of(task) in (None, "PENDING", "RUNNING"):
            ask(f"task_runs/{task['id']}/set_state", {"state": state, "force": True})


if __name__ == "__main__":
    main()
