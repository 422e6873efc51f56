"""Where the page about a decision lies; light, for the command line."""

from __future__ import annotations

from pathlib import Path

from gan_core.errors import ConfigError
from tasks.params import NAME
from tasks.workspace import Workspace

PAGE, CARD = "report.html", "card.md"


def page_of(workspace: Workspace, name: str) -> Path:
    """The absolute path of the page about the last decision on `name`.

    Raises:
        ConfigError: no such page was written yet.
    """
    path = workspace.report(name).resolve() / PAGE
    if not NAME.fullmatch(name) or not path.is_file():
        raise ConfigError(f"{name}: has no report yet; `gantry run {name}` decides and writes one")
    return path
