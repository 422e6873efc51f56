"""Gantry against itself: the same trainings by today's code and by version 9f4a1bb's, in one environment."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.environment import FORMER, Context, MissingError, section_of
from benchmarks.fixed_costs import timed
from benchmarks.race import Laps, Side, race, ratios
from benchmarks.results import Goal, Result, number, ratio_goal, spread
from benchmarks.tables import adult
from benchmarks.works.training import RACES
from tasks.workspace import Workspace

_NOW, _COMPILED, _THEN = "now", "now, `compile: on`", f"version {FORMER}"
_PENALTY_THEN = {"r1": 0.1, "r2": 0.1, "every": 1}
"""Of tables, the default."""
_CORES, _FAIR_SHARE, _MEMORY = 2, 0.8, 0.8


@dataclass(frozen=True)
class Training:
    """What both versions train."""

    entry: str
    goal: float
    """Least ratio."""
    unit: str = "images"
    train: Mapping[str, Any] = field(default_factory=dict)
    """What is changed of the entry's training."""
    threads: int | None = None
    compiles: bool = False
    """Whether its step can be one graph."""
    busy: int = 0
    """Programs beside it, each of which would have a core for itself."""
    copies: int = 1
    """Side by side."""

    @property
    def counted(self) -> str:
        """What `unit` is called: rows of tables are counted with images."""
        return "samples" if self.unit == "images" else self.unit

    @property
    def name(self) -> str:
        return self.entry + (f", {self.busy} busy loops beside it" if self.busy else f", {self.copies} side by side" * (self.copies > 1))


_MLP = RACES["mlp"].train
TRAININGS = (
    Training("circle", 2.5, "steps", threads=1, compiles=True),
    Training("ring8", 2.5, "steps", threads=1),
    Training("grid25", 2.5, "steps", threads=1, compiles=True),
    Training("breast-cancer", 2.0, threads=1, compiles=True),
    Training("adult", 2.0, threads=1),
    Training("mnist-mlp", 1.35, train=_MLP),
    Training("mnist-mixed", 1.4, train=RACES["mixed"].train),
    Training("digits", 1.4),
    Training("mnist-dcgan", 1.2),
    Training("mnist-mlp", 10.0, train=_MLP, busy=_CORES),
    Training("mnist-dcgan", 2.5, busy=_CORES),
    Training("mnist-mlp", 3.0, train=_MLP, copies=4),
)


def run(context: Context) -> Result:
    """All of them, one after the other."""
    found: dict[str, dict[str, Laps]] = {}
    for one in TRAININGS:
        context.say(f"  {one.name}")
        try:
            laps = race(list(_sides(one, context)), context.rounds, context.seconds / 2, context.say, one.busy)
        except MissingError as error:
            laps = [Laps(name, failure=str(error)) for name in (_NOW, _THEN)]
        found[one.name] = {side.name: side for side in laps}
    return Result(
        f"Against version {FORMER}",
        f"The same parameters by the code of commit {FORMER}, in the same environment and by turns, each through its whole loop: points "
        "and tables on one thread, images on all cores. `mnist-mlp` and `mnist-mixed` have the parameters of that time, as in the races "
        "above; `breast-cancer` and `adult` are as the example and `init --from` write them now, against the defaults then. Four side by "
        "side are added up. `compile: on` has to be asked for; what compiling takes is not counted.",
        ("work", "unit a second", _THEN, _NOW, "gained", _COMPILED, "gained"),
        [_row(one, found[one.name]) for one in TRAININGS],
        [*(goal for one in TRAININGS for goal in _ratio_goals(one, found[one.name])), *_fair_shares(found), _memory(found["mnist-dcgan"])],
        {name: {side.name: {"windows": side.windows, "failure": side.failure} for side in laps.values()} for name, laps in found.items()},
    )  # fmt: skip


def _sides(one: Training, context: Context) -> Iterator[Side]:
    """Today's, the former one's, and today's as one graph.

    Raises:
        MissingError: this clone lacks the former version, or the data is not here.
    """
    then, now = dict(one.train), dict(one.train)
    if one.entry == "adult":
        ready, now = _adult(context)
        packed_then = _table_then(context, "adult", {"source": f"table://{_census()}", "label": "income", "holdout": 0.3})
        then = {"images": now["images"], "penalty": _PENALTY_THEN}
    elif one.entry == "breast-cancer":
        ready, packed_then = context.prepared(one.entry), _table_then(context, one.entry, section_of(one.entry)["data"])
        then = {"penalty": _PENALTY_THEN}
    else:
        ready = packed_then = context.digits if one.entry.startswith("mnist") else context.prepared(one.entry)
    words = ("--uncounted", *(("--threads", str(one.threads)) if one.threads else ()))
    # Of the entry it takes what belongs to the training alone; a table's is like another's.
    entry = "breast-cancer" if one.entry == "adult" else one.entry
    yield replace(context.gantry(_NOW, ready, entry, *words, **now), copies=one.copies)
    yield replace(context.gantry(_THEN, packed_then, entry, *words, **then), copies=one.copies, root=context.former)
    if one.compiles:
        yield context.gantry(_COMPILED, ready, entry, *words, **now, compile="on")


def _adult(context: Context) -> tuple[Path, dict[str, Any]]:
    """The census table, packed, and how the entry that is written for it trains."""
    folder = context.folder / "adult"
    _, params = adult(folder, _census().parents[1])
    return Workspace(folder).ready("adult"), params.model_dump(mode="json", exclude_unset=True)


def _table_then(context: Context, name: str, data: dict[str, Any]) -> Path:
    """A table as the former version packs it, which cannot read what is packed now."""
    entry = {"data": data, "validate": {}, "train": {"recipe": "tabular", "images": 1_000}, "evaluate": {}, "register": {}}
    folder = context.folder / f"{name}-then"
    folder.mkdir()
    (folder / "params.yaml").write_text(json.dumps({"generators": {name: entry}}))
    for stage in ("fetch", "validate"):
        timed([sys.executable, "-m", f"tasks.{stage}", name], folder, context.former)
    return Workspace(folder).ready(name)


def _census() -> Path:
    path = Path(os.environ.get("GANTRY_DATA", "?")) / "adult" / "adult.csv"
    if not path.is_file():
        raise MissingError("GANTRY_DATA names no folder that holds adult/adult.csv")
    return path.resolve()


def _row(one: Training, laps: Mapping[str, Laps]) -> Sequence[str]:
    def cells(name: str) -> tuple[str, str]:
        if name not in laps:
            return "", ""
        side = laps[name]
        gained = ratios(side, laps[_THEN], one.unit)
        rate = spread(side.rates(one.unit)) if side.windows else f"failed: {side.failure}"
        return rate, f"{spread(gained)}x" if gained else ""

    return one.name, one.counted, cells(_THEN)[0], *cells(_NOW), *cells(_COMPILED)


def _ratio_goals(one: Training, laps: Mapping[str, Laps]) -> Iterator[Goal]:
    """Of the defaults, and of the compiled step where there is one."""
    for name in (_NOW, _COMPILED):
        if name in laps:
            asked = ", `compile: on`" if name == _COMPILED else ""
            failure = laps[name].failure or laps[_THEN].failure
            work = f"{one.name}{asked}: {one.counted} a second against {_THEN}"
            yield ratio_goal(work, one.goal, ratios(laps[name], laps[_THEN], one.unit), failure)


def _fair_shares(found: Mapping[str, Mapping[str, Laps]]) -> Iterator[Goal]:
    """Beside so many loops as cores a training has half of them, so half of its quiet rate is fair."""
    for one in TRAININGS:
        if one.busy:
            quiet, beside = found[one.entry][_NOW], found[one.name][_NOW]
            shares = [rate / (quiet.rate() / 2) for rate in beside.rates()] if quiet.windows else []
            work = f"{one.name}: of the fair share of the quiet rate, half of it"
            met = statistics.median(shares) >= _FAIR_SHARE if shares else None
            yield Goal(work, f"{_FAIR_SHARE:g}", spread(shares) if shares else f"not measured: {quiet.failure or beside.failure}", met)


def _memory(laps: Mapping[str, Laps]) -> Goal:
    """Most that was resident."""
    work = f"Memory of mnist-dcgan's training, share of {_THEN}'s"
    now, then = (laps[name] for name in (_NOW, _THEN))
    if not (now.windows and then.windows):
        return Goal(work, f"at most {_MEMORY:g}", f"not measured: {now.failure or then.failure}", None)
    share = now.windows[-1]["peak_mib"] / then.windows[-1]["peak_mib"]
    return Goal(work, f"at most {_MEMORY:g}", number(share), share <= _MEMORY)
