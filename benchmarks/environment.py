"""Where a run of the benchmarks stands: the machine, the peers' Python, the data that sides train on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks.race import ROOT, Side
from tasks.fetch import fetch
from tasks.params import Entry, parse
from tasks.scaffold import init_workspace, template
from tasks.validate import validate
from tasks.workspace import Workspace

PEERS = ROOT / ".gantry" / "peers"
_REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
_WITHOUT_DEPENDENCIES = "torch-mimicry==0.1.16"
"""It asks for the whole of tensorflow and for test tools; what it imports stands in requirements.txt."""
FORMER = "9f4a1bb"
"""The commit that today's code is held against."""
_VERSIONS = ("torch", "numpy", "pillow")


class MissingError(RuntimeError):
    """Something that a work needs is not on this machine; the table says so."""


def machine(device: str) -> dict[str, str]:
    """What numbers depend on."""
    cpu = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {"processor": f"{len(os.sched_getaffinity(0))} cores of {cpu[0] if cpu else platform.machine()}", "memory": f"{memory:.0f} GiB"}
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return {**found, "python": platform.python_version(), **{name: version(name) for name in _VERSIONS}}


def load() -> float:
    """How many processes waited for a core in the last minute: more than a few tenths before a run spoils it."""
    return os.getloadavg()[0]


def peers_python() -> Path:
    """The peers' own Python; its environment is made at the first call, and again when requirements.txt changes.

    Raises:
        MissingError: an installation failed.
    """
    python, mark = PEERS / "bin" / "python", PEERS / "requirements.sha256"
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes() + _WITHOUT_DEPENDENCIES.encode()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return python
    shutil.rmtree(PEERS, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", str(PEERS)],
        [*pip, "--requirement", str(_REQUIREMENTS)],
        [*pip, "--no-deps", _WITHOUT_DEPENDENCIES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingError(f"the peers' environment could not be made: {(done.stderr.strip() or '?').splitlines()[-1][:200]}")
    mark.write_text(wanted)
    return python


@dataclass(frozen=True)
class Context:
    """What works are given."""

    folder: Path
    """Temporary, for all works of a run."""
    rounds: int
    quick: bool
    """Try everything once: short windows, few samples, numbers that mean nothing."""
    device: str
    say: Callable[[str], None]

    @property
    def seconds(self) -> float:
        """Of a window."""
        return 1.5 if self.quick else 4.0

    @cached_property
    def workspace(self) -> Workspace:
        return init_workspace(self.folder / "workspace")

    @cached_property
    def peers(self) -> Path:
        """The peers' Python, as `peers_python`."""
        self.say("  the peers' environment")
        return peers_python()

    @cached_property
    def former(self) -> Path:
        """The code of `FORMER`.

        Raises:
            MissingError: this is no clone, or one without that commit.
        """
        done = subprocess.run(["git", "archive", FORMER], cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            raise MissingError(f"no commit {FORMER} here: {(done.stderr.decode().strip() or '?').splitlines()[-1][:200]}")
        folder = self.folder / FORMER
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return folder

    @cached_property
    def digits(self) -> Path:
        """Ten thousands of real images: MNIST, packed.

        Raises:
            MissingError: GANTRY_DATA does not name a folder with MNIST/raw.
        """
        return self.prepared("mnist-dcgan")

    def prepared(self, name: str, **data: Any) -> Path:
        """The packed data set of an example, or of an entry of params.yaml."""
        entry = example(name, data=data)
        if entry.data.root == "$GANTRY_DATA" and not (Path(os.environ.get("GANTRY_DATA", "?")) / "MNIST" / "raw").is_dir():
            raise MissingError("GANTRY_DATA names no folder that holds MNIST/raw")
        if not self.workspace.ready(name).exists():
            fetch(self.workspace, name, entry)
            validate(self.workspace, name, entry)
        return self.workspace.ready(name)

    @cached_property
    def torchvision_root(self) -> Path:
        """MNIST as torchvision keeps it."""
        raw = self.folder / "torchvision" / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for path in (Path(os.environ["GANTRY_DATA"]) / "MNIST" / "raw").iterdir():
            shutil.copyfile(path, raw / path.name)
        return raw.parents[1]

    @cached_property
    def circle_points(self) -> Path:
        """The points of the entry `circle`, as its training sees them."""
        path = self.folder / "circle.npy"
        points = np.load(self.prepared("circle") / "train.npy")
        np.save(path, (points - points.mean(axis=0)) / points.std(axis=0))
        return path

    def gantry(self, name: str, ready: Path, entry: str, *words: str, **train: Any) -> Side:
        """A side that trains an example as Gantry does, with some settings of its own."""
        path = self.section_file(name, entry, **train)
        command = [sys.executable, "-m", "benchmarks.gantry", str(ready), str(path), "--device", self.device, *words]
        return Side(name, command)

    def section_file(self, name: str, entry: str, **train: Any) -> Path:
        """A file with an example for the side of that name, some settings of its training changed."""
        path = self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"
        section = section_of(entry)
        section["train"] |= train
        path.write_text(json.dumps({entry: section}))
        return path

    def peer(self, name: str, module: str, *words: str) -> Side:
        """A side that is another program."""
        return Side(name, [str(self.peers), "-m", f"benchmarks.peers.{module}", *words])

    def limit(self, name: str, *words: str) -> Side:
        """A side that only multiplies or copies."""
        return Side(name, [sys.executable, "-m", "benchmarks.limits", *words, "--device", self.device])


def example(name: str, **changed: dict[str, Any]) -> Entry:
    """An entry of examples/ or params.yaml, some keys of its sections changed."""
    section = section_of(name)
    for key, values in changed.items():
        section[key] |= values
    return parse({"generators": {name: section}})[name]


def section_of(name: str) -> dict[str, Any]:
    """An entry of examples/ or params.yaml, as it is written."""
    path = template(f"examples/{name}.yaml")
    document = YAML(typ="safe").load((path if path.exists() else template("params.yaml")).read_text())
    section: dict[str, Any] = document["generators"][name]
    return section
