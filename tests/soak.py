"""Retrain one small entry again and again in one workspace, with data that changes each time: `python tests/soak.py [--runs 300]`.

One process holds one Prefect server with all its services, as `gantry schedule` does, and runs the flow in itself. Before each run an
image is added to the source and another one changed, so every stage runs. What may not grow is looked at after each: memory and open
files of the process and of the server, temporary files, what is left in the workspace's private folders, and DVC's cache beyond what
the lock files of the runs name. Prints a table in Markdown; exit code 1 where something grew or the last runs took longer than the first.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from flows import server
from tasks.scaffold import init_workspace
from tasks.workspace import Workspace

NAME = "photos"
ENTRY = """
generators:
  photos:
    data: {source: "folder://source", size: 8}
    validate: {}
    train:
      recipe: gan
      images: 1_280
      batch: 64
      threads: 1
      generator: {network: mlp, widths: [32, 32]}
      discriminator: {network: mlp, widths: [32, 32]}
    evaluate: {samples: 200}
    register: {}
"""
_FIRST_IMAGES = 200
_SETTLED = 10
"""Runs after which caches are warm, and growth counts."""
_MEMORY, _SECONDS = 1.1, 1.2
"""The last runs may have so much of what the first settled ones had."""


@dataclass(frozen=True)
class Look:
    """The state of things after a run."""

    seconds: float
    """Wall-clock."""
    cpu_seconds: float
    """Of all processes that the run started."""
    process_mib: float
    process_files: int
    server_mib: float
    server_files: int
    temporary_files: int
    left_in_private: int
    """Files below .gantry and .dvc/tmp, without Prefect's books and storage."""
    cache_mib: float
    not_accounted: int
    """Files in DVC's cache that no run's lock file names."""
    books_mib: float
    """MLflow's and Prefect's databases, and the artifacts of runs and versions: they grow by what a run records."""


def main() -> None:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        temporary = root / "temporary"
        temporary.mkdir()
        os.environ.update(TMPDIR=str(temporary), PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL", OMP_NUM_THREADS="1")
        tempfile.tempdir = None  # the next user of the module looks at TMPDIR
        workspace = init_workspace(root / "workspace")
        (workspace.root / "params.yaml").write_text(ENTRY)
        os.chdir(workspace.root)
        looks = list(_soaked(workspace, temporary, arguments.runs))
    _print(looks)
    problems = grown(looks)
    print(*problems or ["nothing grew"], sep="\n")
    sys.exit(bool(problems))


def _soaked(workspace: Workspace, temporary: Path, runs: int) -> Iterator[Look]:
    accounted: set[str] = set()
    with server.connected(workspace, full=True) as own:
        assert own is not None, "PREFECT_API_URL is set; the soak has a server of its own"
        own.wait()
        from flows.retrain import retrain

        for index in range(runs):
            change(workspace.root / "source", index)
            before, started = _children_seconds(), time.monotonic()
            state = retrain(NAME, return_state=True)
            state.result()
            seconds, cpu = time.monotonic() - started, _children_seconds() - before
            accounted |= digests(workspace)
            look = _look(workspace, temporary, own.process.pid, accounted, seconds, cpu)
            print(f"{index + 1}: {state.message}: {look}", file=sys.stderr, flush=True)
            yield look


def change(source: Path, index: int) -> None:
    """Make the source of run `index`: one image more than before, and one that has changed."""
    source.mkdir(exist_ok=True)
    images = load_digits().images
    new = range(_FIRST_IMAGES) if index == 0 else [index % _FIRST_IMAGES, _FIRST_IMAGES + index]
    for number in new:
        pixels = np.roll(images[(number + index) % len(images)] * 15.9, index, axis=1)
        Image.fromarray(pixels.astype(np.uint8)).save(source / f"{number}.png")


def digests(workspace: Workspace) -> set[str]:
    """What the lock file names: the digests of files and folders, and of the files in these folders."""
    lock = YAML(typ="safe").load(workspace.root / "dvc.lock")
    found = set()
    for stage in lock["stages"].values():
        for out in stage["outs"]:
            found.add(out["md5"])
            if out["md5"].endswith(".dir") and (listing := _cached(workspace, out["md5"])).exists():
                found |= {member["md5"] for member in json.loads(listing.read_text())}
    return found


def _cached(workspace: Workspace, digest: str) -> Path:
    return workspace.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]


def _look(workspace: Workspace, temporary: Path, server_process: int, accounted: set[str], seconds: float, cpu: float) -> Look:
    root = workspace.root
    cached = list(_files(root / ".dvc" / "cache" / "files" / "md5"))
    books = [root / "mlflow.db", server.home(workspace) / "prefect.db", *_files(root / "mlartifacts")]
    private = [path for path in _files(workspace.private) if server.home(workspace) not in path.parents]
    return Look(
        seconds=seconds,
        cpu_seconds=cpu,
        process_mib=_memory(os.getpid()),
        process_files=_open_files(os.getpid()),
        server_mib=_memory(server_process),
        server_files=_open_files(server_process),
        temporary_files=sum(1 for _ in _files(temporary)),
        left_in_private=len(private) + sum(1 for _ in _files(root / ".dvc" / "tmp")),
        cache_mib=_mib(cached),
        not_accounted=sum(path.parent.name + path.name not in accounted for path in cached),
        books_mib=_mib(books),
    )


def grown(looks: list[Look]) -> list[str]:
    """What has grown that may not, a line each: medians of the last runs against those of the first settled ones."""
    if len(looks) < 3 * _SETTLED:
        return [f"{len(looks)} runs tell nothing of growth; make it {3 * _SETTLED} at least"]

    def of(key: str, part: slice) -> float:
        return statistics.median(getattr(look, key) for look in looks[part])

    first, last = slice(_SETTLED, 2 * _SETTLED), slice(-_SETTLED, None)
    allowed = {
        "cpu_seconds": _SECONDS * of("cpu_seconds", first),
        "process_mib": _MEMORY * of("process_mib", first),
        "server_mib": _MEMORY * of("server_mib", first),
        **{key: of(key, first) for key in ("process_files", "server_files", "temporary_files", "left_in_private")},
        "not_accounted": 0.0,
    }
    return [
        f"{key}: {of(key, first):.1f} at first, {of(key, last):.1f} at the end; allowed {limit:.1f}"
        for key, limit in allowed.items()
        if of(key, last) > limit
    ]


def _print(looks: list[Look]) -> None:
    keys = [field.name for field in fields(Look)]
    print(f"| run | {' | '.join(key.replace('_', ' ') for key in keys)} |\n|{'---|' * (len(keys) + 1)}")
    shown = sorted({0, *range(_SETTLED - 1, len(looks), max(len(looks) // 10, 1)), len(looks) - 1})
    for index in shown:
        print(f"| {index + 1} | {' | '.join(f'{getattr(looks[index], key):.1f}'.removesuffix('.0') for key in keys)} |")


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(process: int) -> float:
    """Resident, in MiB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _open_files(process: int) -> int:
    return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())


def _files(folder: Path) -> Iterator[Path]:
    for base, _, names in os.walk(folder):
        yield from (Path(base, name) for name in names)


def _mib(paths: list[Path]) -> float:
    return sum(path.stat().st_size for path in paths if path.exists()) / 2**20


if __name__ == "__main__":
    main()
