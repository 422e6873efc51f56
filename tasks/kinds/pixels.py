"""What kinds of data made of images share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from gan_core.errors import ConfigError, DataError
from gan_core.params.common import is_pretrained
from tasks.kinds.kind import DataKind, Expected, Written, label_column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.kinds.pixels import Pixels
    from gan_core.metrics.features import ExtractorKind
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.annotated import Annotated
    from tasks.validation.image_files import ImageFiles
    from tasks.validation.inspection import Inspection, OnRow, Row
    from tasks.validation.packing import Good


class PixelKind(DataKind):
    """A kind of data whose samples are images of one size."""

    keys = frozenset(
        {"root", "size", "fit", "crops", "channels", "depth", "show", "range", "layout", "folders", "direction", "corruption", "stack"}
        | {"labels", "label", "label_pattern", "label_as", "bins", "group"}
    )
    limits = frozenset({"min_side", "max_side", "min_std", "near_twins"})
    family = "images"
    called = "images"
    deciding: ClassVar[tuple[str, ...]] = ("fid", "kid")

    def is_in(self, data: DataParams) -> bool:
        return data.has_images and data.corruption is None and data.layout in self.layouts

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        from tasks.validation.image_arrays import inspect_arrays
        from tasks.validation.image_files import inspect_files
        from tasks.validation.labels import numbered

        if raw.kind != "files":
            return numbered(inspect_arrays(raw, data, limits, spool, on_row), data)
        return numbered(inspect_files(raw, self._annotated(raw, data), data, limits, spool, on_row, self._rows), data)

    def _annotated(self, raw: RawReader, data: DataParams) -> Annotated:
        """What is known of the files before one is opened."""
        from tasks.validation.annotated import by_labels

        return by_labels(raw, data)

    def _rows(self, files: ImageFiles, about: Annotated) -> tuple[Iterator[Row], int]:
        """What becomes of the files, and how many rows that are."""
        from tasks.validation.image_files import file_rows

        return file_rows(files, about)

    def expected(self, limits: ValidateParams) -> Sequence[Expected]:
        from tasks.validation.images import MODES

        sides = f"{limits.min_side} to {limits.max_side:,} pixels (validate.min_side, max_side)"
        deviation = f"standard deviation of the pixels from {limits.min_std:g} (validate.min_std) to 127.5"
        return (
            Expected("width", f"width of {sides}", between=(limits.min_side, limits.max_side)),
            Expected("height", f"height of {sides}", between=(limits.min_side, limits.max_side)),
            Expected("mode", "every image has a mode"),
            Expected("mode", "modes are known ones", among=MODES),
            Expected("mean", "mean of the pixels within 0 to 255", between=(0, 255)),
            Expected("std", deviation, between=(limits.min_std, 127.5)),
        )

    def pack(self, folder: Path, good: Good, data: DataParams, raw: RawReader) -> Pixels:
        from gan_core.data.dataset import write_spec

        with closing(good.samples):
            spec = self._pack(folder, good, data)
        # What reads and shows pictures for its generator needs them; what is as usual is left out, and digests stay as they were.
        bounds, way = good.inspection.range, None if data.fit == "crop" else data.fit
        told = (bounds, way, data.show) != (None, None, None)
        return write_spec(folder, replace(spec, range=bounds, fit=way, show=data.show)) if told else spec

    @abstractmethod
    def _pack(self, folder: Path, good: Good, data: DataParams) -> Pixels: ...

    def drift_of(self, samples: NDArray[Any], spec: Pixels) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        from tasks.validation.images import array_statistics
        from tasks.validation.projections import projections

        levels = spec.levels(samples)
        return dict(zip(("brightness", "contrast"), array_statistics(levels.transpose(0, 2, 3, 1)), strict=True)), projections(levels)

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        refuse_segmentation(name, params)
        refuse_bands(name, spec, params)
        return params.features if is_pretrained(params.features) else judge_of_labels(name, spec, params)

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        super().check(dataset, params)
        refuse_all_alike(dataset, self.called)

    def measured_by(self) -> Mapping[str, str]:
        from tasks.validation.images import RESIZER

        return {"resizer": RESIZER}

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        from gan_core.pictures import grid, rows, save_png
        from tasks.samples import write_each, write_film, write_tiff

        images, pictured = samples.samples, _spec(samples).pictured
        files: Mapping[str, Callable[[Path], None]] = {
            ".png": lambda path: save_png(grid(pictured(images)) if given is None else rows(*map(pictured, (given.images, images))), path),
            ".gif": lambda path: write_film(pictured(images), path),
            ".tif": lambda path: write_tiff(images, path),
        }
        return Written({"images": images}, files, lambda folder: write_each(samples, folder, classes, given))

    def answer(self, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
        import pandas as pd

        return pd.DataFrame(self.records(samples, classes))

    def records(self, samples: Samples, classes: tuple[str, ...] | None) -> list[dict[str, Any]]:
        import base64

        from tasks.samples import encoded_as, encoded_image

        key = encoded_as(samples.samples[0])
        pictures = [{key: base64.b64encode(encoded_image(image)).decode()} for image in samples.samples]
        return labelled(pictures, samples, classes)

    def holds(self, spec: Pixels) -> Mapping[str, str]:
        (low, high), rounded = spec.bounds, "made of" if spec.depth == "float" else "rounded from"
        half = f"{(high - low) / 2:.10g}" + (f" + {low:.10g}" if low else "")
        return {"samples": f"{low:.10g} to {high:.10g}", "values": f"-1 to 1, which the samples are {rounded}: (values + 1) * {half}"}

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        from gan_core.kinds.pixels import Pixels
        from tasks.samples import encoded_as

        return [("string", encoded_as(Pixels.of(config.data).noise(config.shape, 0))), *label_column(config)]


def _spec(samples: Samples) -> Pixels:
    """What a generator's images are like; of images that no generator made, that they are plain."""
    from gan_core.kinds.images import Images
    from gan_core.kinds.pixels import Pixels

    return Images(samples.samples.shape[1:]) if samples.data is None else Pixels.of(samples.data)


def labelled(rows: list[dict[str, Any]], samples: Samples, classes: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """A record for each sample with, where there are labels, `label`: the name of its class, or its number."""
    names = samples.label_names(classes)
    return rows if names is None else [{**row, "label": name} for row, name in zip(rows, names, strict=True)]


def judge_of_labels(name: str, spec: DatasetSpec, params: EvaluateParams) -> Literal["classifier", "regressor", "random"]:
    """A classifier, or of numbers a regressor, where there are labels and nothing else is asked, fixed random features otherwise.

    Raises:
        ConfigError: entry `name` asks for a classifier, and has no classes to tell apart.
    """
    classes = len(spec.classes or ())
    if params.features == "classifier" and classes < 2:
        raise ConfigError(
            f"generators.{name}.evaluate.features: a classifier needs at least two classes, and the data has {classes}; use auto or random"
        )
    if params.features == "auto" and spec.numbers is not None:
        return "regressor"
    return "random" if params.features == "random" or classes < 2 else "classifier"


def refuse_all_alike(dataset: Dataset, called: str) -> None:
    """Where scores compare with held-out samples; `called`: what these are.

    Raises:
        DataError: all held-out samples are the same.
    """
    import numpy as np

    held_out = dataset.samples["holdout"]
    if all(np.array_equal(one, held_out[0]) for one in held_out):
        raise DataError(f"all held-out {called} are the same, so there is nothing to compare with; check the source")


def refuse_pretrained(name: str, params: EvaluateParams, called: str) -> None:
    """For kinds that are no pictures; `called`: what their samples are.

    Raises:
        ConfigError: entry `name` asks for the features of a network that was trained on photographs.
    """
    if is_pretrained(params.features):
        raise ConfigError(
            f"generators.{name}.evaluate.features: {params.features} knows photographs, and these are {called}; use auto or random"
        )


def refuse_bands(name: str, spec: DatasetSpec, params: EvaluateParams) -> None:
    """For kinds that are images.

    Raises:
        ConfigError: entry `name` asks for the features of a network that knows grey and colour photographs, of images of other channels.
    """
    if is_pretrained(params.features) and spec.shape[0] not in (1, 3):
        raise ConfigError(
            f"generators.{name}.evaluate.features: {params.features} knows photographs of 1 or 3 channels, and these have "
            f"{spec.shape[0]} (data.channels); use auto or random"
        )


def refuse_segmentation(name: str, params: EvaluateParams) -> None:
    """For all kinds but pairs.

    Raises:
        ConfigError: entry `name` asks for a network that finds labels in images, and has no label maps.
    """
    if params.features == "segmentation":
        raise ConfigError(f"generators.{name}.evaluate.features: segmentation is for pairs of label map and image; use auto or random")
