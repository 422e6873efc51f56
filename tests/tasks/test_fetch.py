"""The fetch stage brings raw level with its source, does no more than it has to, and survives being killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gan_core.errors import ConfigError, DataError, GantryError
from tasks.fetch import fetch
from tasks.params import Entry, parse
from tasks.sources import folder, raw, source
from tasks.sources.raw import RawReader
from tasks.workspace import Workspace

REPOSITORY = Path(__file__).parents[2]
PARAMS = """
generators:
  shop:
    data: {source: "%s"}
    validate: {}
    train: {recipe: gan, images: 1000}
    evaluate: {}
    register: {}
"""


def entry(address: str, **keys: Any) -> Entry:
    sections: dict[str, Any] = {"validate": {}, "train": {"recipe": "gan", "images": 1000}, "evaluate": {}, "register": {}}
    return parse({"generators": {"shop": {"data": {"source": address, **keys}, **sections}}})["shop"]


def tree(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


def contents(root: Path) -> dict[str, bytes]:
    with RawReader.open(root) as reader:
        return {member.path: reader.read(member) for member in reader.members}


def fill(root: Path, count: int = 300) -> dict[str, bytes]:
    """Some hundred files in three classes; some are empty, some have no image in them."""
    files = {f"class {i % 3}/photo {i:03}.png": b"%d" % i * (i % 50) for i in range(count)}
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return files


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    (root / "photos").mkdir(parents=True)
    return Workspace(root)


@pytest.fixture
def photos(workspace: Workspace) -> Path:
    return workspace.root / "photos"


@pytest.fixture
def _sixteen_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "_SHARD_COUNTS", ((1_000, 1), (1 << 30, 16)))


@pytest.fixture
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, so that a test need not wait."""
    monkeypatch.setattr(source, "_SETTLED_NS", -1)


@pytest.fixture
def run(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Fetches; returns the lines that it printed."""

    def run(address: str = "folder://photos", **keys: Any) -> list[str]:
        fetch(workspace, "shop", entry(address, **keys))
        return capsys.readouterr().out.splitlines()

    return run


def test_each_source_ends_in_its_kind(workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
    fill(photos)
    for address, kind, line in (
        ("sklearn://digits", "arrays", "fetch shop: 1,797 samples, 129.7 kB"),
        ("points://ring", "points", "fetch shop: changed, 1,000 samples"),
        ("folder://photos", "files", "fetch shop: +300 -1 files, 1 of 1 shard rewritten, 300 samples in 3 classes"),
    ):
        assert run(address) == [line]
        assert run(address)[0].startswith("fetch shop: unchanged, ")
        reader = RawReader.open(workspace.raw("shop"))
        assert (reader.kind, reader.about.source) == (kind, address)


@pytest.mark.usefixtures("_sixteen_shards")
def test_says_what_changed(workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
    files = fill(photos)
    size = sum(map(len, files.values()))
    assert run() == [f"fetch shop: 300 samples in 3 classes, {size / 1e3:.1f} kB"]
    before = {path: path.stat() for path in workspace.raw("shop").iterdir()}
    assert run() == ["fetch shop: unchanged, 300 samples in 3 classes"]
    assert {path: path.stat() for path in workspace.raw("shop").iterdir()} == before

    (photos / "class 0" / "new.png").write_bytes(b"new")
    assert run() == ["fetch shop: +1 -0 files, 1 of 16 shards rewritten, 301 samples in 3 classes"]
    (photos / "class 0" / "new.png").write_bytes(b"NEW")
    (photos / "notes.txt").touch()
    assert run() == [
        "fetch shop: left out: 1 .txt",
        "fetch shop: +0 -0 ~1 files, 1 of 16 shards rewritten, 301 samples in 3 classes",
    ]
    (photos / "class 0" / "new.png").unlink()
    shutil.rmtree(photos / "class 1")
    line = run()[1]
    assert line.startswith("fetch shop: +0 -101 files, ")
    assert line.endswith(", 200 samples in 2 classes")
    assert contents(workspace.raw("shop")) == {path: data for path, data in files.items() if not path.startswith("class 1")}


@pytest.mark.usefixtures("_sixteen_shards")
def test_ends_as_a_fresh_fetch_would(workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
    fill(photos, 200)
    run()
    for path in sorted((photos / "class 2").iterdir())[::3]:
        path.unlink()
    fill(photos, 250)
    run()
    synced = tree(workspace.raw("shop"))
    shutil.rmtree(workspace.raw("shop"))
    shutil.rmtree(workspace.private, ignore_errors=True)
    run()
    assert tree(workspace.raw("shop")) == synced


class TestMemory:
    @pytest.fixture(autouse=True)
    def _setting(self, _settled: None, _sixteen_shards: None) -> None:
        pass

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The names of source files that are opened."""
        names: list[str] = []
        real = source.open_file

        def watched(path: str) -> Any:
            names.append(os.path.basename(path))  # noqa: PTH119
            return real(path)

        monkeypatch.setattr(folder, "open_file", watched)
        return names

    def test_unchanged_files_are_not_read(self, photos: Path, reads: list[str], run: Callable[..., list[str]]) -> None:
        files = fill(photos)
        run()
        assert len(reads) == len(files)
        reads.clear()
        run()
        assert reads == []

    def test_an_added_file_costs_its_own_reading(
        self, workspace: Workspace, photos: Path, reads: list[str], run: Callable[..., list[str]]
    ) -> None:
        files = fill(photos)
        run()
        reads.clear()
        (photos / "class 0" / "new.png").touch()
        run()
        assert reads == ["new.png"]
        # Bytes that went bad in raw are not copied on.
        reader = RawReader.open(workspace.raw("shop"))
        [shard] = {member.shard for member in reader.members if member.path == "class 0/new.png"}
        bad = [member for member in reader.members if member.shard == shard and member.size]
        with (workspace.raw("shop") / shard).open("r+b") as file:
            for member in bad:
                file.seek(member.offset)
                file.write(b"rotten"[: member.size])
        (photos / "class 0" / "new.png").unlink()
        reads.clear()
        run()
        assert len(reads) == len(bad) > 0
        assert contents(workspace.raw("shop")) == files

    def test_few_files_are_open_at_once(self, photos: Path, run: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(raw, "_SHARD_COUNTS", ())
        fill(photos)
        run()
        fill(photos / "class 0", 300)
        open_files = []
        real = raw._write_shard

        def counted(*arguments: Any) -> Any:
            open_files.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
            return real(*arguments)

        monkeypatch.setattr(raw, "_write_shard", counted)
        run()
        assert len(open_files) > 100
        assert max(open_files) <= min(open_files) + 2

    def test_touched_files_are_read_and_nothing_is_written(self, photos: Path, reads: list[str], run: Callable[..., list[str]]) -> None:
        fill(photos)
        run()
        reads.clear()
        touched = sorted((photos / "class 0").iterdir())[:3]
        for path in touched:
            path.touch()
        assert run() == ["fetch shop: unchanged, 300 samples in 3 classes"]
        assert sorted(reads) == [path.name for path in touched]
        reads.clear()
        run()
        assert reads == []

    def test_a_lost_or_damaged_memory_costs_reading_alone(
        self, workspace: Workspace, photos: Path, reads: list[str], run: Callable[..., list[str]]
    ) -> None:
        fill(photos)
        run()
        memory = workspace.private / "fetch" / "shop.jsonl"
        lines = memory.read_bytes().splitlines(keepends=True)
        for damaged, expected in (
            (b"", 300),
            (b"\xff\0" + b"".join(lines), 300),
            (b"".join(lines[:-1]) + lines[-1][:20], 1),
            (b"".join(lines[:100]) + b"[1, 2]\n{}\nnull\n[[], {}, 3]\n\xff\xfe\n" + b"".join(lines[101:]), 1),
        ):
            memory.write_bytes(damaged)
            reads.clear()
            assert run() == ["fetch shop: unchanged, 300 samples in 3 classes"]
            assert len(reads) == expected
            reads.clear()
            run()
            assert reads == []

    def test_another_folder_is_another_matter(
        self, workspace: Workspace, photos: Path, reads: list[str], run: Callable[..., list[str]]
    ) -> None:
        fill(photos)
        run()
        reads.clear()
        photos.rename(workspace.root / "moved")
        assert run("folder://moved") == ["fetch shop: unchanged, 300 samples in 3 classes"]
        assert len(reads) == 300
        assert RawReader.open(workspace.raw("shop")).about.source == "folder://moved"

    def test_raw_lost(self, workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
        files = fill(photos)
        run()
        shutil.rmtree(workspace.raw("shop"))
        run()
        assert contents(workspace.raw("shop")) == files

    def test_mnist_is_checked_once(
        self, workspace: Workspace, gantry_data: Path, run: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tasks.sources import idx_files

        (workspace.root / "MNIST").symlink_to(gantry_data / "MNIST")
        assert run("torchvision://MNIST", root=".") == ["fetch shop: 70,000 samples, 11.6 MB"]
        with monkeypatch.context() as patch:
            patch.delattr(idx_files, "read_idx")
            assert run("torchvision://MNIST", root=".") == ["fetch shop: unchanged, 70,000 samples"]
        assert tree(gantry_data / "MNIST" / "raw") == contents(workspace.raw("shop"))


class TestRefusal:
    """A source that cannot be used leaves raw, and what it was made of, as they are."""

    def test_of_a_source(self, workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
        fill(photos)
        run()
        before = tree(workspace.raw("shop"))
        (photos / "stray.png").touch()
        with pytest.raises(DataError, match="1 images beside 3 folders"):
            run()
        shutil.rmtree(photos)
        with pytest.raises(DataError, match="photos is not there"):
            run()
        assert tree(workspace.raw("shop")) == before

    def test_nothing_is_made_for_a_first_one(self, workspace: Workspace, run: Callable[..., list[str]]) -> None:
        with pytest.raises(DataError, match="no images in it"):
            run()
        assert [path.name for path in workspace.root.iterdir()] == ["photos"]

    def test_of_the_place(self, workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
        fill(photos)
        (workspace.root / "data").write_text("a file where a folder belongs")
        with pytest.raises(GantryError, match=r"fetch shop: .*/data.*: (Not a directory|File exists)"):
            run()

    def test_a_full_disk(self, workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may mount a small disk")
        fill(photos)
        (workspace.root / "data").mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", workspace.root / "data"], capture_output=True)
        if mounted.returncode != 0:
            pytest.skip("mounting is not allowed here")
        try:
            with pytest.raises(GantryError, match="No space left on device"):
                run()
            assert list(workspace.raw("shop").iterdir()) == []
        finally:
            subprocess.run(["umount", workspace.root / "data"], check=True)

    def test_names_the_key(self, run: Callable[..., list[str]]) -> None:
        with pytest.raises(ConfigError, match=r"^generators\.shop\.data\.source: .* variable NOT_THERE is not set"):
            run("folder://$NOT_THERE")

    def test_on_the_command_line(self, workspace: Workspace) -> None:
        (workspace.root / "params.yaml").write_text(PARAMS % "folder://nothing")
        ended = subprocess.run(
            [sys.executable, "-m", "tasks.fetch", "shop"],
            cwd=workspace.root, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == DataError.exit_code
        assert ended.stdout == ""
        assert ended.stderr == (
            f"error: folder://nothing: the folder {workspace.root.resolve()}/nothing is not there; create it or correct data.source\n"
        )


def test_stays_light(workspace: Workspace, gantry_data: Path) -> None:
    # A schedule starts it each time, so the libraries that take seconds to import must stay out.
    fill(workspace.root / "photos", 3)
    program = """
import sys
from tasks.fetch import fetch
from tasks.params import parse
from tasks.workspace import current
rest = {"validate": {}, "train": {"recipe": "gan", "images": 1000}, "evaluate": {}, "register": {}}
for source in sys.argv[2:]:
    data = {"source": source} | ({"root": sys.argv[1]} if source.startswith("torchvision") else {})
    fetch(current(), "shop", parse({"generators": {"shop": {"data": data, **rest}}})["shop"])
print(sorted({"torch", "torchvision", "sklearn", "scipy", "pandas", "PIL", "mlflow", "dvc"} & sys.modules.keys()))
"""
    sources = ["sklearn://digits", "points://grid", "torchvision://MNIST", "folder://photos"]
    command = [sys.executable, "-c", program, str(gantry_data), *sources]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    output = subprocess.run(command, cwd=workspace.root, env=environment, check=True, capture_output=True, text=True).stdout
    assert output.splitlines()[-1] == "[]"


def test_images_on_the_network_need_no_arrays() -> None:
    program = "import sys, tasks.fetch, tasks.sources.urls; print(sorted({'numpy', 'pyarrow', 'gan_core.kinds'} & sys.modules.keys()))"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True).stdout == "[]\n"


# Runs the stage and is killed, as by the power switch, just before the given one of its calls to the file system.
KILLED = """
import os, signal, sys
from tasks.sources import raw
from tasks.fetch import fetch
from tasks.params import load_entry
from tasks.sources import source
from tasks.workspace import current

raw._SHARD_COUNTS = ((1_000, 1), (1 << 30, 16))
source._SETTLED_NS = -1
calls, last = 0, int(sys.argv[1])

def hook(event, arguments):
    global calls
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.scandir"):
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)

workspace = current()
entry = load_entry(workspace.root, "shop")
sys.addaudithook(hook)
fetch(workspace, "shop", entry)
print(calls)
"""


class TestKilled:
    @pytest.fixture(autouse=True)
    def _setting(self, workspace: Workspace, _settled: None, _sixteen_shards: None) -> None:
        (workspace.root / "params.yaml").write_text(PARAMS % "folder://photos")

    def fetch_killed_at(self, root: Path, call: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(call)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)

    @pytest.mark.parametrize("is_first", [True, False])
    def test_at_many_moments(self, workspace: Workspace, photos: Path, run: Callable[..., list[str]], is_first: bool) -> None:
        old = fill(photos)
        if not is_first:
            run()
            for i, path in enumerate(sorted((photos / "class 2").iterdir())):
                if i % 7 == 0:
                    path.unlink()
                elif i % 7 == 1:
                    path.write_bytes(b"changed")
            fill(photos / "more", 40)
        start = workspace.root.parent / "start"
        shutil.copytree(workspace.root, start)
        calls = int(self.fetch_killed_at(workspace.root, 0).stdout.splitlines()[-1])
        undisturbed = tree(workspace.raw("shop"))
        new = contents(workspace.raw("shop"))

        # Spread over the run, and each of the last, when index and old shards change hands.
        moments = sorted({1, *(calls * i // 6 for i in range(1, 6)), *range(calls - (2 if is_first else 5), calls + 1)})
        for moment in moments:
            shutil.rmtree(workspace.root)
            shutil.copytree(start, workspace.root)
            killed = self.fetch_killed_at(workspace.root, moment)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            if (workspace.raw("shop") / "index.json").exists():
                assert contents(workspace.raw("shop")) in (old, new)
            else:
                assert is_first
            run()
            assert tree(workspace.raw("shop")) == undisturbed

    def test_goes_on_where_it_was(self, workspace: Workspace, photos: Path, run: Callable[..., list[str]]) -> None:
        fill(photos)
        assert self.fetch_killed_at(workspace.root, 200).returncode == -signal.SIGKILL
        finished = {path.name: path.stat().st_ino for path in workspace.raw("shop").glob("shard-*")}
        assert 0 < len(finished) < 16
        run()
        assert finished.items() <= {path.name: path.stat().st_ino for path in workspace.raw("shop").iterdir()}.items()
