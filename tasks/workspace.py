"""Where everything lies in a workspace: any folder with params.yaml and dvc.yaml."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STAGES = ("fetch", "validate", "train", "evaluate", "register")
PIN = "start"
"""DVC's stage that pins what a training starts from. It runs with train, as a part of it."""
GRAPH = (*STAGES[:2], PIN, *STAGES[2:])
"""All of an entry's stages in dvc.yaml, in their order."""


@dataclass(frozen=True)
class Workspace:
    """Paths below the workspace's root; `name` is a generator's name in params.yaml."""

    root: Path
    tracking_uri: str | None = None
    """The MLflow server to use; None: that of MLFLOW_TRACKING_URI, or the workspace's own database."""

    @property
    def private(self) -> Path:
        """Gantry's own files, kept out of git and DVC: Prefect's home, locks, unfinished trainings, downloads."""
        return self.root / ".gantry"

    def raw(self, name: str) -> Path:
        return self.root / "data" / name / "raw"

    def ready(self, name: str) -> Path:
        return self.root / "data" / name / "ready"

    def start(self, name: str) -> Path:
        """Holds start.json and, where the training does not start from scratch, checkpoint/."""
        return self.root / "data" / name / "start"

    def validation(self, name: str) -> Path:
        return self.root / "data" / name / "validation"

    def features(self, name: str) -> Path:
        return self.root / "data" / name / "features"

    def model(self, name: str) -> Path:
        """Holds generator/, checkpoint/, samples/, metrics.jsonl and run.json."""
        return self.root / "models" / name

    def report(self, name: str) -> Path:
        """Holds metrics.json, evaluation.json, grids/, curves/ and decision.json."""
        return self.root / "reports" / name

    def unfinished(self, name: str) -> Path:
        """States of trainings that have not ended, a folder each, named by what they depend on."""
        return self.private / "unfinished" / name

    def was_stopped(self, name: str) -> bool:
        """Whether there is a state of a training that has not ended."""
        return self.unfinished(name).is_dir() and any(self.unfinished(name).iterdir())

    def newest_picture(self, name: str) -> Path | None:
        """Of what a training that has not ended draws, the latest; None where there is no such training, or no picture of it yet."""
        with suppress(FileNotFoundError):  # one that ends meanwhile takes its folder with it
            begun = [(record.stat().st_mtime_ns, record.parent) for record in self.unfinished(name).glob("*/try-*/run.json")]
            _, latest = max(begun, default=(0, None))  # others are states of other parameters or data
            found = latest.glob("samples/*.png") if latest is not None else ()
            return max(found, key=lambda picture: (len(picture.stem), picture.stem), default=None)
        return None

    @property
    def compiled(self) -> Path:
        """What torch's compiler made of steps of trainings, a folder for each version of it and each machine."""
        return self.private / "compiled"

    def ranks(self, name: str) -> Path:
        """Where the processes of one training meet."""
        return self.private / "ranks" / name

    def served(self, name: str) -> Path:
        """What servers kept of what they drew, a file a version."""
        return self.private / "served" / name

    def sweeps(self, name: str) -> Path:
        """Sweeps of a generator's parameters, a folder each, named by what its trials share."""
        return self.private / "sweeps" / name


def current() -> Workspace:
    """The workspace that the process was started in."""
    return Workspace(Path.cwd())
