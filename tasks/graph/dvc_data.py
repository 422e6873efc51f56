"""Data of the past, by its DVC hash, in another workspace than the one whose cache or remote holds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gan_core.errors import DataError
from tasks.workspace import Workspace


@contextmanager
def bringing(origin: Workspace, there: Workspace) -> Iterator[Callable[[str, Path], None]]:
    """Bring data of the workspace `origin` to the workspace `there`.

    Yields:
        What brings data of a DVC hash to a path below `there`, from the cache or a remote of `origin`. It raises `DataError` where
        neither has the whole of it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    with Repo(str(origin.root.resolve())) as repo:
        cache, remotes = repo.cache.local_cache_dir, {name: dict(remote) for name, remote in repo.config["remote"].items()}
        default = repo.config["core"].get("remote")
    # Made by hand: DVC's own `init` prints.
    (there.root / ".dvc").mkdir(exist_ok=True)
    (there.root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n")
    with Repo(str(there.root)) as repo, repo.config.edit("local") as settings:
        settings["cache"]["dir"] = cache
        settings["remote"] = remotes
        settings["core"].update({"remote": default} if default else {})

    def bring(digest: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pointer = path.with_name(f"{path.name}.dvc")
        pointer.write_text(json.dumps({"outs": [{"md5": digest, "hash": "md5", "path": path.name}]}))  # JSON is YAML
        with Repo(str(there.root)) as fresh:
            try:
                try:
                    fresh.checkout(targets=[str(pointer)])
                except DvcException:
                    fresh.pull(targets=[str(pointer)])
            except DvcException as error:
                where = (
                    f"the remote{'s' if len(remotes) > 1 else ''} {', '.join(remotes)}" if remotes else "a remote, of which there is none"
                )
                raise DataError(
                    f"{path.name} of DVC hash {digest} is not whole in the cache, {cache}, nor in {where}; "
                    f"`dvc pull` or a backup may bring it back ({' '.join(str(error).split())[:200]})"
                ) from None

    yield bring
