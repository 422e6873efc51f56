"""What the works found: kept as JSON, shown as Markdown between two marks of docs/performance.md."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_QUIET = 3.0
"""Processes that waited for a core in the minute before: a work before it leaves one a core."""


@dataclass(frozen=True)
class Goal:
    """Something that was promised, and what was measured; `met` is None where nothing could be measured."""

    work: str
    wanted: str
    reached: str
    met: bool | None


@dataclass
class Result:
    """Of one work."""

    title: str
    about: str
    """What was measured, and with which settings."""
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    """The single measurements."""
    notes: list[str] = field(default_factory=list)
    machine: Mapping[str, str] = field(default_factory=dict)
    load: float = 0.0
    """Of the machine before the work began."""
    rounds: int = 0
    date: str = ""


def spread(values: Sequence[float], digits: int = 3) -> str:
    """The median, and least and most in brackets."""
    if len(values) == 1:
        return number(values[0], digits)
    return f"{number(statistics.median(values), digits)} ({number(min(values), digits)} to {number(max(values), digits)})"


def number(value: float, digits: int = 3) -> str:
    """To some significant digits, whole where it is large."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def ratio_goal(work: str, least: float, ratios: Sequence[float], failure: str | None = None) -> Goal:
    """That Gantry is at least so many times as fast."""
    if not ratios:
        return Goal(work, f"{least:g}x", f"not measured: {failure}", None)
    return Goal(work, f"{least:g}x", f"{spread(ratios)}x", statistics.median(ratios) >= least)


def load(path: Path) -> dict[str, Result]:
    """Results by work; none where there is no file yet."""
    if not path.exists():
        return {}
    return {key: Result(**{**one, "goals": [Goal(**goal) for goal in one["goals"]]}) for key, one in json.loads(path.read_text()).items()}


def save(path: Path, results: Mapping[str, Result]) -> None:
    """Write all results."""
    path.write_text(json.dumps({key: asdict(result) for key, result in results.items()}, indent=1, sort_keys=True) + "\n")


def markdown(results: Mapping[str, Result]) -> str:
    """All that the marks enclose."""
    lines = [
        "## Against the goals",
        "",
        *_table(("work", "goal", "reached", ""), [_goal_row(goal) for one in results.values() for goal in one.goals]),
    ]
    for result in results.values():
        lines += ["", f"## {result.title}", "", result.about, "", *_table(result.columns, result.rows)]
        lines += [line for note in result.notes for line in ("", note)]
        facts = ", ".join(f"{key} {value}" for key, value in result.machine.items())
        busy = (
            "; **other programs ran beside it: threads waited for each other, and neither rates nor ratios are fair**"
            if result.load > _QUIET
            else ""
        )
        lines += ["", f"*Measured {result.date}: {facts}; {result.rounds} rounds; load {result.load:.1f} before it began{busy}.*"]
    return "\n".join(lines)


def publish(document: Path, results: Mapping[str, Result]) -> None:
    """Put the tables between the marks of `document`.

    Raises:
        ValueError: it lacks the marks.
    """
    text = document.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{document}: the results belong between {BEGIN} and {END}, once; put the two lines back")
    head, _, rest = text.partition(BEGIN)
    document.write_text(f"{head}{BEGIN}\n\n{markdown(results)}\n\n{END}{rest.partition(END)[2]}")


def _goal_row(goal: Goal) -> Sequence[str]:
    return goal.work, goal.wanted, goal.reached, {True: "met", False: "**not met**", None: "not measured"}[goal.met]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
