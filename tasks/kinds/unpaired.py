"""Two kinds of images without partners, for translation from one to the other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.kinds.pixels import PixelKind, refuse_bands, refuse_segmentation

if TYPE_CHECKING:
    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.kinds.unpaired import Unpaired
    from gan_core.metrics.features import ExtractorKind
    from tasks.params import DataParams, EvaluateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.annotated import Annotated
    from tasks.validation.packing import Good


class UnpairedKind(PixelKind):
    """Images of one size from two domains, whose folders are their classes until they are packed."""

    layouts = ("unpaired-folders",)
    hint = "data.layout: unpaired-folders takes two folders of it"
    makes = "images from images without partners"
    ask = "input"
    scores = "tasks.scoring.unpaired:UnpairedScoring"
    beside = ("translated", "input_recall")
    holds_out_each_class = True
    fewest_of_each = PixelKind.fewest

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        refuse_segmentation(name, params)
        refuse_bands(name, spec, params)
        return "classifier" if params.features == "auto" else params.features

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        from gan_core.kinds.unpaired import Unpaired

        domains = zip(Unpaired.of(dataset.spec).domains, (dataset.inputs, dataset.samples), strict=True)
        self._check_counts({f"images of {name}": len(images["holdout"]) for name, images in domains})

    def _annotated(self, raw: RawReader, data: DataParams) -> Annotated:
        from tasks.validation.annotated import by_folder

        return by_folder(raw, are_labels=True)

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Unpaired:
        from gan_core.kinds.unpaired import Unpaired
        from tasks.sources.raw import safe_path

        channels = data.channels or good.usual_channels(good.numbers())
        given, made = safe_path(data.domains[0]), safe_path(data.domains[1])
        inputs, targets = (good.pictures(good.numbers(label=domain), channels) for domain in (given, made))
        return Unpaired.pack(folder, targets, inputs, (given, made))
