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
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig, Samples, class_index, classes_of
from tasks.inputs import read_input
from tasks.samples import encode_png, is_images, table_frame

MAX_COUNT = 10_000  # of one request, so that none can fill the server's memory
DEFAULTS: dict[str, Any] = {"n": 16, "seed": 0, "label": "", "prompt": "", "truncation": 0.0, "walk": False}


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
            model_input: rows with a `label` or `prompt` ask for one sample each, rows with an `input` for the translation of each. A frame
                without these columns asks for `params`.
            params: `n` (1 to 10,000, default 16), `seed` (default 0), `label` (one class for all, by name, or by index where no name is a
                number; default "": none), `prompt` (one text for all; default "": none), `truncation` (bound on the latents; default 0:
                none) and `walk` (from one sample to the next, step by step; default false).

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE (400 over HTTP) for a count, seed, label, prompt, truncation or picture that is not
                allowed.
        """
        asked = DEFAULTS | (params or {})
        try:
            inputs = self._inputs_of(model_input)
            drawn = self._draw(model_input, asked) if inputs is None else self.generator.translate(inputs)
        except ConfigError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        if drawn.schema is not None:
            return table_frame(drawn, self.generator.config.classes)
        if is_images(drawn):
            answer = pd.DataFrame({"png": [base64.b64encode(encode_png(image)).decode() for image in drawn.samples]})
        else:
            answer = pd.DataFrame({f"x{column}": values for column, values in enumerate(drawn.samples.T)})
        classes = self.generator.config.classes
        if drawn.labels is not None and classes is not None:
            answer["label"] = [classes[index] for index in drawn.labels]
        if drawn.prompts is not None:
            answer["prompt"] = drawn.prompts
            answer["unknown_words"] = [" ".join(self.generator.unknown_words([prompt])) for prompt in drawn.prompts]
        return answer

    def _draw(self, rows: pd.DataFrame, asked: dict[str, Any]) -> Samples:
        labels, prompts = self._labels_of(rows), _prompts_of(rows)
        n = len(labels) if labels is not None else len(prompts) if prompts is not None else int(asked["n"])
        if not 1 <= n <= MAX_COUNT:
            raise ConfigError(f"n: {n} is not in 1 to {MAX_COUNT:,}")
        label = None if labels is not None or asked["label"] == "" else str(asked["label"])
        if prompts is None and asked["prompt"] != "":
            prompts = [str(asked["prompt"])]
        return self.generator.sample(
            n, int(asked["seed"]), label, labels, prompts, truncation=float(asked["truncation"]) or None, walk=bool(asked["walk"])
        )

    def _inputs_of(self, rows: pd.DataFrame) -> NDArray[np.uint8] | None:
        """Pictures (N, C, H, W) to translate; None for a generator that draws from latents."""
        shape = self.generator.config.inputs
        if shape is None:
            if isinstance(rows, pd.DataFrame) and "input" in rows and rows["input"].notna().any():
                raise ConfigError("input: this generator draws samples and is given no pictures; leave the column out")
            return None
        if not isinstance(rows, pd.DataFrame) or "input" not in rows or not len(rows):
            raise ConfigError("input: this generator translates pictures; give each row one, its file in base64")
        if len(rows) > MAX_COUNT:
            raise ConfigError(f"input: {len(rows)} pictures are more than {MAX_COUNT:,}")
        images = []
        for index, text in enumerate(rows["input"]):
            try:
                data = base64.b64decode(text, validate=True)
            except (ValueError, TypeError):
                raise ConfigError(f"input: row {index} holds no base64") from None
            images.append(read_input(data, shape, f"input: row {index}"))
        return np.stack(images)

    def _labels_of(self, rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        if not isinstance(rows, pd.DataFrame) or "label" not in rows or rows["label"].isna().all():
            return None
        if rows["label"].isna().any():
            raise ConfigError("label: some rows have one and some have none; give each row a label, or none")
        classes = classes_of(self.generator.config)
        return np.array([class_index(str(label), classes) for label in rows["label"]], dtype=np.int64)


def asked_by(config: GeneratorConfig) -> str:
    """The column of a row that asks for one sample."""
    return "input" if config.inputs is not None else "prompt" if config.vocabulary is not None else "label"


def _prompts_of(rows: pd.DataFrame) -> list[str] | None:
    if not isinstance(rows, pd.DataFrame) or "prompt" not in rows or rows["prompt"].isna().all():
        return None
    if rows["prompt"].isna().any():
        raise ConfigError("prompt: some rows have one and some have none; give each row a prompt, or none")
    return [str(prompt) for prompt in rows["prompt"]]


def rows_that_ask(config: GeneratorConfig, count: int) -> list[dict[str, Any]]:
    """The rows of a request for samples that anyone can repeat: `count` pictures of noise to translate, or none where `params` do."""
    if config.inputs is None:
        return []
    images = np.random.default_rng(0).integers(0, 256, (count, *config.inputs), dtype=np.uint8)
    return [{"input": base64.b64encode(encode_png(image)).decode()} for image in images]


set_model(ServedGenerator())
