"""Features of the images' half of CLIP (Radford et al., 2021, arXiv:2103.00020). Network and resizing are torch-fidelity's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from gan_core.metrics.features import ExtractorConfig, ExtractorKind, ImageNetwork
from gan_core.metrics.pretrained import PretrainedExtractor, Weights, normalised

_MEAN, _DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of the pictures that it was fitted on
_SIDE, _PATCH, _WIDTH, _LAYERS, _HEADS = 224, 32, 768, 12, 12


class ClipNetwork(ImageNetwork):
    """Images (N, C, H, W) in -1..1, C 1 or 3, -> where they lie among words (N, 512), as of 8-bit images of 224 x 224."""

    def __init__(self) -> None:
        super().__init__()
        import gan_core.torchvision_cpu  # noqa: F401, I001  which torch-fidelity's import of torchvision needs
        from torch_fidelity.feature_extractor_clip import VisionTransformer

        self.visual = VisionTransformer(_SIDE, _PATCH, _WIDTH, _LAYERS, _HEADS, ClipExtractor.width)

    def features(self, images: Tensor) -> Tensor:
        embedded: Tensor = self.visual(normalised(images, _SIDE, _MEAN, _DEVIATION))
        return embedded


class ClipExtractor(PretrainedExtractor):
    """CLIP, ViT-B/32, fitted on 400 million pictures and their captions."""

    kind: ClassVar[ExtractorKind] = "clip-vit-b-32"
    width: ClassVar[int] = 512
    resizer: ClassVar[str | None] = "torch-fidelity: bilinear as TensorFlow 1 has it, to 224 x 224"
    weights: ClassVar[Weights] = Weights(
        "https://openaipublic.azureedge.net/clip/models/40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    )

    @staticmethod
    def _empty(config: ExtractorConfig) -> ImageNetwork:
        return ClipNetwork()

    @staticmethod
    def _state(file: Path) -> dict[str, Tensor]:
        """From an archive of TorchScript, the only form in which it is published; torch calls that deprecated."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.jit.load(file, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
        return {name: tensor.float() for name, tensor in state.items() if name.startswith("visual.")}
