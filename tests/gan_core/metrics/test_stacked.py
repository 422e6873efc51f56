"""Stacks of images: each channel is seen by itself, and a stack's class is that of its channels together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError
from gan_core.kinds.images import Images
from gan_core.metrics.features import WIDTH, FeatureExtractor
from gan_core.metrics.stacked import StackedExtractor, unstacked


@pytest.fixture(scope="module")
def stacks() -> Dataset:
    """Stacks of dark and bright 8 x 8 pictures, class 0 and 1, with noise."""
    draw = np.random.default_rng(0)
    samples, labels = {}, {}
    for split, count in (("train", 200), ("holdout", 40)):
        classes = draw.integers(0, 2, (count, 3))
        noise = draw.integers(0, 60, (count, 3, 8, 8))
        samples[split] = (noise + 180 * classes[:, :, None, None]).astype(np.uint8)
        labels[split] = classes @ np.array([4, 2, 1])
    names = tuple(f"{a}+{b}+{c}" for a in "01" for b in "01" for c in "01")
    spec = Images((3, 8, 8), {"train": 200, "holdout": 40}, names, stacked=("0", "1"))
    return Dataset(spec, samples, labels)


@pytest.fixture(scope="module")
def extractor(stacks: Dataset) -> StackedExtractor:
    return StackedExtractor.fit(unstacked(stacks))


def test_a_stack_has_the_class_of_its_channels_together(stacks: Dataset, extractor: StackedExtractor) -> None:
    assert extractor.config.holdout_accuracy == 1.0
    np.testing.assert_array_equal(extractor.predict(stacks.samples["holdout"]), stacks.labels["holdout"])


def test_features_are_those_of_the_channels_side_by_side(stacks: Dataset, extractor: StackedExtractor) -> None:
    some = stacks.samples["holdout"][:5]
    found = extractor.features(some)
    assert found.shape == (5, 3 * WIDTH)
    for channel in range(3):
        alone = extractor.features(some[:, channel : channel + 1])
        np.testing.assert_allclose(found[:, channel * WIDTH : (channel + 1) * WIDTH], alone, rtol=1e-5, atol=1e-5)


def test_kept_and_loaded(stacks: Dataset, extractor: StackedExtractor, tmp_path: Path) -> None:
    extractor.save(tmp_path / "features")
    loaded = FeatureExtractor.load(tmp_path / "features")
    assert isinstance(loaded, StackedExtractor)
    assert loaded.fits(unstacked(stacks).spec)
    np.testing.assert_array_equal(loaded.features(stacks.samples["holdout"]), extractor.features(stacks.samples["holdout"]))


def test_other_sizes_are_refused(extractor: StackedExtractor) -> None:
    with pytest.raises(DataError, match="features: expected"):
        extractor.features(np.zeros((2, 3, 9, 9), dtype=np.uint8))
