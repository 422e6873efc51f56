"""A registered generator as MLflow serves it.

MLflow keeps a copy of this file beside the weights and runs it when a version is loaded ("models from code"), so nothing is
pickled; it needs Gantry installed. Asked with `params`, it draws `n` samples; asked with rows that have a `label` (or a `prompt`, where
it draws what a text says), one for each row. One that translates is asked with rows that have an `input`, a picture's file in base64, and
makes one of each:

    curl 127.0.0.1:5000/invocations -H 'Content-Type: application/json' \\
        -d '{"dataframe_records": [{}], "params": {"n": 4, "seed": 7, "label": "3"}}'

The answer is a list of records: `png`, the image as a base64 PNG, or the columns `x0`, `x1`, ... of a point; and `label`, the
name of its class, where there are classes; or `prompt`, what it was asked for, and `unknown_words`, those of it that it was never shown.
Rows of a table have its columns, the label's among them.

A key that is not known is refused, except in `params`: of those, MLflow drops what the signature does not have before the model is asked.
"""

from __future__ import annotations

import base64
import difflib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig, Samples, class_index, classes_of
from gan_core.kinds.pixels import Pixels
from tasks import kinds
from tasks.inputs import read_input
from tasks.samples import encode_png

MAX_COUNT = 10_000  # of one request, so that none can fill the server's memory
DEFAULTS: dict[str, Any] = {"n": 16, "seed": 0, "label": "", "prompt": "", "truncation": 0.0, "walk": False}

_log = logging.getLogger(__name__)


class ServedGenerator(PythonModel):  # type: ignore[misc]
    """The generator behind `mlflow.pyfunc.load_model` and `mlflow models serve`."""

    @classmethod
    def of(cls, generator: Generator) -> Self:
        """One that serves a generator at hand."""
        served = cls()
        served.generator = generator
        return served

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights, checked against their digest."""
        self.generator = Generator.load(Path(context.artifacts["generator"]))

    def predict(self, context: PythonModelContext | None, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Draw samples, or translate pictures; the same request gives the same answer.

        Args:
            context: not used; MLflow passes it.
            model_input: rows with a `label` or `prompt` ask for one sample each, rows with an `input` for the translation of each. What
                `params` say, columns may say as well, the same in each row; a single row with an `n` asks for so many of its kind.
            params: `n` (1 to 10,000, default 16), `seed` (default 0), `label` (one class for all, by name, or by index where no name is a
                number; default "": none), `prompt` (one text for all; default "": none), `truncation` (bound on the latents; default 0:
                none) and `walk` (from one sample to the next, step by step; default false).

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE (400 over HTTP) for a key that is not known, or a count, seed, label, prompt,
                truncation or picture that is not allowed.
        """
        try:
            drawn = self._drawn(_Request.of(model_input, params or {}, kinds.of(self.generator.config.kind).ask))
        except ConfigError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        except Exception as error:
            # MLflow would answer with the stack trace, and so with the server's paths.
            _log.exception("a request failed")
            raise MlflowException(f"the generator failed ({type(error).__name__}); the server's log has more", INTERNAL_ERROR) from None
        answer = kinds.of(drawn.kind).answer(drawn, self.generator.config.classes)
        if drawn.prompts is not None:
            answer["prompt"] = drawn.prompts
            answer["unknown_words"] = [" ".join(self.generator.unknown_words([prompt])) for prompt in drawn.prompts]
        return answer

    def _drawn(self, request: _Request) -> Samples:
        config, each, said = self.generator.config, request.each, request.said
        n = said["n"] if each is None else len(each)
        if not 1 <= n <= MAX_COUNT:
            raise ConfigError(f"n: {n} is not in 1 to {MAX_COUNT:,}")
        if config.inputs is not None:
            return self.generator.translate(_pictures(request, Pixels.of(config.data)))
        labels, prompts = None, [said["prompt"]] if said["prompt"] else None
        if each is not None and config.prompts is not None:
            prompts = each
        elif each is not None:
            classes = classes_of(config)
            labels = np.array([class_index(label, classes) for label in each], dtype=np.int64)
        label = said["label"] or None
        return self.generator.sample(n, said["seed"], label, labels, prompts, truncation=said["truncation"] or None, walk=said["walk"])


@dataclass(frozen=True)
class _Request:
    """What is asked, wherever in the request it stood."""

    said: dict[str, Any]
    """A value for each key of `DEFAULTS`, of its default's type."""
    each: list[str] | None
    """What each row asks for by its label, prompt or input; None where no row does."""

    @classmethod
    def of(cls, model_input: Any, params: dict[str, Any], ask: str) -> Self:
        """Read a request.

        Args:
            model_input: what MLflow makes of the request's rows, in any of its forms.
            params: the request's own; None for a value is the default.
            ask: the column by which this generator's rows ask.

        Raises:
            ConfigError: a key is not known or has no such value, or rows and params contradict each other.
        """
        rows = _rows(model_input, ask)
        for key in [*rows.columns, *params]:
            _check_key(str(key), ask)
        if not rows.columns.is_unique:
            raise ConfigError(f"{rows.columns[rows.columns.duplicated()][0]}: stands twice in a row")
        said = DEFAULTS | {key: _typed(key, value) for key, value in params.items() if value is not None}
        each = [_typed(ask, value, f"{ask}: row {index}") for index, value in enumerate(rows[ask])] if ask in rows else None
        for key in rows.columns.drop(ask, errors="ignore"):
            values = {_typed(key, value, f"{key}: row {index}") for index, value in enumerate(rows[key])}
            if len(values) > 1:
                raise ConfigError(f"{key}: differs between rows, and is one for a whole request; send a request for each")
            if values and said[key] not in (DEFAULTS[key], *values):
                raise ConfigError(f"{key}: stands in the rows and, otherwise, in params; leave one of them out")
            said[key] = next(iter(values), said[key])
        if each is None:
            if len(rows) > 1:
                raise ConfigError(f"{ask}: {len(rows)} rows have none; give each row one, or ask for several samples by n")
            return cls(said, None)
        if said.get(ask):
            raise ConfigError(f"{ask}: stands in the rows and in params; leave one of them out")
        if "n" in rows and len(each) == 1 and ask != "input":
            return cls(said | {ask: each[0]}, None)
        if said["n"] not in (DEFAULTS["n"], len(each)):
            raise ConfigError(f"n: {said['n']}, and {len(each)} rows that ask for one sample each; leave n out")
        return cls(said, each)


def _rows(model_input: Any, ask: str) -> pd.DataFrame:
    """The rows of a request, from any form that MLflow hands on."""
    try:
        if isinstance(model_input, pd.DataFrame):
            return model_input
        if isinstance(model_input, dict):
            columns = {key: _plain(value) for key, value in model_input.items()}
            return pd.DataFrame(columns if any(isinstance(value, list) for value in columns.values()) else [columns])
        items = _plain(model_input)
        if items is None:
            return pd.DataFrame()
        if isinstance(items, list) and all(isinstance(item, dict) for item in items):
            return pd.DataFrame([{key: _plain(value) for key, value in item.items()} for item in items])
        if isinstance(items, list) and all(isinstance(item, str | int | float) for item in items):
            return pd.DataFrame({ask: items})
    except ValueError as error:
        raise ConfigError(f"the columns do not make rows ({error})") from None
    raise ConfigError(f'inputs: are no rows; write them as [{{"{ask}": ...}}], or [] and what is asked in params')


def _plain(value: Any) -> Any:
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
    where, wanted, value = where or key, type(DEFAULTS.get(key, "")), _plain(value)
    if value is None or value != value:  # NaN alone is unlike itself
        raise ConfigError(f"{where} is empty; fill it, or leave the column out")
    if wanted is str and isinstance(value, str | int | float):
        return str(value)
    if wanted is bool and isinstance(value, bool):
        return value
    if wanted in (int, float) and isinstance(value, int | float) and not isinstance(value, bool) and wanted(value) == value:
        return wanted(value)
    what = {str: "text", bool: "true or false", int: "whole number", float: "number"}[wanted]
    raise ConfigError(f"{where}: {str(value)[:80]!r} is no {what}")


def _pictures(request: _Request, spec: Pixels) -> NDArray[np.uint8]:
    """Pictures (N, C, H, W) to translate."""
    if changed := [key for key, value in request.said.items() if key != "n" and value != DEFAULTS[key]]:
        raise ConfigError(f"{', '.join(changed)}: this generator makes a picture of each that it is given; leave all but input out")
    if not request.each:
        raise ConfigError("input: this generator translates pictures; give each row one, its file in base64")
    images = []
    for index, text in enumerate(request.each):
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError:
            raise ConfigError(f"input: row {index} holds no base64") from None
        images.append(read_input(data, spec, f"input: row {index}"))
    return np.stack(images)


def rows_that_ask(config: GeneratorConfig, count: int) -> list[dict[str, Any]]:
    """The rows of a request for samples that anyone can repeat: `count` pictures of noise to translate, or none where `params` do."""
    if config.inputs is None:
        return []
    images = np.random.default_rng(0).integers(0, 256, (count, *config.inputs), dtype=np.uint8)
    return [{"input": base64.b64encode(encode_png(image)).decode()} for image in images]


set_model(ServedGenerator())
