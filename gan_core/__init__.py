"""The GANs themselves, in plain PyTorch: data, networks, losses, recipes, the loop, metrics, the deployable generator."""
