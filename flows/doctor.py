"""`gantry doctor`: what a person would check by hand when something does not work, checked."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from gan_core.errors import GantryError
from tasks import params, scaffold, upgrade
from tasks.graph import repro
from tasks.preflight import check_registry
from tasks.promotion.standing import lost
from tasks.records import tracking
from tasks.records.registry import Registry, Version
from tasks.system import cores
from tasks.system.locks import check_free
from tasks.workspace import Workspace

_DISTRIBUTION = "gantry-gan"
_GIB = 2**30
_PACKAGES = ("flows", "gan_core", "tasks")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "broken"]
    """`note`: works, and a person may want to know."""
    text: str


def examine(workspace: Workspace) -> Iterator[Check]:
    """Look at the machine and the workspace, one check after the other. Changes nothing, and starts no server."""
    for name, look in _CHECKS.items():
        try:
            yield from look(workspace)
        except GantryError as error:
            yield Check(name, "broken", str(error))
        except Exception as error:  # a doctor must not die of what it finds
            yield Check(name, "broken", f"{type(error).__name__}: {' '.join(str(error).split())}")


def _packages(workspace: Workspace) -> Iterator[Check]:
    """Installed packages against what Gantry asks for, and against the tested set."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = scaffold.template("constraints.txt").read_text().splitlines()
    pins = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]  # the others are digests
    tested = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    wrong, other = [], []
    for line in metadata.requires(_DISTRIBUTION) or ():
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} (needs {requirement.specifier})")
        elif tested.get(canonicalize_name(requirement.name), version) != version.partition("+")[0]:
            other.append(f"{requirement.name} {version} (tested: {tested[canonicalize_name(requirement.name)]})")
    python = f"Python {sys.version.split()[0]}"
    if wrong:
        yield Check("packages", "broken", f"{', '.join(wrong)}; install again with constraints.txt")
    elif other:
        yield Check("packages", "note", f"{python}; not the tested set: {', '.join(other)}")
    else:
        yield Check("packages", "ok", f"{python}, Gantry {metadata.version(_DISTRIBUTION)}, the tested set")


def _machine(workspace: Workspace) -> Iterator[Check]:
    from gan_core.device import choose_device, choose_precision

    device = choose_device("auto")
    precision = str(choose_precision("auto", device, convolutional=True)).removeprefix("torch.")
    yield Check("device", "ok", f"{device.type}, {precision} for convolutions, {cores.described()}")


def _pictures(workspace: Workspace) -> Iterator[Check]:
    from tasks.validation.formats import readable

    read, missing = readable()
    without = "".join(f"; {name} not: it takes {what}" for name, what in missing.items())
    yield Check("pictures", "ok", f"{', '.join(read)} are read{without}")


def _disk(workspace: Workspace) -> Iterator[Check]:
    free = shutil.disk_usage(workspace.root).free / _GIB
    state: Literal["ok", "note", "broken"] = "broken" if free < 1 else "note" if free < 5 else "ok"
    yield Check("disk", state, f"{free:.1f} GiB free at {workspace.root.resolve()}")


def _workspace(workspace: Workspace) -> Iterator[Check]:
    entries = params.load(workspace.root)
    repro.prepare(workspace)
    what = f"{workspace.root.resolve()}: {len(entries)} entries"
    if due := upgrade.due(workspace):
        yield Check("workspace", "note", f"{what}; of an earlier Gantry: {', '.join(due)}; `gantry upgrade` brings it up to date")
    elif (workspace.root / "dvc.yaml").read_bytes() == scaffold.template("dvc.yaml").read_bytes():
        yield Check("workspace", "ok", f"{what}, dvc.yaml as shipped")
    else:
        yield Check("workspace", "note", f"{what}; dvc.yaml is not the one that Gantry ships, {scaffold.template('dvc.yaml')}")


def _code(workspace: Workspace) -> Iterator[Check]:
    """Modules of a person's own that bear the names of Gantry's."""
    if workspace.root.resolve() == Path(__file__).resolve().parents[1]:
        return
    found = [f"{name}/" for name in _PACKAGES if (workspace.root / name / "__init__.py").exists()]
    found += [f"{name}.py" for name in _PACKAGES if (workspace.root / f"{name}.py").exists()]
    if not found:
        return
    what = f"{', '.join(found)}: named as Gantry's own"
    if "python -m tasks." in (workspace.root / "dvc.yaml").read_text(encoding="utf-8"):
        yield Check("code", "broken", f"{what}, and taken for them by the stages; write `python -P -m` in dvc.yaml, or `gantry upgrade`")
        return
    yield Check(
        "code",
        "note",
        f"{what}; commands and stages keep to theirs, but `python` or `mlflow models serve`, started here by hand, takes yours: "
        "start it elsewhere",
    )


def _stages(workspace: Workspace) -> Iterator[Check]:
    changed = repro.changed(workspace)
    yield Check("stages", "ok", f"{len(changed)} have to run" if changed else "all up to date")


def _tracking(workspace: Workspace) -> Iterator[Check]:
    address = tracking.without_password(tracking.address(workspace))
    check_registry(workspace)
    if not tracking.exists(workspace):
        yield Check("registry", "ok", f"{address}: not there yet, the first run creates it")
        return
    client = tracking.client(workspace)
    with tracking.errors(client.tracking_uri):
        experiments = [experiment.experiment_id for experiment in client.search_experiments() if experiment.name in _names(workspace)]
        running = client.search_runs(experiments, "attributes.status = 'RUNNING'") if experiments else []
        names = {experiment: client.get_experiment(experiment).name for experiment in experiments}
    dead = [run.info.run_id[:8] for run in running if _is_idle(workspace, names[run.info.experiment_id])]
    if dead:
        yield Check("registry", "note", f"{address}: runs {', '.join(dead)} look under way and are not; a kill left them")
    else:
        yield Check("registry", "ok", f"{address}: answers")


def _champions(workspace: Workspace) -> Iterator[Check]:
    """What is in use: whether the registry holds what was decided, and whether each champion loads and draws."""
    registry = Registry.open(workspace) if tracking.exists(workspace) else None
    found = [*_lost(workspace, registry), *(_usable(workspace, registry) if registry else ())]
    yield from found or [Check("champions", "ok", "none yet")]


def _usable(workspace: Workspace, registry: Registry) -> Iterator[Check]:
    drawing = []
    for name in _names(workspace):
        champion = registry.champion(name)
        if champion is None:
            if registry.versions(name):
                yield Check("champions", "note", f"{name}: has versions and no champion; `gantry promote {name} VERSION` names one")
            continue
        try:
            _draw(registry, champion)
        except GantryError as error:
            yield Check("champions", "broken", f"{name}, version {champion.number}: {error}")
            continue
        drawing.append(f"{name} (version {champion.number})")
    if drawing:
        yield Check("champions", "ok", f"{', '.join(drawing)}: loaded and drawn from")


def _lost(workspace: Workspace, registry: Registry | None) -> Iterator[Check]:
    for name in _names(workspace):
        if (reason := lost(workspace, name, registry)) is not None:
            yield Check("champions", "broken", f"{reason}; `gantry run {name}` registers it again")


def _draw(registry: Registry, champion: Version) -> None:
    """Load a version, and draw one sample, or translate one picture."""
    import pandas as pd

    from tasks.records.served_model import ServedGenerator, rows_that_ask

    generator = registry.load(champion)
    ServedGenerator.of(generator).predict(None, pd.DataFrame(rows_that_ask(generator.config, 1)), {"n": 1, "seed": 0})


def _prefect(workspace: Workspace) -> Iterator[Check]:
    from flows.server import home, is_reachable

    url = os.environ.get("PREFECT_API_URL")
    if url:
        yield Check("prefect", "ok" if is_reachable(url) else "broken", f"{url}: {'answers' if is_reachable(url) else 'no server answers'}")
        return
    database = home(workspace) / "prefect.db"
    dead = [name for name in _running_in(database) if _is_idle(workspace, name)]
    if dead:
        yield Check("prefect", "note", f"runs of {', '.join(dead)} look under way and are not; the next run of each puts that right")
    else:
        yield Check("prefect", "ok", "a server of its own for each run (PREFECT_API_URL is not set)")


def _leftovers(workspace: Workspace) -> Iterator[Check]:
    unfinished = [name for name in _names(workspace) if workspace.unfinished(name).is_dir() and any(workspace.unfinished(name).iterdir())]
    idle = [name for name in unfinished if _is_idle(workspace, name)]
    if idle:
        yield Check("trainings", "note", f"{', '.join(idle)}: unfinished; `gantry run {idle[0]}` goes on from there")
    else:
        yield Check("trainings", "ok", "none is unfinished")


_CHECKS: dict[str, Callable[[Workspace], Iterator[Check]]] = {
    "packages": _packages,
    "device": _machine,
    "pictures": _pictures,
    "disk": _disk,
    "workspace": _workspace,
    "code": _code,
    "stages": _stages,
    "registry": _tracking,
    "champions": _champions,
    "prefect": _prefect,
    "trainings": _leftovers,
}


def _names(workspace: Workspace) -> list[str]:
    return list(params.read(workspace.root).entries)


def _is_idle(workspace: Workspace, name: str) -> bool:
    try:
        check_free(workspace, name)
    except GantryError:
        return False
    return True


def _running_in(database: Path) -> list[str]:
    """Generators whose runs Prefect's embedded database holds as running. Read from the file: a server would take four seconds."""
    import json
    import sqlite3

    if not database.exists():
        return []
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        rows = connection.execute("SELECT parameters FROM flow_run WHERE state_type = 'RUNNING'").fetchall()
    finally:
        connection.close()
    return sorted({str(json.loads(row[0]).get("name")) for row in rows})
