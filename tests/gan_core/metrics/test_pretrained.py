"""Features of downloaded networks against others' own, with weights of the right shapes that a server on loopback hands out.

The real weights are 88 MB to 1.2 GB of other hosts. What they are made of does not change how they are fetched, checked, kept or computed
with. DINOv2's features were compared with its authors' code once, which is no package: they are equal bit for bit.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan_core.data.dataset import Dataset
from gan_core.errors import DataError
from gan_core.kinds.images import Images
from gan_core.metrics.clip_features import ClipExtractor, ClipNetwork
from gan_core.metrics.dinov2_features import DinoV2Network, DinoV2Small, places
from gan_core.metrics.features import FeatureExtractor
from gan_core.metrics.inception_features import InceptionExtractor, InceptionNetwork
from gan_core.metrics.pretrained import PretrainedExtractor, Weights


def images(count: int, channels: int, side: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, channels, side, side)).astype(np.uint8)


def dataset(channels: int) -> Dataset:
    samples = {"train": images(12, channels), "holdout": images(4, channels)}
    return Dataset(Images((channels, 16, 16), {"train": 12, "holdout": 4}), samples, {})


@pytest.fixture(scope="session")
def inception() -> dict[str, Tensor]:
    """As the file of Inception's weights holds them."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = InceptionNetwork().inception.state_dict()
    for tensor in state.values():
        if tensor.ndim == 4:
            nn.init.kaiming_normal_(tensor, nonlinearity="relu")
    return state


class Host:
    """A web server of files that take the places of published weights."""

    def __init__(self, folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.address, self.monkeypatch = folder, address, monkeypatch

    @property
    def new(self) -> Path:
        return self.folder / "new.pth"

    def offer(self, extractor: type[PretrainedExtractor], sha256: str | None = None) -> None:
        """Make the new file, if there is one, what an extractor's weights are downloaded from."""
        digest = sha256 or hashlib.sha256(self.new.read_bytes()).hexdigest()
        self.monkeypatch.setattr(extractor, "weights", Weights(f"{self.address}/new.pth", digest))


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
def offered(host: Host, inception: dict[str, Tensor]) -> Host:
    torch.save(inception, host.new)
    host.offer(InceptionExtractor)
    return host


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_agrees_with_torch_fidelity(offered: Host, channels: int) -> None:
    some = images(3, channels)
    found = InceptionExtractor.fit(dataset(channels)).features(some)
    assert found.shape == (3, InceptionExtractor.width)
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    reference = FeatureExtractorInceptionV3("reference", ["2048"], feature_extractor_weights_path=str(InceptionExtractor.weights.file))
    close(found, reference, some)


def test_clip_agrees_with_torch_fidelity(host: Host) -> None:
    class Published(nn.Module):
        """The parts of the published file that are looked at."""

        def __init__(self) -> None:
            super().__init__()
            self.visual = ClipNetwork().visual.half()
            self.text_projection = nn.Parameter(torch.zeros(2, ClipExtractor.width))

        def forward(self, images: Tensor) -> Tensor:
            return images

    torch.manual_seed(0)
    torch.jit.script(Published()).save(host.new)  # type: ignore[no-untyped-call]
    host.offer(ClipExtractor)
    some = images(2, 1)
    found = ClipExtractor.fit(dataset(1)).features(some)
    assert found.shape == (2, ClipExtractor.width)
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    close(found, FeatureExtractorCLIP("clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(host.new)), some)


def test_dinov2_agrees_with_torchvision_s_transformer(host: Host) -> None:
    """Which has no scales of its layers: they are 1 here."""
    torch.manual_seed(0)
    ours = DinoV2Network("small").dinov2.state_dict()
    published = {name: torch.ones_like(tensor) if name.endswith("gamma") else tensor for name, tensor in ours.items()}
    published |= {"pos_embed": torch.randn(1, 1 + 37 * 37, 384), "mask_token": torch.zeros(1, 384)}
    torch.save(published, host.new)
    host.offer(DinoV2Small)
    some = images(2, 3, 224)
    extractor = DinoV2Small.fit(Dataset(Images((3, 224, 224), {"train": 2, "holdout": 0}), {"train": some}, {}))
    found = extractor.features(some)
    from torchvision.models import VisionTransformer

    reference = VisionTransformer(224, 14, num_layers=12, num_heads=6, hidden_dim=384, mlp_dim=1536)
    reference.heads = nn.Identity()
    reference.load_state_dict(as_torchvision_has_it(published | {"pos_embed": places(published["pos_embed"])}))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = reference.eval()((torch.from_numpy(some) / 255 - mean[:, None, None]) / deviation[:, None, None])
    assert found.shape == (2, DinoV2Small.width)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)


def as_torchvision_has_it(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {"cls_token": "class_token", "pos_embed": "encoder.pos_embedding", "patch_embed.proj": "conv_proj", "norm": "encoder.ln"}
    parts = {
        "norm1": "ln_1", "norm2": "ln_2", "attn.qkv.": "self_attention.in_proj_", "attn.proj": "self_attention.out_proj",
        "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.3",
    }  # fmt: skip
    found = {}
    for name, tensor in state.items():
        if name.startswith("blocks."):
            _, block, part = name.split(".", 2)
            for ours, theirs in parts.items():
                if part.startswith(ours):
                    found[f"encoder.layers.encoder_layer_{block}.{part.replace(ours, theirs)}"] = tensor
        for ours, theirs in renamed.items():
            if name == ours or name.startswith(f"{ours}."):
                found[name.replace(ours, theirs)] = tensor
    return found


def test_places_are_scaled_as_dinov2_s_own_code_does() -> None:
    """Each of 16 patches is 37 / 16.1 of the 37 wide. torch's cubic interpolation bends a slope by up to 0.05."""
    slope = torch.arange(37.0)
    embedding = torch.cat([torch.full((1, 1, 2), -5.0), torch.stack(torch.meshgrid(slope, slope, indexing="ij"), -1).view(1, -1, 2)], dim=1)
    found = places(embedding)
    assert found.shape == (1, 1 + 256, 2)
    assert found[0, 0].tolist() == [-5, -5]
    expected = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5
    square = found[0, 1:].view(16, 16, 2)
    torch.testing.assert_close(square[3, 1:-1, 1], expected[1:-1], rtol=0, atol=0.06)
    torch.testing.assert_close(square[1:-1, 3, 0], expected[1:-1], rtol=0, atol=0.06)


def close(found: NDArray[np.float32], reference: Any, some: NDArray[np.uint8]) -> None:
    with torch.inference_mode():
        (expected,) = reference(torch.from_numpy(np.repeat(some, 3 // some.shape[1], axis=1)))
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
    assert InceptionExtractor.downloaded() == InceptionExtractor.weights.file
    offered.new.unlink()
    assert InceptionExtractor.downloaded().exists()


def test_a_file_put_there_by_hand_will_do(offered: Host) -> None:
    InceptionExtractor.weights.file.parent.mkdir(parents=True)
    offered.new.rename(InceptionExtractor.weights.file)
    InceptionExtractor.fit(dataset(3))


class TestWhatIsRefused:
    def test_no_network(self, host: Host) -> None:
        host.monkeypatch.setattr(InceptionExtractor, "weights", Weights("http://127.0.0.1:9/weights.pth", "6726825d"))
        with pytest.raises(
            DataError, match=r"weights of inception cannot be had from http.*Connection refused.*put that file at .*weights.pth by hand"
        ):
            InceptionExtractor.downloaded()

    def test_a_file_that_is_not_there(self, host: Host) -> None:
        host.offer(InceptionExtractor, sha256="6726825d")
        with pytest.raises(DataError, match="File not found"):
            InceptionExtractor.downloaded()

    def test_a_download_of_other_bytes(self, host: Host) -> None:
        host.new.write_bytes(b"<html>Please log in.</html>")
        host.offer(InceptionExtractor, sha256="6726825d")
        with pytest.raises(DataError, match="invalid hash value"):
            InceptionExtractor.downloaded()
        assert not InceptionExtractor.weights.file.exists()

    def test_a_kept_file_of_other_bytes(self, offered: Host) -> None:
        kept = InceptionExtractor.downloaded()
        kept.write_bytes(kept.read_bytes()[:-1000])
        with pytest.raises(DataError, match=r"its SHA-256 is .*, and that of the published file .*; delete it"):
            InceptionExtractor.downloaded()

    @pytest.mark.parametrize("extractor", [InceptionExtractor, DinoV2Small])
    def test_weights_of_another_network(self, host: Host, extractor: type[PretrainedExtractor]) -> None:
        torch.save({"fc.weight": torch.zeros(2)}, host.new)
        host.offer(extractor)
        with pytest.raises(DataError, match=f"not the weights of {extractor.kind}"):
            extractor.fit(dataset(3))

    @pytest.mark.parametrize("extractor", [InceptionExtractor, ClipExtractor])
    def test_a_pickle_is_not_loaded(self, host: Host, tmp_path: Path, extractor: type[PretrainedExtractor]) -> None:
        class Planted:
            def __reduce__(self) -> tuple[object, tuple[Path]]:
                return Path.touch, (tmp_path / "executed",)

        for save in (lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2)), torch.save):
            save({"fc.weight": Planted()}, host.new)
            host.offer(extractor)
            with pytest.raises(DataError, match="not the weights of"):
                extractor.fit(dataset(3))
            extractor.weights.file.unlink()
        assert not (tmp_path / "executed").exists()

    def test_images_of_two_channels(self, offered: Host) -> None:
        with pytest.raises(DataError, match="1 or 3 channels, and these have 2"):
            InceptionExtractor.fit(dataset(2))

    def test_a_package_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = importlib.util.find_spec
        monkeypatch.setattr("gan_core.metrics.dinov2_features.find_spec", lambda name: None if name == "timm" else found(name))
        with pytest.raises(DataError, match=r"needs timm; install it: pip install 'gantry-gan\[features\]'"):
            DinoV2Small.downloaded()
