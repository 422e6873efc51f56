"""Ends of clips that a generator makes of held-out beginnings, against the real ones, beside repeating the last frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.generator import Generator
from gan_core.kinds.clips import Clips
from gan_core.kinds.predictions import continued, flattened, in_rows, repeated
from gan_core.metrics.pairs import ssims
from tasks.scoring.pairs import Columns, PairScoring, columns_of
from tasks.scoring.scoring import chosen

_ROWS, _FILMS = 6, 16
_FRAMES = 4  # of a clip among near-copies


class PredictionScoring(PairScoring):
    """As pairs are judged; the plain way, which needs no learning, is to repeat the last frame that is given."""

    def extractor_data(self, dataset: Dataset) -> Dataset:
        """The ends as clips: networks that judge see time as a side, whatever those that play see."""
        spec = dataset.spec
        return Dataset(Clips(spec.shape, spec.counts, sha256=spec.sha256), dataset.samples, {})

    def plain(self, dataset: Dataset, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return repeated(inputs, dataset.spec.shape[1])

    def columns(self, dataset: Dataset, made: NDArray[np.uint8], real: NDArray[np.uint8], inputs: NDArray[np.uint8]) -> Columns:
        return {**columns_of(flattened(made), flattened(real)), "last_ssim": ssims(made[:, :, -1], real[:, :, -1])}

    def pictured(self, spec: DatasetSpec, samples: NDArray[Any]) -> NDArray[np.uint8]:
        return pictures.strips(samples, _FRAMES)

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        """`generated` has two rows of each clip, with the end that is generated, and with the real one below it; `real` has the latter."""
        inputs, made, real = _shown(generator, dataset, seed, _ROWS)
        return {"generated": in_rows(inputs, made, real), "real": in_rows(inputs, real)}

    def films(self, generator: Generator, dataset: Dataset, seed: int) -> dict[str, NDArray[np.uint8]]:
        inputs, made, real = _shown(generator, dataset, seed, _FILMS)
        return {name: pictures.film(continued(inputs, ends)) for name, ends in (("generated", made), ("real", real))}


def _shown(generator: Generator, dataset: Dataset, seed: int, n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Beginnings, their generated and their real ends."""
    order = chosen(dataset, "holdout", n, seed)
    inputs, real = (np.array(part["holdout"][order]) for part in (dataset.inputs, dataset.samples))
    return inputs, generator.translate(inputs).samples, real
