"""What `benchmarks.retraining` measures: data before and after, how they are trained on, and how a generator is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.distances import energy
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.points import Points
from gan_core.kinds.schema import Column, Schema
from gan_core.kinds.table import Table
from gan_core.metrics.features import ClassifierExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.metrics.pairs import psnrs
from gan_core.params import GanParams, Pix2pixParams, TabularParams, TrainParams
from tasks.sources.idx import read_idx

Score = Callable[[Generator], float]
FROZEN: Mapping[str, Any] = {"freeze": {"layers": 2, "until": 0.5}}
SHRUNK: Mapping[str, Any] = {"take": "generator", "shrink": 0.5}


@dataclass(frozen=True)
class Start:
    """What a training begins with: another, from scratch, on the data before; and what the section `train` says more."""

    before: Dataset
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Data, how they are trained on and a generator is scored, and what the trainings beside the one from scratch start from."""

    name: str
    after: Dataset
    params: TrainParams
    scores: Mapping[str, Score]
    """By what they look at alone, as it follows the name; the one that looks at everything follows it with nothing."""
    starts: Mapping[str, Start]


def ring(folder: Path, _: Path) -> list[Case]:
    """Eight Gaussians on a ring of radius 2; one is missing before, or a fifth of the points."""
    draw = np.random.default_rng(0)
    angle = 2 * np.pi * (np.arange(5_000) % 8) / 8
    points = (np.stack([2 * np.cos(angle), 2 * np.sin(angle)], 1) + draw.normal(0, 0.05, (5_000, 2))).astype(np.float32)
    mode, split = np.arange(5_000) % 8, np.arange(5_000) < 4_000
    held = points[~split]
    network = {"network": "mlp", "widths": [64, 64]}
    params = GanParams.model_validate(
        {"images": 200_000, "batch": 256, "latent": 8, "penalty": {"r1": 0.005, "r2": 0.005, "every": 4}, "generator": network,
         "discriminator": network, "optimizer": {"learning_rate": 0.001, "decay": 0.9}}
    )  # fmt: skip

    def packed(name: str, keep: NDArray[np.bool_]) -> Dataset:
        (folder / name).mkdir()
        Points.pack(folder / name, {"train": points[split & keep], "holdout": held}, {"shape": "ring"})
        return Dataset.open(folder / name)

    def score(generator: Generator) -> float:
        return energy(held, generator.sample(len(held), seed=1).samples)

    seven = packed("seven", mode < 7)
    return [
        Case(
            "ring",
            packed("all", mode >= 0),
            params,
            {"": score},
            {"from a sixth less": Start(packed("fewer", np.arange(5_000) % 6 > 0)), "from seven modes": Start(seven)},
        ),
        Case(
            "ring, from now on two modes alone, judged by all eight",
            packed("two", mode > 5),
            params,
            {"": score},
            {
                "from seven modes": Start(seven),
                "from them, a quarter replayed": Start(seven, {"replay": 0.25}),
                "from them, half replayed": Start(seven, {"replay": 0.5}),
            },
        ),
    ]


def rows(folder: Path, _: Path) -> list[Case]:
    """Breast-cancer, by diagnosis; a fifth of the rows is missing before."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(found.data))
    values, labels = found.data[order], found.target[order]
    held, kept = slice(0, 170), slice(170, None)
    columns = tuple(Column(str(name), "number", "float64") for name in found.feature_names)
    mean, std = values[kept].mean(0), values[kept].std(0)

    def packed(name: str, part: slice) -> Dataset:
        (folder / name).mkdir()
        Table.pack(
            folder / name,
            {"train": values[part], "holdout": values[held]},
            Schema(columns, "target", "int64"),
            {"train": labels[part].tolist(), "holdout": labels[held].tolist()},
            ("0", "1"),
            modes=1,
        )
        return Dataset.open(folder / name)

    def score(generator: Generator) -> float:
        made = generator.sample(1_000, seed=1, labels=np.resize(labels[held], 1_000)).samples
        return energy((values[held] - mean) / std, (np.asarray(made, dtype=np.float64) - mean) / std)

    params = TabularParams.model_validate({"recipe": "tabular", "images": 30_000})
    fewer = packed("fewer", slice(250, None))
    starts = {"from a fifth less": Start(fewer), "from a fifth less, the generator alone": Start(fewer, {"take": "generator"})}
    return [Case("breast-cancer", packed("all", kept), params, {"": score}, starts)]


def digits(folder: Path, _: Path) -> list[Case]:
    """Scikit-learn's digits at 16 pixels, by label; a fifth of the images, or a class, is missing before."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.images))
    images = np.kron(found.images[order], np.ones((2, 2)))[:, None] * 15.9375
    images, labels = images.astype(np.uint8), found.target[order]
    held, kept = np.arange(len(labels)) < 450, np.arange(len(labels)) >= 450

    def packed(name: str, keep: NDArray[np.bool_], classes: int = 10) -> Dataset:
        now, then = kept & keep, held & (labels < classes)
        return _packed(folder / name, images[now], images[then], labels[now], labels[then])

    after, nine = packed("all", labels >= 0), packed("nine", labels < 9, 9)
    extractor = ClassifierExtractor.fit(after, seed=0)
    network = {"network": "dcgan", "width": 16}
    params = GanParams.model_validate(
        {"images": 20_000, "batch": 64, "condition": "label", "loss": "hinge", "generator": network, "discriminator": network,
         "optimizer": {"learning_rate": 0.001, "decay": 0.5}}
    )  # fmt: skip
    starts = {
        "from a fifth less": Start(packed("fewer", np.arange(len(labels)) >= 720)),
        "from nine classes": Start(nine),
        "from nine classes, frozen": Start(nine, FROZEN),
    }
    return [Case("digits", after, params, _by_class(extractor, images[held], labels[held]), starts)]


def hands(folder: Path, root: Path) -> list[Case]:
    """A hundred photographs of hands, without labels, from clothing and from MNIST: what is like them, and what is not.

    As `examples/sign-digits-few.yaml` at half the width. A classifier of 450 other photographs scores beside 450 more.
    """
    found, labels = _photos(root / "sign-digits")
    digits = read_idx((root / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").read_bytes(), 3, "images")[:4_000]
    grey = np.pad(digits, ((0, 0), (2, 2), (2, 2)))[:, None].repeat(3, 1)
    after = _packed(folder / "hands", found[:100], found[100:200])
    extractor = ClassifierExtractor.fit(
        _packed(folder / "judge", found[100:550], found[550:], labels[100:550], labels[550:]), 0, augmented=True
    )
    network = {"network": "dcgan", "width": 16}
    params = GanParams.model_validate(
        {"images": 50_000, "batch": 64, "loss": "hinge", "augment": True, "optimizer": {"learning_rate": 0.0005, "decay": 0.5},
         "generator": network, "discriminator": {"network": "dcgan", "width": 32, "normalization": "spectral"}}
    )  # fmt: skip
    clothing = Start(_packed(folder / "clothing", *_apart(_photos(root / "clothing" / "train")[0])))
    starts = {
        "from clothing": clothing,
        "from clothing, frozen": Start(clothing.before, FROZEN),
        "from clothing, the generator alone, shrunk": Start(clothing.before, SHRUNK),
        "from MNIST": Start(_packed(folder / "mnist", *_apart(grey))),
    }
    return [Case("hands, few", after, params, {"": _frechet(extractor, found[550:])}, starts)]


def clothing(folder: Path, root: Path) -> list[Case]:
    """Photographs by kind, as `examples/clothing.yaml` at a third of the width; a fifth of them, or a class, is missing before."""
    found, labels = _photos(root / "clothing" / "train")
    held = slice(0, len(found) // 4)
    kept = np.arange(len(found)) >= held.stop

    def packed(name: str, keep: NDArray[np.bool_], classes: int = 10) -> Dataset:
        now, then = kept & keep, ~kept & (labels < classes)
        return _packed(folder / name, found[now], found[then], labels[now], labels[then])

    after = packed("all", labels >= 0)
    network = {"network": "dcgan", "width": 16}
    params = GanParams.model_validate(
        {"images": 60_000, "batch": 64, "condition": "label", "mismatch": 0.1, "penalty": {"r1": 0.3, "r2": 0.3, "every": 8},
         "optimizer": {"learning_rate": 0.0005, "decay": 0.5}, "generator": network,
         "discriminator": {"network": "dcgan", "width": 24, "batch_distance": True}}
    )  # fmt: skip
    scores = _by_class(ClassifierExtractor.fit(after, 0, augmented=True), found[held], labels[held])
    fewer = kept & (np.arange(len(found)) % 5 > 0)
    starts = {"from a fifth less": Start(packed("fewer", fewer)), "from nine classes": Start(packed("nine", labels < 9, 9))}
    return [Case("clothing", after, params, scores, starts)]


def facades(folder: Path, root: Path) -> list[Case]:
    """Label maps from photographs of facades, as `examples/facades-reverse.yaml` at 32 pixels, from a training of the other way round.

    Judged as there by PSNR, of 100 held-out pairs.
    """
    pairs = {split: _halves(root / "facades" / kept) for split, kept in (("train", "train"), ("holdout", "val"))}
    photos, maps = ({split: found[side] for split, found in pairs.items()} for side in (0, 1))

    def packed(name: str, made: Mapping[str, NDArray[np.uint8]], given: Mapping[str, NDArray[np.uint8]]) -> Dataset:
        (folder / name).mkdir()
        Pairs.pack(folder / name, made, given)
        return Dataset.open(folder / name)

    def score(generator: Generator) -> float:
        return -float(psnrs(generator.translate(photos["holdout"]).samples, maps["holdout"]).mean())

    params = Pix2pixParams.model_validate({"recipe": "pix2pix", "images": 3_000, "batch": 4})
    other = packed("facades", photos, maps)
    starts = {
        "from the other way round": Start(other),
        "from the other way round, shrunk": Start(other, {"shrink": SHRUNK["shrink"]}),
    }
    return [Case("facades, label maps from photographs", packed("reverse", maps, photos), params, {"": score}, starts)]


def _halves(folder: Path, size: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Of photographs with their label maps to the right of them, both uint8 (N, 3, size, size)."""
    sides: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            half = image.width // 2
            for found, left in zip(sides, (0, half), strict=True):
                found.append(np.asarray(image.crop((left, 0, left + half, image.height)).resize((size, size))).transpose(2, 0, 1))
    return np.stack(sides[0]), np.stack(sides[1])


def _photos(folder: Path, size: int = 32) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Of folders of classes, in an order of chance: the middle of each photograph uint8 (N, 3, size, size), and its class (N,)."""
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    order = np.random.default_rng(0).permutation(len(paths))
    names = sorted({path.parent.name for path in paths})
    made = []
    for index in order:
        with Image.open(paths[index]) as image:
            made.append(np.asarray(ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (size, size))).transpose(2, 0, 1))
    return np.stack(made), np.array([names.index(paths[index].parent.name) for index in order])


def _apart(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return images[200:], images[:200]


def _packed(
    folder: Path,
    trained: NDArray[np.uint8],
    held: NDArray[np.uint8],
    labels: NDArray[np.int64] | None = None,
    held_labels: NDArray[np.int64] | None = None,
) -> Dataset:
    folder.mkdir()
    parts = {"train": trained, "holdout": held}
    if labels is None or held_labels is None:
        Images.pack(folder, parts)
    else:
        classes = tuple(str(one) for one in range(int(labels.max()) + 1))
        Images.pack(folder, parts, {"train": labels.tolist(), "holdout": held_labels.tolist()}, classes)
    return Dataset.open(folder)


def _frechet(extractor: ClassifierExtractor, held: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> Score:
    real = FeatureStatistics.of(extractor.features(held))

    def score(generator: Generator) -> float:
        made = generator.sample(1_000, seed=1, labels=None if labels is None else np.resize(labels, 1_000)).samples
        return frechet_distance(real, FeatureStatistics.of(extractor.features(made)))

    return score


def _by_class(extractor: ClassifierExtractor, held: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, Score]:
    """Of all classes, of those before the last, and of the last."""
    last = labels == labels.max()
    parts = {"": labels >= 0, ", the first nine classes": ~last, ", the tenth class": last}
    return {part: _frechet(extractor, held[of], labels[of]) for part, of in parts.items()}


SETS: Mapping[str, Callable[[Path, Path], list[Case]]] = {
    "ring": ring, "rows": rows, "digits": digits, "hands": hands, "clothing": clothing, "facades": facades,
}  # fmt: skip
"""Each is given a folder to write to, and the one with the real sets."""
