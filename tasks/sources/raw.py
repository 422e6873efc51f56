"""The fetched form of a data set: what the fetch stage writes to data/NAME/raw and the validate stage reads.

A flat set of files, packed into a few tar archives that any tar reads, because DVC handles a few large files far faster than many
small ones:

    index.json                  format, kind, source, samples, truth; and of each archive its members (path, size, offset, sha256)
    shard-0f-0123456789abcdef.tar

What the members are depends on the kind:

    files     image files, as they lie in the source. Where the source has a folder a class, a path begins with its class; where a
              file holds captions or labels of images, it is one of the members.
    idx       the four files of MNIST and its siblings, under MNIST's own names: train-images-idx3-ubyte.gz,
              train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz
    arrays    .npy files of images, (N, H, W), (N, H, W, C) or (N, C, H, W), and of their labels, (N,), by names that pair them as
              `tasks.sources.array_heads` has it; where there is classes.json, labels are indices into the list of names in it
    points    points.npy, float32 (N, D)
    table     table.csv, table.parquet or another form, as it lies in the source

The shard of a file is a hash of its path, so a new file changes one shard. A shard's name carries a digest of what is in it, so a
shard never changes under its name: new ones are put beside the old, the index is replaced in one step, and only then the old ones
go. Whatever moment a writer is killed at, the index that is there describes a whole data set. The bytes depend on the members alone.

Paths are Unicode without control characters; `safe_path` makes them so, and two different paths stay different.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO, FileIO
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from gan_core.errors import DataError, GantryError

FORMAT = 1
Kind = Literal["files", "idx", "arrays", "points", "table"]
KINDS: tuple[Kind, ...] = ("files", "idx", "arrays", "points", "table")

_INDEX = "index.json"
_SHARD = re.compile(r"shard-[0-9a-f]{2}-[0-9a-f]{16}\.tar")
_SHARD_COUNTS = ((16 << 20, 1), (4 << 30, 16))
"""Number of shards for image files of at most so many bytes together; above the last, 256."""
_CHUNK = 1 << 20
_READ = 1 << 16
"""Bytes that are read at once where a file has fewer."""
_AHEAD = 8
"""Files that are transferred at once."""
_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * (2 * _BLOCK)
_PLAIN_HEADER = tarfile.TarInfo().tobuf(tarfile.PAX_FORMAT)
_LARGEST_PLAIN = 8**11 - 1
_AGAIN = "remove the folder and run the fetch stage again"


@dataclass(frozen=True, slots=True)
class Member:
    """One file in raw."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    """Of the file's bytes, hexadecimal."""
    shard: str
    """Name of the archive that holds it."""
    offset: int
    """Of its first byte in the archive."""


@dataclass(frozen=True)
class About:
    """What a raw data set is, apart from its members."""

    kind: Kind
    source: str
    """As params.yaml says it, variables not expanded, so that it is the same on every machine."""
    samples: int
    truth: Mapping[str, Any] | None = None
    """Points: the distribution they were drawn from, as `gan_core.kinds.points.Points.truth` has it."""


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file on its way into raw."""

    path: str
    size: int
    """Bytes in the source; decides, with all others, how many shards there are."""
    open: Callable[[], BinaryIO]
    """A seekable stream of the bytes to put in."""
    sha256: str | None = None
    """Digest of these bytes, where it is known without reading them."""
    is_far: bool = False
    """Whether opening it waits for a network: it is read once, and the next ones are opened meanwhile."""


@dataclass(frozen=True)
class Changes:
    """What a `sync` did."""

    added: int
    removed: int
    changed: int
    """Files under an old path with other bytes."""
    shards: int
    rewritten: int
    """Shards that were written."""


class RawReader:
    """A raw data set, opened. Reads at random, and from several threads and processes at once."""

    def __init__(self, folder: Path, about: About, members: Sequence[Member]) -> None:
        self.folder = folder
        self.about = about
        self.members = members
        """In order of their paths."""
        self._shards: dict[str, FileIO] = {}
        self._there: dict[str, tuple[int, bytes]] = {}
        """Of each shard where it was last read, and what was there: the next small file lies behind the one before."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a raw data set; reads its index only.

        Raises:
            DataError: there is none, or its index is damaged.
        """
        about, shards = _read_index(folder)
        return cls(folder, about, sorted((member for shard in shards for member in shard), key=lambda member: member.path))

    def __reduce__(self) -> tuple[Callable[[Path], RawReader], tuple[Path]]:
        return RawReader.open, (self.folder,)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.members)

    @property
    def kind(self) -> Kind:
        return self.about.kind

    @property
    def truth(self) -> Mapping[str, Any] | None:
        return self.about.truth

    def read(self, member: Member) -> bytes:
        """The bytes of one member, checked against its digest.

        Raises:
            DataError: the archive is missing or damaged.
        """
        try:
            data = self._read(member)
        except OSError as error:
            raise DataError(f"{self.folder / member.shard}: cannot be read ({error.strerror}); {_AGAIN}") from None
        if len(data) != member.size or hashlib.sha256(data).hexdigest() != member.sha256:
            raise DataError(f"{self.folder / member.shard}: damaged at {member.path}; {_AGAIN}")
        return data

    def read_path(self, path: str) -> bytes:
        """The bytes of the member of that path.

        Raises:
            DataError: there is none, or the archive is missing or damaged.
        """
        return self.read(self.member(path))

    def check(self, member: Member) -> None:
        """Compare one member with its digest, in pieces: it may be larger than memory.

        Raises:
            DataError: as `read`.
        """
        path = self.folder / member.shard
        try:
            with path.open("rb") as archive:
                archive.seek(member.offset)
                digest, left = hashlib.sha256(), member.size
                while left and (piece := archive.read(min(left, _CHUNK))):
                    digest.update(piece)
                    left -= len(piece)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from None
        if left or digest.hexdigest() != member.sha256:
            raise DataError(f"{path}: damaged at {member.path}; {_AGAIN}")

    def member(self, path: str) -> Member:
        """The member of that path.

        Raises:
            DataError: there is none.
        """
        for member in self.members:
            if member.path == path:
                return member
        raise DataError(f"{self.folder / _INDEX}: lists no {path}; {_AGAIN}")

    def is_whole(self) -> bool:
        """Whether every archive is there, as long as the index says; their bytes are not read."""
        last: dict[str, Member] = {}
        for member in self.members:
            if member.shard not in last or member.offset > last[member.shard].offset:
                last[member.shard] = member
        try:
            return all((self.folder / shard).stat().st_size == _archive_size(member) for shard, member in last.items())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        for file in self._shards.values():
            file.close()
        self._shards.clear()
        self._there.clear()

    def _read(self, member: Member) -> bytes:
        if member.shard not in self._shards:
            self._shards[member.shard] = FileIO(self.folder / member.shard)
        descriptor = self._shards[member.shard].fileno()
        if member.size <= _READ:
            start, there = self._there.get(member.shard, (0, b""))
            if not start <= member.offset <= start + len(there) - member.size:
                start, there = member.offset, os.pread(descriptor, _READ, member.offset)
                self._there[member.shard] = start, there
            at = member.offset - start
            return there[at : at + member.size]
        parts = []
        # One call gives at most 2 GiB.
        offset, end = member.offset, member.offset + member.size
        while offset < end and (part := os.pread(descriptor, end - offset, offset)):
            parts.append(part)
            offset += len(part)
        return b"".join(parts) if len(parts) != 1 else parts[0]


def index_digest(folder: Path) -> str:
    """SHA-256 of a raw data set's index, and so of all that it says of its files; hexadecimal."""
    return hashlib.sha256((folder / _INDEX).read_bytes()).hexdigest()


def class_of(path: str) -> str | None:
    """The class of an image file in raw: the first folder of its path, None where it lies in none."""
    first, folder, _ = path.partition("/")
    return first if folder else None


def safe_path(path: str) -> str:
    r"""A path as it stands in raw and in everything made from it: printable on one line and valid UTF-8.

    Bytes that are not UTF-8 (surrogates, as Python reads them), control characters and line breaks become `\x0a` or `\u2028`, and a
    backslash becomes two, so different paths stay different.
    """
    if path.isascii() and path.isprintable() and "\\" not in path:
        return path
    return "".join(_safe_character(character) for character in path)


def _safe_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp"):
        return character
    code = ord(character)
    # U+DC80 to U+DCFF are how Python carries the bytes that are not UTF-8; U+0080 to U+009F are characters, so not `\x80`.
    byte = code - 0xDC00 if 0xDC80 <= code <= 0xDCFF else code
    return f"\\x{byte:02x}" if byte != code or code < 0x80 else f"\\u{code:04x}"


def write_raw(folder: Path, about: About, contents: Mapping[str, bytes]) -> Changes:
    """Make `folder` a raw data set of exactly these files, held in memory; what is there and fits is kept."""
    return sync(folder, about, [RawFile(path, len(data), partial(BytesIO, data)) for path, data in contents.items()])


def sync(
    folder: Path,
    about: About,
    files: Sequence[RawFile],
    on_shard: Callable[[Sequence[Member]], None] = lambda members: None,  # called with a shard's members as soon as it is there
) -> Changes:
    """Make `folder` a raw data set of exactly these files; only shards that change are written.

    Memory is bounded: files are copied in pieces. Files of an unchanged shard are read at most once, to take their digests, and not
    at all where those are known; a file of a new shard is read once.

    Raises:
        GantryError: a file shrank while it was read.
        OSError: reading or writing failed; the data set that was there before is untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    old = _old_index(folder)
    old_shards = {shard[0].shard: shard for shard in old[1]} if old else {}
    old_members = {member.path: member for shard in old_shards.values() for member in shard}
    count = _shard_count(about.kind, files)
    new: list[list[Member]] = []
    rewritten = 0
    for number, group in sorted(_by_shard(files, count).items()):
        members = _present_shard(folder, number, group, old_shards, old_members)
        if members is None:
            members, is_new = _write_shard(folder, number, group)
            rewritten += is_new
        on_shard(members)
        new.append(members)
    if old != (about, new):
        _write_index(folder, about, new)
    _sweep(folder, {_INDEX, *(shard[0].shard for shard in new)})
    new_members = {member.path: member for shard in new for member in shard}
    return Changes(
        added=len(new_members.keys() - old_members.keys()),
        removed=len(old_members.keys() - new_members.keys()),
        changed=sum(old_members[path].sha256 != new_members[path].sha256 for path in new_members.keys() & old_members.keys()),
        shards=len(new),
        rewritten=rewritten,
    )


def _shard_count(kind: Kind, files: Sequence[RawFile]) -> int:
    if kind != "files":
        return 1
    total = sum(file.size for file in files)
    return next((count for limit, count in _SHARD_COUNTS if total <= limit), 256)


def _by_shard(files: Sequence[RawFile], count: int) -> dict[int, list[RawFile]]:
    groups: dict[int, list[RawFile]] = defaultdict(list)
    for file in files:
        groups[hashlib.sha256(file.path.encode()).digest()[0] % count].append(file)
    for group in groups.values():
        group.sort(key=lambda file: file.path)
        if any(first.path == second.path for first, second in pairwise(group)):
            raise ValueError("two files of one path")
    return groups


def _present_shard(
    folder: Path, number: int, group: Sequence[RawFile], old_shards: Mapping[str, list[Member]], old_members: Mapping[str, Member]
) -> list[Member] | None:
    """The shard of this group if it is in the folder already, whole; None if it has to be written."""
    # Taking digests only pays where the shard may well be there, with the paths and sizes of before, and reading twice costs little.
    if any(file.sha256 is None for file in group):
        if any(file.sha256 is None and file.is_far for file in group):
            return None
        shards = {old_members[file.path].shard for file in group if file.path in old_members}
        if len(shards) != 1 or [(m.path, m.size) for m in old_shards[shards.pop()]] != [(file.path, file.size) for file in group]:
            return None
    contents = [(file.path, file.size, file.sha256 or _digest(file)) for file in group]
    name = _shard_name(number, contents)
    try:
        size = (folder / name).stat().st_size
    except FileNotFoundError:
        return None
    members = old_shards.get(name) or _layout(name, contents)
    return members if size == _archive_size(members[-1]) else None


def _archive_size(last: Member) -> int:
    """Bytes of the archive that ends with this member."""
    return last.offset + _padded(last.size) + len(_END)


def _write_shard(folder: Path, number: int, group: Sequence[RawFile]) -> tuple[list[Member], bool]:
    """Write the shard of this group. Returns its members, and whether it was not there already, as long as it is now."""
    unfinished = folder / f".shard-{number:02x}.partial"
    contents = []
    try:
        with unfinished.open("wb") as archive:
            for file, source in zip(group, _opened(group), strict=True):
                with source:
                    size = source.seek(0, os.SEEK_END)
                    source.seek(0)
                    archive.write(_header(file.path, size))
                    digest = hashlib.sha256()
                    for piece in _pieces(source, size, file.path):
                        archive.write(piece)
                        digest.update(piece)
                    archive.write(b"\0" * (_padded(size) - size))
                contents.append((file.path, size, digest.hexdigest()))
            archive.write(_END)
            archive.flush()
            os.fsync(archive.fileno())
        name = _shard_name(number, contents)
        is_new = not (folder / name).exists() or (folder / name).stat().st_size != unfinished.stat().st_size
        unfinished.replace(folder / name)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return _layout(name, contents), is_new


def _opened(files: Sequence[RawFile]) -> Iterator[BinaryIO]:
    """The bytes of each file, in order; where files are far, the next few are opened meanwhile."""
    if not any(file.is_far for file in files):
        yield from (file.open() for file in files)
        return
    pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="transfer")
    try:
        coming: deque[Future[BinaryIO]] = deque()
        for file in files:
            coming.append(pool.submit(file.open))
            if len(coming) > _AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _digest(file: RawFile) -> str:
    digest = hashlib.sha256()
    with file.open() as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        for piece in _pieces(source, size, file.path):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(source: BinaryIO, size: int, path: str) -> Iterator[bytes]:
    while size:
        piece = source.read(min(size, _CHUNK))
        if not piece:
            # Not a DataError: it may pass, so the flow tries again.
            raise GantryError(f"{path}: shrank while it was read; fetch again when nothing writes to the source")
        yield piece
        size -= len(piece)


def _header(path: str, size: int) -> bytes:
    """What comes before a file's bytes: its path and size; the time is 0, the owner 0, the mode 0644."""
    if not path.isascii() or len(path) > tarfile.LENGTH_NAME or size > _LARGEST_PLAIN:
        info = tarfile.TarInfo(path)
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT)
    # The same bytes for a plain path, ten times as fast as by tarfile, which took most of the time for 60,000 small files.
    block = bytearray(_PLAIN_HEADER)
    block[: len(path)] = path.encode()
    block[124:135] = b"%011o" % size
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _shard_name(number: int, contents: Sequence[tuple[str, int, str]]) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, contents]).encode()).hexdigest()
    return f"shard-{number:02x}-{digest[:16]}.tar"


def _layout(name: str, contents: Sequence[tuple[str, int, str]]) -> list[Member]:
    members, end = [], 0
    for path, size, sha256 in contents:
        offset = end + len(_header(path, size))
        members.append(Member(path, size, sha256, name, offset))
        end = offset + _padded(size)
    return members


def _write_index(folder: Path, about: About, shards: Sequence[Sequence[Member]]) -> None:
    lines = []
    for shard in shards:
        rows = ",\n".join(json.dumps([m.path, m.size, m.offset, m.sha256], ensure_ascii=False) for m in shard)
        lines.append(f'{{"name": "{shard[0].shard}", "members": [\n{rows}]}}')
    facts = {"format": FORMAT, "kind": about.kind, "source": about.source, "samples": about.samples, "truth": about.truth}
    head = json.dumps(facts, ensure_ascii=False, sort_keys=True).removesuffix("}")
    data = (head + ', "shards": [\n' + ",\n".join(lines) + "]}\n").encode()
    unfinished = folder / ".index.partial"
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / _INDEX)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove what a killed writer, or the version before, left."""
    for path in folder.iterdir():
        if path.name not in keep:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _old_index(folder: Path) -> tuple[About, list[list[Member]]] | None:
    try:
        return _read_index(folder)
    except DataError:  # None yet, or one that cannot be trusted: every shard is looked at anew.
        return None


def _read_index(folder: Path) -> tuple[About, list[list[Member]]]:
    path = folder / _INDEX
    try:
        text = json.loads(path.read_bytes())
        if text["format"] != FORMAT:
            raise DataError(f"{path}: of format {text['format']!r}, and this version reads {FORMAT}; {_AGAIN}")
        about = About(text["kind"], text["source"], text["samples"], text["truth"])
        shards = [[_member(name, *row) for row in shard["members"]] for shard in text["shards"] if (name := _checked(shard["name"]))]
    except FileNotFoundError:
        raise DataError(f"{path}: not there; run the fetch stage first") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {_AGAIN}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); {_AGAIN}") from None
    if about.kind not in KINDS or not isinstance(about.samples, int) or not all(shards):
        raise DataError(f"{path}: damaged; {_AGAIN}")
    return about, shards


def _checked(name: str) -> str:
    if not _SHARD.fullmatch(name):
        raise ValueError(f"no shard {name!r}")
    return name


def _member(shard: str, path: str, size: int, offset: int, sha256: str) -> Member:
    if not isinstance(path, str) or not isinstance(sha256, str):
        raise ValueError(f"no member {path!r}")
    if not (isinstance(size, int) and isinstance(offset, int)) or size < 0 or offset < 0:
        raise ValueError(f"{path}: {size!r} bytes at {offset!r}")
    return Member(path, size, sha256, shard, offset)
