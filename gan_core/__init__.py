"""The GANs themselves, in plain PyTorch: data, networks, losses, recipes, the loop, metrics, the deployable generator.

What a notebook needs comes by one import, and is loaded when it is first used:

>>> from gan_core import GanParams, Generator, data_from_arrays, fid, train
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_core.data.dataset import Dataset
    from gan_core.errors import GantryError
    from gan_core.generator import Generator, Samples
    from gan_core.notebook import Live, data_from_arrays, data_from_folder, fid
    from gan_core.params.gan import GanParams
    from gan_core.pictures import curves, grid, save_png, scatter
    from gan_core.training import Progress, train

__all__ = [
    "Dataset",
    "GanParams",
    "GantryError",
    "Generator",
    "Live",
    "Progress",
    "Samples",
    "curves",
    "data_from_arrays",
    "data_from_folder",
    "fid",
    "grid",
    "save_png",
    "scatter",
    "train",
]

_PLACES = {
    "data.dataset": ("Dataset",),
    "errors": ("GantryError",),
    "generator": ("Generator", "Samples"),
    "notebook": ("Live", "data_from_arrays", "data_from_folder", "fid"),
    "params.gan": ("GanParams",),
    "pictures": ("curves", "grid", "save_png", "scatter"),
    "training": ("Progress", "train"),
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: whoever only reads parameters does not wait for torch."""
    for module, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"gan_core.{module}"), name)
    raise AttributeError(f"module 'gan_core' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
