"""What the registry says of an entry's last decision, asked now.

decision.json remembers what the register stage did, and DVC holds the stage unchanged while its inputs are. Its effect lies in the
registry, which may have been removed, exchanged for another one, or changed by a person since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.promotion.decision import LastDecision
from tasks.records import tracking
from tasks.records.glance import Held, glance
from tasks.records.registry import CHAMPION, Registry, brought_level, read_history
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Standing:
    """The last decision on a generator, beside what the registry holds."""

    decision: LastDecision
    champion: int | None
    """The version that the alias names now."""
    how: str | None
    """How it came to be, as the history says (`tasks.records.registry.Reign`)."""
    lost: str | None
    """Why the register stage has to act again; None where the registry holds what it did, whatever was done after it."""

    @property
    def in_words(self) -> str:
        """What there is, as a sentence."""
        decided, number = self.decision, self.decision.version
        if self.champion == number and not decided.promotes:
            return f"version {number} is the champion now ({self.how}); the last decision on it was {decided.outcome}"
        if self.champion is None:
            return f"there is no champion; the last decision, on version {number}, was {decided.outcome}"
        if self.champion != number and decided.promotes:
            return f"version {self.champion} is the champion now ({self.how}), and no longer version {number} ({decided.outcome})"
        return f"as before, {decided.in_words}"


def standing(workspace: Workspace, name: str, opened: Registry | None = None) -> Standing | None:
    """Ask the registry; None where no decision was made here yet.

    Args:
        opened: the workspace's registry, where it is at hand.

    Raises:
        RegistryError: it cannot be reached.
    """
    decision = LastDecision.read(workspace, name)
    if decision is None or decision.generator is None:
        return None
    held = _held(workspace, name, opened)
    where = f"{name}, in {tracking.address_in_words(workspace)}"
    history = brought_level(read_history(held.tags, where), held.aliases)
    champion = held.aliases.get(CHAMPION)
    lost = _lost(decision, held.generators, champion)
    return Standing(decision, champion, history[-1].how if history else None, None if lost is None else f"{where}, {lost}")


def _held(workspace: Workspace, name: str, opened: Registry | None) -> Held:
    if opened is None and not tracking.exists(workspace):
        return Held({}, {}, {})
    database = None if opened else tracking.own_database(workspace)
    seen = None if database is None else glance(database, name)
    return (opened or Registry.open(workspace)).held(name) if seen is None else seen


def lost(workspace: Workspace, name: str, opened: Registry | None = None) -> str | None:
    """Why the register stage has to act again, in words; None where the registry holds what it did, or nothing was decided here yet.

    As `standing` otherwise.
    """
    found = standing(workspace, name, opened)
    return None if found is None else found.lost


def _lost(decision: LastDecision, versions: Mapping[int, str | None], champion: int | None) -> str | None:
    """What is missing of what the decision did, as the end of a sentence.

    Args:
        versions: the sha256 of each version's generator.
    """
    if not versions:
        return "has no version any more"
    if versions.get(decision.version) != decision.generator:
        same = [number for number, sha256 in versions.items() if sha256 == decision.generator]
        now = f"it is version {same[-1]} there" if same else "it is not there any more"
        return f"has lost the version that was decided on as {decision.version}: {now}"
    if champion is None and not decision.outcome.startswith("vetoed"):
        return "has no champion any more"
    return None
