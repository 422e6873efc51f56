"""Volumes of one size, with labels or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tasks.kinds.kind import DataKind, Expected, Shown, Written, label_column, with_labels
from tasks.kinds.pixels import judge_of_labels, refuse_all_alike, refuse_pretrained, refuse_segmentation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.kinds.volumes import Volumes
    from gan_core.metrics.features import ExtractorKind
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow
    from tasks.validation.packing import Good


class VolumeKind(DataKind):
    """Volumes (1, X, Y, Z)."""

    keys = frozenset({"size", "up", "layout", "labels", "label", "label_pattern", "group"})
    limits = frozenset({"max_voxels"})
    family = "volumes"
    layouts = ("volumes",)
    chosen_by = "; data.layout: volumes takes the voxels and meshes of a folder, archive or bucket"
    hint = "data.layout: volumes takes the voxels and meshes of it"
    makes = "objects in three dimensions"
    called = "volumes"
    kept_as: ClassVar[Mapping[str, str]] = {"stl": "mesh (STL)", "png": "PNG", "npz": "arrays"}
    scores = "tasks.scoring.volumes:VolumeScoring"
    deciding = ("fid", "kid")
    beside = ("iou_nna", "label_accuracy")

    def is_in(self, data: DataParams) -> bool:
        return data.layout in self.layouts

    def decoder(self, data: DataParams, limits: ValidateParams) -> Callable[[bytes], object]:
        from tasks.validation.volumes import decode_volume

        return partial(decode_volume, size=data.side, up=data.up, limits=limits)

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        from tasks.validation.annotated import by_labels
        from tasks.validation.volumes import inspect_volumes

        return inspect_volumes(raw, by_labels(raw, data), data, limits, spool, on_row)

    def expected(self, limits: ValidateParams) -> Sequence[Expected]:
        return (
            Expected("voxels", f"at most {limits.max_voxels:,} voxels (validate.max_voxels)", between=(1, limits.max_voxels)),
            Expected("filled", "something is filled, and not everything", between=(1e-9, 1 - 1e-9)),
            Expected("pieces", "every volume has a number of pieces"),
        )

    def pack(self, folder: Path, good: Good, data: DataParams, raw: RawReader) -> Volumes:
        from gan_core.kinds.volumes import Volumes

        rows = {split: good.samples(numbers) for split, numbers in good.numbers().items()}
        return Volumes.pack(folder, rows, good.labels, good.classes)

    def drift_of(self, samples: NDArray[np.uint8], spec: Volumes) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        """What is filled of each, and how high its middle is, both as shares; and its voxels."""
        import numpy as np

        from tasks.validation.projections import projections

        levels = samples[:, 0].mean(axis=(1, 2), dtype=np.float64) / 255
        heights = (levels * np.linspace(0, 1, levels.shape[1])).sum(axis=1) / np.maximum(levels.sum(axis=1), 1e-12)
        return {"filled": levels.mean(axis=1), "height": heights}, projections(samples)

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        refuse_segmentation(name, params)
        refuse_pretrained(name, params, self.called)
        return judge_of_labels(name, spec, params)

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        super().check(dataset, params)
        refuse_all_alike(dataset, self.called)

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        from gan_core.pictures import grid, save_png
        from gan_core.shading import shaded
        from tasks.volumes import write_folder, writers

        volumes = samples.samples
        return Written(
            {"volumes": volumes[:, 0] > 0},
            {".png": lambda path: save_png(grid(shaded(volumes)), path), **writers(volumes)},
            lambda folder: write_folder(samples, folder, classes),
        )

    def shown(self, samples: Samples) -> Sequence[Shown]:
        import numpy as np

        from gan_core.shading import from_all_sides

        one, two, three, four = from_all_sides(samples.samples)
        seen = np.concatenate([np.concatenate([one, two], axis=3), np.concatenate([four, three], axis=3)], axis=2)
        return [Shown(picture, "from four sides") for picture in seen]

    def answer(self, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
        import base64

        import pandas as pd

        from tasks.volumes import encode_binvox

        texts = [base64.b64encode(encode_binvox(volume)).decode() for volume in samples.samples]
        return with_labels(pd.DataFrame({"binvox": texts}), samples, classes)

    def holds(self, spec: Volumes) -> Mapping[str, str]:
        return {"samples": "255 where a voxel (x, y, z; z is upright) is filled, 0 elsewhere", "values": "-1 to 1; above 0 it is filled"}

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        return [("string", "binvox"), *label_column(config)]
