"""What a training holds in memory when its data grows a hundredfold."""

from __future__ import annotations

from benchmarks.environment import Context
from benchmarks.race import race
from benchmarks.results import Goal, Result, number
from benchmarks.works.growth import noise

_SIDE, _MOST_MIB = 64, 200.0
_FEW, _MANY = 10_000, 1_000_000


def run(context: Context) -> Result:
    """The default networks on as many images of noise, each for the same time."""
    many = 100_000 if context.quick else _MANY
    sides = [
        context.gantry(
            f"{count:,} images",
            noise(context.folder / f"noise-{count}-{_SIDE}", count, _SIDE),
            "mnist",
            "--uncounted",
            condition="none",
            mismatch=0.0,
        )
        for count in (_FEW, many)
    ]
    few, more = race(sides, 1, context.seconds * 4, context.say)
    rows, goals = [], []
    for one in (few, more):
        window = one.windows[0] if one.windows else {}
        rows.append(
            (one.name, *(number(window[key], 4) for key in ("peak_mib", "anonymous_mib")))
            if window
            else (one.name, f"failed: {one.failure}", "")
        )
    for key, name in (("peak_mib", "most that was resident"), ("anonymous_mib", "its own, without pages of files")):
        work = f"Memory of training on {many:,} images of {_SIDE}x{_SIDE} beyond that on {_FEW:,}, {name}"
        if few.windows and more.windows:
            gap = more.windows[0][key] - few.windows[0][key]
            goals.append(Goal(work, f"{_MOST_MIB:g} MiB", f"{gap:,.0f} MiB", gap <= _MOST_MIB))
        else:
            goals.append(Goal(work, f"{_MOST_MIB:g} MiB", f"not measured: {few.failure or more.failure}", None))
    return Result(
        "Memory and the size of the data",
        f"`mnist`'s networks on grey images of {_SIDE}x{_SIDE}. What is resident includes pages of files, libraries for the most part; "
        "what is the process's own does not.",
        ("data", "most resident, MiB", "its own, MiB"), rows, goals, {one.name: one.windows for one in (few, more)},
    )  # fmt: skip
