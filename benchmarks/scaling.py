"""How much faster several processes train than one: `python benchmarks/scaling.py [--processes 2] [--rounds 5] [--images 6400]`.

The same training, on random images and on one thread a process, with one process and with several, by turns. Prints as Markdown the
images a second of each, the scaling efficiency (the several's rate over the one's times their number: 1 is perfect), and the work ratio
(the one's processor seconds over those of all of the several): what efficiency comes to where nobody waits, which a loaded machine
hardly changes. `docs/distributed.md` holds a run of it. Starts are not counted: figures are of the steps after the first tenth.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from gan_core.data.dataset import Dataset, write_spec
from gan_core.distributed import ALONE, Group, join
from gan_core.kinds.images import Images
from gan_core.params import GanParams
from gan_core.training import Progress, train

CPU = torch.device("cpu")
SIDE = 32


def write_data(folder: Path) -> None:
    """Random images, 32 x 32 in colour."""
    folder.mkdir()
    draw, counts = np.random.default_rng(0), {"train": 2_000, "holdout": 64}
    for split, n in counts.items():
        np.save(folder / f"{split}.npy", draw.integers(0, 256, (n, 3, SIDE, SIDE), dtype=np.uint8))
    write_spec(folder, Images((3, SIDE, SIDE), counts))


def measured(root: Path, width: int, batch: int, images: int, group: Group = ALONE) -> tuple[float, float]:
    """Images a second, and this process's processor seconds an image, of the default game at a width.

    Without the lines of the record, pictures and checkpoints, which come once.
    """
    network = {"network": "dcgan", "width": width}
    once = {"log_every": images, "preview_every": images, "checkpoint_every": images}
    sizes = {"images": images, "batch": batch, "precision": "float32", "generator": network, "discriminator": network}
    params = GanParams.model_validate({**sizes, **once})
    times: list[tuple[int, float, float]] = []

    def note(now: Progress) -> None:
        if images // 10 <= now.images < images:
            times.append((now.images, time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory(dir=root) as folder:
        train(params, Dataset.open(root / "ready"), Path(folder), note, group=group)
    (first, start, work), (last, end, worked) = times[0], times[-1]
    return (last - first) / (end - start), (worked - work) / (last - first)


def together(root: Path, processes: int, width: int, batch: int, images: int) -> tuple[float, float]:
    """Images a second, and processor seconds an image, of so many processes, each of them this script again."""
    store = Path(tempfile.mkdtemp(dir=root)) / "store"
    settings = [str(one) for one in (root, processes, store, width, batch, images)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    children = [
        subprocess.Popen([sys.executable, __file__, "--rank", str(rank), *settings], env=environment, stdout=subprocess.PIPE, text=True)
        for rank in range(processes)
    ]
    said = [tuple(map(float, child.communicate()[0].split())) for child in children]
    return said[0][0], sum(seconds for _, seconds in said)


def be_rank(rank: int, root: str, processes: str, store: str, *sizes: str) -> None:
    """One of the processes; prints what it measured."""
    torch.set_num_threads(1)
    width, batch, images = map(int, sizes)
    with join(rank, int(processes), rank == 0, CPU, store) if processes != "1" else nullcontext(ALONE) as group:
        print(*measured(Path(root), width, batch, images, group))


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--rank"]:
        be_rank(int(sys.argv[2]), *sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=6_400)
    options = parser.parse_args()
    several = options.processes
    columns = ["width", "batch", "1 process, images/s", f"{several} processes", "efficiency, median", "least", "most"]
    columns += ["work ratio, median", "least", "most"]
    print("|", " | ".join(columns), "|\n" + "|---" * len(columns) + "|")
    with tempfile.TemporaryDirectory(prefix="gantry-scaling-") as temporary:
        root = Path(temporary)
        write_data(root / "ready")
        for width, batch in ((8, 64), (32, 64), (32, 256)):
            rounds = [[together(root, count, width, batch, options.images) for count in (1, several)] for _ in range(options.rounds)]
            efficiency = spread([rates[1][0] / (rates[0][0] * several) for rates in rounds])
            work = spread([rates[0][1] / rates[1][1] for rates in rounds])
            alone, all_of_them = (statistics.median(rates[which][0] for rates in rounds) for which in (0, 1))
            print(f"| {width} | {batch} | {alone:,.0f} | {all_of_them:,.0f} | {efficiency} | {work} |", flush=True)


def spread(ratios: list[float]) -> str:
    """Median, least and most, as cells of a table."""
    return f"{statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f}"


if __name__ == "__main__":
    main()
