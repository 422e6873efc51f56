"""What the stages ask of a kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gan_core.errors import DataError
from gan_core.named import located

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.metrics.features import ExtractorKind
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.scoring.scoring import Scoring
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow
    from tasks.validation.packing import Good

MOST_FEATURES = 32
"""Features by which drift compares samples as a whole, at most."""
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Expected:
    """What a column of the manifest holds in every row; a value, whatever it is, where neither of the two is given."""

    column: str
    words: str
    """With the keys of params.yaml that it depends on."""
    between: tuple[float, float] | None = None
    among: Sequence[str] | None = None


@dataclass(frozen=True)
class Written:
    """How samples become files."""

    arrays: Mapping[str, NDArray[Any]]
    """What `.npz` holds beside labels and prompts."""
    files: Mapping[str, Callable[[Path], None]]
    """What writes them to one file, by its suffix."""
    each: Callable[[Path], None]
    """What writes them into a folder, each for itself as far as that is usual."""


@dataclass(frozen=True)
class Shown:
    """A sample on a page of its own kind."""

    picture: NDArray[np.uint8]
    """(C, H, W)."""
    words: str
    """What the picture is of."""
    sound: bytes | None = None
    """A WAV file."""
    film: bytes | None = None
    """A WebP file that moves, which stands in the picture's place."""


class DataKind(ABC):
    """How the stages treat one kind of data. What its samples are to networks stands in `gan_core.kinds`.

    These modules are imported with params.yaml, by every command, so they import heavy libraries where they use them.
    """

    keys: ClassVar[frozenset[str]] = frozenset()
    """Of the entry's `data` section, what is only for it and for kinds that name it too."""
    limits: ClassVar[frozenset[str]] = frozenset()
    """Of the entry's `validate` section, the same."""
    family: ClassVar[str]
    """What those kinds together are called in messages."""
    layouts: ClassVar[tuple[str, ...]] = ()
    """The values of `data.layout` that make it of images."""
    chosen_by: ClassVar[str] = ""
    """What makes a source hold it, as the end of a message that its keys are given where it does not."""
    hint: ClassVar[str] = ""
    """How a source comes to hold it, where the same source can hold another kind, too."""
    makes: ClassVar[str]
    """What its generators make, as a version's description says it."""
    called: ClassVar[str] = "samples"
    """What its samples are called in messages."""
    shown_as: ClassVar[str] = ".png"
    """The suffix of the file that shows them."""
    kept_as: ClassVar[Mapping[str, str]] = {"png": "PNG", "npz": "arrays"}
    """Suffixes of files that the studio offers to keep samples as, and what they are called there."""
    is_read: ClassVar[bool] = False
    """Whether the studio shows its samples as rows of text rather than as pictures."""
    is_printed: ClassVar[bool] = False
    """Whether `gantry sample` prints its samples where no file is named; otherwise they become one in any case."""
    values_alone: ClassVar[bool] = False
    """Whether an exported network ends at its `values`, since the way from these to samples is no graph."""
    keeps_one_core: ClassVar[bool] = False
    """Whether nothing in a training step is large enough to share: a second thread only waits, and takes a core from the next training."""
    ask: ClassVar[str] = "label"
    """The column by which a row of a request asks the served model for one sample."""
    scores: ClassVar[str | type[Scoring]]
    """How its generators are judged: a class, or where it is (module:class)."""
    deciding: ClassVar[tuple[str, ...]]
    """Scores that decide between two generators: the first of them that was measured, and that can tell the two apart."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Scores that see what the deciding one is blind to, and decide together with it unless the entry names a metric."""
    holds_out_each_class: ClassVar[bool] = False
    """Whether data with a class of which nothing is held out is refused."""
    fewest: ClassVar[int] = 10
    """Held-out samples below which no score means anything."""
    fewest_of_each: ClassVar[int] = 0
    """Held-out samples of each class, or of each of two kinds without partners, that scores need."""

    @abstractmethod
    def is_in(self, data: DataParams) -> bool:
        """Whether it is what a training gets to see of a source."""

    @abstractmethod
    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        """Look at every sample of a raw data set.

        Args:
            spool: a file to put decoded samples in.
            on_row: told how many samples are done, of how many.

        Raises:
            DataError: a file that holds many samples does not hold what it should, or raw is damaged.
        """

    def decoder(self, data: DataParams, limits: ValidateParams) -> Callable[[bytes], object] | None:
        """What opens one file as `inspect` does, and raises UnusableError; None where its head tells as much, or it holds many samples."""
        return None

    def expected(self, limits: ValidateParams) -> Sequence[Expected]:
        """What Great Expectations looks for in the manifest, beside what it looks for in every kind's."""
        return ()

    @abstractmethod
    def pack(self, folder: Path, good: Good, data: DataParams, raw: RawReader) -> DatasetSpec:
        """Write the good samples of each split, in their order, as a packed data set.

        Raises:
            DataError: they cannot be what `data` makes of them.
        """

    @abstractmethod
    def drift_of(self, samples: NDArray[Any], spec: Any) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        """Of some samples the numbers that drift looks at one by one, (N,) each, and the features that it looks at together, (N, D)."""

    def drift_categories(self, dataset: Dataset) -> Mapping[str, Mapping[str, int]]:
        """How often each category of each column stands in the training split."""
        return {}

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind | None:
        """The features that `name`'s data is compared by; None where it needs none.

        Raises:
            ConfigError: `evaluate.features` asks for something that the data has not.
        """
        return None

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        """Refuse data that cannot be scored on, before anything is trained, fitted or drawn.

        Raises:
            DataError: naming what is missing, and what to change.
        """
        self._check_counts({"samples": dataset.spec.counts["holdout"]})

    def _check_counts(self, held_out: Mapping[str, int]) -> None:
        for what, count in held_out.items():
            if count < self.fewest:
                raise DataError(
                    f"{count} held-out {what} are too few to score with, at least {self.fewest} are needed; "
                    "raise data.holdout or add samples"
                )

    @property
    def scoring(self) -> Scoring:
        """How its generators are judged and shown."""
        scoring: type[Scoring] = located(self.scores)
        return scoring()

    def default_metric(self, measured: Mapping[str, float], undecided: Mapping[str, str] = _NONE) -> str:
        """The metric that decides between two generators, unless the entry says otherwise.

        Args:
            measured: the scores.
            undecided: scores that can tell no two generators apart here, and why (`Evidence.undecided`).
        """
        there = [metric for metric in self.deciding if metric in measured] or self.deciding[:1]
        return next((metric for metric in there if metric not in undecided), there[0])

    def measured_by(self) -> Mapping[str, str]:
        """What scores depend on beside data and generator, as evaluation.json says it."""
        return {}

    @abstractmethod
    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        """How samples become files; `classes` are the names of their labels, `given` what they were made from, one for each."""

    def lines(self, samples: Samples) -> Sequence[str]:
        """Samples as `gantry sample` prints them where no file is named, a line each, if `is_printed`."""
        return ()

    def shown(self, samples: Samples) -> Sequence[Shown]:
        """Each sample as a page shows it; nothing where one picture of all, `.png` of `written`, is the better one."""
        return ()

    @abstractmethod
    def answer(self, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
        """The served model's answer, a row a sample, its label's name last where it has one; None for a gap."""

    def records(self, samples: Samples, classes: tuple[str, ...] | None) -> list[dict[str, Any]]:
        """The same, a record a row."""
        return [{str(key): value for key, value in row.items()} for row in self.answer(samples, classes).to_dict("records")]

    def holds(self, spec: Any) -> Mapping[str, str]:
        """What an exported network's `samples` and `values` are, in words."""
        return {"samples": "in the data's own units", "values": "what the samples are made of, as the network sees them"}

    def facts(self, spec: Any) -> Mapping[str, Any]:
        """What it takes beside these to get to what a person reads or hears, by name; JSON's types."""
        return {}

    @abstractmethod
    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        """MLflow's type and the name of each column that a generator answers with."""


def with_labels(frame: DataFrame, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
    """The columns of an answer and, where there are labels, `label`: the name of each sample's class, or its number."""
    names = samples.label_names(classes)
    return frame if names is None else frame.assign(label=names)


def label_column(config: GeneratorConfig) -> list[tuple[str, str]]:
    """As `DataKind.answered` has it."""
    return [] if config.condition is None else [("double" if config.classes is None else "string", "label")]
