"""constraints.txt is the one list of tested versions: nothing is missing, every file has a digest, and no index is named."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def pinned(here: bool = False) -> dict[str, tuple[Requirement, list[str]]]:
    """What each name is pinned to, and the digests of its files; `here`: by this Python on this system, where others have another."""
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text().strip()):
        line, *digests = entry.replace(" \\\n", "\n").splitlines()
        requirement = Requirement(line)
        if here and requirement.marker is not None and not requirement.marker.evaluate():
            continue
        found[canonicalize_name(requirement.name)] = requirement, [digest.strip() for digest in digests]
    return found


def test_every_package_is_pinned_to_one_version_with_the_digest_of_every_file() -> None:
    for name, (requirement, digests) in pinned().items():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), name
        assert digests, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", digest) for digest in digests), name


def test_no_index_and_no_host_is_named() -> None:
    assert "//" not in (ROOT / "constraints.txt").read_text()


def test_what_the_project_asks_for_is_pinned_to_what_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    pins = pinned()
    for requirement in map(Requirement, asked):
        if requirement.name != project["name"]:
            (version,) = pins[canonicalize_name(requirement.name)][0].specifier
            assert requirement.specifier.contains(version.version), f"{requirement} is pinned to {version}; run `make pins`"


def test_what_is_installed_here_is_what_is_pinned() -> None:
    """All that the project needs in this environment, and all that those need in turn; pip and setuptools are the environment's own."""
    name = "gantry-gan"
    pins, seen, wanted = pinned(here=True), {"pip[]", "setuptools[]"}, [Requirement(f"{name}[dev]")]
    while wanted:
        requirement = wanted.pop()
        extras = requirement.extras or {""}
        for line in metadata.requires(requirement.name) or ():
            needed = Requirement(line)
            if not any(needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            key = canonicalize_name(needed.name)
            if (mark := f"{key}{sorted(needed.extras)}") not in seen and key != name:
                seen.add(mark)
                version = metadata.version(needed.name).partition("+")[0]
                assert key in pins, f"{key} {version} is installed and not pinned; run `make pins`"
                assert pins[key][0].specifier.contains(version), f"{key} {version} is installed, and {pins[key][0]} pinned"
                wanted.append(needed)
            elif key == name:
                wanted.append(needed)
    assert len(seen) > 100
