"""What lies in DVC's cache, and nothing refers to any more.

Like `dvc gc`, with more that is kept: what the registry's versions were made from stands in no dvc.lock once the next run has replaced it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gan_core.errors import GantryError
from gan_core.files import replacing
from tasks.graph import run_cache


def unreferenced(repo: Any, needed: Iterable[str]) -> list[Path]:
    """Files of the cache that can go, in the order in which they should: first what names others.

    Kept is what dvc.lock names, in git also that of each branch and tag; what `needed` names; and whatever a finished stage that made any
    of this left besides, so that DVC's run-cache can still bring it back.

    Args:
        repo: DVC's view of the workspace (`tasks.graph.repro.idle`).
        needed: DVC hashes; that of a folder (`.dir`) stands for all that is in it.

    Raises:
        GantryError: it cannot be told what is needed; names the damaged file.
    """
    cache = repo.cache.local
    named = _named_by_locks(repo) | set(needed)
    runs = {path: _outputs(path) for path in sorted(run_cache.files(repo))}
    kept = [outputs for outputs in runs.values() if outputs & named]
    keep = {digest for value in named.union(*kept) for digest in _whole(cache, value)}
    objects = sorted((digest for digest in cache.all() if digest not in keep), key=lambda digest: (not digest.endswith(".dir"), digest))
    return [*(path for path, outputs in runs.items() if not outputs & named), *(Path(cache.oid_to_path(digest)) for digest in objects)]


def remember(repo: Any, present: Callable[[dict[str, Any]], dict[str, Any] | None]) -> int:
    """Enter what DVC's run-cache remembers of a stage under what the stage is now, too.

    Args:
        present: takes a run as dvc.lock would have it, and returns it as it would be now; None where it stays as it is.

    Returns:
        How many runs were not remembered so.
    """
    from dvc.utils.serialize import ParseError, dump_yaml, load_yaml

    entered = 0
    for path in list(run_cache.files(repo)):
        try:
            run = present(load_yaml(path))
        except (ParseError, KeyError, TypeError, AttributeError):
            continue  # damaged, and of no use to DVC either
        if run is None:
            continue
        there = run_cache.place_of(repo, run)
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            with replacing(there) as unfinished:
                dump_yaml(str(unfinished), run)
            entered += 1
    return entered


def is_shared(repo: Any) -> bool:
    """Whether the cache lies outside of the workspace, where others may use it too."""
    return not Path(repo.cache.local_cache_dir).resolve().is_relative_to(Path(repo.root_dir).resolve())


def _named_by_locks(repo: Any) -> set[str]:
    """Hashes that the workspace's dvc.lock names, and in git those of all branches and tags."""
    from dvc.exceptions import DvcException
    from dvc.scm import NoSCM

    git = not isinstance(repo.scm, NoSCM)
    try:
        used = repo.used_objs(all_branches=git, all_tags=git)
    except DvcException as error:
        raise GantryError(
            f"{repo.root_dir}: DVC cannot tell what is in use ({' '.join(str(error).split())}); nothing was removed"
        ) from None
    return {found.value for hashes in used.values() for found in hashes if found.value}


def _outputs(run: Path) -> set[str]:
    """Hashes of what a stage left, by its entry in the run-cache; none where that is damaged."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return {out["md5"] for out in YAML(typ="safe", pure=True).load(run)["outs"]}
    except (YAMLError, ValueError, KeyError, TypeError):
        return set()


def _whole(cache: Any, value: str) -> set[str]:
    """A hash with those of everything in it, as far as this cache has it; what is only in a remote names nothing here."""
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree
    from dvc_objects.errors import ObjectFormatError

    if not value.endswith(".dir"):
        return {value}
    try:
        tree = Tree.load(cache, HashInfo(cache.hash_name, value))
    except FileNotFoundError:
        return {value}
    except ObjectFormatError:
        raise GantryError(
            f"{cache.oid_to_path(value)}: damaged, so that nobody can tell what it needs; remove it, and `dvc pull` or retrain"
        ) from None
    return {value, *(found.value for _, _, found in tree)}
