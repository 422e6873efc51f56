"""The complete state of an unfinished training on disk: atomic, checksummed, safetensors and JSON, never pickle.

A checkpoint is a folder `000012800/` (named by the images seen) with `state.safetensors` and `state.json`. It is written beside its
place and renamed into it, so one that has its name is whole; a damaged one is noticed by its checksum and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gan_core.errors import DataError

FORMAT = 1
KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """State after `images` real samples: tensors by name, and facts that JSON can hold."""

    images: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    """Of all that it holds, where it was read from disk."""


def write(checkpoint: Checkpoint, folder: Path) -> None:
    """Write one checkpoint as `folder`, whole or not at all; an older one there is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    data = save_tensors({key: value.detach().cpu().contiguous() for key, value in checkpoint.tensors.items()})
    digest = _digest(checkpoint.images, checkpoint.facts, data)
    facts = {"format": FORMAT, "images": checkpoint.images, "sha256": digest, "facts": checkpoint.facts}
    _write_durably(temporary / "state.safetensors", data)
    _write_durably(temporary / "state.json", (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode())
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def read(folder: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        DataError: it is incomplete, damaged, or of another format.
    """
    try:
        facts = json.loads((folder / "state.json").read_text())
        if facts["format"] != FORMAT:
            raise DataError(f"{folder}: has checkpoint format {facts['format']}, and this version of Gantry reads {FORMAT}")
        data = (folder / "state.safetensors").read_bytes()
        if _digest(facts["images"], facts["facts"], data) != facts["sha256"]:
            raise DataError(f"{folder}: is damaged (its checksum differs)")
        return Checkpoint(facts["images"], load_tensors(data), facts["facts"], facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{folder}: is no readable checkpoint ({error})") from None


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Add a checkpoint to a run's folder, and drop all but the newest `KEEP`."""
    write(checkpoint, folder / f"{checkpoint.images:012d}")
    for old in _newest_first(folder)[KEEP:]:
        shutil.rmtree(old, ignore_errors=True)


def load_latest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint of a run's folder that is sound, or None; and a line about each that is not."""
    notes: list[str] = []
    for candidate in _newest_first(folder):
        try:
            return read(candidate), notes
        except DataError as error:
            notes.append(str(error))
    return None, notes


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Tensor]:
    """Nested mappings of tensors as one mapping, names joined with slashes."""
    flat: dict[str, Tensor] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}/"))
        else:
            flat[name] = value
    return flat


def subtree(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below `prefix/`, with the prefix taken off."""
    return {key.removeprefix(f"{prefix}/"): value for key, value in tensors.items() if key.startswith(f"{prefix}/")}


def _digest(images: int, facts: Mapping[str, Any], data: bytes) -> str:
    """Over everything that a checkpoint holds, so that a flipped bit in either file is noticed."""
    digest = hashlib.sha256(json.dumps([images, facts], sort_keys=True).encode())
    digest.update(data)
    return digest.hexdigest()


def _newest_first(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("[0-9]*") if path.is_dir()), reverse=True)


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
