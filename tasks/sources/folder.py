"""`folder://PATH`: image files in a folder, flat, with a folder a class, or as `data.layout` says.

What is taken: every file whose name ends as image files do, at any depth, broken ones too: validation judges them. A file's class is
the first folder of its path, whatever lies below. With a layout of two folders, the files of these alone; with `captions`, the file
that holds them is taken too. Left out, and counted in a note: files of other names, hidden files and folders (a leading dot), links
that lead out of the folder, to a folder, or nowhere.
"""

from __future__ import annotations

import difflib
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from gan_core.errors import DataError
from tasks.params import FOLDER_LAYOUTS, DataParams
from tasks.raw import Kind, class_of, safe_path
from tasks.sources.source import SourceFile, expand_path, open_file, state_of
from tasks.workspace import Workspace

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


class FolderSource:
    """The image files of a folder."""

    kind: Kind = "files"
    truth = None

    def __init__(self, workspace: Workspace, data: DataParams) -> None:
        self._root = _existing_folder(expand_path(data.location, workspace, "data.source"), data.source)
        self._folders = data.folders if data.layout in FOLDER_LAYOUTS else None
        self.identity = str(self._root)
        self.notes: Sequence[str] = ()
        self._count = 0
        self._layout = data.layout
        self._besides = frozenset({data.captions} if data.layout == "captions" else ())
        """Paths of files that are no images and belong to the data."""

    def look(self) -> Sequence[SourceFile]:
        now_ns = time.time_ns()
        left_out: Counter[str] = Counter()
        files = []
        for folder in self._folders or ():
            self._check_folder(folder)
        for path, place, facts in _images(str(self._root), left_out, self._folders, self._besides):
            files.append(SourceFile(safe_path(path), facts.st_size, state_of(facts, now_ns), partial(open_file, place)))
        without = {safe_path(path) for path in self._besides} - {file.path for file in files}
        if without:
            raise DataError(f"{self._where}: {', '.join(sorted(without))} is not there; name the file with the captions in data.captions")
        self._count = len(files) - len(self._besides)
        shown = _left_out(left_out)
        if not self._count:
            raise DataError(
                f"{self._where}: no images in it{f' ({shown})' if shown else ''}; "
                "an image file's name ends in .png, .jpg, .webp, .tif, .bmp, .gif, .ppm or the like"
            )
        notes = [shown] if shown else []
        classes = self._classes([file.path for file in files]) if self._layout == "images" else []
        if self._folders is not None:
            with_images = {class_of(file.path) for file in files}
            if missing := [folder for folder in self._folders if safe_path(folder) not in with_images]:
                raise DataError(f"{self._where}: no images in {missing[0]}, and data.folders asks for some in each of its two")
            beside = sorted(safe_path(one.name) for one in _entries(str(self._root)) if one.name not in self._folders)
            notes += [f"left out beside {' and '.join(self._folders)}: {_named(beside)}"] if beside else []
        if classes and any(file.path.count("/") > 1 for file in files):
            notes.append(f"some images lie several folders deep; the first folder is the class: {_named(classes)}")
        self.notes = notes
        return files

    def check(self) -> int:
        return self._count

    @property
    def _where(self) -> str:
        return safe_path(str(self._root))

    def _check_folder(self, name: str) -> None:
        """Refuse a folder that `data.folders` names and that cannot be used, before anything is read."""
        if (self._root / name).is_dir() and not (self._root / name).is_symlink():
            return
        there = sorted(safe_path(one.name) for one in _entries(str(self._root)) if one.is_dir(follow_symlinks=False))
        near = difflib.get_close_matches(name, there, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {_named(there)}" if there else "there are no folders in it"
        raise DataError(f"{self._where}: data.folders: there is no folder {safe_path(name)!r}; {hint}")

    def _classes(self, paths: Sequence[str]) -> list[str]:
        classes = sorted({label for label in map(class_of, paths) if label is not None})
        flat = [path for path in paths if class_of(path) is None]
        if classes and flat:
            raise DataError(
                f"{self._where}: {len(flat):,} images beside {len(classes):,} folders with images, so it is neither flat nor a folder "
                f"a class; move {_named(sorted(flat))} into the folder of their class, "
                f"or name one of these folders as source: {_named(classes)}"
            )
        return classes


def _existing_folder(path: Path, source: str) -> Path:
    try:
        root = path.resolve(strict=True)
        if not root.is_dir():
            raise DataError(f"{source}: {safe_path(str(path))} is a file; name the folder that holds the images")
    except FileNotFoundError:
        raise DataError(f"{source}: the folder {safe_path(str(path))} is not there; create it or correct data.source") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        raise DataError(
            f"{source}: the folder {safe_path(str(path))} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None
    return root


def _images(
    root: str, left_out: Counter[str], only: Sequence[str] | None, besides: frozenset[str]
) -> Iterator[tuple[str, str, os.stat_result]]:
    """Of each image its path below `root`, its real place, and what the file system knows of it; counts the others in `left_out`.

    `only`: folders to look into, instead of all. Files whose paths are in `besides` are taken too.
    """
    folders = [""] if only is None else [f"{folder}/" for folder in only]
    while folders:
        below = folders.pop()
        # Plain strings: a pathlib object for each of 60,000 files would double the time of a look.
        for entry in _entries(f"{root}/{below}"):
            path = below + entry.name
            if entry.name.startswith("."):
                left_out["hidden"] += 1
            elif entry.is_symlink():
                if (target := _target_inside(entry.path, root)) is None:
                    left_out["linked elsewhere"] += 1
                elif not (_is_image(entry.name) or path in besides):
                    left_out[_suffix(entry.name)] += 1
                else:
                    yield path, target, os.stat(target, follow_symlinks=False)  # noqa: PTH116
            elif entry.is_dir(follow_symlinks=False):
                folders.append(f"{path}/")
            elif not (_is_image(entry.name) or path in besides):
                left_out[_suffix(entry.name)] += 1
            else:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    yield path, entry.path, facts
                else:
                    left_out["no ordinary files"] += 1


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{safe_path(folder)}: cannot be read ({error.strerror})") from None


def _target_inside(link: str, root: str) -> str | None:
    """The file that a link leads to, if it is an ordinary one inside `root`."""
    target = os.path.realpath(link)
    inside = target.startswith(root.rstrip("/") + "/")
    return target if inside and os.path.isfile(target) else None  # noqa: PTH113


def _is_image(name: str) -> bool:
    return _suffix(name) in IMAGE_SUFFIXES


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "without extension"  # noqa: PTH122


def _left_out(counts: Counter[str]) -> str:
    if not counts:
        return ""
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_NAMED]
    parts = [f"{count:,} {safe_path(what)}" for what, count in most]
    if rest := counts.total() - sum(count for _, count in most):
        parts.append(f"{rest:,} others")
    return "left out: " + ", ".join(parts)


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
