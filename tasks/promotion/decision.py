"""The register stage's decision, read back: what the flow, the command line and the pages say about it. Light: no torch, no MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tasks.workspace import Workspace


@dataclass(frozen=True)
class LastDecision:
    """What reports/NAME/decision.json holds."""

    outcome: str
    """`first`, `promoted`, `kept: worse` or `vetoed: REASON`."""
    reasons: tuple[str, ...]
    version: int
    challenger: Mapping[str, float | None]
    """Scores of the version that was decided on; None where one is not finite."""
    champion: Mapping[str, float | None]
    """Scores of the champion that it was compared with, on the same data; empty where there was none."""

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Self | None:
        """The last decision about `name`; None where there is none, or none that can be read."""
        record = read_json(workspace.report(name) / "decision.json")
        try:
            metrics = record["metrics"]
            return cls(
                outcome=str(record["outcome"]),
                reasons=tuple(map(str, record["reasons"])),
                version=int(record["version"]),
                challenger=metrics["challenger"] or {},
                champion=metrics["champion"] or {},
            )
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def in_words(self) -> str:
        """A sentence such as `version 3 is the champion (promoted): fid 12.1 is better than 14.8`."""
        role = "the champion" if self.outcome in ("first", "promoted") else "no champion"
        reasons = "" if self.outcome.startswith("vetoed") else f": {'; '.join(self.reasons)}"
        return f"version {self.version} is {role} ({self.outcome}){reasons if self.reasons else ''}"


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON object from a file; empty where it is not there or no such thing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
