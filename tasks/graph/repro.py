"""DVC, as the flow uses it: what a stage's state is, asked in-process, and a stage run in a child that cannot be orphaned.

The verdict is DVC's own in both doors: `look` is `dvc status` and `reproduce` is `dvc repro --single-item`.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_core.errors import BusyError, ConfigError, GantryError
from tasks.graph import dvc_files
from tasks.graph.dvc_child import GRACE
from tasks.graph.template import Forked, Template
from tasks.system.processes import OWN_CODE, exit_status
from tasks.workspace import Workspace

# What DVC says around a stage's own output; in a log that already names the stage it is noise.
_CHATTER = re.compile(
    r"Running stage '|> python -P -m tasks\.|Updating lock file '|Use `dvc push`|To track the changes with git, run:|\tgit add |"
    r"To enable auto staging, run:|\tdvc config core\.autostage|Generating lock file '|Stage '.*' is cached - skipping run"
)
_STAGE_EXIT = re.compile(r"exited with (-?\d+)")
_NOT_KEPT = re.compile(r"failed to transfer '.*\[Errno (?P<number>\d+)\] (?P<reason>[^:]*)(?:.*-> '(?P<place>[^']*)')?")
_FROM_RUN_CACHE = "is cached - skipping run, checking out outputs"
_RUNS = "runs just now"
_BUSY = re.compile(r"'([^'\n]*)' is busy, it is being blocked by:.*?\(PID (\d+)\): ([^\n]*)", re.DOTALL)

_NEVER = "never run before"
_Child = subprocess.Popen[bytes] | Forked


class StageError(GantryError):
    """A stage ended in error; the message is what it said itself.

    Attributes:
        code: the stage's exit status as in `subprocess` (negative: the signal that ended it), or None where DVC failed before it.
        was_explained: the stage said itself what was wrong; otherwise it crashed.
    """

    def __init__(self, stage: str, name: str, message: str, code: int | None, was_explained: bool = False) -> None:
        super().__init__(message)
        self.stage, self.name, self.code, self.was_explained = stage, name, code, was_explained
        # The stages end with the codes of gan_core.errors, and `gantry run` passes them on.
        if code is not None and 1 <= code <= 5:
            self.exit_code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.stage, self.name, str(self), self.code, self.was_explained)


class StageTimeoutError(StageError):
    """A stage took longer than it may, and was ended."""


@dataclass(frozen=True)
class Status:
    """Whether a stage has to run, and what DVC says about it."""

    changed: bool
    reason: str
    causes: str = ""
    """The reason without results that are missing, which DVC removes before it runs a stage."""


def environment(workspace: Workspace) -> dict[str, str]:
    """The environment of every DVC command: private, offline, blind to code in the workspace, and with the present `python` in front."""
    folder = Path(sys.executable).parent
    return {
        **os.environ,
        **OWN_CODE,
        **_private(workspace),
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "SHELL": _shell(),
    }


_template: Template | None = None


@contextmanager
def forking(workspace: Workspace, name: str) -> Iterator[None]:
    """Stages of entry `name` that are run inside are forked from one process that has imported what they use, where that can be done."""
    global _template
    if _template is not None:
        yield
        return
    _template = Template.begin(workspace.root, name, environment(workspace))
    try:
        yield
    finally:
        if _template is not None:
            _template.close()
        _template = None


def load(workspace: Workspace) -> None:
    """Import DVC, all that it imports at its first look at a workspace, while there is something else to wait for."""
    from dvc.repo import Repo

    with suppress(Exception):  # whoever looks meets it, and says so
        Repo(str(workspace.root.resolve())).close()


def prepare(workspace: Workspace) -> None:
    """See that DVC can work in `workspace`; where there is no git, tell DVC so, and what a killed DVC left half-written is put right.

    Raises:
        ConfigError: not a workspace.
    """
    for file in ("params.yaml", "dvc.yaml", ".dvc"):
        if not (workspace.root / file).exists():
            raise ConfigError(f"{workspace.root / file}: not there; run in a workspace, or make one with `gantry init DIR`")
    if not Path(sys.executable).with_name("python").exists():
        raise ConfigError(f"{Path(sys.executable).parent}: holds no `python`, which the stages in dvc.yaml are started with; use a venv")
    os.environ.update(_private(workspace))
    workspace.private.mkdir(exist_ok=True)
    ignore_git_where_there_is_none(workspace.root)
    dvc_files.mend(workspace, lambda line: print(line, file=sys.stderr))
    if dvc_files.is_former(workspace):
        print(
            "note: dvc.yaml is that of an earlier Gantry, which can lose a parameter; bring it up to date with `gantry upgrade`",
            file=sys.stderr,
        )


def ignore_git_where_there_is_none(root: Path) -> None:
    """Let DVC work without git where neither `root` nor a folder above is a checkout. Kept in .dvc/config.local: true here only."""
    local = root / ".dvc" / "config.local"
    has_git = any((folder / ".git").exists() for folder in (root.resolve(), *root.resolve().parents))
    if not has_git and not local.exists():
        local.write_text("[core]\n    no_scm = true\n")


def has_stage(workspace: Workspace, stage: str) -> bool:
    """Whether dvc.yaml, which may be a person's own or an earlier Gantry's, has a stage."""
    from dvc.utils.serialize import load_yaml

    stages = load_yaml(str(workspace.root / "dvc.yaml")).get("stages")
    return isinstance(stages, dict) and stage in stages


def look(workspace: Workspace, stage: str, name: str) -> Status:
    """Ask DVC whether `STAGE@NAME` has to run. Nothing is run or changed.

    Raises:
        ConfigError: DVC cannot tell, such as for a dvc.yaml that it cannot read.
        GantryError: another process is running this stage, or one next to it.
    """
    # By its file, since DVC would look for it in the present folder.
    target = f"{workspace.root.resolve() / 'dvc.yaml'}:{stage}@{name}"
    with opened(workspace) as repo:
        changes = [change for changes in repo.status(targets=[target]).values() for change in changes]
        words = _relative(_changes(changes) if changes else _unchanged(repo, target), workspace)
        results = {f"{_relative(out.fs_path, workspace)} deleted" for one in repo.stage.collect(target) for out in one.outs}
        causes = [word for word in words.split(", ") if word not in results and word != _NEVER]
        return Status(bool(changes), words, ", ".join(causes) if changes else "")


def changed(workspace: Workspace) -> dict[str, str]:
    """Every stage that has to run, as `STAGE@NAME`, and why.

    Raises:
        ConfigError: as `look`.
    """
    with opened(workspace) as repo:
        return _changed(repo, workspace)


@contextmanager
def idle(workspace: Workspace) -> Iterator[Any]:
    """Hold DVC's view of the workspace while no stage runs, by either door, and none can begin.

    Raises:
        GantryError: a stage is running; names it.
    """
    with opened(workspace) as repo:
        running = [target for target, words in _changed(repo, workspace).items() if words == _RUNS]
        if running:
            raise GantryError(f"{', '.join(running)}: runs just now; wait for it, or end it")
        yield repo


def _changed(repo: Any, workspace: Workspace) -> dict[str, str]:
    from dvc.lock import LockError

    found = {}
    for stage in repo.index.stages:
        target = stage.addressing.rpartition(":")[2]
        try:
            changes = [change for changes in stage.status(check_updates=True).values() for change in changes]
        except LockError:
            found[target] = _RUNS
            continue
        if changes:
            found[target] = _relative(_changes(changes), workspace)
    return found


def reproduce(
    workspace: Workspace,
    stage: str,
    name: str,
    *,
    force: bool = False,
    on_line: Callable[[str], None] | None = None,
    timeout: float | None = None,
    extra_environment: Mapping[str, str] | None = None,
) -> str | None:
    """Run `dvc repro --single-item STAGE@NAME` in a child, and nothing of it afterwards.

    Whatever ends this call early, an exception raised by `on_line`, Ctrl-C or the timeout, the stage gets SIGTERM, `GRACE` seconds
    to save its state, and then SIGKILL together with every process it started.

    Args:
        force: run it even where DVC finds it unchanged.
        on_line: called with each line of output as it comes (a carriage return ends a line too), without DVC's own chatter.
        timeout: seconds.
        extra_environment: variables for the stage.

    Returns:
        Why nothing was run, where DVC brought the results back from its cache of former runs; otherwise None.

    Raises:
        StageError: with the stage's own `error:` lines. StageTimeoutError where it took too long. BusyError where somebody else runs it.
    """
    target = f"{stage}@{name}"
    # Two stages may want to enter their results in dvc.lock at once, and one of them may have large ones to hash: the other waits.
    options = ["--single-item", *(["--force"] if force else [])]
    arguments = ["--wait-for-lock", "repro", *options, target]
    deadline = None if timeout is None else time.monotonic() + timeout
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        del lines[:-200]
        if on_line is not None and line.strip() and not _CHATTER.match(line):
            on_line(line)

    with _child(arguments, workspace, extra_environment or {}, take) as child:
        for line in _lines(child, deadline):
            take(line)
        timed_out = not _wait(child, deadline)
    if timed_out:
        raise StageTimeoutError(stage, name, f"{target}: took longer than {timeout:g} s and was ended; what it saved is kept", None)
    if not_kept := _not_kept(lines):
        raise StageError(stage, name, f"{target}: {not_kept}", None, was_explained=True)
    if child.returncode:
        raise _failure(stage, name, child.returncode, lines)
    return "the same was run before; its results are back from DVC's cache" if any(_FROM_RUN_CACHE in line for line in lines) else None


@contextmanager
def _child(arguments: list[str], workspace: Workspace, extra: Mapping[str, str], on_last_line: Callable[[str], None]) -> Iterator[_Child]:
    """DVC in a child that leads its own session; none of its group is left at the end of the block."""
    child = _started(arguments, workspace, {**environment(workspace), **extra})
    try:
        yield child
    finally:
        ended = _end(child)
        if ended is None:
            child.terminate()  # it passes that on to the stage
        elif ended < 0:
            _signal_group(child, signal.SIGTERM)
        try:
            # Whoever lives holds the pipe's other end, and may be saving its state.
            for line in _lines(child, time.monotonic() + GRACE, until_all_ended=True):
                on_last_line(line)
        finally:
            # The child is waited for last: until then its number, which is the group's, belongs to nobody else.
            _signal_group(child, signal.SIGKILL)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _started(arguments: list[str], workspace: Workspace, variables: dict[str, str]) -> _Child:
    if _template is not None and (forked := _template.start(arguments, variables)) is not None:
        return forked
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.graph.dvc_child", str(os.getpid()), *arguments],
        cwd=workspace.root,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _lines(child: _Child, deadline: float | None, until_all_ended: bool = False) -> Iterator[str]:
    """Lines of output until the deadline, or until the child, or all that it started, ended; a carriage return ends a line too."""
    assert child.stdout is not None  # noqa: S101
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while deadline is None or time.monotonic() < deadline:
            ended = not until_all_ended and _end(child) is not None
            if selector.select(timeout=0 if ended else 0.5):
                chunk = os.read(child.stdout.fileno(), 65_536)
                if not chunk:
                    break
                *complete, rest = re.split(rb"[\r\n]", rest + chunk)
                yield from (line.decode(errors="replace") for line in complete)
            elif ended:
                break
    if rest:
        yield rest.decode(errors="replace")


def _wait(child: _Child, deadline: float | None) -> bool:
    """Wait for the end of a child whose output has ended; False where the deadline comes first."""
    while _end(child) is None:
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _end(child: _Child) -> int | None:
    """The exit status of a child that is dead, without taking it out of the process table."""
    if isinstance(child, Forked):
        return child.end()
    found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if found is None else exit_status(found)


def _signal_group(child: _Child, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


def _not_kept(lines: list[str]) -> str | None:
    """Why results are not in DVC's cache, which DVC says, and ends with 0; None where all are."""
    for line in lines:
        if found := _NOT_KEPT.search(line):
            number, reason, place = int(found["number"]), found["reason"], Path(found["place"] or ".").absolute()
            cache = next((folder.parent for folder in place.parents if folder.name == "files"), place)
            if number not in (errno.ENOSPC, errno.EDQUOT):
                return f"its results cannot be put into DVC's cache, {cache}: {reason}; see to that, and run it again"
            there = next(folder for folder in (place, *place.parents) if folder.exists())
            free = shutil.disk_usage(there).free / 2**30
            return (
                f"the disk of {cache}, DVC's cache, is full ({free:.1f} GiB free); make room there, and run it again "
                "(`gantry clean` shows what is no longer needed)"
            )
    return None


def _failure(stage: str, name: str, code: int, lines: list[str]) -> StageError | BusyError:
    """What a person should read of a failed run."""
    text = "\n".join(lines)
    busy = _busy(text)
    if busy:
        return BusyError(busy)
    exits = _STAGE_EXIT.findall(text)
    stage_code = int(exits[-1]) if exits else None
    if stage_code is not None and stage_code > 128:
        stage_code = 128 - stage_code  # the shell's way to say that a signal ended it
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors:
        return StageError(stage, name, "\n".join(errors), stage_code, was_explained=True)
    ended_by = stage_code if stage_code is not None else code
    if ended_by < 0:
        who, number = "dvc" if stage_code is None else stage, signal.Signals(-ended_by)
        hint = "; the machine may have run out of memory" if number == signal.SIGKILL else ""
        return StageError(
            stage, name, f"{stage}@{name}: {who} was ended by {number.name}{hint}; the same command goes on from there", ended_by
        )
    own = [line for line in lines if line.strip() and not _CHATTER.match(line)][-15:]
    return StageError(stage, name, "\n".join([f"{stage}@{name} failed:", *own]), stage_code)


@contextmanager
def opened(workspace: Workspace) -> Iterator[Any]:
    """DVC's view of the workspace, held alone; waits while another DVC command writes.

    Raises:
        ConfigError: dvc.yaml cannot be read. BusyError: a stage is running that is asked about.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo
    from fsspec.implementations.memory import MemoryFileSystem

    os.environ.update(_private(workspace))
    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # also what its progress bars go by; what goes wrong is raised
    try:
        with Repo(str(workspace.root.resolve()), _wait_for_lock=True) as repo, lock_repo(repo):
            yield repo
    except DvcException as error:
        busy = _busy(str(error))
        if busy:
            raise BusyError(_relative(busy, workspace)) from None
        dvc_files.check_settled(workspace)
        raise ConfigError(f"{workspace.root / 'dvc.yaml'}: DVC cannot tell what has changed: {_one_line(str(error))}") from None
    finally:
        # DVC writes a list of each folder that it looks at into this, and never takes one away.
        MemoryFileSystem.store.clear()


def _busy(text: str) -> str | None:
    """What DVC says of a stage that another process runs, for a person; None where it says something else."""
    found = _BUSY.search(text)
    if found is None:
        return None
    path, process, command = found.groups()
    return f"{path} is being worked on by process {process} ({command.strip()}); wait for it, or end it"


def _changes(changes: list[Any]) -> str:
    """DVC's list of changes in words: `generators.digits.train modified, data/digits/ready new`."""
    words: list[str] = []
    for change in changes:
        if isinstance(change, str):
            words.append(change)
            continue
        for items in change.values():
            for key, what in items.items():
                words.extend(f"{inner} {how}" for inner, how in what.items()) if isinstance(what, dict) else words.append(f"{key} {what}")
    if any(word.endswith("params.yaml new") for word in words):
        return _NEVER  # DVC's lock file knows nothing of the stage, so that all that it touches counts as new or deleted
    return ", ".join(dict.fromkeys(words))


def _relative(words: str, workspace: Workspace) -> str:
    """DVC's words with its absolute paths, which it uses outside of the present folder, cut to the workspace's."""
    return words.replace(f"{workspace.root.resolve()}{os.sep}", "")


def _unchanged(repo: Any, target: str) -> str:
    """What a stage depends on, all of it unchanged."""
    (stage,) = repo.stage.collect(target)
    names: list[str] = []
    for dependency in stage.deps:
        params = getattr(dependency, "params", None)
        names.extend(params if params is not None else [str(dependency)])
    return f"unchanged: {', '.join(names)}"


def _shell() -> str:
    """What DVC starts a stage with: bash, which replaces itself by the stage, so that the stage is DVC's own child; or else plain sh."""
    return shutil.which("bash") or "/bin/sh"


def _private(workspace: Workspace) -> dict[str, str]:
    return {
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(workspace.private.resolve() / "dvc"),
        "DO_NOT_TRACK": os.environ.get("DO_NOT_TRACK", "true"),
    }


def _one_line(text: str) -> str:
    return " ".join(text.split())
