"""Kill runs at random moments, start them again, and compare with an undisturbed one: `python tests/chaos.py [--runs 60] [--seed 0]`.

Each run takes a small entry through all five stages, by either door, in a workspace of its own. It is killed once: in the middle of a
stage, or while a file of a kind is being written (a checkpoint, DVC's lock file, the manifest, the registry's database, ...); by
SIGKILL, SIGTERM or SIGINT; the stage alone, the command alone, or all processes at once. Then the same command is given again. It has to
end with what the undisturbed run has: every result that is a function of data and settings, and one champion. Nothing may be left
running, neither a process nor a run in MLflow's or Prefect's books. Prints a table in Markdown; exit code 1 if a run did not survive.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from toy_workspace import assert_nothing_left, processes_in

from flows.server import home
from tasks.records.registry import summaries
from tasks.workspace import STAGES, Workspace

NAME = "digits"
ENTRY = """
generators:
  digits:
    data: {source: "sklearn://digits", size: 8}
    validate: {}
    train:
      recipe: gan
      condition: label
      images: 60_000
      batch: 64
      threads: 1
      generator: {network: mlp}
      discriminator: {network: mlp}
    evaluate: {samples: 500}
    register: {}
"""
SCRIPTS = Path(sys.executable).parent
DOORS: Mapping[str, list[str]] = {
    "gantry run": [str(SCRIPTS / "gantry"), "run", NAME],
    "dvc repro": [str(SCRIPTS / "dvc"), "repro", f"register@{NAME}"],
}
WRITES: Mapping[str, str] = {
    "checkpoint": f".gantry/unfinished/{NAME}/**/*",
    "lock file": "dvc.lock*",
    "manifest": f"data/{NAME}/**/*manifest*",
    "packed data": f"data/{NAME}/**/*.npy",
    "generator": f"models/{NAME}/**/*",
    "report": f"reports/{NAME}/**/*",
    "DVC's cache": ".dvc/cache/**/*",
    "registry": "mlflow.db-journal",
    "artifacts": "mlartifacts/**/*",
}
"""What is being written, as files whose appearance or change is waited for."""
_PATIENCE = 600.0
_LOOK, _LOOK_FOR_WRITES = 0.02, 0.001  # seconds between two looks


@dataclass(frozen=True)
class Blow:
    """When, whom and how to hit."""

    door: str
    moment: str
    """A stage, or a key of `WRITES`."""
    part: float
    """How far into the stage, 0 to 1; or which of the writes, as a share of how many there are."""
    victim: str
    """`stage`, `command` or `all`."""
    number: signal.Signals

    @classmethod
    def drawn(cls, index: int, seed: int) -> Blow:
        """The moments take turns, so that each is hit about equally often; the rest is random."""
        draw = random.Random(f"{seed} {index}")  # noqa: S311  nothing secret
        moments = [*STAGES, *WRITES]
        number = draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        victim = "all" if number == signal.SIGINT else draw.choice(["stage", "command", "all"])
        return cls(draw.choice(list(DOORS)), moments[index % len(moments)], draw.random(), victim, number)

    def __str__(self) -> str:
        return f"{self.number.name} to {self.victim} of {self.door} at {self.moment} ({self.part:.2f})"


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run takes and leaves."""

    seconds: Mapping[str, float]
    """By stage, from its process's appearance to the next one's."""
    writes: Mapping[str, int]
    """How many changes of each kind of file are seen."""
    results: Mapping[str, str]
    """Digests of the outputs that are a function of data and settings."""


def main() -> None:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parent = Path(folder).resolve()
        references = {door: undisturbed(parent, door) for door in DOORS}
        outcomes: dict[str, list[str]] = defaultdict(list)
        for index in range(arguments.runs):
            blow = Blow.drawn(index, arguments.seed)
            started = time.monotonic()
            outcome = struck(new_workspace(parent / f"run-{index}"), blow, references[blow.door])
            outcomes[blow.moment].append(outcome)
            print(f"{index + 1}: {blow}: {outcome} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
    outcomes["all"] = [outcome for found in outcomes.values() for outcome in found]
    print("| killed at | runs | survived | had ended before |\n|---|---|---|---|")
    for moment, found in outcomes.items():
        print(f"| {moment} | {len(found)} | {found.count('survived')} | {found.count('had ended')} |")
    sys.exit(any(outcome not in ("survived", "had ended") for outcome in outcomes["all"]))


def undisturbed(parent: Path, door: str) -> Reference:
    """Two runs that nobody disturbs; what differs between them is no function of data and settings."""
    seconds: dict[str, float] = {}
    writes: dict[str, int] = {}
    results = []
    for index in range(2):
        workspace = new_workspace(parent / f"{door.split()[0]}-{index}")
        seconds, writes = watched(workspace, door)
        problem = complaint(workspace)
        if problem:
            raise RuntimeError(f"an undisturbed run by {door}: {problem}")
        results.append(outputs(workspace))
    same = {path: digest for path, digest in results[0].items() if results[1].get(path) == digest}
    print(f"{door}: compared are {', '.join(sorted(same))}; not {', '.join(sorted(set(results[0]) - set(same)))}", file=sys.stderr)
    return Reference(seconds, writes, same)


def watched(workspace: Workspace, door: str) -> tuple[dict[str, float], dict[str, int]]:
    """Run to the end; how long each stage takes, and how many writes of each kind are seen."""
    process = started(workspace, door)
    begun: dict[str, float] = {}
    looks: dict[str, Callable[[], bool]] = {kind: changes(workspace.root, pattern) for kind, pattern in WRITES.items()}
    counts = dict.fromkeys(WRITES, 0)
    while process.poll() is None:
        stage, _ = running_stage(workspace)
        if stage:
            begun.setdefault(stage, time.monotonic())
        for kind, look in looks.items():
            counts[kind] += look()
        time.sleep(_LOOK)
    ends = [*list(begun.values())[1:], time.monotonic()]
    return {stage: end - start for (stage, start), end in zip(begun.items(), ends, strict=True)}, counts


def struck(workspace: Workspace, blow: Blow, reference: Reference) -> str:
    """One run, hit once and started again: `survived`, `had ended` where the blow came too late, or what is wrong."""
    process = started(workspace, blow.door)
    hit = strike(workspace, process, blow, reference)
    process.wait(timeout=_PATIENCE)
    try:
        assert_nothing_left(workspace.root, patience=30)
    except AssertionError as error:
        return str(error)
    for _ in range(2):  # a command that was told to stop ends with an error once; twice would be one too many
        again = started(workspace, blow.door)
        if again.wait(timeout=_PATIENCE) == 0:
            break
    else:
        return f"does not go on: {(workspace.root / 'said.txt').read_text()[-2_000:]}"
    found = outputs(workspace)
    different = [path for path, digest in reference.results.items() if found.get(path) != digest]
    if different:
        return f"ends with other {', '.join(different)}"
    return complaint(workspace) or ("survived" if hit else "had ended")


def strike(workspace: Workspace, process: subprocess.Popen[bytes], blow: Blow, reference: Reference) -> bool:
    """Wait for the moment and hit; whether there was anybody left to hit."""
    if blow.moment in WRITES:
        look = changes(workspace.root, WRITES[blow.moment])
        wanted = 1 + int(blow.part * max(reference.writes[blow.moment] - 1, 0))
        while wanted and process.poll() is None:
            wanted -= look()
            time.sleep(_LOOK_FOR_WRITES)
    else:
        while process.poll() is None and running_stage(workspace)[0] != blow.moment:
            time.sleep(_LOOK)
        time.sleep(blow.part * reference.seconds[blow.moment])
    if process.poll() is not None:
        return False
    _, stage = running_stage(workspace)
    try:
        if blow.victim == "all":
            os.killpg(process.pid, blow.number)
        else:
            os.kill(stage if blow.victim == "stage" and stage else process.pid, blow.number)
    except ProcessLookupError:
        return False
    return True


def started(workspace: Workspace, door: str) -> subprocess.Popen[bytes]:
    """The command in a process group of its own, as a shell starts it; what it says goes to said.txt."""
    environment = {**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for key in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        environment.pop(key, None)
    with (workspace.root / "said.txt").open("ab") as said:
        return subprocess.Popen(DOORS[door], cwd=workspace.root, env=environment, stdout=said, stderr=said, process_group=0)


def running_stage(workspace: Workspace) -> tuple[str | None, int | None]:
    """The stage that runs now, and its process."""
    for process, command in processes_in(workspace.root).items():
        found = re.search(rf"^\S*python\S* -P -m tasks\.({'|'.join(STAGES)}) {NAME}$", command)
        if found:
            return found[1], process
    return None, None


def changes(root: Path, pattern: str) -> Callable[[], bool]:
    """What tells, each time, whether files of a pattern have appeared, changed or gone since the last time."""

    def state() -> set[tuple[str, int, int]]:
        seen = set()
        for path in matching(root, pattern):
            try:
                about = path.stat()
            except OSError:
                continue
            seen.add((str(path), about.st_mtime_ns, about.st_size))
        return seen

    before = state()

    def look() -> bool:
        nonlocal before
        now = state()
        changed, before = now != before, now
        return changed

    return look


def matching(root: Path, pattern: str) -> Iterator[Path]:
    """Files of a pattern, hidden ones too; those that vanish meanwhile are passed over."""
    base, _, rest = pattern.rpartition("**/")
    if not base:
        yield from root.glob(pattern)
        return
    for folder, _, files in os.walk(root / base):
        yield from (path for file in files if (path := Path(folder, file)).match(rest))


def new_workspace(root: Path) -> Workspace:
    """A workspace with the small entry alone."""
    subprocess.run([str(SCRIPTS / "gantry"), "init", str(root)], check=True, capture_output=True)
    (root / "params.yaml").write_text(ENTRY)
    return Workspace(root)


def outputs(workspace: Workspace) -> dict[str, str]:
    """DVC's digests of all outputs, by path, from dvc.lock."""
    stages = YAML(typ="safe").load(workspace.root / "dvc.lock")["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}


def complaint(workspace: Workspace) -> str:
    """What is not in order in the books after a finished run; empty where all is well."""
    summary = summaries(workspace).get(NAME)
    if summary is None or summary.champion is None or summary.champion.number != 1 or len(summary.history) != 1:
        return f"the registry has {summary}"
    if (left := asked(workspace.root / "mlflow.db", "SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'")) != 0:
        return f"{left} runs are left RUNNING in MLflow"
    books = home(workspace) / "prefect.db"
    if books.exists() and (left := asked(books, "SELECT COUNT(*) FROM flow_run WHERE state_type IN ('RUNNING', 'PENDING')")) != 0:
        return f"{left} flow runs are left Running in Prefect"
    return ""


def asked(database: Path, question: str) -> int:
    """A number from a database in a file."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return int(connection.execute(question).fetchone()[0])


if __name__ == "__main__":
    main()
