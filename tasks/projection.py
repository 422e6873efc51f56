"""The latents of pictures that a person gives, by pixels and the features that the generator's scores are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError, DataError
from gan_core.files import replacing
from gan_core.generator import Generator
from gan_core.kinds.pixels import Pixels
from gan_core.metrics.features import FeatureExtractor
from gan_core.pictures import rows, save_png
from gan_core.projection import Features, Projected
from tasks.workspace import Workspace


def features_of(workspace: Workspace, name: str, generator: Generator) -> Features | None:
    """The frozen features of an entry, as a function with a gradient; None where there are none for such images."""
    try:
        extractor = FeatureExtractor.load(workspace.features(name))
    except DataError:
        return None
    fits = extractor.kind in ("classifier", "random") and extractor.config.shape == generator.config.shape
    return extractor.network.features if fits else None


def check_place(out: Path) -> None:
    """Whether what is found can be written there.

    Raises:
        ConfigError: it is of another form.
    """
    if out.suffix.lower() not in (".png", ".npz"):
        raise ConfigError(f"--out {out}: use .png (each picture beside what was found) or .npz (latents too)")


def write_projected(targets: NDArray[Any], found: Sequence[Projected], out: Path, data: Pixels) -> None:
    """Write what was found, whole or not at all.

    Args:
        targets: (N, C, H, W), what was looked for.
        found: N of them.
        out: `.png`: each target beside its sample; `.npz`: `latents` (N, L), `images`, `targets`, `distances` and, where there are classes,
            `labels`.
        data: what the generator was trained on.
    """
    samples = np.stack([one.sample for one in found])
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix.lower() == ".png":
        save_png(rows(*map(data.pictured, (targets, samples))), out)
        return
    arrays = {"latents": np.stack([one.latent for one in found]), "images": samples, "targets": targets}
    arrays["distances"] = np.array([one.distance for one in found])
    labels = [one.label for one in found if one.label is not None]
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays, **({"labels": np.array(labels)} if labels else {}))  # type: ignore[arg-type]
