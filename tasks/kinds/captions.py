"""Images with one or several captions each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.errors import ConfigError, DataError
from gan_core.params.common import is_pretrained
from tasks.kinds.pixels import PixelKind

if TYPE_CHECKING:
    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.generator import GeneratorConfig
    from gan_core.kinds.captions import Captioned
    from gan_core.metrics.features import ExtractorKind
    from tasks.params import DataParams, EvaluateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.annotated import Annotated
    from tasks.validation.packing import Good


class CaptionKind(PixelKind):
    """Images of one size and their captions."""

    layouts = ("captions",)
    makes = "images from text"
    ask = "prompt"
    scores = "tasks.scoring.captions:CaptionScoring"
    beside = ("caption_recall",)

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        super().features(name, spec, params)  # refuses a classifier
        if is_pretrained(params.features):
            raise ConfigError(f"generators.{name}.evaluate.features: images with captions are compared by a matcher; use auto")
        return "matching"

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        super().check(dataset, params)
        if len(set(dataset.captions["holdout"].texts)) < 2:
            raise DataError("all held-out captions are the same, so an image cannot be matched to its own; raise data.holdout")

    def _annotated(self, raw: RawReader, data: DataParams) -> Annotated:
        from tasks.validation.annotated import by_caption_file

        return by_caption_file(raw, data.captions)

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Captioned:
        from gan_core.kinds.captions import Captioned

        told = good.inspection.captions or {}
        captions = {split: [told[row.path] for row in rows] for split, rows in good.rows.items()}
        return Captioned.pack(folder, good.pictures(good.numbers(), data.channels), captions)

    def facts(self, spec: Captioned) -> Mapping[str, Any]:
        from gan_core.kinds.sentences import UNKNOWN_SHOWN

        return {"words": ["", UNKNOWN_SHOWN, *spec.vocabulary]}

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        return [*super().answered(config), ("string", "prompt"), ("string", "unknown_words")]
