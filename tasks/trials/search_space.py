"""What a sweep tries, from words such as `train.loss=hinge,non-saturating` and `train.optimizer.learning_rate=1e-4..1e-3`."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gan_core.errors import ConfigError
from tasks import params
from tasks.params import Entry
from tasks.records import lineage

Scalar = str | int | float | bool | None
_LOG = "log:"
_MOST_CHECKED = 2_000
_LOG_FROM = 10
"""The ratio of a range's ends from which on its values are drawn evenly by their logarithm."""


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Scalar, ...]

    @property
    def corners(self) -> tuple[Scalar, ...]:
        return self.values

    def holds(self, value: Any) -> bool:
        return any(value == one and type(value) is type(one) for one in self.values)


@dataclass(frozen=True)
class Range:
    """Anything between two numbers, both included; whole numbers only, where both are."""

    low: int | float
    high: int | float
    log: bool
    """Drawn evenly by the logarithm."""

    @property
    def corners(self) -> tuple[Scalar, ...]:
        return self.low, self.high

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: Any) -> bool:
        right = isinstance(value, int if self.is_whole else int | float) and not isinstance(value, bool)
        return right and self.low <= value <= self.high


Space = Mapping[str, Choice | Range]
"""By key below the entry, such as `train.batch`."""


def parse(words: Sequence[str]) -> Space:
    """Read `KEY=A,B,C` (one of these), `KEY=LOW..HIGH` and `KEY=log:LOW..HIGH`.

    A range is drawn by its logarithm where that is said, or where both ends are above 0 and the higher is at least ten times the lower.

    Raises:
        ConfigError: naming the word, and how to write it.
    """
    space: dict[str, Choice | Range] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key or not text:
            raise ConfigError(f"{word!r}: write KEY=A,B,C or KEY=LOW..HIGH, such as train.optimizer.learning_rate=1e-4..1e-3")
        if not key.startswith("train."):
            raise ConfigError(f"{key}: a sweep varies keys of train, such as train.batch; its trials share their data and are judged alike")
        if key in space:
            raise ConfigError(f"{key}: stands there twice; write all of its values in one word, as {key}=A,B")
        space[key] = _range(key, text) if ".." in text else _choice(key, text)
    for first, second in itertools.permutations(space, 2):
        if second.startswith(f"{first}."):
            raise ConfigError(f"{first}: is a section, of which {second} is a part; vary one of them")
    if not space:
        raise ConfigError("a sweep needs something to vary, such as train.loss=hinge,non-saturating")
    return space


def overridden(name: str, entry: Entry, values: Mapping[str, Scalar]) -> Entry:
    """The entry with other values.

    Raises:
        ConfigError: params.yaml would be refused with them; says why, and which they are.
    """
    section = params_of(entry)
    for key, value in values.items():
        *sections, last = key.split(".")
        target = section
        for part in sections:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigError(f"{key}: {part} is no section, but {target!r}")
        target[last] = value
    return params.parse({"generators": {name: section}}, where=in_words(values))[name]


def params_of(entry: Entry) -> dict[str, Any]:
    """An entry as params.yaml has it."""
    found: dict[str, Any] = json.loads(lineage.params_text(entry))
    return found


def check(name: str, entry: Entry, space: Space) -> None:
    """See that the entry is a good one with every combination of the values and the ranges' ends.

    Raises:
        ConfigError: naming the first that is not.
    """
    for values in itertools.islice(_combinations({key: one.corners for key, one in space.items()}), _MOST_CHECKED):
        overridden(name, entry, values)


def grid(space: Space) -> list[dict[str, Scalar]] | None:
    """Every combination, where there are only lists; None where a range has endless ones."""
    if any(isinstance(one, Range) for one in space.values()):
        return None
    return list(_combinations({key: one.corners for key, one in space.items()}))


def present(entry: Entry, space: Space) -> dict[str, Scalar] | None:
    """The values that the entry has now, its defaults included; None where the space does not hold them."""
    whole = entry.model_dump(mode="json", by_alias=True)
    found: dict[str, Scalar] = {}
    for key, one in space.items():
        value: Any = whole
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not one.holds(value):
            return None
        found[key] = value
    return found


def in_words(values: Mapping[str, Scalar]) -> str:
    """`train.loss=hinge train.batch=64`."""
    return " ".join(f"{key}={_shown(value)}" for key, value in values.items())


def _shown(value: Scalar) -> str:
    """A value as it is written on the command line."""
    return f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _combinations(choices: Mapping[str, Sequence[Scalar]]) -> Iterator[dict[str, Scalar]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def _choice(key: str, text: str) -> Choice:
    values = tuple(_scalar(key, part) for part in text.split(","))
    if len({(type(value), value) for value in values}) != len(values):
        raise ConfigError(f"{key}={text}: has a value twice; each is tried once")
    return Choice(values)


def _range(key: str, text: str) -> Range:
    said_log = text.startswith(_LOG)
    ends = [_scalar(key, part) for part in text.removeprefix(_LOG).split("..")]
    if len(ends) != 2 or not all(isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in ends):
        raise ConfigError(f"{key}={text}: a range has two numbers, as {key}=LOW..HIGH or {key}=log:LOW..HIGH")
    low, high = ends
    assert isinstance(low, int | float)  # noqa: S101
    assert isinstance(high, int | float)  # noqa: S101
    if low >= high:
        raise ConfigError(f"{key}={text}: the first number has to be the lower one")
    if said_log and low <= 0:
        raise ConfigError(f"{key}={text}: a logarithm needs numbers above 0")
    return Range(low, high, log=said_log or (low > 0 and high / low >= _LOG_FROM))


def _scalar(key: str, text: str) -> Scalar:
    """A value as params.yaml would read it."""
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        value = []
    if not text.strip() or not (value is None or isinstance(value, str | int | float | bool)):
        raise ConfigError(f"{key}: {text!r} is no single value; write values as params.yaml has them, parted by commas")
    return value
