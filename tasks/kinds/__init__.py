"""How the stages treat each kind of data: a module a kind, and the one list of them.

Whoever has to do with a kind asks `of`; no stage, page or command tells kinds apart itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_core.named import Named
from gan_core.params.common import Kind
from tasks.kinds.kind import DataKind

if TYPE_CHECKING:
    from gan_core.data.dataset import Dataset
    from tasks.params import EvaluateParams

KINDS = Named(
    "gantry.tasks.kinds",
    "kind of data",
    {
        "images": "tasks.kinds.images:ImageKind",
        "points": "tasks.kinds.points:PointKind",
        "pairs": "tasks.kinds.pairs:PairKind",
        "unpaired": "tasks.kinds.unpaired:UnpairedKind",
        "attributes": "tasks.kinds.attributes:AttributeKind",
        "captions": "tasks.kinds.captions:CaptionKind",
        "table": "tasks.kinds.table:TableKind",
        "sounds": "tasks.kinds.sounds:SoundKind",
        "volumes": "tasks.kinds.volumes:VolumeKind",
        "clips": "tasks.kinds.clips:ClipKind",
        "sentences": "tasks.kinds.sentences:SentenceKind",
        "predictions": "tasks.kinds.predictions:PredictionKind",
    },
)
"""By the names of `gan_core.kinds.KINDS`."""


def of(name: Kind) -> DataKind:
    """The kind of data of that name.

    Raises:
        ConfigError: there is none; says the nearest.
    """
    kind: DataKind = KINDS.named(name)()
    return kind


def check(name: str, dataset: Dataset, params: EvaluateParams) -> None:
    """Refuse what evaluate could not score, before anything is trained.

    Raises:
        ConfigError: `name`'s entry asks for features that the data has not.
        DataError: the held-out data is too little, or nothing can be told from it.
    """
    kind = of(dataset.spec.kind)
    kind.features(name, dataset.spec, params)
    kind.check(dataset, params)
