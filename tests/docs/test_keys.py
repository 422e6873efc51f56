"""docs/keys.md is what the code says, and what it says of each key is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import called
from pydantic import BaseModel
from ruamel.yaml import YAML

from flows import keys
from flows.keys import Key, explained, sections
from gan_core.params import RECIPES
from gan_core.params.networks import DISCRIMINATORS, GENERATORS
from tasks import params
from tasks.workspace import Workspace

ROOT = Path(__file__).parents[2]
ALL = sections()
ONE_OF_ONE = ("train.recipe", "train.generator.network", "train.discriminator.network")


def test_the_page_is_what_the_command_writes_now() -> None:
    assert (ROOT / "docs" / "keys.md").read_text(encoding="utf-8") == keys.page(), "run `python -m flows.keys`"


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        for inner in params._models_in(field.annotation):
            yield inner
            yield from models(inner)


def test_every_key_that_a_model_has_is_there() -> None:
    named = {key.path for section in ALL for key in section.keys}
    for recipe in RECIPES.values():
        for field in recipe.model_fields:
            assert f"train.{field}" in named
        for inner in models(recipe):
            assert {*inner.model_fields} <= {path.rpartition(".")[2] for path in named}
    for role, known in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
        for network in known.values():
            assert {f"train.{role}.{field}" for field in network.model_fields} <= named
    assert {"data.source", "validate.drift", "evaluate.samples", "register.improve", "schedule"} <= named


def test_each_key_says_what_it_does_and_has_an_example_that_is_none_of_its_default() -> None:
    for section in ALL:
        for key in section.keys:
            assert key.what, f"{section.title}: {key.path} is not described; write a text below it in its model"
            if key.path not in ONE_OF_ONE:
                assert key.example != key.default, f"{section.title}: {key.path} has no example; give it one in flows/keys.py"
                assert key.takes != "value", f"{section.title}: {key.path}"


def test_each_example_and_default_is_yaml_that_reads_as_the_value() -> None:
    read = YAML(typ="safe", pure=True).load
    for section in ALL:
        for key in section.keys:
            assert keys._yaml(read(key.example)) == key.example, f"{section.title}: {key.path}"
            if key.default != "required":
                assert keys._yaml(read(key.default)) == key.default, f"{section.title}: {key.path}"


def found(path: str, title: str = "") -> Key:
    return next(key for section, key in explained(path) if title in section.title)


def test_ranges_defaults_and_texts_are_those_of_the_models() -> None:
    assert found("train.batch", "every recipe").takes == "whole number from 2 up to 65,536"
    assert (found("train.batch", "pix2pix").takes, found("train.batch", "pix2pix").default) == ("whole number from 1 up to 65,536", "8")
    assert found("data.holdout").takes == "number above 0 below 1"
    assert found("validate.drift").takes == "`warn`, `block`, `off`"
    assert '"null", "NULL", None' in found("data.missing").default  # YAML reads null as nothing, and None as text
    assert found("train.freeze.layers").what.startswith("How many, from the sample inwards;")
    assert found("train.optimizer.decay", "pix2pix").default == "0.5"


def test_the_command_explains_a_key_and_says_the_nearest(tmp_path: Path) -> None:
    told = called(Workspace(tmp_path), "explain", "train.label_smoothing")
    assert told.returncode == 0, told.stderr
    assert "number from 0 below 0.5" in told.stdout
    assert "Salimans et al., 2016" in told.stdout
    wrong = called(Workspace(tmp_path), "explain", "train.label_smothing")
    assert (wrong.returncode, "did you mean train.label_smoothing?" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("text", ["null", "yes", "0 3 * * 1", "a: b", "#", "", " a"])
def test_text_that_yaml_reads_otherwise_stands_in_quotes(text: str) -> None:
    assert YAML(typ="safe", pure=True).load(keys._yaml(text)) == text
