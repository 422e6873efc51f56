"""An entry run through all five stages in this process, for the tests of a kind of data."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from gan_core.generator import Generator
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.graph import repro
from tasks.params import Entry
from tasks.register import register
from tasks.train import train
from tasks.validate import validate
from tasks.workspace import GRAPH, Workspace


class Done(NamedTuple):
    """What the stages left."""

    workspace: Workspace
    entry: Entry
    generator: Generator
    said: str


def through_all(workspace: Workspace, name: str, entry: Entry) -> Done:
    """Run the stages; what they print is kept."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *words, **_: said.append(" ".join(map(str, words))))
        for stage in (fetch, validate, train, evaluate, register):
            stage(workspace, name, entry)
    return Done(workspace, entry, Generator.load(workspace.model(name) / "generator"), "\n".join(said))


def reproduced(workspace: Workspace, name: str, last: str) -> None:
    """Run the stages up to `last` by DVC, forked from one process that has imported for all of them."""
    repro.prepare(workspace)
    with repro.forking(workspace, name):
        for stage in GRAPH[: GRAPH.index(last) + 1]:
            repro.reproduce(workspace, stage, name)
