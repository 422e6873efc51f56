"""Images by label, for translation from one label to another, or from one number to another."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from gan_core.errors import DataError
from tasks.kinds.pixels import PixelKind

if TYPE_CHECKING:
    from gan_core.data.dataset import Dataset
    from gan_core.kinds.attributes import Attributed
    from tasks.params import DataParams, EvaluateParams
    from tasks.validation.packing import Good


class AttributeKind(PixelKind):
    """Images of one size with labels, whose groups, where `data.group` tells them, may hold the partner of a translation."""

    layouts = ("attributes",)
    hint = "data.layout: attributes takes a folder a label, or a file of labels"
    makes = "images from images, by label"
    ask = "input"
    scores = "tasks.scoring.attributes:AttributeScoring"
    beside = ("label_accuracy", "label_error", "input_recall", "partner_ratio")
    holds_out_each_class = True
    fewest_of_each = 4

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        super().check(dataset, params)
        there = Counter(dataset.labels["holdout"].tolist())
        for index, name in enumerate(dataset.spec.classes or ()):
            if there[index] < self.fewest_of_each:
                raise DataError(
                    f"{there[index]} held-out images with label {name} are too few to score with, at least {self.fewest_of_each} are "
                    "needed; raise data.holdout, add samples, or leave the label out"
                )

    def _pack(self, folder: Path, good: Good, data: DataParams) -> Attributed:
        from gan_core.kinds.attributes import Attributed

        if good.labels is None:
            raise DataError(
                "data.layout: attributes translates between labels, and the images have none; name a source with a folder a label, or set "
                "data.labels to a file that says them"
            )
        groups = None if data.group is None else _numbered(good, data.group)
        return Attributed.pack(folder, good.pictures(good.numbers(), data.channels), good.labels, good.classes, groups)


def _numbered(good: Good, pattern: str) -> dict[str, list[int]]:
    """A number for the group of each sample of each split; -1: of none."""
    from tasks.validation.groups import groups_of

    paths = [row.path for rows in good.rows.values() for row in rows]
    found = dict(zip(paths, groups_of(paths, pattern), strict=True))
    number = {name: index for index, name in enumerate(sorted({name for name in found.values() if name is not None}))}
    return {split: [-1 if (name := found[row.path]) is None else number[name] for row in rows] for split, rows in good.rows.items()}
