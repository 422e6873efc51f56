"""The network families: shapes, gradients, labels, sizes by the papers, and refusals."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gan_core.data.dataset import DatasetSpec
from gan_core.errors import ConfigError
from gan_core.kinds.clips import Clips
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.networks import build_discriminator, build_generator
from gan_core.networks.common import Dropout, MixtureLatent, distance_in_batch, factors_of, resolutions
from gan_core.params.networks import (
    DISCRIMINATORS,
    GENERATORS,
    AutoDiscriminatorParams,
    AutoGeneratorParams,
    DcganDiscriminatorParams,
    MlpGeneratorParams,
)

Family = Literal["mlp", "dcgan", "residual"]
SIDES = (16, 28, 32, 64)
LATENT = 6
N = 5
NARROW: dict[str, dict[str, Any]] = {"mlp": {"widths": (12, 10)}, "dcgan": {"width": 4}, "residual": {"width": 6}}
CASES: list[tuple[Family, tuple[int, ...], int]] = [("mlp", (2,), 0), ("mlp", (2,), 3)]
CASES += [
    (family, (channels, side, side), classes)
    for family, (side, channels), classes in itertools.product(("mlp", "dcgan", "residual"), [(16, 1), (28, 1), (32, 3), (64, 3)], (0, 3))
]

CASES += [  # series and volumes, by the same code
    (family, shape, classes) for family, shape, classes in itertools.product(("dcgan", "residual"), [(2, 32), (1, 16, 8, 16)], (0, 3))
]


def data(shape: tuple[int, ...], classes: int = 0) -> DatasetSpec:
    names = tuple(map(str, range(classes))) or None
    return Images(shape, classes=names) if len(shape) > 1 else Points(shape, classes=names)


def generator_of(family: str, shape: tuple[int, ...], classes: int = 0, latent: int = LATENT, **options: Any) -> nn.Module:
    return build_generator(GENERATORS[family].model_validate(options), data(shape, classes), latent)


def discriminator_of(family: str, shape: tuple[int, ...], classes: int = 0, **options: Any) -> nn.Module:
    return build_discriminator(DISCRIMINATORS[family].model_validate(options), data(shape, classes))


def narrow_generator(family: str, shape: tuple[int, ...], classes: int = 0, **options: Any) -> nn.Module:
    return generator_of(family, shape, classes, **{**NARROW[family], **options})


def narrow_discriminator(family: str, shape: tuple[int, ...], classes: int = 0, **options: Any) -> nn.Module:
    return discriminator_of(family, shape, classes, **{**NARROW[family], **options})


def labels(classes: int) -> Tensor | None:
    return torch.arange(N) % classes if classes else None


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def assert_gradient_reaches_every_weight(network: nn.Module, output: Tensor) -> None:
    """Biases that a batch normalisation takes off again have a gradient of 0; every matrix and kernel must be moved."""
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if parameter.dim() > 1:
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("family", "shape", "classes"), CASES)
def test_a_generator_gives_samples_of_its_shape_and_learns_with_all_its_weights(
    family: Family, shape: tuple[int, ...], classes: int
) -> None:
    torch.manual_seed(0)
    generator = narrow_generator(family, shape, classes)
    samples = generator(torch.randn(N, LATENT), labels(classes))
    assert samples.shape == (N, *shape)
    assert samples.dtype == torch.float32
    if len(shape) > 1:
        assert samples.abs().max() <= 1
    assert samples.flatten(1).std(dim=0).max() > 0  # latents matter
    assert_gradient_reaches_every_weight(generator, samples)


@pytest.mark.parametrize(
    ("family", "shape", "classes", "normalization"),
    [
        (*case, normalization)
        for case, normalization in itertools.product(CASES, [None, "none", "batch", "spectral"])
        if (case[0], normalization) != ("residual", "batch")  # which it does not have
    ],
)
def test_a_discriminator_gives_a_logit_a_sample_and_learns_with_all_its_weights(
    family: Family, shape: tuple[int, ...], classes: int, normalization: Any
) -> None:
    torch.manual_seed(0)
    discriminator = narrow_discriminator(family, shape, classes, normalization=normalization)
    samples = torch.randn(N, *shape).clamp(-1, 1).requires_grad_()
    logits = discriminator(samples, labels(classes))
    assert logits.shape == (N,)
    assert_gradient_reaches_every_weight(discriminator, logits)
    assert samples.grad is not None
    assert (samples.grad.flatten(1).abs().max(dim=1).values > 0).all()  # and the generator behind it learns


@pytest.mark.parametrize(("family", "shape"), [("mlp", (2,)), ("mlp", (1, 8, 8)), ("dcgan", (1, 16, 16)), ("residual", (1, 16, 16))])
def test_labels_are_heard(family: Family, shape: tuple[int, ...]) -> None:
    """After a little learning, which the residual generator's equal start for all labels needs."""
    torch.manual_seed(0)
    generator, discriminator = (build(family, shape, 3).eval() for build in (narrow_generator, narrow_discriminator))
    with torch.no_grad():
        for network in (generator, discriminator):
            for module in network.modules():
                if isinstance(module, nn.Embedding):
                    module.weight += torch.randn_like(module.weight) * 0.3
        latents, samples = torch.randn(N, LATENT), torch.randn(N, *shape)
        for network, inputs in ((generator, latents), (discriminator, samples)):
            of_class = [network(inputs, torch.full((N,), label)) for label in range(3)]
            for one, other in itertools.combinations(of_class, 2):
                assert (one - other).view(N, -1).abs().max(dim=1).values.min() > 1e-6
            mixed = network(inputs, torch.tensor([0, 1, 2, 1, 0]))
            torch.testing.assert_close(mixed[2], of_class[2][2], atol=1e-4, rtol=1e-4)  # each sample by its own label


@pytest.mark.parametrize("family", ["mlp", "dcgan", "residual"])
def test_building_is_a_function_of_the_global_seed(family: Family) -> None:
    for build in (narrow_generator, narrow_discriminator):
        states = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            states.append(build(family, (1, 16, 16), 2).state_dict())
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
        assert any(not torch.equal(value, states[2][key]) for key, value in states[0].items())


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def conv(inputs: int, outputs: int, side: int, bias: bool = True) -> int:
    return inputs * outputs * side * side + outputs * bias


class TestSizesByTheBook:
    def test_the_mlp_gan_of_28_pixels(self) -> None:
        """Latent 100, 256-512-1024-784 against 1024-512-256-1: 1,486,352 and 1,460,225 weights, as its tutorials print."""
        generator = generator_of("mlp", (1, 28, 28), 0, 100)
        discriminator = discriminator_of("mlp", (1, 28, 28), 0, dropout=0.3)
        assert count(generator) == linear(100, 256) + linear(256, 512) + linear(512, 1024) + linear(1024, 784) == 1_486_352
        assert count(discriminator) == linear(784, 1024) + linear(1024, 512) + linear(512, 256) + linear(256, 1) == 1_460_225

    def test_the_mlp_gan_of_points(self) -> None:
        """Latent 3, 32-16-2 against 2-32-16-1."""
        options: dict[str, Any] = {"widths": (32, 16)}
        assert count(generator_of("mlp", (2,), 0, 3, **options)) == linear(3, 32) + linear(32, 16) + linear(16, 2) == 690
        discriminator = discriminator_of("mlp", (2,), 0, **options)
        assert count(discriminator) == linear(2, 32) + linear(32, 16) + linear(16, 1) == 641

    def test_the_dcgan_of_28_pixels(self) -> None:
        """A dense layer to 7 x 7 x 256, transposed convolutions to 128, 64 and 1 channels; a discriminator of 64 and 128."""
        generator = generator_of("dcgan", (1, 28, 28), 0, 100, widths=(256, 128, 64))
        dense = 100 * 7 * 7 * 256  # without bias: batch normalisation follows, with a scale and a shift a channel
        assert dense == 1_254_400
        up = conv(256, 128, 4, bias=False) + 2 * 128 + conv(128, 64, 4, bias=False) + 2 * 64
        assert count(generator) == dense + 2 * 256 + up + conv(64, 1, 3) == 1_911_233
        sizes: list[tuple[int, ...]] = []
        for module in generator.modules():
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                module.register_forward_hook(lambda module, inputs, output: sizes.append(tuple(output.shape[1:])))
        generator(torch.randn(2, 100), None)
        assert sizes == [(128, 14, 14), (64, 28, 28), (1, 28, 28)]

        discriminator = discriminator_of("dcgan", (1, 28, 28), 0, widths=(64, 128), dropout=0.3, normalization="none")
        assert count(discriminator) == conv(1, 64, 4) + conv(64, 128, 4) + linear(128 * 7 * 7, 1) == 138_561
        dropouts = [module for module in discriminator.modules() if isinstance(module, nn.Dropout)]
        assert [dropout.p for dropout in dropouts] == [0.3, 0.3]

    @pytest.mark.parametrize("normalization", ["none", "spectral"])
    def test_a_dcgan_discriminator_with_a_dense_layer_in_front_of_its_logits(self, normalization: str) -> None:
        judge = narrow_discriminator("dcgan", (1, 28, 28), 3, widths=(8, 16), hidden=32, normalization=normalization)
        assert count(judge) == conv(1, 8, 4) + conv(8, 16, 4) + linear(16 * 7 * 7, 32) + linear(32, 1) + 3 * 32
        logits = judge(torch.randn(N, 1, 28, 28), labels(3))
        assert logits.shape == (N,)
        assert_gradient_reaches_every_weight(judge, logits)

    def test_the_dcgan_s_default_doubles_its_channels_each_halving(self) -> None:
        """At 64 pixels 64-128-256-512, as in the paper's figure 1 halved (its discriminator is as wide)."""
        discriminator = discriminator_of("dcgan", (3, 64, 64), 0, normalization="none")
        widths = [module.out_channels for module in discriminator.modules() if isinstance(module, nn.Conv2d)]
        assert widths == [64, 128, 256, 512]
        assert count(discriminator) == sum(itertools.starmap(conv, [(3, 64, 4), (64, 128, 4), (128, 256, 4), (256, 512, 4)])) + linear(
            512 * 16, 1
        )

    def test_the_residual_generator_is_sngan_s_without_shortcuts_of_equal_width(self) -> None:
        """SNGAN's for 32 pixels (256 channels, latent 128) has 4,276,739 weights, three 1 x 1 shortcuts among them."""
        generator = generator_of("residual", (3, 32, 32), 0, 128, width=256)
        assert count(generator) == 4_276_739 - 3 * conv(256, 256, 1)

    def test_the_residual_discriminator(self) -> None:
        """Three halvings and a block that keeps the side, 128 channels each: the first block as SNGAN's has 151,680 weights."""
        first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
        assert first == 151_680
        halving = 2 * conv(128, 128, 3) + conv(128, 128, 1)
        discriminator = discriminator_of("residual", (3, 32, 32), 0)
        assert count(discriminator) == first + 2 * halving + 2 * conv(128, 128, 3) + linear(128, 1) == 1_070_337


class TestSpectralNormalisation:
    @pytest.mark.parametrize("family", ["mlp", "dcgan", "residual"])
    def test_bounds_every_layer_of_the_discriminator(self, family: Family) -> None:
        """After some power iterations the largest singular value of each weight is 1."""
        torch.manual_seed(0)
        discriminator = narrow_discriminator(family, (1, 16, 16), 2, normalization="spectral")
        for _ in range(200):
            discriminator(torch.randn(4, 1, 16, 16), torch.arange(4) % 2)
        discriminator.eval()
        layers = [module for module in discriminator.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        assert layers
        for layer in layers:
            assert parametrize.is_parametrized(layer, "weight")
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)

    @pytest.mark.parametrize("family", ["dcgan", "residual"])
    def test_covers_every_layer_of_a_convolutional_discriminator(self, family: Family) -> None:
        network = narrow_discriminator(family, (1, 16, 16), normalization="spectral")
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert all(parametrize.is_parametrized(layer, "weight") for layer in layers)
        layers = [
            m for m in narrow_discriminator(family, (1, 16, 16), normalization="none").modules() if isinstance(m, nn.Conv2d | nn.Linear)
        ]
        assert not any(parametrize.is_parametrized(layer, "weight") for layer in layers)


def test_batch_normalisation_is_where_it_is_asked_for() -> None:
    def norms(network: nn.Module) -> int:
        return sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in network.modules())

    assert norms(narrow_generator("dcgan", (1, 16, 16))) == 3
    assert norms(narrow_generator("dcgan", (1, 16, 16), normalization="none")) == 0
    assert norms(narrow_generator("mlp", (2,))) == 0
    assert norms(narrow_generator("mlp", (2,), normalization="batch")) == 2
    assert norms(narrow_discriminator("mlp", (2,), normalization="batch")) == 2
    # The paper leaves the layer beside the image without.
    assert norms(narrow_discriminator("dcgan", (1, 16, 16), normalization="batch")) == 1


def test_the_mlp_generator_s_running_average_keeps_eight_tenths() -> None:
    generator = narrow_generator("mlp", (2,), normalization="batch")
    momenta = [module.momentum for module in generator.modules() if isinstance(module, nn.BatchNorm1d)]
    assert momenta == [pytest.approx(0.2)] * 2  # torch counts what is taken in


@pytest.mark.parametrize("family", ["mlp", "dcgan", "residual"])
def test_dropout_acts_in_training_alone(family: Family) -> None:
    torch.manual_seed(0)
    discriminator = narrow_discriminator(family, (1, 16, 16), dropout=0.5, normalization="none")
    samples = torch.randn(4, 1, 16, 16)
    assert not torch.equal(discriminator(samples, None), discriminator(samples, None))
    discriminator.eval()
    assert torch.equal(discriminator(samples, None), discriminator(samples, None))


@pytest.mark.parametrize(
    ("side", "expected"),
    [(8, (1, 4)), (10, (1, 5)), (12, (1, 6)), (14, (1, 7)), (16, (2, 4)), (28, (2, 7)), (32, (3, 4)), (40, (3, 5)), (48, (3, 6)),
     (64, (4, 4)), (128, (5, 4)), (1024, (8, 4))],
)  # fmt: skip
def test_resolutions(side: int, expected: tuple[int, int]) -> None:
    levels, smallest = expected
    assert resolutions((3, side, side), "dcgan") == (levels, (smallest, smallest))


def test_resolutions_of_sides_that_differ() -> None:
    assert resolutions((1, 64, 96), "dcgan") == (4, (4, 6))
    assert resolutions((1, 64, 16), "dcgan") == (2, (16, 4))
    with pytest.raises(ConfigError, match="64 x 72 pixels cannot be halved"):
        resolutions((1, 64, 72), "dcgan")


@pytest.mark.parametrize("family", ["dcgan", "residual"])
@pytest.mark.parametrize("side", [1, 2, 4, 5, 7, 9, 15, 18, 22, 30, 31, 36, 100])
def test_a_side_that_cannot_be_halved_is_refused_with_sizes_that_can(family: Family, side: int) -> None:
    for build in (narrow_generator, narrow_discriminator):
        with pytest.raises(ConfigError, match=rf"network {family}: {side} pixels cannot be halved.*use a size such as [0-9]+$"):
            build(family, (1, side, side))


@pytest.mark.parametrize("widths", [(8,), (8, 4), (8, 4, 4, 4)])
def test_widths_of_a_wrong_count_are_refused_with_the_right_one(widths: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=rf"generator\.widths: {len(widths)} given, and 28 pixels take 3"):
        generator_of("dcgan", (1, 28, 28), 0, LATENT, widths=widths)
    if len(widths) != 2:
        with pytest.raises(ConfigError, match=rf"discriminator\.widths: {len(widths)} given, and 28 pixels take 2"):
            discriminator_of("dcgan", (1, 28, 28), 0, widths=widths)


class TestSpecification:
    def test_auto_is_mlp_for_points_and_dcgan_for_images(self) -> None:
        for auto in (AutoGeneratorParams(), AutoDiscriminatorParams()):
            assert auto.settled("points", "hinge").network == "mlp"
            assert auto.settled("images", "hinge").network == "dcgan"

    def test_auto_keeps_what_is_asked_for(self) -> None:
        asked = AutoDiscriminatorParams(width=24, hidden=7, batch_distance=True)
        assert asked.settled("images", "minimax") == DcganDiscriminatorParams(width=24, hidden=7, batch_distance=True, normalization="none")
        with pytest.raises(ValueError, match="hidden: the mlp network has no such setting"):
            AutoDiscriminatorParams(hidden=7).settled("points", "minimax")

    def test_a_dense_generator_of_images_normalises_batches_unless_told(self) -> None:
        assert MlpGeneratorParams().settled("images", "hinge") == MlpGeneratorParams(normalization="batch")
        assert MlpGeneratorParams(normalization="none").settled("images", "hinge").normalization == "none"
        assert MlpGeneratorParams().settled("points", "hinge") == MlpGeneratorParams()

    def test_a_stored_dense_generator_that_says_nothing_of_it_has_no_normalisation(self) -> None:
        stored = MlpGeneratorParams.model_validate({"network": "mlp", "widths": None, "normalization": None, "components": None})
        network = build_generator(stored, data((1, 8, 8)), LATENT)
        assert not any(isinstance(module, nn.BatchNorm1d) for module in network.modules())

    def test_equal_specifications_fit_each_other_s_weights(self) -> None:
        for family in NARROW:
            shape = (1, 16, 16)
            one, other = (narrow_generator(family, shape, 2) for _ in range(2))
            other.load_state_dict(one.state_dict())
            one, other = (narrow_discriminator(family, shape, 2) for _ in range(2))
            other.load_state_dict(one.state_dict())

    def test_every_family_that_draws_has_both_players(self) -> None:
        assert set(NARROW) <= set(GENERATORS) & set(DISCRIMINATORS)


def test_the_dcgan_starts_from_a_narrow_normal_distribution() -> None:
    torch.manual_seed(0)
    generator = generator_of("dcgan", (1, 32, 32), 0, 64, width=32)
    for module in generator.modules():
        if isinstance(module, nn.ConvTranspose2d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert module.weight.mean().abs().item() < 0.02 / math.sqrt(module.weight.numel()) * 4
        elif isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1.0, abs=0.02)
            assert module.bias.abs().max() == 0


class TestDistanceInBatch:
    def test_is_that_of_the_definition(self) -> None:
        torch.manual_seed(0)
        features, given = torch.randn(6, 5), torch.tensor([0, 1, 0, 0, 1, 2])
        found = distance_in_batch(features, given)
        for i in range(6):
            others = [j for j in range(6) if j != i and given[j] == given[i]]
            squares = [(features[i] - features[j]).square().mean() for j in others]
            expected = torch.stack(squares).mean().sqrt() if squares else torch.zeros(())
            assert found[i] == pytest.approx(float(expected), abs=0.01)
        assert found[5] == pytest.approx(0, abs=1e-6)
        assert (distance_in_batch(features, None) > 0.5).all()

    def test_equal_samples_have_none_and_both_gradients(self) -> None:
        features = torch.ones(4, 3, requires_grad=True)
        found = distance_in_batch(features, None)
        torch.testing.assert_close(found, torch.zeros(4), atol=1e-6, rtol=0)
        (slope,) = torch.autograd.grad(found.sum(), features, create_graph=True)
        slope.square().sum().backward()
        assert features.grad is not None
        assert features.grad.isfinite().all()

    @pytest.mark.parametrize("family", ["dcgan", "residual"])
    def test_a_discriminator_tells_repeated_samples_from_different_ones(self, family: Family) -> None:
        """Of one label; beside samples of another label, repeating them changes nothing."""
        torch.manual_seed(0)
        judge = narrow_discriminator(family, (3, 16, 16), 2, batch_distance=True).eval()
        plain = narrow_discriminator(family, (3, 16, 16), 2).eval()
        assert count(judge) == count(plain) + 1 + 2
        samples = torch.randn(4, 3, 16, 16)
        repeated = samples[:1].expand(4, -1, -1, -1)
        given = torch.zeros(4, dtype=torch.long)
        apart = torch.tensor([0, 1, 1, 1])
        with torch.no_grad():
            assert judge(repeated, given)[0].item() != pytest.approx(judge(samples, given)[0].item(), abs=1e-5)
            assert judge(repeated, apart)[0].item() == pytest.approx(judge(samples, apart)[0].item(), abs=1e-5)


class TestDropout:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_drops_its_share_scales_the_rest_and_keeps_the_layout(self, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        images = torch.full((64, 8, 15, 15), 3.0, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
        dropped = Dropout(0.3)(images)
        assert dropped.stride() == images.stride()
        assert dropped.dtype == dtype
        kept = dropped != 0
        # The deviation of the share of 115,200 coins is 0.0014.
        assert kept.float().mean().item() == pytest.approx(0.7, abs=0.006)
        for dim in range(4):  # no row, column, channel or image is treated otherwise
            shares = kept.float().mean(dim=[other for other in range(4) if other != dim])
            assert shares.sub(0.7).abs().max() < 6 * math.sqrt(0.21 * len(shares) / kept.numel())
        assert dropped[kept].float().unique().tolist() == [pytest.approx(3 / 0.7, rel=0.01)]
        dropped.sum().backward()
        assert images.grad is not None
        assert torch.equal(images.grad != 0, kept)

    def test_is_a_function_of_the_random_state_and_nothing_without_training(self) -> None:
        features = torch.randn(33, 7)
        layer = Dropout(0.5)
        masks = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            masks.append(layer(features) != 0)
        assert torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[0], masks[2])
        assert torch.equal(layer.eval()(features), features)

    def test_a_share_next_to_one_stays_finite(self) -> None:
        assert Dropout(1 - 1e-9)(torch.ones(1_000)).isfinite().all()


class TestMixtureLatent:
    def test_equal_shares_of_the_latents_belong_to_each_component_by_their_first_coordinate(self) -> None:
        mixture = MixtureLatent(3, components=4)
        with torch.no_grad():
            mixture.mean.weight.copy_(torch.arange(4.0)[:, None].expand(4, 2))
            mixture.log_std.weight.fill_(-20)
        latents = torch.randn(4_000, 3, generator=torch.Generator().manual_seed(0))
        drawn = mixture(latents)
        assert drawn.shape == (4_000, 2)
        assert torch.equal(mixture(latents), drawn)
        order = drawn[latents[:, 0].argsort(), 0].round()
        assert torch.equal(order, order.sort().values)
        assert torch.bincount(order.long()).tolist() == pytest.approx([1_000] * 4, rel=0.1)

    def test_each_component_has_its_own_mean_and_deviation(self) -> None:
        mixture = MixtureLatent(2, components=2)
        with torch.no_grad():
            mixture.mean.weight.copy_(torch.tensor([[-3.0], [5.0]]))
            mixture.log_std.weight.copy_(torch.tensor([[0.0], [2.0]]))
        drawn = mixture(torch.tensor([[-1.0, 0.5], [1.0, 0.5], [-20.0, 1.0], [20.0, 1.0]])).squeeze(1)
        assert drawn.tolist() == pytest.approx([-2.5, 5 + 0.5 * math.exp(2), -2, 5 + math.exp(2)])

    def test_it_learns(self) -> None:
        generator = generator_of("mlp", (2,), 0, latent=4, widths=(8,), components=5)
        generator(torch.randn(64, 4)).square().sum().backward()
        assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in generator.parameters())

    def test_a_latent_too_short_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="latent: a mixture takes one coordinate for itself"):
            MixtureLatent(1, components=2)


@pytest.mark.parametrize("family", ["dcgan", "residual"])
@pytest.mark.parametrize(("frames", "smallest"), [(2, 2), (5, 5), (6, 6), (8, 4), (16, 4), (24, 6), (32, 8)])
def test_frames_of_clips_are_halved_as_often_as_they_can_be_and_places_down_to_four(family: Family, frames: int, smallest: int) -> None:
    spec = Clips((3, frames, 16, 16), classes=("a", "b"))
    assert factors_of(spec, family)[1] == (smallest, 4, 4)
    params = GENERATORS[family].model_validate(NARROW[family]), DISCRIMINATORS[family].model_validate(NARROW[family])
    generator, discriminator = build_generator(params[0], spec, LATENT), build_discriminator(params[1], spec)
    clips = generator(torch.randn(N, LATENT), labels(2))
    assert clips.shape == (N, *spec.shape)
    logits = discriminator(clips, labels(2))
    assert logits.shape == (N,)
    assert_gradient_reaches_every_weight(discriminator, logits)
