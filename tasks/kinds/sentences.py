"""Sentences of at most so many words, with labels or without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gan_core.errors import ConfigError
from tasks.kinds.kind import MOST_FEATURES, DataKind, Expected, Written, label_column, with_labels
from tasks.kinds.pixels import refuse_all_alike

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame

    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.generator import GeneratorConfig, Samples
    from gan_core.kinds.sentences import Sentences
    from gan_core.metrics.features import ExtractorKind
    from tasks.inputs import Inputs
    from tasks.params import DataParams, EvaluateParams, ValidateParams
    from tasks.sources.raw import RawReader
    from tasks.validation.inspection import Inspection, OnRow
    from tasks.validation.packing import Good


class SentenceKind(DataKind):
    """Sentences (T,)."""

    keys = frozenset({"text", "length", "words", "layout", "labels", "label", "label_pattern", "group"})
    family = "sentences"
    layouts = ("sentences",)
    chosen_by = "; text:// takes those of a file, layout: sentences those of the texts of a folder, archive or bucket"
    hint = "text:// takes the sentences of it, and layout: sentences those of a folder"
    makes = "sentences"
    called = "sentences"
    shown_as = ".txt"
    kept_as: ClassVar[Mapping[str, str]] = {"txt": "text, one a line", "csv": "CSV"}
    is_read = True
    is_printed = True
    scores = "tasks.scoring.sentences:SentenceScoring"
    deciding = ("ngram_distance",)
    beside = ("detection",)
    fewest = 20

    def is_in(self, data: DataParams) -> bool:
        return data.has_sentences

    def inspect(self, raw: RawReader, data: DataParams, limits: ValidateParams, spool: Path, on_row: OnRow) -> Inspection:
        from tasks.validation.annotated import by_labels
        from tasks.validation.sentences import inspect_sentences

        return inspect_sentences(raw, by_labels(raw, data), data, on_row)

    def expected(self, limits: ValidateParams) -> Sequence[Expected]:
        from gan_core.kinds.text import MAX_CHARACTERS, MAX_WORDS

        return (
            Expected("words", f"1 to {MAX_WORDS} words and marks (data.length)", between=(1, MAX_WORDS)),
            Expected("characters", f"1 to {MAX_CHARACTERS:,} characters", between=(1, MAX_CHARACTERS)),
        )

    def pack(self, folder: Path, good: Good, data: DataParams, raw: RawReader) -> Sentences:
        from gan_core.kinds.sentences import Sentences

        texts = {split: [good.samples[number] for number in numbers] for split, numbers in good.numbers().items()}
        return Sentences.pack(folder, texts, data.length, data.words, good.labels, good.classes)

    def drift_of(self, samples: NDArray[np.int32], spec: Sentences) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.float64]]:
        """How many words each has, and what share of them the vocabulary lacks; and the mean of what its words are, as random numbers that
        a word has in every vocabulary."""
        import numpy as np

        from gan_core.kinds.sentences import lengths
        from gan_core.kinds.text import UNKNOWN

        count = lengths(samples)
        unknown = (samples == UNKNOWN).sum(axis=1) / np.maximum(count, 1)
        codes = np.zeros((len(spec.words), MOST_FEATURES))
        codes[UNKNOWN + 1 :] = [_code(word) for word in spec.vocabulary]
        return {"words": count.astype(np.float64), "unknown": unknown}, codes[samples].sum(axis=1) / np.maximum(count, 1)[:, None]

    def features(self, name: str, spec: DatasetSpec, params: EvaluateParams) -> ExtractorKind | None:
        if params.features != "auto":
            raise ConfigError(f"generators.{name}.evaluate.features: sentences are compared by their words; use auto")
        return None

    def check(self, dataset: Dataset, params: EvaluateParams) -> None:
        super().check(dataset, params)
        refuse_all_alike(dataset, self.called)

    def written(self, samples: Samples, classes: tuple[str, ...] | None, given: Inputs | None) -> Written:
        import numpy as np

        texts = _texts(samples)

        def csv(path: Path) -> None:
            self.answer(samples, classes).to_csv(path, index=False, lineterminator="\n")

        def jsonl(path: Path) -> None:
            self.answer(samples, classes).to_json(path, orient="records", lines=True, force_ascii=False)

        def text(path: Path) -> None:
            path.write_text("".join(f"{one}\n" for one in texts), encoding="utf-8")

        files = {".txt": text, ".csv": csv, ".jsonl": jsonl}
        return Written({"sentences": np.array(texts)}, files, lambda folder: csv(folder / "sentences.csv"))

    def lines(self, samples: Samples) -> Sequence[str]:
        return _texts(samples)

    def answer(self, samples: Samples, classes: tuple[str, ...] | None) -> DataFrame:
        import pandas as pd

        return with_labels(pd.DataFrame({"text": pd.Series(_texts(samples), dtype="str")}), samples, classes)

    def holds(self, spec: Sentences) -> Mapping[str, str]:
        return {
            "samples": "words and marks in order as index among `words`, 0 behind the last",
            "values": "how probable each was behind those before it, 0 behind the end",
        }

    def facts(self, spec: Sentences) -> Mapping[str, Any]:
        return {"words": list(spec.row_words)}

    def answered(self, config: GeneratorConfig) -> Sequence[tuple[str, str]]:
        return [("string", "text"), *label_column(config)]


def _texts(samples: Samples) -> list[str]:
    from gan_core.kinds.sentences import Sentences

    assert samples.data is not None, "a generator's sentences know their words"  # noqa: S101
    return Sentences.of(samples.data).texts(samples.samples)


def _code(word: str) -> NDArray[np.float64]:
    import hashlib

    import numpy as np

    digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
    return np.frombuffer(digest, dtype=np.uint8).astype(np.float64) / 127.5 - 1
