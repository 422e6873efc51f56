"""What can be known before anything expensive starts: the entry, the workspace, whether the registry is there, and features."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import suppress

from gan_core.errors import RegistryError
from gan_core.params.common import SCRATCH, is_pretrained
from tasks.graph import repro, sharing
from tasks.params import Entry, load_entry
from tasks.records import tracking
from tasks.system import locks
from tasks.workspace import Workspace


def preflight(workspace: Workspace, name: str) -> Entry:
    """See that `name` can be retrained in `workspace`.

    Raises:
        ConfigError: params.yaml is wrong, has no such generator (then with the nearest name), or this is no workspace.
        RegistryError: the tracking server cannot be reached.
        ConfigError, DataError: as `check_start` and `check_features`.
        GantryError: somebody is retraining it already.
    """
    entry = load_entry(workspace.root, name)
    repro.prepare(workspace)
    sharing.check(workspace)
    locks.check_free(workspace, name)
    check_registry(workspace)
    check_start(workspace, name, entry)
    check_features(workspace, name, entry)
    return entry


def check_start(workspace: Workspace, name: str, entry: Entry) -> None:
    """See that what a training would start from is there, as far as that can be told without its checkpoint.

    Raises:
        ConfigError: `train.start` names nothing that there is, or something of another recipe; or dvc.yaml has no stage for it.
        RegistryError: the registry cannot be reached.
    """
    if entry.train.start == SCRATCH:
        return
    from tasks.start import check_stage, look_up  # with the registry, which a training from scratch does without here

    check_stage(workspace, entry.train)
    look_up(workspace, name, entry.train)


def check_features(workspace: Workspace, name: str, entry: Entry) -> None:
    """See that features which are not fitted can be had; nothing to do where `name` keeps them already.

    Raises:
        DataError: a network is asked for that others fitted, and its weights cannot be downloaded.
    """
    asked = entry.evaluation.features
    if not is_pretrained(asked):
        return
    kept = None
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads((workspace.features(name) / "config.json").read_text())["kind"]
    if kept != asked:
        from gan_core.metrics.pretrained import pretrained  # with torch, which a look at an entry does without

        pretrained(asked).downloaded()


def check_registry(workspace: Workspace, timeout: float = 5.0) -> None:
    """See that a tracking server answers, without loading MLflow; any answer will do. A database in a file needs no look.

    Raises:
        RegistryError: naming the address.
    """
    address = tracking.address(workspace)
    if not address.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=timeout).close()  # noqa: S310
    except urllib.error.HTTPError:
        return
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise RegistryError(
            f"{tracking.without_password(address)}: the MLflow server does not answer ({reason}); "
            "start it, or correct MLFLOW_TRACKING_URI (unset: a SQLite file in the workspace)"
        ) from None
