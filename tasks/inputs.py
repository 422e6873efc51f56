"""Pictures that a person gives to a translating generator, treated as validation treats those that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from tasks.params import ValidateParams
from tasks.validation.images import UnusableImageError, decode, with_channels

_LIMITS = ValidateParams(min_side=1, min_std=0)  # a blank picture is a poor one to train on; to translate it is a person's choice


@dataclass(frozen=True)
class Inputs:
    """Pictures as a generator takes them, and the names of what is made of them."""

    images: NDArray[np.uint8]
    """(N, C, H, W)."""
    names: tuple[str, ...]


def read_input(data: bytes, shape: tuple[int, ...], where: str) -> NDArray[np.uint8]:
    """The picture in a file's bytes as a generator takes it: uint8 of `shape`, (C, H, W).

    Args:
        data: of any of the formats that `tasks.validation.images` reads.
        shape: the generator's `config.inputs`.
        where: names the picture in an error.

    Raises:
        ConfigError: it is no picture, broken, or too large; begins with `where`.
    """
    try:
        return with_channels(decode(data, shape[-1], _LIMITS).pixels, shape[0])
    except UnusableImageError as reason:
        raise ConfigError(f"{where}: {reason}") from None


def read_inputs(path: Path, shape: tuple[int, ...]) -> Inputs:
    """The picture in a file, or those in a folder at any depth, in the order of their paths.

    Args:
        path: of a file or a folder.
        shape: the generator's `config.inputs`: the central square of each picture is scaled to it.

    Raises:
        ConfigError: nothing is there, or some files are no usable pictures; names each.
    """
    from tasks.sources.images import IMAGE_SUFFIXES

    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())
    elif path.is_file():
        files = [path]
    else:
        raise ConfigError(f"--input {path}: not there; name a picture, or a folder with some")
    if not files:
        raise ConfigError(f"--input {path}: no pictures in it; name a picture, or a folder with some")
    images, problems = [], []
    for file in files:
        try:
            images.append(read_input(file.read_bytes(), shape, f"--input {file}"))
        except ConfigError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"--input {file}: cannot be read ({error.strerror})")
    if problems:
        raise ConfigError("\n".join(problems))
    return Inputs(np.stack(images), tuple(file.stem for file in files))
