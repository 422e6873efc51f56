"""Points: rows of a few numbers, whose distribution may be known in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.errors import DataError
from tasks.kinds.kind import MOST_FEATURES, DataKind, Written, label_column, with_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gan_core.data.dataset import Dataset
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.kinds.points import Points
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow, Row
    from tasks.validation.packing import Good


class PointKind(DataKind):
    """Points (D,)."""

    keys = frozenset({"count", "radius", "sigma"})
    family = "points"
    makes = "points"
    keeps_one_core = True
    scores = "tasks.scoring.points:PointScoring"
    deciding = ("radius_error", "high_quality")
    beside = ("reverse_kl",)
    fewest = 1  # the truth is known

    def is_in(self, data: DataParams) -> bool:
        return data.scheme == "points"

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        import hashlib

        import numpy as np

        from tasks.validation.inspection import Inspection, Row, each_told, read_npy

        points = read_npy(raw, "points.npy")
        if points.dtype != np.float32 or points.ndim != 2 or points.shape[1] < 1:
            raise DataError(f"{raw.folder}: points.npy: holds {points.dtype} {points.shape}; expected float32 (N, D)")
        finite = np.isfinite(points).all(axis=1)

        def row(number: int) -> Row:
            path, sha256 = f"points.npy#{number}", hashlib.sha256(np.ascontiguousarray(points[number]).data).hexdigest()
            if finite[number]:
                return Row(path, sha256, number=number)
            return Row(path, sha256, reason=f"not finite: ({', '.join(f'{value:g}' for value in points[number])})")

        return Inspection(each_told(map(row, range(len(points))), len(points), on_row), None, points)

    def pack(self, folder: Path, good: Good, data: DataParams, raw: RawReader) -> Points:
        from gan_core.kinds.points import Points

        return Points.pack(folder, {split: good.samples[numbers] for split, numbers in good.numbers().items()}, raw.truth)

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        from gan_core.kinds.points import Points

        super().check(dataset, params)
        if Points.of(dataset.spec).truth is None:
            raise DataError("points: the distribution that they were drawn from is not known, so there is nothing to score against")

    def drift_of(self, samples: NDArray[np.float32], spec: Points) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        columns = samples.astype("float64")
        return {f"x{axis}": column for axis, column in enumerate(columns.T)}, columns[:, :MOST_FEATURES]

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        import numpy as np

        from gan_core.pictures import save_png, scatter

        points = samples.samples
        header = ",".join(f"x{axis}" for axis in range(points.shape[1]))

        def csv(path: Path) -> None:
            np.savetxt(path, points, fmt="%.9g", delimiter=",", header=header, comments="")

        files = {".png": lambda path: save_png(scatter(points), path), ".csv": csv}
        return Written({"points": points}, files, lambda folder: csv(folder / "points.csv"))

    def answer(self, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
        import pandas as pd

        return with_labels(pd.DataFrame({f"x{axis}": column for axis, column in enumerate(samples.samples.T)}), samples, classes)

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        return [*(("float", f"x{axis}") for axis in range(config.shape[0])), *label_column(config)]
