"""What every recipe can be told: strict sections, budgets, cadences, the optimiser."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeGuard, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from gan_core.errors import ConfigError
from gan_core.named import Named

PositiveInt = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]

SCRATCH, CHAMPION = "scratch", "champion"
"""What `train.start` may be beside a reference or a folder."""

Kind = str
"""Name of a kind of data, as `gan_core.kinds.KINDS` has it."""
Patch = Literal[16, 34, 70]
"""Side, in pixels, of the patches that a PatchGAN's discriminator judges."""
AbsoluteLoss = Literal["non-saturating", "least-squares", "hinge"]
"""Games in which the generator's loss asks how real its samples are, not whether more so than real ones (relativistic)."""
Pretrained = Literal["inception", "dinov2-vit-s-14", "dinov2-vit-b-14", "dinov2-vit-l-14", "clip-vit-b-32"]
"""Networks by whose features published distances are measured, fitted on photographs."""
Corruption = Literal["mask", "downsample", "noise", "grey"]
"""How `gan_core.kinds.corruptions` spoils images."""


def is_pretrained(features: str) -> TypeGuard[Pretrained]:
    """Whether features are those of a network that is downloaded, where others are fitted."""
    return features in get_args(Pretrained)


class Strict(BaseModel):
    """A section of params.yaml: immutable, no unknown keys, no silent conversions, nothing infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, validate_default=True)


class OneOf:
    """Reads a section as the class of a list that one of its keys names: a union of classes that other packages can add to."""

    def __init__(self, known: Named, tag: str, default: str) -> None:
        self.known = known
        self.tag = tag
        self.default = default

    def chosen(self, section: Mapping[str, Any]) -> type[Strict]:
        """The class that a section is read as.

        Raises:
            ConfigError: there is none of that name.
        """
        found: type[Strict] = self.known.named(str(section.get(self.tag, self.default)))
        return found

    def __call__(self, section: object) -> object:
        if not isinstance(section, Mapping):
            return section
        try:
            chosen = self.chosen(section)
        except ConfigError as error:
            wrong = InitErrorDetails(
                type=PydanticCustomError("value_error", "{what}", {"what": str(error)}), loc=(self.tag,), input=section
            )
            raise ValidationError.from_exception_data(self.tag, [wrong]) from None
        return chosen.model_validate(section)


Depth = Literal[8, 16, "float"]
"""What the values of images are kept in: uint8, uint16 or float32."""
Fit = Literal["crop", "pad", "stretch", "random-crop"]
"""How images of another shape are brought to the one that is asked for."""
FITS: Mapping[Fit, str] = {
    "crop": "their central part, scaled",
    "pad": "the whole, scaled, with white beside it",
    "stretch": "the whole, stretched",
    "random-crop": "parts of them, not scaled",
}
"""The same in words."""
FEWEST_PIXELS: Mapping[Patch, int] = {16: 8, 34: 16, 70: 32}
"""On the shorter side of an image, for a discriminator of such patches."""

Sides = tuple[int, ...]
"""Height and width of an image, in pixels."""


def sides_in_words(sides: Sides) -> str:
    """Height and width as params.yaml has them: 64, or [96, 64]."""
    return f"{sides[0]}" if len({*sides}) == 1 else f"[{', '.join(map(str, sides))}]"


def nearest_sides(sides: Sides, fits: Callable[[Sides], bool]) -> Sides:
    """The sides that fit and are nearest: those that change least in all, smaller ones first; a square stays one."""
    for change in range(1, 2 * max(sides) + 64):
        if len({*sides}) == 1:
            shifts: Iterable[tuple[int, ...]] = ((by,) * len(sides) for by in (-change, change))
        else:
            each = itertools.product(range(-change, change + 1), repeat=len(sides))
            shifts = (shift for shift in each if sum(map(abs, shift)) == change)
        for shift in shifts:
            found = tuple(side + by for side, by in zip(sides, shift, strict=True))
            if min(found) > 0 and fits(found):
                return found
    return sides


def halvings(side: int) -> tuple[int, int] | None:
    """How often a side can be halved, at least once, down to between 4 and 7 pixels, and that smallest side; None where it cannot."""
    smallest, count = side, 0
    while smallest % 2 == 0 and smallest >= 8:
        smallest, count = smallest // 2, count + 1
    return (count, smallest) if count and 4 <= smallest <= 7 else None


def common_halvings(sides: Sides) -> tuple[int, Sides] | None:
    """How often all sides of an image can be halved, the shorter one as `halvings` says, and the smallest sides; None where they cannot."""
    found = halvings(min(sides))
    if found is None or any(side % 2 ** found[0] for side in sides):
        return None
    return found[0], tuple(side // 2 ** found[0] for side in sides)


def misfit_of_halvings(sides: Sides, what: str) -> str | None:
    """What is wrong with `data.size` where a network, `what`, halves both sides down to 4 to 7 pixels, in words; None where it can."""
    if common_halvings(sides) is not None:
        return None
    how = "4, 5, 6 or 7" if len({*sides}) == 1 else "4, 5, 6 or 7 on the shorter side, and the other one as often,"
    nearest = nearest_sides(sides, lambda other: common_halvings(other) is not None)
    return f"data.size: {sides_in_words(sides)} cannot be halved down to {how} as {what}; the nearest that can is {sides_in_words(nearest)}"


def misfit_of_multiple(sides: Sides, multiple: int, least: int = 1) -> str | None:
    """What is wrong with `data.size` where both sides have to be multiples from `least` on, in words; None where they are."""

    def fits(other: Sides) -> bool:
        return all(side % multiple == 0 and side >= least for side in other)

    if fits(sides):
        return None
    what = f"no multiple of {multiple}" + (f" from {least} on" if least > 1 else "")
    return f"{sides_in_words(sides)}, {what}; the nearest that fits is {sides_in_words(nearest_sides(sides, fits))}"


def _is_number_of_processes(value: object) -> object:
    if value == "auto" or (type(value) is int and 1 <= value <= 1024):
        return value
    raise ValueError(f"{str(value)[:80]!r} is neither a number from 1 to 1024 nor auto")


# Looked at before pydantic tries one type after the other, and speaks of each.
Processes = Annotated[int | Literal["auto"], BeforeValidator(_is_number_of_processes)]


class OptimizerParams(Strict):
    """Adam for both players (RMSprop where the WGAN paper asks for it)."""

    name: Literal["adam", "rmsprop"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    generator_learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """None: the same as the discriminator's."""
    decay: Probability = 0.0
    """Share of the budget, at its end, over which both learning rates fall to 0 in a straight line."""
    betas: Annotated[tuple[Probability, Probability], Field(strict=False)] = (0.0, 0.99)


class TrainParams(Strict):
    """What every recipe shares. Cadences and budgets are counted in images (or points) that the discriminator saw."""

    kinds: ClassVar[tuple[str, ...]]
    """The data that this game can be played on."""
    game: ClassVar[str | type]
    """The `Recipe` that plays it, as module:class or the class itself."""
    apart: ClassVar[int] = 0
    """Images between two snapshots that are scored, at least, where `select_every` does not say."""
    least: ClassVar[int] = 200_000
    """Of the images of a budget that nobody has set."""
    rounds: ClassVar[int] = 15
    """Such a budget shows each training sample at least so often."""
    warm_share: ClassVar[float] = 1.0
    """Of such a budget, what a training with a start has."""

    recipe: str
    images: PositiveInt | None = None
    """The budget: training ends when this many real samples were shown. None: by the number of training samples and the start
    (`settled`)."""
    start: Annotated[str, Field(min_length=1, max_length=1_024)] = SCRATCH
    """What the players, their optimisers' moments and the average begin with: `scratch`, nothing; `champion`, the one in use, and nothing
    while there is none; `NAME`, another generator's champion; `NAME/VERSION`; or the path of a folder with a checkpoint, such as
    models/NAME. What does not fit begins anew. Rates, noise and the order of the data begin anew in any case."""
    replay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """With a version as start: the share of each batch that is from the data that it was trained on, so that nothing is forgotten. None:
    the new data alone."""
    take: Literal["all", "generator"] = "all"
    """With a start: whose weights, average and moments come over. `generator`: those of the player that is shipped alone; whoever judges
    begins anew."""
    shrink: Annotated[float, Field(gt=0, lt=1)] | None = None
    """With a start: what its weights are multiplied by, before fresh ones times the rest are added (shrink and perturb: Ash and Adams,
    2020). Features stay, and what was learned too surely is let go: for a start from other data. None: weights come over as they are."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    batch: Annotated[int, Field(ge=2, le=65_536)] = 64
    optimizer: OptimizerParams = OptimizerParams()
    ema: Annotated[int, Field(ge=0)] | None = None
    """Half-life, in images, of the averaged generator that is shipped; 0 ships the raw one. None: the budget / 20, at most 500,000."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    """`auto`: bf16 for convolutions where the processor has it, float32 otherwise and for everything else."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Processor threads. None: one for points, one a core for images. Where several trainings share the cores, 1 each is far faster:
    threads that wait for each other lose whole time slices. Results are equal bit for bit at equal numbers only."""
    compile: Literal["off", "auto", "on"] = "off"
    """Whether a step is one graph, compiled for this processor (torch.compile): 1.3 to 2.2 times the steps a second of small dense
    networks, after half a minute of compiling. `auto`: where it can be and the budget has steps enough to pay for that; `on`: or the run
    ends with the reason. Compiled steps end with other last bits, so versions made without are made again with `off` alone."""
    processes: Processes = 1
    """Processes on each host that share every batch. `auto`: one a GPU, or one a core where there is none; fewer where the batch does not
    come out even. Losses are those of one process up to the order of float sums."""
    accumulate: Annotated[int, Field(ge=1, le=65_536)] = 1
    """Parts that each process plays its share of a batch in, one after another, for a batch that does not fit into memory. What looks
    at a batch as a whole (batch normalisation, `batch_distance`, wrong captions) sees a part of it."""
    watch: Literal["stop", "off"] = "stop"
    """`stop` ends a run whose generator has collapsed or gets no gradient any more (`gan_core.watch`) instead of spending the budget."""
    restarts: Annotated[int, Field(ge=0, le=10)] = 0
    """How often a lost run (collapsed, or a value that is not finite) is started again, each time with the next seed."""
    log_every: PositiveInt | None = None
    """None: 200 times in a run."""
    preview_every: PositiveInt | None = None
    """None: 10 times in a run."""
    select: Literal["last", "best"] = "last"
    """Which snapshot is shipped: the last, or the best by the metric that decides between versions, on the part of the data that
    `data.selection` keeps for it. Both players of that snapshot are what later trainings start from, too."""
    select_every: PositiveInt | None = None
    """With select best: how often a snapshot is scored. None: 20 times in a run, tables at most once in 50,000 rows."""
    patience: Annotated[float, Field(gt=0, le=1)] | None = None
    """With select best: the share of the budget in which no snapshot was better that ends a run. None: the budget is spent."""
    checkpoint_every: PositiveInt | None = None
    """None: 20 times in a run. Never changes the result, only how much a crash costs."""

    @model_validator(mode="after")
    def _is_selected(self) -> Self:
        for key in ("select_every", "patience"):
            if self.select == "last" and getattr(self, key) is not None:
                raise ValueError(f"{key}: is about choosing among snapshots, and select is last; set select: best, or leave it out")
        return self

    @model_validator(mode="after")
    def _has_something_to_replay(self) -> Self:
        if self.replay is not None and self.start == SCRATCH:
            raise ValueError(
                "replay shows data that a start was trained on, and start is scratch; set start: champion, or leave replay out"
            )
        return self

    @model_validator(mode="after")
    def _has_something_to_take(self) -> Self:
        for key, is_set in (("take", self.take != "all"), ("shrink", self.shrink is not None)):
            if is_set and self.start == SCRATCH:
                raise ValueError(f"{key} is about the weights of a start, and start is scratch; set start: champion, or leave {key} out")
        return self

    @model_validator(mode="after")
    def _is_even(self) -> Self:
        processes = 1 if self.processes == "auto" else self.processes
        if processes * self.accumulate > 1 and not self.is_even(processes):
            raise ValueError(f"batch: {self.batch} samples do not come out even in {self._parts(processes)}; change one of them")
        return self

    def settled(self, samples: int, is_warm: bool) -> Self:
        """With the number of images, where it was left open.

        Args:
            samples: in the training split.
            is_warm: whether the training has a start.
        """
        if self.images is not None:
            return self
        whole = max(self.least, self.rounds * samples)
        return self.model_copy(update={"images": round(whole * self.warm_share) if is_warm else whole})

    @property
    def learns_by_heart(self) -> bool:
        """Whether more than the images of `settled` make no better generator, but one that knows the samples of its training."""
        return False

    @property
    def scored_every(self) -> int:
        """Images between two snapshots that are scored."""
        return self.select_every or max(-(-self.budget // 20), self.apart)

    @property
    def budget(self) -> int:
        """`images`, once that is settled."""
        assert self.images is not None, "settle the parameters first"  # noqa: S101
        return self.images

    def is_even(self, processes: int) -> bool:
        """Whether the batch can be split among so many processes into parts of equal size."""
        return self.batch % (processes * self.accumulate) == 0

    def uncompiled(self, kind: str) -> str | None:
        """Why no step on data of a kind is compiled, in words, as far as parameters tell; None where nothing speaks against it."""
        return f"the steps of recipe {self.recipe} are no single graph yet; those of gan with dense networks, and of tabular, are"

    def uncompiled_as_set(self) -> str | None:
        """The same of the settings that all recipes share."""
        told = {
            "device: cuda": self.device == "cuda",
            "precision: bf16": self.precision == "bf16",
            "optimizer.name: rmsprop": self.optimizer.name == "rmsprop",
            f"processes: {self.processes}": self.processes != 1,
            f"accumulate: {self.accumulate}": self.accumulate > 1,
        }
        found = [setting for setting, is_set in told.items() if is_set]
        return f"steps with train.{found[0]} are not compiled" if found else None

    def _parts(self, processes: int) -> str:
        """What the batch is split by, in words."""
        return f"{processes} x {self.accumulate} parts (train.processes x train.accumulate)"

    def problems(self, kind: str, size: Sides | None) -> list[str]:
        """What does not fit the data, as lines that begin with the key below the entry.

        Args:
            kind: of the data.
            size: images' height and width in pixels, where they are known.
        """
        return []
