"""`gantry sample` of sentences: printed, unless a file is named."""

from __future__ import annotations

from pathlib import Path

import torch
from command_line import run

from gan_core.generator import Generator, GeneratorConfig
from gan_core.kinds.sentences import Sentences
from gan_core.networks import build_generator
from gan_core.params.networks import SequenceGeneratorParams
from tasks.scaffold import init_workspace


def test_sentences_are_printed_or_written(tmp_path: Path) -> None:
    workspace = init_workspace(tmp_path)
    spec, network = Sentences((6,), vocabulary=("a", "cat", "dog", "=", ".")), SequenceGeneratorParams(width=8, embedding=4)
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig("gan", spec, 6, network, 0, 0, ""), build_generator(network, spec, 6))
    generator.save(tmp_path / "generator")
    texts = spec.texts(generator.sample(5, seed=3).samples)
    asked = ["sample", "--from", "generator", "--count", "5", "--seed", "3"]
    printed = run(workspace, *asked)
    assert (printed.returncode, printed.stdout.splitlines(), printed.stderr) == (0, texts, "")
    written = run(workspace, *asked, "--out", "x.txt")
    assert written.stdout == "5 samples in x.txt\n"
    assert (tmp_path / "x.txt").read_text().splitlines() == texts
