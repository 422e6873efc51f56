"""What a request asks a generator for, in the words that the model served by MLflow and `gantry serve` share."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Self

import numpy as np

from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig, Order, condition_of
from gan_core.kinds.pixels import Pixels
from tasks.inputs import Inputs, read_input

MAX_COUNT = 10_000
"""Samples of one request, so that none can fill the server's memory."""
DEFAULTS: dict[str, Any] = {"n": 16, "seed": 0, "label": "", "prompt": "", "truncation": 0.0, "walk": False}


@dataclass(frozen=True)
class Asked:
    """What is asked, wherever in the request it stood."""

    said: Mapping[str, Any]
    """A value for each key of `DEFAULTS`, of its default's type."""
    each: Sequence[str] | None
    """What each row asks for by its label, prompt or input; None where no row does."""
    files: Sequence[tuple[str, bytes]] | None = None
    """Names and bytes of pictures that came as files."""

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]], count: int, params: Mapping[str, Any], ask: str) -> Self:
        """Read a request.

        Args:
            columns: what the request's rows say, by key.
            count: how many rows there are.
            params: what is said for all of them; None for a value is the default.
            ask: the column by which this generator's rows ask.

        Raises:
            ConfigError: a key is not known or has no such value, rows and params contradict each other, or they are too many.
        """
        for key in [*columns, *params]:
            _check_key(key, ask)
        said = DEFAULTS | {key: _typed(key, value) for key, value in params.items() if value is not None}
        each = [_typed(ask, value, f"{ask}: row {index}") for index, value in enumerate(columns[ask])] if ask in columns else None
        for key in columns.keys() - {ask}:
            values = {_typed(key, value, f"{key}: row {index}") for index, value in enumerate(columns[key])}
            if len(values) > 1:
                raise ConfigError(f"{key}: differs between rows, and is one for a whole request; send a request for each")
            if values and said[key] not in (DEFAULTS[key], *values):
                raise ConfigError(f"{key}: stands in the rows and, otherwise, in params; leave one of them out")
            said[key] = next(iter(values), said[key])
        if each is None:
            if count > 1:
                raise ConfigError(f"{ask}: {count} rows have none; give each row one, or ask for several samples by n")
        elif said.get(ask):
            raise ConfigError(f"{ask}: stands in the rows and in params; leave one of them out")
        elif "n" in columns and len(each) == 1 and ask != "input":
            said, each = said | {ask: each[0]}, None
        elif said["n"] not in (DEFAULTS["n"], len(each)):
            raise ConfigError(f"n: {said['n']}, and {len(each)} rows that ask for one sample each; leave n out")
        asked = cls(said, each)
        if not 1 <= asked.count <= MAX_COUNT:
            raise ConfigError(f"n: {asked.count} is not in 1 to {MAX_COUNT:,}")
        return asked

    @property
    def count(self) -> int:
        """Samples."""
        if self.files is not None:
            return len(self.files)
        return int(self.said["n"]) if self.each is None else len(self.each)

    def request(self, ask: str) -> dict[str, Any] | None:
        """The same as the JSON of a request, as short as it can be; of pictures to translate the label alone, None where there is none."""
        if ask == "input":
            return {"label": self.said["label"]} if self.said["label"] else None
        told = {key: value for key, value in self.said.items() if value != DEFAULTS[key]}
        return told | {"n": self.count, "seed": self.said["seed"]} | ({} if self.each is None else {ask: list(self.each)})

    def order(self, generator: Generator) -> Order:
        """The same, as this generator takes it.

        Raises:
            ConfigError: it knows no such label or prompt, or is asked otherwise.
        """
        config, each, said = generator.config, self.each, self.said
        if config.inputs is not None:
            return generator.order_of(self.inputs(config).images, said["label"] or None)
        labels, prompts = None, [said["prompt"]] if said["prompt"] else None
        if each is not None and config.prompts is not None:
            prompts = list(each)
        elif each is not None:
            condition = condition_of(config)
            labels = np.array([condition.read(label) for label in each], dtype=condition.dtype)
        label, truncation = said["label"] or None, said["truncation"] or None
        return generator.order(self.count, said["seed"], label, labels, prompts, truncation, said["walk"])

    def pictures(self, config: GeneratorConfig) -> Sequence[tuple[str, bytes]]:
        """Names and bytes of the pictures to translate.

        Raises:
            ConfigError: there are none, or what is said beside them is for samples.
        """
        said = {"n"} if config.targets is None else {"n", "label"}
        if changed := [key for key, value in self.said.items() if key not in said and value != DEFAULTS[key]]:
            left = "input" if config.targets is None else "input and label"
            raise ConfigError(f"{', '.join(changed)}: this generator makes a picture of each that it is given; leave all but {left} out")
        files = [(f"row {i}", _of_base64(i, row)) for i, row in enumerate(self.each or ())] if self.files is None else self.files
        if not files:
            raise ConfigError("input: this generator translates pictures; give each row one, its file in base64")
        return files

    def inputs(self, config: GeneratorConfig) -> Inputs:
        """The pictures to translate, as the generator takes them.

        Raises:
            ConfigError: as `pictures`, or some are no pictures, broken, or too large.
        """
        files, spec = self.pictures(config), Pixels.of(config.data)
        images = np.stack([read_input(data, spec, f"input: {name}") for name, data in files])
        return Inputs(images, tuple(PurePath(name).stem for name, _ in files))


def _of_base64(index: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ConfigError(f"input: row {index} holds no base64") from None


def plain(value: Any) -> Any:
    """NumPy's arrays and numbers as Python's."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _check_key(key: str, ask: str) -> None:
    if key == "input" != ask:
        raise ConfigError("input: this generator draws samples and is given no pictures; leave it out")
    known = [*DEFAULTS, *(["input"] if ask == "input" else [])]
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        raise ConfigError(f"{key[:80]!r} is not known; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"))


def _typed(key: str, value: Any, where: str = "") -> Any:
    """A value as `key` takes it; an empty one is refused, since CSV makes one of texts such as NA."""
    where, wanted, value = where or key, type(DEFAULTS.get(key, "")), plain(value)
    if value is None or value != value:  # NaN alone is unlike itself
        raise ConfigError(f"{where} is empty; fill it, or leave the column out")
    if wanted is str and isinstance(value, str | int | float):
        return str(value)
    if wanted is bool and isinstance(value, bool):
        return value
    if wanted in (int, float) and isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # of an endless number as a whole one, or a very long one as a float
            if wanted(value) == value:
                return wanted(value)
    what = {str: "text", bool: "true or false", int: "whole number", float: "number"}[wanted]
    raise ConfigError(f"{where}: {str(value)[:80]!r} is no {what}")
