"""The studio as a process: where it listens, and how it ends."""

from __future__ import annotations

from collections.abc import Callable

from tasks.serving.app import Limits
from tasks.serving.run import listening
from tasks.studio.app import Studio
from tasks.workspace import Workspace

TOKEN = "GANTRY_STUDIO_TOKEN"  # noqa: S105  the name of the variable that holds it


def studio(workspace: Workspace, host: str, port: int, limits: Limits, say: Callable[[str], None]) -> None:
    """Answer until the process is told to end.

    Args:
        workspace: whose registry has the generators.
        host: an address of this machine.
        port: 0 for a free one.
        limits: from `tasks.serving.run.limits_of`.
        say: told its address.

    Raises:
        ConfigError: the port is taken.
    """
    import uvicorn

    with listening(host, port) as there:
        address = f"[{host}]" if ":" in host else host
        say(f"http://{address}:{there.getsockname()[1]}/")
        config = uvicorn.Config(Studio(workspace, limits), log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run([there])
