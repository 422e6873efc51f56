"""Archives read as folders, and archives that are made to do harm."""

from __future__ import annotations

import io
import lzma
import os
import random
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gan_core.errors import DataError
from tasks.fetch import fetch
from tasks.params import DataParams, parse
from tasks.sources import Source, archives, open_source, source
from tasks.sources.archives import Archive
from tasks.sources.raw import RawReader
from tasks.workspace import Workspace

FORMS = ("zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz")
PHOTOS = {f"{kind}/{i}.png": f"{kind} {i}".encode() * i for kind in ("cat", "dog") for i in range(5)}


@pytest.fixture
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, so that a test need not wait."""
    monkeypatch.setattr(source, "_SETTLED_NS", -1)


def pack(path: Path, files: Mapping[str, bytes]) -> Path:
    """A zip or tar archive of these files, as its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return path
    mode = {"tgz": "w:gz", "gz": "w:gz", "bz2": "w:bz2", "xz": "w:xz", "tar": "w"}[path.name.rsplit(".")[-1]]
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            add(archive, name, data)
    return path


def add(archive: tarfile.TarFile, name: str, data: bytes = b"", **facts: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


def opened(workspace: Workspace, location: Path | str, **keys: Any) -> Source:
    return open_source(workspace, DataParams(source=f"folder://{location}", **keys))


def contents(found: Source) -> dict[str, bytes]:
    files = {}
    for file in found.look():
        with file.open() as stream:
            files[file.path] = stream.read()
        assert len(files[file.path]) == file.size
    return files


class TestAsFolder:
    @pytest.mark.parametrize("form", FORMS)
    def test_as_the_same_files_in_a_folder(self, workspace: Workspace, form: str) -> None:
        files = PHOTOS | {
            **{
                "Thumbs.db": b"x",
                "cat/.hidden.png": b"x",
                "__MACOSX/._a.png": b"x",
                "notes.txt": b"x",
                "cat/more.zip": b"PK",
                "README": b"",
            },
            **{
                "cat/日本.png": "日本".encode(),
                "cat/two\nlines.png": b"2",
                "dog/-rf *.JPG": b"3",
                "dog/deep/er/1.webp": b"4",
                "dog/empty.gif": b"",
            },
        }
        for path, data in files.items():
            (workspace.root / "folder" / path).parent.mkdir(parents=True, exist_ok=True)
            (workspace.root / "folder" / path).write_bytes(data)
        folder = opened(workspace, "folder")
        archive = opened(workspace, pack(workspace.root / f"set.{form}", {f"./{path}": data for path, data in files.items()}))
        assert contents(archive) == contents(folder)
        assert archive.notes == folder.notes
        assert (
            archive.notes[0] == "left out: 1 .txt, 1 .zip, 1 Thumbs.db or desktop.ini (Windows), "
            "1 __MACOSX (macOS's notes on files), 1 hidden, 1 without extension"
        )
        assert (archive.kind, archive.check()) == ("files", 15)

    @pytest.mark.parametrize("form", ["zip", "tar.gz"])
    def test_a_folder_in_it(self, workspace: Workspace, form: str) -> None:
        path = pack(workspace.root / f"set.{form}", {f"sets/photos/{path}": data for path, data in PHOTOS.items()} | {"sets/1.png": b""})
        assert contents(opened(workspace, f"{path}/sets/photos/")) == PHOTOS
        assert contents(opened(workspace, f"{path}//sets//photos//cat")) == {p[4:]: data for p, data in PHOTOS.items() if p[:3] == "cat"}
        with pytest.raises(DataError, match=rf"set\.{form}/nothing: no images in it"):
            opened(workspace, f"{path}/nothing").look()
        pack(path, {f"photos/{path}": data for path, data in PHOTOS.items()})
        with pytest.raises(DataError, match=r"all images lie in the folder photos, .* add /photos to data\.source, or set"):
            opened(workspace, path).look()
        found = opened(workspace, path, labels="none")
        assert (len(contents(found)), found.notes) == (10, [])

    def test_a_folder_may_be_called_like_an_archive(self, workspace: Workspace) -> None:
        (workspace.root / "set.zip" / "cat").mkdir(parents=True)
        (workspace.root / "set.zip" / "cat" / "1.png").write_bytes(b"1")
        assert contents(opened(workspace, "set.zip", labels="none")) == {"cat/1.png": b"1"}
        assert contents(opened(workspace, "set.zip/cat")) == {"1.png": b"1"}

    @pytest.mark.parametrize("form", ["zip", "tar"])
    def test_layouts(self, workspace: Workspace, form: str) -> None:
        captions = b"file,caption\ncat/1.png,a cat\n"
        path = pack(workspace.root / f"set.{form}", {**PHOTOS, "words/all.csv": captions, "words/other.csv": b""})
        found = opened(workspace, path, layout="captions", captions="words/all.csv")
        assert contents(found) == {**PHOTOS, "words/all.csv": captions}
        assert (found.notes, found.check()) == (["left out: 1 .csv"], 10)
        found = opened(workspace, path, layout="unpaired-folders", folders=["cat", "dog"])
        assert (contents(found), found.notes) == (PHOTOS, ["left out beside cat and dog: words"])
        with pytest.raises(DataError, match=rf"set\.{form}: data\.folders: there is no folder 'cats'; did you mean cat\?"):
            opened(workspace, path, layout="unpaired-folders", folders=["cats", "dog"]).look()
        with pytest.raises(DataError, match=r"captions\.csv is not there; name the file"):
            opened(workspace, path, layout="captions").look()

    def test_names_in_other_encodings(self, workspace: Workspace) -> None:
        with tarfile.open(
            workspace.root / "set.tar", "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            add(archive, os.fsdecode(b"latin \xfc.png"), b"1")
        assert contents(opened(workspace, "set.tar")) == {"latin \\xfc.png": b"1"}
        pack(workspace.root / "set.zip", {"aaaa.png": b"utf-8, unsaid", "bbb.png": b"cp437"})
        data = (workspace.root / "set.zip").read_bytes().replace(b"aaaa", b"\xe6\x97\xa5a").replace(b"bbb", b"b\x81b")
        (workspace.root / "set.zip").write_bytes(data)
        assert contents(opened(workspace, "set.zip")) == {"日a.png": b"utf-8, unsaid", "büb.png": b"cp437"}

    def test_names_that_differ_in_case(self, workspace: Workspace) -> None:
        path = pack(
            workspace.root / "set.zip", {"cat/1.png": b"1", "Cat/1.png": b"2", "cat/2.PNG": b"3", "cat/2.png": b"4", "cat/3.png": b""}
        )
        found = opened(workspace, path)
        assert len(contents(found)) == 5
        assert found.notes == ["2 files differ from others in upper and lower case alone, such as Cat/1.png and cat/1.png"]

    def test_missing(self, workspace: Workspace) -> None:
        (workspace.root / "circle.tar").symlink_to("circle.tar")
        for location, message in (
            ("nothing.zip", r"folder://nothing\.zip: the archive .*/nothing\.zip is not there; put it there or correct data\.source"),
            ("circle.tar", r"the archive .*circle\.tar cannot be read"),
        ):
            with pytest.raises(DataError, match=message):
                opened(workspace, location)


ENTRY: dict[str, Any] = {"validate": {}, "train": {"recipe": "gan", "images": 1_000}, "evaluate": {}, "register": {}}


@pytest.mark.usefixtures("_settled")
class TestFetched:
    @pytest.fixture
    def run(self, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
        def run(location: str) -> list[str]:
            entry = parse({"generators": {"shop": {**ENTRY, "data": {"source": f"folder://{location}"}}}})["shop"]
            fetch(workspace, "shop", entry)
            return capsys.readouterr().out.splitlines()

        return run

    def raw(self, workspace: Workspace) -> dict[str, bytes]:
        with RawReader.open(workspace.raw("shop")) as reader:
            return {member.path: reader.read(member) for member in reader.members}

    @pytest.mark.parametrize("form", ["zip", "tar.xz"])
    def test_an_unchanged_archive_is_not_listed(
        self, workspace: Workspace, run: Callable[[str], list[str]], form: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = f"set.{form}"
        pack(workspace.root / name, {**PHOTOS, "notes.txt": b""})
        first = run(name)
        assert (first[0], first[1][:37]) == ("fetch shop: left out: 1 .txt", "fetch shop: 10 samples in 2 classes, ")
        assert self.raw(workspace) == PHOTOS
        with monkeypatch.context() as patch:
            patch.delattr(Archive, "files")
            assert run(name) == ["fetch shop: left out: 1 .txt", "fetch shop: unchanged, 10 samples in 2 classes"]
        # Raw that was lost, or cut short, is made again all the same.
        [shard] = workspace.raw("shop").glob("shard-*")
        whole = shard.read_bytes()
        shard.write_bytes(whole[:-10])
        assert run(name)[-1] == "fetch shop: unchanged, 10 samples in 2 classes, 1 of 1 shard rewritten that had been damaged"
        assert shard.read_bytes() == whole
        (workspace.private / "fetch" / "shop.json").write_text("[]")
        assert run(name)[-1] == "fetch shop: unchanged, 10 samples in 2 classes"
        pack(workspace.root / name, {**PHOTOS, "dog/new.png": b"new"})
        assert run(name) == ["fetch shop: +1 -0 files, 1 of 1 shard rewritten, 11 samples in 2 classes"]
        # Another folder of the same archive is another matter.
        assert run(f"{name}/dog") == ["fetch shop: +6 -11 files, 1 of 1 shard rewritten, 6 samples"]
        assert [path.name for path in (workspace.private / "fetch").iterdir()] in (["shop.json", "shop.jsonl"], ["shop.jsonl", "shop.json"])

    def test_a_refusal_leaves_raw_as_it_is(self, workspace: Workspace, run: Callable[[str], list[str]]) -> None:
        pack(workspace.root / "set.tar.gz", PHOTOS)
        run("set.tar.gz")
        before = {path.name: path.read_bytes() for path in workspace.raw("shop").iterdir()}
        for bad in ({**PHOTOS, "../../etc/1.png": b""}, {"notes.txt": b""}):
            pack(workspace.root / "set.tar.gz", bad)
            with pytest.raises(DataError, match=r"set\.tar\.gz: "):
                run("set.tar.gz")
            assert {path.name: path.read_bytes() for path in workspace.raw("shop").iterdir()} == before


def twice(path: Path) -> None:
    pack(path, {"a.png": b"1", "b.png": b"2"})
    path.write_bytes(path.read_bytes().replace(b"b.png", b"a.png"))


def patched(path: Path, old: bytes, new: bytes, count: int = -1) -> None:
    """An archive of two images, some of whose bytes are others."""
    pack(path, {"aaaa.png": b"a" * 50, "bbbb.png": b"b" * 50})
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, count))


def central(path: Path, offset: int, form: str, value: int, name: bytes = b"bbbb.png") -> None:
    """One number of a member's entry in a zip's central directory is another; offsets as in APPNOTE.TXT, 4.3.12."""
    pack(path, {"aaaa.png": b"a" * 50, "bbbb.png": b"b" * 50})
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.rindex(name) - 46 + offset, value)
    path.write_bytes(bytes(data))


def overlapping(path: Path) -> None:
    central(path, 42, "<I", 0)


class TestRefused:
    @pytest.mark.parametrize("form", ["zip", "tar"])
    @pytest.mark.parametrize(
        "name", ["/etc/1.png", "../1.png", "a/../../1.png", "..", "C:\\1.png", "c:/1.png", "a\\..\\1.png", "x" * 4_100 + ".png"]
    )
    def test_paths_that_lead_out(self, workspace: Workspace, form: str, name: str) -> None:
        path = pack(workspace.root / f"set.{form}", {"good.png": b"", name: b"evil"})
        with pytest.raises(DataError, match=rf"set\.{form}: the path '.*(leads out of the archive; pack it again|at most 4,096 are taken)"):
            opened(workspace, path).look()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (twice, "'a.png' is in it twice; pack it again with one of them"),
            (lambda path: patched(path, b"bbbb.png", b"b\0bb.png"), r"the path 'b\x00bb.png' leads out of the archive"),
            (lambda path: patched(path, b"bbbb.png", b"bb\\b.png"), r"'bb\\b.png' has `\` in its path"),
            (lambda path: central(path, 8, "<H", 1), "'bbbb.png' is encrypted; pack it again without a password"),
            (lambda path: central(path, 10, "<H", 99), "'bbbb.png' is compressed by method 99, which cannot be read here"),
            (lambda path: central(path, 24, "<I", 1 << 31), "'bbbb.png' of 2,147,483,648 bytes expands it to 2,147,483,698 bytes"),
            (overlapping, "overlap; get the archive again"),
            (lambda path: path.write_bytes(b"<!DOCTYPE html>"), "is a web page, not an archive; get the archive again"),
            (lambda path: path.touch(), "no readable archive, or damaged (File is not a zip file)"),
        ],
    )
    def test_zips(self, workspace: Workspace, make: Callable[[Path], None], message: str) -> None:
        make(workspace.root / "set.zip")
        with pytest.raises(DataError, match=rf"^{workspace.root}/set\.zip: .*{re.escape(message)}"):
            opened(workspace, "set.zip").look()

    @pytest.mark.parametrize("stated", [1, 49, 51, 1_000_000])
    def test_a_zip_that_lies_about_a_size(self, workspace: Workspace, stated: int) -> None:
        central(workspace.root / "set.zip", 24, "<I", stated)
        with pytest.raises(DataError, match=r"set\.zip: 'bbbb\.png' is (damaged|cut short)"):
            contents(opened(workspace, "set.zip"))

    def test_bombs(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "_MOST_BYTES", 1 << 20)
        zeros = bytes(300_000)
        for name in ("set.zip", "set.tar.gz", "set.tar.bz2", "set.tar.xz"):
            path = pack(workspace.root / name, {f"{i}.png": zeros for i in range(60)})
            assert path.stat().st_size < 100_000
            with pytest.raises(DataError, match=r"expands it to [\d,]+ bytes or more, as a zip bomb does; if it is meant to, unpack it"):
                opened(workspace, path).look()
        # Much data is no bomb.
        noise = os.urandom(300_000)
        assert len(opened(workspace, pack(workspace.root / "set.zip", {f"{i}.png": noise for i in range(10)})).look()) == 10

    @pytest.mark.parametrize("form", ["zip", "tar"])
    def test_members_without_end(self, workspace: Workspace, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
        path = pack(workspace.root / f"set.{form}", {f"{i}.txt": b"" for i in range(11)})
        monkeypatch.setattr(archives, "_MOST_MEMBERS", 10)
        with pytest.raises(DataError, match=rf"set\.{form}: has more than 10 members; pack fewer"):
            opened(workspace, path).look()
        monkeypatch.setattr(archives, "_LONGEST_DIRECTORY", 100)
        with pytest.raises(DataError, match=r"a list of members of \d+ bytes|more than 10 members"):
            opened(workspace, path).look()

    def test_no_more_of_a_bomb_is_unpacked_than_is_allowed(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "_MOST_BYTES", 1 << 20)
        written: list[io.BytesIO] = []
        monkeypatch.setattr(archives, "scratch_file", lambda folder: written.append(io.BytesIO()) or written[0])
        with pytest.raises(DataError, match="as a zip bomb does"):
            opened(workspace, pack(workspace.root / "set.tar.gz", {"1.png": bytes(64 << 20)})).look()
        assert len(written[0].getvalue()) < 12 << 20

    def test_an_xz_file_that_asks_for_too_much_memory(self, workspace: Workspace) -> None:
        plain = pack(workspace.root / "set.tar", PHOTOS).read_bytes()
        header = bytearray(lzma.compress(plain, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]))
        # The dictionary of 2 GiB in the header of its block, whose checksum is made to fit.
        size = (header[12] + 1) * 4
        at = header.index(b"\x21\x01", 12, 12 + size) + 2
        header[at] = 38
        struct.pack_into("<I", header, 12 + size - 4, zlib.crc32(header[12 : 12 + size - 4]))
        (workspace.root / "set.tar.xz").write_bytes(bytes(header))
        with pytest.raises(DataError, match="Memory usage limit"):
            opened(workspace, "set.tar.xz").look()
        # Streams one after another are one file, as `cat` and parallel packers make it.
        (workspace.root / "set.tar.xz").write_bytes(lzma.compress(plain[:1000]) + bytes(8) + lzma.compress(plain[1000:]))
        assert contents(opened(workspace, "set.tar.xz")) == PHOTOS

    def test_members_that_are_no_files(self, workspace: Workspace) -> None:
        with tarfile.open(workspace.root / "set.tar", "w") as archive:
            add(archive, "1.png", b"1")
            add(archive, "cat", type=tarfile.DIRTYPE)
            add(archive, "2.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
            add(archive, "3.png", type=tarfile.LNKTYPE, linkname="1.png")
            for i, kind in enumerate((tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)):
                add(archive, f"odd {i}.png", type=kind, devmajor=1, devminor=3)
            add(archive, "sparse.png", b"3\n0\n1\n" + bytes(506) + b"x", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                "GNU.sparse.realsize": "9999999999", "GNU.sparse.name": "sparse.png"})  # fmt: skip
        (workspace.root / "set.tar").write_bytes((workspace.root / "set.tar").read_bytes().replace(b"3\n0\n1\n", b"1\n0\n1\n"))
        found = opened(workspace, "set.tar")
        assert contents(found) == {"1.png": b"1"}
        assert found.notes == ["left out: 4 no ordinary files, 2 links"]

        with zipfile.ZipFile(workspace.root / "set.zip", "w") as archive_:
            archive_.writestr("1.png", b"1")
            for name, mode in (("2.png", 0o120777), ("3.png", 0o010644), ("4.png", 0o020644)):
                info = zipfile.ZipInfo(name)
                info.create_system, info.external_attr = 3, mode << 16
                archive_.writestr(info, "/etc/passwd")
        found = opened(workspace, "set.zip")
        assert contents(found) == {"1.png": b"1"}
        assert found.notes == ["left out: 2 no ordinary files, 1 links"]

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param([(tarfile.XHDTYPE, 8 << 30)], id="a long header of 8 GiB"),
            pytest.param([(tarfile.GNUTYPE_LONGNAME, 8 << 30)], id="a long name of 8 GiB"),
            pytest.param([(tarfile.XHDTYPE, -512)], id="a header of fewer than no bytes"),
            pytest.param([(tarfile.REGTYPE, -1024)], id="a file of fewer than no bytes"),
            pytest.param([(tarfile.XHDTYPE, 0)] * 3_000, id="headers without end"),
            pytest.param([(tarfile.REGTYPE, 1 << 62)], id="a file of 4 EiB"),
        ],
    )
    def test_tar_headers_that_lie(self, workspace: Workspace, headers: list[tuple[bytes, int]]) -> None:
        blocks = []
        for kind, size in headers:
            info = tarfile.TarInfo("1.png")
            info.type, info.size = kind, size
            blocks.append(info.tobuf(tarfile.GNU_FORMAT))
        (workspace.root / "set.tar").write_bytes(b"".join(blocks) + bytes(1024))
        with pytest.raises(DataError, match=r"set\.tar: (no readable archive, or damaged \(|'1\.png' of 4,611)"):
            opened(workspace, "set.tar").look()

    @pytest.mark.parametrize("form", FORMS)
    def test_cut_short(self, workspace: Workspace, form: str) -> None:
        """Wherever a transfer broke off, that is noticed: no archive passes for a smaller one."""
        path = pack(workspace.root / f"set.{form}", {p: os.urandom(2_000) for p in PHOTOS})
        whole = path.read_bytes()
        # What tar fills its last record with may be missing.
        end = len(whole) if form != "tar" else 10 * (512 + 2_048) + 511
        for length in [*range(0, end, end // 40), end - 1]:
            path.write_bytes(whole[:length])
            with pytest.raises(DataError, match=rf"set\.{form}: "):
                contents(opened(workspace, path))

    @pytest.mark.parametrize("form", FORMS)
    def test_damage_never_ends_in_anything_but_words(self, workspace: Workspace, form: str) -> None:
        path = pack(workspace.root / f"set.{form}", PHOTOS)
        whole = path.read_bytes()
        draw = random.Random(form)  # noqa: S311  nothing secret
        refused = 0
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(draw.choice((1, 1, 3, 20))):
                data[draw.randrange(len(data))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
            path.write_bytes(bytes(data))
            try:
                contents(opened(workspace, path))
            except DataError as error:
                assert str(path) in str(error)  # noqa: PT017
                assert "\n" not in str(error)  # noqa: PT017
                refused += 1
        assert refused > 10


def test_nothing_of_a_scratch_file_has_a_name(workspace: Workspace) -> None:
    found = opened(workspace, pack(workspace.root / "set.tar.gz", {"1.png": bytes(20 << 20)}))
    [file] = found.look()
    with file.open() as stream:
        assert stream.seek(0, os.SEEK_END) == 20 << 20
        assert list((workspace.private / "fetch").iterdir()) == []
