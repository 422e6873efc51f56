"""Which snapshot of a training is shipped: the last one, or the best by a score on data that it is not trained on.

The score is whatever a function makes of a snapshot's averaged generator. A generator may get worse again before its budget is spent
(where data are few, or the players lose their balance), and which snapshot is best is a choice like any other: it is made on data of its
own, or what judges the generator afterwards is flattered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from gan_core import checkpoint
from gan_core.generator import Generator

_BEST = "best"


@dataclass(frozen=True)
class Score:
    """What a snapshot scored."""

    metric: str
    value: float
    """Finite."""
    lower_is_better: bool

    def beats(self, other: Score) -> bool:
        """Whether it is better; an equal one is not."""
        return self.value < other.value if self.lower_is_better else self.value > other.value


Scorer = Callable[[Generator], Score | None]
"""Scores a snapshot, on its own data; None where nothing can be told of it, as of a generator that draws one sample. Neither the random
state nor the generator's weights have to be left as they are."""


@dataclass(frozen=True)
class Selection:
    """The best snapshot so far, and its whole state; a value, so that what a checkpoint holds of it is all there is."""

    score: Score | None = None
    images: int = 0
    """Of the best snapshot."""
    state: Mapping[str, Tensor] | None = None
    """All that it holds, by name, on the CPU; None where there is none yet, and in all processes of a group but the first."""
    scored: int = 0
    """Snapshots that were looked at."""
    last: Score | None = None
    """Of the snapshot that was looked at last."""
    looked: int = 0
    """Its images."""

    def after(self, score: Score | None, images: int, state: Callable[[], Mapping[str, Tensor]]) -> Selection:
        """With a snapshot of so many images, whose state is asked for where it is the best."""
        looked = replace(self, scored=self.scored + 1, last=score, looked=images)
        if score is None or (self.score is not None and not score.beats(self.score)):
            return looked
        kept = {name: tensor.detach().cpu().clone() for name, tensor in state().items()}
        return replace(looked, score=score, images=images, state=kept)

    def is_over(self, patience: float | None, budget: int) -> bool:
        """Whether no snapshot was better for that share of the budget; never, where it is None."""
        return patience is not None and self.score is not None and self.looked - self.images >= patience * budget

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it."""
        return {} if self.state is None else checkpoint.flatten({_BEST: self.state})

    @property
    def facts(self) -> dict[str, Any]:
        """The rest of that, as JSON holds it."""
        scores = {key: None if score is None else asdict(score) for key, score in (("score", self.score), ("last", self.last))}
        return {"images": self.images, "scored": self.scored, "looked": self.looked, **scores}

    @classmethod
    def of(cls, saved: checkpoint.Checkpoint) -> Selection:
        """As a checkpoint holds it."""
        facts = saved.facts.get("selection")
        if facts is None:
            return cls()
        scores = {key: None if facts[key] is None else Score(**facts[key]) for key in ("score", "last")}
        return cls(images=facts["images"], scored=facts["scored"], looked=facts["looked"], **scores,
                   state=checkpoint.subtree(saved.tensors, _BEST) or None)  # fmt: skip

    def as_record(self, seen: int, budget: int) -> dict[str, Any]:
        """What is shipped, and why, as JSON holds it; with the images that were seen in the end, and the budget."""
        shipped = self.score
        return {
            "images": seen if shipped is None else self.images,
            "seen": seen,
            "budget": budget,
            "scored": self.scored,
            "metric": None if shipped is None else shipped.metric,
            "value": None if shipped is None else shipped.value,
            "last": None if self.last is None else self.last.value,
        }


def in_words(record: Mapping[str, Any], unit: str) -> str:
    """`Selection.as_record` in a line; `unit` is what samples are called."""
    if record["metric"] is None:
        return f"none of {record['scored']} snapshots could be scored; the last is shipped"
    early = (
        f"; ended early, nothing better came in {record['seen'] - record['images']:,} {unit}" if record["seen"] < record["budget"] else ""
    )
    shipped = (
        f"the snapshot at {record['images']:,} of {record['budget']:,} {unit} is shipped, its {record['metric']} of {record['value']:g}"
    )
    if record["images"] == record["seen"]:
        return f"{shipped} is the best of {record['scored']}; it is the last one"
    last = "the last could not be scored" if record["last"] is None else f"the last had {record['last']:g}"
    return f"{shipped} is the best of {record['scored']} ({last}){early}"
