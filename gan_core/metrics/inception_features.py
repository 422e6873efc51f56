"""Features of the Inception network by which published Frechet distances are measured (FID; Heusel et al., 2017, arXiv:1706.08500).

Network, resizing and weights are torch-fidelity's, which are those of the original TensorFlow graph. The weights are not ours to ship:
they are downloaded once, into torch's own cache.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import torch
from torch import Tensor

from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.errors import DataError
from gan_core.metrics.features import ExtractorConfig, ExtractorKind, FeatureExtractor, ImageNetwork, image_shape, values_of

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
"""Of the weights; the name ends in the first digits of the file's SHA-256."""

_AT_ONCE = 32  # images of 299 x 299 in the network


class InceptionNetwork(ImageNetwork):
    """Images (N, C, H, W) in -1..1, C 1 or 3, -> the 2,048 means of the last channels, as of 8-bit images enlarged to 299 x 299."""

    def __init__(self) -> None:
        super().__init__()
        import gan_core.torchvision_cpu  # noqa: F401, I001  which torch-fidelity's import of torchvision needs
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        class Unfilled(FeatureExtractorInceptionV3):  # type: ignore[misc]
            """Without the constructor's own loading of weights, which unpickles whatever a file holds."""

            def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
                return super().load_state_dict(state_dict, strict, assign) if state_dict else None

        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        self.inception = Unfilled("inception", ["2048"], feature_extractor_weights_path=nothing)

    def features(self, images: Tensor) -> Tensor:
        levels = ((images + 1) * 127.5).round().to(torch.uint8).expand(-1, 3, -1, -1)
        pooled: Tensor = self.inception(levels)[0]
        return pooled


class InceptionExtractor(FeatureExtractor):
    """Inception, fitted on ImageNet and on nothing else: its features compare images of any kind, and with published figures."""

    kind: ClassVar[ExtractorKind] = "inception"
    width: ClassVar[int] = 2048
    resizer: ClassVar[str | None] = "torch-fidelity: bilinear as TensorFlow 1 has it, to 299 x 299"
    most_at_once: ClassVar[int] = _AT_ONCE

    @classmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu") -> Self:
        """The downloaded network, for images of the data set's shape; nothing is fitted, and the seed is only noted down.

        Raises:
            DataError: the data set has no images of one or three channels, or the weights cannot be had.
        """
        shape = image_shape(dataset.spec)
        if shape[0] not in (1, 3):
            raise DataError(
                f"features: Inception takes images of 1 or 3 channels, and these have {shape[0]}; use evaluate.features: random"
            )
        network = InceptionNetwork()
        try:
            network.inception.load_state_dict(downloaded())
        except RuntimeError as error:
            raise DataError(f"{weights_file()}: not the weights of this network ({str(error).splitlines()[0]}); delete it") from None
        config = ExtractorConfig(cls.kind, shape, None, seed, dataset.spec.digest, values=values_of(dataset.spec))
        return cls(config, network.to(torch.device(device)))

    @staticmethod
    def _empty(config: ExtractorConfig) -> ImageNetwork:
        return InceptionNetwork()

    def fits(self, spec: DatasetSpec) -> bool:
        return self.config.shape == spec.shape and self.config.values == values_of(spec)


def weights_file() -> Path:
    """Where the weights lie once they were downloaded: in torch's cache, which TORCH_HOME moves."""
    return Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(URL).path).name)


def downloaded() -> dict[str, Tensor]:
    """The weights, downloaded at the first use.

    Raises:
        DataError: they cannot be had, or the file is not the one that its name says; nothing of it was executed.
    """
    path = weights_file()
    if path.exists():
        _check_digest(path)
    try:
        state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            URL, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except Exception as error:  # a file that is none of tensors makes torch raise almost anything
        reason = getattr(error, "reason", None) or str(error).partition("\n")[0]
        raise DataError(
            f"evaluate.features: Inception's weights cannot be had from {URL} ({reason}); "
            f"put that file at {path} by hand, or use auto or random"
        ) from None
    return state


def _check_digest(path: Path) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    named = path.stem.rpartition("-")[2]
    if not digest.startswith(named):
        raise DataError(f"{path}: its SHA-256 begins with {digest[: len(named)]}, not with {named} as its name says; delete it")
