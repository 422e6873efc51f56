"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from tasks.system import cores
from tasks.system.imports import all_imported, quick_imports

# Workers share the cores, and threads that wait for each other lose whole time slices.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Many a container sets it, and each of the hundreds of processes under test would compile Gantry anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_MEMORY = Path("/dev/shm")  # noqa: S108  # a file system in memory
_ROOM = 4 * 2**30
"""Bytes of memory for them: the folders of a whole run came to 1.8 GB where all were kept."""
_OF_A_WORKER = 2 * 2**30
"""Bytes of memory: one came to 1.4 GB, and what it starts takes more."""


def pytest_configure() -> None:
    """Folders of tests lie in memory where it has room: SQLite waits for a disk four times at each commit."""
    if "PYTEST_DEBUG_TEMPROOT" in os.environ or not _MEMORY.is_dir() or os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return
    if shutil.disk_usage(_MEMORY).free >= _ROOM and psutil.virtual_memory().available >= 2 * _ROOM:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The search for garbage, among a million objects of libraries, takes a tenth of the time of tests: here it comes seldom."""
    with quick_imports():
        done = yield
    all_imported()
    gc.set_threshold(10_000, 20, 20)
    return done


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their length: a gzip header holds the time, and workers that name a test differently run none."""
    return f"{argname}-{len(val)}-bytes" if isinstance(val, bytes) else None


def pytest_xdist_auto_num_workers() -> int:
    """Two workers more than there are cores, where memory has room: tests that wait for servers and processes leave a core idle in turn."""
    room = psutil.virtual_memory().available // _OF_A_WORKER
    return max(min(cores.usable() + 2, room), 1)


@pytest.fixture(scope="session")
def gantry_data() -> Path:
    """The folder of real image sets that the environment variable GANTRY_DATA names."""
    folder = os.environ.get("GANTRY_DATA")
    if not folder:
        pytest.skip("GANTRY_DATA is not set: no folder of real image sets")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.fail(f"GANTRY_DATA={folder} is not a folder")
    return path


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What Gantry keeps between workspaces is kept between tests, those of other workers too, and the user's own is left alone."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # in which each worker has its own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _children_hear_ctrl_c() -> None:
    """A suite that was started in the background inherits an ignored SIGINT, and would hand it on to every command under test."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes depends on what else the machine does, and says nothing of the code.
settings.register_profile("gantry", deadline=None)
settings.load_profile("gantry")
