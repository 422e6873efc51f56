"""Validate and pack against the loop that people write with Pillow, both on one core."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from benchmarks.environment import Context, MissingError
from benchmarks.race import environment
from benchmarks.results import Result, ratio_goal, spread

_SIZE, _LARGE, _TIMES, _LEAST = 64, 1_200, 3, 1.5
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
    """Photos of a few kilobytes, and as large as a telephone's, to 64 pixels."""
    small, large = _small_photos(context), _large_photos(context)
    rounds = min(context.rounds, _ROUNDS)
    races = {what: _race(context, folder, rounds) for what, folder in (("small", small), ("large", large))}
    gained = {what: [mine / theirs for mine, theirs in zip(rates["validate"], rates["loop"], strict=True)] for what, rates in races.items()}
    return Result(
        "Validate and pack",
        f"To {_SIZE} pixels on one core: {_count(small):,} JPEG photos of about 100 pixels, and {_count(large):,} enlarged to {_LARGE:,}. "
        "The loop opens, crops, resizes and stacks. Validate also opens every file's bytes from the tar shards, checks size, colours, "
        "blankness and digests, splits, runs Great Expectations and writes Data Docs, 1 to 2 s for any number of photos.",
        ("images a second", "small", "large"),
        [
            (said, *(spread(races[what][which]) for what in races))
            for which, said in (
                ("loop", "a plain loop with Pillow"),
                ("validate", "validate and pack, all checks"),
                ("validate with imports", "the same with its imports"),
            )
        ],
        [ratio_goal(f"Validate and pack, {what} photos a second a core against a plain PIL loop", _LEAST, gained[what]) for what in gained],
        {f"{which}, {what}": rates for what, race in races.items() for which, rates in race.items()},
    )


def _race(context: Context, photos: Path, rounds: int) -> dict[str, list[float]]:
    """Images a second of each round, of both sides."""
    workspace = context.folder / f"packing-{photos.name}"
    data = {"source": f"folder://{photos}", "size": _SIZE}
    entry = {"data": data, "validate": {"min_samples": 2}, "train": {"recipe": "gan", "images": 1}, "evaluate": {}, "register": {}}
    workspace.mkdir()
    (workspace / "params.yaml").write_text(json.dumps({"generators": {"photos": entry}}))
    subprocess.run([sys.executable, "-m", "tasks.fetch", "photos"], cwd=workspace, env=environment({}), check=True, capture_output=True)
    count = _count(photos)
    rates: dict[str, list[float]] = {"loop": [], "validate": [], "validate with imports": []}
    for _ in range(rounds):
        rates["loop"].append(count / _on_one_core(_PIL, str(photos), str(context.folder / "loop.npy"))[1])
        imports, seconds = _on_one_core(_VALIDATE, str(workspace))
        rates["validate"].append(count / seconds)
        rates["validate with imports"].append(count / (imports + seconds))
    return rates


def _count(photos: Path) -> int:
    return sum(1 for _ in photos.rglob("*.jpg"))


def _sources(context: Context) -> list[Path]:
    folder = Path(os.environ.get("GANTRY_DATA", "?")) / "clothing" / "train"
    if not folder.is_dir():
        raise MissingError("GANTRY_DATA names no folder that holds clothing/train")
    return sorted(folder.rglob("*.jpg"))[:: 20 if context.quick else 1]


def _small_photos(context: Context) -> Path:
    """Real photos, each several times with other last bytes behind the picture, so that no two files are equal."""
    folder = context.folder / "small photos"
    for path in _sources(context):
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        for copy in range(_TIMES):
            target = folder / path.parent.name / f"{copy}-{path.name}"
            shutil.copyfile(path, target)
            with target.open("ab") as file:
                file.write(bytes([copy]))
    return folder


def _large_photos(context: Context) -> Path:
    """Some of them, enlarged: what decoding costs depends on the number of pixels."""
    folder = context.folder / "large photos"
    folder.mkdir()
    for path in _sources(context)[::5]:
        with Image.open(path) as image:
            larger = _LARGE / min(image.size)
            enlarged = image.convert("RGB").resize((round(image.width * larger), round(image.height * larger)), Image.Resampling.BICUBIC)
            enlarged.save(folder / path.name, quality=90)
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
