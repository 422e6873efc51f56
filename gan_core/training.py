"""The loop, for every recipe.

Every cadence is counted in images seen. Every random draw is a function of (seed, images seen), so a run that was killed and resumed
ends bit for bit where the undisturbed one does, whatever its checkpoint cadence. `metrics.jsonl` is the record: a line of means over
the images since the line before, without clock times.

Several processes may run the loop side by side, each on its part of every batch (`gan_core.distributed`).
"""

from __future__ import annotations

import copy
import json
import math
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gan_core import checkpoint, compiled, pictures, watch
from gan_core.averaging import Average
from gan_core.data.batches import Batches
from gan_core.data.dataset import Dataset
from gan_core.data.replay import Replay
from gan_core.device import choose_device, choose_precision, same_bits
from gan_core.distributed import ALONE, Group, Parts
from gan_core.errors import ConfigError, LostRunError, TrainingError
from gan_core.files import write_whole
from gan_core.generator import Generator
from gan_core.microbatches import Microbatches
from gan_core.networks.common import LabelEmbedding, WordEmbedding, rows_of
from gan_core.optimizers import FusedAdam, RMSprop
from gan_core.params import TrainParams
from gan_core.params.common import OptimizerParams
from gan_core.randomness import mix, reseed
from gan_core.recipes import build_recipe
from gan_core.recipes.game import Recipe, Turn
from gan_core.selection import Score, Scorer, Selection, in_words
from gan_core.start import Takeover, check_fits, exchanged, moments_taken, take_over
from gan_core.steps import EagerStep

_DRAWN_FROM = "drawn from"
"""Of a private training's checkpoints: the secret that its draws come from. The one that a finished training leaves does not have it."""
_BUILD = 2**40  # apart from any count of images
_NO_EFFECT = ("checkpoint_every", "start")
"""Parameters that change nothing about a training's result; not what a start is called, but what is in it."""
_LATER: Mapping[str, object] = {
    "freeze": None,
    "select": "last",
    "select_every": None,
    "patience": None,
    "replay": None,
    "take": "all",
    "reversed": None,
    "shrink": None,
    "likelihood": None,
    "augment_target": None,
    "augment_span": None,
    "balance": 0.0,
    "privacy": None,
    "compile": "off",
    "reconstruction_loss": "absolute",
}
"""Parameters, with their defaults, that trainings begun by an earlier Gantry do not know."""
_MOMENTS: Mapping[type[torch.optim.Optimizer], frozenset[str]] = {
    FusedAdam: frozenset({"step", "exp_avg", "exp_avg_sq"}),
    RMSprop: frozenset({"step", "square_avg"}),
}
"""What each optimiser keeps of a weight."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands: images seen, the budget, and the latest line of the record.

    >>> from gan_core import Progress
    >>> now = Progress(images=500, budget=2_000, numbers={"generator_loss": 0.7})
    >>> now.images / now.budget
    0.25
    """

    images: int
    budget: int
    numbers: Mapping[str, float]


def train(
    params: TrainParams,  # what to train, and how
    dataset: Dataset,  # its training split is read through a memory map
    folder: Path,  # keeps checkpoints, record and previews; a run that was stopped goes on from what lies here
    on_progress: Callable[[Progress], None] = lambda progress: None,  # called after every step
    on_note: Callable[[str], None] = lambda note: None,  # told what a person should know, such as a damaged checkpoint
    should_stop: Callable[[], bool] = lambda: False,  # asked after every step; True saves the state and ends
    group: Group = ALONE,  # of processes that train together, each of them in this function
    start: checkpoint.Checkpoint | None = None,  # the end of another training, from which what fits is taken over (`gan_core.start`);
    # its facts may hold `classes`, the names of the labels there, and `words`; `reversed`, whether its pairs run the other way round
    replay: Dataset | None = None,  # what the start was trained on, of which `train.replay` says how much is shown again
    scorer: Scorer | None = None,  # with `select: best` asked by the first process what a snapshot is worth (`gan_core.selection`)
) -> bool:
    """Train until the budget is spent, or until no snapshot was better for as long as `patience` says.

    Leaves in `folder`: generator/ (averaged, what is shipped), checkpoint/ (both players and their optimisers as they were then), samples/
    (a picture each `preview_every` images), metrics.jsonl, with a start start.json, what was taken over, and with `select: best`
    selected.json, which snapshot is shipped and why; with `compile` auto or on step.json, how steps were played and why. Of a group, the
    first process alone reads and writes there.

    Returns:
        Whether the training is done; False where `should_stop` ended the run, which can then be resumed.

    Raises:
        ConfigError: the parameters do not fit the data or this machine, the start fits nothing, or `select: best` has no `scorer`.
        TrainingError: what lies in `folder` is of another training: other parameters, or other data; or its steps were compiled,
            which they cannot be here.
        LostRunError: a loss or score is not finite, or the run has collapsed (`gan_core.watch`).
        PeerLostError: another process of the group is gone.

    >>> import numpy as np
    >>> from gan_core import GanParams, data_from_arrays, train
    >>> angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 1_000)
    >>> data = data_from_arrays(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    >>> train(GanParams(images=2_000, batch=100), data, Path("circle"))
    True
    >>> sorted(path.name for path in Path("circle").iterdir())
    ['checkpoint', 'checkpoints', 'generator', 'metrics.jsonl', 'samples']
    """
    if params.select == "best" and scorer is None and group.is_first:
        raise ConfigError("train.select: best takes a function that scores snapshots; give one as `scorer`, or write select: last")
    params = params.settled(dataset.spec.counts["train"], start is not None)
    device = choose_device(params.device)
    reseed(device, params.seed, _BUILD)
    recipe = build_recipe(params, dataset.spec, device)
    precision = choose_precision(params.precision, device, convolutional=_is_convolutional(recipe))
    optimizers = {index: _optimizer(recipe, turn, params.optimizer) for index, turn in enumerate(recipe.turns)}
    half_life = min(params.budget // 20, 500_000) if params.ema is None else params.ema
    average = Average(recipe.players[recipe.shipped], half_life, is_warm=start is not None and _begins_well(start, params))
    again = None if replay is None or params.replay is None else Replay.of(dataset, replay, params.replay, params.batch)
    training = identity(params, dataset, start, replay)
    resumed = _resumed(folder, training, group, device, on_note)
    secret = _secret(recipe, resumed)
    seed = mix(params.seed, *secret.values()) if secret else params.seed
    batches = Batches(dataset, seed, device, recipe.paired, again, recipe.balance, recipe.is_private)
    microbatches = Microbatches(recipe, batches, Parts(group, params.batch, params.accumulate), params, precision)
    record = folder / "metrics.jsonl"
    log_every = params.log_every or math.ceil(params.budget / 200)
    preview_every = params.preview_every or math.ceil(params.budget / 10)
    checkpoint_every = params.checkpoint_every or math.ceil(params.budget / 20)
    plays_from = recipe.generator_from * params.budget

    images, sums, counts, selection = 0, dict[str, Tensor](), dict[str, int](), Selection()
    if resumed is not None:
        images, counts, selection = resumed.images, dict(resumed.facts["counts"]), Selection.of(resumed)
        sums = {name: value.to(device) for name, value in checkpoint.subtree(resumed.tensors, "sums").items()}
        _restore(resumed.tensors, recipe, optimizers, average)
        on_note(f"resumed at {images:,} of {params.budget:,} {dataset.spec.unit}")
    elif start is not None:
        taken = _begin_from(start, recipe, optimizers, average, params)
        if group.is_first:
            write_whole(folder / "start.json", json.dumps(taken.as_record(), indent=2) + "\n")
            on_note(taken.in_words)
    kept = None if resumed is None else resumed.facts.get(compiled.FACT)
    planned = compiled.chosen(params, recipe, dataset.spec.kind, group, kept)
    says_how = params.compile != "off" and group.is_first
    if says_how:
        on_note(planned.in_words)
    eager = EagerStep(recipe, optimizers, microbatches, group, params)
    step, choice = compiled.step_of(planned, params, recipe, optimizers, batches, eager, images, kept)
    if says_how:
        write_whole(folder / "step.json", json.dumps(choice.as_record(), indent=2) + "\n")
    if choice != planned:
        on_note(choice.in_words)
    lines = _record_so_far(record, images, group, device)
    numbers: dict[str, float] = {}
    shipped = list(recipe.players[recipe.shipped].parameters())
    compared = np.sort(batches.order.indices(0, min(1_000, len(batches.samples))))
    groups = None if batches.labels is None or recipe.data.condition is None else recipe.data.condition.groups(batches.labels[compared])
    real = watch.Spread.of(recipe.spec.comparable(batches.samples.rows(compared)), groups)

    while images < params.budget and not selection.is_over(params.patience, params.budget):
        before = images
        played = [turn for turn in recipe.turns if turn.is_played(before / params.budget)]
        end = before + params.batch * sum(turn.repeats for turn in played if turn.draws)
        scores = params.select == "best" and end > plays_from and _is_due(params.scored_every, before, end, params)
        logs = scores or _is_due(log_every, before, end, params)
        shipped_before = [weight.detach().clone() for weight in shipped] if logs else []
        reseed(device, seed, images)
        _set_rates(optimizers, params, images)
        with same_bits(device):
            for logged in step.play(before, played):
                for name, value in logged.items():
                    sums[name] = sums[name] + value if name in sums else value.clone()
                    counts[name] = counts.get(name, 0) + 1
        images = end
        average.update(images, images - before)

        if scores:
            score = _scored(scorer, recipe, average, images, group, device)
            selection = selection.after(score, images, lambda: _state(recipe, optimizers, average, {}) if group.is_first else {})
        if logs:
            movement = {f"{recipe.shipped}_movement": watch.movement(shipped_before, shipped) / _rate_left(params, before)}
            signs = {**_signs(recipe, average, images, dataset, real), **movement}
            if scores and selection.last is not None:
                signs[f"selection_{selection.last.metric}"] = selection.last.value
            numbers = _numbers(f"{images:,} {dataset.spec.unit}", sums, counts, signs)
            if group.is_first:
                _log(record, images, numbers)
            sums, counts = {}, {}
            lines.append({"images": images, **numbers})
            reason = watch.failure(lines, params.budget, params.batch, plays_from, recipe.shipped) if params.watch == "stop" else None
            if reason:
                raise _lost(f"at {images:,} {dataset.spec.unit} {reason}")
        if _is_due(preview_every, before, images, params) and group.is_first:
            picture = recipe.preview(Generator(recipe.generator_config(images), average.network), dataset)
            pictures.save_png(picture, folder / "samples" / f"{images:09d}.png")
        stop = group.any(should_stop(), device)
        if _is_due(checkpoint_every, before, images, params) or stop:
            _check_finite(sums, f"{images:,} {dataset.spec.unit}")
            if group.is_first:
                state = {**_state(recipe, optimizers, average, sums), **selection.tensors}
                facts: dict[str, Any] = {
                    "counts": counts,
                    "training": training,
                    **secret,
                    **({"selection": selection.facts} if selection.scored else {}),
                }
                if params.compile != "off":
                    facts[compiled.FACT] = choice.step
                checkpoint.save(checkpoint.Checkpoint(images, state, facts), folder / "checkpoints")
        on_progress(Progress(images, params.budget, numbers))
        if stop:
            return False

    if group.is_first:
        if params.select == "best":
            told = selection.as_record(images, params.budget)
            write_whole(folder / "selected.json", json.dumps(told, indent=2) + "\n")
            on_note(in_words(told, dataset.spec.unit))
        shipped_at, state = images, _state(recipe, optimizers, average, {})
        if selection.state is not None:
            shipped_at, state = selection.images, dict(selection.state)
            average.network.load_state_dict(checkpoint.subtree(state, "average"))
        shutil.rmtree(folder / "generator", ignore_errors=True)
        Generator(recipe.generator_config(shipped_at), average.network).save(folder / "generator")
        checkpoint.write(checkpoint.Checkpoint(shipped_at, state, {"counts": {}}), folder / "checkpoint")
    return True


def identity(
    params: TrainParams, dataset: Dataset, start: checkpoint.Checkpoint | None = None, replay: Dataset | None = None
) -> dict[str, Any]:
    """All that the result of a training depends on, as JSON holds it: `train` takes up what was begun under the same alone."""
    params = params.settled(dataset.spec.counts["train"], start is not None)
    unset = [key for key, default in _LATER.items() if getattr(params, key, default) == default]
    depends = {"train": params.model_dump(mode="json", exclude={*_NO_EFFECT, *unset}), "dataset": dataset.spec.digest}
    started = {} if start is None else {"start": start.sha256}
    return {**depends, **started, **({} if replay is None else {"replay": replay.spec.digest})}


def fitting(params: TrainParams, dataset: Dataset, start: checkpoint.Checkpoint) -> Takeover:
    """What `train` would take over from a start, found without training.

    Raises:
        ConfigError: the parameters do not fit the data or this machine, or the start fits nothing.
    """
    recipe = build_recipe(params, dataset.spec, torch.device("cpu"))
    mine = _fillable(recipe, Average(recipe.players[recipe.shipped], 0))
    return _takeover(mine, start, _offered(start, recipe, params), recipe, params)


def averaged(params: TrainParams, dataset: Dataset, folder: Path) -> Generator:
    """The averaged generator of a run that was stopped, as it was when `train` last saved its state in `folder`.

    Raises:
        TrainingError: no sound checkpoint is there.
    """
    recipe = build_recipe(params, dataset.spec, choose_device(params.device))
    saved, _ = checkpoint.load_latest(folder / "checkpoints")
    if saved is None:
        raise TrainingError(f"{folder}: holds no sound checkpoint; train first")
    network = Average(recipe.players[recipe.shipped], 0).network
    network.load_state_dict(checkpoint.subtree(saved.tensors, "average"))
    return Generator(recipe.generator_config(saved.images), network)


def _is_due(every: int, before: int, images: int, params: TrainParams) -> bool:
    """Whether a step from `before` to `images` passes a multiple of `every`, or is the last."""
    return images // every > before // every or images >= params.budget


def _scored(scorer: Scorer | None, recipe: Recipe[Any], average: Average, images: int, group: Group, device: torch.device) -> Score | None:
    """What the averaged generator is worth, which the first process asks for all; of a copy, which may be moved and changed."""
    found = None
    if scorer is not None and group.is_first:
        found = scorer(Generator(recipe.generator_config(images), copy.deepcopy(average.network)))
    told = json.loads(group.share(json.dumps(found and asdict(found)).encode(), device))
    return told and Score(**told)


def _is_convolutional(recipe: Recipe[Any]) -> bool:
    return any(
        isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d)
        for player in recipe.players.values()
        for module in player.modules()
    )


def _optimizer(recipe: Recipe[Any], turn: Turn, params: OptimizerParams) -> torch.optim.Optimizer:
    rate = params.learning_rate if turn.draws else params.generator_learning_rate or params.learning_rate
    group = {"params": recipe.weights(turn), "initial_lr": rate}
    if params.name == "rmsprop":
        return RMSprop([group], lr=rate, foreach=True)
    return FusedAdam([group], lr=rate, betas=params.betas)


def _set_rates(optimizers: Mapping[int, torch.optim.Optimizer], params: TrainParams, images: int) -> None:
    """Let the learning rates fall as `optimizer.decay` says: a function of the images seen, so nothing of it is saved."""
    if not params.optimizer.decay:
        return
    left = _rate_left(params, images)
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * left


def _rate_left(params: TrainParams, images: int) -> float:
    """The share of its learning rate that a player has after `images`: above 0, at most 1."""
    decay = params.optimizer.decay
    return min((params.budget - images) / (decay * params.budget), 1.0) if decay else 1.0


def _state(
    recipe: Recipe[Any], optimizers: Mapping[int, torch.optim.Optimizer], average: Average, sums: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Everything that a step depends on apart from the data and the images seen, by name."""
    tree = {
        "players": {name: player.state_dict() for name, player in recipe.players.items()},
        "optimizers": {str(index): optimizer.state_dict()["state"] for index, optimizer in optimizers.items()},
        "average": average.network.state_dict(),
        "sums": sums,
    }
    return checkpoint.flatten(tree)


def _restore(tensors: Mapping[str, Tensor], recipe: Recipe[Any], optimizers: Mapping[int, torch.optim.Optimizer], average: Average) -> None:
    """Put a checkpoint's tensors back where `_state` took them from."""
    try:
        for name, player in recipe.players.items():
            player.load_state_dict(checkpoint.subtree(tensors, f"players/{name}"))
        average.network.load_state_dict(checkpoint.subtree(tensors, "average"))
    except RuntimeError as error:
        raise TrainingError(f"the checkpoint does not fit the networks ({str(error).splitlines()[0]}); remove it to start over") from None
    for index, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in checkpoint.subtree(tensors, f"optimizers/{index}").items():
            parameter, _, moment = key.partition("/")
            state.setdefault(int(parameter), {})[moment] = value
        _set_moments(optimizer, state)


def _set_moments(optimizer: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Give an optimiser its moments, by the number of the weight that they belong to."""
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    # The fused step walks memory, so moments must lie in it as their weights do (channels last), and load_state_dict made them plain.
    for weight, moments in optimizer.state.items():
        for moment, value in moments.items():
            if value.shape == weight.shape:
                moments[moment] = torch.empty_like(weight).copy_(value)


def _fillable(recipe: Recipe[Any], average: Average) -> dict[str, Tensor]:
    """What a start may fill, named as in a checkpoint: the players that learn, and the average.

    Not what a game remembers otherwise, such as a pool of past translations: those belong to the order of the data, which begins anew.
    """
    learning = {player.partition(".")[0] for turn in recipe.turns for player in turn.players}
    players = {name: player.state_dict() for name, player in recipe.players.items() if name in learning}
    return checkpoint.flatten({"players": players, "average": average.network.state_dict()})


def _offered(start: checkpoint.Checkpoint, recipe: Recipe[Any], params: TrainParams) -> dict[str, Tensor]:
    """Those of a start's tensors that `take` asks for."""
    wanted = "" if params.take == "all" else (f"players/{recipe.shipped}/", "average/")
    return {name: tensor for name, tensor in start.tensors.items() if name.startswith(wanted)}


def _is_reversed(start: checkpoint.Checkpoint, params: TrainParams) -> bool:
    """Whether a start's pairs run the other way round: as the parameters say, or its facts."""
    said = getattr(params, "reversed", None)
    return bool(start.facts.get("reversed") if said is None else said)


def _begins_well(start: checkpoint.Checkpoint, params: TrainParams) -> bool:
    """Whether what a start gives is worth averaging from the first step on: not a shrunk generator, unless a discriminator that knows these
    pairs the other way round brings it up again at once."""
    return params.shrink is None or (params.take == "all" and _is_reversed(start, params))


def _takeover(
    mine: Mapping[str, Tensor], start: checkpoint.Checkpoint, offered: Mapping[str, Tensor], recipe: Recipe[Any], params: TrainParams
) -> Takeover:
    """What fits of the tensors that a start offers; its facts may name its classes and words, those of a checkpoint alone do not.

    Raises:
        ConfigError: nothing does, or not what is to stay as it is there.
    """
    networks = {**{f"players/{name}": player for name, player in recipe.players.items()}, "average": recipe.players[recipe.shipped]}
    named = dict[str, tuple[Sequence[str], Sequence[str]]]()
    for fact, here, kind in (("classes", recipe.data.classes, LabelEmbedding), ("words", recipe.data.row_words, WordEmbedding)):
        if here is not None and (there := start.facts.get(fact)) is not None:
            named |= {f"{place}/{name}": (here, there) for place, network in networks.items() for name in rows_of(network, kind)}
    found = take_over(mine, offered, named, recipe.side_by_side() if _is_reversed(start, params) else {})
    left = {name: "left there" for name in found.new if name in start.tensors and name not in offered}
    found = replace(found, new={**found.new, **left}, shrink=params.shrink)
    check_fits(found)
    _check_frozen(recipe, found)
    return found


def _weights_by_name(recipe: Recipe[Any]) -> dict[str, Tensor]:
    """Each weight by its name in a checkpoint."""
    return {f"players/{name}/{path}": weight for name, player in recipe.players.items() for path, weight in player.named_parameters()}


def _check_frozen(recipe: Recipe[Any], found: Takeover) -> None:
    """See that what is to stay as the start has it was taken from there.

    Raises:
        ConfigError: some of it is new.
    """
    frozen = {id(weight) for turn in recipe.turns for weight in recipe.frozen(turn, 0.0)}
    named = {name: id(weight) for name, weight in _weights_by_name(recipe).items()}
    if new := [f"{name} ({why})" for name, why in found.new.items() if named.get(name) in frozen]:
        raise ConfigError(
            f"train.freeze: would keep what the start does not have: {', '.join(new[:3])}; leave it out, or keep fewer layers"
        )


def _begin_from(
    start: checkpoint.Checkpoint,
    recipe: Recipe[Any],
    optimizers: Mapping[int, torch.optim.Optimizer],
    average: Average,
    params: TrainParams,
) -> Takeover:
    """Fill in what fits of a start; with `shrink`, weights are mixed with the fresh ones that are there, by that share. Not those of the
    average, which then forgets its beginning with the first step, nor of a player that judged the same pairs (`Takeover.as_there`).

    Raises:
        ConfigError: as `_takeover`.
    """
    mine = _fillable(recipe, average)
    offered = _offered(start, recipe, params)
    found = _takeover(mine, start, offered, recipe, params)
    by_name = _weights_by_name(recipe)
    with torch.no_grad():
        for name, tensor in found.tensors.items():  # a state dict shares its memory with the network
            if found.shrink is not None and name in by_name and name.rpartition("/")[0] not in found.as_there:
                mine[name].lerp_(tensor.to(mine[name].device), found.shrink)
            else:
                mine[name].copy_(tensor)
    by_rows = {id(weight) for name, weight in by_name.items() if name in found.by_class}
    side_by_side = recipe.side_by_side()
    by_weight = {id(by_name[name]): side_by_side[name] for name in found.exchanged if name in by_name}
    kept = weights = 0
    for index, optimizer in optimizers.items():
        roots = tuple(f"players/{player.partition('.')[0]}/" for player in recipe.turns[index].players)
        names, theirs_named = ({name for name in tensors if name.startswith(roots)} for tensors in (mine, offered))
        moved, theirs = optimizer.param_groups[0]["params"], checkpoint.subtree(start.tensors, f"optimizers/{index}")
        state = moments_taken(moved, theirs, _MOMENTS[type(optimizer)], same_network=names == theirs_named)
        state = {number: moments for number, moments in state.items() if id(moved[number]) not in by_rows}  # rows have changed places
        for number, moments in state.items():
            if (of_samples := by_weight.get(id(moved[number]))) is not None:
                state[number] = {name: exchanged(moment, of_samples) if moment.dim() else moment for name, moment in moments.items()}
        _set_moments(optimizer, state)
        kept, weights = kept + len(state), weights + len(moved)
    return replace(found, moments=(kept, weights))


def _resumed(
    folder: Path, training: Mapping[str, Any], group: Group, device: torch.device, on_note: Callable[[str], None]
) -> checkpoint.Checkpoint | None:
    """The newest sound checkpoint of a run's folder, which the first process reads for all.

    Raises:
        TrainingError: it is of another training than `training`.
    """
    found = None
    if group.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        found, notes = checkpoint.load_latest(folder / "checkpoints")
        for note in notes:
            on_note(f"passed over a checkpoint: {note}")
    if group.size > 1:
        facts = json.loads(group.share(json.dumps(found and [found.images, found.facts]).encode(), device))
        tensors = load_tensors(group.share(save_tensors(dict(found.tensors)) if found else b"", device)) if facts else {}
        found = checkpoint.Checkpoint(facts[0], tensors, facts[1]) if facts else None
    # One of a version that did not say what it belongs to is taken at its folder's word.
    if found is not None and (other := _differences(found.facts.get("training", training), training)):
        remedy = "give this training a folder of its own, or remove that one"
        raise TrainingError(f"{folder}: holds an unfinished training of other parameters or data ({', '.join(other)}); {remedy}")
    return found


def _secret(recipe: Recipe[Any], resumed: checkpoint.Checkpoint | None) -> dict[str, int]:
    """What a private run draws from, as facts of its checkpoints: of the run that goes on, or new from the system; of others none."""
    if not recipe.is_private:
        return {}
    return {_DRAWN_FROM: secrets.randbits(62) if resumed is None else resumed.facts[_DRAWN_FROM]}


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What sets two trainings apart, as `optimizer.learning_rate 0.001 there, 0.002 here`."""
    found = []
    for key in sorted(there.keys() | here.keys()):
        one, other = there.get(key), here.get(key)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _differences(one, other, "" if key == "train" else f"{prefix}{key}.")
        else:
            found.append("other data" if key == "dataset" else f"{prefix}{key} {one} there, {other} here")
    return found


def _record_so_far(record: Path, images: int, group: Group, device: torch.device) -> list[dict[str, float]]:
    """The lines of the record that a run goes on from, which the first process reads for all, and cuts it down to."""
    lines: list[dict[str, float]] = []
    if group.is_first:
        _cut_record(record, images)
        lines = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    return lines if group.size == 1 else list(json.loads(group.share(json.dumps(lines).encode(), device)))


def _cut_record(record: Path, images: int) -> None:
    """Drop the lines that a resumed run will write again, and one that a crash left half-written."""
    if not record.exists():
        return
    lines = [line for line in record.read_text().splitlines(keepends=True) if line.endswith("\n")]
    kept = [line for line in lines if json.loads(line)["images"] <= images]
    write_whole(record, "".join(kept))


def _numbers(at: str, sums: Mapping[str, Tensor], counts: Mapping[str, int], signs: Mapping[str, float]) -> dict[str, float]:
    """The means since the last line of the record, and the signs."""
    _check_finite(sums, at)
    # A sign that is not finite will make the next loss so too, which ends the run; the record holds numbers only.
    finite = {name: value for name, value in signs.items() if math.isfinite(value)}
    return {**{name: float(value) / counts[name] for name, value in sorted(sums.items())}, **finite}


def _log(record: Path, images: int, numbers: Mapping[str, float]) -> None:
    with record.open("a") as file:
        file.write(json.dumps({"images": images, **{name: float(f"{value:.6g}") for name, value in numbers.items()}}) + "\n")


def _signs(recipe: Recipe[Any], average: Average, images: int, dataset: Dataset, real: watch.Spread) -> dict[str, float]:
    """What tells whether the players are still learning; taken of the last step, and of the averaged generator."""
    probe = recipe.spec.probe(Generator(recipe.generator_config(images), average.network), dataset)
    samples = recipe.spec.comparable(probe.samples)
    players = {name: player for turn in recipe.turns for name, player in recipe.players.items() if name in turn.players}
    gradients = {f"{name}_gradient": watch.gradient_norm(player) for name, player in players.items()}
    signs: dict[str, float] = {"diversity": watch.diversity(samples, real), **gradients}
    if (condition := recipe.data.condition) is not None and probe.labels is not None:
        within = watch.diversity_within_labels(samples, condition.groups(probe.labels), real)
        signs |= {} if within is None else {watch.WITHIN_LABELS: within}
    return signs


def _lost(what: str) -> LostRunError:
    return LostRunError(f"{what}; lower train.optimizer.learning_rate, or give the discriminator less weight")


def _check_finite(sums: Mapping[str, Tensor], at: str) -> None:
    for name, value in sorted(sums.items(), key=lambda item: (not item[0].endswith("_loss"), item[0])):
        if not math.isfinite(value):
            raise _lost(f"{name} is not finite at {at}")
