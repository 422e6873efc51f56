"""DVC as a child that cannot be orphaned: `python -m tasks.graph.dvc_child PARENT ARGUMENTS...` is `dvc ARGUMENTS...`.

The process leads a session of its own, so it, the shell that it starts and the stage are one process group. SIGTERM, sent by the
parent or by the kernel at the parent's death, is passed on to the stage once. DVC then waits for the stage to save its state, and
whatever is left after the grace period is killed.

Forked from a template (`tasks.graph.template`), it has imported what the stage uses, too. It then forks once more before DVC begins to
work: the stage that DVC would start as `python -P -m tasks.STAGE NAME` is that child, which waits until DVC comes to it, and has
none of DVC's files, locks and threads.
"""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import sys
from types import FrameType
from typing import Any

from tasks.system.imports import all_imported, nothing_to_collect
from tasks.system.processes import die_with
from tasks.workspace import GRAPH

GRACE = 20.0
"""Seconds that a stage has to end after SIGTERM."""


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, _kill)
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    if _has_children():
        os.killpg(0, signal.SIGTERM)
    else:
        raise KeyboardInterrupt  # DVC is hashing or copying on its own: it takes this as its order to leave and to free its locks


def _kill(number: int, frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)


def _has_children() -> bool:
    if _waiting is not None:
        return _waiting.has_begun
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


class _WaitingStage:
    """A child that becomes the stage when DVC comes to it, and ends with this process where DVC does not."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        self.has_begun = False
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            from tasks.graph.template import ends_like_a_program

            os.close(self._writer)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            die_with(parent)
            ends_like_a_program(lambda: _become(reader))
        os.close(reader)

    def run(self, otherwise: Any, executable: str, command: str, **options: Any) -> None:
        """DVC's own way to run a stage's command (`dvc.stage.run._run`), which `otherwise` is, where the command is one of Gantry's."""
        from dvc.stage.exceptions import StageCmdFailedError

        words = shlex.split(command)
        is_ours = len(words) == 5 and words[:3] == ["python", "-P", "-m"] and words[3] in {f"tasks.{stage}" for stage in GRAPH}
        if not is_ours or self.has_begun:
            self.has_begun = True
            otherwise(executable, command, **options)
            return
        request = json.dumps({"words": words, "environment": options["env"], "folder": str(options["cwd"])}).encode()
        self.has_begun = True
        with os.fdopen(self._writer, "wb") as pipe:
            pipe.write(request)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as DVC does, which waits for what the stage makes of it
        try:
            _, status = os.waitpid(self._pid, 0)
        finally:
            signal.signal(signal.SIGINT, before)
        if code := os.waitstatus_to_exitcode(status):
            raise StageCmdFailedError(command, code)


def _become(reader: int) -> None:
    """Wait to be told which stage, and be it."""
    from tasks.graph.template import as_new, titled
    from tasks.stage_main import stage_main

    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    if not said:
        return
    request = json.loads(said)
    words = request["words"]
    as_new(request["environment"], request["folder"])
    titled([sys.executable, *words[1:]])
    module = importlib.import_module(words[3])
    sys.argv = [str(module.__file__), words[4]]
    stage_main(getattr(module, words[3].rpartition(".")[2]))


_waiting: _WaitingStage | None = None


def main(forks_the_stage: bool = False) -> None:
    """Bind this process's life to its parent's and run DVC."""
    global _waiting
    signal.signal(signal.SIGTERM, _stop)
    die_with(int(sys.argv[1]))
    from dvc.cli import main as dvc

    if forks_the_stage:
        from functools import partial

        from dvc.stage import run

        _waiting = _WaitingStage()
        run._run = partial(_waiting.run, run._run)
    all_imported()
    code = dvc(sys.argv[2:])
    nothing_to_collect()
    sys.exit(code)


if __name__ == "__main__":
    main()
