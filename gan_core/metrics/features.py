"""Feature extractors: small convolutional networks that are fitted once per data set and then frozen.

Distances between images are measured in their feature space, so scores are comparable only under one extractor, which its `hash`
names. Arithmetic is always float32, on every device.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gan_core.augment import augment, varied
from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.data.scaling import channels_last, images_to_unit, values_to_unit
from gan_core.errors import DataError
from gan_core.kinds.pixels import Pixels
from gan_core.metrics.fitting import one_cycle, steps_for
from gan_core.networks.common import Layers, lay_out
from gan_core.params.common import Pretrained
from gan_core.randomness import reseed

FORMAT = 1
WIDTH = 128
"""Length of a feature vector."""

_FIRST_CHANNELS = 24
_LAST_SIDE = 4
_CHUNK, _CHUNK_VALUES = 500, 8_000_000  # most images, and most pixel values, in the network at once: bounds memory
_EPOCHS, _FEWEST, _MOST = 12, 20_000, 160_000  # how long a classifier is fitted: 12 epochs, within these bounds in images seen
_LONGER = 3  # times, where images are augmented
_LEARNING_RATE, _WEIGHT_DECAY = 1e-2, 1e-2
_NOISE = 0.1  # largest deviation of the noise that it learns to look through, in units of -1..1
_LATER = ("values", "numbers")  # facts of a config that stand in its file where they say something
_CALIBRATION = 2_000  # images whose activations set the scales of a random network


ExtractorKind = Literal["classifier", "random", Pretrained, "matching", "segmentation", "stacked", "regressor"]


@dataclass(frozen=True)
class ExtractorConfig:
    """What an extractor is, apart from its weights."""

    kind: ExtractorKind
    shape: tuple[int, ...]
    """(C, H, W) of the images it takes, or (C, X, Y, Z) of volumes."""
    classes: tuple[str, ...] | None
    """Names of the labels that a classifier tells apart."""
    seed: int
    dataset: str
    """Digest of the data set it was fitted on."""
    holdout_accuracy: float | None = None
    """Share of the held-out images that a classifier gets right, or of their pixels for a segmentation network."""
    sha256: str = ""
    """Of the weights file's bytes."""
    vocabulary: tuple[str, ...] | None = None
    """Words that a matcher knows."""
    palette: tuple[tuple[int, ...], ...] | None = None
    """The colours of the classes that a segmentation network tells apart, by pixel."""
    values: tuple[str, float, float] | None = None
    """Of images that are not 0 to 255 in 8 bits: the type of their values, and those that are black and white."""
    numbers: tuple[float, float] | None = None
    """The least and the greatest number that a regressor was fitted on."""


class FeatureExtractor(ABC):
    """A frozen network from images to features; `load` gives the right one of its kinds."""

    kind: ClassVar[ExtractorKind]
    width: ClassVar[int] = WIDTH
    """D, the length of the network's feature vectors."""
    resizer: ClassVar[str | None] = None
    """What brings images to the size that the network takes, where that is another one than theirs."""
    most_at_once: ClassVar[int] = _CHUNK
    """Most images in the network at once."""

    def __init__(self, config: ExtractorConfig, network: ImageNetwork) -> None:
        self.config = config
        self.network = lay_out(network.eval().requires_grad_(False))

    @classmethod
    @abstractmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu") -> Self:
        """An extractor for images like those of `dataset`, from its training split."""

    @staticmethod
    def _empty(config: ExtractorConfig) -> ImageNetwork:
        """A network that the weights of an extractor of this kind fit into."""
        return FeatureNetwork(config.shape, len(config.classes or ()))

    @property
    def hash(self) -> str:
        """Names the extractor (hexadecimal, 64 characters): equal hashes give equal features."""
        facts: dict[str, Any] = {
            "format": FORMAT,
            "kind": self.config.kind,
            "shape": self.config.shape,
            "weights": _digest(self._weights()),
        }
        facts |= {} if self.config.values is None else {"values": self.config.values}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def fits(self, spec: DatasetSpec) -> bool:
        """Whether it takes the images of a data set; a classifier has to know its classes too."""
        fits = self.config.shape == spec.shape and self.config.values == values_of(spec)
        return fits and self.config.classes in (None, spec.classes)

    def features(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Features of images (N, C, H, W), or volumes (N, C, X, Y, Z), as they are kept: float32 (N, D).

        Raises:
            DataError: the images are of another shape or type.
        """
        expected = "uint8" if self.config.values is None else self.config.values[0]
        if images.dtype != expected or images.shape[1:] != self.config.shape:
            raise DataError(f"features: expected {expected} images of {self.config.shape}, got {images.dtype} of {images.shape[1:]}")
        return self._features(self.network, images)

    def _features(self, network: ImageNetwork, images: NDArray[Any]) -> NDArray[np.float32]:
        """The same of a network that takes such images."""
        device = next(network.parameters()).device
        results = np.empty((len(images), self.width), dtype=np.float32)
        with torch.inference_mode(), in_float32():
            features = network.for_inference()
            size = min(self.most_at_once, _chunk(self.config.shape))
            for start in range(0, len(images), size):
                # A copy, since a memory-mapped array cannot be written to and torch warns of that.
                chunk = torch.from_numpy(np.array(images[start : start + size])).to(device)
                results[start : start + size] = features(self.prepared(chunk)).cpu().numpy()
        return results

    def prepared(self, images: Tensor) -> Tensor:
        """Images or volumes as the network takes them: float32 in -1..1, channels last."""
        unit = images_to_unit(images) if self.config.values is None else values_to_unit(images, *self.config.values[1:])
        return unit.contiguous(memory_format=channels_last(images.dim()))

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device, in place."""
        self.network.to(device)
        return self

    def save(self, folder: Path) -> Self:
        """Write `extractor.safetensors` and `config.json`, whole or not at all; what lies there is replaced.

        Returns the extractor with its weights' digest filled in.
        """
        data = self._weights()
        saved = type(self)(replace(self.config, sha256=_digest(data)), self.network)
        temporary = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        (temporary / "extractor.safetensors").write_bytes(data)
        facts = {key: value for key, value in asdict(saved.config).items() if key not in _LATER or value is not None}
        text = json.dumps({"format": FORMAT, **facts}, indent=2, sort_keys=True)
        (temporary / "config.json").write_text(text + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.replace(folder)
        return saved

    @staticmethod
    def load(folder: Path, device: str | torch.device = "cpu") -> FeatureExtractor:
        """Read an extractor's folder.

        Raises:
            DataError: a file is missing, damaged or of another format; nothing of it was executed.
        """
        config = _read_config(folder / "config.json")
        weights = folder / "extractor.safetensors"
        try:
            data = weights.read_bytes()
        except OSError as error:
            raise DataError(f"{weights}: cannot be read ({error.strerror})") from None
        if _digest(data) != config.sha256:
            raise DataError(f"{weights}: its bytes are not the ones that config.json names")
        chosen = extractor_of(config.kind)
        network = chosen._empty(config)
        try:
            network.load_state_dict(load_tensors(data))
        except (SafetensorError, RuntimeError) as error:
            raise DataError(f"{weights}: does not fit the network in config.json ({str(error).splitlines()[0]})") from None
        return chosen(config, network).to(device)

    def _weights(self) -> bytes:
        data: bytes = save_tensors({key: value.cpu().contiguous() for key, value in self.network.state_dict().items()})
        return data


class ClassifierExtractor(FeatureExtractor):
    """A small classifier fitted on the labels of the training split; its features are the input of its last layer."""

    kind: ClassVar[ExtractorKind] = "classifier"

    @classmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu", augmented: bool = False) -> Self:
        """Fit on the training split; the same data and seed give the same weights on the same machine and number of threads.

        AdamW under a one-cycle learning rate (Smith and Topin, 2018), for 12 epochs within 20,000 to 160,000 images. Each image gets
        faint noise (deviation up to 0.1 of -1..1), or the features would weigh what no eye sees more than a missing class.

        Args:
            augmented: for few photographs: three times as many images, each mirrored, cropped and recoloured at random.

        Raises:
            DataError: the data set has no images, or fewer than two classes.
            TrainingError: the loss is not finite.
        """
        spec = dataset.spec
        if len(spec.shape) < 3 or spec.classes is None or len(spec.classes) < 2:
            raise DataError("features: a classifier needs labelled images of at least two classes; use evaluate.features: random")
        device = torch.device(device)
        network = lay_out(seeded_network(spec, len(spec.classes), seed).to(device))
        fit(network, Batches(dataset, seed, device), spec.counts["train"], seed, F.cross_entropy, "classifier", augmented)
        config = ExtractorConfig(cls.kind, spec.shape, spec.classes, seed, spec.digest, values=values_of(spec))
        fitted = cls(config, network)
        right = fitted.classify(fitted.features(dataset.samples["holdout"])) == dataset.labels["holdout"]
        return cls(replace(config, holdout_accuracy=round(float(right.mean()), 6) if len(right) else None), network)

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unnormalised log-probabilities of the classes from features (N, D): float32 (N, classes)."""
        head = cast(nn.Linear, self.network.head)
        with torch.inference_mode(), in_float32():
            scores: NDArray[np.float32] = head(torch.from_numpy(features).to(head.weight.device)).cpu().numpy()
        return scores

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of the classes, from features (N, D): float64 (N, classes), rows that add up to 1."""
        shares: NDArray[np.float64] = torch.from_numpy(self.logits(features)).double().softmax(dim=1).numpy()
        return shares

    def classify(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The likeliest class from features (N, D): int64 (N,)."""
        best: NDArray[np.int64] = self.logits(features).argmax(axis=1).astype(np.int64)
        return best

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The likeliest class of each of uint8 images (N, C, H, W): int64 (N,)."""
        return self.classify(self.features(images))


class RandomConvExtractor(FeatureExtractor):
    """A random convolutional network for images or volumes without labels (as in Naeem et al., 2020, arXiv:2002.09797).

    Its weights are a function of the seed; the scale and offset of each channel are set once, so that the training images' activations
    have mean 0 and deviation 1 in front of each non-linearity.
    """

    kind: ClassVar[ExtractorKind] = "random"

    @classmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu") -> Self:
        """Draw the network and set its scales on up to 2,000 training images.

        Raises:
            DataError: the data set has no images.
        """
        spec = dataset.spec
        if len(spec.shape) < 3:
            raise DataError("features: a convolutional network needs images or volumes")
        device = torch.device(device)
        network = lay_out(seeded_network(spec, 0, seed).to(device))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.momentum = None  # the plain mean over the batches that follow
        batches, size = Batches(dataset, seed, device), _chunk(spec.shape)
        with torch.no_grad(), in_float32():
            network.train()
            for start in range(0, min(_CALIBRATION, spec.counts["train"]), size):
                network.features(batches.after(start, size).real)
        return cls(ExtractorConfig(cls.kind, spec.shape, None, seed, spec.digest, values=values_of(spec)), network)


class ImageNetwork(nn.Module):
    """A network that an extractor's features come from."""

    def features(self, images: Tensor) -> Tensor:
        """(N, C, ...) in -1..1 -> (N, 128)."""
        raise NotImplementedError

    def for_inference(self) -> Callable[[Tensor], Tensor]:
        """As `features`, of the weights as they are now, in less time where there is a way; equal to it up to rounding."""
        return self.features


class FeatureNetwork(ImageNetwork):
    """Strided convolutions of side 3 down to 4 pixels, then the mean of each of 128 channels: (N, C, ...) in -1..1 -> (N, 128).

    Channels double with each halving. `forward` adds a linear layer to the classes' logits, or to a number, where there are such.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, *sides = shape
        stride = _first_stride(max(sides))
        side = math.ceil(max(sides) / stride)
        nd = Layers.of(shape)
        layers = _layer(nd, channels, _FIRST_CHANNELS, kernel=stride + 2, stride=stride)
        channels = _FIRST_CHANNELS
        while side > _LAST_SIDE or channels < WIDTH:
            halve = side > _LAST_SIDE
            layers += _layer(nd, channels, min(2 * channels, WIDTH), kernel=3, stride=2 if halve else 1)
            channels, side = min(2 * channels, WIDTH), math.ceil(side / 2) if halve else side
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Linear(WIDTH, classes) if classes else None

    def features(self, images: Tensor) -> Tensor:
        return _pooled(self.trunk(images))

    def for_inference(self) -> Callable[[Tensor], Tensor]:
        """With each normalisation folded into the convolution before it, which saves a third."""
        folded: list[nn.Module] = []
        layers: list[Any] = list(self.trunk)
        for convolution, normalisation in zip(layers[::3], layers[1::3], strict=True):
            folded += [fuse_conv_bn_eval(convolution, normalisation), nn.ReLU(inplace=True)]
        trunk = nn.Sequential(*folded)
        return lambda images: _pooled(trunk(images))

    def forward(self, images: Tensor) -> Tensor:
        assert self.head is not None, "a random network has no outputs"  # noqa: S101
        logits: Tensor = self.head(self.features(images))
        return logits


def _first_stride(side: int) -> int:
    """Brings images of `side` pixels to at most about 32, so that cost hardly grows with their size."""
    return 1 if side < 24 else max(2, round(side / 32))


def _layer(nd: Layers, channels: int, out: int, kernel: int, stride: int) -> list[nn.Module]:
    return [nd.convolution(channels, out, kernel, stride, padding=1, bias=False), nd.batch_norm(out), nn.ReLU()]


def _pooled(features: Tensor) -> Tensor:
    return features.mean(dim=tuple(range(2, features.dim())))


def seeded_network(spec: DatasetSpec, classes: int, seed: int) -> FeatureNetwork:
    """A network whose first weights are a function of the seed; torch's global random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FeatureNetwork(spec.shape, classes)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight)
    return network


def fit(
    network: FeatureNetwork,
    batches: Batches,
    count: int,
    seed: int,
    loss: Callable[[Tensor, Tensor], Tensor],  # of the network's outputs (N, K) and labels (N,)
    what: str,  # the network is called
    augmented: bool = False,
) -> None:
    """Fit a network on the labelled batches of `count` images."""
    size = min(count, 128 if count >= 10_000 else 64)
    steps = steps_for(count, size, _EPOCHS, _FEWEST, _MOST) * (_LONGER if augmented else 1)
    noise = torch.Generator().manual_seed(seed)

    def loss_at(step: int) -> Tensor:
        batch = batches.after(step * size, size)
        real = _augmented(batch.real, seed, step) if augmented else batch.real
        deviations = _NOISE * torch.rand(size, *[1] * (real.dim() - 1), generator=noise)
        noisy = real + (deviations * torch.randn(real.shape, generator=noise)).to(real)
        return loss(network(noisy.contiguous(memory_format=channels_last(noisy.dim()))), cast(Tensor, batch.labels))

    network.train()
    with in_float32():
        one_cycle(network.parameters(), loss_at, steps, _LEARNING_RATE, _WEIGHT_DECAY, what)


def _augmented(images: Tensor, seed: int, step: int) -> Tensor:
    """Images as an augmented fit sees them at a step; torch's global random state stays as it is."""
    with torch.random.fork_rng():
        reseed(images.device, seed, step)
        return augment(varied(images))


@contextmanager
def in_float32() -> Iterator[None]:
    """Full float32, and the same result each time: no TF32, no autocast, no algorithm chosen by timing."""
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    ):
        yield


def _chunk(shape: tuple[int, ...]) -> int:
    """How many images of a shape go through the network at once."""
    return max(1, min(_CHUNK, _CHUNK_VALUES // math.prod(shape)))


def values_of(spec: DatasetSpec) -> tuple[str, float, float] | None:
    """As `ExtractorConfig.values`, of a data set's images."""
    return None if not isinstance(spec, Pixels) or spec.depth is None else (np.dtype(spec.dtype).name, *spec.bounds)


def image_shape(spec: DatasetSpec) -> tuple[int, int, int]:
    """(C, H, W) of a data set of images."""
    channels, height, width = spec.shape
    return channels, height, width


_EXTRACTORS: Mapping[str, tuple[str, str]] = {
    "classifier": ("features", "ClassifierExtractor"),
    "random": ("features", "RandomConvExtractor"),
    "inception": ("inception_features", "InceptionExtractor"),
    "dinov2-vit-s-14": ("dinov2_features", "DinoV2Small"),
    "dinov2-vit-b-14": ("dinov2_features", "DinoV2Base"),
    "dinov2-vit-l-14": ("dinov2_features", "DinoV2Large"),
    "clip-vit-b-32": ("clip_features", "ClipExtractor"),
    "matching": ("matching", "MatchingExtractor"),
    "segmentation": ("segmentation", "SegmentationExtractor"),
    "stacked": ("stacked", "StackedExtractor"),
    "regressor": ("regression", "RegressorExtractor"),
}
"""Where the class of each kind is; imported when it is needed, since some stand on this module, and some on large libraries."""


def extractor_of(kind: ExtractorKind) -> type[FeatureExtractor]:
    """The class of extractors of a kind."""
    module, name = _EXTRACTORS[kind]
    found: type[FeatureExtractor] = getattr(import_module(f"gan_core.metrics.{module}"), name)
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_config(path: Path) -> ExtractorConfig:
    try:
        fields: dict[str, Any] = json.loads(path.read_text())
        if fields.pop("format") != FORMAT or fields["kind"] not in _EXTRACTORS:
            raise DataError(f"{path}: not of format {FORMAT}")
        fields["shape"] = tuple(fields["shape"])
        for key in ("classes", "vocabulary"):
            fields[key] = None if fields.get(key) is None else tuple(fields[key])
        fields["palette"] = tuple(map(tuple, fields["palette"])) if fields.get("palette") else None
        fields |= {key: tuple(fields[key]) if fields.get(key) else None for key in _LATER}
        return ExtractorConfig(**fields)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error})") from None
