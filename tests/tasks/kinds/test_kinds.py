"""Every kind of data is known on both floors, and a look at the list costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gan_core.errors import ConfigError
from gan_core.kinds import KINDS as SPECIFICATIONS
from tasks import kinds
from tasks.params import ValidateParams

ALL = tuple(kinds.KINDS)


def test_both_floors_know_the_same_kinds() -> None:
    assert set(ALL) == set(SPECIFICATIONS)


def test_another_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'imagse' is no kind of data; did you mean images"):
        kinds.of("imagse")


def test_looking_kinds_up_loads_no_heavy_library() -> None:
    """They are looked up wherever params.yaml is read, by `gantry list` for one."""
    heavy = ("numpy", "torch", "PIL", "pandas", "mlflow", "great_expectations")
    code = (
        f"import sys\nfrom tasks import kinds\nfor name in kinds.KINDS: kinds.of(name)\nprint(*sorted({{*{heavy!r}}} & {{*sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "name", [name for name in ALL if name not in ("points", "table", "sounds", "volumes", "clips", "sentences", "predictions")]
)
def test_the_pictures_of_every_kind_made_of_them_are_checked_as_a_whole(name: str) -> None:
    columns = [one.column for one in kinds.of(name).expected(ValidateParams())]
    assert columns == ["width", "height", "mode", "mode", "mean", "std"]


def test_sounds_are_checked_as_a_whole() -> None:
    assert [one.column for one in kinds.of("sounds").expected(ValidateParams())] == ["rate", "channels", "seconds", "level"]


def test_sentences_are_checked_as_a_whole() -> None:
    assert [one.column for one in kinds.of("sentences").expected(ValidateParams())] == ["words", "characters"]


def test_volumes_are_checked_as_a_whole() -> None:
    assert [one.column for one in kinds.of("volumes").expected(ValidateParams())] == ["voxels", "filled", "pieces"]


def test_clips_are_checked_as_a_whole() -> None:
    columns = [one.column for one in kinds.of("clips").expected(ValidateParams())]
    assert columns == ["width", "height", "mode", "mode", "mean", "std", "frames", "motion"]
