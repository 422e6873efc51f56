"""What the pipeline costs when there is next to nothing to train: `python benchmarks/fixed_costs.py [--rounds 3]`.

In new workspaces, a small entry of images goes through both doors, cold and with nothing changed. Prints the medians in seconds as
Markdown; `python -m benchmarks` holds it against its goals.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENTRY = """
generators:
  digits:
    data: {source: "sklearn://digits", size: 8}
    validate: {}
    train: {recipe: gan, condition: label, images: 2560, batch: 128, generator: {network: mlp}, discriminator: {network: mlp}}
    evaluate: {}
    register: {}
"""
LEARNING = re.compile(r"(?:images in|images right,) ([\d.]+) s")
COLD, COLD_WITHOUT_LEARNING, UNCHANGED = (
    "`gantry run`, cold",
    "— without the training and the classifier's",
    "`gantry run`, nothing changed",
)
LIST, SAMPLE = "`gantry list`", "`gantry sample`, 64 digits"
STAGE = re.compile(r"^(fetch|validate|train|evaluate|register)\s+ran \((?:(\d+) min )?([\d.]+) s\)", re.MULTILINE)


def gantry(*words: str) -> list[str]:
    """The command line of this environment."""
    return [str(Path(sys.executable).with_name("gantry")), *words]


def timed(command: list[str], folder: Path, root: Path = ROOT) -> tuple[float, str]:
    """Wall-clock seconds of a command in `folder` by the code of a checkout, and what it printed.

    Raises:
        RuntimeError: it failed.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(root)}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def workspace(folder: Path, root: Path = ROOT) -> Path:
    """A new workspace with the small entry."""
    timed(gantry("init", str(folder)), folder.parent, root)
    (folder / "params.yaml").write_text(ENTRY)
    return folder


def measure(rounds: int, root: Path = ROOT, both: bool = True) -> dict[str, list[float]]:
    """Seconds of each command and stage, a value a round.

    Args:
        rounds: new workspaces.
        root: the checkout whose code does it.
        both: also by DVC's own door.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    repro = [str(Path(sys.executable).with_name("dvc")), "repro", "register@digits"]
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as parent:
            flow = workspace(Path(parent) / "flow", root)
            cold, said = timed(gantry("run", "digits"), flow, root)
            seconds[COLD].append(cold)
            seconds[COLD_WITHOUT_LEARNING].append(cold - sum(map(float, LEARNING.findall(said))))
            for stage, minutes, rest in STAGE.findall(said):
                seconds[f"— of it {stage}"].append(60 * int(minutes or 0) + float(rest))
            seconds[UNCHANGED].append(timed(gantry("run", "digits"), flow, root)[0])
            if both:
                bare = workspace(Path(parent) / "bare", root)
                seconds["`dvc repro`, cold"].append(timed(repro, bare, root)[0])
                seconds["`dvc repro`, nothing changed"].append(timed(repro, bare, root)[0])
            seconds[LIST].append(timed(gantry("list"), flow, root)[0])
            # A version and not the champion: so little trained, a generator may be none.
            seconds[SAMPLE].append(timed(gantry("sample", "digits/1", "--count", "64"), flow, root)[0])
            seconds["`gantry --help`"].append(timed(gantry("--help"), flow, root)[0])
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    print("| what | seconds, median | least | most |\n|---|---|---|---|")
    for what, values in measure(parser.parse_args().rounds).items():
        print(f"| {what} | {statistics.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")


if __name__ == "__main__":
    main()
