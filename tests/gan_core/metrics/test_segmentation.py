"""Palettes of label maps, and a network that finds their labels in images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_core.data.dataset import Dataset, write_spec
from gan_core.errors import DataError
from gan_core.kinds.pairs import Pairs
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.palette import labels_of, palette_of
from gan_core.metrics.segmentation import SegmentationExtractor

COLOURS = np.array([[0, 0, 170], [255, 85, 0], [0, 170, 255]], dtype=np.uint8)


def label_maps(count: int, side: int = 16, seed: int = 0) -> np.ndarray:
    """Labels (N, H, W): a background with a square of each of the two others."""
    draw = np.random.default_rng(seed)
    labels = np.zeros((count, side, side), dtype=np.int64)
    for one in labels:
        for label in (1, 2):
            top, left = draw.integers(0, side // 2, 2)
            one[top : top + side // 2, left : left + side // 2] = label
    return labels


def pairs(folder: Path, count: int = 24, photos: np.ndarray | None = None) -> Dataset:
    """Photos whose brightness and colour tell the label, with noise, and their label maps."""
    counts = {"train": count, "holdout": 8}
    folder.mkdir()
    for seed, (split, n) in enumerate(counts.items()):
        labels = label_maps(n, seed=seed)
        tones = np.array([[200, 180, 160], [60, 60, 70], [120, 160, 90]])[labels].transpose(0, 3, 1, 2)
        noise = np.random.default_rng(seed).normal(0, 12, tones.shape)
        np.save(folder / f"{split}.npy", (tones + noise).clip(0, 255).astype(np.uint8))
        np.save(folder / f"{split}_inputs.npy", COLOURS[labels].transpose(0, 3, 1, 2) if photos is None else photos[:n])
    write_spec(folder, Pairs((3, 16, 16), counts, inputs=(3, 16, 16)))
    return Dataset.open(folder)


def test_the_palette_survives_resizing_and_compression(tmp_path: Path) -> None:
    labels = label_maps(30, side=64)
    blurred = []
    for index, one in enumerate(labels):
        path = tmp_path / f"{index}.jpg"
        Image.fromarray(COLOURS[one]).resize((48, 48), Image.Resampling.LANCZOS).save(path, quality=90)
        blurred.append(np.asarray(Image.open(path)).transpose(2, 0, 1))
    found = palette_of(np.stack(blurred))
    nearest = np.abs(found[:, None].astype(int) - COLOURS).max(axis=2)
    assert len(found) == 3
    assert sorted(nearest.argmin(axis=1)) == [0, 1, 2]
    assert nearest.min(axis=1).max() <= 8
    assert nearest.argmin(axis=1)[0] == 0  # the background is the most frequent


def test_each_pixel_has_the_label_of_the_nearest_colour() -> None:
    labels = label_maps(3)
    noise = np.random.default_rng(0).integers(-30, 31, (3, 3, 16, 16))
    maps = (COLOURS[labels].transpose(0, 3, 1, 2) + noise).clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(labels_of(maps, COLOURS), labels)


def test_a_fitted_network_finds_labels_it_was_not_shown_and_comes_back_from_disk(tmp_path: Path) -> None:
    dataset = pairs(tmp_path / "ready")
    fitted = SegmentationExtractor.fit(dataset, seed=0).save(tmp_path / "features")
    again = FeatureExtractor.load(tmp_path / "features")
    assert isinstance(again, SegmentationExtractor)
    assert again.hash == fitted.hash
    assert again.fits(dataset.spec)
    images, maps = dataset.samples["holdout"], dataset.inputs["holdout"]
    accuracies = again.accuracies(images, maps)
    assert accuracies.mean() > 0.9
    assert fitted.config.holdout_accuracy == pytest.approx(accuracies.mean(), abs=1e-6)
    assert again.accuracies(images[::-1], maps).mean() < accuracies.mean() - 0.2  # photos of other maps
    np.testing.assert_array_equal(again.features(images), fitted.features(images))
    assert again.features(images).shape == (8, 128)


def test_photos_as_inputs_without_two_plain_areas_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)
    with pytest.raises(DataError, match="the inputs are no label maps"):
        SegmentationExtractor.fit(pairs(tmp_path / "ready", photos=noise))
