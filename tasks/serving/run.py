"""A server as a process: where it listens, and how it ends."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace

from gan_core.errors import ConfigError
from tasks.credentials import Signer
from tasks.serving.app import LOOPBACK, Limits, Server
from tasks.system import cores
from tasks.system.imports import all_imported
from tasks.system.memory import keep_what_is_freed
from tasks.workspace import Workspace

TOKEN = "GANTRY_SERVE_TOKEN"  # noqa: S105  the name of the variable that holds it
_SHORTEST_TOKEN = 16
_KEPT = 2**28  # bytes of what a pass frees, for the next one
_GRACE = 30  # seconds for requests that are under way when the server is told to end


def limits_of(host: str, waiting: int, provenance: bool = True, variable: str = TOKEN, sign: bool = False) -> Limits:
    """The limits of a server on this host, with the token from the environment's `variable`, and the certificate that signs, where it does.

    Raises:
        ConfigError: it would listen for others without a token, or with one that is easily guessed; or no certificate that can sign.
    """
    token = os.environ.get(variable) or None
    if token is None and host not in LOOPBACK:
        raise ConfigError(f"--host {host}: whoever reaches this machine could ask; set {variable} to a secret, or leave --host out")
    if token is not None and len(token) < _SHORTEST_TOKEN:
        raise ConfigError(
            f"{variable}: has {len(token)} characters and is easily guessed; use {_SHORTEST_TOKEN} or more, as `openssl rand -hex 32`"
        )
    signer = Signer.from_environment() if sign else None
    return Limits(waiting=waiting, token=token, variable=variable, provenance=provenance, signer=signer, hosts=() if token else LOOPBACK)


def share_of(text: str, option: str, of_all: bool = False) -> float:
    """A share, written as 10% or 0.1.

    Args:
        text: that was given.
        option: with which it was.
        of_all: whether it may be the whole.

    Raises:
        ConfigError: it is none, or not from 0 to below 1, or to 1.
    """
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not (0 <= share < 1 or (of_all and share == 1)):
        most = "at most" if of_all else "below"
        raise ConfigError(f"{option} {text[:80]}: is no share of the requests; write 10% or 0.1, {most} 100%")
    return share


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is a free one.

    Raises:
        ConfigError: it is taken, or no address of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise ConfigError(f"--host {host} --port {port}: {error.strerror or error}; choose another") from None


def serve(
    workspace: Workspace,
    name: str,
    host: str,
    port: int,
    limits: Limits,
    say: Callable[[str], None],
    challenger: float = 0.0,
    shadow: float = 0.0,
) -> None:
    """Serve the champion of a generator until the process is told to end; what is asked by then is answered.

    Args:
        workspace: whose registry has it.
        name: of the generator.
        host: an address of this machine.
        port: 0 for a free one.
        limits: from `limits_of`.
        say: told where it listens, as a line.
        challenger: share of the requests that the challenger draws in the champion's place.
        shadow: share of the requests that it draws after the champion, to be compared alone.

    Raises:
        ConfigError: there is no champion, the port is taken, or both shares are given.
        DataError: the champion's files are missing or damaged.
        RegistryError: the registry cannot be reached.
    """
    import torch
    import uvicorn

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("gantry.serve").setLevel(logging.INFO)
    with listening(host, port) as there:
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(1)  # small networks gain more from a pass on each core than from a pass on all of them
        limits = replace(limits, threads=max(1, cores.usable() // torch.get_num_threads()))
        keep_what_is_freed(_KEPT)
        sys.setswitchinterval(0.001)  # the thread that draws holds up those that read and write no longer than this
        server = Server(workspace, name, limits, challenger=challenger, shadow=shadow)
        served = server.champion.served
        all_imported()
        how = "requests share passes" if served.together else "each request is drawn by itself, as its samples depend on their batch"
        address = f"[{host}]" if ":" in host else host
        say(f"{name}, version {served.number}, on http://{address}:{there.getsockname()[1]}/samples ({how}); Ctrl+C ends it")
        config = uvicorn.Config(
            server, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=_GRACE, server_header=False
        )
        uvicorn.Server(config).run([there])
