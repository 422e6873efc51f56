"""What DVC writes in place, so that a kill may leave half of it: dvc.lock, and its list of running stages. Both are put right here.

DVC refuses everything until then, by either door. A stage keeps a copy of dvc.lock at its start; what is lost with the half-written one
is the entry of the stage that had just ended, whose results DVC's run-cache still has.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gan_core.files import replacing
from tasks import params
from tasks.workspace import Workspace

FORMER = frozenset(
    {
        "5ceeff98ad829a1a3ed9fb09df9ed24913fe6e19083521194b4d57bf203a7204",
        "63024760fb4c080a29d139c0a46bab16a20b7422155772a2f88fdd5a2670ac42",
        "ee36627ce6b2b4aa2aeae4089a5c1e5614b5d225233b8dcb9a68f028c2a6e50b",
        "d67c335689eaa3f0bd826ce198480e50fd7327441339420a101af62c4441e7bd",
        "7e2f22d8f6d374e46797ec3bcd3f7863c433008f1a13526299bcc63f7c9d79b4",
        "84b9d314076d2a2d9a5d846936a16f065cc5ec625f5b33f3a426b2a06f897eee",
    }
)
"""SHA-256 of each dvc.yaml that Gantry shipped before the present one. Whoever changes that file adds the one before."""


def is_former(workspace: Workspace) -> bool:
    """Whether dvc.yaml is, byte for byte, one that an earlier Gantry shipped."""
    return hashlib.sha256((workspace.root / "dvc.yaml").read_bytes()).hexdigest() in FORMER


def check_settled(workspace: Workspace) -> None:
    """See that no merge of git was left unsettled in DVC's files.

    Raises:
        ConfigError: one was; says where, and what to do.
    """
    for name, remedy in (
        ("dvc.yaml", "edit it by hand, or take Gantry's with `gantry upgrade`"),
        ("dvc.lock", "take one side whole, `git checkout --ours dvc.lock` or `--theirs`; what differs from it then runs again"),
    ):
        with suppress(FileNotFoundError, UnicodeDecodeError):
            path = workspace.root / name
            params.check_settled(path.read_text(encoding="utf-8"), str(path), remedy)


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

    Raises:
        ConfigError: as `check_settled`.
    """
    check_settled(workspace)
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
        if lock.exists() and not _is_lock(lock):
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
