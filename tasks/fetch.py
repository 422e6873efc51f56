"""The fetch stage: `python -P -m tasks.fetch NAME`, from the entry's source to data/NAME/raw.

It syncs: what is in raw is compared with the source, only shards that changed are written, and an unchanged source changes not one
byte. Digests of files seen before are remembered in `.gantry/fetch/NAME.jsonl` with the state that the source showed (size, times and
inode of a file, the ETag of an object), so that unchanged files are not read again; where a shard changes, they are copied from the one
before. What tells of an archive that it is the same is kept in `.gantry/fetch/NAME.json`: then it is not even listed. Killed at any
moment and started again, it ends as if nothing had been.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from gan_core.errors import ConfigError, DataError, GantryError
from tasks.params import Entry
from tasks.sources import Source, SourceFile, open_source
from tasks.sources.raw import About, Changes, Member, RawFile, RawReader, class_of, index_digest, safe_path, sync
from tasks.stage_main import stage_main
from tasks.workspace import Workspace

_NEAR_BYTES = 64 << 20
"""Bytes of a file up to which it is copied from raw, where it lies already, in memory."""
_REPORT_EVERY = 10.0
"""Seconds between lines that say how far it is."""


def fetch(workspace: Workspace, name: str, entry: Entry) -> None:
    """Bring data/`name`/raw level with the source, and print what changed.

    Raises:
        ConfigError: a path in the entry has a variable that is not set.
        DataError: the source is missing, empty or damaged; raw stays as it is.
        GantryError: something that may pass: no network, a full disk, a file that somebody is writing to.
    """
    try:
        source = open_source(workspace, entry.data)
        print(f"fetch {name}: {_fetch(workspace, name, entry, source)}", flush=True)
    except ConfigError as error:
        raise ConfigError(f"generators.{name}.{error}") from None
    except DataError as error:
        if _opened(workspace.raw(name)) is None:
            raise
        raise DataError(f"{error}; what was fetched last stays as it is") from None
    except OSError as error:
        raise GantryError(f"fetch {name}: {safe_path(str(error.filename or entry.data.source))}: {error.strerror or error}") from None


def _fetch(workspace: Workspace, name: str, entry: Entry, source: Source) -> str:
    folder = workspace.raw(name)
    before = _opened(folder)
    last = _LastFetch(workspace.private / "fetch" / f"{name}.json", source.fingerprint, entry.data.source)
    if before is not None and (notes := last.notes_if_same(before)) is not None:
        _print_notes(name, notes)
        return f"unchanged, {_samples(before.about, [member.path for member in before.members], entry)}"
    files = source.look()
    _print_notes(name, source.notes)
    memory = _Memory(workspace.private / "fetch" / f"{name}.jsonl", source.identity, files)
    known = memory.digests()
    old = {member.path: member for member in before.members} if before else {}
    if before and before.kind == source.kind and known == {path: member.sha256 for path, member in old.items()}:
        samples = before.about.samples
    else:
        samples = source.check(before)
    about = About(source.kind, entry.data.source, samples, source.truth)
    progress = _Progress(name, len(files))

    def on_shard(members: Sequence[Member]) -> None:
        memory.add(members)
        progress.add(len(members))
        if before:
            before.close()  # or each shard of before would stay open

    def raw_file(file: SourceFile) -> RawFile:
        digest, member = known.get(file.path), old.get(file.path)
        if before is None or member is None or member.sha256 != digest or member.size > _NEAR_BYTES:
            return RawFile(file.path, file.size, file.open, digest, file.is_far)
        return RawFile(file.path, file.size, partial(_open_near, before, member, file.open), digest)

    changes = sync(folder, about, [raw_file(file) for file in files], on_shard)
    last.keep(folder, source.notes)
    return _in_words(about, changes, files, _samples(about, [file.path for file in files], entry), is_first=before is None)


def _open_near(raw: RawReader, member: Member, open_at_source: Callable[[], BinaryIO]) -> BinaryIO:
    """A file that is in raw already, from there; from the source where raw is damaged."""
    try:
        return BytesIO(raw.read(member))
    except DataError:
        return open_at_source()


def _print_notes(name: str, notes: Sequence[str]) -> None:
    for note in notes:
        print(f"fetch {name}: {note}", flush=True)


def _opened(folder: Path) -> RawReader | None:
    try:
        return RawReader.open(folder)
    except DataError:  # None yet, or one that cannot be trusted: sync makes it good.
        return None


def _samples(about: About, paths: Sequence[str], entry: Entry) -> str:
    """How many samples there are, and in how many classes."""
    in_classes = about.kind == "files" and (entry.data.folders_are_classes or entry.data.layout == "unpaired-folders")
    classes = len({class_of(path) for path in paths} - {None}) if in_classes else 0
    of_classes = f" in {classes:,} {'class' if classes == 1 else 'classes'}" if classes else ""
    return f"{about.samples:,} {'sample' if about.samples == 1 else 'samples'}{of_classes}"


def _in_words(about: About, changes: Changes, files: Sequence[SourceFile], samples: str, is_first: bool) -> str:
    if is_first:
        return f"{samples}, {size_in_words(sum(file.size for file in files))}"
    if not (changes.added or changes.removed or changes.changed):
        return f"unchanged, {samples}" + (f", {_rewritten(changes)} that had been damaged" if changes.rewritten else "")
    if about.kind != "files":
        return f"changed, {samples}"
    changed = f" ~{changes.changed:,}" if changes.changed else ""
    return f"+{changes.added:,} -{changes.removed:,}{changed} files, {_rewritten(changes)}, {samples}"


def _rewritten(changes: Changes) -> str:
    return f"{changes.rewritten} of {changes.shards} {'shard' if changes.shards == 1 else 'shards'} rewritten"


def size_in_words(size: int) -> str:
    """Bytes as `12.3 MB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


class _LastFetch:
    """What the last fetch that ended was told by its source as a whole, in a small JSON file."""

    def __init__(self, path: Path, fingerprint: str | None, source: str) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._source = source

    def notes_if_same(self, raw: RawReader) -> list[str] | None:
        """The notes that the source had, where neither it nor the data set that was made of it has changed since; otherwise None."""
        if self._fingerprint is None or raw.about.source != self._source or not raw.is_whole():
            return None
        try:
            said = _parsed(self._path.read_text(encoding="ascii", errors="replace"))
        except FileNotFoundError:
            return None
        match said:
            case {"fingerprint": self._fingerprint, "raw": digest, "notes": [*notes]} if digest == index_digest(raw.folder):
                return [str(note) for note in notes]
        return None

    def keep(self, raw: Path, notes: Sequence[str]) -> None:
        """Take down that `raw` is now what the source was when its fingerprint was taken."""
        if self._fingerprint is None:
            self._path.unlink(missing_ok=True)
            return
        said = {"format": 1, "fingerprint": self._fingerprint, "raw": index_digest(raw), "notes": [*notes]}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_name(f".{self._path.name}.partial")
        unfinished.write_text(json.dumps(said))
        unfinished.replace(self._path)


class _Progress:
    """Says every few seconds how many files are done."""

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._done = 0
        self._last = time.monotonic()

    def add(self, count: int) -> None:
        self._done += count
        if (now := time.monotonic()) - self._last >= _REPORT_EVERY:
            self._last = now
            print(f"fetch {self._name}: {self._done:,} of {self._total:,} files", flush=True)


class _Memory:
    """Digests of source files that look as they did when they were read, in a file of JSON lines that grows while a fetch goes on.

    What it holds is true whatever happens to raw, so a fetch that was killed goes on from it. A line that a kill cut short is ignored.
    """

    def __init__(self, path: Path, identity: str, files: Sequence[SourceFile]) -> None:
        self._path = path
        self._head = json.dumps({"format": 1, "source": identity}) + "\n"
        self._states = {file.path: file.state for file in files if file.state is not None}
        self._digests = self._read()
        self._is_growing = False

    def digests(self) -> dict[str, str]:
        """By path the digest of each file that is remembered."""
        return dict(self._digests)

    def add(self, members: Sequence[Member]) -> None:
        """Take down the digests of files that are in raw now."""
        new = {m.path: m.sha256 for m in members if m.path in self._states and self._digests.get(m.path) != m.sha256}
        if not new:
            return
        if not self._is_growing:
            # Begins anew without what is out of date.
            self._path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self._path.with_name(f".{self._path.name}.partial")
            unfinished.write_text(self._head + self._lines(self._digests))
            unfinished.replace(self._path)
            self._is_growing = True
        with self._path.open("a") as file:
            file.write(self._lines(new))
        self._digests.update(new)

    def _lines(self, digests: Mapping[str, str]) -> str:
        return "".join(json.dumps([path, self._states[path], digest]) + "\n" for path, digest in digests.items())

    def _read(self) -> dict[str, str]:
        digests = {}
        try:
            with self._path.open(encoding="ascii", errors="replace") as file:
                if file.readline() != self._head:
                    return {}
                for line in file:
                    match _parsed(line):
                        case [str(path), str(state), str(digest)] if self._states.get(path) == state:
                            digests[path] = digest
        except FileNotFoundError:
            pass
        return digests


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


if __name__ == "__main__":
    stage_main(fetch)
