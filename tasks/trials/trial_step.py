"""What a sweep asks of a trial, and what it is told: two small files in the trial's workspace."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from gan_core.files import write_whole
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Step:
    """What a trial is asked for, in step.json of its workspace."""

    title: str
    """The name of its MLflow run."""
    until: int | None
    """Pause when so many images were seen; None: go to the end."""

    @classmethod
    def read(cls, workspace: Workspace) -> Step:
        return cls(**json.loads((workspace.root / "step.json").read_text()))

    def write(self, workspace: Workspace) -> None:
        (workspace.root / "step.json").write_text(json.dumps(asdict(self)))

    @property
    def score_file(self) -> str:
        """Where the answer is written, in the same folder; one that is there was given before."""
        return "score.json" if self.until is None else f"score-{self.until}.json"


@dataclass(frozen=True)
class Score:
    """What it has come to."""

    metric: str
    """The one that decides."""
    value: float
    run_id: str

    @classmethod
    def read(cls, workspace: Workspace, step: Step) -> Score | None:
        path = workspace.root / step.score_file
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def write(self, workspace: Workspace, step: Step) -> None:
        write_whole(workspace.root / step.score_file, json.dumps(asdict(self)))
