"""Page and model card, written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.files import write_whole
from tasks.report import card, page
from tasks.report.facts import gather
from tasks.report.place import CARD, PAGE
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.params import Entry
    from tasks.records.registry import Registry, Version

# What MLflow takes as a version's description.
_LONGEST_DESCRIPTION = 5_000


def publish(workspace: Workspace, name: str, entry: Entry, registry: Registry, version: Version, record: Mapping[str, Any]) -> list[Path]:
    """Write the page and the card about a decision into reports/NAME, and let the card describe the version in the registry.

    Args:
        version: the one that was decided on.
        record: what decision.json holds.

    Returns:
        The files.

    Raises:
        DataError: a file of the stages before is missing or damaged.
        RegistryError: the registry cannot be reached.
    """
    facts = gather(workspace, name, entry, registry, version, record)
    texts = {PAGE: page.render(facts), CARD: card.render(facts)}
    paths = []
    for file, text in texts.items():
        path = workspace.report(name) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
        paths.append(path)
    registry.describe(version, card.without_front_matter(texts[CARD])[:_LONGEST_DESCRIPTION])
    return paths
