"""Validate and pack against the loop that people write with Pillow, both on one core."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.environment import Context, MissingError
from benchmarks.race import environment
from benchmarks.results import Result, ratio_goal, spread

_SIZE, _TIMES, _LEAST = 64, 3, 1.5
_ROUNDS = 3
_PIL = """
import sys, time
from pathlib import Path
import numpy as np
from PIL import Image
start = time.perf_counter()
paths = sorted(Path(sys.argv[1]).rglob("*.jpg"))
images = []
for path in paths:
    with Image.open(path) as image:
        image = image.convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((64, 64), Image.Resampling.LANCZOS)
        images.append(np.asarray(image).transpose(2, 0, 1))
np.save(sys.argv[2], np.stack(images))
print(len(paths), time.perf_counter() - start)
"""
_VALIDATE = """
import sys, time
from pathlib import Path
start = time.perf_counter()
from tasks.params import load_entry
from tasks.validate import validate
from tasks.workspace import Workspace
imported = time.perf_counter()
root = Path(sys.argv[1])
validate(Workspace(root), "photos", load_entry(root, "photos"))
print(imported - start, time.perf_counter() - imported)
"""


def run(context: Context) -> Result:
    """Photos of a few kilobytes to 64 pixels."""
    photos = _photos(context)
    count = sum(1 for _ in photos.rglob("*.jpg"))
    workspace = context.folder / "packing"
    data = {"source": f"folder://{photos}", "size": _SIZE}
    entry = {"data": data, "validate": {}, "train": {"recipe": "gan", "images": 1}, "evaluate": {}, "register": {}}
    workspace.mkdir()
    (workspace / "params.yaml").write_text(json.dumps({"generators": {"photos": entry}}))
    subprocess.run([sys.executable, "-m", "tasks.fetch", "photos"], cwd=workspace, env=environment({}), check=True, capture_output=True)
    loop, whole, without_imports = [], [], []
    for _ in range(min(context.rounds, _ROUNDS)):
        loop.append(count / _on_one_core(_PIL, str(photos), str(context.folder / "loop.npy"))[1])
        imports, seconds = _on_one_core(_VALIDATE, str(workspace))
        whole.append(count / (imports + seconds))
        without_imports.append(count / seconds)
    gained = [mine / theirs for mine, theirs in zip(without_imports, loop, strict=True)]
    return Result(
        "Validate and pack",
        f"{count:,} JPEG photos to {_SIZE} pixels on one core. The loop opens, crops, resizes and stacks. Validate also opens every file's "
        "bytes from the tar shards, checks size, colours, blankness and digests, splits, runs Great Expectations and writes Data Docs.",
        ("what", "images a second"),
        [
            ("a plain loop with Pillow", spread(loop)),
            ("validate and pack, all checks", spread(without_imports)),
            ("the same with its imports", spread(whole)),
        ],
        [ratio_goal("Validate and pack, images a second a core against a plain PIL loop", _LEAST, gained)],
        {"loop": loop, "validate": without_imports, "validate with imports": whole},
    )


def _photos(context: Context) -> Path:
    """Real photos, each several times with other last bytes behind the picture, so that no two files are equal."""
    source = Path(os.environ.get("GANTRY_DATA", "?")) / "clothing" / "train"
    if not source.is_dir():
        raise MissingError("GANTRY_DATA names no folder that holds clothing/train")
    folder = context.folder / "photos"
    paths = sorted(source.rglob("*.jpg"))[:: 20 if context.quick else 1]
    for path in paths:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        for copy in range(_TIMES):
            target = folder / path.parent.name / f"{copy}-{path.name}"
            shutil.copyfile(path, target)
            with target.open("ab") as file:
                file.write(bytes([copy]))
    return folder


def _on_one_core(program: str, *words: str) -> list[float]:
    core = min(os.sched_getaffinity(0))
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment({"OMP_NUM_THREADS": "1"}), capture_output=True, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "?").splitlines()[-1])
    return [float(word) for word in done.stdout.splitlines()[-1].split()]
