"""What five stages cost with next to nothing to train, by today's code and by the former version's."""

from __future__ import annotations

import statistics

from benchmarks import fixed_costs
from benchmarks.environment import FORMER, Context, MissingError
from benchmarks.results import Goal, Result, spread

_ROUNDS = 3
_GOALS = {
    fixed_costs.COLD_WITHOUT_LEARNING: ("Five stages, cold, without what is learned", 12.0),
    fixed_costs.UNCHANGED: ("Five stages, nothing changed", 2.5),
    fixed_costs.LIST: (fixed_costs.LIST, 1.0),
    fixed_costs.SAMPLE: (fixed_costs.SAMPLE, 1.5),
}
"""Names, and seconds at most."""


def run(context: Context) -> Result:
    """Both doors, cold and with nothing changed, and the former version's by turns; `benchmarks/fixed_costs.py` alone does the first."""
    now: dict[str, list[float]] = {}
    then: dict[str, list[float]] = {}
    notes = []
    for _ in range(min(context.rounds, _ROUNDS)):
        _add(now, fixed_costs.measure(1))
        try:
            _add(then, fixed_costs.measure(1, context.former, both=False))
        except (MissingError, RuntimeError) as error:
            notes = [f"Version {FORMER}: not measured: {' '.join(str(error).split())[:200]}"]
    return Result(
        "Where the time of a run goes",
        "An entry that has next to nothing to train (scikit-learn's digits at 8 pixels, 2,560 images, dense networks) through both doors, "
        "so what is left is what the pipeline costs.",
        ("what", "seconds", f"version {FORMER}"),
        [(what, spread(seconds), spread(then[what]) if what in then else "") for what, seconds in now.items()],
        [
            Goal(name, f"{most:g} s", f"{spread(now[what])} s", statistics.median(now[what]) <= most)
            for what, (name, most) in _GOALS.items()
        ],
        {"now": now, "then": then},
        notes,
    )


def _add(seconds: dict[str, list[float]], more: dict[str, list[float]]) -> None:
    for what, values in more.items():
        seconds.setdefault(what, []).extend(values)
