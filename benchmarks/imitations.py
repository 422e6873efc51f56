"""Generators that nobody trained: real or made samples that the training never saw, spoiled on purpose, in a known order.

Each kind of data has a `Source` that gives out training and held-out samples and, where a generator is asked, further ones; a `Fault`
spoils what was drawn. So the evaluate stage's own code judges them, near-copies and all.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from scipy import ndimage
from torch import nn

from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator, GeneratorConfig, Samples
from gan_core.kinds.captions import Captioned
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.points import Points
from gan_core.kinds.unpaired import Unpaired
from gan_core.metrics.features import FeatureExtractor, extractor_of
from gan_core.params.common import Kind
from gan_core.params.networks import MlpGeneratorParams
from tasks import kinds
from tasks.judging import gather, scores_of, undecided
from tasks.params import EvaluateParams
from tasks.promotion.contest import Side
from tasks.promotion.gate import Measured
from tasks.sources.idx import read_idx
from tasks.sources.points import distribution
from tasks.sources.points import draw as draw_points

Random = np.random.Generator
Pixels = NDArray[np.uint8]
FEW = 20
DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Drawn:
    """What a generator draws, before and after faults."""

    samples: NDArray[Any]
    """(N, ...)."""
    sorts: NDArray[np.int64]
    """(N,) which of a few sorts each is: its class, or its mode."""
    few: NDArray[Any]
    """(20, ...) that this generator may draw again and again."""
    train: NDArray[Any]
    """What it was trained on."""
    given: NDArray[Any] | None = None
    """(N, ...) what each was made from."""

    def some(self, share: float, random: Random) -> NDArray[np.bool_]:
        """(N,) which of them a fault of a share meets."""
        return random.random(len(self.samples)) < share

    def where(self, met: NDArray[np.bool_], others: NDArray[Any]) -> Drawn:
        """`others` in the place of those that are met."""
        return replace(self, samples=np.where(met.reshape(-1, *[1] * (self.samples.ndim - 1)), others, self.samples))


Fault = Callable[[Drawn, Random], Drawn]


def _as(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return values.clip(0, 255).round().astype(dtype) if dtype == np.uint8 else values.astype(dtype)


def noise(deviation: float, share: float = 1.0) -> Fault:
    """Normal noise of a deviation, in grey levels or in the points' unit."""

    def spoil(drawn: Drawn, random: Random) -> Drawn:
        noisy = drawn.samples + random.normal(0, deviation, drawn.samples.shape)
        return drawn.where(drawn.some(share, random), _as(noisy, drawn.samples.dtype))

    return spoil


def blur(sigma: float, share: float = 1.0) -> Fault:
    """A Gaussian blur of so many pixels."""

    def spoil(drawn: Drawn, random: Random) -> Drawn:
        smooth = ndimage.gaussian_filter(drawn.samples.astype(np.float32), (0, 0, sigma, sigma))
        return drawn.where(drawn.some(share, random), _as(smooth, drawn.samples.dtype))

    return spoil


def faded(factor: float) -> Fault:
    """Contrast is lost: pixels come closer to the middle grey."""
    return lambda drawn, random: replace(drawn, samples=_as(128 + factor * (drawn.samples - 128.0), drawn.samples.dtype))


def repeated(share: float) -> Fault:
    """A share of the samples is one of twenty."""

    def spoil(drawn: Drawn, random: Random) -> Drawn:
        return drawn.where(drawn.some(share, random), drawn.few[random.integers(len(drawn.few), size=len(drawn.samples))])

    return spoil


def training_copies(share: float, deviation: float = 0.0) -> Fault:
    """A share of the samples is training samples with noise."""

    def spoil(drawn: Drawn, random: Random) -> Drawn:
        copies = drawn.train[random.integers(len(drawn.train), size=len(drawn.samples))]
        noisy = copies + random.normal(0, deviation, copies.shape) if deviation else copies
        return drawn.where(drawn.some(share, random), _as(noisy, drawn.samples.dtype))

    return spoil


def shuffled(share: float) -> Fault:
    """A share of the samples goes round among what they were asked for: to other labels, inputs or captions."""

    def spoil(drawn: Drawn, random: Random) -> Drawn:
        order, met = np.arange(len(drawn.samples)), random.permutation(np.flatnonzero(drawn.some(share, random)))
        order[met] = np.roll(met, 1)
        return replace(drawn, samples=drawn.samples[order], sorts=drawn.sorts[order])

    return spoil


def lost(*sorts: int, share: float = 1.0) -> Fault:
    """A share of the samples of these sorts is others in their place."""

    def spoil(drawn: Drawn, random: Random) -> Drawn:
        met, others = np.isin(drawn.sorts, sorts), np.flatnonzero(~np.isin(drawn.sorts, sorts))
        met &= drawn.some(share, random)
        order = np.where(met, random.choice(others, len(met)), np.arange(len(met)))
        return replace(drawn, samples=drawn.samples[order], sorts=drawn.sorts[order])

    return spoil


def untranslated(share: float) -> Fault:
    """A share of the inputs comes out as it is."""

    def spoil(drawn: Drawn, random: Random) -> Drawn:
        assert drawn.given is not None
        return drawn.where(drawn.some(share, random), drawn.given)

    return spoil


def scaled(factor: float) -> Fault:
    """Points are so much further from the origin."""
    return lambda drawn, random: replace(drawn, samples=(factor * drawn.samples).astype(drawn.samples.dtype))


class Source(ABC):
    """A kind of data: what there is to train on and to hold out, and what a sound generator draws."""

    kind: Kind
    train: int
    held_out: int
    generated: int
    classes: tuple[str, ...] | None = None
    latent: int = 1

    @abstractmethod
    def pack(self, folder: Path, random: Random) -> None:
        """Write the training samples, always the same ones, and held-out ones."""

    @abstractmethod
    def draw(self, n: int, asked: Any, random: Random) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Sound samples and their sorts; `asked`: labels (N,), captions, inputs (N, ...), or None."""

    def back(self, translations: NDArray[Any]) -> NDArray[Any]:
        """What translations were made from."""
        raise NotImplementedError

    @property
    def size(self) -> str:
        """Held-out and generated samples, in words."""
        return f"{self.held_out:,} x {self.generated:,}"


class Imitation(Generator):
    """Draws what a source has, with faults."""

    def __init__(self, source: Source, dataset: Dataset, faults: Sequence[Fault], seed: int) -> None:
        network = nn.Linear(1, 1)  # draws nothing; it is asked where it is and whether it is finite
        spec = dataset.spec
        if spec.classes is not None and source.classes is None:
            spec = replace(spec, classes=None)  # the data's classes are nothing that this generator is asked for
        super().__init__(GeneratorConfig("imitation", spec, source.latent, MlpGeneratorParams(), 0, seed, spec.digest), network)
        self.source, self.dataset, self.faults, self.seed = source, dataset, faults, seed
        self.goes_back_too = type(source).back is not Source.back

    @cached_property
    def _few(self) -> list[NDArray[Any]]:
        """Twenty samples that may come again and again: before the first fault, after it, and so on."""
        inputs = self.dataset.inputs["holdout"][:FEW] if self.config.inputs else None
        prompts = self.dataset.captions["holdout"].texts[:FEW] if self.dataset.captions else None
        asked = prompts if inputs is None else inputs
        if asked is None and self.config.classes is not None:
            asked = np.arange(FEW) % len(self.config.classes)
        random = np.random.default_rng((self.seed % 100, 1))  # what repeats belongs to the generator, and its twin has it too
        samples, sorts = self.source.draw(FEW, asked, random)
        drawn = Drawn(samples, sorts, samples, np.asarray(self.dataset.samples["train"]), inputs)
        after = [drawn.samples]
        for fault in self.faults:
            drawn = fault(replace(drawn, few=drawn.samples), random)
            after.append(drawn.samples)
        return after

    def _spoiled(self, n: int, asked: Any, seed: int, given: NDArray[Any] | None = None) -> NDArray[Any]:
        random = np.random.default_rng((self.seed, 2, seed))
        samples, sorts = self.source.draw(n, asked, random)
        drawn = Drawn(samples, sorts, self._few[0], np.asarray(self.dataset.samples["train"]), given)
        for fault, few in zip(self.faults, self._few, strict=False):
            drawn = fault(replace(drawn, few=few), random)
        return drawn.samples

    def sample(self, n: int, seed: int = 0, label: Any = None, labels: Any = None, prompts: Any = None, **options: Any) -> Samples:
        if labels is None and self.config.classes is not None:
            labels = np.random.default_rng((self.seed, 3, seed)).integers(len(self.config.classes), size=n)
        asked = labels if prompts is None else tuple(prompts)
        return Samples(self._spoiled(n, asked, seed), labels, self.config.kind)

    def translate(self, inputs: NDArray[np.uint8], back: bool = False) -> Samples:
        made = self.source.back(inputs) if back else self._spoiled(len(inputs), inputs, 0, inputs)
        return Samples(made, None, self.config.kind)

    @property
    def goes_back(self) -> bool:
        return self.goes_back_too


class Judged:
    """The evaluate stage's judgement of a source's imitations in one trial: the same held-out samples, and features that stay."""

    def __init__(self, source: Source, trial: int, extractor: FeatureExtractor | None = None) -> None:
        self.source, self.trial = source, trial
        self.params = EvaluateParams(samples=max(source.generated, source.held_out), seed=trial)
        self._kept = tempfile.TemporaryDirectory()  # the arrays are mapped from it
        source.pack(Path(self._kept.name), np.random.default_rng((trial, 0)))
        self.dataset = Dataset.open(Path(self._kept.name))
        self.kind = kinds.of(self.dataset.spec.kind)
        features = self.kind.features(source.kind, self.dataset.spec, self.params)
        if features is not None and extractor is None:
            extractor = self.kind.scoring.fit(extractor_of(features), self.dataset, 0, torch.device("cpu"))
        self.extractor = extractor

    def side(self, faults: Sequence[Fault], draw: int, copies: bool = True) -> Side | None:
        """A generator with these faults, as evaluated; None where the stage refuses it, since it has collapsed.

        Draws that are 100 apart are of one generator, whose few samples come again and again, from other latents. Without `copies` it is
        not held against what it was trained on, which takes longest.
        """
        generator = Imitation(self.source, self.dataset, faults, 1_000 * self.trial + draw)
        try:
            evidence = gather(generator, self.dataset, self.extractor, self.params)
        except TrainingError:
            return None
        scores = scores_of(evidence)
        record: dict[str, Any] = {"undecided": undecided(evidence, scores)}
        found = self.kind.scoring.copies(generator, self.dataset, self.extractor, self.params) if copies else None
        if found is not None:
            scores["copies"], record["copies"] = found[0].share, found[0].as_record()
        return Side(evidence, Measured.of(scores, record))


class Digits(Source):
    """MNIST, by label or not."""

    kind: Kind = "images"
    train, held_out, generated = 2_000, 500, 2_500

    def __init__(self, root: Path, labelled: bool) -> None:
        self.classes = DIGITS if labelled else None
        self.pixels, self.labels = mnist(root)

    def pack(self, folder: Path, random: Random) -> None:
        self.pack_as(folder, random, self.classes)

    def pack_as(self, folder: Path, random: Random, classes: tuple[str, ...] | None) -> Images:
        """As `pack`, with labels of these classes where there are any."""
        held = len(self.pixels) - 10_000 + random.choice(10_000, self.held_out, replace=False)
        parts = {"train": np.arange(self.train), "holdout": np.sort(held)}
        labels = None if classes is None else {split: self.labels[part].tolist() for split, part in parts.items()}
        return Images.pack(folder, {split: self.pixels[part] for split, part in parts.items()}, labels, classes)

    @cached_property
    def _of_label(self) -> list[NDArray[np.int64]]:
        return [self.train + np.flatnonzero(self.labels[self.train : -10_000] == label) for label in range(10)]

    def draw(self, n: int, asked: Any, random: Random) -> tuple[Pixels, NDArray[np.int64]]:
        if asked is None or self.classes is None:
            chosen = random.integers(self.train, len(self.pixels) - 10_000, size=n)
        else:
            chosen = np.array([random.choice(self._of_label[label]) for label in asked])
        return self.pixels[chosen], self.labels[chosen]


class Stacks(Digits):
    """Three digits of MNIST on top of each other, 1,000 modes; a stack's sort is its first digit."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, labelled=False)

    def pack(self, folder: Path, random: Random) -> None:
        self.pack_as(folder, random, DIGITS).stack(folder, 0)

    def draw(self, n: int, asked: Any, random: Random) -> tuple[Pixels, NDArray[np.int64]]:
        images, sorts = super().draw(3 * n, None, random)
        return images.reshape(n, 3, *images.shape[2:]), sorts[::3]


def classed_photos(paths: list[Path], side: int) -> tuple[Pixels, NDArray[np.int64]]:
    """Of files in folders of classes, in an order of chance: the middle of each photo, uint8 (N, 3, side, side), and its class (N,)."""
    names = sorted({path.parent.name for path in paths})
    arranged = [paths[number] for number in np.random.default_rng(0).permutation(len(paths))]
    photos = [ImageOps.fit(Image.open(path).convert("RGB"), (side, side), Image.Resampling.LANCZOS) for path in arranged]
    labels = [names.index(path.parent.name) for path in arranged]
    return np.stack([np.asarray(photo).transpose(2, 0, 1) for photo in photos]), np.array(labels)


class Clothing(Source):
    """Photographs of clothing at 32 pixels, without their labels."""

    kind: Kind = "images"
    train, held_out, generated = 1_000, 500, 2_500
    side = 32

    def __init__(self, root: Path) -> None:
        paths = [path for part in ("train", "validation", "test") for path in sorted((root / "clothing" / part).glob("*/*.jpg"))]
        self.photos, self.labels = classed_photos(paths, self.side)

    def pack(self, folder: Path, random: Random) -> None:
        held = self.train + random.choice(2 * self.held_out, self.held_out, replace=False)
        parts = {"train": np.arange(self.train), "holdout": np.sort(held)}
        Images.pack(folder, {split: self.photos[part] for split, part in parts.items()})

    def draw(self, n: int, asked: Any, random: Random) -> tuple[Pixels, NDArray[np.int64]]:
        chosen = random.integers(self.train + 2 * self.held_out, len(self.photos), size=n)
        return self.photos[chosen], self.labels[chosen]


class Stained(Digits):
    """MNIST, white on black, and its digits dark on yellow: translation without partners."""

    kind: Kind = "unpaired"
    train, held_out, generated = 1_000, 300, 300
    latent = 0

    def __init__(self, root: Path) -> None:
        super().__init__(root, labelled=False)

    def pack(self, folder: Path, random: Random) -> None:
        held = len(self.pixels) - 10_000 + random.choice(10_000, 2 * self.held_out, replace=False)
        given = {"train": self.pixels[: self.train], "holdout": self.pixels[held[: self.held_out]]}
        made = {"train": self.pixels[self.train : 2 * self.train], "holdout": self.pixels[held[self.held_out :]]}
        Unpaired.pack(
            folder,
            {split: _stained(images) for split, images in made.items()},
            {split: _grey(images) for split, images in given.items()},
            ("white", "dark"),
        )

    def draw(self, n: int, asked: Any, random: Random) -> tuple[Pixels, NDArray[np.int64]]:
        return _stained(np.asarray(asked)[:, :1]), random.integers(10, size=n)

    def back(self, translations: Pixels) -> Pixels:
        return _grey(255 - translations[:, :1])


def _grey(images: Pixels) -> Pixels:
    return np.repeat(images, 3, axis=1)


def _stained(images: Pixels) -> Pixels:
    return np.concatenate([255 - images, 230 - (0.8 * images).astype(np.uint8), 90 + (0.3 * images).astype(np.uint8)], axis=1)


class Facades(Source):
    """CMP facades at 64 pixels: the photograph of each label map, a little soft and noisy, since no generator makes the very photograph."""

    kind: Kind = "pairs"
    train, held_out, generated = 200, 150, 150
    latent = 0

    def __init__(self, root: Path) -> None:
        paths = [path for part in ("train", "val", "test") for path in sorted((root / "facades" / part).glob("*.jpg"))]
        sheets = [np.asarray(Image.open(path).convert("RGB").resize((128, 64), Image.Resampling.LANCZOS)) for path in paths]
        both = np.stack(sheets).transpose(0, 3, 1, 2)
        self.photos, self.maps = np.ascontiguousarray(both[..., :64]), np.ascontiguousarray(both[..., 64:])
        self.partner = {self.maps[number].tobytes(): number for number in range(len(self.maps))}

    def pack(self, folder: Path, random: Random) -> None:
        held = np.sort(self.train + random.choice(len(self.maps) - self.train, self.held_out, replace=False))
        parts = {"train": np.arange(self.train), "holdout": held}
        Pairs.pack(
            folder,
            {split: self.photos[part] for split, part in parts.items()},
            {split: self.maps[part] for split, part in parts.items()},
        )

    def draw(self, n: int, asked: Any, random: Random) -> tuple[Pixels, NDArray[np.int64]]:
        photos = self.photos[[self.partner[image.tobytes()] for image in np.asarray(asked)]]
        soft = ndimage.gaussian_filter(photos + random.normal(0, 8, photos.shape), (0, 0, 0.5, 0.5))
        return _as(soft, photos.dtype), np.zeros(n, dtype=np.int64)


class Shapes(Source):
    """Made pictures of one shape, and the caption of each."""

    kind: Kind = "captions"
    train, held_out, generated = 1_000, 300, 1_200
    side = 24
    colours: Mapping[str, tuple[int, int, int]] = {
        "red": (210, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 210), "yellow": (220, 200, 40), "purple": (150, 50, 170)
    }  # fmt: skip
    shapes = ("square", "disc", "triangle")
    sizes: Mapping[str, tuple[int, int]] = {"small": (4, 6), "large": (8, 11)}
    places: Mapping[str, tuple[float, float]] = {"top left": (0.3, 0.3), "top right": (0.7, 0.3), "bottom": (0.5, 0.7)}

    def _asked(self, n: int, random: Random) -> list[str]:
        words = [list(part) for part in (self.sizes, self.colours, self.shapes, self.places)]
        return ["a {} {} {} at the {}".format(*(str(random.choice(part)) for part in words)) for _ in range(n)]

    def pack(self, folder: Path, random: Random) -> None:
        texts = {"train": self._asked(self.train, np.random.default_rng(0)), "holdout": self._asked(self.held_out, random)}
        images = {split: self.draw(len(found), tuple(found), random)[0] for split, found in texts.items()}
        images["train"] = self.draw(self.train, tuple(texts["train"]), np.random.default_rng(1))[0]
        Captioned.pack(folder, images, {split: [(text,) for text in found] for split, found in texts.items()})

    def draw(self, n: int, asked: Any, random: Random) -> tuple[Pixels, NDArray[np.int64]]:
        sorts = np.array([self.shapes.index(text.split()[3]) for text in asked])
        return np.stack([self._picture(text, random) for text in asked]), sorts

    def _picture(self, text: str, random: Random) -> Pixels:
        _, size, colour, shape, _, _, place = text.split(maxsplit=6)
        shade = tuple(int(value) for value in np.clip(self.colours[colour] + random.normal(0, 12, 3), 0, 255))
        ground = tuple(int(value) for value in np.clip(235 + random.normal(0, 10, 3), 0, 255))
        picture = Image.new("RGB", (self.side, self.side), ground)
        (x, y), radius = random.normal(self.side * np.array(self.places[place]), 1.2), random.uniform(*self.sizes[size]) / 2
        box, pen = [x - radius, y - radius, x + radius, y + radius], ImageDraw.Draw(picture)
        if shape == "square":
            pen.rectangle(box, fill=shade)
        elif shape == "disc":
            pen.ellipse(box, fill=shade)
        else:
            pen.polygon([(x, box[1]), (box[0], box[3]), (box[2], box[3])], fill=shade)
        pixels = np.asarray(picture).astype(np.float64) + random.normal(0, 4, (self.side, self.side, 3))
        return pixels.clip(0, 255).round().astype(np.uint8).transpose(2, 0, 1)


class Plane(Source):
    """Points on a circle or of a ring of modes, with noise of 0.02."""

    kind: Kind = "points"
    train, held_out, generated = 1_000, 100, 2_500

    def __init__(self, shape: str) -> None:
        self.truth = distribution(shape, 2.0, 0.02)

    def pack(self, folder: Path, random: Random) -> None:
        parts = {split: draw_points(self.truth, getattr(self, key), 0) for split, key in (("train", "train"), ("holdout", "held_out"))}
        Points.pack(folder, parts, self.truth)

    def draw(self, n: int, asked: Any, random: Random) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        points = draw_points(self.truth, n, int(random.integers(2**31)))
        angles = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) % 1.0
        # Twelfths of a circle from its right end on, or the mode of a ring, which lies in the middle of its eighth.
        sorts = 12 * angles if self.truth["shape"] == "circle" else (8 * angles + 0.5) % 8
        return points, sorts.astype(np.int64)


def mnist(root: Path) -> tuple[Pixels, NDArray[np.int64]]:
    """Both splits, uint8 (70,000, 1, 28, 28), the 10,000 of the test split last, and their labels, from a filled torchvision folder."""
    raw = root / "MNIST" / "raw"
    images = [read_idx((raw / f"{part}-images-idx3-ubyte.gz").read_bytes(), 3, "images")[:, None] for part in ("train", "t10k")]
    labels = [read_idx((raw / f"{part}-labels-idx1-ubyte.gz").read_bytes(), 1, "labels") for part in ("train", "t10k")]
    return np.concatenate(images), np.concatenate(labels).astype(np.int64)
