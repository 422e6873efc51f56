"""Does the watch end what is lost, and nothing else? `python benchmarks/watching.py [--seeds 5]`.

Each game trains sound generators of points on a circle and of scikit-learn's digits, and planted ones: one that draws a single sample, one
that never learns, and one whose learning rate is a hundred times too high. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from gan_core.data.dataset import Dataset
from gan_core.errors import LostRunError
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.losses import LOSSES
from gan_core.params import GanParams
from gan_core.recipes import gan
from gan_core.training import Progress, train

Plant = Callable[[nn.Module, Any, Tensor], Tensor]
MLP = {"network": "mlp", "widths": [32, 16]}
DCGAN = {"network": "dcgan", "width": 8}
BUDGETS = {"circle": 200_000, "digits": 32_000}


def one_sample(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """All samples are one, whatever the latents."""
    return output[:1].detach().mul(0).add(0.3).expand_as(output) + 0 * output


def never_learns(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """Samples stay as the first weights draw them."""
    return output.detach() + 0 * output


PLANTS: dict[str, Plant | None] = {"sound": None, "one sample": one_sample, "never learns": never_learns, "rate x 100": None}


def packed(folder: Path) -> dict[str, Dataset]:
    """Both data sets, written below `folder`."""
    for name in BUDGETS:
        (folder / name).mkdir()
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 1_100)
    circle = (2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    Points.pack(folder / "circle", {"train": circle[:1_000], "holdout": circle[1_000:]})
    digits = np.kron(load_digits().images[:, None] * 255 / 16, np.ones((2, 2))).round().astype(np.uint8)
    Images.pack(folder / "digits", {"train": digits[200:], "holdout": digits[:200]})
    return {name: Dataset.open(folder / name) for name in BUDGETS}


def ended(dataset: Dataset, data: str, loss: str, plant: str, seed: int) -> float | None:
    """The share of its budget after which the watch ended a training; None where it did not."""
    network = MLP if data == "circle" else DCGAN
    rate = {"wasserstein": 1e-4}.get(loss, 1e-3) * (100 if plant == "rate x 100" else 1)
    batch = 64 if data == "circle" else 16
    settings = {
        "images": BUDGETS[data],
        "batch": batch,
        "latent": 8,
        "generator": network,
        "discriminator": network,
        "loss": loss,
        "seed": seed,
        "penalty": {"gradient": 10} if loss == "wasserstein" else None,
        "optimizer": {"learning_rate": rate},
        "preview_every": 10**9,
        "checkpoint_every": 10**9,
    }
    params = GanParams.model_validate(settings)
    seen = [0]

    class Planted(gan.Gan):
        """The classic game with what is planted in it."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            if (hook := PLANTS[plant]) is not None:
                self.players["generator"].register_forward_hook(hook)

    def on_progress(now: Progress) -> None:
        seen[0] = now.images

    # The game is found by its place when a training begins.
    with patch.object(gan, "Gan", Planted), tempfile.TemporaryDirectory() as folder:
        try:
            train(params, dataset, Path(folder), on_progress)
        except LostRunError:
            return seen[0] / params.budget
    return None


def main() -> None:
    """Train them all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = range(parser.parse_args().seeds)
    torch.set_num_threads(1)
    print("| game | " + " | ".join(f"{plant}: ended, latest at" for plant in PLANTS) + " |")
    print("|---" * (len(PLANTS) + 1) + "|")
    with tempfile.TemporaryDirectory() as folder:
        sets = packed(Path(folder))
        for loss in LOSSES:
            cells = []
            for plant in PLANTS:
                # A planted training ends early or spends its budget: one seed of each shows it.
                runs = [ended(sets[data], data, loss, plant, seed) for data in sets for seed in (seeds if plant == "sound" else seeds[:1])]
                shares = [share for share in runs if share is not None]
                cells.append(f"{len(shares)} of {len(runs)}" + (f", {max(shares):.0%}" if shares else ""))
            print(f"| {loss} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
