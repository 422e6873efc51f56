"""torchmetrics and torch-fidelity, the references of these tests, import torchvision."""

import gan_core.torchvision_cpu  # noqa: F401
