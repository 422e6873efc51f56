"""Whether generators are ranked rightly: `python -m benchmarks.ladders [LADDER ...] [--root $GANTRY_DATA] [--trials 3]`.

A ladder is a dozen generators of known order: the first is sound, and each of the others has every fault of the one before it and one
more. Nothing is trained (`benchmarks.imitations`, for tables `benchmarks.table_ladder`). Each two are compared as the register stage does,
with the default rule: how often are they put in the right order, the truly better one promoted, the worse one promoted, and how often
is one of two equals? Then each fault alone, and some more: what the gate says of it beside a sound champion, and which scores see it.
Prints Markdown tables; `docs/gate.md` holds a run.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from benchmarks import imitations as of
from benchmarks import table_ladder
from benchmarks.once import Once
from gan_core.params.common import Kind
from tasks.metrics import FLOOR_ONLY
from tasks.params import RegisterParams
from tasks.promotion.comparison import compare
from tasks.promotion.contest import Side, contest
from tasks.promotion.gate import PROMOTING, WORSE, Measured, Record, decide

CONFIDENCE = 0.95
Faults = Mapping[str, Any]


class Trial(Protocol):
    """Generators judged beside the same held-out samples."""

    def side(self, faults: list[Any], draw: int, copies: bool = True) -> Side | None:
        """One with these faults; None where the evaluate stage refuses it. `copies`: whether near-copies are looked for."""


@dataclass(frozen=True)
class Ladder:
    """Generators of known order."""

    kind: Kind
    size: str
    """Held-out and generated samples."""
    trial: Callable[[int], Trial]
    rungs: Faults
    """In the order in which they are added."""
    alone: Faults = field(default_factory=dict)
    """Others, which are planted alone."""


def of_source(source: of.Source, rungs: Faults, alone: Faults, times: int = 1) -> Ladder:
    """A ladder of imitations, whose features are fitted once, judged by so many times as many samples as the source says."""
    source.held_out, source.generated = times * source.held_out, times * source.generated
    kept: list[of.Judged] = []

    def trial(number: int) -> Trial:
        kept.append(of.Judged(source, number, kept[0].extractor if kept else None))
        return kept[-1]

    return Ladder(source.kind, source.size, trial, rungs, alone)


def images(root: Path, times: int, labelled: bool = False, photos: bool = False) -> Ladder:
    """MNIST, by label or without, or photographs of clothing, whose classes take the digits' places."""
    asked = {
        "5 % shuffled labels": of.shuffled(0.05),
        "15 % shuffled labels": of.shuffled(0.15),
        "half of the labels shuffled": of.shuffled(0.5),
    }
    rungs = {
        "noise of 40 grey levels in 10 %": of.noise(40, 0.1),
        "blur of 1 pixel in 10 %": of.blur(1, 0.1),
        "10 % of 20 images": of.repeated(0.1),
        "half of the nines lost": of.lost(9, share=0.5),
        "noise of 40 in 20 % more": of.noise(40, 0.2),
        "no nines": of.lost(9),
        "blur of 1 in 20 % more": of.blur(1, 0.2),
        "25 % more of 20 images": of.repeated(0.25),
        "no eights": of.lost(8),
        "noise of 80 in half": of.noise(80, 0.5),
        "no sixes and sevens": of.lost(6, 7),
    }
    if labelled:
        (one, first), (two, second), (three, third) = asked.items()
        many = list(rungs.items())
        rungs = dict([*many[:2], (one, first), *many[2:5], (two, second), *many[5:9], (three, third), *many[9:]])
    alone = {
        "20 % training images": of.training_copies(0.2),
        "training images, noise of 10": of.training_copies(1.0, 10),
        "all of 20 images": of.repeated(1.0),
        "5 % noise alone": of.noise(150, share=0.05),
        **({"all labels shuffled": of.shuffled(1.0)} if labelled else {"half contrast": of.faded(0.5)}),
    }
    return of_source(of.Clothing(root) if photos else of.Digits(root, labelled), rungs, alone, times)


def stacks(root: Path, times: int) -> Ladder:
    """Three digits of MNIST on top of each other."""
    rungs = {
        "noise of 40 grey levels in 10 %": of.noise(40, 0.1),
        "half of the nines lost": of.lost(9, share=0.5),
        "10 % of 20 images": of.repeated(0.1),
        "blur of 1 pixel in 10 %": of.blur(1, 0.1),
        "no nines": of.lost(9),
        "noise of 40 in 20 % more": of.noise(40, 0.2),
        "25 % more of 20 images": of.repeated(0.25),
        "no eights": of.lost(8),
        "blur of 1 in 20 % more": of.blur(1, 0.2),
        "noise of 80 in half": of.noise(80, 0.5),
        "no sixes and sevens": of.lost(6, 7),
    }
    alone = {"20 % training images": of.training_copies(0.2), "all of 20 images": of.repeated(1.0)}
    return of_source(of.Stacks(root), rungs, alone, times)


def pairs(root: Path, times: int) -> Ladder:
    """Facades."""
    rungs = {
        "noise of 20 grey levels in 10 %": of.noise(20, 0.1),
        "blur of 1 pixel in 10 %": of.blur(1, 0.1),
        "5 % for another input": of.shuffled(0.05),
        "noise of 20 in 20 % more": of.noise(20, 0.2),
        "10 % of 20 images": of.repeated(0.1),
        "blur of 1 in 20 % more": of.blur(1, 0.2),
        "15 % more for another input": of.shuffled(0.15),
        "20 % more of 20 images": of.repeated(0.2),
        "noise of 40 in half": of.noise(40, 0.5),
        "blur of 2 in half": of.blur(2, 0.5),
        "half for another input": of.shuffled(0.5),
    }
    alone = {
        "all for another input": of.shuffled(1.0),
        "30 % training images": of.training_copies(0.3),
        "training images, noise of 5": of.training_copies(1.0, 5),
    }
    return of_source(of.Facades(root), rungs, alone, times)


def unpaired(root: Path, times: int) -> Ladder:
    """MNIST, white on black to dark on yellow."""
    rungs = {
        "noise of 30 grey levels in 10 %": of.noise(30, 0.1),
        "blur of 1 pixel in 10 %": of.blur(1, 0.1),
        "5 % not translated": of.untranslated(0.05),
        "10 % of 20 images": of.repeated(0.1),
        "noise of 30 in 20 % more": of.noise(30, 0.2),
        "10 % more not translated": of.untranslated(0.1),
        "blur of 1 in 20 % more": of.blur(1, 0.2),
        "25 % more of 20 images": of.repeated(0.25),
        "noise of 60 in half": of.noise(60, 0.5),
        "20 % more not translated": of.untranslated(0.2),
        "blur of 2 in half": of.blur(2, 0.5),
    }
    alone = {
        "30 % for another input": of.shuffled(0.3),
        "all for another input": of.shuffled(1.0),
        "30 % training images": of.training_copies(0.3),
        "training images, noise of 5": of.training_copies(1.0, 5),
    }
    return of_source(of.Stained(root), rungs, alone, times)


def captions(_: Path, times: int) -> Ladder:
    """Made pictures of shapes."""
    rungs = {
        "noise of 15 grey levels in 10 %": of.noise(15, 0.1),
        "blur of 1 pixel in 10 %": of.blur(1, 0.1),
        "5 % for another caption": of.shuffled(0.05),
        "10 % of 20 images": of.repeated(0.1),
        "noise of 15 in 20 % more": of.noise(15, 0.2),
        "half of the discs lost": of.lost(1, share=0.5),
        "15 % more for another caption": of.shuffled(0.15),
        "blur of 1 in 20 % more": of.blur(1, 0.2),
        "20 % more of 20 images": of.repeated(0.2),
        "noise of 30 in half": of.noise(30, 0.5),
        "half for another caption": of.shuffled(0.5),
    }
    alone = {
        "no discs": of.lost(1),
        "all for another caption": of.shuffled(1.0),
        "20 % training images": of.training_copies(0.2),
        "training images, noise of 5": of.training_copies(1.0, 5),
        "all of 20 images": of.repeated(1.0),
    }
    return of_source(of.Shapes(), rungs, alone, times)


_POINTS_ALONE = {"all of 20 points": of.repeated(1.0), "5 % noise of 1": of.noise(1.0, share=0.05)}


def circle(_: Path, times: int) -> Ladder:
    """Points on a circle of radius 2."""
    rungs = {
        "noise of 0.01": of.noise(0.01),
        "half of a twelfth lost": of.lost(0, share=0.5),
        "2 % too large": of.scaled(1.02),
        "a twelfth lost": of.lost(0),
        "noise of 0.05": of.noise(0.05),
        "20 % of 20 points": of.repeated(0.2),
        "two more twelfths lost": of.lost(3, 4),
        "noise of 0.1": of.noise(0.1),
        "half of the points of 20": of.repeated(0.5),
        "half of the circle lost": of.lost(*range(6)),
        "10 % too large": of.scaled(1.1),
    }
    return of_source(of.Plane("circle"), rungs, _POINTS_ALONE, times)


def ring(_: Path, times: int) -> Ladder:
    """Points of eight modes."""
    rungs = {
        "2 % between the modes": of.noise(0.3, share=0.02),
        "half of a mode lost": of.lost(0, share=0.5),
        "noise of 0.01": of.noise(0.01),
        "a mode lost": of.lost(0),
        "5 % between the modes": of.noise(0.3, share=0.05),
        "noise of 0.02": of.noise(0.02),
        "a second mode lost": of.lost(1),
        "20 % of 20 points": of.repeated(0.2),
        "10 % between the modes": of.noise(0.3, share=0.1),
        "four modes lost": of.lost(0, 1, 2, 3),
        "2 % too large": of.scaled(1.02),
    }
    return of_source(of.Plane("ring"), rungs, _POINTS_ALONE, times)


@dataclass(frozen=True)
class _Rows:
    """A trial of rows of one table."""

    source: table_ladder.Source
    number: int
    count: int

    def side(self, faults: list[table_ladder.Fault], draw: int, copies: bool = True) -> Side:
        evidence = table_ladder.evidence_of(self.source, faults, self.number, draw, self.count)
        return Side(evidence, Measured(evidence.scores(), {}))


def table(source: table_ladder.Source, times: int) -> Ladder:
    """Rows of a table."""
    count = times * table_ladder.ROWS
    return Ladder("table", f"{count:,} x {3 * count:,}", lambda number: _Rows(source, number, count), table_ladder.FAULTS)


LADDERS: Mapping[str, Callable[[Path, int], Ladder]] = {
    "images": images,
    "photos": lambda root, times: images(root, times, photos=True),
    "labels": lambda root, times: images(root, times, labelled=True),
    "stacks": stacks,
    "circle": circle,
    "ring": ring,
    "pairs": pairs,
    "captions": captions,
    "unpaired": unpaired,
    "table-numbers": lambda _, times: table(table_ladder.numbers(), times),
    "table-mixed": lambda _, times: table(table_ladder.mixed(), times),
    "table-adult": lambda root, times: table(table_ladder.adult(root / "adult" / "adult.csv"), times),
}


@dataclass
class Found:
    """What came of a ladder's trials."""

    ordered: list[float] = field(default_factory=list)
    better: list[bool] = field(default_factory=list)
    """Whether the better one of two was promoted over the worse one."""
    lost: Counter[str] = field(default_factory=Counter)
    """The better one that was not promoted and the worse one, each by the fault that was added last: how often."""
    worse: list[bool] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """The worse one that was promoted and the better one, each by the fault that was added last."""
    equals: list[bool] = field(default_factory=list)
    decides: Counter[str] = field(default_factory=Counter)
    by_score: dict[str, list[float]] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=dict)
    """Of a fault alone, what the gate says."""
    seen: dict[str, Counter[str]] = field(default_factory=dict)
    """Of a fault alone, how often each score sees it."""


def run(ladder: Ladder, trials: int, rule: RegisterParams, alone: bool = True) -> Found:
    """Judge and compare them all; `alone`: each fault alone as well."""
    found = Found()
    for number in range(trials):
        trial, faults = ladder.trial(number), list(ladder.rungs.values())
        rungs = [trial.side(faults[:height], height, copies=False) for height in range(len(faults) + 1)]
        again = [trial.side(faults[:height], 100 + height, copies=False) for height in range(len(faults) + 1)]
        assert all(rung is not None for rung in (*rungs, *again)), "every rung can be judged"
        sides = [replace(rung, evidence=Once(rung.evidence)) for rung in rungs if rung is not None]  # type: ignore[arg-type]
        for (one, better), (other, worse) in itertools.combinations(zip(("sound", *ladder.rungs), sides, strict=True), 2):
            _tell(found, better, worse, rule, ladder.kind)
            found.wrong += [f"{other} over {one}"] if found.worse[-1] else []
            found.lost[f"{one} over {other}"] += not found.better[-1]
        for side, twin in zip(sides, again, strict=True):
            assert twin is not None
            found.equals.append(contest(side, twin, rule, ladder.kind, number).decision.outcome in PROMOTING)
        for place, (title, fault) in enumerate({**ladder.rungs, **ladder.alone}.items() if alone else ()):
            spoiled, seen = trial.side([fault], 200 + place), found.seen.setdefault(title, Counter())
            said = found.said.setdefault(title, [])
            if spoiled is None:
                said.append("refused")
                continue
            said.append(_said(contest(spoiled, sides[0], rule, ladder.kind, number).decision.outcome))
            seen.update(_seen(sides[0], spoiled, rule, ladder.kind, number))
    return found


def _tell(found: Found, better: Side, worse: Side, rule: RegisterParams, kind: Kind) -> None:
    right = contest(better, worse, rule, kind, 0)
    # In order by the score that is the surest of those that decide.
    surest = max(right.comparisons, key=lambda comparison: abs(comparison.probability_better - 0.5))
    found.ordered.append(0.5 if surest.gain == 0 else float(surest.gain > 0))
    found.better.append(right.decision.outcome in PROMOTING)
    found.worse.append(contest(worse, better, rule, kind, 0).decision.outcome in PROMOTING)
    found.decides[" with ".join(comparison.metric for comparison in right.comparisons)] += 1
    for metric, value in better.measured.scores.items():
        found.by_score.setdefault(metric, []).append(table_ladder.right_order(value, worse.measured.scores[metric], metric))


def _said(outcome: str) -> str:
    return outcome.removeprefix("kept: ").split(":")[0]


def _seen(sound: Side, spoiled: Side, rule: RegisterParams, kind: Kind, seed: int) -> list[str]:
    """The scores that tell a sound generator from a spoiled one, each by itself; of those that only floors look at, which veto."""
    scores = [metric for metric in sound.measured.scores if metric in spoiled.measured.scores]
    vetoed = decide(Record(spoiled.measured), rule, kind).outcome.startswith("vetoed")
    asked = (1 + CONFIDENCE) / 2
    found = [metric for metric in spoiled.measured.scores if metric in FLOOR_ONLY and vetoed]
    for metric in scores:
        if metric not in FLOOR_ONLY and metric not in sound.measured.undecided:
            comparison = compare(sound.evidence, spoiled.evidence, metric, rule.replicates, CONFIDENCE, seed)
            if comparison.gain > 0 and comparison.probability_better >= asked:
                found.append(metric)
    return found


def missed(found: Found, trials: int) -> list[str]:
    """Faults that some score sees in every trial, and that the gate did not always keep away from the champion's place."""
    kept = (_said(WORSE), "vetoed", "refused")
    return [
        title
        for title, said in found.said.items()
        if any(count == trials for count in found.seen[title].values()) and not all(one in kept for one in said)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ladders", nargs="*", default=list(LADDERS), metavar="LADDER", help=f"of {', '.join(LADDERS)}; all by default")
    parser.add_argument("--root", type=Path, default=Path(), help="a folder with MNIST, facades and adult, for the ladders of these")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--pairs", action="store_true", help="compare the rungs of each ladder alone, and leave out faults alone")
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--times", type=int, default=1, help="how many times as many samples as the table in docs/gate.md says")
    arguments = parser.parse_args()
    if unknown := set(arguments.ladders) - set(LADDERS):
        parser.error(f"no such ladder: {', '.join(sorted(unknown))}; there are {', '.join(LADDERS)}")
    torch.set_num_threads(1)
    rule, told = RegisterParams(replicates=arguments.replicates), {}
    for name in arguments.ladders:
        started = time.monotonic()
        ladder = LADDERS[name](arguments.root, arguments.times)
        found = run(ladder, arguments.trials, rule, not arguments.pairs)
        told[name] = (ladder, found)
        print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        by_score = ", ".join(f"{metric} {np.mean(values):.1%}" for metric, values in found.by_score.items())
        print(f"in order by each score: {by_score}", flush=True)
        lost = "; ".join(f"{pair} ({count})" for pair, count in found.lost.most_common() if count)
        print(f"not promoted though better, by the last fault of each: {lost or 'none'}", flush=True)
        print(f"promoted though worse, by the last fault of each: {'; '.join(found.wrong) or 'none'}", flush=True)
    print("\n| ladder | real x generated | decides | pairs | in order | better promoted | worse promoted | equals promoted | missed |")
    print("|---" * 9 + "|")
    for name, (ladder, found) in told.items():
        decides = "; ".join(metrics for metrics, _ in found.decides.most_common())
        shares = [f"{np.mean(values):.1%}" for values in (found.ordered, found.better, found.worse, found.equals)]
        lost = ", ".join(missed(found, arguments.trials)) or "none"
        print(f"| {name} | {ladder.size} | {decides} | {len(found.ordered)} | {' | '.join(shares)} | {lost} |")
    if arguments.pairs:
        return
    print("\n| ladder | fault alone, beside a sound champion | the gate says | seen by |\n|---|---|---|---|")
    for name, (_, found) in told.items():
        for title, said in found.said.items():
            outcomes = ", ".join(f"{outcome} {count}" if count < len(said) else outcome for outcome, count in Counter(said).most_common())
            by = [metric if count == len(said) else f"{metric} ({count})" for metric, count in found.seen[title].items()]
            print(f"| {name} | {title} | {outcomes} | {', '.join(by) or 'none'} |")


if __name__ == "__main__":
    main()
