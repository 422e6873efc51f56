"""Sentences against held-out ones, by their words.

ngram_distance: how far the distribution of the most frequent n-grams is from the held-out one (`gan_core.metrics.ngrams.NgramDistance`).

detection: how well a linear classifier of word n-grams tells generated sentences from real ones: the area under the ROC curve, 0.5 where it
cannot. It is fitted twice, each time on training sentences and half of the generated ones, and tested on held-out sentences and the other
half.

bleu, self_bleu: BLEU-4 of the generated sentences with all held-out ones as references, and of each beside all other generated ones.

Also there, under real_against_real, is what a perfect generator would get: training sentences in the place of generated ones, and for
detection one half of them in the place of the training sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core import pictures
from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator
from gan_core.kinds.sentences import Sentences
from gan_core.metrics.bootstrap import Draws
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.ngrams import Bleu, Common, NgramDistance, Tokens, near_copies
from gan_core.metrics.rows import area
from tasks.params import EvaluateParams
from tasks.scoring.copies import COMPARED, PAIRS, Copies
from tasks.scoring.scoring import Evidence, Scoring, chosen, rounded

_BESIDE_EACH_OTHER = 1_000
"""Sentences, at most, of which each is compared with all others."""
_COUNTED = 100_000
"""Training sentences, at most, whose n-grams are counted."""
_SHOWN = 24
_FOLDS = 2


class SentenceEvidence(Evidence):
    """Generated and held-out sentences (N, T), in tokens of one vocabulary."""

    def __init__(self, common: Common, real: Tokens, generated: Tokens, train: Tokens) -> None:
        """`train` are the training sentences that a classifier learns from."""
        self.real, self.generated, self.train = real, generated, train
        self.n_real, self.n_generated = len(real), len(generated)
        self._words = common.words
        self._distance = NgramDistance(real, generated, common)

    def scores(self) -> dict[str, float]:
        everything = np.arange(self.n_real), np.arange(self.n_generated)
        return {metric: self.resampled(metric, *everything) for metric in ("ngram_distance", "detection", "bleu", "self_bleu")}

    def resampled(self, metric: str, real: NDArray[np.int64], generated: NDArray[np.int64]) -> float:
        """Of self_bleu the sentences that a resample draws again are left out: each would be found in its like."""
        if metric == "ngram_distance":
            return self._distance.of(real, generated)
        if metric == "detection":
            return self._detected[0]
        if metric == "bleu":
            return self._bleu.of(real, generated)
        some = np.unique(generated[generated < _most_compared(self.n_real, self.n_generated)])
        return Bleu(self.generated[some], self.generated[some], self._words).of_itself()

    def replicates(self, metric: str, real: Draws, generated: Draws) -> NDArray[np.float64]:
        """Of what a classifier says, what it is tested on is drawn anew, and the classifier stays as it is."""
        if metric == "ngram_distance":
            return self._distance.replicates(real, generated)
        if metric == "detection":
            found, of_real, of_generated = self._detected
            return found + real.shifts(of_real) + generated.shifts(of_generated)
        return super().replicates(metric, real, generated)

    def unbiased(self, metric: str, real: Draws, generated: Draws) -> float:
        """Few sentences have fewer n-grams than their distribution, and seem further from others; the less so the less they vary.

        What resampling adds is about what sampling has added (Efron, 1979).
        """
        found = super().unbiased(metric, real, generated)
        return 2 * found - float(self.replicates(metric, real, generated).mean()) if metric == "ngram_distance" else found

    def details(self) -> dict[str, Any]:
        return {
            "ngram_distances": [rounded(value) for value in self._distance.each()],
            "different_sentences": rounded(len(np.unique(self.generated, axis=0)) / self.n_generated),
        }

    @cached_property
    def _bleu(self) -> Bleu:
        return Bleu(self.generated, self.real, self._words)

    @cached_property
    def _detected(self) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """The area, and what each held-out (N,) and each generated sentence (M,) weighs in it; of mean 0."""
        fold = np.arange(self.n_generated) % _FOLDS
        areas, of_real, of_generated = [], np.zeros(self.n_real), np.zeros(self.n_generated)
        for number in range(_FOLDS):
            test = fold == number
            judge = _Judge(self.train, self.generated[~test])
            found, weights, weights_of_real = area(judge(self.generated[test]), judge(self.real))
            areas.append(found)
            of_real += weights_of_real / _FOLDS
            of_generated[test] = weights * self.n_generated / test.sum() / _FOLDS
        return float(np.mean(areas)), of_real, of_generated


class _Judge:
    """Logistic regression on n-grams of up to three words, weighted by how rare they are: how surely sentences (N, T) are generated."""

    def __init__(self, real: Tokens, generated: Tokens) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        features = TfidfVectorizer(analyzer=_up_to_three, sublinear_tf=True, min_df=2, dtype=np.float64)
        self._model = make_pipeline(features, LogisticRegression(C=10.0, max_iter=300, class_weight="balanced"))
        self._model.fit([*real, *generated], np.repeat([0, 1], [len(real), len(generated)]))

    def __call__(self, sentences: Tokens) -> NDArray[np.float64]:
        found: NDArray[np.float64] = self._model.decision_function([*sentences])
        return found


def _up_to_three(sentence: NDArray[np.int32]) -> list[bytes]:
    """The n-grams of a sentence (T,), with its beginning and its end."""
    words = np.concatenate([[-1], sentence[sentence != 0], [0]]).astype(np.int32)
    return [words[start : start + order].tobytes() for order in (1, 2, 3) for start in range(len(words) - order + 1)]


@dataclass(frozen=True)
class SentenceCopies(Copies):
    """Near-copies: equal to a training sentence but for one word at most."""

    whole_share: float = 0.0
    """Of exact copies among the generated ones, 0 to 1."""

    def as_record(self) -> dict[str, Any]:
        found = {key: value for key, value in super().as_record().items() if key != "closer_than"}
        return {**found, "whole": rounded(self.whole_share), "means": "they are training sentences, but for one word at most"}


class SentenceScoring(Scoring):
    """On at most `evaluate.samples` held-out and as many generated sentences."""

    def gather(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> SentenceEvidence:
        """The labels asked for are those of training sentences, in the same shares."""
        count, labels = params.samples, dataset.labels.get("train")
        asked = None
        if labels is not None and generator.config.classes is not None:
            asked = np.resize(labels[chosen(dataset, "train", count, params.seed)], count).astype(np.int64)
        generated = _drawn(generator, dataset, count, params.seed, asked)
        if (generated == generated[0]).all():
            raise TrainingError("the generator draws the same sentence each time: it has collapsed; train it again with other settings")
        return self._evidence(dataset, generated, _train(dataset, params), params)

    def real_against_real(self, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
        train = _train(dataset, params)
        evidence = self._evidence(dataset, train, train, params)
        halves = self._evidence(dataset, train[1::2], train[::2], params)
        scores = {metric: evidence.score(metric) for metric in ("ngram_distance", "bleu", "self_bleu")}
        return {"n_train": len(train), **scores, "detection": halves.score("detection")}

    def copies(
        self, generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams
    ) -> tuple[Copies, NDArray[np.uint8]]:
        spec, train = Sentences.of(dataset.spec), np.array(dataset.samples["train"])
        held_out = np.array(dataset.samples["holdout"][chosen(dataset, "holdout", min(COMPARED, params.samples), params.seed)])
        generated = _drawn(generator, dataset, min(COMPARED, params.samples), params.seed)
        nearest = near_copies(generated, train)
        of = np.flatnonzero(nearest >= 0)
        whole = (generated[of] == train[nearest[of]]).all(axis=1)
        _, counts = np.unique(train, axis=0, return_counts=True)
        pairs = [(int(index), int(nearest[index])) for index in (*of[whole], *of[~whole])][:PAIRS]
        found = SentenceCopies(
            generated_share=len(of) / len(generated),
            held_out_share=float((near_copies(held_out, train) >= 0).mean()),
            compared=len(generated),
            held_out=len(held_out),
            pairs=tuple(pairs),
            repeated=(int(counts[counts > 1].sum()), len(train)),
            whole_share=float(whole.sum()) / len(generated),
        )
        told = [f"{one}   <-   {other}" for one, other in zip(*_texts_of(spec, generated, train, pairs), strict=True)]
        return found, pictures.lines(told or ["no generated sentence is a near-copy of a training sentence"])

    def grids(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, NDArray[np.uint8]]:
        return {name: pictures.lines(texts) for name, texts in self.read(generator, dataset, seed).items()}

    def read(self, generator: Generator, dataset: Dataset, seed: int) -> Mapping[str, Sequence[str]]:
        """Sentences of the generator, and held-out ones."""
        spec = Sentences.of(dataset.spec)
        held_out = dataset.samples["holdout"][chosen(dataset, "holdout", _SHOWN, seed)]
        own = Sentences.of(generator.config.data)
        return {"generated": own.texts(generator.sample(_SHOWN, seed=seed).samples), "real": spec.texts(np.array(held_out))}

    def _evidence(self, dataset: Dataset, generated: Tokens, train: Tokens, params: EvaluateParams) -> SentenceEvidence:
        held_out = np.array(dataset.samples["holdout"][chosen(dataset, "holdout", params.samples, params.seed)])
        counted = np.array(dataset.samples["train"][:_COUNTED])
        return SentenceEvidence(Common.of(counted, len(Sentences.of(dataset.spec).words)), held_out, generated, train)


def _train(dataset: Dataset, params: EvaluateParams) -> Tokens:
    """Training sentences that real ones are seen by."""
    return np.array(dataset.samples["train"][chosen(dataset, "train", params.samples, params.seed)])


def _drawn(generator: Generator, dataset: Dataset, count: int, seed: int, labels: NDArray[np.int64] | None = None) -> Tokens:
    """Of a generator whose vocabulary may be another one: in the tokens of the data."""
    drawn = generator.sample(count, seed=seed, labels=labels).samples
    return Sentences.of(dataset.spec).encoded(Sentences.of(generator.config.data), drawn)


def _most_compared(real: int, generated: int) -> int:
    return min(real, generated, _BESIDE_EACH_OTHER)


def _texts_of(spec: Sentences, generated: Tokens, train: Tokens, pairs: Sequence[tuple[int, int]]) -> tuple[list[str], list[str]]:
    drawn, copied = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    return spec.texts(generated[drawn]), spec.texts(train[copied])
