"""What several tests need to meet a real MLflow: servers on loopback, and generators to register."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.networks import build_generator
from gan_core.params.networks import MlpGeneratorParams


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(url: str, child: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    """Poll `url` until it answers; fail with the log if the child ends or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{url} does not answer\n{log.read_text()}")


def kill_group(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def tiny_generator(seed: int = 0, kind: str = "images", classes: tuple[str, ...] | None = ("cat", "dog", "3")) -> Generator:
    """An untrained generator of 8 x 8 images or of points in the plane; another seed has other weights."""
    import torch

    shape = (1, 8, 8) if kind == "images" else (2,)
    spec = MlpGeneratorParams(widths=(8,))
    data = Images(shape, classes=classes) if kind == "images" else Points(shape, classes=classes, mean=(0.0, 1.0), std=(1.0, 2.0))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build_generator(spec, data, 4)
    return Generator(GeneratorConfig("gan", data, 4, spec, 640, seed, "d" * 64), network)
