"""What a training takes over from another one: by name and shape, weight by weight and moment by moment; the rest is new."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, ones, zeros

from gan_core import checkpoint, training
from gan_core.averaging import Average
from gan_core.checkpoint import Checkpoint
from gan_core.data.dataset import Dataset
from gan_core.data.scaling import images_to_unit
from gan_core.errors import ConfigError, TrainingError
from gan_core.kinds.pairs import Pairs
from gan_core.networks.common import layers_of
from gan_core.params import GanParams, Pix2pixParams
from gan_core.recipes import build_recipe
from gan_core.start import are_reversed, check_fits, moments_taken, take_over
from gan_core.training import fitting, identity, train

Make = Callable[..., Dataset]
ADAM = frozenset({"step", "exp_avg", "exp_avg_sq"})


def params(**changes: Any) -> GanParams:
    network = {"network": "dcgan", "width": 4}
    base = {"images": 160, "batch": 8, "latent": 4, "generator": network, "discriminator": network, "loss": "hinge"}
    return GanParams.model_validate({**base, **changes})


def trained(options: GanParams, dataset: Dataset, folder: Path, **how: Any) -> Checkpoint:
    assert train(options, dataset, folder, **how)
    return checkpoint.read(folder / "checkpoint")


def barely(**changes: Any) -> GanParams:
    """One step at rates that move nothing: what a training ends with is what it began with."""
    return params(images=8, ema=10**12, optimizer={"learning_rate": 1e-12}, **changes)


def test_what_has_the_name_the_shape_and_the_type_is_taken_and_the_rest_is_said() -> None:
    mine = {"a": zeros(2, 3), "b": zeros(4), "c": zeros(5), "d": zeros(2, dtype=torch.int64)}
    theirs = {"a": ones(2, 3), "b": ones(3), "d": ones(2), "e": ones(7)}
    found = take_over(mine, theirs)
    assert list(found.tensors) == ["a"]
    assert found.tensors["a"] is theirs["a"]
    assert found.new == {"b": "(3,) there, (4,) here", "c": "not there", "d": "float32 there, int64 here"}
    assert found.share == pytest.approx(6 / 17)
    assert found.in_words == (
        "1 of 4 tensors taken over (35.3% of the numbers); new: b ((3,) there, (4,) here), c (not there), d (float32 there, int64 here)"
    )
    assert not mine["a"].any()


def test_a_bias_that_fits_by_chance_makes_no_start() -> None:
    check_fits(take_over({"weight": zeros(99), "bias": zeros(1)}, {"bias": ones(1)}))
    with pytest.raises(
        ConfigError, match=r"fits nothing here: 1 of 2 tensors taken over \(1.0% of the numbers\); new: weight \(not there\)"
    ):
        check_fits(take_over({"weight": zeros(100), "bias": zeros(1)}, {"bias": ones(1)}))
    with pytest.raises(ConfigError, match="fits nothing"):
        check_fits(take_over({}, {}))


def test_rows_follow_the_names_of_their_classes() -> None:
    mine = {"table": torch.tensor([[0.0, 0], [0, 0], [0, 0]]), "other": zeros(3, 2)}
    theirs = {"table": torch.tensor([[1.0, 1], [2, 2], [3, 3]]), "other": ones(3, 2)}
    found = take_over(mine, theirs, {"table": (("b", "c", "a"), ("a", "b", "gone"))})
    assert found.tensors["table"].tolist() == [[2, 2], [0, 0], [1, 1]]
    assert (found.by_class, found.share) == ({"table": "2 of 3 rows, new: c"}, 10 / 12)
    assert found.tensors["other"] is theirs["other"]
    assert "by the names of their rows: 2 of 3 rows, new: c" in found.in_words
    assert not mine["table"].any()
    # Of the same names nothing is moved, and where theirs are not known, rows are taken as they stand.
    for named in ({"table": (("a", "b", "c"), ("a", "b", "c"))}, None):
        assert take_over(mine, theirs, named).tensors["table"] is theirs["table"]
    narrower = take_over(mine, {"table": ones(3, 5)}, {"table": (("b", "c", "a"), ("a", "b", "gone"))})
    assert narrower.new["table"] == "(3, 5) there, (3, 2) here"


@pytest.mark.parametrize("normalization", ["none", "spectral"])
@pytest.mark.parametrize("network", ["dcgan", "residual", "mlp"])
def test_with_an_added_class_each_label_keeps_what_was_learned_of_it(
    make_dataset: Make, tmp_path: Path, network: str, normalization: str
) -> None:
    size = {"widths": [8]} if network == "mlp" else {"width": 4}
    options: dict[str, Any] = {
        "condition": "label", "generator": {"network": network, **size},
        "discriminator": {"network": network, "normalization": normalization, **size},
    }  # fmt: skip
    first = make_dataset(classes=2)
    start = trained(params(**options), first, tmp_path / "first")
    start = replace(start, facts={**start.facts, "classes": ["class-1", "class-0"]})  # as if they had stood in this order
    other = make_dataset(classes=3, folder=tmp_path / "other")
    found = trained(barely(**options), other, tmp_path / "second", start=start)
    fresh = trained(barely(**options), other, tmp_path / "fresh")
    record = json.loads((tmp_path / "second" / "start.json").read_text())
    assert set(record["by_class"].values()) == {"2 of 3 rows, new: class-2"}
    players = {name.split("/")[1] for name in record["by_class"] if name.startswith("players")}
    assert players == {"generator", "discriminator"}
    assert any(name.startswith("average") for name in record["by_class"])
    for name in record["by_class"]:
        there, here = start.tensors[name], found.tensors[name]
        torch.testing.assert_close(here[:2], there[[1, 0]], rtol=0, atol=1e-8, msg=name)
        if not name.startswith("average"):
            torch.testing.assert_close(here[2], fresh.tensors[name][2], rtol=0, atol=1e-8, msg=name)


def moments(number: int, *shape: int) -> dict[str, Tensor]:
    return {f"{number}/step": ones(()), f"{number}/exp_avg": ones(shape), f"{number}/exp_avg_sq": ones(shape)}


def test_a_weight_has_all_of_its_moments_or_none() -> None:
    weights = [zeros(2), zeros(3), zeros(4)]
    theirs = {**moments(0, 2), **moments(1, 9), **moments(2, 4)}
    del theirs["2/exp_avg_sq"]
    assert {number: set(state) for number, state in moments_taken(weights, theirs, ADAM, same_network=True).items()} == {0: ADAM}
    assert moments_taken(weights, theirs, ADAM, same_network=False) == {}
    assert moments_taken(weights, theirs, frozenset({"step", "square_avg"}), same_network=True) == {}


def test_networks_averages_and_moments_come_over_whole(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset(classes=2)
    trained(params(condition="label"), dataset, tmp_path / "first")
    start, given = (checkpoint.read(tmp_path / "first" / "checkpoint") for _ in range(2))  # what is given is not to be changed
    notes: list[str] = []
    found = trained(barely(condition="label", seed=9), dataset, tmp_path / "second", start=given, on_note=notes.append)
    # The running statistics and the singular vectors of a network change with each batch, whatever the rate.
    changing = ("running_mean", "running_var", "num_batches_tracked", "_u", "_v")
    for name in (name for name in start.tensors if not name.endswith(changing)):
        there, here = start.tensors[name], found.tensors[name]
        if name.endswith("/step"):
            assert here == there + 1, name
        elif not name.startswith("optimizers"):
            torch.testing.assert_close(here, there, rtol=0, atol=1e-8, msg=name)
    assert all(torch.equal(given.tensors[name], tensor) for name, tensor in start.tensors.items())
    record = json.loads((tmp_path / "second" / "start.json").read_text())
    weights = sum(name.endswith("/step") for name in start.tensors)
    assert (record["share"], record["new"], record["moments"]) == (1.0, {}, {"taken": weights, "of": weights})
    assert {name for name in start.tensors if not name.startswith("optimizers")} == set(record["taken"])
    assert notes == [f"{len(record['taken'])} of {len(record['taken'])} tensors taken over (100.0% of the numbers), with the moments of "
                     f"{weights} of {weights} weights"]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "new"),
    [
        ({"classes": 3}, {"average/input.embedding.weight": "(2, 4) there, (3, 4) here"}),
        ({"classes": 2, "shape": (3, 16, 16)}, {"players/discriminator/layers.0.weight": "(4, 1, 4, 4) there, (4, 3, 4, 4) here"}),
        ({"classes": 2, "shape": (1, 32, 32)}, {"players/discriminator/layers.5.weight": "not there"}),
    ],
    ids=["more classes", "grey to colour", "another size"],
)
def test_where_shapes_differ_the_rest_is_taken(make_dataset: Make, tmp_path: Path, data: dict[str, Any], new: dict[str, str]) -> None:
    plain: dict[str, Any] = {"condition": "label", "discriminator": {"network": "dcgan", "width": 4, "normalization": "none"}}
    start = trained(params(**plain), make_dataset(classes=2), tmp_path / "first")
    other = make_dataset(**data, folder=tmp_path / "other")
    found = trained(barely(**plain), other, tmp_path / "second", start=start)
    record = json.loads((tmp_path / "second" / "start.json").read_text())
    assert new.items() <= record["new"].items()
    assert record["taken"]
    assert record == {**fitting(barely(**plain), other, start).as_record(), "moments": record["moments"]}
    fresh = trained(barely(**plain), other, tmp_path / "fresh")
    for name in record["new"]:
        if "running_" not in name and not name.startswith("average"):
            torch.testing.assert_close(found.tensors[name], fresh.tensors[name], rtol=0, atol=1e-8, msg=name)
    weights = [name for name in record["taken"] if name.endswith(".weight") and "players" in name]
    assert weights
    for name in weights:
        torch.testing.assert_close(found.tensors[name], start.tensors[name], rtol=0, atol=1e-8, msg=name)


def test_moments_stay_with_their_weights_where_others_have_come(make_dataset: Make, tmp_path: Path) -> None:
    """A deeper discriminator numbers its weights otherwise, so its optimiser begins anew; the generator's goes on where shapes allow."""
    dataset = make_dataset()
    start = trained(params(), dataset, tmp_path / "first")
    hidden = params(images=8, discriminator={"network": "dcgan", "width": 4, "hidden": 16})
    found = trained(hidden, dataset, tmp_path / "second", start=start)
    steps = {name: float(value) for name, value in found.tensors.items() if name.endswith("/step")}
    assert {value for name, value in steps.items() if name.startswith("optimizers/0/")} == {1.0}
    assert {value for name, value in steps.items() if name.startswith("optimizers/1/")} == {21.0}


def test_another_game_or_network_is_refused_before_the_first_step(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    dense = {"network": "mlp", "widths": [16, 8]}
    start = trained(params(generator=dense, discriminator=dense), dataset, tmp_path / "first")
    with pytest.raises(ConfigError, match=r"fits nothing here: .*write train\.start: scratch"):
        fitting(params(), dataset, start)
    with pytest.raises(ConfigError, match="fits nothing here"):
        train(params(), dataset, tmp_path / "second", start=start)
    assert not (tmp_path / "second" / "checkpoints").exists()


class TestPairsTheOtherWayRound:
    """A discriminator that has judged [input, output] judges, taken over for the same pairs the other way round, [output, input] alike."""

    @pytest.fixture
    def both(self, tmp_path: Path) -> tuple[Dataset, Dataset]:
        """Grey images with what is to be made of them in colour, and the other way round."""
        draw, found, counts = np.random.default_rng(0), [], {"train": 16, "holdout": 4}
        grey, colour = (
            {split: draw.integers(0, 256, (n, channels, 16, 16), dtype=np.uint8) for split, n in counts.items()} for channels in (1, 3)
        )
        for name, samples, inputs in (("there", colour, grey), ("here", grey, colour)):
            (tmp_path / name).mkdir()
            Pairs.pack(tmp_path / name, samples, inputs)
            found.append(Dataset.open(tmp_path / name))
        return found[0], found[1]

    @staticmethod
    def of_pairs(**changes: Any) -> Pix2pixParams:
        base = {"images": 16, "batch": 4, "precision": "float32", "generator": {"width": 4}, "discriminator": {"width": 4}}
        return Pix2pixParams.model_validate({**base, **changes})

    @staticmethod
    def judged(found: Checkpoint, options: Pix2pixParams, dataset: Dataset, *sides: NDArray[Any]) -> Tensor:
        judge = build_recipe(options, dataset.spec, torch.device("cpu")).players["discriminator"]
        judge.load_state_dict(checkpoint.subtree(found.tensors, "players/discriminator"))
        return judge.eval()(*(images_to_unit(torch.from_numpy(np.array(side))) for side in sides)).detach()  # type: ignore[no-any-return]

    @pytest.mark.parametrize("normalization", ["spectral", "batch"])
    def test_it_judges_them_as_there(self, both: tuple[Dataset, Dataset], tmp_path: Path, normalization: str) -> None:
        there, here = both
        told = {"discriminator": {"width": 4, "normalization": normalization}}
        start = trained(self.of_pairs(**told), there, tmp_path / "first")
        start = replace(start, facts={**start.facts, "reversed": are_reversed(here.spec, there.spec)})
        options = self.of_pairs(**told, images=4, ema=10**12, optimizer={"learning_rate": 1e-12}, start="champion")
        notes: list[str] = []
        with torch.no_grad():  # nothing but what was taken over: the first step would move the statistics, and the singular vectors
            recipe = build_recipe(options, here.spec, torch.device("cpu"))
            optimizers = {index: training._optimizer(recipe, turn, options.optimizer) for index, turn in enumerate(recipe.turns)}
            taken = training._begin_from(start, recipe, optimizers, Average(recipe.players["generator"], 0, is_warm=True), options)
        begun = replace(start, tensors=training._state(recipe, optimizers, Average(recipe.players["generator"], 0), {}))
        colour, grey = here.inputs["train"], here.samples["train"]
        expected = self.judged(start, options, there, grey, colour)
        torch.testing.assert_close(self.judged(begun, options, here, colour, grey), expected, rtol=0, atol=1e-6)
        weight = "weight" if normalization == "batch" else "parametrizations.weight.original"
        first = f"players/discriminator/layers.0.{weight}"
        vectors = [] if normalization == "batch" else ["players/discriminator/layers.0.parametrizations.weight.0._v"]
        assert taken.as_record()["exchanged"] == sorted([first, *vectors])
        assert ", the pairs there run the other way round: input and output exchanged in players/discriminator;" in taken.in_words
        # It is not shrunk: what it learned of these pairs holds.
        shrunk = options.model_copy(update={"shrink": 0.5})
        again = build_recipe(shrunk, here.spec, torch.device("cpu"))
        fresh = {name: tensor.clone() for name, tensor in again.players["generator"].state_dict().items()}
        said = training._begin_from(start, again, {}, Average(again.players["generator"], 0), shrunk).in_words
        assert "weights times 0.5 with fresh ones times 0.5 but of players/discriminator, the pairs there run" in said
        for name, tensor in again.players["discriminator"].state_dict().items():
            assert torch.equal(tensor, begun.tensors[f"players/discriminator/{name}"]), name
        halved = dict(again.players["generator"].named_parameters())
        for name in (name for name in halved if f"players/generator/{name}" in taken.tensors):
            expected = (start.tensors[f"players/generator/{name}"] + fresh[name]) / 2
            torch.testing.assert_close(halved[name].detach(), expected, msg=name)
        assert halved.keys() & {name.removeprefix("players/generator/") for name in taken.tensors}
        # Its moments are those of the same planes.
        for moment in ("exp_avg", "exp_avg_sq"):
            name = next(
                f"optimizers/0/{number}/{moment}"
                for number, one in enumerate(recipe.weights(recipe.turns[0]))
                if one is dict(recipe.players["discriminator"].named_parameters())[f"layers.0.{weight}"]
            )
            now, then = begun.tensors[name], start.tensors[name]
            assert then.any()
            assert torch.equal(now, torch.cat([then[:, 1:], then[:, :1]], dim=1))
        assert train(options, here, tmp_path / "second", start=start, on_note=notes.append)
        assert json.loads((tmp_path / "second" / "start.json").read_text())["exchanged"] == sorted([first, *vectors])
        assert any("run the other way round" in note for note in notes)

    def test_nothing_changes_places_where_they_run_the_same_way_or_nobody_knows(
        self, both: tuple[Dataset, Dataset], tmp_path: Path
    ) -> None:
        there, here = both
        assert (are_reversed(here.spec, there.spec), are_reversed(there.spec, here.spec)) == (True, True)
        assert are_reversed(there.spec, there.spec) is False
        (tmp_path / "more").mkdir()
        Pairs.pack(tmp_path / "more", {"train": here.samples["train"][:8], "holdout": here.samples["holdout"]},
                   {"train": here.inputs["train"][:8], "holdout": here.inputs["holdout"]})  # fmt: skip
        more = Dataset.open(tmp_path / "more")
        assert are_reversed(more.spec, there.spec) is None
        start = trained(self.of_pairs(), there, tmp_path / "first")
        known = replace(start, facts={**start.facts, "reversed": True})
        for begin, options, are_exchanged in (
            (start, {}, False),
            (known, {}, True),
            (start, {"reversed": True}, True),
            (known, {"reversed": False}, False),
            (known, {"take": "generator"}, False),
        ):
            asked = self.of_pairs(start="champion", **options)
            found = fitting(asked, more, begin)
            assert bool(found.exchanged) is are_exchanged, options
            # Shrunk, what begins with such a discriminator alone is averaged from the first step on.
            assert training._begins_well(begin, asked.model_copy(update={"shrink": 0.5})) is are_exchanged
            assert ("exchanged" in found.as_record(), "exchanged" in found.in_words) == (are_exchanged, are_exchanged)
        assert "reversed" not in identity(self.of_pairs(), here)["train"]

    def test_the_key_says_nothing_without_a_start_nor_with_old_pairs(self) -> None:
        with pytest.raises(ValueError, match="reversed is about the pairs of a start, and start is scratch"):
            self.of_pairs(reversed=True)
        with pytest.raises(ValueError, match="replay shows the pairs of the start as they run there"):
            self.of_pairs(reversed=True, start="champion", replay=0.25)


def test_shrunk_weights_are_those_of_the_start_and_fresh_ones_in_shares(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset(classes=2)
    plain: dict[str, Any] = {"condition": "label", "discriminator": {"network": "dcgan", "width": 4, "normalization": "spectral"}}
    start = trained(params(**plain), dataset, tmp_path / "first")
    fresh = trained(barely(seed=9, **plain), dataset, tmp_path / "fresh")
    shrunk = barely(seed=9, start="champion", shrink=0.4, **plain)
    notes: list[str] = []
    found = trained(shrunk, dataset, tmp_path / "second", start=start, on_note=notes.append)
    recipe = build_recipe(shrunk, dataset.spec, torch.device("cpu"))
    weights = {f"players/{name}/{path}" for name, player in recipe.players.items() for path, _ in player.named_parameters()}
    assert weights < start.tensors.keys()
    for name in weights:
        expected = 0.4 * start.tensors[name] + 0.6 * fresh.tensors[name]
        torch.testing.assert_close(found.tensors[name], expected, rtol=0, atol=1e-6, msg=name)
        if "generator" in name:  # the average has forgotten its beginning, as from scratch
            average = found.tensors[name.replace("players/generator", "average")]
            torch.testing.assert_close(average, expected, rtol=0, atol=1e-5, msg=name)
    assert all("weights times 0.4 with fresh ones times 0.6" in said for said in (*notes, fitting(shrunk, dataset, start).in_words))
    assert json.loads((tmp_path / "second" / "start.json").read_text())["shrink"] == 0.4
    assert not {"shrink", "take"} & identity(params(), dataset)["train"].keys()
    assert identity(shrunk, dataset)["train"]["shrink"] == 0.4


def test_the_generator_alone_comes_over_where_that_is_asked(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset(classes=2)
    start = trained(params(condition="label"), dataset, tmp_path / "first")
    alone = barely(condition="label", seed=9, start="champion", take="generator")
    found = trained(alone, dataset, tmp_path / "second", start=start)
    fresh = trained(barely(condition="label", seed=9), dataset, tmp_path / "fresh")
    judging = "players/discriminator/"
    for name in (name for name in start.tensors if name.endswith(("weight", "bias"))):
        origin = fresh if name.startswith(judging) else start
        torch.testing.assert_close(found.tensors[name], origin.tensors[name], rtol=0, atol=1e-8, msg=name)
    record = json.loads((tmp_path / "second" / "start.json").read_text())
    assert record["new"] == {name: "left there" for name in start.tensors if name.startswith(judging)}
    steps = {name: float(value) for name, value in found.tensors.items() if name.endswith("/step")}
    assert {value for name, value in steps.items() if name.startswith("optimizers/0/")} == {1.0}
    assert {value for name, value in steps.items() if name.startswith("optimizers/1/")} == {21.0}
    assert record["moments"] == {"taken": sum(name.startswith("optimizers/1/") for name in steps), "of": len(steps)}


def test_how_a_start_is_taken_says_nothing_without_one_nor_of_layers_that_stay() -> None:
    for more in ({"shrink": 0.5}, {"take": "generator"}):
        (key,) = more
        with pytest.raises(ValueError, match=f"{key} is about the weights of a start, and start is scratch"):
            params(**more)
        with pytest.raises(ValueError, match=f"freeze keeps layers of the discriminator as the start has them, and {key}"):
            params(start="champion", freeze={"layers": 1}, **more)


@pytest.mark.parametrize(("kill_after", "more"), [(3, {}), (11, {"start": "champion", "take": "generator", "shrink": 0.5})])
def test_a_warm_training_that_was_killed_ends_bit_for_bit_where_the_undisturbed_one_does(
    make_dataset: Make, tmp_path: Path, kill_after: int, more: dict[str, Any]
) -> None:
    dataset = make_dataset(classes=2)
    options = params(condition="label", checkpoint_every=40, optimizer={"decay": 0.5}, **more)
    first = trained(options, dataset, tmp_path / "first")
    expected = trained(options, dataset, tmp_path / "undisturbed", start=first)
    assert expected.sha256 != first.sha256
    steps = 0

    class Killed(BaseException):
        pass

    def kill(_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == kill_after:
            raise Killed

    with contextlib.suppress(Killed):
        train(options, dataset, tmp_path / "killed", kill, start=first)
    assert steps == kill_after
    assert trained(options, dataset, tmp_path / "killed", start=first).sha256 == expected.sha256
    for file in ("generator/generator.safetensors", "metrics.jsonl", "start.json"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "undisturbed" / file).read_bytes(), file


def test_a_training_from_elsewhere_is_another_training(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    start = trained(params(images=8), dataset, tmp_path / "first")
    assert identity(params(), dataset) == {key: value for key, value in identity(params(), dataset, start).items() if key != "start"}
    assert "start" not in identity(params(), dataset)
    train(params(), dataset, tmp_path / "second", start=start, should_stop=lambda: True)
    with pytest.raises(TrainingError, match="holds an unfinished training of other parameters or data"):
        train(params(), dataset, tmp_path / "second")
    with pytest.raises(TrainingError, match="holds an unfinished training"):
        train(params(), dataset, tmp_path / "second", start=replace(start, sha256="0" * 64))


def test_the_average_of_a_warm_training_forgets_at_its_own_pace_from_the_first_step_on() -> None:
    """From scratch the first weights are worth nothing and soon forgotten; here they are the champion's."""
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 1.0)
    average = Average(network, 1_000, is_warm=True)
    torch.nn.init.zeros_(network.weight)
    average.update(100, 100)
    assert float(average.network.weight.detach()) == pytest.approx(0.5**0.1)


def kept(**freeze: Any) -> GanParams:
    return params(start="champion", discriminator={"network": "dcgan", "width": 4, "normalization": "batch"}, freeze=freeze)


def moved(start: Checkpoint, found: Checkpoint) -> set[str]:
    """Names of the discriminator's weights that are others now; not the last bias, whose gradients of a hinge loss cancel out."""
    prefix = "players/discriminator/"
    weights = {name.removeprefix(prefix): tensor for name, tensor in found.tensors.items() if name.startswith(prefix)}
    return {
        name
        for name, tensor in weights.items()
        if "running" not in name and name != "head.linear.bias" and not torch.equal(tensor, start.tensors[prefix + name])
    }


def test_frozen_layers_stay_as_the_start_has_them_for_as_long_as_is_asked(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    start = trained(kept(layers=1), dataset, tmp_path / "first")
    weights = {"layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias", "layers.3.weight", "layers.3.bias",
               "layers.3.num_batches_tracked", "head.linear.weight"}  # fmt: skip
    one, two = (trained(kept(layers=count), dataset, tmp_path / f"kept {count}", start=start) for count in (1, 2))
    assert moved(start, one) == {name for name in weights if not name.startswith("layers.0")}
    assert moved(start, two) == {"layers.3.num_batches_tracked", "head.linear.weight"}
    steps = {name: float(value) for name, value in two.tensors.items() if name.startswith("optimizers/0/") and name.endswith("/step")}
    assert sorted(set(steps.values())) == [20.0, 40.0]  # a moment of a weight that stays, stays
    half = trained(kept(layers=2, until=0.5), dataset, tmp_path / "half", start=start)
    assert moved(start, half) == weights

    class Killed(BaseException):
        pass

    def kill(now: Any) -> None:
        if now.images == 104 and not (tmp_path / "killed" / "was").exists():
            (tmp_path / "killed" / "was").touch()
            raise Killed

    with contextlib.suppress(Killed):
        train(kept(layers=2, until=0.5), dataset, tmp_path / "killed", kill, start=start)
    assert trained(kept(layers=2, until=0.5), dataset, tmp_path / "killed", start=start).sha256 == half.sha256


def test_what_a_start_does_not_have_cannot_be_frozen(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    start = trained(kept(layers=1), dataset, tmp_path / "first")
    with pytest.raises(
        ConfigError, match=r"train\.freeze: would keep what the start does not have: players/discriminator/layers\.0\.weight"
    ):
        fitting(kept(layers=1), make_dataset(shape=(3, 16, 16), folder=tmp_path / "colour"), start)
    with pytest.raises(ConfigError, match=r"train\.freeze\.layers: 3, and the discriminator has 3, of which the last learns; keep fewer"):
        train(kept(layers=3), dataset, tmp_path / "second", start=start)
    with pytest.raises(ValueError, match="freeze keeps layers of a start, and start is scratch"):
        params(freeze={"layers": 1})
    assert "freeze" not in identity(params(), dataset)["train"]


@pytest.mark.parametrize("network", ["dcgan", "residual", "mlp"])
@pytest.mark.parametrize("normalization", ["none", "spectral"])
def test_each_weight_but_the_embeddings_is_in_one_layer(make_dataset: Make, network: str, normalization: str) -> None:
    options = {"network": network, **({"normalization": normalization} if network != "mlp" else {})}
    recipe = build_recipe(params(condition="label", discriminator=options), make_dataset(classes=2).spec, torch.device("cpu"))
    judge = recipe.players["discriminator"]
    layers = layers_of(judge)
    found = [id(weight) for layer in layers for weight in layer]
    embeddings = {id(weight) for name, weight in judge.named_parameters() if "embedding" in name}
    assert len(found) == len(set(found))
    assert set(found) == {id(weight) for weight in judge.parameters()} - embeddings
    names = {id(weight): name for name, weight in judge.named_parameters()}
    assert (
        len({names[id(weight)].partition(".parametrizations")[0].removesuffix(".weight").removesuffix(".bias") for weight in layers[0]})
        == 1
    )
