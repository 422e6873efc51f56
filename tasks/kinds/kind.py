"""What the stages ask of a kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from gan_core.data.dataset import DatasetSpec
    from tasks.params import DataParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow, Row


@dataclass(frozen=True)
class Expected:
    """What a column of the manifest holds in every row; a value, whatever it is, where neither of the two is given."""

    column: str
    words: str
    """With the keys of params.yaml that it depends on."""
    between: tuple[float, float] | None = None
    among: Sequence[str] | None = None


class DataKind(ABC):
    """How the stages treat one kind of data. What its samples are to networks stands in `gan_core.kinds`.

    These modules are imported with params.yaml, by every command, so they import heavy libraries where they use them.
    """

    holds_out_each_class: ClassVar[bool] = False
    """Whether data with a class of which nothing is held out is refused."""

    @abstractmethod
    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        """Look at every sample of a raw data set.

        Args:
            spool: a file to put decoded samples in.
            on_row: told how many samples are done, of how many.

        Raises:
            DataError: a file that holds many samples does not hold what it should, or raw is damaged.
        """

    def expected(self, limits: ValidateParams) -> Sequence[Expected]:
        """What Great Expectations looks for in the manifest, beside what it looks for in every kind's."""
        return ()

    @abstractmethod
    def pack(
        self, folder: Path, inspection: Inspection, packed: Mapping[str, Sequence[Row]], data: DataParams, raw: RawReader
    ) -> DatasetSpec:
        """Write the good samples of each split, in their order, as a packed data set.

        Raises:
            DataError: they cannot be what `data` makes of them.
        """
