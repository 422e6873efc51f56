"""The shared frame of the stage modules: `python -P -m tasks.STAGE NAME`, run by DVC in the workspace's root."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping

from gan_core.errors import ConfigError, GantryError
from tasks.graph import dvc_files
from tasks.params import Entry, load_entry
from tasks.system.imports import all_imported, nothing_to_collect
from tasks.system.memory import keep_what_is_freed
from tasks.system.processes import OWN_CODE, die_with, is_orphan_of_dvc
from tasks.workspace import Workspace, current

_OF_THE_MACHINE: Mapping[int | None, str] = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make the workspace writable",
    errno.EACCES: "give this user the right to",
    errno.EPERM: "give this user the right to",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close what holds files open",
    errno.ENOMEM: "free memory",
}
"""What to do about an error that is the machine's, by its number."""


def stage_main(stage: Callable[[Workspace, str, Entry], object]) -> None:
    """Run one stage for the generator named on the command line, and end the process with the right exit code.

    Expected errors go to stderr as `error: ...` lines without a traceback.
    """
    os.environ.update(OWN_CODE)
    keep_what_is_freed()
    all_imported()
    die_with(os.getppid())  # a killed `dvc` leaves no trainer behind
    if is_orphan_of_dvc():
        sys.exit(128 + signal.SIGTERM)
    try:
        if len(sys.argv) != 2:
            raise ConfigError(f"usage: python -P -m tasks.{stage.__name__} NAME, with NAME an entry of params.yaml")
        workspace = current()
        dvc_files.keep(workspace)
        stage(workspace, sys.argv[1], load_entry(workspace.root, sys.argv[1]))
    except (GantryError, OSError) as error:
        sys.exit(report(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        nothing_to_collect()


def report(error: GantryError | OSError) -> int:
    """Print an expected error as a person should see it; returns the exit code.

    Raises:
        OSError: as `expected`.
    """
    error = expected(error)
    for line in str(error).splitlines():
        print(f"error: {line}", file=sys.stderr)
    return error.exit_code


def expected(error: GantryError | OSError) -> GantryError:
    """An expected error, in words where it is the machine's.

    Raises:
        OSError: the error itself, where it is none of those that the machine is to blame for.
    """
    if isinstance(error, GantryError):
        return error
    if error.errno not in _OF_THE_MACHINE:
        raise error
    where = f"{error.filename}: " if error.filename else ""
    return GantryError(f"{where}{error.strerror}; {_OF_THE_MACHINE[error.errno]}, and run it again")
