"""Near-twins: what counts as one, that they are said, and that they can be kept on one side of the split."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from raw_sets import entry, write_files
from sklearn.datasets import load_digits

from gan_core.errors import ConfigError
from tasks.validate import validate
from tasks.validation.twins import pairs_of_twins, small, together
from tasks.workspace import Workspace

FOLDER = {"source": "folder:///pictures", "size": 24, "holdout": 0.3}


def picture(seed: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC))


def encoded(pixels: NDArray[np.uint8], quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture
def uploads(tmp_path: Path) -> Workspace:
    """Sixty pictures, of which twenty were sent again in another quality."""
    workspace = Workspace(tmp_path)
    again = {f"again{number:02}.jpg": encoded(picture(number), 60) for number in range(20)}
    write_files(workspace.raw("pets"), {**{f"one{number:02}.jpg": encoded(picture(number), 95) for number in range(60)}, **again})
    return workspace


def sides(workspace: Workspace) -> dict[str, str]:
    manifest = pd.read_parquet(workspace.ready("pets") / "manifest.parquet")
    return {Path(path).stem: split for path, split in zip(manifest["path"], manifest["split"], strict=True)}


def test_near_twins_on_both_sides_are_said(uploads: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    validate(uploads, "pets", entry(FOLDER, {"min_samples": 10}))
    found = sides(uploads)
    apart = [number for number in range(20) if found[f"one{number:02}"] != found[f"again{number:02}"]]
    assert apart, "the draw parts some, or there is nothing to see"
    said = capsys.readouterr().out
    assert f"note: {len(apart)} of {list(found.values()).count('holdout')} held-out images have a near-twin in training, such as " in said
    assert "set validate.near_twins: together" in said


def test_near_twins_are_kept_together(uploads: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    validate(uploads, "pets", entry(FOLDER, {"min_samples": 10, "near_twins": "together"}))
    found = sides(uploads)
    assert all(found[f"one{number:02}"] == found[f"again{number:02}"] for number in range(20))
    assert 0.15 < list(found.values()).count("holdout") / len(found) < 0.45
    assert "near-twin" not in capsys.readouterr().out


def test_what_differs_is_no_twin() -> None:
    digits = small((load_digits().images[:, None] * 255 / 16).astype(np.uint8))
    assert len(pairs_of_twins(digits[:400], digits[400:])) == 0, "no two of 1,797 handwritten digits are near-twins"
    image = picture(0).transpose(2, 0, 1)
    brighter = (20 + 0.8 * image).astype(np.uint8)
    shades = small([image, brighter, image[::-1], image[:, ::-1]])
    assert pairs_of_twins(shades[:1], shades[1:]).tolist() == [[0, 0]], "another brightness is a twin, other colours or a turn are not"


def test_twins_of_twins_share_the_first_key() -> None:
    steps = [picture(0).transpose(2, 0, 1), *(np.roll(picture(seed).transpose(2, 0, 1), 0) for seed in (1, 2))]
    blended = [(0.93 * steps[0] + 0.07 * steps[1] * share).astype(np.uint8) for share in (0.0, 1.0)]
    keys = together(["c", "b", "a", "d"], small([steps[0], *blended, steps[2]]))
    assert keys == ["a", "a", "a", "d"]


def test_a_wrong_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="near_twins"):
        entry(FOLDER, {"near_twins": "apart"})
