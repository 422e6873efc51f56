"""DVC's run-cache: its memory of what stages made of what, a file for each run.

DVC restores from it and offers nothing more, so what Gantry needs besides goes by names that are DVC's own, tested with DVC 3.67. All of
them are here. Where one is gone or takes something else, `tests/tasks/graph/test_run_cache.py` says which.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FUNCTIONS = ("_can_hash", "_get_stage_hash", "_get_cache_hash")
"""Of dvc.stage.cache."""
METHODS = ("_load", "_create_stage", "_uncached_outs", "_get_cache_dir", "_get_cache_path", "_cache_type_copy")
"""Of its class StageCache."""


def files(repo: Any) -> Iterator[Path]:
    """Each run that is remembered, a file of YAML."""
    return (path for path in Path(repo.stage_cache.cache_dir).glob("*/*/*") if path.is_file())


def folder(repo: Any, stage: Any) -> Path | None:
    """Where runs of a stage with its present dependencies are remembered; None of a stage that is remembered by nothing."""
    from dvc.stage.cache import _can_hash, _get_stage_hash

    return Path(repo.stage_cache._get_cache_dir(_get_stage_hash(stage))) if _can_hash(stage) else None


def place_of(repo: Any, run: Mapping[str, Any]) -> Path:
    """Where a run, as its file holds it, is remembered."""
    from dvc.stage.cache import _get_cache_hash

    return Path(repo.stage_cache._get_cache_path(_get_cache_hash(copy.deepcopy(run), key=True), _get_cache_hash(run)))


def remembered(repo: Any, stage: Any) -> Mapping[str, Any] | None:
    """The last run of a stage with its present dependencies, as dvc.lock would have it."""
    found: Mapping[str, Any] | None = repo.stage_cache._load(stage)
    return found


def stage_of(repo: Any, section: Mapping[str, Any]) -> Any:
    """The stage that a part of dvc.lock is of."""
    return repo.stage_cache._create_stage(section)


def not_kept(repo: Any, stage: Any, section: Mapping[str, Any]) -> Iterable[Any]:
    """Outputs of a stage that DVC keeps no copy of but for its run-cache."""
    outs: Iterable[Any] = repo.stage_cache._uncached_outs(stage, section)
    return outs


@contextmanager
def copying(repo: Any) -> Iterator[None]:
    """Files come out of the cache as copies meanwhile, as DVC has them of a remembered run."""
    with repo.stage_cache._cache_type_copy():
        yield
