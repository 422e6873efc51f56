"""The register stage's decision, read back: what the flow, the command line and the pages say about it. Light: no torch, no MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gan_core.files import write_whole
from tasks.records.stage_files import if_there
from tasks.workspace import Workspace


@dataclass(frozen=True)
class LastDecision:
    """What reports/NAME/decision.json holds."""

    outcome: str
    """`first`, `promoted`, `kept: worse` or `vetoed: REASON`."""
    reasons: tuple[str, ...]
    version: int
    generator: str | None
    """The sha256 of the generator that was decided on."""
    challenger: Mapping[str, float | None]
    """Scores of the version that was decided on; None where one is not finite."""
    champion: Mapping[str, float | None]
    """Scores of the champion that it was compared with, on the same data; empty where there was none."""

    run_id: str | None = None
    """The MLflow run that holds its page."""
    beside_real: str = ""
    """The deciding score beside what real samples get, in words; empty where nothing is known of them."""

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> Self | None:
        """The last decision about `name`; None where there is none, or none that can be read."""
        return cls._read(workspace.report(name) / "decision.json")

    @classmethod
    def keep(cls, workspace: Workspace, name: str) -> None:
        """Copy decision.json to where DVC, which removes it before the stage runs again, leaves it."""
        path = _kept(workspace, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (workspace.report(name) / "decision.json").read_text(encoding="utf-8"))

    @classmethod
    def kept(cls, workspace: Workspace, name: str) -> Self | None:
        """The last decision that was kept."""
        return cls._read(_kept(workspace, name))

    @classmethod
    def _read(cls, path: Path) -> Self | None:
        try:
            return cls.of(if_there(path))
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """That which a record holds.

        Raises:
            KeyError, TypeError, ValueError: it holds none.
        """
        metrics = record["metrics"]
        return cls(
            outcome=str(record["outcome"]),
            reasons=tuple(map(str, record["reasons"])),
            version=int(record["version"]),
            generator=record.get("generator_sha256"),
            challenger=metrics["challenger"] or {},
            champion=metrics["champion"] or {},
            run_id=record.get("run_id"),
            beside_real=(record.get("beside_real") or {}).get("in_words", ""),
        )

    @property
    def promotes(self) -> bool:
        """Whether the version became the champion."""
        return self.outcome in ("first", "promoted")

    @property
    def in_words(self) -> str:
        """A sentence such as `version 3 is the champion (promoted): fid 12.1 against 14.8: better in 99.9 % of 1,000 resamples`."""
        role = "champion" if self.promotes else "challenger"
        said = f"version {self.version} is the {role} ({self.outcome})"
        if self.outcome.startswith("vetoed"):
            return said
        reasons = self.reasons[1:] if self.outcome == "first" else self.reasons  # `first` says already that there was no champion
        told = "; ".join([*reasons, *([self.beside_real] if self.beside_real else [])])
        return f"{said}: {told}" if told else said


def _kept(workspace: Workspace, name: str) -> Path:
    return workspace.private / "decisions" / f"{name}.json"
