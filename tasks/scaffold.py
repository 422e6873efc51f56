"""New workspaces, and new entries for params.yaml."""

from __future__ import annotations

import copy
import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_core.errors import ConfigError
from tasks import params
from tasks.graph import repro
from tasks.trials import search_space
from tasks.trials.search_space import in_words
from tasks.workspace import Workspace

# In a wheel the templates lie beside this module (pyproject.toml puts them there); in a checkout they are the repository's own files.
_SHIPPED = Path(__file__).with_name("templates")
_CHECKOUT = Path(__file__).resolve().parent.parent

_DVC_CONFIG = """\
[core]
    analytics = false
    autostage = false
    check_update = false
"""
# What a workspace has besides dvc.yaml and params.yaml.
FILES = {
    ".dvc/config": _DVC_CONFIG,
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "# Files that DVC never looks at, in .gitignore's syntax.\n/.gantry\n/.venv\n/dvc_plots\n",
    ".gitignore": "# What Gantry fills.\n/.gantry/\n/data/\n/models/\n/reports/\n/mlflow.db\n/mlartifacts/\n/dvc_plots/\n",
}


# The line `generators:` and all that stands below it.
_ENTRIES = re.compile(r"^generators:[ ]*(#.*)?\n(?P<entries>.*)\Z", re.MULTILINE | re.DOTALL)


def template(name: str) -> Path:
    """A file that Gantry brings along: `dvc.yaml`, `params.yaml`, `examples/mnist.yaml`."""
    shipped = _SHIPPED / name
    return shipped if shipped.exists() else _CHECKOUT / name


def init_workspace(folder: Path) -> Workspace:
    """Make `folder` a workspace with the entries that are ready to run. In a git checkout DVC uses it, elsewhere it does without.

    Raises:
        ConfigError: something that a workspace has is there already, or the folder cannot be written; nothing was changed.
    """
    contents = {**FILES, "dvc.yaml": template("dvc.yaml").read_text(), "params.yaml": template("params.yaml").read_text()}
    there = [name for name in (".dvc", *contents) if (folder / name).exists() and name != ".gitignore"]
    if there:
        raise ConfigError(f"{folder / there[0]}: there already; `gantry init` makes new workspaces and overwrites nothing")
    if (folder / ".gitignore").exists():
        del contents[".gitignore"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        repro.ignore_git_where_there_is_none(folder)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written ({error.strerror})") from None
    return Workspace(folder)


def add_entries(workspace: Workspace, file: str | Path) -> list[str]:
    """Add the entries of a file (`generators:` with one or more) to the workspace's params.yaml, comments of both kept.

    Args:
        file: a path, or the name of an example that Gantry brings along, such as `mnist`.

    Returns:
        Their names.

    Raises:
        ConfigError: the file or an entry is wrong, or an entry of that name is there already; params.yaml is as before.
    """
    path = _example(file)
    return add_text(workspace, _text(path), str(path))


def add_text(workspace: Workspace, addition: str, path: str, entries: Mapping[str, params.Entry] | None = None) -> list[str]:
    """As `add_entries`, from a file's text; messages call it `path`, and `entries` are what it holds, where that is known."""
    target = workspace.root / "params.yaml"
    present = params.load(workspace.root)
    new = params.parse_text(addition, where=path) if entries is None else entries
    if not new:
        raise ConfigError(f"{path}: holds no entry below generators")
    for name in new:
        if name in present:
            raise ConfigError(f"{target}: has a generator {name!r} already; rename the one in {path}, or remove this one first")
    text = _joined(_text(target), addition)
    # Only what reads as both together is written.
    if text is None or _parsed(text) != {**present, **new}:
        raise ConfigError(f"{target}: cannot be joined with {path} as text; write `generators:` in block style in both, one key a line")
    _replace(target, text)
    return list(new)


def set_values(workspace: Workspace, name: str, values: Mapping[str, Any]) -> None:
    """Give keys of an entry in params.yaml other values, comments kept.

    Args:
        values: by key below the entry, such as `train.optimizer.learning_rate`; a section that is not there is made.

    Raises:
        ConfigError: params.yaml would be refused with them; it is as before.
    """
    from io import StringIO

    from ruamel.yaml import YAML

    path = workspace.root / "params.yaml"
    present = params.load(workspace.root)
    wanted = {**present, name: search_space.overridden(name, present[name], values)}
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(_text(path))
    for key, value in values.items():
        section, (*sections, last) = document["generators"], [name, *key.split(".")]
        for part in sections:
            section[part] = _own(section.get(part, {}))
            section = section[part]
        section[last] = value
    written = StringIO()
    yaml.dump(document, written)
    if params.parse_text(written.getvalue(), where=str(path)) != wanted:
        raise ConfigError(f"{path}: cannot be written without changing more than {', '.join(values)}; write {in_words(values)} by hand")
    _replace(path, written.getvalue())


def _own(section: Any) -> Any:
    """A copy of a section, which no anchor or merge key shares with another one."""
    copied = copy.copy(section)
    if getattr(copied, "anchor", None) is not None:
        copied.yaml_set_anchor(None)
    return copied


def examples() -> list[str]:
    """Names of the examples that Gantry brings along."""
    return sorted(path.stem for path in template("examples").glob("*.yaml"))


def _example(file: str | Path) -> Path:
    path = Path(file)
    shipped = template(f"examples/{path.name.removesuffix('.yaml')}.yaml")
    if not path.exists() and path.parts[:-1] == ("examples",) and shipped.exists():  # as README names it, in a checkout
        return shipped
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    if shipped.exists():
        return shipped
    near = difflib.get_close_matches(path.name, examples(), n=1)
    hint = f"did you mean {near[0]}?" if near else f"examples: {', '.join(examples())}"
    raise ConfigError(f"{file}: neither a file nor an example; {hint}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: not there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({getattr(error, 'strerror', None) or error})") from None


def _joined(present: str, addition: str) -> str | None:
    """`present` with the entries of `addition` at its end, both as they were written; None where one has no block of entries."""
    present = re.sub(r"^generators:[ ]*\{[ ]*\}[ ]*$", "generators:", present, flags=re.MULTILINE)
    old, new = _ENTRIES.search(present), _ENTRIES.search(addition)
    if not old or not new:
        return None
    indent = _indent(old["entries"]) or 2
    shift = indent - (_indent(new["entries"]) or indent)
    lines = [" " * shift + line if shift > 0 else line[-shift:] for line in new["entries"].splitlines()]
    return "\n".join([present.rstrip(), *(line if line.strip() else "" for line in lines)]).rstrip() + "\n"


def _indent(entries: str) -> int:
    """Spaces before the first key."""
    keys = (line for line in entries.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return next((len(line) - len(line.lstrip(" ")) for line in keys), 0)


def _parsed(text: str) -> dict[str, params.Entry] | None:
    try:
        return params.parse_text(text, "params.yaml")
    except ConfigError:
        return None


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, with the permissions that it had."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        shutil.copymode(path, temporary)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
