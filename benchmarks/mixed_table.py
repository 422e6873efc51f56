"""A table as people have them, by one command and by SDV: `python -m benchmarks.mixed_table --sdv PYTHON [--rows 20000] [--seeds 3]`.

PYTHON is an interpreter of an environment with `pip install sdv==2.0.0`. The table is made here: fifteen columns with gaps, dates, ids,
e-mail addresses, money, booleans, and a label of one in a thousand. Both sides get the file: Gantry `init --from`, `run` and `sample` and
nothing else; SDV the types that it detects, and amounts of money as numbers. What both draw is scored by sdmetrics' QualityReport under the
columns' true types, money read as numbers; ids and addresses do not count. Prints a Markdown table with the processor seconds that each
took, imports and all.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np

_SDV = Path(__file__).parent / "peers" / "sdv_table.py"
_CITIES = {
    "DE": ["Berlin", "Hamburg", "Munich"],
    "FR": ["Paris", "Lyon"],
    "NL": ["Amsterdam", "Utrecht"],
    "PL": ["Warsaw", "Gdansk", "Krakow"],
}
_PLANS = {"free": 0.0, "basic": 9.99, "pro": 29.99, "team": 119.0}
_SYNTHESIZERS = {"GaussianCopula": 0, "CTGAN": 60, "TVAE": 120}
"""Of SDV, with the epochs that take about as many processor seconds as Gantry's whole run, or more."""


def write_table(path: Path, count: int, seed: int = 0) -> None:
    """So many customers of a shop, as a CSV file."""
    draw = np.random.default_rng(seed)
    countries, plans = list(_CITIES), list(_PLANS)
    first = date(2021, 1, 1)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["customer", "email", "country", "city", "signup", "last_order", "plan", "price", "age", "orders", "spent", "newsletter",
             "active", "rating", "fraud"]
        )  # fmt: skip
        for i in range(count):
            country = countries[draw.choice(4, p=[0.45, 0.25, 0.2, 0.1])]
            city = _CITIES[country][draw.choice(len(_CITIES[country]))]
            age = int(np.clip(draw.normal(47 if country == "DE" else 38, 11), 18, 90))
            plan = plans[draw.choice(4, p=[0.5, 0.3, 0.15, 0.05] if age < 40 else [0.25, 0.35, 0.3, 0.1])]
            fraud = draw.random() < 0.001
            orders = 0 if draw.random() < 0.4 else 1 + draw.poisson(3 + 4 * plans.index(plan))
            spent = 0.0 if orders == 0 else orders * draw.lognormal(3 + 0.2 * plans.index(plan) + 2 * fraud, 0.4)
            signup = first + timedelta(days=int(draw.integers(0, 1_400)))
            last = signup + timedelta(days=int(draw.exponential(120))) if orders else None
            rating = "" if orders == 0 or draw.random() < 0.3 else draw.choice(5, p=[0.05, 0.05, 0.15, 0.35, 0.4]) + 1
            table.writerow(
                [f"C-{100_000 + i}", f"user{draw.integers(10**9)}@mail{i % 7}.net", country, city, signup, last or "", plan,
                 f"${_PLANS[plan]:.2f}", "" if draw.random() < 0.06 else age, orders, f"${spent:,.2f}",
                 "yes" if draw.random() < (0.7 if age > 45 else 0.3) else "no", bool(orders and draw.random() < 0.8), rating,
                 "yes" if fraud else "no"]
            )  # fmt: skip


def _timed(command: Sequence[str], folder: Path) -> float:
    """Run it on one thread, as long as it takes; its processor seconds, and those of what it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def gantry(table: Path, folder: Path, count: int, seed: int) -> tuple[Path, float]:
    """What the champion of a first run draws, and what init, run and sample took."""
    program = [sys.executable, "-m", "flows.cli"]
    seconds = _timed([*program, "init", str(folder), "--from", str(table), "--label", "fraud", "--yes"], table.parent)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("\n    train:\n", f"\n    train:\n      seed: {seed}\n"))
    seconds += _timed([*program, "run", table.stem], folder)
    drawn = folder / "drawn.csv"
    return drawn, seconds + _timed([*program, "sample", table.stem, "--count", str(count), "--out", str(drawn)], folder)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdv", required=True, help="the interpreter of an environment with SDV")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    print("| seed | by | processor s | quality | shapes | trends |", "|---|---|---|---|---|---|", sep="\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="gantry-mixed-") as temporary:
        folder = Path(temporary)
        table = folder / "customers.csv"
        write_table(table, asked.rows)
        for seed in range(asked.seeds):
            drawn, seconds = gantry(table, folder / f"gantry-{seed}", asked.rows, seed)
            runs = {"Gantry": (drawn, seconds)}
            for name, epochs in _SYNTHESIZERS.items():
                drawn = folder / f"{name}-{seed}.csv"
                command = [asked.sdv, str(_SDV), "draw", str(table), str(drawn), name, str(epochs), str(seed)]
                runs[name] = (drawn, _timed(command, folder))
            for name, (drawn, seconds) in runs.items():
                said = subprocess.run([asked.sdv, str(_SDV), "score", str(table), str(drawn)], check=True, capture_output=True, text=True)
                found = json.loads(said.stdout.splitlines()[-1])
                shown = " | ".join(f"{found[key]:.3f}" for key in ("quality", "shapes", "trends"))
                print(f"| {seed} | {name} | {seconds:.0f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
