"""`folder://PATH/set.zip`: a zip or tar archive, read as a folder.

Nothing is unpacked under the names that an archive gives. A zip and a plain tar are read in place. A compressed tar is decompressed
once, when it is listed, into a scratch file without a name, since its files are then wanted in another order.

Refused, naming the member: a path that leads out of the archive (absolute, `..`) or holds a zero byte, two files of one path, an
encrypted file, a compression that Python does not know, zip members that overlap, and what expands beyond measure: a file of more than
1 GiB, or all files together to more than 100 times the archive's size (and more than 1 GiB). An archive that is damaged or cut short,
or has more than 3,000,000 members, is refused as a whole. Left out, and counted: links, also to files inside, and what is no ordinary
file: devices, pipes, sparse files.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, cast

from gan_core.errors import DataError
from tasks.sources.content import what_came
from tasks.sources.images import Selection
from tasks.sources.raw import safe_path
from tasks.sources.source import SourceFile, held, scratch_file

_MOST_BYTES = 1 << 30
"""Of a file in an archive."""
_LARGEST_FACTOR = 100
"""By which an archive may expand, all its files together; to `_MOST_BYTES` it always may."""
_MOST_MEMBERS = 3_000_000
_LONGEST_DIRECTORY = 256 << 20
"""Bytes of the list that a zip ends with, which is read in one go."""
_LONGEST_PATH = 4_096
_LONGEST_HEADER = 1 << 20
"""Bytes of a tar header that carries a long path or the like."""
_XZ_MEMORY = 256 << 20
"""Bytes that decompressing an xz file may take; one made by `xz -9` takes 65 MiB."""
_CHUNK = 1 << 20
_AGAIN = "get the archive again, or pack it again"

_MAGIC = (b"PK", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
"""How archives begin, but for a plain tar."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_UNIX = 3  # the system whose file modes a zip member has
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # bits of a zip member: plainly, strongly, and its header too
_UTF8 = 0x800  # bit of a zip member: its name is UTF-8
_LOCAL_HEADER = 30  # bytes before the name and the data of a zip member
_LONG_HEADERS = {
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
}
_FAULTS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    # A header that lies; the last is how zipfile says that it cannot, and how a chain of headers without end ends.
    *(ValueError, IndexError, OverflowError, RuntimeError),
)
"""What Python's readers raise at an archive that is damaged, or made to seem one."""


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    """Bytes, as the archive states them."""
    is_folder: bool
    open: Callable[[], BinaryIO]
    left_out: str | None = None
    """Why it is none of the files that may be taken."""
    refusal: str | None = None
    """Why, if it would be taken, the archive cannot be used."""


class Archive:
    """An open archive; a `tasks.sources.images.Place`.

    Args:
        file: its bytes, a real file; held open as long as this lives, so that it stays the same archive.
        name: ends as the archive's name does.
        where: what messages call it.
        identity: as `Source.identity`.
        state: as `SourceFile.state`, of the archive.
        below: the folder in it to read, its parts joined by `/`; empty for all.
        scratch: the folder for scratch files.
    """

    notes: Sequence[str] = ()

    def __init__(self, file: BinaryIO, name: str, where: str, identity: str, state: str | None, below: str, scratch: Path) -> None:
        self._file = file
        self._is_zip = name.lower().endswith(".zip")
        self._archive = where
        self._state = state
        self._below = f"{below}/" if below else ""
        self._scratch = scratch
        self._most = max(_MOST_BYTES, _LARGEST_FACTOR * file.seek(0, os.SEEK_END))
        self.where = where + (f"/{safe_path(below)}" if below else "")
        self.identity = f"{identity}/{self._below}"
        self.fingerprint = None if state is None else f"{self.identity} {state}"

    def files(self, choice: Selection) -> Iterator[SourceFile]:
        seen: set[str] = set()
        total = 0
        try:
            for number, member in enumerate(self._zip_members() if self._is_zip else self._tar_members(), start=1):
                if number > _MOST_MEMBERS:
                    raise DataError(
                        f"{self._archive}: has more than {_MOST_MEMBERS:,} members; pack fewer, or unpack it and name its folder"
                    )
                path = self._path(member.name)
                if path is None or member.is_folder or not choice.looks_at(path):
                    continue
                if member.left_out:
                    choice.left_out[member.left_out] += 1
                elif choice.takes(path):
                    if refusal := member.refusal or ("is in it twice; pack it again with one of them" if path in seen else None):
                        raise DataError(f"{self._archive}: {_shown(member.name)} {refusal}")
                    seen.add(path)
                    total += member.size
                    if member.size > _MOST_BYTES or total > self._most:
                        raise self._bomb(f"{_shown(member.name)} of {member.size:,} bytes expands it", total)
                    yield SourceFile(safe_path(path), member.size, self._state, member.open)
        except _FAULTS as error:
            self._file.seek(0)
            if came := what_came(self._file.read(_CHUNK), right=_MAGIC):
                raise DataError(f"{self._archive}: is {came}, not an archive; {_AGAIN}") from None
            raise DataError(f"{self._archive}: no readable archive, or damaged ({error or type(error).__name__}); {_AGAIN}") from None

    def _path(self, name: str) -> str | None:
        """The path of a member below the folder that is read; None where it lies elsewhere."""
        if name.startswith("/") or "\0" in name or re.match(r"[A-Za-z]:[/\\]", name) or ".." in re.split(r"[/\\]", name):
            raise DataError(f"{self._archive}: the path {_shown(name)} leads out of the archive; pack it again with relative paths")
        if len(name) > _LONGEST_PATH:
            raise DataError(f"{self._archive}: the path {_shown(name)} of {len(name):,} characters; at most {_LONGEST_PATH:,} are taken")
        path = "/".join(part for part in name.split("/") if part not in ("", ".")) if "./" in name or "//" in name else name
        return path.removeprefix(self._below) if path.startswith(self._below) else None

    def _zip_members(self) -> Iterator[_Member]:
        archive = zipfile.ZipFile(cast(BinaryIO, _ShortReads(self._file)))
        # Members that share their bytes make small archives of endless data (Fifield, A better zip bomb, 2019).
        for first, second in pairwise(sorted(archive.infolist(), key=attrgetter("header_offset"))):
            if first.header_offset + _LOCAL_HEADER + first.compress_size > second.header_offset:
                raise DataError(f"{self._archive}: {_shown(first.filename)} and {_shown(second.filename)} overlap; {_AGAIN}")
        for info in archive.infolist():
            name, refusal = _zip_name(info), None
            if "\\" in name:
                refusal = "has `\\` in its path, as some programs for Windows write it; pack it again with `/`"
            elif info.flag_bits & _ENCRYPTED:
                refusal = "is encrypted; pack it again without a password"
            elif info.compress_type not in _METHODS:
                refusal = f"is compressed by method {info.compress_type}, which cannot be read here; pack it again with deflate"
            mode = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
            left_out = "links" if mode == stat.S_IFLNK else None if mode in (0, stat.S_IFREG, stat.S_IFDIR) else "no ordinary files"
            yield _Member(name, info.file_size, info.is_dir(), partial(self._open_in_zip, archive, info), left_out, refusal)

    def _open_in_zip(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
        what = f"{self._archive}: {_shown(info.filename)}"
        try:
            with archive.open(info) as stream:
                # The reader never gives more than is stated, and compares the checksum at the end.
                return held(cast(BinaryIO, stream), info.file_size, self._scratch, DataError(f"{what} is cut short; {_AGAIN}"))
        except _FAULTS as error:
            raise DataError(f"{what} is damaged ({error}); {_AGAIN}") from None

    def _tar_members(self) -> Iterator[_Member]:
        plain = self._plain_tar()
        with tarfile.open(fileobj=plain, mode="r:", tarinfo=_TarInfo, encoding="utf-8", errors="surrogateescape") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # The reader would keep them all.
                if info.size < 0:
                    raise ValueError(f"a member of {info.size:,} bytes")
                if info.issym() or info.islnk():
                    left_out: str | None = "links"
                else:
                    left_out = None if info.isdir() or (info.isreg() and not info.issparse()) else "no ordinary files"
                opened = partial(self._open_in_tar, plain, info.name, info.offset_data, info.size)
                yield _Member(info.name, info.size, info.isdir(), opened, left_out)
            # The reader takes whatever is no header for the end.
            plain.seek(archive.offset)
            if plain.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise ValueError(f"neither a member nor the end at byte {archive.offset:,}")

    def _open_in_tar(self, plain: BinaryIO, name: str, offset: int, size: int) -> BinaryIO:
        plain.seek(offset)
        refusal = DataError(f"{self._archive}: {_shown(name)} is cut short; {_AGAIN}")
        return held(plain, size, self._scratch, refusal, goes_on=True)

    def _plain_tar(self) -> BinaryIO:
        """The tar archive without its compression."""
        self._file.seek(0)
        stream = _decompressed(self._file)
        if stream is self._file:
            return stream
        plain = scratch_file(self._scratch)
        while piece := stream.read(_CHUNK):
            plain.write(piece)
            if plain.tell() > self._most:
                raise self._bomb("its compression expands it", plain.tell())
        plain.seek(0)
        return plain

    def _bomb(self, what: str, size: int) -> DataError:
        return DataError(
            f"{self._archive}: {what} to {size:,} bytes or more, as a zip bomb does; if it is meant to, unpack it and name its folder"
        )


class _ShortReads:
    """A file of which no more is read at once than a zip's list of members may have."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        if size > _LONGEST_DIRECTORY:
            raise ValueError(f"a list of members of {size:,} bytes")
        return self._file.read(size)


class _TarInfo(tarfile.TarInfo):
    """A member whose headers are read into memory only where they state a length that makes sense."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_HEADERS and not 0 <= self.size <= _LONGEST_HEADER:
            raise ValueError(f"a header of {self.size:,} bytes")
        return cast(tarfile.TarInfo, super()._proc_member(archive))  # type: ignore[misc]


class _Xz(io.RawIOBase):
    """An xz file, decompressed in bounded memory: Python's own reader takes as much as the file asks for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while True:
            if self._decompressor.eof:
                # Streams may follow each other, with zeros between them.
                rest = self._decompressor.unused_data.lstrip(b"\0")
                while not rest:
                    if not (more := self._file.read(_CHUNK)):
                        return b""
                    rest = more.lstrip(b"\0")
                self._decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
            else:
                rest = self._file.read(_CHUNK) if self._decompressor.needs_input else b""
                if not rest and self._decompressor.needs_input:
                    raise EOFError("it ends too early")
            if piece := self._decompressor.decompress(rest, size):
                return piece


def _decompressed(file: BinaryIO) -> BinaryIO:
    """A file's bytes without the compression that its first bytes tell of; the file itself where they tell of none."""
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(file))
    return cast(BinaryIO, _Xz(file)) if magic == b"\xfd7zXZ\0" else file


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A zip member's path. Where it does not say that it is UTF-8, and is, it is taken as that, as some programs write it."""
    # Python ends a name at a zero byte; whatever stands there, it is told from here.
    name = info.orig_filename
    if info.flag_bits & _UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        return name


def _shown(name: str) -> str:
    return f"'{safe_path(name[:80])}'"
