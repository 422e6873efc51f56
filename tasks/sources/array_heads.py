"""What NumPy's files (.npy, .npz) say of the arrays in them, and which are images, and which their labels. Nothing is unpickled, and no
value read."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from gan_core.errors import DataError

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class ArrayHead:
    """Of one array."""

    name: str
    """In the archive, without `.npy`; empty, where the file is the array."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    """Whether the first axis runs fastest."""
    start: int
    """Of its values, in bytes from the beginning of the stream, which is that of its .npy file."""

    @property
    def n_bytes(self) -> int:
        """Of its values."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def size(self) -> int:
        """Bytes of its .npy file."""
        return self.start + self.n_bytes


def array_heads(stream: BinaryIO, where: str) -> list[ArrayHead]:
    """Of each array in a .npy or .npz file, in its order.

    Raises:
        DataError: it is none of the two, or damaged; begins with `where`.
    """
    start = stream.read(4)
    stream.seek(0)
    if start != b"PK\x03\x04":
        return [npy_head(stream, where)]
    try:
        with zipfile.ZipFile(stream) as archive:
            found = []
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        found.append(npy_head(member, f"{where}: {info.filename}", info.filename.removesuffix(".npy")))
            return found
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise DataError(f"{where}: no archive of arrays, or damaged ({error})") from None


def npy_head(stream: Any, where: str, name: str = "") -> ArrayHead:
    """Of a .npy file that begins where the stream stands.

    Raises:
        DataError: it is none; begins with `where`.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _READERS:
            raise ValueError(f"version {version[0]}.{version[1]} of the format is not read here")
        shape, is_fortran, dtype = _READERS[version](stream)
        return ArrayHead(name, shape, dtype, is_fortran, stream.tell())
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: no readable .npy file ({' '.join(str(error).split())[:200]})") from None


def bands_of(shape: tuple[int, ...]) -> int | None:
    """How many channels an array of two or three axes has that is a picture; None where it looks like anything else."""
    if len(shape) == 2:
        return 1
    if len(shape) != 3:
        return None
    least = min(shape[0], shape[2])
    sides = (*shape[:2],) if shape[2] == least else shape[1:]
    return least if 1 <= least <= 16 and 2 * least <= min(sides) else None


_ROLES = {
    "images": frozenset(("images", "image", "imgs", "img", "pictures", "photos", "slices", "x", "data", "arr", "idx3", "idx4")),
    "labels": frozenset(("labels", "label", "lbls", "targets", "target", "classes", "class", "y", "idx1")),
}
"""What of an array's name says that it holds images, or their labels."""
_FORM = frozenset(("ubyte", "byte", "short", "int", "float", "double"))
"""What of the name of an idx file says what its values are."""


@dataclass(frozen=True)
class LabelledImages:
    """An array of images, and the one of their labels."""

    images: ArrayHead
    labels: ArrayHead | None


def paired(heads: Sequence[ArrayHead]) -> tuple[list[LabelledImages], list[str]]:
    """The arrays of images, each with its labels, as their names tell, such as x_train and y_train, test_images and test_labels; and what
    is left out, in words.

    Arrays of numbers with three axes, N x H x W, or four are images. Labels are numbers or words, one for each image; an array of them that
    stands beside one of images alone is of these, if its name says at all that it holds labels.

    Raises:
        DataError: labels are more or fewer than the images that they are of.
    """
    images = [head for head in heads if len(head.shape) in (3, 4) and head.dtype.kind in "buif"]
    others = {head.name: head for head in heads if head not in images}
    labels = {name: head for name, head in others.items() if _is_of_labels(head)}
    found = []
    for one in images:
        same = [head for head in labels.values() if _part(head.name) == _part(one.name)]
        alone = list(labels.values()) if len(images) == len(labels) == 1 else []
        its = next(iter(same or alone), None)
        if its is not None and its.shape[0] != one.shape[0]:
            raise DataError(f"{its.name} has {its.shape[0]:,} labels, and {one.name} {one.shape[0]:,} images; make them as many")
        found.append(LabelledImages(one, its))
    taken = {one.labels.name for one in found if one.labels is not None}
    return found, [_in_words(head) for name, head in others.items() if name not in taken]


def _in_words(head: ArrayHead) -> str:
    what = "objects of Python, which are never unpickled" if head.dtype.hasobject else f"{head.dtype}"
    return f"{head.name} ({' x '.join(map(str, head.shape)) or 'one value'} {what})"


def _is_of_labels(head: ArrayHead) -> bool:
    is_one_each = len(head.shape) == 1 or (len(head.shape) == 2 and head.shape[1] == 1)
    return is_one_each and head.dtype.kind in "buifU" and bool(_words(head.name) & _ROLES["labels"])


def _part(name: str) -> frozenset[str]:
    """What of a name says which part of the set it is, such as train."""
    return _words(name) - _ROLES["images"] - _ROLES["labels"] - _FORM


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", name.lower())) - {""}
