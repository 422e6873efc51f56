"""Features of networks that others fitted on photographs, by which published distances are measured.

Their weights are not ours to ship: they are downloaded once, into torch's own cache, where a file that was put there by hand will do.
Each is pinned by its SHA-256, which is looked at before anything of a file is read.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

import torch
from torch import Tensor

from gan_core.data.dataset import Dataset, DatasetSpec
from gan_core.errors import DataError
from gan_core.metrics.features import ExtractorConfig, FeatureExtractor, extractor_of, image_shape, values_of
from gan_core.params.common import Pretrained


@dataclass(frozen=True)
class Weights:
    """A file that somebody publishes."""

    url: str
    sha256: str
    """Hexadecimal, 64 characters."""

    @property
    def file(self) -> Path:
        """Where it lies once it was downloaded: in torch's cache, which TORCH_HOME moves."""
        return Path(torch.hub.get_dir(), "checkpoints", Path(urlsplit(self.url).path).name)


class PretrainedExtractor(FeatureExtractor):
    """A network fitted on photographs and on nothing else: its features compare images of any kind, and with published figures.

    Images are taken as 8-bit ones, of one channel as grey, and enlarged or shrunk as torch-fidelity does.
    """

    weights: ClassVar[Weights]
    most_at_once: ClassVar[int] = 32
    """Images of some 224 x 224 pixels in the network."""

    @classmethod
    def fit(cls, dataset: Dataset, seed: int = 0, device: str | torch.device = "cpu") -> Self:
        """The downloaded network, for images of the data set's shape; nothing is fitted, and the seed is only noted down.

        Raises:
            DataError: the data set has no images of one or three channels, or the weights cannot be had.
        """
        shape = image_shape(dataset.spec)
        if shape[0] not in (1, 3):
            raise DataError(
                f"features: {cls.kind} takes images of 1 or 3 channels, and these have {shape[0]}; use evaluate.features: random"
            )
        file = cls.downloaded()
        config = ExtractorConfig(cls.kind, shape, None, seed, dataset.spec.digest, values=values_of(dataset.spec))
        network = cls._empty(config)
        try:
            network.load_state_dict(cls._state(file))
        except Exception as error:  # a file that is none of tensors makes torch raise almost anything
            raise DataError(f"{file}: not the weights of {cls.kind} ({str(error).splitlines()[0]}); delete it") from None
        return cls(config, network.to(torch.device(device)))

    @classmethod
    def downloaded(cls) -> Path:
        """The file of weights, downloaded at the first use.

        Raises:
            DataError: it cannot be had, or is another one than was published; nothing of it was executed.
        """
        url, file, sha256 = cls.weights.url, cls.weights.file, cls.weights.sha256
        if file.exists():
            _check_digest(file, sha256)
            return file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), hash_prefix=sha256, progress=False)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "reason", None) or str(error).partition("\n")[0]
            raise DataError(
                f"evaluate.features: the weights of {cls.kind} cannot be had from {url} ({reason}); "
                f"put that file at {file} by hand, or use auto or random"
            ) from None
        return file

    @staticmethod
    @abstractmethod
    def _state(file: Path) -> dict[str, Tensor]:
        """The tensors of the network, from the file of weights."""

    def fits(self, spec: DatasetSpec) -> bool:
        return self.config.shape == spec.shape and self.config.values == values_of(spec)


def pretrained(kind: Pretrained) -> type[PretrainedExtractor]:
    """The class of extractors of a kind."""
    found = extractor_of(kind)
    assert issubclass(found, PretrainedExtractor)  # noqa: S101
    return found


def levels(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in -1..1, C 1 or 3, -> uint8 (N, 3, H, W)."""
    return ((images + 1) * 127.5).round().to(torch.uint8).expand(-1, 3, -1, -1)


def normalised(images: Tensor, side: int, mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> Tensor:
    """Images in -1..1, of the size and the scale that a network takes: bilinear as TensorFlow 1 has it, as torch-fidelity does."""
    import gan_core.torchvision_cpu  # noqa: F401, I001  which the import of torchvision needs
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
    from torchvision.transforms.functional import normalize

    resized = interpolate_bilinear_2d_like_tensorflow1x(levels(images).float(), size=(side, side), align_corners=False)
    scaled: Tensor = normalize(resized, [255 * part for part in mean], [255 * part for part in deviation])
    return scaled


def _check_digest(path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if digest != sha256:
        raise DataError(f"{path}: its SHA-256 is {digest}, and that of the published file {sha256}; delete it")
