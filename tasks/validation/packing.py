"""What a sample's content decides, such as the split that it belongs to, and what of the samples goes into the arrays."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gan_core.data.dataset import Split
from tasks.validation.inspection import NUMBER

if TYPE_CHECKING:
    from gan_core.kinds.pixels import SpoolRows
    from tasks.validation.inspection import Inspection, Row


def split_of(sha256: str, seed: int, holdout: float) -> Split:
    """Which split a sample belongs to: a function of its content's digest (hexadecimal), the seed and the share, and nothing else.

    The digest with the seed is hashed to a number uniform in [0, 1); below `holdout` the sample is held out. So equal files are
    always on one side, new files never move old ones, and a larger share only moves samples from train to holdout.
    """
    return "holdout" if _draw(sha256, seed) < holdout else "train"


def splits_of(
    keys: Sequence[str],  # of each sample, the digest (hexadecimal) that its side depends on
    labels: Sequence[str | None],
    seed: int,
    holdout: float,
    fewest: int,  # held-out samples that scores need
    fewest_of_each: int,  # the same of each label
    selection: float | None = None,  # kept apart for choosing among snapshots: the share, or how many
) -> list[Split]:
    """The split of each sample, as `split_of` has it; where that holds out fewer than scores need, those that are next in the draw too.

    At most half of the samples, and of each label's, are held out that way: the rest is to train on. What is kept for selection comes next
    in the draw, so asking for it moves nothing that is held out; scores need as many of it, and again it is at most half of what is left
    where a number is asked for, or needed.
    """
    held = {key for key in keys if split_of(key, seed, holdout) == "holdout"}
    _top_up(held, keys, labels, seed, fewest, fewest_of_each)
    chosen: set[str] = set()
    if selection is not None:
        left = [(key, label) for key, label in zip(keys, labels, strict=True) if key not in held]
        share, number = (0.0, int(selection)) if selection >= 1 else (selection, 0)
        chosen |= {key for key, _ in left if _draw(key, seed) < holdout + share} if share else set()
        _top_up(chosen, [key for key, _ in left], [label for _, label in left], seed, max(number, fewest), fewest_of_each)
    return ["holdout" if key in held else "selection" if key in chosen else "train" for key in keys]


def joined(keys: Sequence[str], pairs: Sequence[Sequence[int]]) -> list[str]:
    """The keys (N) that sides are drawn by, with one for all that pairs of indices join, however far: the first of theirs by alphabet."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, (one, other) = len(keys), zip(*pairs, strict=True) if pairs else ((), ())
    graph = coo_array(([1] * len(pairs), (one, other)), shape=(n, n))
    parts: list[int] = connected_components(graph, directed=False)[1].tolist()
    first: dict[int, str] = {}
    for part, key in zip(parts, keys, strict=True):
        first[part] = min(key, first.get(part, key))
    return [first[part] for part in parts]


def _top_up(kept: set[str], keys: Sequence[str], labels: Sequence[str | None], seed: int, fewest: int, fewest_of_each: int) -> None:
    """Add to what is kept those that are next in the draw, until they are enough; at most half of all, and of each label's."""

    def add(members: Counter[str], fewest: int) -> None:
        count, most = sum(members[key] for key in members if key in kept), sum(members.values()) // 2
        for key in sorted(members.keys() - kept, key=lambda key: _draw(key, seed)):
            if count < fewest and count + members[key] <= most:
                kept.add(key)
                count += members[key]

    if fewest_of_each:
        of_label: dict[str | None, Counter[str]] = defaultdict(Counter)
        for key, label in zip(keys, labels, strict=True):
            of_label[label][key] += 1
        for members in of_label.values():
            add(members, fewest_of_each)
    add(Counter(keys), fewest)


def _draw(sha256: str, seed: int) -> float:
    """Of a digest (hexadecimal), uniform in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{sha256}".encode()).digest()[:8], "big") / 2**64


def corruption_seed(sha256: str, seed: int) -> int:
    """What a sample's corruption is drawn from, 0 to 2**64 - 1: a function of its content's digest and the seed, as its split is."""
    return int.from_bytes(hashlib.sha256(f"corruption:{seed}:{sha256}".encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Good:
    """The good samples of a data set, on their way into arrays."""

    rows: Mapping[str, Sequence[Row]]
    """Of each split, in the order of the source."""
    inspection: Inspection

    @property
    def samples(self) -> Any:
        """As `Inspection.samples`."""
        return self.inspection.samples

    @property
    def classes(self) -> tuple[str, ...] | None:
        """As `Inspection.classes`."""
        return self.inspection.classes

    @property
    def labels(self) -> dict[str, list[Any]] | None:
        """Of each split, the index of its samples' classes, or their numbers where labels are these; None where there are neither."""
        facts = {split: [row.facts for row in rows] for split, rows in self.rows.items()}
        if any(one is not None and NUMBER in one for of in facts.values() for one in of):
            return {split: [float(one[NUMBER]) for one in of if one is not None] for split, of in facts.items()}
        index = {label: i for i, label in enumerate(self.classes or ())}
        return {split: [index[row.label] for row in rows if row.label is not None] for split, rows in self.rows.items()} if index else None

    def numbers(self, attribute: Literal["number", "given"] = "number", label: str | None = None) -> dict[str, list[int]]:
        """Of each split, where its samples, or those of one label, are found."""
        rows = {split: [row for row in rows if label in (None, row.label)] for split, rows in self.rows.items()}
        return {split: [number for row in of if (number := getattr(row, attribute)) is not None] for split, of in rows.items()}

    def usual_channels(self, numbers: Mapping[str, Sequence[int]]) -> int:
        """1 where most of the pictures of these numbers are grey, 3 otherwise."""
        usual: int = self.samples.usual_channels(number for of in numbers.values() for number in of)
        return usual

    def pictures(self, numbers: Mapping[str, Sequence[int]], channels: int | None) -> dict[str, SpoolRows]:
        """Of each split the pictures of these numbers; `channels` None: as most of them have."""
        channels = channels or self.usual_channels(numbers)
        return {split: self.samples.rows(of, channels) for split, of in numbers.items()}
