"""Differentiable augmentation: what each change may do to an image, and that gradients come back through it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gan_core.augment import _colour, _cutout, _translation, augment, mirrored, varied


def images(n: int = 16, channels: int = 3, side: int = 16) -> Tensor:
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(9)) * 1.6 - 0.8


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 28])
def test_shape_and_type_stay(channels: int, side: int) -> None:
    before = images(4, channels, side)
    kept = before.clone()
    after = augment(before)
    assert after.shape == before.shape
    assert after.dtype == torch.float32
    assert torch.equal(before, kept)  # what it was given is left alone


def test_a_function_of_the_global_seed_alone() -> None:
    torch.manual_seed(3)
    first = augment(images())
    torch.rand(5)  # whatever was drawn in between
    torch.manual_seed(3)
    assert torch.equal(augment(images()), first)
    torch.manual_seed(4)
    assert not torch.equal(augment(images()), first)


def test_images_are_changed_each_by_its_own_draw() -> None:
    torch.manual_seed(0)
    same = images(1).expand(8, -1, -1, -1)
    after = augment(same)
    assert all(not torch.equal(after[0], other) for other in after[1:])


def test_gradients_flow_back_to_every_image() -> None:
    torch.manual_seed(0)
    before = images().requires_grad_()
    after = augment(before)
    (after * torch.randn_like(after)).sum().backward()
    assert before.grad is not None
    assert torch.isfinite(before.grad).all()
    # At most a quarter is cut out and a seventh shifted out, so most pixels still matter.
    assert ((before.grad != 0).flatten(1).float().mean(dim=1) > 0.5).all()


def test_gradients_are_exact() -> None:
    """For given draws every change is affine in the image, so that the gradient predicts any difference."""
    weights = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))

    def seeded(x: Tensor) -> Tensor:
        torch.manual_seed(1)
        return (augment(x) * weights).sum()

    before, other = images(2, 3, 8).requires_grad_(), -0.5 * images(2, 3, 8).square()
    (gradient,) = torch.autograd.grad(seeded(before), before)
    difference = seeded(other) - seeded(before)
    assert difference.abs() > 1
    assert (gradient * (other - before)).sum().item() == pytest.approx(difference.item(), rel=1e-4)


def test_colour_of_a_grey_image_is_brightness_and_contrast() -> None:
    """Around its mean each image is scaled by 0.5 to 1.5, and the mean moves by at most 0.5."""
    torch.manual_seed(0)
    before = images(64, 1)
    after = _colour(before)
    means = before.mean(dim=(1, 2, 3)), after.mean(dim=(1, 2, 3))
    shift = means[1] - means[0]
    scale = after.std(dim=(1, 2, 3)) / before.std(dim=(1, 2, 3))
    rebuilt = (before - means[0].view(-1, 1, 1, 1)) * scale.view(-1, 1, 1, 1) + means[1].view(-1, 1, 1, 1)
    torch.testing.assert_close(after, rebuilt, atol=1e-5, rtol=0)
    assert shift.abs().max() <= 0.5 + 1e-6
    assert shift.abs().max() > 0.35
    assert 0.5 - 1e-4 <= scale.min() < 0.65
    assert 1.35 < scale.max() <= 1.5 + 1e-4


def test_saturation_scales_the_distance_from_grey_up_to_twofold() -> None:
    """Times the contrast, which scales it as well: 0 to 3 in all, the same factor for all of an image's pixels."""
    torch.manual_seed(0)
    before = images(64)
    after = _colour(before)

    def from_grey(x: Tensor) -> Tensor:
        return (x - x.mean(dim=1, keepdim=True)).flatten(1)

    factors = (from_grey(after) * from_grey(before)).sum(dim=1) / from_grey(before).square().sum(dim=1)
    torch.testing.assert_close(from_grey(after), from_grey(before) * factors[:, None], atol=1e-5, rtol=0)
    assert factors.min() >= 0
    assert factors.max() <= 3
    assert factors.std() > 0.3


def test_translation_shifts_by_at_most_an_eighth_and_fills_with_grey() -> None:
    torch.manual_seed(0)
    side, limit = 16, 2
    before = images(32, 1, side)
    after = _translation(before)
    shifts = set()
    for one, moved in zip(before, after, strict=True):
        found = []
        for rows in range(-limit, limit + 1):
            for columns in range(-limit, limit + 1):
                expected = torch.zeros_like(one)
                to_rows, from_rows = slice(max(rows, 0), side + min(rows, 0)), slice(max(-rows, 0), side + min(-rows, 0))
                to_columns, from_columns = slice(max(columns, 0), side + min(columns, 0)), slice(max(-columns, 0), side + min(-columns, 0))
                expected[:, to_rows, to_columns] = one[:, from_rows, from_columns]
                if torch.equal(expected, moved):
                    found.append((rows, columns))
        assert len(found) == 1
        shifts.update(found)
    assert {rows for rows, _ in shifts} == {columns for _, columns in shifts} == {-2, -1, 0, 1, 2}


def test_cutout_greys_one_square_of_half_the_side() -> None:
    torch.manual_seed(0)
    before = images(64) + 2  # nothing is 0 yet
    after = _cutout(before)
    cut = after == 0
    assert torch.equal(after[~cut], before[~cut])
    assert torch.equal(cut, cut[:, :1].expand_as(cut))  # all channels alike
    for mask in cut[:, 0]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert torch.equal(mask, rows[:, None] & columns[None, :])
        for edge in (rows, columns):
            at = edge.nonzero().flatten()
            assert at.max() - at.min() + 1 == len(at)  # one piece
            assert 3 <= len(at) <= 8  # half the side, less where it reaches over the edge
    assert len({tuple(mask.flatten().tolist()) for mask in cut[:, 0]}) > 30


def test_varied_images_are_crops_and_half_of_them_are_mirrored() -> None:
    """Of a ramp from left to right every crop is a part of the ramp, and rises or falls as it is mirrored or not."""
    torch.manual_seed(0)
    ramp = torch.linspace(-1, 1, 32).view(1, 1, 1, 32).expand(400, 3, 32, 32).contiguous()
    seen = varied(ramp)
    assert seen.shape == ramp.shape
    assert seen.min() >= -1
    assert seen.max() <= 1
    slopes = (seen[:, 0, :, 24] - seen[:, 0, :, 8]).mean(dim=1)
    mirrored_share = (slopes < 0).float().mean().item()
    assert 0.42 < mirrored_share < 0.58
    # A crop of 60 to 100 % of the side, up to 15 % wider or narrower, has that part of the slope.
    widths = slopes.abs() / (ramp[0, 0, 0, 24] - ramp[0, 0, 0, 8])
    assert 0.5 < widths.min() < 0.56
    assert widths.max() > 1
    assert torch.allclose(varied(torch.full((5, 1, 16, 16), 0.3)), torch.tensor(0.3))


def test_mirrored_images_are_as_they_are_or_turned_each_by_its_own_draw() -> None:
    torch.manual_seed(0)
    before = torch.rand(400, 1, 4, 4)
    seen = mirrored(before)
    turned = torch.tensor([torch.equal(one, two.flip(2)) for one, two in zip(seen, before, strict=True)])
    same = torch.tensor([torch.equal(one, two) for one, two in zip(seen, before, strict=True)])
    assert bool((turned ^ same).all())
    assert 0.42 < turned.float().mean().item() < 0.58


def test_volumes_are_shifted_and_lose_a_cube_each_by_its_own_draw() -> None:
    torch.manual_seed(0)
    before = torch.full((32, 1, 16, 8, 16), 1.0)
    shifted = _translation(before)
    assert shifted.shape == before.shape
    filled = (shifted == 1).flatten(1).sum(dim=1).float() / before[0].numel()
    assert filled.min() >= (7 / 8) ** 3  # at most an eighth of each side is gone
    assert len(filled.unique()) > 3
    cut = (_cutout(before) == 0).flatten(1).sum(dim=1)
    assert cut.max() <= 8 * 4 * 8
    assert cut.max() > 4 * 2 * 4
    assert len(cut.unique()) > 3
