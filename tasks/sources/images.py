"""Which files of a place are taken as images, and how they are laid out: the same for a folder, an archive and a bucket.

What is taken: every file whose name ends as image files do, at any depth, broken ones too: validation judges them. A file's class is
the first folder of its path, whatever lies below. With a layout of two folders, the files of these alone; with `captions`, the file
that holds them is taken too. Left out, and counted in a note: files of other names (an archive in an archive is one), what systems and
programs leave beside data (`tasks.sources.litter`), and what a place cannot give, such as a link that leads out of it.
"""

from __future__ import annotations

import difflib
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

from gan_core.errors import DataError
from tasks.params import FOLDER_LAYOUTS, DataParams
from tasks.sources.litter import litter_in
from tasks.sources.raw import Kind, RawReader, class_of, safe_path
from tasks.sources.source import SourceFile

IMAGE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("avif", "bmp", "dib", "gif", "heic", "heif", "ico", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "jxl"),
        *("pbm", "pgm", "png", "pnm", "ppm", "psd", "tga", "tif", "tiff", "webp"),
    )
)
"""How the names of image files end, in lower case; also of kinds that validation refuses, so that it says so."""
_NAMED = 5
"""Names in a message, at most."""
_REASONS = 8
"""Reasons why files were left out that are told apart, at most."""


class Choice:
    """Which files of a place are taken, told by their paths alone, and what is left out."""

    def __init__(self, folders: Sequence[str] | None, besides: frozenset[str]) -> None:
        self.folders = folders
        """The folders to take from, instead of all."""
        self.left_out: Counter[str] = Counter()
        """Why files were left out, and how many."""
        self.top: dict[str, bool] = {}
        """With `folders`: what lies at the top of the place, and whether it is a folder."""
        self._besides = besides
        self._litter: set[str] = set()

    def looks_at(self, path: str) -> bool:
        """Whether what has that path, relative to the place, lies where files are taken from and is no litter, which is counted."""
        if self.folders is not None:
            first, below, _ = path.partition("/")
            if first not in self.folders or not below:
                if not self._is_litter(first):
                    self.top[first] = self.top.get(first, False) or bool(below)
                return False
            self.top[first] = True
        return not self._is_litter(path)

    def takes(self, path: str) -> bool:
        """Whether the file of a path that is looked at is taken; otherwise it is counted."""
        if (suffix := _suffix(path)) in IMAGE_SUFFIXES or path in self._besides:
            return True
        self.left_out[suffix or "without extension"] += 1
        return False

    def _is_litter(self, path: str) -> bool:
        litter = litter_in(path)
        if litter is not None and litter.path not in self._litter:
            self._litter.add(litter.path)
            self.left_out[litter.what] += 1
        return litter is not None


class Place(Protocol):
    """Where files lie: it lists them and opens them, and does not judge them."""

    @property
    def where(self) -> str:
        """What messages call it."""
        ...

    @property
    def identity(self) -> str:
        """As `Source.identity`."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """As `Source.fingerprint`."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of it."""
        ...

    def files(self, choice: Choice) -> Iterator[SourceFile]:
        """The files that `choice` takes, each once.

        Raises:
            DataError: there is something that must not be there; names it.
            GantryError: something that may pass.
        """
        ...


class ImageSource:
    """The image files of a place."""

    kind: Kind = "files"
    truth = None

    def __init__(self, place: Place, data: DataParams) -> None:
        self._place = place
        self._layout = data.layout
        self._folders = data.folders if data.layout in FOLDER_LAYOUTS else None
        self._besides = frozenset({data.captions} if data.layout == "captions" else ())
        """Paths of files that are no images and belong to the data."""
        self._notes: Sequence[str] = ()
        self._count = 0

    @property
    def identity(self) -> str:
        return self._place.identity

    @property
    def notes(self) -> Sequence[str]:
        return [*self._place.notes, *self._notes]

    @property
    def fingerprint(self) -> str | None:
        place = self._place.fingerprint
        return None if place is None else json.dumps([place, self._layout, self._folders, sorted(self._besides)])

    def look(self) -> Sequence[SourceFile]:
        choice = Choice(self._folders, self._besides)
        files = list(self._place.files(choice))
        paths = [file.path for file in files]
        if self._folders is not None:
            self._check_folders(self._folders, choice)
        if without := {safe_path(path) for path in self._besides} - set(paths):
            raise DataError(f"{self._where}: {', '.join(sorted(without))} is not there; name the file with the captions in data.captions")
        self._count = len(files) - len(self._besides)
        shown = counted(choice.left_out)
        if not self._count:
            raise DataError(
                f"{self._where}: no images in it{f' ({shown})' if shown else ''}; "
                "an image file's name ends in .png, .jpg, .webp, .tif, .bmp, .gif, .ppm or the like"
            )
        notes = [shown] if shown else []
        if self._folders is not None:
            notes += self._beside(self._folders, paths, choice)
        elif self._layout == "images":
            notes += self._depth(paths)
        self._notes = notes + _alike(paths)
        return files

    def check(self, before: RawReader | None = None) -> int:
        return self._count

    @property
    def _where(self) -> str:
        return self._place.where

    def _check_folders(self, folders: Sequence[str], choice: Choice) -> None:
        """Refuse a folder that `data.folders` names and that is not there."""
        there = sorted(safe_path(name) for name, is_folder in choice.top.items() if is_folder)
        for name in folders:
            if not choice.top.get(name):
                near = difflib.get_close_matches(name, there, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {_named(there)}" if there else "there are no folders in it"
                raise DataError(f"{self._where}: data.folders: there is no folder {safe_path(name)!r}; {hint}")

    def _beside(self, folders: Sequence[str], paths: Sequence[str], choice: Choice) -> list[str]:
        """What lies beside the two folders, each of which has to hold images."""
        with_images = {class_of(path) for path in paths}
        if missing := [folder for folder in folders if safe_path(folder) not in with_images]:
            raise DataError(f"{self._where}: no images in {missing[0]}, and data.folders asks for some in each of its two")
        beside = sorted(safe_path(name) for name in choice.top if name not in folders)
        return [f"left out beside {' and '.join(folders)}: {_named(beside)}"] if beside else []

    def _depth(self, paths: Sequence[str]) -> list[str]:
        """Refuse images that are neither flat nor in a folder a class; say so where they lie deeper."""
        classes = sorted({label for label in map(class_of, paths) if label is not None})
        flat = [path for path in paths if class_of(path) is None] if classes else []
        if flat:
            raise DataError(
                f"{self._where}: {len(flat):,} images beside {len(classes):,} folders with images, so it is neither flat nor a folder "
                f"a class; move {_named(sorted(flat))} into the folder of their class, "
                f"or name one of these folders as source: {_named(classes)}"
            )
        if not any(path.count("/") > 1 for path in paths):
            return []
        only = f"; if the folders in {classes[0]} are the classes, add /{classes[0]} to data.source" if len(classes) == 1 else ""
        return [f"some images lie several folders deep; the first folder is the class: {_named(classes)}{only}"]


def _alike(paths: Sequence[str]) -> list[str]:
    """A note of files whose names differ in case alone, or in how an accent is written: one file, to many file systems."""
    fewer = len(paths) - len({_folded(path) for path in paths})
    if not fewer:
        return []
    first: dict[str, str] = {}
    twin, path = next((first[key], path) for path in sorted(paths) if first.setdefault(key := _folded(path), path) != path)
    return [
        f"{fewer:,} {'file differs' if fewer == 1 else 'files differ'} from others in upper and lower case alone, such as {twin} and {path}"
    ]


def _folded(path: str) -> str:
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122


def counted(counts: Counter[str]) -> str:
    """A note of what was left out; empty where nothing was."""
    if not counts:
        return ""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_REASONS]
    parts = [f"{count:,} {safe_path(what)}" for what, count in most]
    if rest := counts.total() - sum(count for _, count in most):
        parts.append(f"{rest:,} others")
    return "left out: " + ", ".join(parts)


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
