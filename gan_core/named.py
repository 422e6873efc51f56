"""Classes by name: our own, and those that other installed packages bring.

A package adds to a list by an entry point of the list's group, in its pyproject.toml:

    [project.entry-points."gantry.networks"]
    wave = "wave.params:WaveParams"

It is then found in every process that runs where the package is installed, the stages' among them. Nothing is imported before it is
asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from gan_core.errors import ConfigError


class Named(MutableMapping[str, Any]):
    """One list. In a notebook a class is added as to a dict."""

    def __init__(
        self,
        group: str,  # of entry points
        what: str,  # one of the list is called, in messages
        own: Mapping[str, str],  # where each of our own is: module:class
        prefix: str = "",  # that the names of the entry points have, where a group holds several lists
    ) -> None:
        self.group = group
        self.what = what
        self.prefix = prefix
        self._known: dict[str, Any] = {name: EntryPoint(name, place, group) for name, place in own.items()}

    @cached_property
    def _others(self) -> Mapping[str, EntryPoint]:
        found = (point for point in entry_points(group=self.group) if point.name.startswith(self.prefix))
        return {point.name.removeprefix(self.prefix): point for point in found}

    def __getitem__(self, name: str) -> Any:
        """The class of that name.

        Raises:
            KeyError: there is none.
            ConfigError: there is one, and the package that brings it cannot be imported.
        """
        found = self._known[name] if name in self._known else self._others[name]
        if isinstance(found, EntryPoint):
            try:
                found = located(found.value)
            except (ImportError, AttributeError) as error:
                where = f"{self.what} {name}: {found.value}"
                raise ConfigError(f"{where} cannot be imported ({error}); repair the package that brings it, or remove it") from None
            self._known[name] = found
        return found

    def named(self, name: str) -> Any:
        """The class of that name.

        Raises:
            ConfigError: there is none; says the nearest. Or as `[]`.
        """
        try:
            return self[name]
        except KeyError:
            near = difflib.get_close_matches(str(name), self, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self)}"
            raise ConfigError(f"{str(name)[:80]!r} is no {self.what}; {hint}") from None

    def __setitem__(self, name: str, found: Any) -> None:
        self._known[name] = found

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **self._others})

    def __len__(self) -> int:
        return len({**self._known, **self._others})


def located(place: str | type) -> Any:
    """A class, or the one at module:class."""
    return EntryPoint("", place, "").load() if isinstance(place, str) else place
