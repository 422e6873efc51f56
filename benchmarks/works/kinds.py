"""The training step of the kinds beyond images: Gantry's loop against the same layers as tutorials train them."""

from __future__ import annotations

import sys

from benchmarks.environment import Context
from benchmarks.race import Side, race, ratios
from benchmarks.results import Result, ratio_goal, spread

ENTRIES = {"sounds": "spoken-digits", "volumes": "chairs", "clips": "moving-shapes", "attributes": "emoji-tones"}
_GANTRY, _EAGER = "Gantry", "eager PyTorch"
GOAL = 1.0


def run(context: Context) -> Result:
    """All kinds, one after the other."""
    rows, goals, raw = [], [], {}
    for kind, entry in ENTRIES.items():
        context.say(f"  {kind}")
        ready = context.prepared(entry)
        gantry = context.gantry(_GANTRY, ready, entry, "--threads", "1", "--uncounted")
        eager = Side(_EAGER, [sys.executable, "-m", "benchmarks.eager", str(ready), str(context.section_file(_EAGER, entry))])
        ours, theirs = laps = race([gantry, eager], context.rounds, context.seconds, context.say)
        gained = ratios(ours, theirs)
        rows += [(kind, one.name, spread(one.rates()) if one.windows else f"failed: {one.failure}") for one in laps]
        goals.append(ratio_goal(f"{kind}, samples a second against {_EAGER}", GOAL, gained, ours.failure or theirs.failure))
        raw[kind] = {one.name: {"facts": one.facts, "windows": one.windows, "failure": one.failure} for one in laps}
    return Result(
        "The other kinds of data",
        "The entries " + ", ".join(f"`{entry}`" for entry in ENTRIES.values()) + ", one thread, through Gantry's whole loop; and the same "
        "layers, losses, penalties and batches with a DataLoader and torch's Adam.",
        ("kind", "program", "samples a second"),
        rows, goals, raw,
    )  # fmt: skip
