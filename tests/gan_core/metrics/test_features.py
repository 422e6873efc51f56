"""Feature extractors on real digits: what they learn, what they see, and what they refuse to load."""

from __future__ import annotations

import dataclasses
import gzip
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from torch import nn

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError, TrainingError
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.metrics import features as module
from gan_core.metrics.features import WIDTH, ClassifierExtractor, FeatureExtractor, RandomConvExtractor
from gan_core.metrics.frechet import FeatureStatistics, frechet_distance


def dataset(train: NDArray[np.uint8], labels: NDArray[np.int64] | None, holdout: int) -> Dataset:
    """The last `holdout` images held out."""
    samples = {"train": train[:-holdout], "holdout": train[-holdout:]}
    classes = None if labels is None else tuple(str(i) for i in range(labels.max() + 1))
    spec = Images(train.shape[1:], {split: len(images) for split, images in samples.items()}, classes)
    return Dataset(spec, samples, {} if labels is None else {"train": labels[:-holdout], "holdout": labels[-holdout:]})


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """scikit-learn's handwritten digits, 8 x 8."""
    loaded = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.images))
    images = (loaded.images[order, None] * 255 / 16).round().astype(np.uint8)
    return dataset(images, loaded.target[order].astype(np.int64), holdout=180)


@pytest.fixture(scope="session")
def classifier(digits: Dataset) -> ClassifierExtractor:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    fitted = ClassifierExtractor.fit(digits)
    torch.set_num_threads(before)
    return fitted


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of a few steps, for what does not depend on their quality."""
    monkeypatch.setattr(module, "_EPOCHS", 1)
    monkeypatch.setattr(module, "_FEWEST", 200)


class TestClassifier:
    def test_knows_the_digits(self, classifier: ClassifierExtractor, digits: Dataset) -> None:
        right = classifier.predict(digits.samples["holdout"]) == digits.labels["holdout"]
        assert right.mean() >= 0.97
        assert classifier.config.holdout_accuracy == pytest.approx(right.mean(), abs=1e-6)

    def test_knows_mnist(self, gantry_data: Path) -> None:
        raw = gantry_data / "MNIST" / "raw"
        with gzip.open(raw / "train-images-idx3-ubyte.gz") as images, gzip.open(raw / "train-labels-idx1-ubyte.gz") as labels:
            pixels = np.frombuffer(images.read(16 + 784 * 3_000), np.uint8, offset=16).reshape(-1, 1, 28, 28)
            classes = np.frombuffer(labels.read(8 + 3_000), np.uint8, offset=8).astype(np.int64)
        fitted = ClassifierExtractor.fit(dataset(pixels, classes, holdout=1_000))
        assert fitted.config.holdout_accuracy is not None
        assert fitted.config.holdout_accuracy >= 0.95  # from 2,000 images; all 60,000 give 0.99

    @pytest.mark.parametrize("augmented", [False, True])
    def test_is_a_function_of_data_and_seed(self, digits: Dataset, quick: None, augmented: bool) -> None:
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = ClassifierExtractor.fit(digits, seed=3, augmented=augmented)
        assert torch.equal(torch.get_rng_state(), state), "the global random state is the caller's"
        torch.manual_seed(2)
        assert ClassifierExtractor.fit(digits, seed=3, augmented=augmented).hash == first.hash
        assert ClassifierExtractor.fit(digits, seed=4, augmented=augmented).hash != first.hash
        assert ClassifierExtractor.fit(digits, seed=3, augmented=not augmented).hash != first.hash

    def test_logits_come_from_the_features(self, classifier: ClassifierExtractor, digits: Dataset) -> None:
        images = digits.samples["holdout"]
        features = classifier.features(images)
        head = classifier.network.head
        assert head is not None
        expected = features @ head.weight.numpy().T + head.bias.numpy()
        np.testing.assert_allclose(classifier.logits(features), expected, rtol=1e-4, atol=1e-4)
        assert (classifier.classify(features) == classifier.predict(images)).all()

    def test_fits_only_its_own_images_and_classes(self, classifier: ClassifierExtractor, digits: Dataset) -> None:
        spec = digits.spec
        assert classifier.fits(spec)
        assert not classifier.fits(dataclasses.replace(spec, shape=(1, 16, 16)))
        assert not classifier.fits(dataclasses.replace(spec, classes=tuple("abcdefghij")))
        assert not classifier.fits(dataclasses.replace(spec, classes=None))

    def test_needs_two_classes(self, digits: Dataset) -> None:
        with pytest.raises(DataError, match="at least two classes"):
            ClassifierExtractor.fit(dataset(digits.samples["train"], None, holdout=10))
        with pytest.raises(DataError, match="at least two classes"):
            ClassifierExtractor.fit(dataset(digits.samples["train"], np.zeros(len(digits.samples["train"]), dtype=np.int64), holdout=10))

    def test_divergence_is_said(self, digits: Dataset, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_LEARNING_RATE", 1e38)
        with pytest.raises(TrainingError, match="loss is not finite"):
            ClassifierExtractor.fit(digits)


class TestRandom:
    def test_is_a_function_of_data_and_seed(self, digits: Dataset) -> None:
        first = RandomConvExtractor.fit(digits, seed=3)
        assert RandomConvExtractor.fit(digits, seed=3).hash == first.hash
        assert RandomConvExtractor.fit(digits, seed=4).hash != first.hash
        assert first.config.seed == 3
        assert first.config.classes is None

    def test_activations_of_the_training_images_have_mean_0_and_deviation_1(self, digits: Dataset) -> None:
        extractor = RandomConvExtractor.fit(digits)
        seen: list[torch.Tensor] = []
        for layer in extractor.network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_hook(lambda layer, inputs, output: seen.append(output))
        images = digits.samples["train"][:500]
        with torch.inference_mode():
            plain = extractor.network.features(extractor.prepared(torch.from_numpy(np.array(images)))).numpy()
        assert len(seen) >= 3
        for output in seen:
            assert output.mean().abs() < 0.05
            assert output.std() == pytest.approx(1, abs=0.1)
        # Without the normalisations, which are folded into the convolutions then.
        np.testing.assert_allclose(extractor.features(images), plain, rtol=1e-5, atol=1e-5)

    def test_needs_images(self) -> None:
        points = np.zeros((5, 2), dtype=np.float32)
        spec = Points((2,), {"train": 5, "holdout": 5})
        with pytest.raises(DataError, match="needs images"):
            RandomConvExtractor.fit(Dataset(spec, {"train": points, "holdout": points}, {}))


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 8, 8), (3, 9, 9), (1, 28, 28), (3, 32, 32), (3, 60, 100), (3, 64, 64), (1, 128, 128)])
@pytest.mark.parametrize("kind", [ClassifierExtractor, RandomConvExtractor])
def test_takes_images_of_any_size(
    kind: type[ClassifierExtractor | RandomConvExtractor], shape: tuple[int, int, int], quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FEWEST", 40)
    images = np.random.default_rng(0).integers(0, 256, (30, *shape), dtype=np.uint8)
    features = kind.fit(dataset(images, np.arange(30) % 3, holdout=10)).features(images)
    assert features.shape == (30, WIDTH)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert (features.std(axis=0) > 0).mean() > 0.5


@pytest.fixture(params=["classifier", "random"])
def extractor(request: pytest.FixtureRequest, classifier: ClassifierExtractor, digits: Dataset) -> FeatureExtractor:
    return classifier if request.param == "classifier" else RandomConvExtractor.fit(digits)


class TestBoth:
    def test_worse_images_are_farther(self, extractor: FeatureExtractor, digits: Dataset) -> None:
        real = FeatureStatistics.of(extractor.features(digits.samples["holdout"]))
        images, labels = digits.samples["train"], digits.labels["train"]

        def distance(changed: NDArray[np.uint8]) -> float:
            return frechet_distance(real, FeatureStatistics.of(extractor.features(changed)))

        floor = distance(images)
        draw = np.random.default_rng(0)
        noisy = [distance(np.clip(images + draw.normal(0, s, images.shape), 0, 255).astype(np.uint8)) for s in (40, 80, 160)]
        blurred = [distance(gaussian_filter(images, (0, 0, s, s))) for s in (0.6, 1.0, 2.0)]
        missing = [distance(images[labels < 10 - n]) for n in (2, 4, 8)]
        repeated = [distance(images[draw.integers(0, n, len(images))]) for n in (100, 20, 4)]
        for worse in (noisy, blurred, missing, repeated):
            assert [floor, *worse] == sorted([floor, *worse])

    def test_does_not_depend_on_batches_or_autocast(
        self, extractor: FeatureExtractor, digits: Dataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = digits.samples["holdout"]
        features = extractor.features(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (extractor.features(images) == features).all()
        monkeypatch.setattr(module, "_CHUNK", 7)
        np.testing.assert_allclose(extractor.features(images), features, rtol=1e-4, atol=1e-5)
        assert extractor.features(images[:0]).shape == (0, WIDTH)

    def test_refuses_other_images(self, extractor: FeatureExtractor, digits: Dataset) -> None:
        images = digits.samples["holdout"]
        with pytest.raises(DataError, match=r"expected uint8 images of \(1, 8, 8\), got float64"):
            extractor.features(images.astype(np.float64))  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"got uint8 of \(1, 8, 4\)"):
            extractor.features(images[..., :4])

    def test_comes_back_from_disk_as_it_was(self, extractor: FeatureExtractor, digits: Dataset, tmp_path: Path) -> None:
        saved = extractor.save(tmp_path / "features")
        back = FeatureExtractor.load(tmp_path / "features")
        images = digits.samples["holdout"]
        assert type(back) is type(extractor)
        assert back.config == saved.config
        assert back.hash == extractor.hash
        assert (back.features(images) == extractor.features(images)).all()
        assert {path.name for path in (tmp_path / "features").iterdir()} == {"config.json", "extractor.safetensors"}
        text = (tmp_path / "features" / "config.json").read_text()
        assert json.loads(text)["format"] == 1
        back.save(tmp_path / "features")  # over itself
        assert (tmp_path / "features" / "config.json").read_text() == text
        assert list(tmp_path.iterdir()) == [tmp_path / "features"]


class Planted:
    """A pickle that writes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


class TestDamage:
    @pytest.fixture
    def folder(self, digits: Dataset, tmp_path: Path) -> Iterator[Path]:
        RandomConvExtractor.fit(digits).save(tmp_path / "features")
        yield tmp_path / "features"
        with pytest.raises(DataError):
            FeatureExtractor.load(tmp_path / "features")

    def test_a_flipped_bit(self, folder: Path) -> None:
        weights = folder / "extractor.safetensors"
        data = bytearray(weights.read_bytes())
        data[-5] ^= 1
        weights.write_bytes(data)
        with pytest.raises(DataError, match="not the ones that"):
            FeatureExtractor.load(folder)

    def test_a_missing_file(self, folder: Path) -> None:
        (folder / "extractor.safetensors").unlink()
        with pytest.raises(DataError, match=r"extractor\.safetensors: cannot be read"):
            FeatureExtractor.load(folder)
        (folder / "config.json").unlink()
        with pytest.raises(DataError, match=r"config\.json: cannot be read"):
            FeatureExtractor.load(folder)

    @pytest.mark.parametrize("change", ['{"format": 1', "[]", '{"format": 2, "kind": "random"}', '{"format": 1, "kind": "other"}', "\x00"])
    def test_a_config_that_is_none(self, folder: Path, change: str) -> None:
        (folder / "config.json").write_text(change)
        with pytest.raises(DataError, match=r"config\.json: (damaged|not of format 1)"):
            FeatureExtractor.load(folder)

    def test_weights_of_another_network(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "shape": [3, 8, 8]}))
        with pytest.raises(DataError, match="does not fit the network"):
            FeatureExtractor.load(folder)

    def test_a_pickle_is_not_loaded(self, folder: Path) -> None:
        import hashlib

        data = pickle.dumps(Planted(folder / "executed"))
        (folder / "extractor.safetensors").write_bytes(data)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "sha256": hashlib.sha256(data).hexdigest()}))
        with pytest.raises(DataError, match="does not fit"):
            FeatureExtractor.load(folder)
        assert not (folder / "executed").exists()
