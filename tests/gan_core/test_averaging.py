"""The moving average against its closed form: its half-life is counted in images."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_core.averaging import Average


class Weight(nn.Module):
    """One weight and, as batch normalisation has it, one counter."""

    count: torch.Tensor

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.register_buffer("count", torch.tensor(0))

    def set(self, value: float) -> None:
        with torch.no_grad():
            self.value.fill_(value)
            self.count += 1


def value(average: Average) -> float:
    return float(average.network.get_parameter("value"))


@pytest.mark.parametrize("step", [10, 64, 500])
def test_after_a_half_life_of_images_half_of_the_old_weight_is_left(step: int) -> None:
    """A weight that was 1 and is 0 from now on is 0.5 ** (images / half-life) in the average, whatever the size of a step."""
    half_life, start = 1_000, 1_000_000  # so late that the half-life is no longer shortened
    network = Weight(1.0)
    average = Average(network, half_life)
    network.set(0.0)
    for images in range(step, 5_000 + 1, step):
        average.update(start + images, step)
        assert value(average) == pytest.approx(0.5 ** (images / half_life), rel=1e-4)


def test_the_average_of_a_moving_weight_is_the_weighted_sum_of_all_its_values() -> None:
    half_life, step, start = 640, 64, 1_000_000
    network = Weight(0.0)
    average = Average(network, half_life)
    values = torch.randn(50, generator=torch.Generator().manual_seed(0)).double()
    for i, now in enumerate(values):
        network.set(float(now))
        average.update(start + (i + 1) * step, step)
    keep = 0.5 ** (step / half_life)
    ages = torch.arange(len(values) - 1, -1, -1, dtype=torch.float64)
    assert value(average) == pytest.approx(float(((1 - keep) * keep**ages * values).sum()), rel=1e-4)


def test_while_the_run_is_young_the_half_life_is_a_twentieth_of_it() -> None:
    """So the start, which is noise, is forgotten: after `images` a step keeps 0.5 ** (step / (images / 20))."""
    network = Weight(1.0)
    average = Average(network, half_life=1_000_000)
    network.set(0.0)
    expected = 1.0
    for images in range(100, 2_001, 100):
        average.update(images, 100)
        expected *= 0.5 ** (100 / (images / 20))
        assert value(average) == pytest.approx(expected, rel=1e-4)
    assert value(average) < 1e-20


def test_a_half_life_of_0_ships_the_weights_as_they_are() -> None:
    network = Weight(1.0)
    average = Average(network, half_life=0)
    network.set(0.25)
    average.update(64, 64)
    assert value(average) == 0.25


def test_counters_are_copied_and_the_network_itself_is_left_alone() -> None:
    network = Weight(1.0).train()
    average = Average(network, half_life=100)
    network.set(3.0)
    network.set(3.0)
    average.update(1_000_000, 100)
    assert average.network.get_buffer("count") == 2
    assert network.value == 3.0
    assert network.training
    assert network.value.requires_grad
    assert not average.network.training
    assert not average.network.get_parameter("value").requires_grad


def test_running_statistics_of_batch_normalisation_are_averaged_too() -> None:
    network = nn.BatchNorm1d(2)
    average = Average(network, half_life=100)
    network(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
    average.update(1_000_000, 100)
    assert network.running_mean is not None
    torch.testing.assert_close(average.network.get_buffer("running_mean"), network.running_mean / 2)
    assert average.network.get_buffer("num_batches_tracked") == 1


def test_the_average_goes_on_after_its_weights_were_loaded() -> None:
    """A resumed run loads the averaged weights; the next update must start from them."""
    network = Weight(1.0)
    average = Average(network, half_life=100)
    average.network.load_state_dict({"value": torch.tensor(5.0), "count": torch.tensor(7)})
    network.load_state_dict({"value": torch.tensor(3.0), "count": torch.tensor(8)})
    average.update(1_000_000, 100)
    assert value(average) == 4.0
    assert average.network.get_buffer("count") == 8


class TestSpectralNormalisation:
    """The average of rotating unit vectors is short, and dividing by u'Wv as they stand makes weights several times too large."""

    def trained(self, normalized: nn.Module, steps: int = 300) -> Average:
        average = Average(normalized, half_life=100)
        draw = torch.Generator().manual_seed(0)
        for step in range(1, steps + 1):
            with torch.no_grad():
                for weight in normalized.parameters():
                    weight.add_(0.1 * torch.randn(weight.shape, generator=draw))
            normalized(torch.ones(4, 16))
            average.update(step * 10, 10)
        return average

    def test_the_averaged_network_has_a_largest_singular_value_of_1(self) -> None:
        torch.manual_seed(0)
        average = self.trained(nn.Sequential(spectral_norm(nn.Linear(16, 16)), nn.ReLU(), spectral_norm(nn.Linear(16, 8))))
        for layer in (0, 2):
            weight = average.network.get_submodule(str(layer)).weight
            assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1.0, abs=0.01)

    def test_it_is_that_of_the_averaged_weights(self) -> None:
        torch.manual_seed(0)
        average = self.trained(spectral_norm(nn.Linear(16, 8)))
        mean = average.network.state_dict()["parametrizations.weight.original"]
        expected = mean / torch.linalg.matrix_norm(mean, 2)
        torch.testing.assert_close(average.network.get_parameter("parametrizations.weight.original"), mean)
        torch.testing.assert_close(average.network.weight, expected, atol=0.01, rtol=0.01)  # type: ignore[arg-type]

    def test_looking_at_it_changes_nothing_that_comes_after(self) -> None:
        states = []
        for look in (False, True):
            torch.manual_seed(0)
            network = spectral_norm(nn.Linear(16, 8))
            average = self.trained(network)
            if look:
                _ = average.network
            network(torch.ones(4, 16))
            average.update(10_000, 10)
            states.append(average.network.state_dict())
        for name, value_of_one in states[0].items():
            assert torch.equal(value_of_one, states[1][name]), name


def test_other_buffers_are_taken_as_they_are() -> None:
    """The mean of a pool of past samples, or of directions, means nothing."""
    network = Weight(1.0)
    network.register_buffer("pool", torch.zeros(3))
    average = Average(network, half_life=100)
    network.pool.copy_(torch.tensor([1.0, 2.0, 3.0]))
    average.update(1_000_000, 100)
    assert average.network.get_buffer("pool").tolist() == [1.0, 2.0, 3.0]
