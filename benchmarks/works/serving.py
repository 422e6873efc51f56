"""`gantry serve` beside `mlflow models serve`: the same version, asked by the same clients, in turn."""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from benchmarks.environment import Context
from benchmarks.results import Goal, Result, number, spread
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.images import Images
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS
from tasks.records import tracking
from tasks.records.registry import Registry
from tasks.workspace import Workspace

_NAME, _CLIENTS, _COUNTS = "digits", 4, (1, 16)
_PATIENCE = 180.0  # seconds for a server to answer
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class _Side:
    """A server, and how it is asked."""

    name: str
    command: Callable[[int], list[str]]
    """By port."""
    ready: str
    path: str
    body: Callable[[int], dict[str, object]]
    accept: str = "application/json"
    measured: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def _sides() -> list[_Side]:
    gantry = [sys.executable, "-m", "flows.cli", "serve", _NAME, "--port"]
    mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{_NAME}@champion", "--env-manager", "local", "--port"]
    return [
        _Side("MLflow", lambda port: [*mlflow, str(port)], "/ping", "/invocations", lambda n: {"inputs": [], "params": {"n": n}}),
        _Side("Gantry, JSON", lambda port: [*gantry, str(port)], "/ready", "/samples", lambda n: {"n": n}),
        _Side("Gantry, npz", lambda port: [*gantry, str(port)], "/ready", "/samples", lambda n: {"n": n}, "application/x-npz"),
    ]


def run(context: Context) -> Result:
    """Each round starts each server anew, and asks it for a while."""
    workspace, generator = _registered(context.folder / "serving")
    sides, bare = _sides(), {n: [] for n in _COUNTS}
    for _ in range(context.rounds):
        for side in sides:
            context.say(f"  {side.name}")
            _measure(side, workspace, context.seconds)
        for n, rates in bare.items():
            rates.append(_bare(generator, n, context.seconds))
    return _result(sides, bare)


def _registered(folder: Path) -> tuple[Workspace, Generator]:
    """A workspace whose champion has the networks of the entry `digits`, untrained."""
    folder.mkdir()
    workspace, data = Workspace(folder), Images((1, 16, 16), classes=tuple("0123456789"))
    params = GENERATORS["dcgan"].model_validate({})
    generator = Generator(GeneratorConfig("gan", data, 32, params, 0, 0, "d" * 64), build_generator(params, data, 32))
    generator.save(folder / "generator")
    registry = Registry.open(workspace)
    with tracking.run(workspace, _NAME) as training:
        version = registry.add(_NAME, training.id, folder / "generator", {}, "for the benchmark")
    registry.move_champion(version, None, "first")
    return workspace, generator


def _measure(side: _Side, workspace: Workspace, seconds: float) -> None:
    """Start a server, ask it, and end it with all that it started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = {
        "MLFLOW_TRACKING_URI": tracking.client(workspace).tracking_uri,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    environment = {**tracking.QUIET_ENVIRONMENT, **os.environ, **_ONE_THREAD, **told, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    start = time.monotonic()
    child = subprocess.Popen(
        side.command(port),
        cwd=workspace.root,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(side, child, port)
        side.measured["ready"].append(time.monotonic() - start)
        for n in _COUNTS:
            _asked(side, port, n, seconds / 4)  # warm
            latencies = _asked(side, port, n, seconds)
            side.measured[f"rate {n}"].append(len(latencies) / seconds)
            side.measured[f"latency {n}"].append(1_000 * statistics.median(latencies))
        processes = [psutil.Process(child.pid), *psutil.Process(child.pid).children(recursive=True)]
        side.measured["memory"].append(sum(one.memory_full_info().pss for one in processes) / 2**20)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, 9)
        child.wait()


def _wait(side: _Side, child: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and child.poll() is None:
        with suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
            connection.request("GET", side.ready)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{side.name}: the server did not answer")


def _asked(side: _Side, port: int, n: int, seconds: float) -> list[float]:
    """Seconds of each request that some clients had answered in a window, each asking for `n` samples again and again."""
    body, headers = json.dumps(side.body(n)), {"Content-Type": "application/json", "Accept": side.accept}
    end, found = time.monotonic() + seconds, [list[float]() for _ in range(_CLIENTS)]
    failed: list[str] = []

    def ask(latencies: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        while (start := time.monotonic()) < end and not failed:
            connection.request("POST", side.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                failed.append(f"{side.name}: {answer.status} {content[:200]!r}")
            latencies.append(time.monotonic() - start)

    clients = [threading.Thread(target=ask, args=(latencies,)) for latencies in found]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if failed:
        raise RuntimeError(failed[0])
    return [latency for latencies in found for latency in latencies]


def _bare(generator: Generator, n: int, seconds: float) -> float:
    """Samples a second of a loop in this process, on one thread."""
    before, count = torch.get_num_threads(), 0
    torch.set_num_threads(1)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            generator.sample(n, seed=count)
            count += n
    finally:
        torch.set_num_threads(before)
    return count / seconds


def _result(sides: list[_Side], bare: Mapping[int, list[float]]) -> Result:
    columns = ("server", *(f"requests a second, n = {n}" for n in _COUNTS), *(f"median ms, n = {n}" for n in _COUNTS), "MiB", "s to ready")
    keys = (*(f"rate {n}" for n in _COUNTS), *(f"latency {n}" for n in _COUNTS), "memory", "ready")
    rows = [(side.name, *(spread(side.measured[key]) for key in keys)) for side in sides]
    rows.append(("the generator in a loop", *(spread([rate / n for rate in bare[n]]) for n in _COUNTS), "", "", "", ""))
    theirs, ours, arrays = (side.measured for side in sides)

    def ratios(key: str, against: Mapping[str, list[float]]) -> list[float]:
        return [one / other for one, other in zip(ours[key], against[key], strict=True)]

    goals = [
        _goal("requests a second at n = 1, JSON, against MLflow", 5, ratios("rate 1", theirs), "x"),
        _goal("requests a second at n = 16, JSON, against MLflow", 2, ratios("rate 16", theirs), "x"),
        _goal("median latency at n = 1, share of MLflow's", 1 / 3, ratios("latency 1", theirs), "", most=True),
        _goal("memory, share of MLflow's", 0.6, ratios("memory", theirs), "", most=True),
        _goal("time to ready, share of MLflow's", 1 / 3, ratios("ready", theirs), "", most=True),
        _goal(
            "images a second at n = 16, npz, share of the bare loop's",
            0.7,
            [16 * a / b for a, b in zip(arrays["rate 16"], bare[16], strict=True)],
            "",
        ),
    ]
    return Result(
        "Serving",
        f"The networks of `digits`, untrained, as the champion; {_CLIENTS} clients that ask again and again. Each "
        "round starts each server anew. One thread a pass (`OMP_NUM_THREADS=1`). "
        "Memory is of all processes of a server, shared pages by their share.",
        columns, rows, goals, {**{side.name: dict(side.measured) for side in sides}, "bare": {str(n): rates for n, rates in bare.items()}},
    )  # fmt: skip


def _goal(work: str, wanted: float, reached: list[float], unit: str, most: bool = False) -> Goal:
    middle = statistics.median(reached)
    said = f"{'at most ' if most else ''}{number(wanted)}{unit}"
    return Goal(f"Serving: {work}", said, f"{spread(reached)}{unit}", middle <= wanted if most else middle >= wanted)
