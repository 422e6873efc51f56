"""Pictures that a person gives to a generator, treated as validation treats those that it was trained on."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError, DataError, GantryError
from gan_core.kinds.pixels import Pixels, with_channels
from gan_core.kinds.predictions import Predictions
from tasks.addresses import ARRAY_SUFFIXES, CLIP_SUFFIXES, IMAGE_SUFFIXES
from tasks.params import ValidateParams
from tasks.validation.bands import decode
from tasks.validation.clips import StillError, Wanted, first_frames, first_of_folder, in_order
from tasks.validation.formats import UnusableError, UnusableImageError
from tasks.validation.images import Picture, Shape

_LIMITS = ValidateParams(min_side=1, min_std=0)  # a blank picture is a poor one to train on; to translate it is a person's choice
_TOLD = 20
"""Files that an error names."""


@dataclass(frozen=True)
class Inputs:
    """Pictures as a generator takes them, and the names of what is made of them."""

    images: NDArray[Any]
    """(N, C, H, W), as the generator's data are kept."""
    names: tuple[str, ...]


def read_input(data: bytes, spec: Pixels, where: str) -> NDArray[Any]:
    """The picture in a file's bytes as a generator takes it: (C, H, W) of `spec.inputs`, or, where it takes none, as it makes them; of a
    generator that takes first frames those of the clip in it, uint8 (C, G, H, W).

    Values are scaled from `spec.range`.

    Args:
        data: of any of the formats that `tasks.validation.images` reads.
        spec: of the data that the generator was trained on.
        where: names the picture in an error.

    Raises:
        ConfigError: it is no picture, broken, or too large; begins with `where`.
    """
    if isinstance(spec, Predictions):
        return _beginning([data], spec, where)
    return with_channels(_picture(data, spec, where).pixels, (spec.inputs or spec.shape)[0])


def _beginning(files: Sequence[bytes], spec: Predictions, where: str) -> NDArray[np.uint8]:
    """The first frames of a clip, uint8 (C, G, H, W), in one file or one in each; a single frame may be a still picture."""
    try:
        first = first_frames(files[0], _wanted(spec), _LIMITS) if len(files) == 1 else first_of_folder(files, _wanted(spec), _LIMITS)
    except UnusableError as reason:
        raise ConfigError(f"{where}: {reason}") from None
    return with_channels(first, (spec.inputs or spec.shape)[0])


def _wanted(spec: Predictions) -> Wanted:
    _, frames, *sides = spec.inputs or spec.shape
    return Wanted(Shape((*sides,), spec.fit or "crop"), frames, spec.every)


def _picture(data: bytes, spec: Pixels, where: str) -> Picture:
    """As `read_input`, with what is known of the file."""
    try:
        # A generator of crops is given one, from the middle.
        channels, height, width = spec.inputs or spec.shape
        shape = Shape((height, width), spec.fit or "crop", crops=0, channels=channels, depth=spec.depth or 8)
        return decode(data, shape, _LIMITS, spec.range)
    except UnusableImageError as reason:
        raise ConfigError(f"{where}: {reason}") from None


def read_inputs(path: Path, spec: Pixels, on_note: Callable[[str], None] = lambda note: None, can_tile: bool = False) -> Inputs:
    """The picture in a file, or those in a folder at any depth, in the order of their paths; taken as `folder://` takes them. Of a
    generator that predicts, clips: files that hold one, and folders of frames.

    Args:
        path: of a file or a folder.
        spec: as of `read_input`: each picture is brought to the size of its inputs as `data.fit` did it.
        on_note: told what of a folder was left out.
        can_tile: whether the generator could keep the size of larger ones, which is then told too.

    Raises:
        ConfigError: nothing is there, or some files are no usable pictures; names each.
    """
    channels, *_, height, width = spec.inputs or spec.shape
    files = input_files(path, on_note, CLIP_SUFFIXES if isinstance(spec, Predictions) else IMAGE_SUFFIXES | ARRAY_SUFFIXES)
    if isinstance(spec, Predictions):
        return _beginnings(path, files, spec)
    images, problems, larger = [], [], 0
    for name, opened in files:
        try:
            with opened() as file:
                picture = _picture(file.read(), spec, f"--input {path / name if path.is_dir() else path}")
            images.append(with_channels(picture.pixels, channels))
            larger += min(picture.upright) > min(height, width) or max(picture.upright) > max(height, width)
        except ConfigError as error:
            problems.append(str(error))
        except GantryError as error:
            problems.append(f"--input {error}")
    _refuse(problems)
    if larger and can_tile:
        whose = "the picture is" if len(images) == 1 else f"{larger:,} of {len(images):,} pictures are"
        on_note(f"{whose} larger than {width} x {height} and brought to that size; --tile 512 keeps size and shape")
    return Inputs(np.stack(images), tuple(PurePosixPath(name).stem for name, _ in files))


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        more = f"\nand {len(problems) - _TOLD:,} others" if len(problems) > _TOLD else ""
        raise ConfigError("\n".join(problems[:_TOLD]) + more)


def _beginnings(path: Path, files: Sequence[tuple[str, Callable[[], BinaryIO]]], spec: Predictions) -> Inputs:
    """The first frames of each clip: of each file, or of a folder of pictures that are no clips by themselves."""
    folders: dict[str, list[tuple[str, Callable[[], BinaryIO]]]] = {}
    for name, opened in files:
        folders.setdefault(posixpath.dirname(name), []).append((name, opened))
    clips: list[tuple[str, Path, list[Callable[[], BinaryIO]]]] = []
    for folder, inside in folders.items():
        inside.sort(key=lambda one: in_order(posixpath.basename(one[0])))
        frames = [opened for _, opened in inside[: _wanted(spec).least]]
        found = {_looked_at(opened, spec) for opened in frames} if len(inside) > 1 else set()
        if "still" in found and "clip" not in found:
            clips.append((posixpath.basename(folder) or path.resolve().name, path / folder, frames))
        else:
            clips += [(PurePosixPath(name).stem, path / name if path.is_dir() else path, [opened]) for name, opened in inside]
    images, problems = [], []
    for _, where, of_clip in clips:
        try:
            images.append(_beginning([_content(opened) for opened in of_clip], spec, f"--input {where}"))
        except ConfigError as error:
            problems.append(str(error))
        except GantryError as error:
            problems.append(f"--input {error}")
    _refuse(problems)
    return Inputs(np.stack(images), tuple(name for name, *_ in clips))


def _content(opened: Callable[[], BinaryIO]) -> bytes:
    with opened() as file:
        return file.read()


def _looked_at(opened: Callable[[], BinaryIO], spec: Predictions) -> Literal["clip", "still", "broken"]:
    """What a file is by itself."""
    try:
        first_frames(_content(opened), _wanted(spec), _LIMITS)
    except StillError:
        return "still"
    except (UnusableError, GantryError):
        return "broken"  # which is said where it is read
    return "clip"


def input_files(
    path: Path, on_note: Callable[[str], None], suffixes: frozenset[str] = IMAGE_SUFFIXES | ARRAY_SUFFIXES
) -> list[tuple[str, Callable[[], BinaryIO]]]:
    """The file at a path, or those of a folder, at any depth, whose names end so: their paths in it, and what opens each.

    Raises:
        ConfigError: nothing is there.
    """
    from tasks.sources.source import open_file

    if not path.is_dir() and not path.is_file():
        raise ConfigError(f"--input {path}: not there; name a picture, or a folder with some")
    return _in_folder(path, on_note, suffixes) if path.is_dir() else [(path.name, partial(open_file, path.resolve()))]


def _in_folder(path: Path, on_note: Callable[[str], None], suffixes: frozenset[str]) -> list[tuple[str, Callable[[], BinaryIO]]]:
    from tasks.sources.folder import Folder
    from tasks.sources.images import Selection, counted, without_stray_arrays

    choice = Selection(None, frozenset(), suffixes)
    try:
        found = without_stray_arrays(list(Folder(path, "--input").files(choice)), choice)
        files = sorted((file.path, file.open) for file in found)
    except DataError as error:
        raise ConfigError(f"--input {path}: {error}") from None
    left_out = counted(choice.left_out)
    if not files:
        raise ConfigError(f"--input {path}: no pictures in it{f' ({left_out})' if left_out else ''}; name a picture, or a folder with some")
    if left_out:
        on_note(left_out)
    return files
