"""What a terminal shows of a training: whole words, at any width."""

from __future__ import annotations

import io
import re
import sys

import pytest

from gan_core.training import Progress
from tasks.system import progress


class Screen(io.StringIO):
    """A terminal that keeps what it is told."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("width", "has_losses"), [(80, False), (100, False), (120, True), (200, True)])
def test_nothing_is_cut_short(monkeypatch: pytest.MonkeyPatch, width: int, has_losses: bool) -> None:
    screen = Screen()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stdout", screen)
    with progress.shown("sign-digits") as show:
        show(Progress(120_064, 200_000, {"discriminator_loss": 0.6931, "generator_loss": -0.3331}))
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    last = [line for line in re.split(r"[\r\n]", shown) if "train sign-digits" in line][-1]
    assert "120,064 / 200,000 images" in last
    assert "images/s" in last
    assert ("discriminator loss 0.693" in last) == has_losses
    assert has_losses or "\u2026" not in last
