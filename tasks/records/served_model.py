"""A registered generator as MLflow serves it.

MLflow keeps a copy of this file beside the weights and runs it when a version is loaded ("models from code"), so nothing is
pickled; it needs Gantry installed. Asked with `params`, it draws `n` samples; asked with rows that have a `label` (or a `prompt`, where
it draws what a text says), one for each row. One that translates is asked with rows that have an `input`, a picture's file in base64, and
makes one of each; where it translates by label, `label` says to which, in `params` or the same in each row:

    curl 127.0.0.1:5000/invocations -H 'Content-Type: application/json' \\
        -d '{"dataframe_records": [{}], "params": {"n": 4, "seed": 7, "label": "3"}}'

The answer is a list of records: `png`, the image as a base64 PNG (`tif`, a TIFF, where a PNG would lose something of it), or the columns
`x0`, `x1`, ... of a point; and `label`, the name of its class or its number, if any; or `prompt`, what it was asked for, and
`unknown_words`, those of it that it was never shown. Rows of a table have its columns, the label's among them.

A key that is not known is refused, except in `params`: of those, MLflow drops what the signature does not have before the model is asked.
"""

from __future__ import annotations

import base64
import logging
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.pixels import Pixels
from gan_core.kinds.predictions import Predictions
from tasks import kinds
from tasks.clips import encode_beginning
from tasks.samples import encode_png, encoded_as
from tasks.serving.answers import frame_of
from tasks.serving.asked import Asked, plain

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
            params: `n` (1 to 10,000, default 16), `seed` (default 0), `label` (of all: a class by name, or by index where no name is a
                number; or a number; default "": none), `prompt` (one text for all; default "": none), `truncation` (bound on the latents;
                default 0: none) and `walk` (from one sample to the next, step by step; default false).

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE (400 over HTTP) for a key that is not known, or a count, seed, label, prompt,
                truncation or picture that is not allowed.
        """
        try:
            asked = _asked(model_input, params or {}, kinds.of(self.generator.config.kind).ask)
            (drawn,) = self.generator.draw([asked.order(self.generator)])
        except ConfigError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        except Exception as error:
            # MLflow would answer with the stack trace, and so with the server's paths.
            _log.exception("a request failed")
            raise MlflowException(f"the generator failed ({type(error).__name__}); the server's log has more", INTERNAL_ERROR) from None
        return frame_of(self.generator, drawn)


def _asked(model_input: Any, params: dict[str, Any], ask: str) -> Asked:
    """What is asked, in any form that MLflow hands on."""
    rows = _rows(model_input, ask)
    if not rows.columns.is_unique:
        raise ConfigError(f"{rows.columns[rows.columns.duplicated()][0]}: stands twice in a row")
    return Asked.of({str(key): rows[key].tolist() for key in rows.columns}, len(rows), params, ask)


def _rows(model_input: Any, ask: str) -> pd.DataFrame:
    """The rows of a request, from any form that MLflow hands on."""
    try:
        if isinstance(model_input, pd.DataFrame):
            return model_input
        if isinstance(model_input, dict):
            columns = {key: plain(value) for key, value in model_input.items()}
            return pd.DataFrame(columns if any(isinstance(value, list) for value in columns.values()) else [columns])
        items = plain(model_input)
        if items is None:
            return pd.DataFrame()
        if isinstance(items, list) and all(isinstance(item, dict) for item in items):
            return pd.DataFrame([{key: plain(value) for key, value in item.items()} for item in items])
        if isinstance(items, list) and all(isinstance(item, str | int | float) for item in items):
            return pd.DataFrame({ask: items})
    except ValueError as error:
        raise ConfigError(f"the columns do not make rows ({error})") from None
    raise ConfigError(f'inputs: are no rows; write them as [{{"{ask}": ...}}], or [] and what is asked in params')


def rows_that_ask(config: GeneratorConfig, count: int) -> list[dict[str, Any]]:
    """The rows of a request for samples that anyone can repeat: `count` pictures of noise to translate, or none where `params` do."""
    if config.inputs is None:
        return []
    images = Pixels.of(config.data).noise((count, *config.inputs), seed=0)
    also = {} if config.targets is None else {"label": str(config.targets.named(config.targets.usual))}
    return [{"input": base64.b64encode(_as_file(image, config.data)).decode(), **also} for image in images]


def _as_file(image: NDArray[Any], data: DatasetSpec) -> bytes:
    """What a generator is given, an image (C, H, W) or the beginning of a clip, as a file that any server reads."""
    if isinstance(data, Predictions):
        return encode_beginning(image, data)
    if encoded_as(image) == "png":
        return encode_png(image)
    file = BytesIO()
    np.save(file, image.transpose(1, 2, 0), allow_pickle=False)
    return file.getvalue()


set_model(ServedGenerator())
