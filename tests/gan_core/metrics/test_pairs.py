"""Scores of images against their partners: closed forms, and SSIM and PSNR against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_core.metrics.pairs import mean_absolute_errors, psnrs, ssims

DRAW = np.random.default_rng(0)


def pair(channels: int, height: int, width: int, noise: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    smooth = 128 + 90 * np.sin(np.arange(width) / 5)[None, None, None] * np.cos(np.arange(height) / 7)[None, None, :, None]
    real = np.broadcast_to(smooth, (4, channels, height, width)) + DRAW.normal(0, 5, (4, channels, height, width))
    other = real + DRAW.normal(0, noise, real.shape) * np.arange(1, 5)[:, None, None, None] / 2
    return tuple(np.rint(array).clip(0, 255).astype(np.uint8) for array in (other, real))  # type: ignore[return-value]


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 40, 24), (3, 11, 11)])
def test_ssim_and_psnr_are_those_of_torchmetrics(shape: tuple[int, int, int]) -> None:
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    images, partners = pair(*shape)
    first, second = (torch.from_numpy(array).to(torch.float64) for array in (images, partners))
    for i in range(4):
        one, other = first[i : i + 1], second[i : i + 1]
        assert psnrs(images, partners)[i] == pytest.approx(float(peak_signal_noise_ratio(one, other, data_range=255.0)), rel=1e-6)
        _, places = structural_similarity_index_measure(one, other, data_range=255.0, sigma=1.5, return_full_image=True)
        inside = places[..., 5:-5, 5:-5]  # the reference also counts places where the window reaches over the edge, onto reflected pixels
        assert ssims(images, partners)[i] == pytest.approx(float(inside.mean()), rel=1e-6)


def test_an_exact_copy_has_the_best_scores() -> None:
    images, _ = pair(3, 16, 16)
    assert list(mean_absolute_errors(images, images)) == [0] * 4
    assert list(psnrs(images, images)) == [100] * 4
    np.testing.assert_allclose(ssims(images, images), 1, rtol=1e-12)


def test_closed_forms() -> None:
    black, white = np.zeros((1, 1, 8, 8), np.uint8), np.full((1, 1, 8, 8), 255, np.uint8)
    assert mean_absolute_errors(black, white)[0] == 1
    assert psnrs(black, white)[0] == 0
    assert ssims(black, white)[0] == pytest.approx(1e-4 / (1 + 1e-4))  # two plain images: only the means differ
    grey = np.full((1, 1, 8, 8), 51, np.uint8)
    assert mean_absolute_errors(black, grey)[0] == pytest.approx(0.2)
    assert psnrs(black, grey)[0] == pytest.approx(20 * np.log10(5))


def test_only_the_pixels_that_count_count() -> None:
    images, partners = pair(3, 16, 16)
    where = np.zeros((4, 16, 16), dtype=bool)
    where[:, 4:12, 4:12] = True
    np.testing.assert_allclose(psnrs(images, partners, where), psnrs(images[:, :, 4:12, 4:12], partners[:, :, 4:12, 4:12]))
    assert np.isnan(psnrs(images, partners, np.zeros_like(where))).all()
