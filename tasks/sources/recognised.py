"""What the files of a folder are to a generator, told by their names and the heads of a few."""

from __future__ import annotations

import os
import posixpath
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import DataError
from gan_core.params.common import sides_in_words
from tasks.addresses import ARRAY_SUFFIXES, IMAGE_SUFFIXES, LINE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES, VOLUME_SUFFIXES, table_suffix
from tasks.sources.annotations import CAPTIONS, ImageNames, by_image, read_told
from tasks.sources.array_heads import array_heads, bands_of
from tasks.sources.images import Place, Selection, counted, is_part
from tasks.sources.raw import class_of, safe_path
from tasks.sources.source import SourceFile
from tasks.validation.heads import keys_of

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Told = TypeVar("Told")
_KINDS = {"pictures": IMAGE_SUFFIXES, "sounds": SOUND_SUFFIXES, "volumes": VOLUME_SUFFIXES, "clips": VIDEO_SUFFIXES}
_TWO_FOLDERS = (("trainA", "trainB"), ("A", "B"))
"""What sets for translation call their two folders."""
_LYING = (5, 6, 7, 8)
"""Orientations by which a camera says that it was held upright, while rows and columns are stored as if it was not."""
_HEADS = 24
"""Files of which the head is read."""
_MOST_FRAMES = 1 << 40
"""Values of a sound whose head says how many it has."""
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
_FRAMES = (16, 8, 4)
"""How many frames clips may get; pictures of fewer are none."""
_TEXTS, _LARGEST_TEXT = 8, 64 << 20
_SHORT_SIDE, _STEP, _LONGEST = 32, 8, 64
"""In pixels: what images are brought to to begin with, in whole steps, which every network takes."""
_OBLONG, _MOSTLY = 1.2, 2 / 3
"""Times as long as the other side, from which a picture is no square; and the share of pictures that have to be so alike."""
_OFTEN = 0.5
"""The share of pictures that a file has to say something of, or of names that have a partner, to be taken for more than chance."""


@dataclass(frozen=True)
class Recognised:
    """What a place holds."""

    layout: str
    """As `data.layout` has it."""
    noun: str
    """What the samples are: pictures, pairs, sounds, volumes, clips."""
    why: str
    """What tells."""
    files: Sequence[SourceFile]
    """All that are of its kind."""
    classes: tuple[str, ...] = ()
    """The folders that are classes."""
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Other keys of `data`, each with its value, as YAML has it, and the reason."""
    below: str = ""
    """The folder that alone is meant; then the rest is to be told from that one."""
    notes: Sequence[str] = ()
    """What else it may be."""


def recognised(place: Place) -> Recognised:
    """Tell what the files of a place are. Of an archive or folder on this machine; nothing is decoded.

    Raises:
        DataError: there is nothing in it that a generator could be of.
    """
    choice = Selection(None, frozenset(), frozenset().union(*_KINDS.values()))
    found = {file.path: file for file in place.files(choice)}
    by_noun = {noun: [path for path in found if _suffix(path) in suffixes] for noun, suffixes in _KINDS.items()}
    noun = max(by_noun, key=lambda one: len(by_noun[one]))
    files = [found[path] for path in by_noun[noun]]
    if not files and (told := _texts(place)) is not None:
        return told
    if not files:
        shown = counted(choice.left_out)
        tables = sorted(path for path in choice.texts if table_suffix(path))
        hint = f"; for a table name its file, such as {tables[0]}" if tables else "; name a folder with some, an archive of one, or a table"
        raise DataError(f"{place.where}: no pictures, sounds, volumes or clips in it{f' ({shown})' if shown else ''}{hint}")
    others = " and ".join(f"{len(paths):,} {one}" for one, paths in by_noun.items() if paths and one != noun)
    why = f"{len(files):,} files are {noun}, by their names{f', and only {others}' if others else ''}"
    if noun == "volumes" and _are_pictures(files):
        pictures = f"{why}; each array looked at is as high and wide as a picture, with few channels"
        return _by_class("images", "pictures", pictures, files, keys_of(_some(files)))
    if noun == "pictures":
        return _pictures(place, files, choice.texts, why)
    return _by_class(noun, noun, why, files, _of_sounds(files) if noun == "sounds" else {})


def _texts(place: Place) -> Recognised | None:
    """Texts of a sentence a line; a table in a folder may be of anything, and is none."""
    texts = list(place.files(Selection(None, frozenset(), LINE_SUFFIXES, are_texts=True)))
    return _by_class("sentences", "texts", f"{len(texts):,} files are texts, by their names", texts, {}) if texts else None


def _pictures(place: Place, files: Sequence[SourceFile], texts: Sequence[str], why: str) -> Recognised:
    folders = {class_of(file.path) for file in files}
    for pair in _TWO_FOLDERS:
        if {*pair} <= folders:
            return _two_folders(pair, files)
    if (told := _captions(place, files, texts)) is not None:
        return told
    if (clips := _clips(files)) is not None:
        return clips
    shapes, keys = _of_heads(files, _shape), keys_of(_some(files))
    found = _by_class("images", "pictures", why, files, {**keys, **_of_shapes(shapes)})
    if not found.below and not found.classes and shapes and all(width == 2 * height for height, width in shapes):
        halves = "each picture looked at is twice as wide as high; if they are no pairs, take this and direction out; recipe: gan"
        ways = {"direction": ("a-to-b", "the right half is made from the left one; b-to-a is the other way round")}
        return Recognised("side-by-side", "pairs", halves, files, keys={**ways, **keys})
    return replace(found, notes=_of_films(files)) if found.classes else found


def _two_folders(pair: tuple[str, str], files: Sequence[SourceFile]) -> Recognised:
    stems = [{posixpath.splitext(posixpath.basename(file.path))[0] for file in files if class_of(file.path) == one} for one in pair]
    common, few = len(stems[0] & stems[1]), min(map(len, stems))
    ways: dict[str, tuple[str, str]] = {
        "folders": (f"[{', '.join(pair)}]", "A and B"),
        "direction": ("a-to-b", f"such as in {pair[0]} become such as in {pair[1]}; b-to-a is the other way round"),
    }
    taken = [file for file in files if class_of(file.path) in pair]
    ways |= keys_of(_some(taken))
    if common >= _OFTEN * few:
        return Recognised("paired-folders", "pairs", f"{common:,} files have a partner of the same name", taken, keys=ways)
    why = "hardly any file has a partner of its name, so there are two kinds of pictures without partners"
    return Recognised("unpaired-folders", "pictures", why, taken, keys=ways)


def _captions(place: Place, files: Sequence[SourceFile], texts: Sequence[str]) -> Recognised | None:
    """Pictures of which a file beside them says in sentences what they show."""
    paths = [file.path for file in files]
    best: tuple[int, str, int] | None = None
    for path in sorted(texts, key=lambda one: ("caption" not in one.lower(), one))[:_TEXTS]:
        beside = next(file for file in place.files(Selection(None, frozenset({path}), frozenset())) if file.path == safe_path(path))
        if beside.size > _LARGEST_TEXT:
            continue
        with suppress(DataError), beside.open() as stream:
            told = by_image(map(ImageNames(paths, beside.path).found, read_told(stream.read(), beside.path, CAPTIONS)))
            captions = [caption for each in told.values() for caption in each]
            # What is said of many pictures in the same word is a class.
            says = len(told) >= _OFTEN * len(paths) and len({*captions}) > _OFTEN * len(told)
            if says and (best is None or len(told) > best[0]):
                best = len(told), path, len(captions)
    if best is None:
        return None
    count, path, captions_count = best
    why = f"{safe_path(path)} says of {count:,} of {len(paths):,} pictures what they show, in {captions_count:,} captions"
    return Recognised("captions", "pictures", why, files, keys={"captions": (safe_path(path), "the file that says it")})


def _by_class(layout: str, noun: str, why: str, files: Sequence[SourceFile], keys: Mapping[str, tuple[str, str]]) -> Recognised:
    """Files that lie flat or in a folder a class; or in a folder that alone is meant."""
    folders = sorted({folder for file in files if (folder := class_of(file.path)) is not None})
    is_flat = any(class_of(file.path) is None for file in files)
    if folders and is_flat:
        none = {"labels": ("none", f"some {noun} lie in folders and some do not, so the folders are no classes")}
        return Recognised(layout, noun, why, files, keys={**keys, **none})
    if len(folders) == 1:
        return Recognised(layout, noun, f"all {noun} lie in {folders[0]}", files, below=folders[0])
    parts = [name for name in folders if is_part(name)]
    first = next((name for name in parts if name.lower().startswith("tr")), None)
    if len(parts) > 1 and (first is not None or parts == folders):
        return Recognised(
            layout, noun, f"{', '.join(map(safe_path, parts))} are parts of a set and no classes", files, below=first or parts[0]
        )
    return Recognised(layout, noun, why, files, tuple(folders), keys)


def _of_sounds(files: Sequence[SourceFile]) -> Mapping[str, tuple[str, str]]:
    """The rate that most of some sounds have, and a length that holds nearly all of them."""
    import soundfile

    heads: list[tuple[int, float]] = []
    for file in _some(files):
        # What is broken is validation's to say.
        with suppress(soundfile.SoundFileError, OSError, ValueError), file.open() as stream:
            head = soundfile.info(stream)
            if 0 < head.frames < _MOST_FRAMES:
                heads.append((head.samplerate, head.frames / max(head.samplerate, 1)))
    if not heads:
        return {}
    rate, count = Counter(rate for rate, _ in heads).most_common(1)[0]
    lengths = sorted(seconds for _, seconds in heads)
    usual = lengths[min(int(0.9 * len(lengths)), len(lengths) - 1)]
    seconds = next((limit for limit in (0.5, 1, 2, 4, 8) if usual <= limit), 16)
    span = f"{len(heads)} looked at last {lengths[0]:.2g} to {lengths[-1]:.3g} s"
    return {
        "rate": (f"{min(max(rate, 1_000), 48_000):_}", f"values a second, as {count} of {len(heads)} looked at have"),
        "seconds": (f"{seconds:g}", f"{span}; a longer one is cut, silence follows a shorter one"),
    }


def _clips(files: Sequence[SourceFile]) -> Recognised | None:
    """Animated pictures, or strips of square frames; None where most of those that are looked at are neither."""
    counts = _of_heads(files, _frames_in)
    several = sorted(count for count in counts if count >= _FRAMES[-1])
    if len(several) <= _OFTEN * len(counts):
        return None
    frames = next(number for number in _FRAMES if several[len(several) // 10] >= number)
    why = f"{len(several)} of {len(counts)} pictures looked at are animated, or strips of square frames"
    span = f"they have {several[0]:,} to {several[-1]:,}; of a longer one several clips are made, or, with every: 2, each second is taken"
    return _by_class("clips", "clips", why, files, {"frames": (f"{frames}", span)})


def _of_films(files: Sequence[SourceFile]) -> Sequence[str]:
    """A note, where the pictures of each folder may be the frames of a film: they are numbered, and change little from one to the next."""
    folders: dict[str, dict[int, SourceFile]] = {}
    for file in files:
        folder, name = posixpath.split(file.path)
        number = re.search(r"(\d{1,9})\D*$", name)
        folders.setdefault(folder, {})[int(number[1]) if number else -1] = file
    runs = [frames for frames in folders.values() if min(frames) >= 0 and max(frames) - min(frames) + 1 == len(frames) >= _FRAMES[-1]]
    if len(runs) < max(2, len(folders) * _OFTEN) or sum(map(len, runs)) < len(files) * _OFTEN:
        return ()
    shares = [
        share for frames in runs[:: max(len(runs) // 8, 1)][:8] if (share := _change([frames[key] for key in sorted(frames)])) is not None
    ]
    if not shares or statistics.median(shares) > _OFTEN:
        return ()
    frames = next(number for number in _FRAMES if min(map(len, runs)) >= number)
    return (
        "the pictures of a folder are numbered and change little from one to the next: where each of the "
        f"{len(folders):,} folders is a clip and no class, write layout: frame-folders and frames: {frames} below data",
    )


def _change(frames: Sequence[SourceFile]) -> float | None:
    """How much pictures differ from the next, beside how much from those half of all away; None where they cannot be read."""
    from PIL import Image, UnidentifiedImageError

    def small(file: SourceFile) -> NDArray[np.float64]:
        with file.open() as stream, Image.open(stream) as picture:
            return np.asarray(picture.convert("L").resize((32, 32)), dtype=np.float64)

    half = len(frames) // 2
    with suppress(UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        seen = [(small(frames[at]), small(frames[at + 1]), small(frames[at + half])) for at in (0, half // 2)]
        far = sum(np.abs(one - other).mean() for one, _, other in seen)
        return float(sum(np.abs(one - other).mean() for one, other, _ in seen) / far) if far else None
    return None


def _of_heads(files: Sequence[SourceFile], told: Callable[[ImageFile], Told]) -> Sequence[Told]:
    """What some pictures' heads tell; of those that cannot be read, which are validation's to name, nothing."""
    from PIL import Image, UnidentifiedImageError

    found = []
    for file in _some(files):
        broken = suppress(UnidentifiedImageError, OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError)
        with broken, file.open() as stream, Image.open(stream) as head:
            found.append(told(head))
    return found


def _frames_in(head: ImageFile) -> int:
    """Of an animated picture, or of a strip of square ones."""
    short, long = sorted(head.size)
    moves = head.format in _ANIMATED and getattr(head, "is_animated", False)
    return int(getattr(head, "n_frames", 1)) if moves else 1 if long % short else long // short


def _shape(head: ImageFile) -> tuple[int, int]:
    """Height and width, as the picture is seen."""
    from tasks.validation.images import orientation_of

    width, height = head.size
    # Of a TIFF file Pillow says the size as it is seen.
    lies = head.format != "TIFF" and orientation_of(head) in _LYING
    return (width, height) if lies else (height, width)


def _of_shapes(shapes: Sequence[tuple[int, int]]) -> Mapping[str, tuple[str, str]]:
    """The size of most, where these are upright, or wide; of squares and of both together it is not said."""
    for is_upright in (True, False):
        times = sorted(max(one) / min(one) for one in shapes if (one[0] > one[1]) == is_upright and max(one) >= _OBLONG * min(one))
        if not times or len(times) < _MOSTLY * len(shapes):
            continue
        long = min(round(_SHORT_SIDE * statistics.median(times) / _STEP) * _STEP, _LONGEST)
        sides = (long, _SHORT_SIDE) if is_upright else (_SHORT_SIDE, long)
        which = "higher than wide" if is_upright else "wider than high"
        why = f"height and width in pixels: {len(times)} of {len(shapes)} looked at are {which}; twice both takes four times as long"
        return {"size": (sides_in_words(sides), why)}
    return {}


def _are_pictures(files: Sequence[SourceFile]) -> bool:
    """Whether files that may be volumes are arrays of a picture each; without one that can be read they are not."""
    if any(_suffix(file.path) not in ARRAY_SUFFIXES for file in files):
        return False
    shapes = []
    for file in _some(files):
        with suppress(DataError, OSError), file.open() as stream:
            shapes += [head.shape for head in array_heads(stream, file.path)]
    return bool(shapes) and all(bands_of(shape) is not None for shape in shapes)


def _some(files: Sequence[SourceFile]) -> Iterable[SourceFile]:
    """A few, from all over."""
    return files[:: max(len(files) // _HEADS, 1)][:_HEADS]


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122
