"""The processes of one training: torchrun's elastic agent starts them, and starts them again where one has died.

The stage's process runs the agent, and each rank is `python -m tasks.train NAME` again, told its place by the environment. A rank that
dies takes the others with it, and the group goes on from the last checkpoint, at most `RESTARTS` times. How a rank ended otherwise
(done, stopped, an expected error) it leaves in a file, since the agent would start it again for any exit code but 0.

Several hosts train together when each runs the same command with torchrun's own variables: PET_NNODES, how many they are; PET_NODE_RANK,
0 on the one that writes; PET_RDZV_ENDPOINT, its address and port. Without them nothing listens beyond this host.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from gan_core.distributed import ALONE, Group, join
from gan_core.errors import ConfigError, GantryError, PeerLostError, TrainingError
from gan_core.files import write_whole
from gan_core.params import TrainParams
from tasks.stage_main import expected
from tasks.system import cores
from tasks.system.processes import die_with

RESTARTS = 3
_SECONDS_TO_END = 15
"""That a rank has after a signal, to save its state; `gantry run` gives the whole stage 20."""
_SECONDS_TO_MEET = 600
"""That hosts wait for host 0, which is as long as torch has them wait for each other."""
_FOLDER, _LAUNCHER = "GANTRY_RANKS", "GANTRY_RANKS_LAUNCHER"
_LOOPBACK = "lo" if sys.platform == "linux" else "lo0"


@dataclass(frozen=True)
class Hosts:
    """The machines of a training, as torchrun's variables name them."""

    count: int = 1
    number: int = 0
    """Of this one; host 0 writes."""
    meeting: str = ""
    """Address and port of host 0."""
    address: str | None = None
    """By which the others reach this one; None: its name."""

    @classmethod
    def from_environment(cls) -> Hosts:
        """Read torchrun's variables.

        Raises:
            ConfigError: one of them is not what it should be.
        """
        said = {name: os.environ.get(name, "") for name in ("PET_NNODES", "PET_NODE_RANK", "PET_RDZV_ENDPOINT", "PET_LOCAL_ADDR")}
        try:
            count, number = int(said["PET_NNODES"] or 1), int(said["PET_NODE_RANK"] or 0)
        except ValueError:
            raise ConfigError(
                f"PET_NNODES {said['PET_NNODES']!r}, PET_NODE_RANK {said['PET_NODE_RANK']!r}: give whole numbers, such as 2 and 0"
            ) from None
        if count == 1:
            return cls()
        if not 0 <= number < count or ":" not in said["PET_RDZV_ENDPOINT"]:
            raise ConfigError(
                f"{count} hosts (PET_NNODES) need PET_NODE_RANK, 0 to {count - 1}, and in PET_RDZV_ENDPOINT host 0's address and port such "
                f"as 10.0.0.1:29400; they are {number} and {said['PET_RDZV_ENDPOINT']!r}"
            )
        return cls(count, number, said["PET_RDZV_ENDPOINT"], said["PET_LOCAL_ADDR"] or None)


def processes_here(params: TrainParams, hosts: Hosts, device: torch.device) -> int:
    """How many processes train on this host, with `auto` settled.

    Raises:
        ConfigError: there are fewer GPUs, or the batch does not come out even on so many hosts.
    """
    available = torch.cuda.device_count() if device.type == "cuda" else cores.usable()
    if params.processes == "auto":
        fitting = [count for count in range(1, available + 1) if params.is_even(count * hosts.count)]
        wanted = max(fitting, default=1)
    else:
        wanted = params.processes
    if device.type == "cuda" and wanted > available:
        raise ConfigError(f"train.processes: {wanted} were asked for, one a GPU, and this host has {available}; use {available} or auto")
    if not params.is_even(wanted * hosts.count):
        raise ConfigError(
            f"train.batch: {params.batch} samples do not come out even on {hosts.count} hosts of {wanted} processes; change one"
        )
    return wanted


def is_rank() -> bool:
    """Whether this process was started by `launch`."""
    return _FOLDER in os.environ and "RANK" in os.environ


def launch(name: str, key: str, folder: Path, hosts: Hosts, processes: int) -> None:
    """Train `name` in `processes` ranks on this host, and end as they did.

    Args:
        key: names the training; hosts whose data or parameters differ never meet.
        folder: where the ranks of this host meet and say how they ended.

    Raises:
        GantryError: the one that ended the ranks.
        TrainingError: a rank died too often, or the other hosts did not come.
        SystemExit: the ranks were asked to stop; their state is saved.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for logger in logging.root.manager.loggerDict:
        if logger.startswith("torch.distributed.elastic"):  # each signal and each death, beside what is said here
            logging.getLogger(logger).setLevel(logging.CRITICAL)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "logs").mkdir(parents=True)
    os.environ |= {_FOLDER: str(folder), _LAUNCHER: str(os.getpid())}
    if hosts.count == 1:
        # They meet by files, and talk on loopback.
        os.environ |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}
    config = LaunchConfig(
        min_nodes=hosts.count,
        max_nodes=hosts.count,
        nproc_per_node=processes,
        run_id=key,
        rdzv_backend="c10d",
        rdzv_endpoint=hosts.meeting or str(folder / "rendezvous"),
        rdzv_configs={"is_host": hosts.number == 0, "read_timeout": _SECONDS_TO_MEET} if hosts.count > 1 else {"store_type": "file"},
        local_addr=hosts.address or (None if hosts.count > 1 else "localhost"),
        max_restarts=RESTARTS,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs")),
        shutdown_timeout=_SECONDS_TO_END,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "tasks.train", name)
        _end_as_said(folder)
    except SignalException as stopped:
        sys.exit(128 + stopped.sigval)
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        raise TrainingError(
            f"the training's processes died {RESTARTS + 1} times, the last time rank {rank} ({_cause(failure.exitcode)}); "
            "its state is saved: see to the reason, and run it again to go on"
        ) from None
    except RendezvousError as error:
        raise TrainingError(
            f"the hosts did not meet at {hosts.meeting} ({error}); each needs the same params.yaml, data and number of processes"
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def joined(hosts: Hosts, device: torch.device) -> Iterator[Group]:
    """Yields the group that this rank is in, or that of a process which trains alone.

    An expected error of a rank, or its order to stop, is handed to the process that launched it, and the rank ends well.
    """
    if not is_rank():
        yield ALONE
        return
    die_with(int(os.environ[_LAUNCHER]))
    folder, local = Path(os.environ[_FOLDER]), int(os.environ["LOCAL_RANK"])
    if any(folder.glob("end-*.json")):
        sys.exit(0)  # a rank died when all was said
    if device.type == "cuda":
        torch.cuda.set_device(local)
    store = None if hosts.count > 1 else str(folder / f"store-{os.environ['TORCHELASTIC_RESTART_COUNT']}")
    try:
        with join(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), hosts.number == local == 0, device, store) as group:
            yield group
    except PeerLostError:
        raise
    except (GantryError, OSError) as error:
        _say_end(folder, local, expected(error).exit_code, str(expected(error)))
        sys.exit(0)
    except SystemExit as end:
        _say_end(folder, local, end.code if isinstance(end.code, int) else 1, "")
        sys.exit(0)
    if hosts.number == local == 0:
        _say_end(folder, local, 0, "")


def was_restarted() -> int:
    """How often this rank's group was started again."""
    return int(os.environ["TORCHELASTIC_RESTART_COUNT"]) if is_rank() else 0


def _say_end(folder: Path, local: int, code: int, error: str) -> None:
    with suppress(FileNotFoundError):  # the launcher was killed, and another one has cleared the folder
        write_whole(folder / f"end-{local}.json", json.dumps({"code": code, "error": error}))


def _end_as_said(folder: Path) -> None:
    """End as the ranks of this host did: most of them say the same."""
    ends = [json.loads(path.read_text()) for path in sorted(folder.glob("end-*.json"))]
    for end in ends:
        if end["error"]:
            error = GantryError(end["error"])
            error.exit_code = end["code"]
            raise error
    for end in ends:
        if end["code"]:
            sys.exit(end["code"])


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
