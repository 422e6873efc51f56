"""Features of the Inception network by which published Frechet distances are measured (FID; Heusel et al., 2017, arXiv:1706.08500).

Network, resizing and weights are torch-fidelity's, which are those of the original TensorFlow graph.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_core.metrics.features import ExtractorConfig, ExtractorKind, ImageNetwork
from gan_core.metrics.pretrained import PretrainedExtractor, Weights, levels


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
        pooled: Tensor = self.inception(levels(images))[0]
        return pooled


class InceptionExtractor(PretrainedExtractor):
    """Inception, fitted on ImageNet."""

    kind: ClassVar[ExtractorKind] = "inception"
    width: ClassVar[int] = 2048
    resizer: ClassVar[str | None] = "torch-fidelity: bilinear as TensorFlow 1 has it, to 299 x 299"
    weights: ClassVar[Weights] = Weights(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    )

    @staticmethod
    def _empty(config: ExtractorConfig) -> ImageNetwork:
        return InceptionNetwork()

    @staticmethod
    def _state(file: Path) -> dict[str, Tensor]:
        return {f"inception.{name}": tensor for name, tensor in torch.load(file, map_location="cpu", weights_only=True).items()}
