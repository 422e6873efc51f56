"""What validation set aside: each sample once, with the reason, and its bytes to look at."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gan_core.errors import ConfigError, DataError
from tasks.sources.raw import RawReader
from tasks.workspace import Workspace


@dataclass(frozen=True)
class SetAside:
    """One sample that cannot be used."""

    path: str
    """As it stands in raw; of a row of a table, its number."""
    reason: str

    @property
    def kind(self) -> str:
        """What the reason is in general; what is special to this sample stands behind a colon."""
        return self.reason.partition(":")[0]


def set_aside(workspace: Workspace, name: str) -> list[SetAside]:
    """The quarantine of `name`'s last validation, whether it let the data pass or not, in the order of the source.

    Raises:
        DataError: there was none, or its list is damaged.
    """
    path = workspace.ready(name) / "quarantine.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [SetAside(row["path"], row["reason"]) for row in csv.DictReader(file)]
    except FileNotFoundError:
        commands = f"`dvc repro validate@{name}` brings and checks the data alone, `gantry run {name}` trains too"
        raise DataError(f"{name}: its data was not validated yet; {commands}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: damaged ({error}); run the validate stage again") from None


def copy_out(workspace: Workspace, name: str, samples: Sequence[SetAside], folder: Path) -> int:
    """Write the files that were set aside below a new `folder`, as they came; returns how many.

    Rows of tables, and samples that the source no longer has, have no file of their own and are passed over.

    Raises:
        ConfigError: the folder is there already.
        DataError: raw is missing or damaged.
    """
    if folder.exists():
        raise ConfigError(f"{folder}: is there already; name a new folder")
    wanted = {sample.path for sample in samples}
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with RawReader.open(workspace.raw(name)) as raw:
        found = [member for member in raw.members if member.path in wanted]
        for number, member in enumerate(found):
            # Numbered, and flat: nothing in a path of the source decides where a file is written.
            target = temporary / f"{number:06d}-{Path(member.path).name[-80:]}"
            temporary.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw.read(member))
    if found:
        temporary.rename(folder)
    return len(found)
