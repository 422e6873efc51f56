"""A training in two processes, as DVC starts it: killed, stopped, lost, and on two hosts with addresses of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import ENTRY, NAME, environment, lines_of_record, mlflow_runs, outs, start, state, write_params, write_ready

from gan_core.errors import ConfigError
from gan_core.params import GanParams
from tasks.params import parse
from tasks.scaffold import init_workspace
from tasks.system import cores, ranks
from tasks.workspace import Workspace

LINES = 40
TRAIN: dict[str, Any] = {**ENTRY["train"], "images": 8 * LINES, "log_every": 8, "checkpoint_every": 80, "processes": 2}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Callable[..., Workspace]:
    """A workspace for DVC with data that is ready, whose training takes two processes."""

    def make(poisoned: bool = False, **changes: Any) -> Workspace:
        found = init_workspace(tmp_path_factory.mktemp("workspace") / "ranks")
        shutil.copy(mlflow_database, found.root / "mlflow.db")
        write_ready(found.ready(NAME), poisoned)
        points = {"recipe": "gan", "images": 1_000, "processes": 2} if poisoned else None
        source = {"data": {"source": "points://ring"}} if poisoned else {}
        write_params(found.root, {NAME: {**ENTRY, **source, "train": points or {**TRAIN, **changes}}})
        return found

    return make


@pytest.fixture(scope="module")
def undisturbed(make: Callable[..., Workspace]) -> dict[str, bytes]:
    """What two processes leave, started by DVC."""
    workspace = make()
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", f"start@{NAME}", f"train@{NAME}"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=workspace.root, env=environment(PATH=path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"train {NAME}: {TRAIN['images']:,} images in" in done.stdout
    assert json.loads((workspace.model(NAME) / "run.json").read_text())["processes"] == 2
    assert [run.info.status for run in mlflow_runs(workspace)] == ["FINISHED"]
    assert list((workspace.private / "ranks").iterdir()) == []
    return outs(workspace)


def ranks_of(launcher: int) -> dict[int, int]:
    """The process ids of the ranks that a process has started, by rank."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            said = (entry / "environ").read_bytes().decode(errors="replace").split("\0") if entry.name.isdigit() else []
        except OSError:
            continue
        variables = dict(one.split("=", 1) for one in said if "=" in one)
        if variables.get("GANTRY_RANKS_LAUNCHER") == str(launcher) and "RANK" in variables:
            found[int(variables["RANK"])] = int(entry.name)
    return found


def wait_for_two(workspace: Workspace, child: subprocess.Popen[str], lines: int) -> dict[int, int]:
    """The ranks, once both are there and the record has more lines than that."""
    end = time.monotonic() + 120
    while len(found := ranks_of(child.pid)) < 2 or lines_of_record(workspace) <= lines:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def assert_ended(processes: dict[int, int]) -> None:
    end = time.monotonic() + 30
    while any(Path(f"/proc/{process}").exists() for process in processes.values()):
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="ranks are found in /proc")
def test_stopped_and_with_a_rank_killed_it_ends_bit_for_bit_where_the_undisturbed_one_does(
    undisturbed: dict[str, bytes], make: Callable[..., Workspace]
) -> None:
    workspace = make()
    child = start(workspace)
    processes = wait_for_two(workspace, child, 4)
    child.terminate()
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGTERM
    notes = r"note: pictures of what it draws: .*\nnote: stopped, the state is saved; run it again to go on \(in .*\)\n"
    assert re.fullmatch(notes, stderr)
    assert_ended(processes)
    assert not workspace.model(NAME).exists()

    child = start(workspace)
    processes = wait_for_two(workspace, child, lines_of_record(workspace) + 2)
    os.kill(processes[1], signal.SIGKILL)
    _, stderr = child.communicate(timeout=240)
    assert child.returncode == 0, stderr
    assert "error: another process of this training is gone" in stderr
    assert "note: a process of this training died; all start again from the last checkpoint (1 of 3)" in stderr
    assert "Traceback" not in stderr
    assert outs(workspace) == undisturbed
    assert [run.info.status for run in mlflow_runs(workspace)] == ["FINISHED"]
    assert_ended(processes)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child of its parent's death on Linux alone")
def test_when_the_launcher_is_killed_its_ranks_save_their_state_and_end(make: Callable[..., Workspace]) -> None:
    workspace = make()
    child = start(workspace)
    processes = wait_for_two(workspace, child, 4)
    child.kill()
    child.communicate()
    assert_ended(processes)
    folder = state(workspace)
    assert folder is not None
    assert len(list((folder / "checkpoints").iterdir())) > 0
    assert [run.info.status for run in mlflow_runs(workspace)] == ["KILLED"]


def test_a_lost_run_is_said_once_and_not_tried_again(make: Callable[..., Workspace]) -> None:
    """An expected error is no death: no rank is started again for it."""
    workspace = make(poisoned=True)
    child = start(workspace)
    _, stderr = child.communicate(timeout=120)
    assert child.returncode == 4
    assert re.fullmatch(r"note: pictures of .*\nerror: discriminator_loss is not finite at 64 points; .*\n", stderr)
    assert [run.info.status for run in mlflow_runs(workspace)] == ["FAILED"]


_HOSTS = """
ip link set lo up
unshare --net sleep 600 & other=$!
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
ip link add here type veth peer name there netns $other
ip addr add 10.77.0.1/24 dev here
ip link set here up
nsenter --target $other --net sh -c "ip link set lo up; ip addr add 10.77.0.2/24 dev there; ip link set there up"
export PET_NNODES=2 PET_RDZV_ENDPOINT=10.77.0.1:29400
(cd "$1" && PET_NODE_RANK=1 PET_LOCAL_ADDR=10.77.0.2 GLOO_SOCKET_IFNAME=there nsenter --target $other --net "$2" -m tasks.train "$3") &
second=$!
cd "$0" && PET_NODE_RANK=0 PET_LOCAL_ADDR=10.77.0.1 GLOO_SOCKET_IFNAME=here "$2" -m tasks.train "$3"
ended=$?
wait $second
echo ended with $ended and $?
kill $other
"""


def can_make_networks() -> bool:
    if not all(shutil.which(command) for command in ("ip", "nsenter", "unshare")):
        return False
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", "ip link add here type veth peer name there"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_make_networks(), reason="this user may not make network namespaces")
def test_two_hosts_with_addresses_of_their_own_train_what_one_does(undisturbed: dict[str, bytes], make: Callable[..., Workspace]) -> None:
    """Two network namespaces joined by a cable: what listens on loopback in one is not there in the other."""
    first, second = make(processes=1), make(processes=1)
    isolated = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*isolated, "bash", "-c", _HOSTS, str(first.root), str(second.root), sys.executable, NAME]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    assert "ended with 0 and 0" in done.stdout, done.stderr
    assert outs(first) == undisturbed
    assert json.loads((first.model(NAME) / "run.json").read_text())["processes"] == 2
    assert not second.model(NAME).exists()
    assert mlflow_runs(second) == []


class TestHosts:
    def test_torchruns_variables_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert ranks.Hosts.from_environment() == ranks.Hosts()
        for name, value in (("PET_NNODES", "3"), ("PET_NODE_RANK", "2"), ("PET_RDZV_ENDPOINT", "10.0.0.1:29400")):
            monkeypatch.setenv(name, value)
        assert ranks.Hosts.from_environment() == ranks.Hosts(3, 2, "10.0.0.1:29400")

    @pytest.mark.parametrize(
        ("number", "meeting", "count"), [("2", "10.0.0.1:29400", "2"), ("0", "10.0.0.1", "2"), ("0", "", "2"), ("first", "a:1", "2")]
    )
    def test_what_cannot_be_is_refused(self, monkeypatch: pytest.MonkeyPatch, number: str, meeting: str, count: str) -> None:
        for name, value in (("PET_NNODES", count), ("PET_NODE_RANK", number), ("PET_RDZV_ENDPOINT", meeting)):
            monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError, match="PET_NODE_RANK"):
            ranks.Hosts.from_environment()


class TestProcesses:
    def test_auto_takes_what_the_batch_can_be_split_among(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cores, "usable", lambda: 8)
        for batch, accumulate, expected in ((64, 1, 8), (60, 1, 6), (64, 16, 4), (7, 1, 7), (22, 1, 2)):
            params = GanParams(images=1, batch=batch, processes="auto", accumulate=accumulate)
            assert ranks.processes_here(params, ranks.Hosts(), CPU) == expected
        assert ranks.processes_here(GanParams(images=1, batch=60, processes="auto"), ranks.Hosts(4, 0, "a:1"), CPU) == 5

    @pytest.mark.parametrize("wrong", ["two", 0, 2.0, True])
    def test_what_is_no_number_of_processes_is_refused_in_one_line(self, wrong: object) -> None:
        with pytest.raises(ConfigError, match=rf"train\.processes: '{wrong}' is neither a number from 1 to 1024 nor auto$"):
            parse({"generators": {NAME: {**ENTRY, "train": {**TRAIN, "processes": wrong}}}})

    def test_a_batch_that_does_not_come_out_even_is_refused(self) -> None:
        with pytest.raises(ValueError, match="64 samples do not come out even in 3 x 1 parts"):
            GanParams(images=1, batch=64, processes=3)
        with pytest.raises(ConfigError, match="do not come out even on 3 hosts of 2 processes"):
            ranks.processes_here(GanParams(images=1, batch=64, processes=2), ranks.Hosts(3, 0, "a:1"), CPU)

    def test_more_gpus_than_there_are_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        with pytest.raises(ConfigError, match=r"2 were asked for, one a GPU, and this host has 1; use 1 or auto"):
            ranks.processes_here(GanParams(images=1, processes=2), ranks.Hosts(), torch.device("cuda"))
