"""All benchmarks: `python -m benchmarks [--only WORK ...] [--rounds 5] [--device cpu] [--quick]`.

Each work is measured in turn; its result goes to benchmarks/results.json (results-cuda.json) at once, and the tables of
docs/performance.md are written from there. Works that did not run keep the result of their last run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks import environment, results
from benchmarks.race import ROOT
from benchmarks.works import WORKS
from gan_core.errors import GantryError

_DOCUMENTS = {"cpu": ROOT / "docs" / "performance.md", "cuda": ROOT / "docs" / "performance-cuda.md"}


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(name: str, context: environment.Context) -> results.Result:
    """A work's result; one that fails has a row with the reason, and the others go on."""
    try:
        return WORKS[name](context)
    except (RuntimeError, OSError, GantryError, subprocess.SubprocessError) as error:
        _say(f"{name} failed: {error}")
        failure = " ".join(str(error).split())[:300]
        return results.Result(name, "This work failed.", ("what", "reason"), [(name, failure)], [results.Goal(name, "", failure, None)])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="try everything once, in short; prints the tables and writes no file")
    given = parser.parse_args()
    ending = "" if given.device == "cpu" else f"-{given.device}"
    kept = Path(__file__).parent / f"results{ending}.json"
    found = {} if given.quick else results.load(kept)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        context = environment.Context(Path(folder), 1 if given.quick else given.rounds, given.quick, given.device, _say)
        for name in given.only:
            busy, start = environment.load(), time.monotonic()
            _say(f"{name} (load {busy:.1f})")
            result = _run(name, context)
            result.machine, result.load, result.rounds = environment.machine(given.device), busy, context.rounds
            result.date = date.today().isoformat()
            found[name] = result
            _say(f"{name}: {time.monotonic() - start:.0f} s")
            if given.quick:
                print(results.markdown({name: result}), flush=True)
            else:
                ordered = {key: found[key] for key in WORKS if key in found}
                results.save(kept, ordered)
                results.publish(_DOCUMENTS[given.device], ordered)


if __name__ == "__main__":
    main()
