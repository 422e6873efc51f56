"""Images, with labels or without, in stacks or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.kinds.pixels import PixelKind

if TYPE_CHECKING:
    from gan_core.kinds.images import Images
    from gan_core.kinds.pixels import Spool
    from tasks.params import DataParams
    from tasks.validation.inspection import Inspection, Row


class ImageKind(PixelKind):
    """Images of one size."""

    layouts = ("images",)
    makes = "images"
    scores = "tasks.scoring.images:ImageScoring"
    beside = ("label_accuracy",)

    def _pack(self, folder: Path, spool: Spool, inspection: Inspection, packed: Mapping[str, Sequence[Row]], data: DataParams) -> Images:
        images = pack_images(folder, spool, inspection, packed, 1 if data.stack else data.channels)
        return images.stack(folder, data.seed) if data.stack else images


def pack_images(folder: Path, spool: Spool, inspection: Inspection, packed: Mapping[str, Sequence[Row]], channels: int | None) -> Images:
    """The images with their labels, where there are any; `channels` None: as most of them have."""
    from gan_core.kinds.images import Images
    from tasks.validation.packing import labels_of, numbers_of, pictures

    return Images.pack(folder, pictures(spool, numbers_of(packed), channels), labels_of(packed, inspection.classes), inspection.classes)
