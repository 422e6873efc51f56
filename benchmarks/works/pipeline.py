"""What five stages cost with next to nothing to train."""

from __future__ import annotations

import statistics

from benchmarks import fixed_costs
from benchmarks.environment import Context
from benchmarks.results import Goal, Result, spread

_COLD_SECONDS, _UNCHANGED_SECONDS = 25.0, 6.0
_ROUNDS = 3


def run(context: Context) -> Result:
    """Both doors, cold and with nothing changed; `benchmarks/fixed_costs.py` alone does the same."""
    found = fixed_costs.measure(min(context.rounds, _ROUNDS))
    wanted = {fixed_costs.COLD_WITHOUT_LEARNING: _COLD_SECONDS, fixed_costs.UNCHANGED: _UNCHANGED_SECONDS}
    names = {
        fixed_costs.COLD_WITHOUT_LEARNING: "Five stages, cold, without what is learned",
        fixed_costs.UNCHANGED: "Five stages, nothing changed",
    }
    return Result(
        "Where the time of a run goes",
        "An entry that has next to nothing to train (scikit-learn's digits at 8 pixels, 2,560 images, dense networks) through both doors, "
        "so what is left is what the pipeline costs.",
        ("what", "seconds"),
        [(what, spread(seconds)) for what, seconds in found.items()],
        [
            Goal(names[what], f"{most:g} s", f"{spread(found[what])} s", statistics.median(found[what]) <= most)
            for what, most in wanted.items()
        ],
        dict(found),
    )
