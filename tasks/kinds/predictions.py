"""Ends of clips, predicted from their first frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.kinds.clips import ClipKind
from tasks.kinds.kind import Written
from tasks.kinds.pixels import refuse_pretrained, refuse_segmentation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gan_core.data.dataset import DatasetSpec
    from gan_core.generator import Samples
    from gan_core.kinds.pixels import Pixels, SpoolRows
    from gan_core.metrics.features import ExtractorKind
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams
    from tasks.validation.packing import Good


class PredictionKind(ClipKind):
    """Clips (C, F, H, W), each with what comes before it."""

    keys = ClipKind.keys | {"given"}
    layouts = ()
    chosen_by = "; data.given makes predictions of clips"
    hint = "data.given: 4 makes it the first frames of clips and the others, which are predicted from these"
    makes = "clips that go on from the frames that are given"
    ask = "input"
    scores = "tasks.scoring.predictions:PredictionScoring"
    beside = ("partner_recall",)

    def is_in(self, data: DataParams) -> bool:
        return data.given is not None and data.layout in ClipKind.layouts

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Pixels:
        from gan_core.kinds.predictions import Predictions

        clips = good.pictures(good.numbers(), data.channels)
        given = data.given or 0
        ends = {split: _Frames(rows, given, data.frames) for split, rows in clips.items()}
        return Predictions.pack(folder, ends, {split: _Frames(rows, 0, given) for split, rows in clips.items()}, data.every)

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        refuse_pretrained(name, params, self.called)
        refuse_segmentation(name, params)
        return "random"

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        """Behind the frames that were given, where these are there."""
        from dataclasses import replace

        from gan_core.kinds.predictions import continued

        whole = samples if given is None else replace(samples, samples=continued(given.images, samples.samples))
        return super().written(whole, classes, given)


@dataclass(frozen=True)
class _Frames:
    """Some of the frames of clips, gone through as the rows of an array."""

    clips: SpoolRows
    start: int
    stop: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.clips.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        count, channels, _, *sides = self.clips.shape
        return count, channels, self.stop - self.start, *sides

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (clip[:, self.start : self.stop] for clip in self.clips)
