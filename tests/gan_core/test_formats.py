"""What older versions wrote still loads: a small sample of each format lies in formats/, and is never written again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_core import checkpoint
from gan_core.generator import Generator

FORMATS = Path(__file__).with_name("formats")


def test_a_checkpoint_of_format_1() -> None:
    read = checkpoint.read(FORMATS / "checkpoint-1")
    assert (read.images, read.facts) == (100, {"counts": {"loss": 2}})
    torch.testing.assert_close(read.tensors["a/weight"], torch.arange(6.0).reshape(2, 3))
    torch.testing.assert_close(read.tensors["b"], torch.tensor(3))


@pytest.mark.parametrize("format", [1, 2])
def test_a_generator_of_each_format(format: int) -> None:
    """Of the first one without the settings that came later."""
    generator = Generator.load(FORMATS / f"generator-{format}")
    assert (generator.config.kind, generator.config.shape, generator.config.classes) == ("points", (2,), None)
    drawn = generator.sample(2, seed=0).samples
    np.testing.assert_allclose(drawn, [[0.19409460, -0.58164811], [0.18645602, 0.11840934]], rtol=1e-5)


def test_every_format_that_is_written_has_a_sample() -> None:
    from gan_core.checkpoint import FORMAT as OF_CHECKPOINTS
    from gan_core.generator import FORMAT as OF_GENERATORS

    present = {path.name for path in FORMATS.iterdir()}
    assert present == {f"checkpoint-{n}" for n in range(1, OF_CHECKPOINTS + 1)} | {f"generator-{n}" for n in range(1, OF_GENERATORS + 1)}
