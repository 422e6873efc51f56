"""What scores the snapshots of a training, where the best of them is to be shipped (`train.select: best`).

By the metric that decides between two versions, on the part of the data that `data.selection` keeps for it: what is held out is the
gate's, and is not looked at here. Like all of a training it is a function of the data and the `train` section, so neither the features
nor the samples are those that `evaluate` judges with: the features are fitted in the training, and there are as few samples as keep
scoring a small part of it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from gan_core.data.dataset import Dataset
from gan_core.device import choose_device
from gan_core.errors import DataError, TrainingError
from gan_core.generator import Generator
from gan_core.metrics.features import FeatureExtractor, extractor_of
from gan_core.selection import Score, Scorer
from tasks import kinds
from tasks.judging import gather, scores_of, undecided
from tasks.metrics import BETTER, LOWER
from tasks.params import EvaluateParams
from tasks.scoring.scoring import rounded

_SEED = 2**31 - 1  # apart from those that the gate draws with by default, or latents that it likes would be chosen
_SAMPLES, _SHARE = (500, 10_000), 250  # of the budget, this part is drawn for each snapshot, within these bounds


def scorer(name: str, dataset: Dataset, folder: Path, budget: int) -> Scorer:
    """What scores the snapshots of the training of `name`.

    Args:
        dataset: with a part for selection.
        folder: keeps the features, once they are fitted, for a training that goes on.
        budget: of the training, in images.

    Raises:
        DataError: the data has no such part.
    """
    data, kind = dataset.selecting, kinds.of(dataset.spec.kind)
    params = EvaluateParams(seed=_SEED, samples=min(max(budget // _SHARE, _SAMPLES[0]), _SAMPLES[1]))
    extractor = _extractor(name, data, folder, params)
    metric = kind.deciding[0] if len(kind.deciding) == 1 else None

    def score(generator: Generator) -> Score | None:
        nonlocal metric
        try:
            evidence = gather(generator, data, extractor, params)
            if metric is None:
                measured = scores_of(evidence)
                metric = kind.default_metric(measured, undecided(evidence, measured))
            value = rounded(evidence.unbiased(metric, *evidence.draws(1, _SEED)))
        except TrainingError:  # nothing can be told of what draws one sample alone; the next snapshot may be better
            return None
        return Score(metric, value, BETTER[metric] == LOWER)

    return score


def _extractor(name: str, data: Dataset, folder: Path, params: EvaluateParams) -> FeatureExtractor | None:
    kind = kinds.of(data.spec.kind)
    features = kind.features(name, data.spec, params)
    if features is None:
        return None
    with suppress(DataError):  # there is none yet, or a crash has damaged it
        return FeatureExtractor.load(folder)
    return kind.scoring.fit(extractor_of(features), data, params.features_seed, choose_device("auto")).to("cpu").save(folder)
