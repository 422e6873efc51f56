"""Images, with labels or without, in stacks or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.errors import ConfigError
from tasks.kinds.pixels import PixelKind

if TYPE_CHECKING:
    from gan_core.data.dataset import DatasetSpec
    from gan_core.kinds.images import Images
    from gan_core.metrics.features import ExtractorKind
    from tasks.params import DataParams, EvaluateParams
    from tasks.validation.packing import Good


class ImageKind(PixelKind):
    """Images of one size."""

    layouts = ("images",)
    makes = "images"
    scores = "tasks.scoring.images:ImageScoring"
    deciding = ("whitened_kid", "fid", "kid")
    beside = ("label_accuracy", "label_error", "reverse_kl")

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind:
        from gan_core.kinds.images import Images

        found = super().features(name, spec, params)
        if Images.of(spec).stacked is None:
            return found
        if params.features not in ("auto", "classifier"):
            raise ConfigError(
                f"generators.{name}.evaluate.features: stacked images are compared by a classifier of their channels; use auto"
            )
        return "stacked" if found == "classifier" else found

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Images:
        images = pack_images(folder, good, 1 if data.stack else data.channels)
        return images.stack(folder, data.seed) if data.stack else images


def pack_images(folder: Path, good: Good, channels: int | None) -> Images:
    """The images with their labels, where there are any; `channels` None: as most of them have."""
    from gan_core.kinds.images import Images

    return Images.pack(folder, good.pictures(good.numbers(), channels), good.labels, good.classes)
