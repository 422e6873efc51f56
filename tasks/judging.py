"""A generator's scores on held-out data, whatever kind of data it makes."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gan_core.data.dataset import Dataset
from gan_core.errors import TrainingError
from gan_core.generator import Generator
from gan_core.metrics.features import FeatureExtractor
from tasks import kinds
from tasks.params import EvaluateParams
from tasks.scoring.scoring import Evidence, rounded


def gather(generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> Evidence:
    """What `generator` makes, beside the held-out data of `dataset`.

    Args:
        generator: of samples like those in `dataset`.
        extractor: frozen features, where the kind of data is compared by features.
        params: how many samples, and their seed: the same for all generators that are compared.

    Raises:
        DataError: the held-out data is too little, or nothing can be told from it.
        TrainingError: the generator's weights or samples are not finite, or it draws the same sample each time.
    """
    if not all(value.isfinite().all() for value in generator.network.state_dict().values()):
        raise TrainingError("the generator's weights are not finite: its training diverged; train it again with other settings")
    kind = kinds.of(dataset.spec.kind)
    kind.check(dataset, params)
    return kind.scoring.gather(generator, dataset, extractor, params)


def score(generator: Generator, dataset: Dataset, extractor: FeatureExtractor | None, params: EvaluateParams) -> dict[str, float]:
    """A generator's scores on held-out data: a function of the arguments of `gather`, rounded to six significant digits.

    Raises:
        DataError, TrainingError: as `gather`; TrainingError also where a score is not finite.
    """
    return scores_of(gather(generator, dataset, extractor, params))


def scores_of(evidence: Evidence) -> dict[str, float]:
    """All scores of what was gathered, rounded to six significant digits.

    Raises:
        TrainingError: one of them is not finite.
    """
    scores = evidence.scores()
    for key, value in scores.items():
        if not math.isfinite(value):
            raise TrainingError(f"{key}: the score is {value}; the generator cannot be judged, train it again with other settings")
    return {key: rounded(value) for key, value in scores.items()}


def undecided(evidence: Evidence, scores: Iterable[str]) -> dict[str, str]:
    """Those of the scores by which no two generators can be told apart on so few samples, and why."""
    reasons = {metric: evidence.undecided(metric) for metric in scores}
    return {metric: reason for metric, reason in reasons.items() if reason is not None}
