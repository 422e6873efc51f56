"""Lets torchvision be imported beside a CPU-only torch: `import gan_core.torchvision_cpu` comes before any import of torchvision.

PyPI's torchvision for Linux is built for CUDA. With a CPU-only torch its library of compiled operators cannot be loaded, and then
already its import fails (`operator torchvision::nms does not exist`), because it describes two operators that nobody declared. So
they are declared here, without code behind them. Data sets, transforms, models and utils work then; `torchvision.ops.nms` and
`torchvision.io.read_image` stay unavailable.

Where the compiled operators can be loaded nothing is declared, for a second declaration would be an error.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

_MISSING = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _operators_exist() -> bool:
    """Whether torchvision's compiled operators are there, after loading them as torchvision itself would."""
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    package = find_spec("torchvision")
    for folder in (package and package.submodule_search_locations) or ():
        for library in sorted(Path(folder).glob("_C*.so")):
            try:
                torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            except OSError:
                return False
    return hasattr(torch.ops.torchvision, "nms")


# Declarations last as long as this object.
_library: torch.library.Library | None = None
if not _operators_exist():
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for _name in _MISSING:
        _library.define(_name + _SCHEMA)  # type: ignore[no-untyped-call]
