"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def gantry_data() -> Path:
    """The folder of real image sets that the environment variable GANTRY_DATA names."""
    folder = os.environ.get("GANTRY_DATA")
    if not folder:
        pytest.skip("GANTRY_DATA is not set: no folder of real image sets")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.fail(f"GANTRY_DATA={folder} is not a folder")
    return path
