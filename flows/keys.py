"""Every key of params.yaml: what it takes, its default, an example, what it does. Read from the models that check an entry.

`python -m flows.keys` writes docs/keys.md, so that the page says what the code does.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from gan_core.errors import ConfigError
from gan_core.params import RECIPES, TrainParams
from gan_core.params.common import OneOf, Strict
from gan_core.params.networks import DISCRIMINATORS, GENERATORS
from tasks import params
from tasks.params import DataParams, Entry, EvaluateParams, RegisterParams, ValidateParams

_PAGE = Path(__file__).parents[1] / "docs" / "keys.md"
_NUMBERS = {int: "whole number", float: "number"}
_WORDS: Mapping[type, str] = {bool: "true or false", str: "text", NoneType: "null", **_NUMBERS}
_BOUNDS = {"ge": "from {}", "gt": "above {}", "le": "up to {}", "lt": "below {}"}

_EXAMPLES: Mapping[str, Any] = {
    "data.root": "$MY_DATA",
    "data.folders": ["trainA", "trainB"],
    "data.range": [0, 4095],
    "data.labels": "labels.csv",
    "data.label_pattern": ": ([a-z-]+) skin tone",
    "data.bins": [0, 20, 40, 60],
    "data.captions": "texts.csv",
    "data.rate": 8_000,
    "data.longer": "refuse",
    "data.bands": 32,
    "data.text": "comment",
    "data.length": 24,
    "data.words": 3_000,
    "data.sigma": 0.05,
    "data.columns": {"paid on": "date %d/%m/%Y", "id": "drop"},
    "data.categorical": ["postcode"],
    "data.drop": ["internal note"],
    "data.rules": ["start <= end"],
    "data.key": "id",
    "data.children": {"source": "table://orders.csv", "key": "customer"},
    "data.children.key": "customer",
    "data.children.name": "orders",
    "data.children.columns": {"order": "id", "day": "date %d/%m/%Y"},
    "data.children.categorical": ["shop"],
    "data.children.drop": ["remark"],
    "data.missing": ["", "NA", "-"],
    "data.decimal": ",",
    "data.modes": 5,
    "data.seed": 1,
    "data.selection": 0.1,
    "data.holdout": 0.2,
    "data.radius": 1.5,
    "data.count": 5_000,
    "data.channels": 5,
    "data.depth": 16,
    "data.show": [4, 3, 2],
    "validate.max_quarantined": 0.05,
    "validate.min_samples": 1_000,
    "validate.min_side": 32,
    "validate.max_side": 4_096,
    "validate.min_std": 2.0,
    "validate.max_seconds": 30.0,
    "validate.max_voxels": 2_097_152,
    "validate.max_frames": 1_000,
    "data.given": 4,
    "validate.min_level": 0.01,
    "validate.min_per_class": 20,
    "validate.drift_shift": 0.5,
    "validate.drift_share": 2.0,
    "evaluate.features_seed": 1,
    "evaluate.samples": 2_000,
    "evaluate.seed": 1,
    "register.improve": "kid",
    "register.require": {"recall": ">= 0.4", "copies": "<= 0.01"},
    "register.confidence": 0.9,
    "register.looks": 365,
    "register.replicates": 10_000,
    "schedule": "0 3 * * 1",
    "timezone": "Europe/Berlin",
    "train.start": "champion",
    "train.replay": 0.25,
    "train.shrink": 0.5,
    "train.seed": 1,
    "train.threads": 1,
    "train.processes": "auto",
    "train.accumulate": 4,
    "train.restarts": 2,
    "train.log_every": 1_000,
    "train.preview_every": 10_000,
    "train.select_every": 20_000,
    "train.patience": 0.2,
    "train.checkpoint_every": 50_000,
    "train.label_smoothing": 0.1,
    "train.freeze": {"layers": 2},
    "train.augment_target": 0.5,
    "train.augment_span": 200_000,
    "train.penalty": {"r1": 1.0, "every": 8},
    "layers": 2,
    "train.likelihood": {"until": 0.8},
    "train.likelihood.weight": 0.5,
    "embedding": 96,
    "levels": 4,
    "until": 0.5,
    "generator_learning_rate": 0.0002,
    "components": 8,
    "hidden": 128,
    "dropout": 0.3,
    "width": 64,
    "train.generator.depth": 1,
    "train.discriminator.depth": 1,
    "depths": [1, 1, 2, 2],
    "group_width": 8,
    "degrees": {"front": 0.0, "left": 90.0},
    "widths": [256, 128],
    "blocks": 6,
    "downsamplings": 3,
    "code": 32,
    "r2": 1.0,
    "every": 8,
    "latent": 128,
    "batch": 32,
    "images": 100_000,
    "learning_rate": 0.001,
    "decay": 0.5,
    "betas": [0.5, 0.99],
    "ema": 50_000,
    "discriminator_steps": 5,
    "loss": "hinge",
    "clip": 0.01,
    "gradient": 10.0,
    "r1": 1.0,
    "data.seconds": 2.0,
    "data.up": "y",
    "train.generator": {"width": 32},
    "generator": {"widths": [128, 128]},
    "train.discriminator": {"width": 32},
    "discriminator": {"widths": [128, 128]},
    "train.optimizer": {"learning_rate": 0.001},
    "train.optimizer.betas": [0.0, 0.9],
    "train.pool": 0,
    "train.pac": 10,
    "train.balance": 0.5,
    "train.privacy": {"epsilon": 10.0},
    "train.privacy.epsilon": 10.0,
    "train.privacy.delta": 1e-6,
    "train.privacy.clip": 0.5,
    "train.divergence": 0.05,
    "train.matching": 2.0,
    "train.adversarial": 0.5,
    "train.jitter": 0.0,
}
"""Of keys, by path or by name, where no entry of examples/ says more than the default does."""

_WHAT: Mapping[str, str] = {
    "data": "What it is made of.",
    "validate": "What a sample and a data set must be like.",
    "train": "The game, its networks and its budget.",
    "evaluate": "How it is scored on held-out data.",
    "register": "When a new version becomes the champion.",
    "data.source": "Where the samples come from: an address, as above.",
    "evaluate.seed": "Of the latents and labels that are drawn, and of which real samples are compared.",
    "train.recipe": "The game that is played.",
    "train.seed": "Of every random draw: equal seeds give equal weights, on one machine and number of threads.",
    "train.batch": "Samples a step.",
    "train.optimizer": "Of both players; its keys stand below.",
    "train.device": "Where it trains; `auto` takes a GPU where there is one.",
    "train.loss": "What the players optimise; all are named as in their papers (gan_core/losses.py).",
    "train.penalty": "Regularisers of the discriminator; its keys stand under the recipe gan.",
    "train.discriminator_steps": "Steps of the discriminator for each of the generator.",
    "train.generator": "The network that draws; its keys stand below, by network.",
    "train.discriminator": "The network that judges; its keys stand below.",
    "train.text_share": "Share of the budget in which the text encoders learn, before the game.",
    "train.second_from": "Share of the budget at which the second stage begins.",
    "train.optimizer.name": "Adam, or RMSprop, which the WGAN paper asks for.",
    "train.optimizer.learning_rate": "Of the discriminator, and of the generator where its own is not set.",
    "train.optimizer.betas": "Decay of Adam's first and second moment, a step.",
    "network": "The family; each has keys of its own.",
    "latent": "Length of the noise that a sample is made of.",
    "width": "Channels, or what the family that `auto` stands for takes as such.",
    "widths": "Units or channels layer by layer, instead of `width`.",
    "normalization": "What is normalised between layers. None: as the family usually does.",
    "components": "Of a mixture of Gaussians that the latent is drawn from, for data in separate pieces.",
    "hidden": "Units of a dense layer in front of the logits.",
    "dropout": "Share of a layer's outputs that is set to 0 in training.",
    "batch_distance": "It also sees how far each sample is from the others of its label in the batch.",
}
"""Of keys, by path or by name, whose models say nothing beside them."""


@dataclass(frozen=True)
class Key:
    """One key of params.yaml."""

    path: str
    """From an entry's top: `train.optimizer.decay`."""
    takes: str
    default: str
    """As YAML, or `required`."""
    example: str
    """As YAML."""
    what: str
    """What it does; empty where its name says it."""
    field: FieldInfo
    value: Any
    """The example."""


@dataclass(frozen=True)
class Section:
    """The keys of one model, such as those of `train` under the recipe gan."""

    title: str
    what: str
    keys: tuple[Key, ...]


@cache
def sections() -> tuple[Section, ...]:
    """Every section of an entry, those of each recipe and network one by one."""
    found = [
        _section("an entry", "", Entry),
        _section("data", "data", DataParams),
        *_nested(DataParams, "a second table", "data", set()),
        _section("validate", "validate", ValidateParams),
        _section("train, every recipe", "train", TrainParams, skip={"recipe"}),
    ]
    seen: set[type[BaseModel]] = set()
    for name, recipe in RECIPES.items():
        inherited = {key for key, field in recipe.model_fields.items() if key in TrainParams.model_fields and not _differs(key, field)}
        found.append(_section(f"train, recipe {name}", "train", recipe, skip=inherited - {"recipe"}))
        found += _nested(recipe, f"recipe {name}", "train", seen)
    for role, known in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
        found += [_section(f"train.{role}, network {name}", f"train.{role}", network) for name, network in known.items()]
    return (*found, _section("evaluate", "evaluate", EvaluateParams), _section("register", "register", RegisterParams))


def explained(name: str) -> list[tuple[Section, Key]]:
    """The key of a path, in each section that has it.

    Raises:
        ConfigError: there is none; says the nearest.
    """
    import difflib

    known = [(section, key) for section in sections() for key in section.keys]
    if found := [(section, key) for section, key in known if key.path == name]:
        return found
    near = difflib.get_close_matches(name, [key.path for _, key in known], n=1)
    raise ConfigError(f"{name[:80]}: no key of params.yaml" + (f"; did you mean {near[0]}?" if near else "; docs/keys.md has them all"))


def page() -> str:
    """docs/keys.md."""
    lines = [
        "# Every key of params.yaml",
        "",
        "Made of the code by `python -m flows.keys`. `gantry explain train.loss` says the same of one key. What is left out has its",
        "default; a wrong key or value is refused before anything runs. None in a description is what holds where the key is left out.",
    ]
    for section in sections():
        lines += ["", f"## {section.title}", "", *([section.what, ""] if section.what else [])]
        lines += ["| key | takes | default | example | what it does |", "|---|---|---|---|---|"]
        lines += [
            f"| `{key.path}` | {_cell(key.takes)} | {_code(key.default)} | {_code(key.example)} | {_cell(key.what)} |"
            for key in section.keys
        ]
    return "\n".join(lines) + "\n"


def _section(title: str, path: str, model: type[BaseModel], skip: set[str] = frozenset()) -> Section:  # type: ignore[assignment]
    keys = tuple(_key(path, name, field, model) for name, field in model.model_fields.items() if name not in skip)
    own = "" if model in (Entry, TrainParams) else _plain(inspect.getdoc(model) or "")
    return Section(title, own, keys)


def _nested(model: type[BaseModel], title: str, path: str, seen: set[type[BaseModel]]) -> Iterator[Section]:
    """The sections below one that are always of the same model, such as the optimiser's."""
    for name, field in model.model_fields.items():
        for inner in params._models_in(field.annotation):
            if inner not in seen and not any(_chosen_by(field)) and inner not in (*GENERATORS.values(), *DISCRIMINATORS.values()):
                seen.add(inner)
                yield _section(f"{path}.{name}, {title}", f"{path}.{name}", inner)


def _chosen_by(field: FieldInfo) -> Iterator[OneOf]:
    return (one.func for one in field.metadata if isinstance(one, BeforeValidator) and isinstance(one.func, OneOf))


def _differs(key: str, field: FieldInfo) -> bool:
    former = TrainParams.model_fields[key]
    return (field.annotation, field.metadata, field.default) != (former.annotation, former.metadata, former.default)


def _key(above: str, name: str, field: FieldInfo, model: type[BaseModel]) -> Key:
    name_in_file = field.alias or name
    path = f"{above}.{name_in_file}" if above else name_in_file
    takes = " or ".join(dict.fromkeys(_takes(field.annotation, field.metadata)))
    if one := next(_chosen_by(field), None):
        takes = f"a section; its `{one.tag}` says which: {', '.join(one.known)}"
    is_required = field.is_required() or (path == "train.recipe" and field.default != "gan")
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    value = _example(path, field, default, model)
    about = _docs(model).get(name) or _WHAT.get(path) or _WHAT.get(name_in_file, "")
    return Key(path, takes, "required" if is_required else _yaml(default), _yaml(value), _plain(about), field, value)


def _takes(annotation: Any, metadata: Any = ()) -> list[str]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        more = [one for told in inner[1:] for one in (told.metadata if isinstance(told, FieldInfo) else [told])]
        return _takes(inner[0], [*metadata, *more])
    if origin in (Union, UnionType):
        return [word for one in inner if one is not NoneType for word in _takes(one, metadata)]
    if origin is Literal:
        return [", ".join(f"`{_yaml(value)}`" for value in inner)]
    if origin is tuple:
        items = _takes(inner[0])[0]
        return [f"list, each a {items}" if inner[-1] is Ellipsis else f"list of {len(inner)}, each a {items}"]
    if origin in (dict, Mapping) or (inspect.isclass(origin) and issubclass(origin, Mapping)):
        return ["mapping"]
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return ["a section"]
    word = _WORDS.get(annotation, "value")
    bounds = [text.format(f"{getattr(one, key):,}") for one in metadata for key, text in _BOUNDS.items() if hasattr(one, key)]
    return [" ".join([word, *bounds]) if annotation in _NUMBERS else word]


def _example(path: str, field: FieldInfo, default: Any, model: type[BaseModel]) -> Any:
    name = path.rpartition(".")[2]
    for known in _from_examples(path):
        if _yaml(known) != _yaml(default) and _fits(field, model, known):
            return known
    for key in (path, name):
        if key in _EXAMPLES and _yaml(_EXAMPLES[key]) != _yaml(default) and _fits(field, model, _EXAMPLES[key]):
            return _EXAMPLES[key]
    options = [value for one in (field.annotation, *get_args(field.annotation)) if get_origin(one) is Literal for value in get_args(one)]
    if options:
        return next((value for value in options if value != default), options[0])
    if isinstance(default, bool) or field.annotation is bool or bool in get_args(field.annotation):
        return not default
    if isinstance(default, BaseModel) or any(params._models_in(field.annotation)):
        return {}
    near = [2 * default, default / 2, default // 2] if isinstance(default, int | float) else [1, 0.5, 2]
    return next((value for value in near if _yaml(value) != _yaml(default) and _fits(field, model, value)), default)


def _fits(field: FieldInfo, model: type[BaseModel], value: Any) -> bool:
    """Whether a key of this field takes a value, apart from what other keys say."""
    from pydantic import ConfigDict, ValidationError, create_model

    name = next(name for name, one in model.model_fields.items() if one is field)
    alone = create_model("alone", __config__=ConfigDict(strict=True, extra="forbid"), **{name: (field.annotation, field)})  # type: ignore[call-overload]
    try:
        alone.model_validate({field.alias or name: value})
    except (ValidationError, ConfigError):
        return False
    return True


@cache
def _examples() -> tuple[Mapping[str, Any], ...]:
    """The entries of params.yaml and of examples/, as they stand there."""
    from ruamel.yaml import YAML

    from tasks.scaffold import template

    files = [template("params.yaml"), *sorted(template("examples").glob("*.yaml"))]
    return tuple(entry for file in files for entry in YAML(typ="safe", pure=True).load(file.read_text())["generators"].values())


def _from_examples(path: str) -> Iterator[Any]:
    for entry in _examples():
        value: Any = entry
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None and not isinstance(value, Mapping):
            yield value


@cache
def _docs(model: type[BaseModel]) -> Mapping[str, str]:
    """The text below each key, of the class that says most lately."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not (issubclass(one, BaseModel) and one not in (BaseModel, Strict)):
            continue
        (defined,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        body = defined.body if isinstance(defined, ast.ClassDef) else []
        for statement, following in itertools.pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and isinstance(following, ast.Expr):
                text = getattr(following.value, "value", None)
                if isinstance(text, str):
                    found[statement.target.id] = inspect.cleandoc(text)
    return found


def _plain(text: str) -> str:
    """One paragraph on one line."""
    return " ".join(text.split())


def _yaml(value: Any) -> str:
    """As params.yaml has it, on one line."""
    if isinstance(value, BaseModel):
        return _yaml(value.model_dump(exclude_defaults=True, by_alias=True))
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"{value:_}" if isinstance(value, int) and value >= 10_000 else f"{value:g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    plain = str(value)
    return plain if re.fullmatch(r"[a-zA-Z$][\w ./-]*", plain) and _reads_as(plain) == plain else json.dumps(plain, ensure_ascii=False)


def _reads_as(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return "required" if text == "required" else f"`{_cell(text)}`"


if __name__ == "__main__":
    _PAGE.write_text(page(), encoding="utf-8")
