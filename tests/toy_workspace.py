"""A workspace with real DVC stages that do next to nothing, and fail, hang or resist on demand."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from tasks.scaffold import init_workspace
from tasks.workspace import STAGES, Workspace

# What a stage does is in toy.json, which DVC does not know: {"train": {"seconds": 5, "error": "...", "exit": 3, "resist": true}}.
_STAGE = """
import json, os, signal, sys, time
from pathlib import Path
from ruamel.yaml import YAML
from tasks.system.processes import die_with

stage, name = sys.argv[1:]
manners = json.loads(Path("toy.json").read_text())
manner = manners.get(f"{stage}@{name}", manners.get(stage, {}))
stopped = []
def stop(number, frame):
    stopped.append(number)
signal.signal(signal.SIGTERM, signal.SIG_IGN if manner.get("resist") else stop)
signal.signal(signal.SIGINT, stop)
if not manner.get("no lifeline"):
    die_with(os.getppid())
with open("ran.txt", "a") as log:
    print(f"{stage}@{name}", file=log)
print(f"{stage} of {name} begins", flush=True)
Path(f"{stage}.pid").write_text(str(os.getpid()))
end = time.monotonic() + manner.get("seconds", 0)
while time.monotonic() < end:
    if stopped:
        Path(f"{stage}.saved").touch()
        print("note: stopped, the state is saved", flush=True)
        sys.exit(128 + stopped[0])
    time.sleep(0.05)
for line in manner.get("lines", ()):
    print(line, flush=True)
if "error" in manner:
    print(f"error: {manner['error']}", file=sys.stderr)
if manner.get("until"):  # fails until it was tried so many times
    tries = Path("ran.txt").read_text().split().count(f"{stage}@{name}")
    if tries >= manner["until"]:
        manner["exit"] = 0
if manner.get("exit"):
    sys.exit(manner["exit"])
entry = YAML(typ="safe").load(Path("params.yaml"))["generators"][name]
outs = {
    "fetch": f"data/{name}/raw/raw.txt", "validate": f"data/{name}/ready/ready.txt", "train": f"models/{name}/weights.txt",
    "evaluate": f"reports/{name}/metrics.json", "register": f"reports/{name}/decision.json",
}
section = {"fetch": "data", "validate": "validate", "train": "train", "evaluate": "evaluate", "register": "register"}[stage]
text = json.dumps(entry[section]) + manner.get("source", "")
if stage == "register":
    metrics = {"challenger": {"fid": 12.5}, "champion": None}
    decided = {"outcome": manner.get("outcome", "first"), "reasons": ["there was no champion before it"], "version": 1}
    text = json.dumps({**decided, "metrics": metrics})
out = Path(outs[stage])
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(text)
"""

_CHAIN = (
    ("fetch", "data", None, "data/${key}/raw:\n            persist: true"),
    ("validate", "validate", "data/${key}/raw", "data/${key}/ready"),
    ("train", "train", "data/${key}/ready", "models/${key}"),
    ("evaluate", "evaluate", "models/${key}", "reports/${key}/metrics.json"),
    ("register", "register", "reports/${key}/metrics.json", "reports/${key}/decision.json:\n            cache: false"),
)


def make(folder: Path) -> Workspace:
    """A workspace of toy stages, with the entries that Gantry ships."""
    workspace = init_workspace(folder)
    (folder / "stage.py").write_text(_STAGE)
    lines = ["stages:"]
    for stage, section, dependency, out in _CHAIN:
        lines += [f"  {stage}:", "    foreach: ${generators}", "    do:", f"      cmd: python stage.py {stage} ${{key}}"]
        lines += ["      params:", f"        - generators.${{key}}.{section}"]
        if dependency:
            lines += ["      deps:", f"        - {dependency}"]
        lines += ["      outs:", f"        - {out}"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    behave(workspace)
    return workspace


def behave(workspace: Workspace, **manners: dict[str, Any]) -> None:
    """Say how each stage behaves from now on, or as `**{"train@digits": ...}` that of one generator; all others are quick and succeed."""
    assert {manner.partition("@")[0] for manner in manners} <= set(STAGES)
    (workspace.root / "toy.json").write_text(json.dumps(manners))


def ran(workspace: Workspace, name: str | None = None) -> list[str]:
    """The stages that ran, in order, since `forget`; of one generator only, where it is named."""
    path = workspace.root / "ran.txt"
    targets = path.read_text().split() if path.exists() else []
    return [target.partition("@")[0] for target in targets if name in (None, target.partition("@")[2])]


def forget(workspace: Workspace) -> None:
    """Start anew with what is noted of the stages that ran."""
    for trace in ("ran.txt", *(f"{stage}.{what}" for stage in STAGES for what in ("pid", "saved"))):
        (workspace.root / trace).unlink(missing_ok=True)


def wait_for(workspace: Workspace, stage: str, patience: float = 60) -> int:
    """The process id of a stage, once it has begun."""
    path = workspace.root / f"{stage}.pid"
    deadline = time.monotonic() + patience
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{stage} did not begin"
        time.sleep(0.02)
    return int(path.read_text())


def processes_in(folder: Path) -> dict[int, str]:
    """Every process that works in `folder` or was started for it, by id: its command line. Read from /proc; zombies are dead."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            environment = (entry / "environ").read_bytes().decode(errors="replace")
            if command and ((entry / "cwd").readlink() == folder or str(folder) in environment):
                found[int(entry.name)] = command
        except OSError:
            continue
    return found


def assert_nothing_left(folder: Path, patience: float = 15) -> None:
    """Nothing that was started for `folder` is alive, at the latest after `patience` seconds."""
    deadline = time.monotonic() + patience
    while found := processes_in(folder):
        assert time.monotonic() < deadline, f"left behind: {found}"
        time.sleep(0.1)
