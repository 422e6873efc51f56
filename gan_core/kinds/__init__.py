"""Kinds of data: a module a kind, and the one list of them.

A kind is a class: the specification of a data set of that kind, with only the fields that it has. Everything else asks it: how samples
are packed from arrays, how networks see them, how what networks make goes back to what a person sees, what a preview shows.
"""

from __future__ import annotations

from gan_core.named import Named

KINDS = Named(
    "gantry.kinds",
    "kind of data",
    {
        "images": "gan_core.kinds.images:Images",
        "points": "gan_core.kinds.points:Points",
        "pairs": "gan_core.kinds.pairs:Pairs",
        "unpaired": "gan_core.kinds.unpaired:Unpaired",
        "attributes": "gan_core.kinds.attributes:Attributed",
        "captions": "gan_core.kinds.captions:Captioned",
        "table": "gan_core.kinds.table:Table",
        "sounds": "gan_core.kinds.sounds:Sounds",
        "volumes": "gan_core.kinds.volumes:Volumes",
        "clips": "gan_core.kinds.clips:Clips",
        "sentences": "gan_core.kinds.sentences:Sentences",
        "predictions": "gan_core.kinds.predictions:Predictions",
    },
)
"""By the name that `dataset.json` and `config.json` have."""
