"""The penalties against gradients known in closed form: of linear and of quadratic judges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_core.penalties import clip_weights, gradient_norms_squared, one_centred_penalty, zero_centred_penalty


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
def test_a_linear_judge_has_the_same_gradient_everywhere(shape: tuple[int, ...]) -> None:
    """D(x) = w.x: its gradient is w, so R1 is |w|^2 / 2 and the gradient penalty (|w| - 1)^2."""
    weight = draw(*shape, seed=1)
    real, fake = draw(8, *shape, seed=2), draw(8, *shape, seed=3)
    norm = weight.norm().item()

    def judge(samples: Tensor) -> Tensor:
        return (samples * weight).flatten(1).sum(dim=1)

    torch.testing.assert_close(gradient_norms_squared(judge, real), torch.full((8,), norm**2))
    assert zero_centred_penalty(judge, real).item() == pytest.approx(norm**2 / 2, rel=1e-6)
    assert one_centred_penalty(judge, real, fake).item() == pytest.approx((norm - 1) ** 2, rel=1e-5)


def test_a_quadratic_judge_s_penalty_and_its_slope() -> None:
    """D(x) = a/2 |x|^2: its gradient is a x, so R1 is a^2/2 mean|x|^2, whose slope in the weight a is a mean|x|^2."""
    samples = draw(16, 5)
    a = torch.tensor(1.75, requires_grad=True)
    penalty = zero_centred_penalty(lambda x: a / 2 * x.square().sum(dim=1), samples)
    penalty.backward()
    mean_square = samples.square().sum(dim=1).mean().item()
    assert penalty.item() == pytest.approx(1.75**2 / 2 * mean_square, rel=1e-5)
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(1.75 * mean_square, rel=1e-5)


def test_a_quadratic_form_s_gradients_sample_by_sample() -> None:
    """D(x) = x'Ax/2 with A symmetric: the gradient at each sample is Ax."""
    half = draw(4, 4, seed=5)
    matrix, samples = half + half.T, draw(6, 4, seed=6)
    norms = gradient_norms_squared(lambda x: ((x @ matrix) * x).sum(dim=1) / 2, samples)
    torch.testing.assert_close(norms, (samples @ matrix).square().sum(dim=1))


def test_the_gradient_penalty_s_slope() -> None:
    """D(x) = a w.x with |w| = 1: (a - 1)^2, whose slope in a is 2 (a - 1)."""
    direction = nn.functional.normalize(draw(3), dim=0)
    a = torch.tensor(0.25, requires_grad=True)
    penalty = one_centred_penalty(lambda x: a * (x @ direction), draw(4, 3, seed=1), draw(4, 3, seed=2))
    penalty.backward()
    assert penalty.item() == pytest.approx(0.75**2, rel=1e-5)
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(-1.5, rel=1e-5)


def test_a_judge_without_slope_gives_a_finite_gradient() -> None:
    """The square root's derivative at 0 must not make the weights NaN."""
    a = torch.tensor(0.0, requires_grad=True)
    one_centred_penalty(lambda x: a * x.sum(dim=1), draw(4, 3, seed=1), draw(4, 3, seed=2)).backward()
    assert a.grad is not None
    assert torch.isfinite(a.grad)


def test_the_gradient_penalty_looks_at_one_random_point_between_each_pair() -> None:
    real, fake = draw(32, 1, 4, 4, seed=1), draw(32, 1, 4, 4, seed=2)
    seen: list[Tensor] = []

    def judge(samples: Tensor) -> Tensor:
        seen.append(samples.detach())
        return samples.flatten(1).sum(dim=1)

    torch.manual_seed(0)
    one_centred_penalty(judge, real, fake)
    shares = ((seen[0] - fake) / (real - fake)).flatten(1)
    assert shares.std(dim=1).max() < 1e-3  # one share a pair
    assert shares.min() > -1e-3
    assert shares.max() < 1 + 1e-3
    assert shares[:, 0].std() > 0.2  # and pairs differ


def test_samples_are_never_reached_by_a_penalty_s_gradient() -> None:
    """R2 and the gradient penalty train the discriminator; the generator behind the samples must not feel them."""
    weight = draw(3).requires_grad_()
    fake = draw(4, 3, seed=1).requires_grad_()

    def judge(x: Tensor) -> Tensor:
        return (x * weight).square().sum(dim=1)

    (zero_centred_penalty(judge, fake) + one_centred_penalty(judge, draw(4, 3, seed=2), fake)).backward()
    assert fake.grad is None
    assert weight.grad is not None


@pytest.mark.parametrize("penalty", ["zero", "one"])
def test_float32_also_under_bf16_autocast(penalty: str) -> None:
    """The value under autocast is bit for bit the one without it, although the judge's layers would compute in bfloat16."""
    torch.manual_seed(0)
    judge_network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Softplus(), nn.Flatten(), nn.Linear(8 * 36, 1))
    real, fake = draw(4, 1, 8, 8, seed=1), draw(4, 1, 8, 8, seed=2)
    dtypes = set()

    def judge(samples: Tensor) -> Tensor:
        logits: Tensor = judge_network(samples)
        dtypes.add(logits.dtype)
        return logits.squeeze(1)

    def value() -> Tensor:
        torch.manual_seed(1)
        return zero_centred_penalty(judge, real) if penalty == "zero" else one_centred_penalty(judge, real, fake)

    plain = value()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert judge_network(real).dtype == torch.bfloat16  # autocast is on
        # What the generator makes under autocast comes as bfloat16.
        fake_half = fake.to(torch.bfloat16)
        under_autocast = value()
        assert zero_centred_penalty(judge, fake_half).dtype == torch.float32
    assert dtypes == {torch.float32}
    assert under_autocast.dtype == torch.float32
    assert torch.equal(plain, under_autocast)


def test_clipping_bounds_every_weight_in_place_and_leaves_small_ones_alone() -> None:
    network = nn.Linear(2, 2)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[0.5, -0.5], [0.01, -0.02]]))
        network.bias.copy_(torch.tensor([0.03, -9.0]))
    weight = network.weight
    clip_weights(network.parameters(), 0.03)
    assert network.weight is weight
    torch.testing.assert_close(network.weight, nn.Parameter(torch.tensor([[0.03, -0.03], [0.01, -0.02]])))
    torch.testing.assert_close(network.bias, nn.Parameter(torch.tensor([0.03, -0.03])))
    assert network.weight.requires_grad
