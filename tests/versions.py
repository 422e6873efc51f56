"""The suite under the lowest and the newest versions that pyproject.toml allows: `python tests/versions.py [--python 3.13 ...] [-- TESTS]`.

For each Python and each resolution an environment is made in a temporary folder (3 GB, and more with torch for CUDA) and removed
afterwards. The versions are resolved, and the environments made, by uv. What stands after `--` is handed to pytest: files, `-n 0`, `-k`.
Prints a table in Markdown, and below it what failed; exit code 1 where a test failed or an environment could not be made.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

_CHECKOUT = Path(__file__).parent.parent
_RESOLUTIONS: Mapping[str, tuple[str, ...]] = {
    "lowest": ("--resolution", "lowest-direct"),
    "newest": ("--resolution", "highest"),
    "pinned": ("--constraint", "versions.txt"),
}
_WORKERS = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
_PINS_ONLY = "tests/test_pins.py::test_what_is_installed_here_is_what_is_pinned"


@dataclass(frozen=True)
class Result:
    """Of the suite in one environment."""

    python: str
    """As it names itself."""
    passed: int
    skipped: int
    failed: Sequence[str]
    """Names of tests, and that pytest did not come to its end."""
    seconds: float
    """Wall-clock, of the tests alone."""


def main() -> None:
    """Make each environment, run the tests in it, print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", metavar="VERSION", help="3.12, or a path; several in turn (default: this one)")
    parser.add_argument("--versions", action="append", choices=list(_RESOLUTIONS), help="several in turn (default: lowest, newest)")
    parser.add_argument("tests", nargs="*", help="for pytest (default: the whole suite)")
    options = parser.parse_args()
    rows, failed = ["| Python | versions | passed | failed | skipped | minutes |", "|---|---|---|---|---|---|"], []
    for python in options.python or [sys.executable]:
        for versions in options.versions or ["lowest", "newest"]:
            print(f"Python {python}, {versions} versions", flush=True)
            with tempfile.TemporaryDirectory(prefix="gantry-versions-") as folder:
                result = suite(environment(Path(folder), python, versions), versions, options.tests)
            counts = f"{result.passed} | {len(result.failed)} | {result.skipped} | {result.seconds / 60:.1f}"
            rows.append(f"| {result.python} | {versions} | {counts} |")
            failed += [f"Python {result.python}, {versions}: {test}" for test in result.failed]
    print("\n".join(["", *rows, "", *failed]))
    raise SystemExit(bool(failed))


def environment(folder: Path, python: str, versions: str) -> Path:
    """Make an environment of everything that pyproject.toml asks for, extras too; its interpreter.

    Raises:
        subprocess.CalledProcessError: uv found no such Python, or nothing that fits; it has said why.
    """
    pins = (_CHECKOUT / "constraints.txt").read_text()
    (folder / "versions.txt").write_text(re.sub(r" \\\n +--hash=\S+", "", pins))  # as the Makefile has them: torch's digests differ
    interpreter = folder / "environment" / "bin" / "python"

    def uv(*command: str) -> None:
        subprocess.run([sys.executable, "-m", "uv", "--no-python-downloads", "--quiet", *command], cwd=folder, check=True)

    uv("venv", "--python", python, str(interpreter.parent.parent))
    uv("pip", "compile", "--python", str(interpreter), "--all-extras", *_RESOLUTIONS[versions], "--output-file", "resolved.txt",
       str(_CHECKOUT / "pyproject.toml"))  # fmt: skip
    # Compiled, or the first tests wait for large libraries longer than they have.
    uv("pip", "install", "--python", str(interpreter), "--compile-bytecode", "--requirement", "resolved.txt")
    uv("pip", "install", "--python", str(interpreter), "--no-deps", "--editable", str(_CHECKOUT))
    return interpreter


def suite(interpreter: Path, versions: str, tests: Sequence[str]) -> Result:
    """Run the tests, or those that are named, by an environment's interpreter."""
    written = interpreter.parent.parent / "tests.xml"
    other = () if versions == "pinned" else ("--deselect", _PINS_ONLY)
    variables = os.environ | {"PATH": f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"}
    began = time.monotonic()
    done = subprocess.run(
        [str(interpreter), "-m", "pytest", "-q", "-p", "no:cacheprovider", *_WORKERS, *other, f"--junitxml={written}", *tests],
        cwd=_CHECKOUT, env=variables, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - began
    cases = list(ElementTree.parse(written).iter("testcase")) if written.exists() else []  # noqa: S314 (pytest's own)
    failed = [f"{case.get('classname')}::{case.get('name')}" for case in cases if {"failure", "error"} & {part.tag for part in case}]
    skipped = sum("skipped" in {part.tag for part in case} for case in cases)
    passed = len(cases) - len(failed) - skipped
    if done.returncode not in (0, 1) or not cases:
        failed.append(f"pytest ended with exit code {done.returncode} after {len(cases)} tests")
    named = subprocess.run([str(interpreter), "--version"], capture_output=True, text=True, check=True)
    return Result(named.stdout.split()[1], passed, skipped, failed, seconds)


if __name__ == "__main__":
    main()
