"""What DVC writes in place, so that a kill may leave half of it: dvc.lock, and its list of running stages. Both are put right here.

DVC refuses everything until then, by either door. A stage keeps a copy of dvc.lock at its start; what is lost with the half-written one
is the entry of the stage that had just ended, whose results DVC's run-cache still has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gan_core.files import replacing
from tasks.workspace import Workspace

_CONFLICT = b"<<<<<<<"  # a merge that a person has to settle


def keep(workspace: Workspace) -> None:
    """Keep a copy of dvc.lock for `mend`, where it is whole."""
    lock = workspace.root / "dvc.lock"
    if lock.exists() and _is_lock(lock):
        workspace.private.mkdir(exist_ok=True)
        with replacing(_kept(workspace)) as unfinished:
            shutil.copyfile(lock, unfinished)


def mend(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Put right what a killed DVC left half-written. A file that a living DVC is writing at this moment is waited for.

    Args:
        say: told what was done.
    """
    running, lock = workspace.root / ".dvc" / "tmp" / "rwlock", workspace.root / "dvc.lock"
    if (not running.exists() or _is_json(running)) and (not lock.exists() or _is_lock(lock)):
        return
    from dvc.lock import make_lock
    from dvc.repo import Repo, lock_repo
    from dvc.rwlock import RWLOCK_LOCK

    with Repo(str(workspace.root.resolve()), _wait_for_lock=True) as repo, lock_repo(repo):
        with make_lock(str(running.with_name(RWLOCK_LOCK)), tmp_dir=str(running.parent), wait=True):
            if running.exists() and not _is_json(running):
                running.unlink()
                say(f"note: {running.relative_to(workspace.root)} was left half-written by a DVC that was killed; removed")
        if lock.exists() and not _is_lock(lock) and _CONFLICT not in lock.read_bytes():
            damaged = workspace.private / "dvc.lock.damaged"
            damaged.parent.mkdir(exist_ok=True)
            shutil.copyfile(lock, damaged)
            with suppress(FileNotFoundError), replacing(lock) as unfinished:
                shutil.copyfile(_kept(workspace), unfinished)
            if not _is_lock(lock):
                lock.unlink()
            say(
                f"note: dvc.lock was left half-written by a DVC that was killed; as it was before the last stage, it is back "
                f"(the damaged one is {damaged.relative_to(workspace.root)})"
            )


def _kept(workspace: Workspace) -> Path:
    return workspace.private / "dvc.lock"


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True  # its writer has removed it
    except ValueError:
        return False
    return True


def _is_lock(path: Path) -> bool:
    """Whether DVC can read it, and it does not end within a line. DVC's own schema takes a third of a second to load."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        found = YAML(typ="safe").load(text)
    except FileNotFoundError:
        return True
    except (YAMLError, ValueError):
        return False
    stages = found.get("stages") if isinstance(found, dict) and "schema" in found else None
    return text.endswith("\n") and isinstance(stages, dict) and all(isinstance(one, dict) and "cmd" in one for one in stages.values())
