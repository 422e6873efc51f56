"""Raw is written whole or not at all, rewritten as little as possible, and read back checked."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_core.errors import DataError, GantryError
from tasks.sources import raw
from tasks.sources.raw import About, Changes, Member, RawFile, RawReader, class_of, safe_path, sync, write_raw

FILES = About("files", "folder:///photos", 3)


def contents(reader: RawReader) -> dict[str, bytes]:
    return {member.path: reader.read(member) for member in reader.members}


def tree(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Of each file its bytes and whether it is still the same one."""
    return {path.name: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def many(count: int = 300) -> dict[str, bytes]:
    return {f"class {i % 3}/photo {i}.png": hashlib.sha256(str(i).encode()).digest() * (i % 40) for i in range(count)}


@pytest.fixture
def sixteen_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "_SHARD_COUNTS", ((1_000, 1), (4 << 30, 16)))


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    given_files = {"b/2.png": b"two", "a/1.png": b"", "a/0.png": bytes(range(256)) * 100}
    write_raw(tmp_path / "raw", FILES, given_files)
    with RawReader.open(tmp_path / "raw") as reader:
        assert contents(reader) == given_files
        assert [member.path for member in reader.members] == ["a/0.png", "a/1.png", "b/2.png"]
        assert [member.sha256 for member in reader.members] == [hashlib.sha256(reader.read(m)).hexdigest() for m in reader.members]
        assert [member.size for member in reader.members] == [25_600, 0, 3]
        assert (reader.kind, reader.truth, len(reader), reader.about) == ("files", None, 3, FILES)
        assert reader.read_path("b/2.png") == b"two"


def test_keeps_the_truth_of_points(tmp_path: Path) -> None:
    about = About("points", "points://ring", 5, {"shape": "ring", "centers": [[2.0, 0.0], [0.1, 1.0]], "sigma": 0.02})
    write_raw(tmp_path / "raw", about, {"points.npy": b"..."})
    reader = RawReader.open(tmp_path / "raw")
    assert reader.about == about


def test_flat_files_have_no_class() -> None:
    assert [class_of(path) for path in ("a.png", "cat/a.png", "cat/2024/a.png")] == [None, "cat", "cat"]


def test_any_tar_reads_it(tmp_path: Path) -> None:
    long = "x" * 200 + "/" + "日本語 👩‍💻" * 10 + ".png"
    write_raw(tmp_path / "raw", FILES, {"a/0.png": b"zero", long: b"long"})
    [shard] = (tmp_path / "raw").glob("shard-*.tar")
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", shard, "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / "a" / "0.png").read_bytes() == b"zero"
    assert (tmp_path / "out" / long).read_bytes() == b"long"
    listing = subprocess.run(["tar", "-tvf", shard, "--utc"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    assert listing.split() == ["-rw-r--r--", "0/0", "4", "1970-01-01", "00:00", "a/0.png"]


@given(st.text(st.characters(max_codepoint=0x17F, exclude_categories=["Cc"]), min_size=1, max_size=110), st.integers(0, 2**34))
def test_headers_are_those_of_tarfile(path: str, size: int) -> None:
    info = tarfile.TarInfo(path)
    info.size = size
    assert raw._header(path, size) == info.tobuf(tarfile.PAX_FORMAT)


def test_bytes_depend_on_the_members_alone(tmp_path: Path, sixteen_shards: None) -> None:
    files = many()
    write_raw(tmp_path / "one", FILES, files)
    # In another order, by way of other contents, and with something left over.
    write_raw(tmp_path / "two", FILES, {**dict(list(files.items())[::-1][:250]), "gone.png": b"gone", "class 0/photo 0.png": b"old"})
    (tmp_path / "two" / ".shard-03.partial").write_bytes(b"half")
    (tmp_path / "two" / "stray").mkdir()
    write_raw(tmp_path / "two", FILES, dict(reversed(files.items())))
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    assert {name: data for name, (data, *_) in one.items()} == {name: data for name, (data, *_) in two.items()}
    assert len(one) == 17


def test_the_format_is_pinned(tmp_path: Path) -> None:
    # Other bytes for the same members would make every data set of every workspace look changed.
    write_raw(tmp_path, FILES, {"a/0.png": b"zero", "b/ü.png": b"one"})
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(tmp_path.iterdir())}
    assert digests == {"index.json": "fb6b3c2ce31693a9", "shard-00-29fba76aa9a19c23.tar": "46184c8b630b4c24"}


def test_nothing_changed_nothing_written(tmp_path: Path, sixteen_shards: None) -> None:
    write_raw(tmp_path, FILES, many())
    before = tree(tmp_path)
    assert write_raw(tmp_path, FILES, many()) == Changes(added=0, removed=0, changed=0, shards=16, rewritten=0)
    assert tree(tmp_path) == before


def test_a_new_file_touches_one_shard(tmp_path: Path, sixteen_shards: None) -> None:
    write_raw(tmp_path, FILES, many())
    before = tree(tmp_path)
    assert write_raw(tmp_path, FILES, {**many(), "new.png": b"new"}) == Changes(added=1, removed=0, changed=0, shards=16, rewritten=1)
    after = tree(tmp_path)
    assert len(before.items() & after.items()) == 15
    assert contents(RawReader.open(tmp_path)) == {**many(), "new.png": b"new"}


def test_counts_what_changed(tmp_path: Path) -> None:
    write_raw(tmp_path, FILES, {"a": b"1", "b": b"2", "c": b"3"})
    assert write_raw(tmp_path, FILES, {"b": b"2", "c": b"4", "d": b"5", "e": b"6"}) == Changes(2, 1, 1, 1, 1)


def test_files_of_known_digest_are_not_read(tmp_path: Path) -> None:
    write_raw(tmp_path, FILES, many(20))

    def refuse() -> BinaryIO:
        raise AssertionError("read")

    def known(files: Mapping[str, bytes]) -> list[RawFile]:
        return [RawFile(path, len(data), refuse, hashlib.sha256(data).hexdigest()) for path, data in files.items()]

    assert sync(tmp_path, FILES, known(many(20))).rewritten == 0
    # Not even where the index was lost: the name of a shard says what is in it.
    (tmp_path / "index.json").unlink()
    assert sync(tmp_path, FILES, known(many(20))).rewritten == 0
    assert contents(RawReader.open(tmp_path)) == many(20)


def test_each_file_of_a_new_shard_is_read_once(tmp_path: Path) -> None:
    reads: list[str] = []

    def opener(path: str, data: bytes) -> Callable[[], BinaryIO]:
        def read() -> BinaryIO:
            reads.append(path)
            return BytesIO(data)

        return read

    files = [RawFile(path, len(data), opener(path, data)) for path, data in many(20).items()]
    sync(tmp_path, FILES, files)
    assert sorted(reads) == sorted(many(20))
    # Added files leave nothing to compare: no second look at the others before they are copied.
    reads.clear()
    sync(tmp_path, FILES, [*files, RawFile("new", 3, opener("new", b"new"))])
    assert sorted(reads) == sorted([*many(20), "new"])


@pytest.mark.parametrize("where", ["first shard", "between", "index"])
def test_a_writer_that_dies_leaves_the_old_data_set(
    tmp_path: Path, sixteen_shards: None, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_raw(tmp_path, FILES, many())
    old = contents(RawReader.open(tmp_path))
    new = {path: data + b"!" for path, data in many().items()}

    class PowerCutError(BaseException):
        pass

    def power_cut(*_: object) -> None:
        raise PowerCutError

    shards: list[object] = []

    def die(members: object) -> None:
        shards.append(members)
        if len(shards) == {"first shard": 1, "between": 9}.get(where):
            raise PowerCutError

    if where == "index":
        monkeypatch.setattr(raw, "_write_index", power_cut)
    files = [RawFile(path, len(data), partial(BytesIO, data)) for path, data in new.items()]
    with pytest.raises(PowerCutError):
        sync(tmp_path, FILES, files, die)
    monkeypatch.undo()
    assert contents(RawReader.open(tmp_path)) == old


def test_finished_shards_are_used_after_a_kill(tmp_path: Path, sixteen_shards: None) -> None:
    done: list[Member] = []

    def stop_after_nine(members: object) -> None:
        done.extend(members)  # type: ignore[call-overload]
        if len({member.shard for member in done}) == 9:
            raise KeyboardInterrupt

    def files() -> list[RawFile]:
        digests = {member.path: member.sha256 for member in done}
        return [RawFile(path, len(data), partial(BytesIO, data), digests.get(path)) for path, data in many().items()]

    with pytest.raises(KeyboardInterrupt):
        sync(tmp_path, FILES, files(), stop_after_nine)
    assert sync(tmp_path, FILES, files()).rewritten == 7
    assert contents(RawReader.open(tmp_path)) == many()


def test_a_linked_shard_is_never_written_into(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw", FILES, {"a": b"1"})
    (tmp_path / "cache").mkdir()
    for path in (tmp_path / "raw").iterdir():
        os.link(path, tmp_path / "cache" / path.name)
        path.chmod(0o444)
    cached = tree(tmp_path / "cache")
    write_raw(tmp_path / "raw", FILES, {"a": b"2"})
    assert {name: data for name, (data, *_) in tree(tmp_path / "cache").items()} == {name: data for name, (data, *_) in cached.items()}
    assert contents(RawReader.open(tmp_path / "raw")) == {"a": b"2"}


def test_a_truncated_shard_is_written_again(tmp_path: Path) -> None:
    write_raw(tmp_path, FILES, many(20))
    [shard] = tmp_path.glob("shard-*")
    data = shard.read_bytes()
    shard.write_bytes(data[:-700])
    assert write_raw(tmp_path, FILES, many(20)).rewritten == 1
    assert shard.read_bytes() == data


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    class Shrinking(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return b""

    with pytest.raises(GantryError, match=r"^a\.png: shrank while it was read"):
        sync(tmp_path, FILES, [RawFile("a.png", 3, lambda: Shrinking(b"abc"))])
    assert list(tmp_path.iterdir()) == []


def _read_all(reader: RawReader) -> dict[str, bytes]:
    return contents(reader)


def test_read_from_several_processes(tmp_path: Path) -> None:
    write_raw(tmp_path, FILES, many())
    reader = RawReader.open(tmp_path)
    assert contents(reader) == many()  # The files are open before the processes begin.
    assert contents(pickle.loads(pickle.dumps(reader))) == many()  # noqa: S301
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(_read_all, [reader] * 4)) == [many()] * 4


class TestDamage:
    def test_a_flipped_bit_is_named(self, tmp_path: Path) -> None:
        write_raw(tmp_path, FILES, {"a/0.png": b"zero", "a/1.png": b"one"})
        reader = RawReader.open(tmp_path)
        [shard] = tmp_path.glob("shard-*")
        data = bytearray(shard.read_bytes())
        data[reader.members[1].offset] ^= 1
        shard.write_bytes(data)
        reader = RawReader.open(tmp_path)
        assert reader.read(reader.members[0]) == b"zero"
        with pytest.raises(DataError, match=rf"{shard.name}: damaged at a/1.png; remove the folder and run the fetch stage again"):
            reader.read(reader.members[1])

    def test_a_missing_shard_is_named(self, tmp_path: Path) -> None:
        write_raw(tmp_path, FILES, {"a": b"1"})
        [shard] = tmp_path.glob("shard-*")
        shard.unlink()
        reader = RawReader.open(tmp_path)
        with pytest.raises(DataError, match=rf"{shard.name}: cannot be read \(No such file"):
            reader.read(reader.members[0])

    def test_no_data_set(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"index\.json: not there; run the fetch stage first"):
            RawReader.open(tmp_path / "raw")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"format": 1', '"format": 2'),
            ('"kind": "files"', '"kind": "pickle"'),
            ('"samples": 3', '"samples": "3"'),
            ('"shard-', '"../shard-'),
            ('["a", 1', '["a", -1'),
            ('["a", 1', "[7, 1"),
            ('["a", 1', '["a", "1"'),
            ('["a", 1,', '["a",'),
            ('"shards"', '"shard"'),
            ("]}]}", "]}]"),
        ],
    )
    def test_a_damaged_index(self, tmp_path: Path, old: str, new: str) -> None:
        write_raw(tmp_path, FILES, {"a": b"1"})
        index = tmp_path / "index.json"
        text = index.read_text()
        assert old in text
        index.write_text(text.replace(old, new))
        with pytest.raises(DataError, match=r"index\.json: .*run the fetch stage again"):
            RawReader.open(tmp_path)
        # The next fetch makes it good.
        write_raw(tmp_path, FILES, {"a": b"1"})
        assert index.read_text() == text

    @given(st.binary(max_size=60))
    def test_any_bytes_as_index(self, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
        folder = tmp_path_factory.mktemp("raw")
        (folder / "index.json").write_bytes(data)
        with pytest.raises(DataError):
            RawReader.open(folder)


class TestSafePath:
    @pytest.mark.parametrize(
        ("name", "safe"),
        [
            (b"a b.png", "a b.png"),
            ("ü 日本 👩‍💻.png".encode(), "ü 日本 👩‍💻.png"),
            (b"two\nlines.png", "two\\x0alines.png"),
            (b"two\\x0alines.png", "two\\\\x0alines.png"),
            (b"latin-1 \xfc.png", "latin-1 \\xfc.png"),
            ("C1 \x85.png".encode(), "C1 \\u0085.png"),
            (b"C1 \x85.png", "C1 \\x85.png"),
            ("line\u2028.png".encode(), "line\\u2028.png"),
            (b"\x1b[31mred.png", "\\x1b[31mred.png"),
        ],
    )
    def test_examples(self, name: bytes, safe: str) -> None:
        assert safe_path(os.fsdecode(name)) == safe

    @given(st.lists(st.binary(max_size=12), unique=True, min_size=2, max_size=2))
    def test_different_names_stay_different_and_can_be_written(self, names: list[bytes]) -> None:
        first, second = (safe_path(os.fsdecode(name)) for name in names)
        assert first != second
        assert first.encode().decode() == first
        assert len(first.splitlines()) <= 1
        assert "\0" not in first


def test_two_files_of_one_path(tmp_path: Path) -> None:
    file = RawFile("a", 1, lambda: BytesIO(b"1"))
    with pytest.raises(ValueError, match="one path"):
        sync(tmp_path, FILES, [file, replace(file, size=2)])
