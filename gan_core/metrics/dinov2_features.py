"""Features of DINOv2 (Oquab et al., 2023, arXiv:2304.07193), by which Frechet distances agree better with what people see than by
Inception's (FD-DINOv2; Stein et al., 2023, arXiv:2306.04675).

The network is timm's with the weights that DINOv2's authors publish, and its features are theirs bit for bit; images are resized as
torch-fidelity does.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_core.errors import DataError
from gan_core.metrics.features import ExtractorConfig, ExtractorKind, ImageNetwork
from gan_core.metrics.pretrained import PretrainedExtractor, Weights, normalised

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_SIDE = 224
_PATCHES = _SIDE // 14  # on a side
_OFFSET = 0.1  # that the authors add to the number of patches when they scale places, against a rounding error of theirs
_PUBLISHED = "https://dl.fbaipublicfiles.com/dinov2"


class DinoV2Network(ImageNetwork):
    """Images (N, C, H, W) in -1..1, C 1 or 3, -> the normalised class token (N, D), as of 8-bit images of 224 x 224."""

    def __init__(self, size: str) -> None:
        super().__init__()
        import gan_core.torchvision_cpu  # noqa: F401, I001  which timm's import of torchvision needs
        import timm

        self.dinov2 = timm.create_model(f"vit_{size}_patch14_dinov2", img_size=_SIDE, num_classes=0)

    def features(self, images: Tensor) -> Tensor:
        token: Tensor = self.dinov2(normalised(images, _SIDE, _MEAN, _DEVIATION))
        return token


class DinoV2Extractor(PretrainedExtractor):
    """DINOv2, fitted on 142 million photographs without labels."""

    resizer: ClassVar[str | None] = "torch-fidelity: bilinear as TensorFlow 1 has it, to 224 x 224"
    size: ClassVar[str]
    """As timm calls it."""

    @classmethod
    def downloaded(cls) -> Path:
        if find_spec("timm") is None:
            raise DataError(f"evaluate.features: {cls.kind} needs timm; install it: pip install 'gantry-gan[features]'")
        return super().downloaded()

    @classmethod
    def _empty(cls, config: ExtractorConfig) -> ImageNetwork:
        return DinoV2Network(cls.size)

    @staticmethod
    def _state(file: Path) -> dict[str, Tensor]:
        state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        del state["mask_token"]  # which stands for patches that are hidden in training
        state["pos_embed"] = places(state["pos_embed"])
        return {f"dinov2.{name}": tensor for name, tensor in state.items()}


class DinoV2Small(DinoV2Extractor):
    """21 million weights."""

    kind: ClassVar[ExtractorKind] = "dinov2-vit-s-14"
    width: ClassVar[int] = 384
    size: ClassVar[str] = "small"
    weights: ClassVar[Weights] = Weights(
        f"{_PUBLISHED}/dinov2_vits14/dinov2_vits14_pretrain.pth", "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"
    )


class DinoV2Base(DinoV2Extractor):
    """86 million weights."""

    kind: ClassVar[ExtractorKind] = "dinov2-vit-b-14"
    width: ClassVar[int] = 768
    size: ClassVar[str] = "base"
    weights: ClassVar[Weights] = Weights(
        f"{_PUBLISHED}/dinov2_vitb14/dinov2_vitb14_pretrain.pth", "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"
    )


class DinoV2Large(DinoV2Extractor):
    """304 million weights; the one of FD-DINOv2 as it is published."""

    kind: ClassVar[ExtractorKind] = "dinov2-vit-l-14"
    width: ClassVar[int] = 1024
    size: ClassVar[str] = "large"
    weights: ClassVar[Weights] = Weights(
        f"{_PUBLISHED}/dinov2_vitl14/dinov2_vitl14_pretrain.pth", "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"
    )


def places(embedding: Tensor) -> Tensor:
    """Embeddings of the class token and of a square of patches (1, 1 + M * M, D), scaled to 16 x 16 patches as DINOv2's own code does."""
    token, patches = embedding[:, :1], embedding[:, 1:]
    side = math.isqrt(patches.shape[1])
    square = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scaled = F.interpolate(square, scale_factor=(_PATCHES + _OFFSET) / side, mode="bicubic")
    return torch.cat([token, scaled.flatten(2).transpose(1, 2)], dim=1)
