"""`gantry sample` of sentences: printed, unless a file is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import called
from typer.testing import CliRunner

from flows.cli import app
from gan_core.errors import ConfigError
from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.points import Points
from gan_core.kinds.sentences import Sentences
from gan_core.networks import build_generator
from gan_core.params.networks import MlpGeneratorParams, SequenceGeneratorParams
from tasks.scaffold import init_workspace


def test_sentences_are_printed_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = init_workspace(tmp_path)
    spec, network = Sentences((6,), vocabulary=("a", "cat", "dog", "=", ".")), SequenceGeneratorParams(width=8, embedding=4)
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig("gan", spec, 6, network, 0, 0, ""), build_generator(network, spec, 6))
    generator.save(tmp_path / "generator")
    texts = spec.texts(generator.sample(5, seed=3).samples)
    asked = ["sample", "--from", "generator", "--count", "5", "--seed", "3"]
    printed = called(workspace, *asked)
    assert (printed.returncode, printed.stdout.splitlines(), printed.stderr) == (0, texts, "")
    told = json.loads(called(workspace, *asked, "--json").stdout)
    assert told == {"name": tmp_path.name, "version": None, "count": 5, "out": None, "lines": texts}
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, [*asked, "--out", "-"]).stdout == printed.stdout
    written = called(workspace, *asked, "--out", "x.txt")
    assert written.stdout == "5 samples in x.txt\n"
    assert (tmp_path / "x.txt").read_text().splitlines() == texts


def test_a_dash_is_no_name_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, network = Points((2,), mean=(0.0, 0.0), std=(1.0, 1.0)), MlpGeneratorParams(widths=(4,))
    Generator(GeneratorConfig("gan", spec, 2, network, 0, 0, ""), build_generator(network, spec, 2)).save(tmp_path / "generator")
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["sample", "--from", "generator", "--out", "-"]).exception
    assert isinstance(refused, ConfigError)
    assert "--out -: prints samples that are text, and this generator makes points; name a file or a new folder" in str(refused)
    for words in (["export", "--from", "generator", "--format", "folder"], ["quarantine", "digits"]):
        assert "--out -: what is written here is files" in str(CliRunner().invoke(app, [*words, "--out", "-"]).exception)
    assert [path.name for path in tmp_path.iterdir()] == ["generator"]
