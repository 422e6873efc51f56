"""What only a GPU can show: `benchmarks/cuda.sh` runs this where there is one, by a Python with little more than torch and pytest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_core.data.dataset import Dataset
from gan_core.generator import Generator
from gan_core.kinds.images import Images
from gan_core.kinds.pairs import Pairs
from gan_core.params import GanParams, Pix2pixParams, TrainParams
from gan_core.training import Progress, train

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="no CUDA device: benchmarks/cuda.sh runs these")

_COUNT, _BATCH, _STEPS = 64, 8, 12
_COMMON = {"images": _BATCH * _STEPS, "batch": _BATCH, "device": DEVICE, "checkpoint_every": _BATCH * 5, "log_every": _BATCH}


def _gan(**changes: Any) -> GanParams:
    return GanParams.model_validate({**_COMMON, "latent": 16, **changes})


def _both(**network: Any) -> dict[str, Any]:
    return {"generator": network, "discriminator": network}


TRAININGS: Mapping[str, TrainParams] = {
    "dcgan": _gan(**_both(network="dcgan", width=8)),
    "dcgan, bf16": _gan(**_both(network="dcgan", width=8), precision="bf16"),
    "modern": _gan(**_both(network="modern", width=8, group_width=4, recompute=True)),
    "residual": _gan(**_both(network="residual", width=8)),
    "augmented": _gan(**_both(network="dcgan", width=8), augment=True),
    "pix2pix": Pix2pixParams.model_validate({**_COMMON, "generator": {"network": "unet", "width": 8}, "discriminator": {"width": 8}}),
}


def _data(params: TrainParams) -> Dataset:
    images = np.random.default_rng(0).integers(0, 256, (2, _COUNT, 3, 32, 32), dtype=np.uint8)
    samples, inputs = ({"train": of, "holdout": of[:8]} for of in images)
    counts = {split: len(of) for split, of in samples.items()}
    if isinstance(params, Pix2pixParams):
        return Dataset(Pairs((3, 32, 32), counts, inputs=(3, 32, 32)), samples, {}, inputs)
    return Dataset(Images((3, 32, 32), counts), samples, {})


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_that_was_stopped_ends_as_an_undisturbed_one_bit_for_bit(tmp_path: Path, name: str) -> None:
    params = TRAININGS[name]
    data = _data(params)
    assert train(params, data, tmp_path / "whole")
    steps = 0

    def on_progress(now: Progress) -> None:
        nonlocal steps
        steps += 1

    assert not train(params, data, tmp_path / "stopped", on_progress, should_stop=lambda: steps == _STEPS // 2)
    assert train(params, data, tmp_path / "stopped")
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.safetensors")]
    assert any(file.parts[0] == "generator" for file in files)
    for file in files:
        assert (tmp_path / "stopped" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_a_generator_trained_on_a_gpu_draws_on_it_what_it_draws_on_a_processor(tmp_path: Path) -> None:
    params = _gan(**_both(network="dcgan", width=8), precision="float32")
    assert train(params, _data(params), tmp_path)
    generator = Generator.load(tmp_path / "generator")
    network, latents = generator.network, torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        on_processor = network(latents, None)
        on_device = network.to(DEVICE)(latents.to(DEVICE), None).cpu()
    assert (on_device - on_processor).abs().max() < 0.01  # one level of 255 is 0.008
