"""What a notebook needs around a training: data from arrays or a folder, a live picture with curves, one call for the distance."""

from __future__ import annotations

import hashlib
import io
import json
import math
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gan_core import pictures
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.data.labels import Labels
from gan_core.errors import DataError
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.pixels import depth_of, numbers_of
from gan_core.kinds.points import Points
from gan_core.metrics.features import ClassifierExtractor, FeatureExtractor, RandomConvExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance
from gan_core.training import Progress

_FEWEST = 4
_GENERATED_PER_REAL = 10
_NAMED = 5
"""Files that a warning names."""


def data_from_arrays(
    samples: NDArray[Any],
    labels: Sequence[float] | NDArray[Any] | None = None,
    classes: Sequence[str] | None = None,
    holdout: float = 0.1,
    seed: int = 0,
    range: tuple[float, float] | None = None,
) -> Dataset:
    """A data set in memory, of images or of points.

    Args:
        samples: images (N, C, H, W), (N, H, W, C) or (N, H, W), uint8 from black 0 to white 255, or uint16 or floats, which are kept as
            such; C is 1 or 3, or any number of channels up to half of the other sides. Or floats (N, D), points.
        labels: (N,) whole numbers from 0, an index into `classes` each; or floats, numbers that images are drawn by; images only.
        classes: the labels' names; None: "0", "1", ...
        holdout: the share, above 0 and below 1, that training never sees and `fid` compares with; equal samples stay together.
        seed: of which are held out.
        range: of uint16 and float images, the values that are black and white, -1 and 1 to the networks; those outside are cut off. None:
            0 and 65,535, or of floats the lowest and the highest.

    Raises:
        DataError: the arrays are of another shape or type, do not fit each other, hold what is not finite, or are too few.

    >>> import numpy as np
    >>> from gan_core import data_from_arrays
    >>> data = data_from_arrays(np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8), labels=np.arange(50) % 2)
    >>> data.spec.shape, dict(data.spec.counts), data.spec.classes
    ((1, 8, 8), {'train': 45, 'holdout': 5}, ('0', '1'))
    >>> bands = np.random.default_rng(0).integers(0, 10_000, (50, 16, 16, 5), dtype=np.uint16)
    >>> data_from_arrays(bands, range=(0, 10_000)).spec.values_in_words
    '16-bit values from 0 (black) to 10000 (white)'
    """
    samples = np.asarray(samples)
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if not 0 < holdout < 1:
        raise DataError(f"holdout: {holdout} is not between 0 and 1; write a share, such as 0.1")
    if len(samples) < _FEWEST:
        raise DataError(f"samples: {len(samples)} are too few; at least {_FEWEST} are needed")
    is_images = samples.dtype == np.uint8 or (samples.ndim > 2 and (samples.dtype == np.uint16 or samples.dtype.kind == "f"))
    arranged = _images(samples) if is_images else _points(samples)
    bounds = _bounds(arranged, range) if is_images else None
    arranged = arranged if bounds is None else _cut_off(arranged, bounds)
    parts = _split(arranged, holdout, seed)
    packed = {split: np.ascontiguousarray(arranged[chosen]) for split, chosen in parts.items()}
    counts = {split: len(chosen) for split, chosen in parts.items()}
    if arranged.ndim == 2:
        for key, given in (("labels", labels), ("range", range)):
            if given is not None:
                raise DataError(f"{key}: points have none; leave it out")
        train = packed["train"].astype(np.float64)
        std = train.std(axis=0)
        spec: DatasetSpec = Points(
            arranged.shape[1:], counts, mean=tuple(train.mean(axis=0).tolist()), std=tuple(np.where(std > 0, std, 1.0).tolist())
        )
        return Dataset(spec, packed, {})
    named, given = _labels(labels, classes, len(samples))
    divided = {} if given is None else {split: given[chosen] for split, chosen in parts.items()}
    spec = Images(arranged.shape[1:], counts, named, numbers=numbers_of(divided or None, named), depth=depth_of(packed), range=bounds)
    return Dataset(spec, packed, divided)


def data_from_folder(folder: str | Path, size: int = 32, holdout: float = 0.1, seed: int = 0) -> Dataset:
    """A data set in memory of the pictures in a folder: each picture's central square, scaled to `size` x `size` pixels.

    Where every picture lies in a folder of its own kind, and there are at least two such, the folders are its classes. Pictures are
    grey, (1, size, size), where all files are, otherwise (3, size, size); transparent pixels become white, and a photo stands upright
    as its EXIF data says. What is no picture is passed over; of pictures that cannot be read a warning names the first.

    Args:
        folder: of files of any type that Pillow reads, in folders however deep.
        size: height and width, pixels.
        holdout: as `data_from_arrays`.
        seed: as `data_from_arrays`.

    Raises:
        DataError: there is no such folder, or it holds fewer than four pictures that can be read.

    >>> import numpy as np
    >>> from gan_core import data_from_folder, save_png
    >>> for kind, number in (("cats", 0), ("cats", 50), ("dogs", 100), ("dogs", 150)):
    ...     save_png(np.full((40, 60, 3), number, dtype=np.uint8), Path("photos") / kind / f"{number}.png")
    >>> data = data_from_folder("photos", size=16)
    >>> data.spec.shape, data.spec.classes
    ((3, 16, 16), ('cats', 'dogs'))
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root}: no folder; name one that holds pictures")
    endings = Image.registered_extensions()
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in endings and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    read, failed = list[tuple[Path, Image.Image]](), list[str]()
    for path in files:
        try:
            with Image.open(path) as image:
                read.append((path, _square(image, size)))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            failed.append(f"{path.relative_to(root)} ({error})")
    if failed:
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        warnings.warn(f"{root}: left out, since they cannot be read: {', '.join(failed[:_NAMED])}{more}", stacklevel=2)
    if len(read) < _FEWEST:
        raise DataError(f"{root}: {len(read)} pictures can be read; at least {_FEWEST} are needed")
    mode = "L" if all(image.mode == "L" for _, image in read) else "RGB"
    arrays = np.stack([np.asarray(image.convert(mode)) for _, image in read])
    kinds = [path.relative_to(root).parts[0] for path, _ in read]
    classes = sorted(set(kinds)) if all(len(path.relative_to(root).parts) > 1 for path, _ in read) else []
    if len(classes) < 2:
        return data_from_arrays(arrays, holdout=holdout, seed=seed)
    return data_from_arrays(arrays, [classes.index(kind) for kind in kinds], classes, holdout, seed)


def fid(generator: Generator, data: Dataset, extractor: FeatureExtractor | None = None, samples: int = 10_000, seed: int = 0) -> float:
    """Frechet distance between generated and held-out images, in the features of a frozen network: 0 upwards, lower is better.

    By default the network is a classifier fitted on the labels of `data`, or one with random weights where it has none, so compare
    numbers of one data set and equal counts only (Heusel et al., 2017, arXiv:1706.08500). Ten times as many images are generated as are
    held out; by label with the shares that labels have in the training split.

    Args:
        generator: of images (C, H, W) like those of `data`.
        data: its held-out images are what generated ones are compared with.
        extractor: another network for the features, such as one fitted before: `ClassifierExtractor.fit(data)`.
        samples: at most so many real, and so many generated, images.
        seed: of what is drawn.

    Raises:
        DataError: the data set has no images, or fewer than two are held out.

    >>> import numpy as np
    >>> from gan_core import GanParams, Generator, data_from_arrays, fid, train
    >>> data = data_from_arrays(np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8))
    >>> train(GanParams(images=64, batch=16, generator={"network": "mlp"}, discriminator={"network": "mlp"}), data, Path("noise"))
    True
    >>> fid(Generator.load(Path("noise/generator")), data) > 0
    True
    """
    if data.spec.kind != Images.kind:
        raise DataError(f"fid: compares images, and this data set has {data.spec.kind}")
    if extractor is None:
        extractor = (ClassifierExtractor if data.spec.n_classes > 1 else RandomConvExtractor).fit(data)
    real = np.asarray(data.samples["holdout"][:samples])
    count = min(samples, _GENERATED_PER_REAL * len(real))
    labels = None
    if generator.config.condition is not None:
        labels = np.random.default_rng(seed).choice(data.labels["train"], count)
    made = generator.sample(count, seed, labels=labels).samples
    one, other = (FeatureStatistics.of(extractor.features(images)) for images in (real, made))
    return frechet_distance(one, other)


class Live:
    """Shows a training while it goes on: the newest preview and the losses so far. For the `on_progress` of `train`.

    In a notebook it is one picture, uint8 (H, W, 3), that is drawn anew in its place; elsewhere a line now and then.

    >>> import numpy as np
    >>> from gan_core import GanParams, Live, data_from_arrays, train
    >>> data = data_from_arrays(np.random.default_rng(0).normal(size=(200, 2)))
    >>> params = GanParams(images=2_000, batch=100)
    >>> train(params, data, Path("run"), on_progress=Live(Path("run"), every=60))  # doctest: +ELLIPSIS
    2,000 of 2,000 images, discriminator loss ..., generator loss ...
    True
    >>> Live(Path("run")).picture().shape
    (512, 1160, 3)
    """

    def __init__(
        self,
        folder: Path,  # that the training keeps its previews and its record in
        every: float = 2.0,  # seconds between two looks, at least; the end is always shown
    ) -> None:
        self.folder = folder
        self.every = every
        self._next = time.monotonic() + every
        self._handle: Any = None

    def __call__(self, progress: Progress) -> None:
        if progress.images < progress.budget and time.monotonic() < self._next:
            return
        if "IPython" in sys.modules and sys.modules["IPython"].get_ipython() is not None:
            self._redraw()
        else:
            numbers = [f"{key.replace('_', ' ')} {value:.3g}" for key, value in progress.numbers.items() if key.endswith("_loss")]
            print(", ".join([f"{progress.images:,} of {progress.budget:,} images", *numbers]))
        self._next = time.monotonic() + self.every

    def picture(self) -> NDArray[np.uint8]:
        """The newest preview, and the losses by images seen to its right: uint8 (H, W, 3)."""
        record = self.folder / "metrics.jsonl"
        lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
        losses = sorted({key for line in lines for key in line if key.endswith("_loss")})
        drawn = pictures.curves({key: [(line["images"], line[key]) for line in lines if key in line] for key in losses})
        previews = sorted((self.folder / "samples").glob("*.png"))
        if not previews:
            return drawn
        with Image.open(previews[-1]) as opened:
            preview = np.asarray(opened.convert("RGB"))
        height = max(len(preview), len(drawn))
        whole = [np.pad(one, ((0, height - len(one)), (0, 8), (0, 0)), constant_values=255) for one in (preview, drawn)]
        return np.concatenate(whole, axis=1)[:, :-8]

    def _redraw(self) -> None:
        from IPython import display

        buffer = io.BytesIO()
        Image.fromarray(self.picture()).save(buffer, format="png")
        image = display.Image(buffer.getvalue())
        if self._handle is None:
            self._handle = display.display(image, display_id=True)
        else:
            self._handle.update(image)


def _images(samples: NDArray[Any]) -> NDArray[Any]:
    """As (N, C, H, W), of a type that images are kept in."""
    kept = samples.astype(np.float32) if samples.dtype.kind == "f" else samples
    if kept.ndim == 3:
        return kept[:, None]
    if kept.ndim == 4:
        _, first, middle, last = kept.shape
        few = min(first, last)
        if first in (1, 3) or (last not in (1, 3) and first == few and 2 * few <= min(middle, last)):
            return kept
        if last in (1, 3) or (last == few and 2 * few <= min(first, middle)):
            return kept.transpose(0, 3, 1, 2)
    form = "(N, C, H, W), (N, H, W, C) or (N, H, W) with C of 1 or 3, or at most half of height and width"
    raise DataError(f"samples: images are {form}, and these are {samples.shape}")


def _bounds(images: NDArray[Any], asked: tuple[float, float] | None) -> tuple[float, float] | None:
    """The values that are black and white; None where the type says it.

    Raises:
        DataError: they are none, or some values are not finite.
    """
    if images.dtype == np.uint8:
        if asked is not None:
            raise DataError("range: of uint8 images black is 0 and white 255; leave it out, or make them uint16 or floats")
        return None
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise DataError("samples: not all are finite; leave such images out")
    if asked is None and images.dtype == np.uint16:
        return None
    low, high = map(float, asked or (images.min(), images.max()))
    if asked is None and low == high:
        raise DataError(f"samples: all values are {low:g}, so that nothing is darker than another; look at the array")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"range: {low:g} is not below {high:g}; the first number is black and the second white")
    if images.dtype == np.uint16 and not 0 <= low < high <= 65_535:
        raise DataError(f"range: {low:g} to {high:g} is not within 0 to 65,535, which uint16 images have")
    return low, high


def _cut_off(images: NDArray[Any], bounds: tuple[float, float]) -> NDArray[Any]:
    low, high = bounds
    return images.clip(images.dtype.type(math.ceil(low)), images.dtype.type(high)) if images.dtype.kind == "u" else images.clip(low, high)


def _points(samples: NDArray[Any]) -> NDArray[np.float32]:
    if samples.ndim != 2 or not np.issubdtype(samples.dtype, np.floating):
        raise DataError(f"samples: points are floats (N, D), and images uint8, uint16 or floats; these are {samples.dtype} {samples.shape}")
    if not np.isfinite(samples).all():
        raise DataError("samples: not all are finite; leave such rows out")
    return samples.astype(np.float32)


def _labels(
    labels: Sequence[float] | NDArray[Any] | None, classes: Sequence[str] | None, count: int
) -> tuple[tuple[str, ...] | None, Labels | None]:
    """The classes' names, and the labels; of labels that are numbers no names."""
    if labels is None:
        if classes is not None:
            raise DataError("classes: are names of labels, and there are none; leave them out")
        return None, None
    given = np.asarray(labels)
    if classes is None and np.issubdtype(given.dtype, np.floating) and given.shape == (count,):
        if not np.isfinite(given).all():
            raise DataError("labels: not all are finite; leave such samples out")
        return None, given.astype(np.float32)
    if given.shape != (count,) or not np.issubdtype(given.dtype, np.integer) or given.min() < 0:
        raise DataError(f"labels: expected {count:,} whole numbers from 0, one a sample, and got {given.dtype} {given.shape}")
    named = tuple(map(str, range(int(given.max()) + 1))) if classes is None else tuple(classes)
    if given.max() >= len(named):
        raise DataError(f"labels: {given.max()} has no name; there are {len(named)} classes, numbered from 0")
    return named, given.astype(np.int64)


def _split(samples: NDArray[Any], holdout: float, seed: int) -> dict[str, NDArray[np.int64]]:
    """Which samples are in which part, by what is in them, so that equal ones are on one side."""
    digests = [hashlib.sha256(f"{seed}:".encode() + sample.tobytes()).digest() for sample in samples]
    order = sorted(range(len(samples)), key=digests.__getitem__)
    held = max(2, round(holdout * len(samples)))
    while held < len(order) and digests[order[held]] == digests[order[held - 1]]:
        held += 1
    if len(order) - held < 2:
        raise DataError(f"samples: of {len(order)} nothing is left to train on beside what is held out; equal ones count as one")
    return {"train": np.sort(order[held:]), "holdout": np.sort(order[:held])}


def _square(image: Image.Image, size: int) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"more than 8 bits a value, {image.mode}; `gantry init --from` reads such files")
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    mode = "L" if upright.mode in ("1", "L") else "RGB"
    resampling = Image.Resampling.LANCZOS if min(upright.size) > size else Image.Resampling.BICUBIC
    return ImageOps.fit(upright.convert(mode), (size, size), method=resampling)
