"""What a few files of pictures say of their depth and bands, before a pixel is decoded: the keys that an entry needs to keep both."""

from __future__ import annotations

import logging
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

from gan_core.errors import DataError
from gan_core.params.common import Sides
from tasks.sources.array_heads import ArrayHead, array_heads, bands_of
from tasks.sources.source import SourceFile
from tasks.validation.formats import UnusableImageError, format_of

_FIRST = 512
"""Bytes that tell a file's format."""
_MOST_PAGES = 32
"""Pages of a TIFF file up to which they are taken for bands."""
_RGB, _PALETTE = 2, 3
_EXTRA_ALPHA = (1, 2)
_KINDS: Mapping[str, Literal["unsigned", "signed", "float"]] = {"u": "unsigned", "b": "unsigned", "i": "signed", "f": "float"}


@dataclass(frozen=True)
class Head:
    """Of one picture."""

    bands: int
    """Without alpha, which goes on white."""
    bits: int
    kind: Literal["unsigned", "signed", "float"] = "unsigned"
    is_paged: bool = False
    """Whether its bands are pages of one each, of which the first alone is taken unless all are asked for."""


def head_of(stream: BinaryIO, name: str) -> Head | None:
    """What the file says; None where that is grey or colour of 8 bits, or it says nothing that is understood here."""
    start = stream.read(_FIRST)
    stream.seek(0)
    try:
        kind = format_of(start)
    except UnusableImageError:
        return None
    if kind == "TIFF":
        return _tiff_head(stream)
    if kind == "PNG" and len(start) >= 26:
        depth, colour = struct.unpack_from(">BB", start, 24)
        return Head(3 if colour & 2 else 1, max(depth, 8))
    if kind == "NumPy":
        heads = array_heads(stream, name)
        bands = bands_of(heads[0].shape) if len(heads) == 1 else None
        dtype = heads[0].dtype if heads else None
        if bands is None or dtype is None or dtype.kind not in _KINDS:
            return None
        return Head(bands, 8 * dtype.itemsize, _KINDS[dtype.kind])
    return Head(3, 8)


def _tiff_head(stream: BinaryIO) -> Head | None:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        # Its own name is the number of its descriptor, which tifffile does not take.
        with tifffile.TiffFile(stream, name="picture.tif") as file:
            page, pages = file.pages.first, len(file.pages)
            samples, bits, colour = page.samplesperpixel, page.bitspersample, int(page.photometric)
            extra, sample = [int(one) for one in page.extrasamples], int(page.sampleformat)
    except Exception:  # Broken headers raise anything, and what is broken is validation's to say.
        return None
    if not isinstance(bits, int):
        return None
    usual = 3 if colour == _RGB else 1
    has_alpha = samples == usual + 1 and extra[:1] and extra[0] in _EXTRA_ALPHA
    is_paged = samples == 1 and colour not in (_RGB, _PALETTE) and 1 < pages <= _MOST_PAGES
    bands = 3 if colour == _PALETTE else pages if is_paged else usual if has_alpha else samples
    return Head(bands, max(bits, 8), {2: "signed", 3: "float"}.get(sample, "unsigned"), is_paged)  # type: ignore[arg-type]


def keys_of(files: Iterable[SourceFile]) -> Mapping[str, tuple[str, str]]:
    """The keys of `data` that keep depth and bands of these files, each with its value, as YAML has it, and the reason; none where they are
    8 bits in grey or colour, or are not alike."""
    heads = []
    for file in files:
        try:
            with file.open() as stream:
                heads.append(head_of(stream, file.path))
        except (DataError, OSError, ValueError):  # what is broken is validation's to say
            continue
    known = [head for head in heads if head is not None]
    if not known:
        return {}
    keys: dict[str, tuple[str, str]] = {}
    bands, count = Counter(head.bands for head in known).most_common(1)[0]
    if bands not in (1, 3) or any(head.is_paged for head in known):
        if 2 * count <= len(known):
            return {}
        what = "pages of one band each; leave it out to take the first page alone" if known[0].is_paged else "bands"
        shown = "; pictures show the first three, or those that show names, such as show: [3, 2, 1]" if bands > 3 else ""
        keys["channels"] = (str(bands), f"{count} of {len(known)} looked at have so many {what}{shown}")
    return keys | _depth_keys(known)


def keys_of_arrays(images: ArrayHead) -> Mapping[str, tuple[str, str]]:
    """The same of an array of many images."""
    channels = _channels_of(images.shape)
    keys = {} if channels in (1, 3) else {"channels": (str(channels), "each has so many bands")}
    return keys | _depth_keys([Head(channels, 8 * images.dtype.itemsize, _KINDS[images.dtype.kind])])


def sides_of(images: ArrayHead) -> Sides:
    """Height and width of the images in an array of many."""
    shape = images.shape
    return (shape[2], shape[3]) if len(shape) == 4 and shape[1] < shape[3] else (shape[1], shape[2])


def _channels_of(shape: tuple[int, ...]) -> int:
    return min(shape[1], shape[3]) if len(shape) == 4 else 1


def _depth_keys(known: Sequence[Head]) -> dict[str, tuple[str, str]]:
    depths = {_depth(head) for head in known}
    if len(depths) > 1 or (depth := depths.pop()) == "8":
        return {}
    sorts = ", ".join(sorted({f"{head.bits}-bit {head.kind}" for head in known}))
    kept = {"16": "whole numbers of 16 bits", "float": "floats"}[depth]
    why = "black is the lowest value of all files and white the highest; where you know them, write them, such as [0, 4095]"
    return {"depth": (depth, f"{sorts} values are kept as {kept}; 8 brings them to 0 to 255"), "range": ("data", why)}


def _depth(head: Head) -> str:
    if head.kind != "unsigned" or head.bits > 16:
        return "float"
    return "16" if head.bits > 8 else "8"
