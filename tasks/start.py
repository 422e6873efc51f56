"""The start stage: `python -P -m tasks.start NAME` pins in data/NAME/start what the training of NAME starts from.

So a start is an input like the data: dvc.lock has its hash, the DVC remote carries it to other workers, and training is a function of it.
DVC runs the stage where the data or the parameters of training have changed, and only then is looked up what `train.start` names. A
champion that was promoted meanwhile causes no training by itself; nor does a training that goes on after a kill start from elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_core.errors import ConfigError, DataError, GantryError
from gan_core.params import TrainParams
from gan_core.params.common import CHAMPION, SCRATCH
from tasks.graph import repro
from tasks.graph.dvc_data import bringing
from tasks.params import DataParams, Entry
from tasks.records import stage_files, tracking
from tasks.records.registry import Registry, Version, is_reference, resolve
from tasks.stage_main import stage_main
from tasks.workspace import PIN, Workspace

if TYPE_CHECKING:
    from gan_core.checkpoint import Checkpoint
    from gan_core.data.dataset import Dataset, DatasetSpec
    from gan_core.generator import GeneratorConfig
    from gan_core.kinds.schema import Schema

FORMAT = 1
BUDGET = "GANTRY_BUDGET"
"""The seconds that a person gives the training, in the environment of the stage."""
START_FILE = "start.json"
_KEY, _REPLAY, _REVERSED = "train.start", "train.replay", "train.reversed"
_SHARE_OF_BUDGET = 0.95
"""Of a person's seconds, what is spent on steps at the measured pace; the rest goes into pictures and checkpoints."""
_DATA = "data"
"""What is to be shown again, beside the checkpoint."""


@dataclass(frozen=True)
class Origin:
    """What a training starts from."""

    named: str
    """`NAME/VERSION`, or the path of a folder."""
    dvc: str | None
    """DVC's hash of a version's checkpoint."""
    folder: Path | None = None
    """Where a checkpoint that is none of a version lies."""
    data: str | None = None
    """With `train.replay`: DVC's hash of the data that a version was trained on."""
    generator: str | None = None
    """DVC's hash of a version's generator."""
    described: DataParams | None = None
    """The section `data` that a version was made by, where it says so."""


@dataclass(frozen=True)
class Pinned:
    """A start as it lies in data/NAME/start."""

    named: str
    dvc: str | None
    checkpoint: Checkpoint
    replay: Dataset | None = None
    """What it was trained on, where that is to be shown again."""
    data: str | None = None
    """DVC's hash of that."""
    schema: Schema | None = None
    """Of a table, its columns as the networks there know them."""

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of it."""
        replayed = {} if self.data is None else {"data": self.data}
        return {"from": self.named, "checkpoint": self.dvc, "sha256": self.checkpoint.sha256, **replayed}


def start(workspace: Workspace, name: str, entry: Entry) -> None:
    """Look up what `train.start` names, see that it fits, and put it into data/NAME/start.

    Raises:
        ConfigError: there is no such version or folder, or it fits nothing of this training.
        DataError: its checkpoint is gone, damaged, or of a newer format.
        RegistryError: the registry cannot be reached.
    """
    origin = look_up(workspace, name, entry.train)
    workspace.private.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="start-", dir=workspace.private) as temporary:
        made = Path(temporary) / "start"
        made.mkdir()
        text = scratch_text()
        if origin is None:
            if entry.train.start != SCRATCH:
                print(f"start {name}: from scratch, no champion yet")
        else:
            _bring(workspace, origin, Path(temporary) / "aside", made)
            taken, known = _check(workspace, name, entry, origin, made)
            text = _text(origin, known)
            shutil.rmtree(made / "generator", ignore_errors=True)
            print(f"start {name}: from {origin.named}, {taken}")
        if seconds := os.environ.get(BUDGET):
            text = _with_budget(workspace, name, entry.train, made, text, float(seconds))
        (made / START_FILE).write_text(text)
        there = workspace.start(name)
        shutil.rmtree(there, ignore_errors=True)
        there.parent.mkdir(parents=True, exist_ok=True)
        made.rename(there)


def _with_budget(workspace: Workspace, name: str, params: TrainParams, made: Path, text: str, seconds: float) -> str:
    """start.json with as many images as fit into the seconds, by the pace of a training that is begun for a moment; no more than the entry
    has where more would be learned by heart."""
    from gan_core.data.dataset import Dataset
    from tasks.pace import measured

    if params.processes != 1:
        raise ConfigError("--budget: the pace of one process is measured, and train.processes asks for more; set train.images instead")
    facts, dataset = json.loads(text), Dataset.open(workspace.ready(name))
    pace = measured(params, dataset, made / "pace", seconds)
    shutil.rmtree(made / "pace")
    images = max(int(seconds * pace * _SHARE_OF_BUDGET) // params.batch, 1) * params.batch
    unit, count = dataset.spec.unit, dataset.spec.counts["train"]
    print(
        f"start {name}: note: {images:,} {unit} fit into {seconds:,.0f} s, at {pace:,.0f} {unit}/s; the budget until data or train change"
    )
    if params.learns_by_heart and images > (most := params.settled(count, facts["from"] is not None).budget):
        print(
            f"start {name}: note: {most:,} {unit} are seen, {most / count:.0f} times each of {count:,}: more, and they are learned by heart"
        )
        images = most
    return (
        json.dumps({**facts, "images": images, "budget": {"seconds": seconds, "images_per_second": round(pace, 1)}}, sort_keys=True) + "\n"
    )


def scratch_text() -> str:
    """start.json of a training from scratch, the same everywhere."""
    return _text(None, {})


def write_scratch(folder: Path) -> None:
    """Make a folder what the start stage would make it for a training from scratch."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / START_FILE).write_text(scratch_text())


def _config(generator: Path) -> GeneratorConfig | None:
    from gan_core.generator import read_config

    try:
        return read_config(generator)
    except DataError:
        return None


def _known(config: GeneratorConfig | None) -> dict[str, Any]:
    """What the networks of a start know by its place alone, as JSON holds it: the names of its labels, its words, and a table's columns;
    nothing where the generator does not say."""
    if config is None:
        return {}
    known = {
        "classes": None if config.classes is None else list(config.classes),
        "words": None if config.data.row_words is None else list(config.data.row_words),
        "schema": config.schema and config.schema.as_json(),
    }
    return {key: value for key, value in known.items() if value is not None}


def _text(origin: Origin | None, known: Mapping[str, Any]) -> str:
    facts: dict[str, Any] = {"format": FORMAT, "from": None}
    if origin is not None:
        facts |= {"from": origin.named, "checkpoint": origin.dvc, **({} if origin.data is None else {"data": origin.data}), **known}
    return json.dumps(facts, sort_keys=True) + "\n"


def look_up(workspace: Workspace, name: str, params: TrainParams) -> Origin | None:
    """What `train.start` names now; None: scratch, also where `champion` is asked for and there is none yet.

    Raises:
        ConfigError: there is no such version or folder, it says not where its checkpoint is, or it is of another recipe.
        RegistryError: the registry cannot be reached.
    """
    asked = params.start
    if asked == SCRATCH:
        return None
    if asked == CHAMPION:
        version = Registry.open(workspace).champion(name) if tracking.exists(workspace) else None
        return None if version is None else _of_version(version, params)
    if is_reference(asked):
        try:
            return _of_version(resolve(workspace, asked)[1], params)
        except ConfigError as error:
            raise ConfigError(f"{_KEY}: {error}") from None
    return _of_folder(workspace.root / Path(asked).expanduser(), asked, params)


def _of_version(version: Version, params: TrainParams) -> Origin:
    named = f"{version.name}/{version.number}"
    try:
        recipe = json.loads(version.tags["params"])["train"].get("recipe", "gan")
    except (KeyError, ValueError, TypeError, AttributeError):
        recipe = params.recipe  # it does not say, and its tensors will
    _check_recipe(named, recipe, params)
    if not version.tags.get("dvc.checkpoint"):
        raise ConfigError(f"{_KEY}: {named} says not where its checkpoint is (tag 'dvc.checkpoint'); name another version, or a folder")
    if params.replay is not None and not version.tags.get("dvc.ready"):
        raise ConfigError(f"{_REPLAY}: {named} says not where the data is that it was trained on (tag 'dvc.ready'); leave {_REPLAY} out")
    data, described = version.tags["dvc.ready"] if params.replay is not None else None, None
    with suppress(KeyError, ValueError, TypeError):
        described = DataParams.model_validate(json.loads(version.tags["params"])["data"])
    return Origin(named, version.tags["dvc.checkpoint"], data=data, generator=version.tags.get("dvc.generator"), described=described)


def _of_folder(folder: Path, asked: str, params: TrainParams) -> Origin:
    found = next((one for one in (folder, folder / "checkpoint") if (one / "state.json").is_file()), None)
    if found is None:
        what = "holds no checkpoint (state.json and state.safetensors)" if folder.is_dir() else "no such folder"
        raise ConfigError(f"{_KEY}: {folder}: {what}; write {SCRATCH}, {CHAMPION}, NAME, NAME/VERSION, or a folder such as models/NAME")
    if params.replay is not None:
        raise ConfigError(
            f"{_REPLAY}: {asked} is a folder, which says not what it was trained on; name a version (NAME/VERSION), or leave {_REPLAY} out"
        )
    recipe = str(stage_files.if_there(found.parent / "generator" / "config.json").get("recipe", params.recipe))
    _check_recipe(asked, recipe, params)
    return Origin(asked, None, found)


def _check_recipe(named: str, recipe: str, params: TrainParams) -> None:
    if recipe != params.recipe:
        raise ConfigError(f"{_KEY}: {named} is of recipe {recipe}, and train.recipe is {params.recipe}; name a start of that recipe")


def _bring(workspace: Workspace, origin: Origin, aside: Path, made: Path) -> None:
    target = made / "checkpoint"
    if origin.folder is not None:
        target.mkdir()
        for file in ("state.json", "state.safetensors"):
            try:
                shutil.copyfile(origin.folder / file, target / file)
            except FileNotFoundError:
                raise DataError(f"{_KEY}: {origin.folder}: holds no {file}; name a folder with a whole checkpoint") from None
        if (beside := origin.folder.parent / "generator").is_dir():
            shutil.copytree(beside, made / "generator")
        return
    aside.mkdir()
    there = Workspace(aside)
    remedy, what = f"or start from another version, or from {SCRATCH}", _KEY
    try:
        with bringing(workspace, there) as bring:
            bring(str(origin.dvc), there.root / "checkpoint")
            with suppress(DataError):  # whose labels are told apart by their names
                bring(str(origin.generator), there.root / "generator")
            remedy, what = f"or leave {_REPLAY} out", _REPLAY
            if origin.data is not None:
                bring(origin.data, there.root / _DATA)
    except DataError as error:
        raise DataError(f"{what}: {origin.named}: {error}; {remedy}") from None
    shutil.copytree(there.root / "checkpoint", target)
    if (there.root / "generator").is_dir():
        shutil.copytree(there.root / "generator", made / "generator")
    if origin.data is not None:
        _copy_packed(there.root / _DATA, made / _DATA)


def _copy_packed(ready: Path, target: Path) -> None:
    """What training reads of a data set, without what validate says of it."""
    from gan_core.data.dataset import Dataset

    spec = Dataset.open(ready).spec
    target.mkdir()
    for file in ("dataset.json", *(file for split in spec.splits for file in spec.files(split))):
        shutil.copyfile(ready / file, target / file)


def _is_reversed(entry: Entry, origin: Origin, here: DatasetSpec, config: GeneratorConfig | None) -> bool | None:
    """Whether a start's pairs are these the other way round: the same arrays, or of one source in the other direction; None: nobody
    knows."""
    from gan_core.start import are_reversed

    found = None if config is None else are_reversed(here, config.data)
    there, mine = origin.described, entry.data
    if found is not None or there is None or (there.source, there.layout) != (mine.source, mine.layout):
        return found
    return {mine.domains: False, mine.domains[::-1]: True}.get(there.domains)


def _check(workspace: Workspace, name: str, entry: Entry, origin: Origin, folder: Path) -> tuple[str, dict[str, Any]]:
    """See that a checkpoint is whole and fits, and what is replayed too; returns what will be taken over, in words, and what is known of
    the start, as JSON holds it."""
    from gan_core import checkpoint
    from gan_core.data.dataset import Dataset
    from gan_core.data.replay import Replay
    from gan_core.kinds.pairs import Pairs
    from gan_core.start import described_as
    from gan_core.training import fitting

    params, dataset = entry.train, Dataset.open(workspace.ready(name))
    config = _config(folder / "generator")
    known, said = _known(config), ""
    if isinstance(dataset.spec, Pairs) and dataset.spec.corruption is None and getattr(params, "reversed", None) is None:
        is_reversed = _is_reversed(entry, origin, dataset.spec, config)
        if is_reversed and params.replay is not None:
            raise ConfigError(f"{_REPLAY}: {origin.named} was trained on pairs that run the other way round; leave {_REPLAY} out")
        if is_reversed:
            known["reversed"] = True
        if is_reversed is None:
            said = f"; which way its pairs run is not known, and is taken to be the way of these ({_REVERSED} says otherwise)"
    replayed = ""
    if origin.data is not None and params.replay is not None:
        again = Replay.of(dataset, Dataset.open(folder / _DATA), params.replay, params.batch)
        replayed = f"; {again.in_words}"
    try:
        begin = _with_facts(checkpoint.read(folder / "checkpoint"), known)
        described, columns = described_as(dataset, _schema(known))
        return fitting(params, described, begin).in_words + columns + replayed + said, known
    except GantryError as error:
        # A file is named by where it came from, not by the folder that it was brought to for a moment.
        where = str(origin.folder or f"the checkpoint of {origin.named}")
        raise type(error)(f"{_KEY}: {origin.named}: {re.sub(re.escape(str(folder / 'checkpoint')), where, str(error))}") from None


def _with_facts(begin: Checkpoint, facts: Mapping[str, Any]) -> Checkpoint:
    told = ("classes", "words", "reversed")
    return replace(begin, facts={**begin.facts, **{what: facts[what] for what in told if what in facts}})


def _schema(facts: Mapping[str, Any]) -> Schema | None:
    from gan_core.kinds.schema import Schema

    return Schema.from_json(facts["schema"]) if "schema" in facts else None


def pinned(workspace: Workspace, name: str, params: TrainParams) -> Pinned | None:
    """What the training of `name` starts from, as the start stage pinned it; None: scratch.

    Raises:
        ConfigError: the stage has not run.
        DataError: the pinned checkpoint is damaged.
    """
    from gan_core import checkpoint
    from gan_core.data.dataset import Dataset

    if params.start == SCRATCH:
        return None
    folder = workspace.start(name)
    if not (folder / START_FILE).exists():
        raise ConfigError(
            f"{folder}: not there, and {_KEY} is {params.start}; run `gantry run {name}` or `dvc repro {PIN}@{name}`, "
            "and `gantry upgrade` first where dvc.yaml has no such stage"
        )
    facts = stage_files.of_stage(folder / START_FILE, PIN, "from")
    if facts["from"] is None:
        return None
    data = facts.get("data")
    replay = None if data is None else Dataset.open(folder / _DATA)
    begin = _with_facts(checkpoint.read(folder / "checkpoint"), facts)
    return Pinned(facts["from"], facts.get("checkpoint"), begin, replay, data, _schema(facts))


def settled(workspace: Workspace, name: str, params: TrainParams, dataset: Dataset, start: Pinned | None) -> TrainParams:
    """The parameters with the number of images: as `gantry run --budget` had it pinned, as they say, or by the size of the data.

    Raises:
        DataError: what is pinned is damaged.
    """
    file = workspace.start(name) / START_FILE
    images = stage_files.of_stage(file, PIN, "from").get("images") if file.exists() else None
    if images is not None:
        return params.model_copy(update={"images": int(images)})
    return params.settled(dataset.spec.counts["train"], start is not None)


def check_stage(workspace: Workspace, params: TrainParams) -> bool:
    """Whether dvc.yaml has the start stage.

    Raises:
        ConfigError: it has not, and `train.start` takes it.
    """
    found = repro.has_stage(workspace, PIN)
    if not found and params.start != SCRATCH:
        raise ConfigError(f"{workspace.root / 'dvc.yaml'}: has no stage {PIN!r}, which {_KEY} takes; `gantry upgrade` brings it up to date")
    return found


def pin(
    workspace: Workspace,
    name: str,
    params: TrainParams,
    say: Callable[[str], None],
    timeout: float | None = None,
    budget: float | None = None,
) -> None:
    """Have DVC run the start stage, if it has to be run: also where a person's budget is another one than what is pinned.

    Args:
        budget: seconds that the training is given.

    Raises:
        ConfigError: dvc.yaml has no such stage, and one is needed.
        StageError: it ended in error.
    """
    if not check_stage(workspace, params):
        if budget is not None:
            raise ConfigError(
                f"{workspace.root / 'dvc.yaml'}: has no stage {PIN!r}, which --budget takes; `gantry upgrade` brings it up to date"
            )
        return
    is_other = budget is not None and _budget_pinned(workspace, name) != budget
    if is_other or repro.look(workspace, PIN, name).changed:
        extra = None if budget is None else {BUDGET: str(budget)}
        repro.reproduce(workspace, PIN, name, force=is_other, on_line=say, timeout=timeout, extra_environment=extra)


def images_of(workspace: Workspace, name: str, params: TrainParams) -> int:
    """How many images a training of `name` sees.

    Raises:
        ConfigError, DataError: as `pinned`, or the data is not there.
    """
    from gan_core.data.dataset import Dataset

    dataset = Dataset.open(workspace.ready(name))
    return settled(workspace, name, params, dataset, pinned(workspace, name, params)).budget


def _budget_pinned(workspace: Workspace, name: str) -> float | None:
    found = stage_files.if_there(workspace.start(name) / START_FILE).get("budget")
    return found.get("seconds") if isinstance(found, dict) else None


def pinned_now(workspace: Workspace, name: str, params: TrainParams, say: Callable[[str], None]) -> Pinned | None:
    """`pinned`, after `pin`, for what trains outside of the graph; None: scratch, for which DVC is not asked.

    Raises:
        ConfigError, DataError, StageError: as the two.
    """
    if params.start == SCRATCH:
        return None
    pin(workspace, name, params, say)
    return pinned(workspace, name, params)


if __name__ == "__main__":
    stage_main(start)
