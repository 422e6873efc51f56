"""JSON files that stages leave for those who come after them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_core.errors import DataError


def of_stage(path: Path, stage: str, needed: str | None = None) -> dict[str, Any]:
    """The object that a stage left in a file, with a key that is `needed`.

    Raises:
        DataError: it is not there, or damaged; says which stage to run.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); run the {stage} stage first") from None
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); run the {stage} stage again") from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: damaged (not an object); run the {stage} stage again")
    if needed is not None and needed not in found:
        raise DataError(f"{path}: holds no {needed}; run the {stage} stage again")
    return found


def run_of(model: Path) -> str:
    """The MLflow run that made what is in `model`, a folder that train left.

    Raises:
        DataError: as `of_stage`.
    """
    return str(of_stage(model / "run.json", "train", "run_id")["run_id"])


def if_there(path: Path) -> Mapping[str, Any]:
    """The object in a file; empty where it is not there, or no such thing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def run_begun(folder: Path) -> str | None:
    """The MLflow run that a folder's run.json names; None where it names none."""
    found = if_there(folder / "run.json").get("run_id")
    return None if found is None else str(found)
