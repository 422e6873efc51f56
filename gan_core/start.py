"""What a training takes over from the end of another one: each tensor that has a place, by its name and shape. The rest begins anew.

Taken are the players' weights, the average, and the moments of the optimisers; what other trainings resume from as well, such as
StyleGAN2-ADA's (Karras et al., 2020, `--resume`, which takes tensors by name), though without the moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.errors import ConfigError
from gan_core.kinds.pairs import Pairs
from gan_core.kinds.schema import Schema
from gan_core.kinds.table import Table

LEAST = 0.01
"""Share of the numbers in a training's weights that a start has to have for them. What has less is of another game or network, in which a
bias or two fit by chance."""


@dataclass(frozen=True)
class Takeover:
    """What fits."""

    tensors: Mapping[str, Tensor]
    """Those of the start that have a place, by name."""
    new: Mapping[str, str]
    """Why each of the others begins anew, by its name."""
    numbers: int
    """In all tensors that have to be filled."""
    by_class: Mapping[str, str] = field(default_factory=dict)
    """Of those that are taken row by row, what was taken and what is new, in words, by name."""
    fresh: int = 0
    """Numbers of new rows in them."""
    moments: tuple[int, int] = (0, 0)
    """Of how many weights the optimisers' moments were taken, and how many weights there are, each counted by each optimiser."""
    shrink: float | None = None
    """What weights are multiplied by before fresh ones times the rest are added (Ash and Adams, 2020); None: they come over as they are."""
    exchanged: Sequence[str] = ()
    """Names of those in which what belongs to inputs and what belongs to samples have changed places: the start's pairs run the other
    way round."""

    @property
    def as_there(self) -> tuple[str, ...]:
        """The players, as names of tensors begin, whose weights `shrink` leaves as they are: what a discriminator learned of the same
        pairs, the other way round, holds here."""
        return tuple(sorted({name.rpartition("/")[0] for name in self.exchanged}))

    @property
    def share(self) -> float:
        """Of the numbers that have to be filled, those that were taken; 0 to 1."""
        return (sum(tensor.numel() for tensor in self.tensors.values()) - self.fresh) / self.numbers if self.numbers else 0.0

    @property
    def in_words(self) -> str:
        """In a line; up to three of the new tensors by name."""
        told = f"{len(self.tensors):,} of {len(self.tensors) + len(self.new):,} tensors taken over ({self.share:.1%} of the numbers)"
        told += f", with the moments of {self.moments[0]:,} of {self.moments[1]:,} weights" if self.moments[1] else ""
        if self.shrink is not None:
            but = f" but of {', '.join(self.as_there)}" if self.as_there else ""
            told += f", weights times {self.shrink:g} with fresh ones times {1 - self.shrink:g}{but}"
        if self.exchanged:
            told += f", the pairs there run the other way round: input and output exchanged in {', '.join(self.as_there)}"
        told += f"; by the names of their rows: {next(iter(self.by_class.values()))}" if self.by_class else ""
        first = [f"{name} ({why})" for name, why in list(self.new.items())[:3]]
        more = ["..."] if len(self.new) > len(first) else []
        return told + (f"; new: {', '.join([*first, *more])}" if first else "")

    def as_record(self) -> dict[str, Any]:
        """As JSON holds it, tensor by tensor."""
        return {
            "share": round(self.share, 6),
            "taken": sorted(self.tensors),
            "new": dict(sorted(self.new.items())),
            **({} if self.shrink is None else {"shrink": self.shrink}),
            **({"exchanged": sorted(self.exchanged)} if self.exchanged else {}),
            **({"by_class": dict(sorted(self.by_class.items()))} if self.by_class else {}),
            "moments": {"taken": self.moments[0], "of": self.moments[1]},
        }


Names = tuple[Sequence[str], Sequence[str]]
"""Of the rows of one of my tensors, and of those of theirs."""


def take_over(
    mine: Mapping[str, Tensor],
    theirs: Mapping[str, Tensor],
    named: Mapping[str, Names] | None = None,
    side_by_side: Mapping[str, int] | None = None,
) -> Takeover:
    """Choose from `theirs` what has the name, the shape and the type of one of `mine`.

    Args:
        mine: a fresh state, by name; it is not changed.
        theirs: the state of another training, by name.
        named: the names of a tensor's rows, classes or words, where both are known. Where they differ, rows follow their names; of other
            tensors, rows are taken as they stand.
        side_by_side: of tensors in which inputs and samples are to change places, how many numbers in a row are the samples' here.
    """
    side_by_side = side_by_side or {}
    named = named or {}
    taken, new, rows, fresh = dict[str, Tensor](), dict[str, str](), dict[str, str](), 0
    for name, tensor in mine.items():
        there = theirs.get(name)
        if there is None:
            new[name] = "not there"
        elif name in named and list(named[name][0]) != list(named[name][1]) and _are_rows(tensor, there, named[name]):
            wanted, offered = named[name]
            of = {one: row for row, one in enumerate(offered)}
            known, others = [row for row, one in enumerate(wanted) if one in of], [one for one in wanted if one not in of]
            taken[name] = tensor.clone()
            taken[name][known] = there[[of[wanted[row]] for row in known]]
            fresh += len(others) * tensor[0].numel()
            rows[name] = f"{len(known):,} of {len(wanted):,} rows" + (f", new: {', '.join(others[:3])}" if others else "")
        elif there.shape != tensor.shape:
            new[name] = f"{tuple(there.shape)} there, {tuple(tensor.shape)} here"
        elif there.dtype != tensor.dtype:
            new[name] = f"{str(there.dtype).removeprefix('torch.')} there, {str(tensor.dtype).removeprefix('torch.')} here"
        else:
            taken[name] = exchanged(there, side_by_side[name]) if name in side_by_side else there
    numbers = sum(tensor.numel() for tensor in mine.values())
    return Takeover(taken, new, numbers, rows, fresh, exchanged=[name for name in side_by_side if name in taken])


def exchanged(tensor: Tensor, of_samples: int) -> Tensor:
    """A tensor (N, ...), or a vector, of which each row has numbers of an input and then of a sample, of pairs the other way round.

    Args:
        of_samples: how many are of a sample in what is returned, and of an input in what is given.

    >>> from torch import arange
    >>> exchanged(arange(10).reshape(2, 5), 2).tolist()
    [[2, 3, 4, 0, 1], [7, 8, 9, 5, 6]]
    """
    rows = tensor.flatten(1) if tensor.dim() > 1 else tensor
    return rows.roll(-of_samples, -1).view(tensor.shape)


def are_reversed(here: DatasetSpec, there: DatasetSpec) -> bool | None:
    """Whether two data sets are the same pairs, one of them the other way round, by the digests of what training sees; None where they are
    not the same pairs, or no pairs, so that nobody knows."""
    if not (isinstance(here, Pairs) and isinstance(there, Pairs)):
        return None
    mine, theirs = (tuple(spec.sha256.get(file) for file in ("train.npy", "train_inputs.npy")) for spec in (here, there))
    return None if None in mine else {mine: False, mine[::-1]: True}.get(theirs)


def _are_rows(mine: Tensor, theirs: Tensor, names: Names) -> bool:
    alike = mine.shape[1:] == theirs.shape[1:] and mine.dtype == theirs.dtype
    return alike and (len(mine), len(theirs)) == (len(names[0]), len(names[1]))


def described_as(dataset: Dataset, schema: Schema | None) -> tuple[Dataset, str]:
    """A data set as the networks of another training know it, and what that means in words: of a table, its numbers in the modes and
    spikes of `schema`, the columns of that training, where those suit its rows. Any other data set as it is, and no words.

    Otherwise a few new rows would describe a number by a mode more or less, and the layers beside the rows would have to begin anew.
    """
    if schema is None or not isinstance(dataset.spec, Table):
        return dataset, ""
    found, anew = dataset.spec.schema.described_as(schema, dataset.samples["train"])
    count = sum(column.kind == "number" for column in found.columns)
    names = ", ".join(anew[:3]) + (", ..." if len(anew) > 3 else "")
    said = f"; {count - len(anew)} of {count} numbers described as there" + (f", anew: {names}" if anew else "")
    return replace(dataset, spec=replace(dataset.spec, schema=found)), said


def check_fits(found: Takeover) -> None:
    """See that a start is one for this training.

    Raises:
        ConfigError: it has less than `LEAST` of the numbers.
    """
    if found.share < LEAST:
        raise ConfigError(
            f"it fits nothing here: {found.in_words}. It is of another game or network; write train.start: scratch, or a start of these"
        )


def moments_taken(
    weights: Sequence[Tensor], theirs: Mapping[str, Tensor], names: frozenset[str], *, same_network: bool
) -> dict[int, dict[str, Tensor]]:
    """An optimiser's moments, by the number of the weight that they belong to: of each weight all, or none.

    Args:
        weights: those that the optimiser moves, in its order.
        theirs: the moments of the other training's optimiser, as `3/exp_avg`.
        names: of the moments that this optimiser keeps of each weight.
        same_network: whether the other training's weights had the same names. Moments are known by numbers alone, which otherwise are
            those of other weights; then none is taken.
    """
    state: dict[int, dict[str, Tensor]] = {}
    if not same_network:
        return state
    for number, weight in enumerate(weights):
        moments = {name: theirs[f"{number}/{name}"].clone() for name in names if f"{number}/{name}" in theirs}
        if moments.keys() == names and all(moment.shape in (weight.shape, ()) for moment in moments.values()):
            state[number] = moments
    return state
