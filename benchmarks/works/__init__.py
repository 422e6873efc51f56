"""The works: each is a function from a context to a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.environment import Context
from benchmarks.results import Result
from benchmarks.works import evaluation, former, growth, kinds, memory, packing, pipeline, quality, serving, training

WORKS: Mapping[str, Callable[[Context], Result]] = {
    **training.WORKS,
    "kinds": kinds.run,
    "former": former.run,
    "quality": quality.run,
    "evaluate": evaluation.run,
    "packing": packing.run,
    "memory": memory.run,
    "pipeline": pipeline.run,
    "growth": growth.run,
    "serving": serving.run,
}
