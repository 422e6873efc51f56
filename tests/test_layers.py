"""The three floors: flows imports tasks imports gan_core, never upward, and each framework is met on its own floor.

Read from the source, also inside functions and `if TYPE_CHECKING`, so that no import hides.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("gan_core", "tasks", "flows")


def modules(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of each import in a module of `package` (such as gan_core.data), by statement or by name at run time."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"
        elif isinstance(node, ast.Call) and isinstance(node.args[0] if node.args else None, ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)  # type: ignore[attr-defined]


def found(path: Path, forbidden: set[str]) -> list[str]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    names = imported(path.read_text(encoding="utf-8"), package)
    return [f"{path.relative_to(ROOT)}:{line} imports {name}" for line, name in names if name.split(".")[0] in forbidden]


def test_every_floor_is_there() -> None:
    for floor in FLOORS:
        assert modules(floor), floor
    assert len(modules("gan_core")) > 20


def test_gan_core_knows_no_floor_above_it_and_no_orchestration() -> None:
    forbidden = {"tasks", "flows", "prefect", "mlflow", "dvc", "great_expectations"}
    assert [line for path in modules("gan_core") for line in found(path, forbidden)] == []


def test_gan_core_needs_only_torch_numpy_and_small_helpers() -> None:
    allowed = {
        "gan_core", "torch", "torchvision", "torch_fidelity", "timm", "opacus", "numpy", "scipy", "sklearn", "safetensors", "PIL",
        "IPython", "pydantic", "pydantic_core", *sys.stdlib_module_names,
    }  # fmt: skip
    others = {
        name.split(".")[0]
        for path in modules("gan_core")
        for _, name in imported(path.read_text(encoding="utf-8"), ".".join(path.relative_to(ROOT).parent.parts))
    }
    assert others - allowed == set()


def test_tasks_knows_no_flow() -> None:
    assert [line for path in modules("tasks") for line in found(path, {"flows"})] == []


def test_prefect_lives_in_flows_and_in_the_stages_alone() -> None:
    paths = [path for path in modules("tasks") if path != ROOT / "tasks" / "stages.py"]
    assert [line for path in paths for line in found(path, {"prefect"})] == []


@pytest.mark.parametrize(
    ("framework", "homes"),
    [
        ("dvc", ["tasks/graph"]),
        ("mlflow", ["tasks/records", "tasks/promotion/loaded_back.py", "tasks/validation/drift.py"]),
        ("great_expectations", ["tasks/validation/expectations.py"]),
    ],
)
def test_each_framework_has_its_home(framework: str, homes: list[str]) -> None:
    strangers = [
        path
        for floor in ("tasks", "flows")
        for path in modules(floor)
        if not any(path.relative_to(ROOT).is_relative_to(home) for home in homes)
    ]
    assert [line for path in strangers for line in found(path, {framework})] == []


def test_no_floor_imports_tests_or_benchmarks() -> None:
    assert [
        line for floor in FLOORS for path in modules(floor) for line in found(path, {"tests", "benchmarks", "pytest", "hypothesis"})
    ] == []


@pytest.mark.parametrize(
    ("source", "package", "names"),
    [
        ("import tasks.params as p, numpy", "gan_core", ["tasks.params", "numpy"]),
        ("def f():\n    from tasks import params", "gan_core", ["tasks.params"]),
        ("from ..tasks import params", "gan_core.data", ["gan_core.tasks.params"]),
        ("from . import losses", "gan_core", ["gan_core.losses"]),
        ("from .batches import Batch", "gan_core.data", ["gan_core.data.batches.Batch"]),
        ("if TYPE_CHECKING:\n    import mlflow", "gan_core", ["mlflow"]),
        ("importlib.import_module('prefect.flows')", "tasks", ["prefect.flows"]),
        ("__import__('dvc')", "tasks", ["dvc"]),
        ("print('import dvc')", "tasks", []),
    ],
)
def test_no_import_hides(source: str, package: str, names: list[str]) -> None:
    assert [name for _, name in imported(source, package)] == names


def test_importing_gan_core_brings_none_of_the_floors_above() -> None:
    """What the source says, seen once from outside: the whole of gan_core in a fresh process."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in modules("gan_core")]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print(*sorted({'tasks', 'flows', 'prefect', 'mlflow', 'dvc', 'great_expectations', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_pickle_is_loaded_and_nothing_evaluated() -> None:
    """torch.load, pickle, joblib, eval and exec run what a file says; checkpoints and generators are safetensors and JSON.

    Published weights come in other forms: as tensors alone, or in an archive of TorchScript, which is of the digest that is pinned."""
    pinned = {("gan_core/metrics/clip_features.py", "torch.jit.load")}
    forbidden_modules = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    problems = [line for floor in FLOORS for path in modules(floor) for line in found(path, forbidden_modules)]
    for path in (path for floor in FLOORS for path in modules(floor)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            pickled = any(one.arg == "allow_pickle" and ast.unparse(one.value) != "False" for one in node.keywords)
            unpickles = name in ("torch.load", "torch.jit.load") and not any(
                one.arg == "weights_only" and ast.unparse(one.value) == "True" for one in node.keywords
            )
            if (unpickles or name in ("eval", "exec") or pickled) and (path.relative_to(ROOT).as_posix(), name) not in pinned:
                problems.append(f"{path.relative_to(ROOT)}:{node.lineno} calls {ast.unparse(node)[:80]}")
    assert problems == []


def test_no_two_test_modules_share_a_name() -> None:
    """Of two that do, pytest collects one."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
