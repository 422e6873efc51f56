"""The version that is served, and the change to another one while requests go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gan_core.errors import ConfigError, GantryError, RegistryError
from gan_core.generator import Generator, GeneratorConfig
from tasks.records.registry import CHALLENGER, CHAMPION, Registry, resolve
from tasks.serving.answers import forms
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.records.registry import Version

log = logging.getLogger("gantry.serve")


@dataclass(frozen=True)
class Served:
    """A version in memory."""

    name: str
    number: int
    generator: Generator
    forms: tuple[str, ...]
    """The types in which its samples are answered; the first is for who takes anything."""
    together: bool
    """Whether requests share a pass of the network: where a sample is the same, to the bit, whatever is drawn beside it."""

    @classmethod
    def load(cls, registry: Registry, version: Version) -> Served:
        """Load it, and see what it draws.

        Raises:
            DataError: its files are missing or damaged.
            RegistryError: the registry cannot be reached.
        """
        generator = registry.load(version)
        (drawn,) = generator.draw([generator.any_order(1)])
        return cls(version.name, version.number, generator, forms(drawn), generator.draws_alike())


class Champion:
    """The champion of a generator, followed: `served` is the version in use, `trouble` what keeps it from being the champion.

    Beside it, `challenger` is the version of that alias, where a share of the requests is for it, it can be loaded, and it can stand in for
    the champion.
    """

    def __init__(
        self, workspace: Workspace, name: str, on_swap: Callable[[Served], None] = lambda served: None, share: float = 0.0
    ) -> None:
        """Load the champion, and the challenger where it is wanted.

        Args:
            workspace: whose registry has them.
            name: of the generator.
            on_swap: told of a version that takes the champion's place.
            share: of the requests that are for the challenger.

        Raises:
            ConfigError: there is none.
            DataError: its files are missing or damaged.
            RegistryError: the registry cannot be reached.
        """
        self._registry, version = resolve(workspace, name)
        if version.name != name:
            raise ConfigError(
                f"{name}: a server follows the champion; `gantry promote {version.name} {version.number}` makes it that, and "
                f"`gantry serve {version.name}` serves it"
            )
        self.served = Served.load(self._registry, version)
        self.trouble: str | None = None
        self.challenger: Served | None = None
        self._on_swap, self._share, self._due, self._passed_over = on_swap, share, 0.0, 0
        self._ended = threading.Event()
        if share:
            self._look_for_challenger(self._registry.aliases(name).get(CHALLENGER))

    def picked(self) -> Callable[[], Served]:
        """What the next request is drawn from, asked when it is drawn: the challenger each so many requests, otherwise the champion."""
        return (lambda: self.served) if self.turn() is None else lambda: self.challenger or self.served

    def turn(self) -> Served | None:
        """The challenger, each so many times that this is asked; None: it has none, or it is not its turn."""
        if self.challenger is None:
            return None
        self._due += self._share
        if self._due < 1:
            return None
        self._due -= 1
        return self.challenger

    def look(self) -> None:
        """Ask where the alias stands, and change to the version that it names. Without one that can be loaded, the present one goes on."""
        name, here = self.served.name, self.served.number
        try:
            aliases = self._registry.aliases(name)
            number = aliases.get(CHAMPION)
            if number is None:
                self._trouble(f"{name} has no champion any more; version {here} goes on")
                return
            if number != here:
                self.served = Served.load(self._registry, self._registry.version(name, number))
                log.info("%s: version %d is the champion, and takes the place of version %d", name, number, here)
                self._on_swap(self.served)
                self._passed_over = 0
            if self._share:
                self._look_for_challenger(aliases.get(CHALLENGER))
        except (GantryError, OSError) as error:
            self._trouble(f"version {here} goes on: {error}")
            return
        except Exception as error:
            log.exception("the registry could not be asked")
            self._trouble(f"version {here} goes on: {type(error).__name__}; the log has more")
            return
        self._trouble(None)

    def _look_for_challenger(self, number: int | None) -> None:
        if number is None:
            self.challenger = None
        elif number != self._passed_over and (self.challenger is None or self.challenger.number != number):
            try:
                found = Served.load(self._registry, self._registry.version(self.served.name, number))
                misfit = _misfit(found.generator.config, self.served.generator.config)
            except RegistryError:
                raise
            except Exception as error:  # the champion goes on without it
                misfit = f"cannot be loaded ({error})"
            self.challenger, self._passed_over = (None, number) if misfit else (found, 0)
            if misfit:
                log.warning("version %d, the challenger, gets no requests: it %s", number, misfit)
            else:
                log.info("version %d, the challenger, gets %.0f%% of the requests", number, 100 * self._share)

    def _trouble(self, said: str | None) -> None:
        if said != self.trouble:
            log.warning("%s", said) if said is not None else log.info("version %d is the champion again", self.served.number)
        self.trouble = said

    def follow(self, seconds: float) -> None:
        """Look again each so many seconds, in a thread of its own, until `close`."""
        threading.Thread(target=self._follow, args=(seconds,), name="champion", daemon=True).start()

    def _follow(self, seconds: float) -> None:
        while not self._ended.wait(seconds):
            self.look()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()


def _misfit(challenger: GeneratorConfig, champion: GeneratorConfig) -> str | None:
    """Why the challenger cannot be asked what the champion is asked."""
    if challenger.classes != champion.classes:
        return "knows other classes than the champion"
    if (challenger.data.numbers is None) != (champion.data.numbers is None):
        return (
            "is asked by a number, unlike the champion" if champion.data.numbers is None else "is asked by no number, unlike the champion"
        )
    return challenger.data.misfit(champion.data)
