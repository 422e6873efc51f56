"""Sources on the network, from real servers on loopback: moto's for S3, Python's own for the web."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from real_mlflow import free_port, kill_group, wait_until_it_answers

from gan_core.errors import ConfigError, DataError, GantryError
from tasks.fetch import fetch
from tasks.params import DataParams, parse
from tasks.sources import buckets, open_source, raw, web
from tasks.sources.raw import RawReader
from tasks.workspace import Workspace

REST: dict[str, Any] = {"validate": {}, "train": {"recipe": "gan", "images": 1_000}, "evaluate": {}, "register": {}}
PHOTOS = {f"{kind}/{i:02}.png": f"{kind} {i}".encode() * i for kind in ("cat", "dog") for i in range(20)}
ROWS = "width,kind\n" + "".join(f"{i}.5,{'ab'[i % 2]}\n" for i in range(20))


@pytest.fixture
def run(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Fetches; returns the lines that it printed."""

    def run(address: str, **keys: Any) -> list[str]:
        recipe = {"recipe": "tabular", "images": 1_000} if address.endswith((".csv", ".parquet")) else REST["train"]
        entry = parse({"generators": {"shop": {**REST, "train": recipe, "data": {"source": address, **keys}}}})["shop"]
        fetch(workspace, "shop", entry)
        return capsys.readouterr().out.splitlines()

    return run


def fetched(workspace: Workspace) -> dict[str, bytes]:
    with RawReader.open(workspace.raw("shop")) as reader:
        return {member.path: reader.read(member) for member in reader.members}


def zipped(path: Path, files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path.read_bytes()


class S3:
    """A bucket on moto's server, and what the server was asked for."""

    def __init__(self, url: str, log: Path) -> None:
        import boto3

        self.url = url
        self._log = log
        self._client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        self._client.create_bucket(Bucket="shop")
        self._read = 0

    def put(self, files: dict[str, bytes]) -> None:
        for key, data in files.items():
            self._client.put_object(Bucket="shop", Key=key, Body=data)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket="shop", Key=key)

    def clear(self) -> None:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket="shop"):
            for one in page.get("Contents", ()):
                self.delete(one["Key"])

    def transferred(self) -> list[str]:
        """The keys of objects that were sent since the last call."""
        return [key for method, key in self.asked() if method == "GET"]

    def asked(self) -> list[tuple[str, str]]:
        """The requests for single objects since the last call: method and key."""
        text = self._log.read_text()
        new, self._read = text[self._read :], len(text)
        return re.findall(r'"(?:\x1b\[\d+m)*(GET|HEAD) /shop/([^? ]+) HTTP', new)


class BadConnection:
    """A way to a server on which no connection carries more than so many bytes back: then it is cut, or falls silent."""

    def __init__(self, url: str, most: int, then: str) -> None:
        self._target = ("127.0.0.1", int(url.rpartition(":")[2]))
        self._most, self._then = most, then
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> str:
        threading.Thread(target=self._accept, daemon=True).start()
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._target)
                threading.Thread(target=self._carry, args=(near, far, sys.maxsize), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, self._most), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, left: int) -> None:
        with suppress(OSError), source, target:
            while left > 0 and (piece := source.recv(min(left, 65_536))):
                target.sendall(piece)
                left -= len(piece)
            if left == 0 and self._then == "silence":
                self._over.wait(30)


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    root = tmp_path_factory.mktemp("moto")
    port, log = free_port(), root / "log"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        with log.open("wb") as output:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            child = subprocess.Popen(command, cwd=root, stdout=output, stderr=output, start_new_session=True)
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/moto-api/", child, log)
            yield S3(f"http://127.0.0.1:{port}", log)
        finally:
            kill_group(child)


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """The bucket `shop`, empty, with credentials and address in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setattr(raw, "_SHARD_COUNTS", ((1_000, 1), (1 << 30, 16)))
    s3_server.transferred()
    yield s3_server
    s3_server.clear()


class TestBuckets:
    def test_only_what_changed_is_transferred(self, workspace: Workspace, s3: S3, run: Callable[..., list[str]]) -> None:
        s3.put({f"sets/photos/{path}": data for path, data in PHOTOS.items()})
        s3.put({"sets/photos/": b"", "sets/photos/notes.txt": b"", "sets/photos/a/../b.png": b"", "sets/photos2/x.png": b"", "1.png": b""})
        odd = "fetch shop: left out: 1 .txt, 1 of odd paths (`..`, `//`)"
        lines = run("s3://shop/sets/photos/")
        assert (lines[0], lines[1][:37]) == (odd, "fetch shop: 40 samples in 2 classes, ")
        assert fetched(workspace) == PHOTOS
        assert sorted(s3.transferred()) == sorted(f"sets/photos/{path}" for path in PHOTOS)
        assert run("s3://shop/sets/photos/") == [odd, "fetch shop: unchanged, 40 samples in 2 classes"]
        assert s3.transferred() == []

        s3.put({"sets/photos/cat/07.png": b"dog 7" * 7, "sets/photos/cat/new.png": b"new"})
        s3.delete("sets/photos/dog/01.png")
        # The same bytes again are no change.
        s3.put({"sets/photos/cat/05.png": PHOTOS["cat/05.png"]})
        assert "fetch shop: +1 -1 ~1 files, " in run("s3://shop/sets/photos/")[-1]
        assert sorted(s3.transferred()) == ["sets/photos/cat/07.png", "sets/photos/cat/new.png"]
        changed = {**PHOTOS, "cat/07.png": b"dog 7" * 7, "cat/new.png": b"new"}
        del changed["dog/01.png"]
        assert fetched(workspace) == changed

        # What was forgotten is transferred again, and found to be the same.
        (workspace.private / "fetch" / "shop.jsonl").unlink()
        assert run("s3://shop/sets/photos/")[-1] == "fetch shop: unchanged, 40 samples in 2 classes"
        assert len(s3.transferred()) == 40

    def test_litter_is_left_out_and_said(self, workspace: Workspace, s3: S3, run: Callable[..., list[str]]) -> None:
        litter = (
            "photos/cat/@eaDir/01.png/SYNOPHOTO_THUMB_XL.png",
            "photos/__MACOSX/cat/._01.png",
            "photos/dog/._02.png",
            "photos/Thumbs.db",
        )
        s3.put({f"photos/{path}": data for path, data in PHOTOS.items()} | dict.fromkeys(litter, b"x"))
        assert run("s3://shop/photos")[0] == (
            "fetch shop: left out: 1 ._* (macOS's notes on files), 1 @eaDir (a Synology NAS's thumbnails), "
            "1 Thumbs.db or desktop.ini (Windows), 1 __MACOSX (macOS's notes on files)"
        )
        assert fetched(workspace) == PHOTOS

    @pytest.mark.parametrize("keys", [{"layout": "captions", "captions": "notes/all.token"}, {"labels": "labels.csv"}, {"labels": "none"}])
    def test_captions_and_labels_as_in_a_folder_and_in_archives(
        self, workspace: Workspace, s3: S3, tmp_path: Path, keys: dict[str, Any]
    ) -> None:
        captions = "".join(f"{path[4:]}#0\tpicture {path}\n" for path in PHOTOS if path.startswith("cat"))
        labels = "file,label\n" + "".join(f"{path},{path[:3]}\n" for path in PHOTOS)
        files = {
            **PHOTOS,
            "notes/all.token": captions.encode(),
            "labels.csv": labels.encode(),
            "cat/@eaDir/x.png": b"x",
            "cat/._1.png": b"x",
        }
        s3.put({f"set/{path}": data for path, data in files.items()})
        zipped(tmp_path / "set.zip", files)
        with tarfile.open(tmp_path / "set.tar.xz", "w:xz") as archive:
            for path, data in files.items():
                (tmp_path / "set" / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "set" / path).write_bytes(data)
                archive.add(tmp_path / "set" / path, path)
        found = []
        for source in ("s3://shop/set", f"folder://{tmp_path}/set", f"folder://{tmp_path}/set.zip", f"folder://{tmp_path}/set.tar.xz"):
            one = open_source(workspace, DataParams(source=source, **keys))
            contents = {}
            for file in one.look():
                with file.open() as stream:
                    contents[file.path] = stream.read()
            found.append((contents, one.notes, one.check()))
        assert found[0][0] == PHOTOS | {path: files[path] for path in (keys.get("captions"), keys.get("labels")) if path in files}
        assert found[0][2] == 40
        assert [one for one in found if one != found[0]] == []

    def test_an_archive_and_a_table(self, workspace: Workspace, s3: S3, run: Callable[..., list[str]], tmp_path: Path) -> None:
        s3.put({"a/set.zip": zipped(tmp_path / "set.zip", PHOTOS), "rows.csv": ROWS.encode()})
        for address, said in (("s3://shop/a/set.zip/cat", "20 samples"), ("s3://shop/rows.csv", "20 samples")):
            lines = run(address)
            assert lines[0].startswith(f"transferring {address}, ")
            assert said in lines[-1]
            assert s3.transferred() != []
            assert run(address) == [f"fetch shop: unchanged, {said}"]
            assert s3.transferred() == []
        assert fetched(workspace) == {"table.csv": ROWS.encode()}

    def test_a_first_fetch_asks_once_for_each_object(self, s3: S3, run: Callable[..., list[str]]) -> None:
        s3.put({f"photos/{path}": data for path, data in PHOTOS.items()})
        run("s3://shop/photos")
        assert sorted(s3.asked()) == sorted(("GET", f"photos/{path}") for path in PHOTOS)

    def test_large_objects(self, workspace: Workspace, s3: S3, run: Callable[..., list[str]]) -> None:
        data = os.urandom(20 << 20)
        s3.put({"big/1.tif": data})
        run("s3://shop/big")
        assert fetched(workspace) == {"1.tif": data}

    def test_what_is_not_there(self, s3: S3, run: Callable[..., list[str]]) -> None:
        s3.put({"folder/set.zip/1.png": b""})
        for address, message in (
            ("s3://nowhere/photos", r"^s3://nowhere/photos: (is not there|no images in it)"),
            ("s3://shop/nothing", r"^s3://shop/nothing: no images in it"),
            ("s3://shop/set.zip", r"^s3://shop/set\.zip: is not there; correct data\.source, or put it there"),
            ("s3://shop/rows.csv", r"^s3://shop/rows\.csv: is not there"),
            ("s3://shop/folder/set.zip", r"^s3://shop/folder/set\.zip: is a folder of objects, not a file"),
        ):
            with pytest.raises(DataError, match=message):
                run(address)

    def test_an_object_that_changes_during_the_fetch(
        self, workspace: Workspace, s3: S3, run: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3.put({"photos/1.png": b"one", "photos/2.png": b"two"})
        real = buckets.Bucket._open

        def changed_first(self: Any, store: Any, key: str, size: int) -> Any:
            s3.put({"photos/2.png": b"t"})
            return real(self, store, key, size)

        with monkeypatch.context() as patch:
            patch.setattr(buckets.Bucket, "_open", changed_first)
            with pytest.raises(GantryError, match=r"photos/2\.png: did not come as it was listed"):
                run("s3://shop/photos")
        assert not (workspace.raw("shop") / "index.json").exists()
        run("s3://shop/photos")
        assert fetched(workspace) == {"1.png": b"one", "2.png": b"t"}

    def test_no_credentials_and_no_server(
        self, s3: S3, run: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from s3fs.core import S3FileSystem

        S3FileSystem.clear_instance_cache()
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with monkeypatch.context() as patch:
            patch.delenv("AWS_ACCESS_KEY_ID")
            patch.delenv("AWS_SECRET_ACCESS_KEY")
            with pytest.raises(
                ConfigError, match=r"^generators\.shop\.data\.source: s3://shop/photos: no credentials; set AWS_ACCESS_KEY_ID"
            ):
                run("s3://shop/photos")
        S3FileSystem.clear_instance_cache()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        with pytest.raises(
            GantryError, match=r"^s3://shop/photos: cannot be read over the network \(.*; try again when it is there"
        ) as refused:
            run("s3://shop/photos")
        assert not isinstance(refused.value, DataError | ConfigError)
        S3FileSystem.clear_instance_cache()

    @pytest.mark.parametrize(
        ("then", "source", "where"),
        [("cut", "s3://shop/photos", "s3://shop/photos/2.png"), ("silence", "s3://shop/set.zip", "s3://shop/set.zip")],
    )
    def test_a_connection_that_breaks_off(
        self,
        workspace: Workspace,
        s3: S3,
        run: Callable[..., list[str]],
        monkeypatch: pytest.MonkeyPatch,
        then: str,
        source: str,
        where: str,
    ) -> None:
        from s3fs.core import S3FileSystem

        s3.put({"photos/1.png": b"one", "photos/2.png": os.urandom(300_000), "set.zip": os.urandom(300_000)})
        run("s3://shop/photos")
        before = fetched(workspace)
        s3.put({"photos/2.png": os.urandom(300_000)})
        patience = {"connect_timeout": 0.5, "read_timeout": 0.5, "retries": {"max_attempts": 0}}
        monkeypatch.setattr(buckets, "_OPTIONS", {"s3": {"config_kwargs": patience}})
        monkeypatch.setattr(S3FileSystem, "retries", 2)
        with BadConnection(s3.url, 100_000, then) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            with pytest.raises(GantryError, match=rf"^{where}: cannot be read over the network \(.+\); try again") as refused:
                run(source)
        assert type(refused.value) is GantryError
        assert fetched(workspace) == before
        S3FileSystem.clear_instance_cache()

    @pytest.mark.parametrize(("scheme", "library"), [("gs", "gcsfs"), ("az", "adlfs")])
    def test_a_library_that_is_not_installed(self, run: Callable[..., list[str]], scheme: str, library: str) -> None:
        with pytest.raises(
            ConfigError, match=rf"^generators\.shop\.data\.source: {scheme}:// needs {library}; install it: pip install {library}"
        ):
            run(f"{scheme}://shop/photos")


Answer = Callable[[SimpleHTTPRequestHandler], None]


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, as Python serves them, but for the paths that a test answers itself."""

    server: WebServer

    def _answered(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        answer = self.server.answers.get(self.path.partition("?")[0])
        if answer is not None:
            answer(self)
        else:
            getattr(super(), f"do_{self.command}")()

    do_GET = do_HEAD = _answered  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        pass


class WebServer(ThreadingHTTPServer):
    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(root)))
        self.root = root
        self.answers: dict[str, Answer] = {}
        self._asked: list[str] = []
        self.asked = self._asked

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, path: str, data: bytes, age: float = 60.0) -> None:
        (self.root / path).write_bytes(data)
        then = time.time() - age
        os.utime(self.root / path, (then, then))

    def new(self) -> list[str]:
        """What it was asked for since the last call."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(web, "_PAUSES", (0.0, 0.0))
    (tmp_path / "site").mkdir()
    with WebServer(tmp_path / "site") as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def answer(status: int, body: bytes = b"", **headers: Any) -> Answer:
    def send(handler: SimpleHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), str(value))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)
        handler.close_connection = True

    return send


class TestWeb:
    def test_an_archive_is_transferred_when_it_has_changed(
        self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]], tmp_path: Path
    ) -> None:
        data = zipped(tmp_path / "set.zip", PHOTOS)
        site.put("set.zip", data)
        address = f"{site.url}/set.zip"
        size = sum(map(len, PHOTOS.values()))
        lines = [f"transferring {address}, {len(data):,} bytes", f"fetch shop: 40 samples in 2 classes, {size / 1e3:.1f} kB"]
        assert run(address) == lines
        assert fetched(workspace) == PHOTOS
        assert site.new() == ["HEAD /set.zip", "GET /set.zip"]
        assert run(address) == ["fetch shop: unchanged, 40 samples in 2 classes"]
        assert site.new() == ["HEAD /set.zip"]
        site.put("set.zip", zipped(tmp_path / "set.zip", {**PHOTOS, "cat/new.png": b"new"}), age=30)
        assert run(address)[-1] == "fetch shop: +1 -0 files, 1 of 1 shard rewritten, 41 samples in 2 classes"
        assert run(f"{address}/cat")[-1] == "fetch shop: +21 -41 files, 1 of 1 shard rewritten, 21 samples"
        assert list((workspace.private / "fetch").glob("*.zip")) == []

    def test_a_table(self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]]) -> None:
        site.put("rows.csv", ROWS.encode())
        assert run(f"{site.url}/rows.csv")[-1].startswith("fetch shop: 20 samples, ")
        assert fetched(workspace) == {"table.csv": ROWS.encode()}
        site.new()
        assert run(f"{site.url}/rows.csv") == ["fetch shop: unchanged, 20 samples"]
        assert site.new() == ["HEAD /rows.csv"]
        site.put("rows.csv", ROWS.encode() + b"1.5\xff,a\n")
        with pytest.raises(DataError, match=r"rows\.csv: not UTF-8 text \(byte"):
            run(f"{site.url}/rows.csv")
        assert fetched(workspace) == {"table.csv": ROWS.encode()}

    @pytest.mark.parametrize(
        ("came", "message"),
        [
            (b"\n<!doctype html><html><head><title>\nSign in</title>", r"is a web page, 'Sign in', not a table; correct data\.source"),
            (b'<?xml version="1.0"?>\n<Error><Code>ExpiredToken</Code></Error>', r"is an XML document, <Error>, not a table"),
            (b'{\n  "error": "unauthorized"\n}\n', r"is a JSON document, '\{ \"error\": \"unauthorized\" \}', not a table"),
            (b"version https://git-lfs.github.com/spec/v1\n", r"is a Git LFS pointer .*, not a table"),
            (b"PK\x03\x04", r"is a zip file, as those of Excel are too, not a table"),
            (b"width,kind\n", r"has no rows below its first line, which names width, kind"),
            (
                b"Down for maintenance\nBack soon\n",
                r"none of the columns of the table .* \(kind, width\), but Down for maintenance; if it is",
            ),
        ],
    )
    def test_what_comes_in_place_of_a_table_leaves_the_last_one(
        self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]], came: bytes, message: str
    ) -> None:
        site.put("rows.csv", ROWS.encode())
        run(f"{site.url}/rows.csv")
        site.put("rows.csv", came, age=30)
        with pytest.raises(DataError, match=rf"^{site.url}/rows\.csv: .*{message}.*; what was fetched last stays as it is$"):
            run(f"{site.url}/rows.csv")
        assert fetched(workspace) == {"table.csv": ROWS.encode()}

    def test_a_table_with_other_columns_beside_a_common_one_is_taken(
        self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]]
    ) -> None:
        for i, rows in enumerate((ROWS, ROWS.replace("width", "height"), ROWS.replace("width", "height").replace("kind", "colour"))):
            site.put("rows.csv", rows.encode(), age=60 - i)
            run(f"{site.url}/rows.csv")
            assert fetched(workspace) == {"table.csv": rows.encode()}

    def test_a_file_that_has_only_just_changed_is_looked_at_again(
        self, site: WebServer, run: Callable[..., list[str]], tmp_path: Path
    ) -> None:
        # Its time counts in whole seconds, so it may change again and look the same.
        site.put("set.zip", zipped(tmp_path / "set.zip", PHOTOS), age=0)
        run(f"{site.url}/set.zip")
        assert any("so it is transferred each time" in line for line in run(f"{site.url}/set.zip"))
        assert site.new().count("GET /set.zip") == 2

    def test_etags(self, site: WebServer, run: Callable[..., list[str]], tmp_path: Path) -> None:
        data = zipped(tmp_path / "set.zip", PHOTOS)
        for etag, times in (('"1"', 1), ('"1"', 0), ('"2"', 1), ("", 1), ("", 1)):
            site.answers["/set.zip"] = answer(200, data, Content_Length=len(data), **({"ETag": etag} if etag else {}))
            run(f"{site.url}/set.zip")
            assert site.new().count("GET /set.zip") == times

    def test_the_token_in_a_url_is_shown_nowhere(
        self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TOKEN", "hush-hush")
        site.put("set.zip", zipped(tmp_path / "set.zip", PHOTOS))
        lines = run(f"{site.url}/set.zip?token=$TOKEN")
        assert site.new()[-1] == "GET /set.zip?token=hush-hush"
        site.answers["/set.zip"] = answer(403)
        with pytest.raises(DataError, match=r"set\.zip: may not be read \(403 Forbidden\)") as refused:
            run(f"{site.url}/set.zip?token=$TOKEN")
        kept = b"".join(path.read_bytes() for path in workspace.root.rglob("*") if path.is_file())
        assert b"hush-hush" not in kept + str([lines, refused.value]).encode()

    @pytest.mark.parametrize("form", ["zip", "tar.gz", "csv"])
    @pytest.mark.parametrize("length", [True, False])
    def test_a_transfer_that_breaks_off(
        self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]], tmp_path: Path, form: str, length: bool
    ) -> None:
        data = ROWS.encode() if form == "csv" else zipped(tmp_path / "set.zip", PHOTOS)
        if form == "tar.gz":
            with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
                archive.add(__file__, "1.png")
            data = (tmp_path / "set.tar.gz").read_bytes()
        name = f"set.{form}"
        site.put(name, data)
        run(f"{site.url}/{name}")
        before = fetched(workspace)
        headers = {"Content_Length": len(data)} if length else {"Transfer_Encoding": "chunked"}
        body = data[: len(data) // 2] if length else b"%x\r\n%b\r\n" % (len(data) // 2, data[: len(data) // 2])
        site.new()
        site.answers[f"/{name}"] = answer(200, body, ETag='"other"', **headers)
        with pytest.raises(GantryError, match=rf"{name}: .*, in 3 tries; try again") as refused:
            run(f"{site.url}/{name}")
        assert type(refused.value) is GantryError
        assert site.new().count(f"GET /{name}") == 3
        assert fetched(workspace) == before

    def test_a_server_that_recovers(self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]], tmp_path: Path) -> None:
        data = zipped(tmp_path / "set.zip", PHOTOS)
        answers = [answer(503), answer(405), answer(200, data[:99], Content_Length=len(data)), answer(200, data, Content_Length=len(data))]
        site.answers["/set.zip"] = lambda handler: answers.pop(0)(handler)
        lines = run(f"{site.url}/set.zip")
        assert fetched(workspace) == PHOTOS
        assert site.new() == ["HEAD /set.zip"] * 2 + ["GET /set.zip"] * 2
        assert "does not say whether it has changed" in lines[1]

    @pytest.mark.parametrize(
        ("reply", "kind", "message"),
        [
            (answer(404), DataError, r"is not there \(404 Not Found\); correct data\.source"),
            (answer(401), DataError, r"may not be read \(401 Unauthorized\)"),
            (answer(500), GantryError, r"the server answers 500 Internal Server Error, in 3 tries"),
            (
                answer(200, b"<!DOCTYPE html><html>Sign in</html>", ETag=1),
                DataError,
                r"is a web page, not an archive; get the archive again",
            ),
            (answer(200, b"so no archive", ETag=1), DataError, r"no readable archive, or damaged"),
            (answer(302, Location="http://example.com/set.zip"), DataError, r"leads on to http://example\.com, which is not https"),
            (answer(302, Location="file:///etc/passwd"), GantryError, r"in 3 tries|which is not https"),
            (answer(302, Location="/set.zip"), GantryError, r"[Rr]edirect"),
            (lambda handler: handler.wfile.write(b"no http\r\n\r\n"), GantryError, r"in 3 tries; try again when the network is there"),
            (lambda handler: None, GantryError, r"in 3 tries; try again when the network is there"),
        ],
    )
    def test_answers_that_are_not_the_file(
        self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]], reply: Answer, kind: type, message: str
    ) -> None:
        site.answers["/set.zip"] = reply
        with pytest.raises(kind, match=rf"^{site.url}/set\.zip: .*{message}"):
            run(f"{site.url}/set.zip")
        assert not workspace.raw("shop").exists()

    def test_a_server_that_falls_silent(self, site: WebServer, run: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "_PATIENCE", 0.2)
        silent = threading.Event()
        site.answers["/set.zip"] = lambda handler: silent.wait() and None
        try:
            with pytest.raises(GantryError, match=r"set\.zip: .*timed out, in 3 tries"):
                run(f"{site.url}/set.zip")
        finally:
            silent.set()
        gone = f"http://127.0.0.1:{free_port()}/set.zip"
        with pytest.raises(GantryError, match=r"set\.zip: .*[Cc]onnection refused.*, in 3 tries"):
            run(gone)

    def test_a_file_for_which_there_is_no_room(self, workspace: Workspace, site: WebServer, run: Callable[..., list[str]]) -> None:
        site.answers["/set.zip"] = answer(200, b"", ETag=1, Content_Length=1 << 60)
        with pytest.raises(GantryError, match=r"has 1,152,921,504,606,846,976 bytes, and [\d,]+ are free here; make room"):
            run(f"{site.url}/set.zip")
