"""What is shipped: saved and loaded without loss, the same bytes for the same question, damage refused, nothing unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from gan_core.data.labels import Classes
from gan_core.errors import ConfigError, DataError
from gan_core.generator import MAX_COUNT, Generator, GeneratorConfig, read_config
from gan_core.kinds.images import Images
from gan_core.kinds.points import Points
from gan_core.networks import build_generator
from gan_core.params.networks import GENERATORS, MlpGeneratorParams
from gan_core.randomness import mix

DIGITS = tuple("0123456789")


def make(classes: tuple[str, ...] | None = None, family: Literal["mlp", "dcgan", "residual"] = "dcgan") -> Generator:
    """A generator of 16 x 16 images with random weights and statistics, as a training would leave them."""
    spec = GENERATORS[family].model_validate({} if family == "mlp" else {"width": 4})
    data = Images((1, 16, 16), classes=classes)
    torch.manual_seed(0)
    network = build_generator(spec, data, 6).train()
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * torch.randn_like(weight)
    for _ in range(3):
        network(torch.randn(8, 6), torch.arange(8) % len(classes) if classes else None)
    return Generator(GeneratorConfig("gan", data, 6, spec, images=640, seed=3, dataset="d" * 64), network)


def make_points() -> Generator:
    spec = MlpGeneratorParams(widths=(8,))
    torch.manual_seed(0)
    config = GeneratorConfig("gan", Points((2,), mean=(10.0, -20.0), std=(0.5, 2.0)), 3, spec, 640, 3, "d" * 64)
    return Generator(config, build_generator(spec, config.data, 3))


class TestSampling:
    @pytest.mark.parametrize("family", ["mlp", "dcgan", "residual"])
    def test_images_are_bytes(self, family: Literal["mlp", "dcgan", "residual"]) -> None:
        drawn = make(family=family).sample(5, seed=1)
        assert drawn.samples.shape == (5, 1, 16, 16)
        assert drawn.samples.dtype == np.uint8
        assert drawn.samples.flags.c_contiguous
        assert drawn.samples.std() > 1
        assert drawn.labels is None

    def test_points_come_in_the_data_s_own_units(self) -> None:
        generator = make_points()
        drawn = generator.sample(400, seed=0).samples
        assert drawn.dtype == np.float32
        with torch.no_grad():
            raw = generator.network(torch.randn(400, 3, generator=torch.Generator().manual_seed(mix(0))), None).numpy()
        np.testing.assert_allclose(drawn, raw * [0.5, 2.0] + [10.0, -20.0], rtol=1e-5)

    @pytest.mark.parametrize("n", [1, 5, 300])
    def test_the_same_question_gives_the_same_bytes(self, n: int) -> None:
        generator = make(DIGITS)
        first = generator.sample(n, seed=9)
        torch.manual_seed(123)  # the global state has no part in it
        torch.randn(7)
        state = torch.get_rng_state()
        again = generator.sample(n, seed=9)
        assert first.samples.tobytes() == again.samples.tobytes()
        assert torch.equal(torch.get_rng_state(), state)
        assert generator.sample(n, seed=10).samples.tobytes() != first.samples.tobytes()

    def test_the_network_is_never_changed_by_sampling(self) -> None:
        generator = make(DIGITS)
        before = {key: value.clone() for key, value in generator.network.state_dict().items()}
        generator.sample(20, seed=1)
        assert all(torch.equal(value, before[key]) for key, value in generator.network.state_dict().items())
        assert not generator.network.training

    def test_every_seed_in_range_is_another_draw(self) -> None:
        """Also seeds whose low 32 bits are the same, which are all that torch's generator looks at."""
        seeds = [0, 1, 2**31, 2**32, 2**32 + 1, 2**62, 2**63 - 2**32, 2**63 - 1]
        draws = {make_points().sample(2, seed=seed).samples.tobytes() for seed in seeds}
        assert len(draws) == len(seeds)

    @pytest.mark.parametrize("seed", [-1, 2**63, -(2**70)])
    def test_a_seed_out_of_range_is_refused(self, seed: int) -> None:
        with pytest.raises(ConfigError, match=rf"seed: {seed} is not in 0 to 2\*\*63 - 1"):
            make_points().sample(2, seed=seed)

    @pytest.mark.parametrize("n", [0, -1, MAX_COUNT + 1])
    def test_a_count_out_of_range_is_refused(self, n: int) -> None:
        with pytest.raises(ConfigError, match=rf"count: {n} is not in 1 to 1,000,000"):
            make_points().sample(n)


class TestTogether:
    @pytest.mark.parametrize("generator", [*(make(("a", "b"), family) for family in ("mlp", "dcgan", "residual")), make_points()])
    def test_orders_that_are_drawn_together_give_what_each_gives_alone(self, generator: Generator) -> None:
        asked: list[dict[str, Any]] = [
            {"n": 1, "seed": 3},
            {"n": 7, "seed": 4, "truncation": 0.5},
            {"n": 300, "seed": 5},
            {"n": 4, "walk": True},
        ]
        together = generator.draw([generator.order(**one) for one in asked])
        for drawn, one in zip(together, asked, strict=True):
            alone = generator.sample(**one)
            np.testing.assert_array_equal(drawn.samples, alone.samples)
            np.testing.assert_array_equal(drawn.labels, alone.labels)
        assert generator.draws_alike()

    def test_a_network_that_looks_at_its_batch_is_found_out(self) -> None:
        generator = make()
        generator.network.register_forward_hook(lambda module, inputs, output: output - output.mean(dim=0))
        assert not generator.draws_alike()


class TestTruncationAndWalk:
    def test_truncated_latents_draw_samples_that_differ_less(self) -> None:
        generator = make()
        spread = [generator.sample(200, seed=1, truncation=bound).samples.std(axis=0).mean() for bound in (0.2, 1.0, 5.0)]
        assert spread[0] < 0.5 * spread[2]
        assert spread[0] < spread[1] < spread[2]

    @pytest.mark.parametrize("bound", [0.0, -1.0, float("inf"), float("nan")])
    def test_a_bound_that_is_none_is_refused(self, bound: float) -> None:
        with pytest.raises(ConfigError, match=r"^truncation: .* is not above 0"):
            make().sample(1, truncation=bound)

    def test_a_walk_goes_in_small_steps(self) -> None:
        generator = make()
        walk, apart = (generator.sample(80, seed=1, walk=walk).samples.astype(float) for walk in (True, False))
        assert np.abs(np.diff(walk, axis=0)).mean() < 0.5 * np.abs(np.diff(apart, axis=0)).mean()

    def test_a_walk_stays_with_one_class(self) -> None:
        assert make(DIGITS).sample(20, walk=True).labels.tolist() == [0] * 20  # type: ignore[union-attr]
        assert make(DIGITS).sample(20, walk=True, label="7").labels.tolist() == [7] * 20  # type: ignore[union-attr]


class TestLabels:
    def test_without_a_label_the_classes_come_in_turn(self) -> None:
        drawn = make(DIGITS).sample(12)
        assert drawn.labels is not None
        assert drawn.labels.dtype == np.int64
        assert drawn.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]

    @pytest.mark.parametrize("label", [2, "2", "third"])
    def test_one_label_for_all_by_index_or_name(self, label: int | str) -> None:
        generator = make(("first", "second", "third"))
        drawn = generator.sample(7, seed=4, label=label)
        assert drawn.labels is not None
        assert drawn.labels.tolist() == [2] * 7
        expected = generator.sample(7, seed=4, labels=np.full(7, 2))
        np.testing.assert_array_equal(drawn.samples, expected.samples)

    def test_each_sample_by_its_own_label(self) -> None:
        generator = make(("a", "b", "c"))
        labels = np.array([2, 0, 1, 1])
        mixed = generator.sample(4, seed=4, labels=labels)
        assert mixed.labels is not None
        np.testing.assert_array_equal(mixed.labels, labels)
        for i, label in enumerate(labels):
            np.testing.assert_array_equal(mixed.samples[i], generator.sample(4, seed=4, label=int(label)).samples[i])
        assert not np.array_equal(mixed.samples, generator.sample(4, seed=4, label=0).samples)

    def test_a_name_goes_before_an_index(self) -> None:
        assert Classes(("1", "2", "3")).read(1) == 0
        assert Classes(("zero", "one", "two")).read("2") == 2

    @pytest.mark.parametrize("label", [0, "0", "2"])
    @pytest.mark.parametrize("classes", [("-1", "1"), ("1", "3", "4"), ("0.5", "1.5", "x")])
    def test_where_a_name_is_a_number_a_number_is_no_index(self, label: int | str, classes: tuple[str, ...]) -> None:
        with pytest.raises(
            ConfigError, match=r"label: no class '.'; this generator knows .*; numbers are names here, so it is asked by name"
        ):
            make(classes).sample(3, label=label)

    @pytest.mark.parametrize("label", ["ten", 10, "10", -1, "-1", "", "1.0", "²", "9" * 5_000])
    def test_an_unknown_label_is_refused_with_those_there_are(self, label: int | str) -> None:
        with pytest.raises(ConfigError, match=r"label: no class '.*'; this generator knows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9") as raised:
            make(DIGITS).sample(3, label=label)
        assert len(str(raised.value)) < 250

    def test_of_many_classes_twenty_are_shown(self) -> None:
        with pytest.raises(ConfigError, match=r"knows c0, .*, c19, \.\.\.$"):
            Classes(tuple(f"c{i}" for i in range(1_000))).read("x")

    @pytest.mark.parametrize("labels", [[0, 1], [0, 1, 10], [0, -1, 2], [[0], [1], [2]]])
    def test_labels_of_a_wrong_form_are_refused(self, labels: list[Any]) -> None:
        with pytest.raises(ConfigError, match=r"labels: expected \(3,\) of 0 to 9"):
            make(DIGITS).sample(3, labels=np.array(labels))

    def test_both_label_and_labels_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="and no `label` beside them"):
            make(DIGITS).sample(3, label=1, labels=np.array([0, 1, 2]))

    def test_an_unconditional_generator_takes_none(self) -> None:
        with pytest.raises(ConfigError, match="this generator is unconditional; leave the label out"):
            make().sample(3, label=0)
        with pytest.raises(ConfigError, match="this generator is unconditional"):
            make().sample(3, labels=np.array([0, 0, 0]))


class TestOnDisk:
    @pytest.mark.parametrize("made", [make(), make(DIGITS), make(DIGITS, "residual"), make(DIGITS, "mlp"), make_points()])
    def test_what_was_saved_is_loaded_and_draws_the_same(self, made: Generator, tmp_path: Path) -> None:
        saved = made.save(tmp_path / "generator")
        loaded = Generator.load(tmp_path / "generator")
        assert loaded.config == saved.config == read_config(tmp_path / "generator")
        assert loaded.config.sha256 == hashlib.sha256((tmp_path / "generator" / "generator.safetensors").read_bytes()).hexdigest()
        np.testing.assert_array_equal(loaded.sample(9, seed=5).samples, made.sample(9, seed=5).samples)

    def test_the_same_generator_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """Also where its weights lie in memory as convolutions like them."""
        make(DIGITS).save(tmp_path / "one")
        turned = make(DIGITS)
        turned.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        turned.save(tmp_path / "other")
        for name in ("config.json", "generator.safetensors"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()

    def test_loaded_weights_lie_as_convolutions_like_them(self, tmp_path: Path) -> None:
        make(DIGITS).save(tmp_path / "generator")
        weights = [weight for weight in Generator.load(tmp_path / "generator").network.parameters() if weight.dim() == 4]
        assert weights
        assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)

    def test_a_folder_that_is_there_is_not_overwritten(self, tmp_path: Path) -> None:
        make().save(tmp_path / "generator")
        before = (tmp_path / "generator" / "config.json").read_bytes()
        with pytest.raises(FileExistsError):
            make(DIGITS).save(tmp_path / "generator")
        assert (tmp_path / "generator" / "config.json").read_bytes() == before

    @pytest.mark.parametrize("name", ["config.json", "generator.safetensors"])
    def test_a_missing_file_is_named(self, tmp_path: Path, name: str) -> None:
        make().save(tmp_path / "generator")
        (tmp_path / "generator" / name).unlink()
        with pytest.raises(DataError, match=rf"generator/{name}: cannot be read \(No such file"):
            Generator.load(tmp_path / "generator")

    def test_any_flipped_bit_of_the_weights_is_noticed(self, tmp_path: Path) -> None:
        make().save(tmp_path / "generator")
        path = tmp_path / "generator" / "generator.safetensors"
        original = path.read_bytes()
        for position in range(0, len(original), max(1, len(original) // 60)):
            damaged = bytearray(original)
            damaged[position] ^= 4
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=r"generator\.safetensors: its bytes are not the ones that config\.json names"):
                Generator.load(tmp_path / "generator")
        for short in (b"", original[:-1], original[: len(original) // 2]):
            path.write_bytes(short)
            with pytest.raises(DataError, match=r"its bytes are not the ones"):
                Generator.load(tmp_path / "generator")

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "3", "null", "{}", '{"format": 1}', '{"format": 1, "network": 3}', '{"format": 1, "network": {}}']
    )
    def test_a_damaged_config_is_named(self, tmp_path: Path, text: str) -> None:
        make().save(tmp_path / "generator")
        (tmp_path / "generator" / "config.json").write_text(text)
        with pytest.raises(DataError, match=r"generator/config\.json: "):
            Generator.load(tmp_path / "generator")

    def test_a_network_with_settings_that_it_does_not_have_is_named_in_one_line(self, tmp_path: Path) -> None:
        make().save(tmp_path / "generator")
        change(tmp_path / "generator", network={"network": "mlp", "widths": "wide"})
        with pytest.raises(DataError, match=r"config\.json: damaged, or of .* releases \(network\.\S*widths\S*: .*\)") as caught:
            Generator.load(tmp_path / "generator")
        assert "\n" not in str(caught.value)

    def test_another_format_is_named(self, tmp_path: Path) -> None:
        make().save(tmp_path / "generator")
        change(tmp_path / "generator", format=3)
        with pytest.raises(DataError, match=r"config\.json: has format 3, and this version of Gantry reads 2"):
            Generator.load(tmp_path / "generator")

    @pytest.mark.parametrize(
        "network",
        [{"latent": 7}, {"width": 8}, {"family": "residual"}, {"family": "unheard-of"}, {"shape": [1, 17, 17]}, {"width": -4},
         {"width": "wide"}, {"classes": 4}],
    )  # fmt: skip
    def test_weights_that_do_not_fit_the_config_are_refused(self, tmp_path: Path, network: dict[str, Any]) -> None:
        make().save(tmp_path / "generator")
        fields = json.loads((tmp_path / "generator" / "config.json").read_text())
        change(tmp_path / "generator", network={**fields["network"], **network})
        with pytest.raises(DataError, match="generator/"):
            Generator.load(tmp_path / "generator")

    @pytest.mark.parametrize("wrap", [False, True])
    def test_a_planted_pickle_is_never_loaded(self, tmp_path: Path, wrap: bool) -> None:
        """Even one that config.json vouches for."""
        trap = tmp_path / "sprung"

        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (trap,)

        make().save(tmp_path / "generator")
        weights = tmp_path / "generator" / "generator.safetensors"
        if wrap:
            torch.save({"dense.weight": Trap()}, weights)
        else:
            weights.write_bytes(pickle.dumps(Trap()))
        torch.save(Trap(), tmp_path / "generator" / "generator.pt")
        change(tmp_path / "generator", sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
        with pytest.raises(DataError, match=r"generator\.safetensors: does not fit the network in config\.json"):
            Generator.load(tmp_path / "generator")
        assert not trap.exists()


def change(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
