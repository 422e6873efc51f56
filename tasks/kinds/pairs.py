"""Images, each with the one that it is to be made of: partners from the source, or images spoiled on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.errors import ConfigError
from gan_core.params.common import is_pretrained
from tasks.kinds.images import pack_images
from tasks.kinds.pixels import PixelKind

if TYPE_CHECKING:
    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.kinds.pairs import Pairs
    from gan_core.metrics.features import ExtractorKind
    from tasks.params import DataParams, EvaluateParams
    from tasks.validation.annotated import Annotated
    from tasks.validation.image_files import ImageFiles
    from tasks.validation.inspection import Row
    from tasks.validation.packing import Good


class PairKind(PixelKind):
    """Images of one size, each with its input."""

    layouts = ("side-by-side", "paired-folders")
    hint = "data.layout: side-by-side or paired-folders, or data.corruption, makes pairs of it"
    makes = "images from images"
    ask = "input"
    scores = "tasks.scoring.pairs:PairScoring"
    deciding = ("whitened_kid", "fid", "kid")
    beside = ("partner_recall",)

    def is_in(self, data: DataParams) -> bool:
        return super().is_in(data) or (data.has_images and data.corruption is not None)

    def _rows(self, files: ImageFiles, about: Annotated) -> tuple[Iterator[Row], int]:
        from tasks.validation.pairing import partner_rows, side_by_side_rows

        own = {"side-by-side": side_by_side_rows, "paired-folders": partner_rows}
        return own.get(files.data.layout, super()._rows)(files, about)

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        from gan_core.kinds.pairs import Pairs

        if params.features == "segmentation":
            if not Pairs.of(spec).is_plain or Pairs.of(spec).inputs not in ((1, *spec.shape[1:]), (3, *spec.shape[1:])):
                raise ConfigError(
                    f"generators.{name}.evaluate.features: segmentation is for label maps of 8 bits in grey or RGB; use random"
                )
            if Pairs.of(spec).corruption is not None:
                raise ConfigError(
                    f"generators.{name}.evaluate.features: segmentation needs label maps as inputs, not spoiled images; use random"
                )
            return "segmentation"
        return super().features(name, spec, params) if params.features == "classifier" or is_pretrained(params.features) else "random"

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        super().check(dataset, params)
        if params.features == "segmentation":
            from gan_core.metrics.segmentation import SegmentationExtractor

            SegmentationExtractor.colours(dataset)

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Pairs:
        from gan_core.kinds.pairs import Pairs
        from tasks.validation.packing import corruption_seed

        if data.corruption is not None:
            images = pack_images(folder, good, data.channels)
            seeds = {split: [corruption_seed(row.content, data.seed) for row in rows] for split, rows in good.rows.items()}
            return Pairs.spoil(folder, images, data.corruption, seeds)
        made, given = (good.pictures(good.numbers(attribute), data.channels) for attribute in ("number", "given"))
        return Pairs.pack(folder, made, given)
