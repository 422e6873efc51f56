"""The process that the stages of a run begin from: it has imported what they use, and each of them is a fork of it (Linux).

A stage and the DVC around it would import for three to six processor seconds, five times in a run. The template imports while the command
that started it has other things to do, and has no second thread when it forks, so what is forked from it is as good as a process that has
imported by itself: it has its own session and group, environment, signals and streams.

What `Template.start` gives back is the template's child. Like every process of ours it ends when its parent does, and the template when
the command does: whoever is killed, nothing is left.

`python -P -m tasks.graph.template PARENT CHANNEL NAME ROOM` is the template of a run of NAME; ROOM is as long as the command line of a
child may become.
"""

from __future__ import annotations

import array
import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn, Self

from tasks.system.processes import die_with, exit_status
from tasks.workspace import STAGES

OURS = "python -P -m tasks."
"""How the command of a stage of Gantry's begins in dvc.yaml."""

_OF_DVC = ("dvc.cli", "dvc.repo", "dvc.commands.repro")
_SHARED = ("pandas", "torch", "tasks.validate", "tasks.start", "tasks.train", "tasks.evaluate", "tasks.register", "mlflow")
"""What the stages after fetch use, in the order in which a run comes to them. Where nothing has changed there is only fetch."""
_CHECKS = "tasks.validation.expectations:great_expectations"
"""What validate imports beside its other work, where it is not there yet."""
_GIVEN = ("PYTHONSAFEPATH", "PYTHONUNBUFFERED")
_AT_LOADING = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "LD_", "MALLOC_", "PYTHON", "TORCH")
"""How the names of variables begin that are read when Python or a library is loaded, and no more; `_GIVEN` are given effect here."""
_WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""For Arrow's memory, which is otherwise tidied by a thread that a fork would not have."""
_MOST = 2**20  # bytes of a message
_ROOM = 300  # characters


class Forked:
    """A process that was forked from a template, with as much of `subprocess.Popen` as it takes to follow it to its end."""

    def __init__(self, pid: int, stdout: IO[bytes], channel: socket.socket, when_done: Callable[[], None]) -> None:
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._channel, self._when_done = channel, when_done

    def end(self, patience: float | None = 0) -> int | None:
        """Its exit status as in `subprocess`, once it has ended; it stays in the process table until `wait`."""
        if self.returncode is None and select.select([self._channel], [], [], patience)[0]:
            said = self._channel.recv(_MOST)
            self.returncode = int(said) if said else -signal.SIGKILL  # without a word: the template was killed, and it with it
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        if self.end() is None:
            os.kill(self.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the end, and let its number be given to others."""
        code = self.end(None)
        assert code is not None  # noqa: S101
        with suppress(OSError):
            self._channel.send(b"noted")
            self._channel.recv(_MOST)
        self._when_done()
        return code


class Template:
    """The template, as the command that it was forked from sees it."""

    def __init__(self, channel: socket.socket, process: subprocess.Popen[bytes], environment: Mapping[str, str]) -> None:
        self.pid = process.pid
        self._channel, self._process, self._environment = channel, process, dict(environment)
        self._free = threading.Lock()

    @classmethod
    def begin(cls, folder: Path, name: str, environment: Mapping[str, str]) -> Self | None:
        """Start it, by a thread that lives as long as it should; None where there can be none.

        Args:
            folder: that it works in.
            name: the entry whose stages will run.
            environment: of what is forked from it.
        """
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [str(os.getpid()), str(theirs.fileno()), name, "-" * _ROOM]
        with theirs, suppress(OSError):
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tasks.graph.template", *words],
                cwd=folder,
                env={**environment, **_WITHOUT_THREADS},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the command
            )
            return cls(ours, process, environment)
        ours.close()
        return None

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Forked | None:
        """`python -m tasks.graph.dvc_child` with the template's number and these arguments; None where a new interpreter has to do it."""
        if _differ(self._environment, environment) or not self._free.acquire(blocking=False):
            return None
        reader, writer = os.pipe()
        request = json.dumps({"arguments": list(arguments), "environment": dict(environment)}).encode()
        said = b""
        try:
            self._channel.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writer]))])
            said = self._channel.recv(_MOST)
        except OSError:
            pass
        except BaseException:  # a child that nobody knows of ends with its parent
            self._process.kill()
            raise
        finally:
            os.close(writer)
            if not said.isdigit():
                os.close(reader)
                self._free.release()
        if not said.isdigit():
            return None
        return Forked(int(said), os.fdopen(reader, "rb", buffering=0), self._channel, self._free.release)

    def close(self) -> None:
        """End it, whatever it is importing."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


def ends_like_a_program(main: Callable[[], object]) -> NoReturn:
    """Call `main` in a process that was just forked, and end the process as the interpreter would, without what the fork has inherited."""
    code = 1
    try:
        main()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        if isinstance(left.code, str):
            print(left.code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(code)


def titled(words: Sequence[str]) -> None:
    """Have lists of processes show `words` as this process's command line, as far as there is room in place of the former one (Linux)."""
    start, end = (int(field) for field in Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    text = b"\0".join(word.encode() for word in words)[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


def as_new(environment: Mapping[str, str], folder: Path | str) -> None:
    """Give a process that was just forked what a new one would have: environment, folder, signals, unbuffered streams, a main module."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, descriptor, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        raw = os.fdopen(descriptor, "wb", buffering=0, closefd=False)
        setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", errors=errors, write_through=True))
    sys.modules["__main__"] = ModuleType("__main__")


def has_run(name: str, folder: Path) -> bool:
    """Whether all stages of an entry have run before, so that nothing may have changed."""
    lock = folder / "dvc.lock"
    return lock.exists() and f"\n  {STAGES[-1]}@{name}:\n" in lock.read_text(encoding="utf-8", errors="replace")


def _serve(parent: int, channel: socket.socket, name: str, folder: Path) -> None:
    """The template's side."""
    die_with(parent)
    titled([sys.executable, "-P", "-m", "tasks.graph.template"])
    graph = folder / "dvc.yaml"
    is_shipped = graph.exists() and OURS in graph.read_text(errors="replace")
    needed = [*_OF_DVC, "tasks.fetch"] if is_shipped else list(_OF_DVC)
    is_beyond_fetch = is_shipped and not has_run(name, folder)
    if is_beyond_fetch:  # every stage will run, and the other side waits for its server and for fetch meanwhile
        needed += [*_SHARED[:3], _CHECKS, *_SHARED[3:]]
    child, its_end = 0, -1
    while True:
        waited_for: list[Any] = [channel, *([its_end] if child else [])]
        ready, _, _ = select.select(waited_for, [], [], 0 if needed else None)
        if its_end in ready:
            found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            assert found is not None  # noqa: S101
            channel.send(str(exit_status(found)).encode())
            os.close(its_end)
            channel.recv(_MOST)
            os.waitpid(child, 0)
            channel.send(b"gone")
            child, its_end = 0, -1
        elif channel in ready:
            request, ancillary, _, _ = channel.recvmsg(_MOST, socket.CMSG_SPACE(4))
            if not request:
                return
            ((_, _, given),) = ancillary
            (output,) = array.array("i", given)
            told = json.loads(request)
            stage = told["arguments"][-1].partition("@")[0]
            if is_shipped and not is_beyond_fetch and stage != STAGES[0]:
                needed, is_beyond_fetch = [*needed, *_SHARED], True
            if stage != STAGES[0]:
                needed = [one for one in needed if one != _CHECKS]
            while needed and f"tasks.{stage}" not in sys.modules:
                _import(needed.pop(0))
            child = _fork(channel, output, told, folder)
            if child:
                its_end = os.pidfd_open(child)
            channel.send(str(child).encode() if child else b"alone")
            os.close(output)
        elif needed:
            _import(needed.pop(0))


def _import(needed: str) -> None:
    """A module, or what `MODULE:FUNCTION` imports."""
    module, _, function = needed.partition(":")
    with suppress(Exception):  # whoever needs it meets the error, and says so
        imported = importlib.import_module(module)
        if function:
            getattr(imported, function)()


def _fork(channel: socket.socket, output: int, request: Mapping[str, object], folder: Path) -> int:
    """A child that does as the request says; 0 where this process has threads."""
    if _has_threads():
        _end_idle_threads()
    if _has_threads():
        return 0
    parent = os.getpid()
    gc.freeze()  # a search for garbage would write to every page
    child = os.fork()
    if child == 0:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        channel.close()
        ends_like_a_program(lambda: _follow(request, parent, folder))
    return child


def _follow(request: Mapping[str, object], parent: int, folder: Path) -> None:
    from tasks.graph import dvc_child

    environment, arguments = request["environment"], request["arguments"]
    assert isinstance(environment, dict) and isinstance(arguments, list)  # noqa: S101, PT018
    as_new(environment, folder)
    sys.argv = [dvc_child.__file__, str(parent), *arguments]
    titled([sys.executable, "-m", "tasks.graph.dvc_child", *sys.argv[1:]])
    dvc_child.main(forks_the_stage=True)


def _end_idle_threads() -> None:
    """Have libraries that can be forked end the threads that they keep for work to come.

    As OpenBLAS does, which has a thread for each core from its import on: before each fork, so here of a child that does nothing.
    """
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _has_threads() -> bool:
    return len([*Path("/proc/self/task").iterdir()]) > 1


def _differ(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether a variable differs that is read only when a process begins."""
    return any(one.get(name) != other.get(name) for name in {*one, *other} - {*_GIVEN} if name.startswith(_AT_LOADING))


if __name__ == "__main__":
    _serve(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), sys.argv[3], Path.cwd())
