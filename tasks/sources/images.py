"""Which files of a place are taken as images, sounds, volumes, clips or texts, and how they lie: the same for a folder, an archive and a
bucket.

What is taken: every file whose name ends as image files do, or sound files, at any depth, broken ones too: validation judges them. Where
folders are the labels, a file's class is the first folder of its path, whatever lies below; folders that are plainly no classes are
refused. With a layout of two folders, the files of these alone; a file that holds captions or labels is taken too. Left out, and counted
in a note: files of other names (an archive in an archive is one), what systems and programs leave beside data (`tasks.sources.litter`),
and what a place cannot give, such as a link that leads out of it.
"""

from __future__ import annotations

import difflib
import json
import os
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from gan_core.errors import DataError
from tasks.addresses import ARRAY_SUFFIXES, CLIP_SUFFIXES, IMAGE_SUFFIXES, SOUND_SUFFIXES, TEXT_SUFFIXES, VOLUME_SUFFIXES
from tasks.params import FOLDER_LAYOUTS, LABELLED_LAYOUTS, DataParams
from tasks.sources.annotations import CAPTIONS, labels_in, read_told
from tasks.sources.litter import litter_in
from tasks.sources.raw import Kind, RawReader, class_of, safe_path
from tasks.sources.source import SourceFile

_TEXT_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".token", ".json", ".jsonl", ".ndjson"})
"""How the names of files end that may hold captions or labels."""
_TEXTS = 100
"""Such files that are remembered, at most."""
_PART = re.compile(
    r"(train|training|trn|val|valid|validation|dev|test|testing|eval|holdout)[-_ ]?(a|b|set|data|images|\d{1,4})?", re.IGNORECASE
)
"""The name of a folder that is a part of a set and no class."""
_MONTHS = "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?"
_DATE = re.compile(rf"(19|20)\d\d([-_. ]?\d\d){{0,2}}|(\d\d?[-_. ])?({_MONTHS})([-_. ]?(19|20)?\d\d)?", re.IGNORECASE)
_MANY_CLASSES, _FEW_IMAGES = 20, 20
"""From so many classes on, of fewer images each, a note asks whether they are classes."""
_NAMED = 5
"""Names in a message, at most."""
_REASONS = 8
"""Reasons why files were left out that are told apart, at most."""
_ABOUT = re.compile(r"(read_?me|licen[cs]e|notice|copying|authors|change(s|log)|citation)\b[^/]*", re.IGNORECASE)
"""Names of texts that are about a set and none of its own."""
_TAKEN = {
    "images": (IMAGE_SUFFIXES | ARRAY_SUFFIXES, "an image", ".png, .jpg, .webp, .tif, .bmp, .gif, .ppm"),
    "sounds": (SOUND_SUFFIXES, "a sound", ".wav, .flac, .ogg, .mp3, .aiff"),
    "volumes": (VOLUME_SUFFIXES, "a volume", ".mat, .npy, .npz, .binvox, .ply, .stl, .obj, .off"),
    "clips": (CLIP_SUFFIXES, "a clip", ".gif, .webp, .png, .mp4, .webm"),
    "sentences": (frozenset(TEXT_SUFFIXES), "a text", ".txt, .jsonl, .csv, .parquet"),
}
"""By what a layout consists of: how the files' names end, what messages call one, and the endings that they name."""


class Selection:
    """Which files of a place are taken, told by their paths alone, and what is left out."""

    def __init__(
        self, folders: Sequence[str] | None, besides: frozenset[str], suffixes: Iterable[str] = IMAGE_SUFFIXES, are_texts: bool = False
    ) -> None:
        self.folders = folders
        """The folders to take from, instead of all."""
        self.left_out: Counter[str] = Counter()
        """Why files were left out, and how many."""
        self.top: dict[str, bool] = {}
        """With `folders`: what lies at the top of the place, and whether it is a folder."""
        self.texts: list[str] = []
        """Some files that were left out and may hold captions or labels."""
        self._besides = besides
        self._suffixes = frozenset(suffixes)
        self._are_texts = are_texts
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
        if self._are_texts and path not in self._besides and _ABOUT.fullmatch(path.rpartition("/")[2]):
            self.left_out["about the set"] += 1
            return False
        if (suffix := _suffix(path)) in self._suffixes or path in self._besides:
            return True
        if suffix in _TEXT_SUFFIXES and len(self.texts) < _TEXTS:
            self.texts.append(path)
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

    def files(self, choice: Selection) -> Iterator[SourceFile]:
        """The files that `choice` takes, each once.

        Raises:
            DataError: there is something that must not be there; names it.
            GantryError: something that may pass.
        """
        ...


class ImageSource:
    """The image files of a place, or its sound files, its voxels and meshes, its clips."""

    kind: Kind = "files"
    truth = None

    def __init__(self, place: Place, data: DataParams) -> None:
        self._place = place
        self._layout = data.layout
        self._what = "sentences" if data.has_sentences else data.layout if data.layout in _TAKEN else "images"
        self._folders = data.folders if data.layout in FOLDER_LAYOUTS else None
        self._labels = data.labels
        self._is_labelled = "labels" in data.model_fields_set
        self._label = data.label_key
        self._annotations = data.annotations
        self._notes: Sequence[str] = ()
        self._count = 0
        self._annotations_file: SourceFile | None = None

    @property
    def identity(self) -> str:
        return self._place.identity

    @property
    def notes(self) -> Sequence[str]:
        return [*self._place.notes, *self._notes]

    @property
    def fingerprint(self) -> str | None:
        place = self._place.fingerprint
        if place is None:
            return None
        labels = [self._labels, self._is_labelled]
        return json.dumps([place, self._layout, self._folders, self._annotations, labels if self._layout in LABELLED_LAYOUTS else None])

    def look(self) -> Sequence[SourceFile]:
        suffixes, one, ends = _TAKEN[self._what]
        besides = frozenset(() if self._annotations is None else (self._annotations,))
        choice = Selection(self._folders, besides, suffixes, are_texts=self._what == "sentences")
        files = list(self._place.files(choice))
        files = without_stray_arrays(files, choice) if self._what == "images" else files
        named = None if self._annotations is None else safe_path(self._annotations)
        self._annotations_file = next((file for file in files if file.path == named), None)
        paths = [file.path for file in files if file.path != named]
        if self._folders is not None:
            self._check_folders(self._folders, choice)
        if named is not None and self._annotations_file is None:
            what = "captions" if self._layout == "captions" else "labels"
            there = f"; there {'is' if len(choice.texts) == 1 else 'are'} {_shown(sorted(choice.texts))}" if choice.texts else ""
            raise DataError(f"{self._where}: {named} is not there; name the file with the {what} in data.{what}{there}")
        self._count = len(paths)
        shown = counted(choice.left_out)
        if not self._count:
            raise DataError(
                f"{self._where}: no {self._what} in it{f' ({shown})' if shown else ''}; {one} file's name ends in {ends} or the like"
            )
        notes = [shown] if shown else []
        if self._folders is not None:
            notes += self._beside(self._folders, paths, choice)
        elif self._layout in LABELLED_LAYOUTS and self._labels == "folders":
            # Of folders of frames each is one sample.
            notes += self._classes(sorted({*map(posixpath.dirname, paths)}) if self._layout == "frame-folders" else paths, choice)
        self._notes = notes + _alike(paths)
        return files

    def check(self, before: RawReader | None = None) -> int:
        if (file := self._annotations_file) is not None:
            with file.open() as stream:
                read_told(stream.read(), file.path, CAPTIONS if self._layout == "captions" else labels_in(self._label))
        return self._count

    @property
    def _where(self) -> str:
        return self._place.where

    def _check_folders(self, folders: Sequence[str], choice: Selection) -> None:
        """Refuse a folder that `data.folders` names and that is not there."""
        there = sorted(safe_path(name) for name, is_folder in choice.top.items() if is_folder)
        for name in folders:
            if not choice.top.get(name):
                near = difflib.get_close_matches(name, there, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {_shown(there)}" if there else "there are no folders in it"
                composed = unicodedata.normalize("NFC", safe_path(name))
                if same := next((one for one in there if unicodedata.normalize("NFC", one) == composed), None):
                    hint = f"there is {same}, whose accents are written in the other of Unicode's two ways; copy that name"
                raise DataError(f"{self._where}: data.folders: there is no folder {safe_path(name)!r}; {hint}")

    def _beside(self, folders: Sequence[str], paths: Sequence[str], choice: Selection) -> list[str]:
        """What lies beside the two folders, each of which has to hold images."""
        with_images = {class_of(path) for path in paths}
        if missing := [folder for folder in folders if safe_path(folder) not in with_images]:
            raise DataError(f"{self._where}: no images in {missing[0]}, and data.folders asks for some in each of its two")
        beside = sorted(safe_path(name) for name in choice.top if name not in folders)
        return [f"left out beside {' and '.join(folders)}: {_shown(beside)}"] if beside else []

    def _classes(self, paths: Sequence[str], choice: Selection) -> list[str]:
        """Refuse folders that are no classes; notes of those that may be none."""
        classes = sorted({label for label in map(class_of, paths) if label is not None})
        if not classes:
            return ["dataset.json is there; set data.labels: dataset.json to take labels from it"] if "dataset.json" in choice.texts else []
        flat = [path for path in paths if class_of(path) is None]
        if flat:
            raise DataError(
                f"{self._where}: {len(flat):,} {self._what} beside {len(classes):,} folders with {self._what}, so it is neither flat "
                f"nor a folder a class; move {_shown(sorted(flat))} into the folder of their class, name one of these folders as source: "
                f"{_shown(classes)}, or set data.labels: none to take all without labels"
            )
        if len(classes) == 1:
            raise DataError(
                f"{self._where}: all {self._what} lie in the folder {classes[0]}, and one folder is no class; "
                f"add /{classes[0]} to data.source, or set data.labels: none"
            )
        if not self._is_labelled:
            self._refuse_parts(classes, choice)
        notes = []
        if any(path.count("/") > 1 for path in paths):
            notes.append(f"some {self._what} lie several folders deep; the first folder is the class: {_shown(classes)}")
        few = len(paths) < _FEW_IMAGES * len(classes)
        if not self._is_labelled and (all(map(_DATE.fullmatch, classes)) or (len(classes) > _MANY_CLASSES and few)):
            notes.append(
                f"{len(classes):,} folders with {len(paths):,} {self._what} are taken as classes: {_shown(classes)}; if they are something "
                "else, such as months or people, set data.labels: none; otherwise data.labels: folders, and this note is gone"
            )
        return notes

    def _refuse_parts(self, classes: Sequence[str], choice: Selection) -> None:
        """Refuse folders that are plainly something else than classes, where the entry does not say that they are."""
        if "dataset.json" in choice.texts:
            raise DataError(
                f"{self._where}: folders ({_shown(classes)}) lie beside dataset.json; "
                "set data.labels: dataset.json to take labels from that, data.labels: none, or data.labels: folders if they are classes"
            )
        if not all(map(is_part, classes)):
            return
        one = next((name for name in classes if name.lower().startswith("tr")), classes[0])
        advice = f"add /{one} to data.source to take one of them, or set data.labels: none to take all without labels"
        if choice.texts:
            advice += f", or data.labels to a file that says what they show (there is {_shown(sorted(choice.texts))})"
        if {"trainA", "trainB"} <= {*classes}:
            advice = "set data.layout: unpaired-folders and data.folders: [trainA, trainB] for two kinds of images, or " + advice
        raise DataError(
            f"{self._where}: the folders {_shown(classes)} are parts of a set and no classes; {advice}; if they are classes, "
            "set data.labels: folders"
        )


def without_stray_arrays(files: Sequence[SourceFile], choice: Selection) -> list[SourceFile]:
    """Files of pictures without NumPy's arrays, where there are others: beside these an array is something that was made of them."""
    if not any(_suffix(file.path) in IMAGE_SUFFIXES for file in files):
        return list(files)
    left = [file for file in files if _suffix(file.path) not in ARRAY_SUFFIXES]
    choice.left_out.update(_suffix(file.path) for file in files if _suffix(file.path) in ARRAY_SUFFIXES)
    return left


def source_of(place: Place, data: DataParams) -> ImageSource:
    """The files of a place, as what `data` takes them for."""
    if not data.has_sentences:
        return ImageSource(place, data)
    from tasks.sources.texts import SentenceSource

    return SentenceSource(place, data)


def is_part(folder: str) -> bool:
    """Whether a folder of this name is plainly a part of a set, such as train, and no class."""
    return _PART.fullmatch(folder) is not None


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


def _shown(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
