"""Inception's features against torch-fidelity's own, with weights of the right shapes that a server on loopback hands out.

The real weights are 91 MB of another host. What they are made of does not change how they are fetched, checked, kept or computed with.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError
from gan_core.kinds.images import Images
from gan_core.metrics import inception_features as module
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.inception_features import InceptionExtractor, InceptionNetwork, downloaded, weights_file


def images(count: int, channels: int, side: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, channels, side, side)).astype(np.uint8)


def dataset(channels: int) -> Dataset:
    samples = {"train": images(12, channels), "holdout": images(4, channels)}
    return Dataset(Images((channels, 16, 16), {"train": 12, "holdout": 4}), samples, {})


@pytest.fixture(scope="session")
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    state: dict[str, Tensor] = InceptionNetwork().inception.state_dict()
    for tensor in state.values():
        if tensor.ndim == 4:
            torch.nn.init.kaiming_normal_(tensor, nonlinearity="relu")
    return state


class Host:
    """A web server of files whose names end in the beginning of their digest, as the real weights' does."""

    def __init__(self, folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.address, self.monkeypatch = folder, address, monkeypatch

    def offer(self, file: Path, named: str | None = None) -> None:
        """Make a file of this folder the one that is downloaded."""
        digest = named or hashlib.sha256(file.read_bytes()).hexdigest()[:8]
        self.monkeypatch.setattr(module, "URL", f"{self.address}/weights-{digest}.pth")
        file.rename(self.folder / f"weights-{digest}.pth")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Host(tmp_path / "served", f"http://127.0.0.1:{server.server_port}", monkeypatch)
        server.shutdown()
        thread.join()


@pytest.fixture
def offered(host: Host, weights: dict[str, Tensor]) -> Host:
    torch.save(weights, host.folder / "new")
    host.offer(host.folder / "new")
    return host


@pytest.mark.parametrize("channels", [1, 3])
def test_agrees_with_torch_fidelity(offered: Host, channels: int) -> None:
    some = images(3, channels)
    found = InceptionExtractor.fit(dataset(channels)).features(some)
    assert found.shape == (3, InceptionExtractor.width)
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    reference = FeatureExtractorInceptionV3("reference", ["2048"], feature_extractor_weights_path=str(weights_file()))
    with torch.inference_mode():
        (expected,) = reference(torch.from_numpy(np.repeat(some, 3 // channels, axis=1)))
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-5)


def test_comes_back_from_disk_as_it_was(offered: Host, tmp_path: Path) -> None:
    fitted = InceptionExtractor.fit(dataset(3))
    saved = fitted.save(tmp_path / "features")
    loaded = FeatureExtractor.load(tmp_path / "features")
    assert isinstance(loaded, InceptionExtractor)
    assert loaded.hash == saved.hash == fitted.hash
    assert loaded.fits(dataset(3).spec)
    assert not loaded.fits(dataset(1).spec)
    np.testing.assert_array_equal(loaded.features(images(2, 3)), fitted.features(images(2, 3)))


def test_is_downloaded_once(offered: Host) -> None:
    assert downloaded().keys() == InceptionNetwork().inception.state_dict().keys()
    next(offered.folder.iterdir()).unlink()
    downloaded()


def test_a_file_put_there_by_hand_will_do(offered: Host) -> None:
    weights_file().parent.mkdir(parents=True)
    next(offered.folder.iterdir()).rename(weights_file())
    downloaded()


class TestWhatIsRefused:
    def test_no_network(self, host: Host) -> None:
        host.monkeypatch.setattr(module, "URL", "http://127.0.0.1:9/weights-6726825d.pth")
        with pytest.raises(
            DataError, match=r"cannot be had from http.*Connection refused.*put that file at .*weights-6726825d.pth by hand"
        ):
            downloaded()

    def test_a_file_that_is_not_there(self, host: Host) -> None:
        host.monkeypatch.setattr(module, "URL", f"{host.address}/weights-6726825d.pth")
        with pytest.raises(DataError, match="File not found"):
            downloaded()

    def test_a_download_of_other_bytes(self, host: Host) -> None:
        (host.folder / "new").write_bytes(b"<html>Please log in.</html>")
        host.offer(host.folder / "new", named="6726825d")
        with pytest.raises(DataError, match="invalid hash value"):
            downloaded()
        assert not weights_file().exists()

    def test_a_kept_file_of_other_bytes(self, offered: Host) -> None:
        downloaded()
        whole = weights_file().read_bytes()
        weights_file().write_bytes(whole[:-1000])
        with pytest.raises(DataError, match=r"SHA-256 begins with .* delete it"):
            downloaded()

    def test_weights_of_another_network(self, host: Host) -> None:
        torch.save({"fc.weight": torch.zeros(2)}, host.folder / "new")
        host.offer(host.folder / "new")
        with pytest.raises(DataError, match="not the weights of this network"):
            InceptionExtractor.fit(dataset(3))

    def test_a_pickle_is_not_loaded(self, host: Host, tmp_path: Path) -> None:
        class Planted:
            def __reduce__(self) -> tuple[object, tuple[Path]]:
                return Path.touch, (tmp_path / "executed",)

        for save in (lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2)), torch.save):
            save({"fc.weight": Planted()}, host.folder / "new")
            host.offer(host.folder / "new")
            with pytest.raises(DataError, match="cannot be had"):
                downloaded()
        assert not (tmp_path / "executed").exists()

    def test_images_of_two_channels(self, offered: Host) -> None:
        with pytest.raises(DataError, match="1 or 3 channels, and these have 2"):
            InceptionExtractor.fit(dataset(2))
