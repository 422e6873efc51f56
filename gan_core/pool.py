"""Past translations, kept so that a discriminator does not forget what it has seen (Shrivastava et al., 2017, section 2.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_core.distributed import own_part, whole


class ImagePool(nn.Module):
    """A pool of past images. Its contents are buffers, so as a player of a recipe it is part of every checkpoint.

    Args:
        capacity: most images in it; 0 keeps none.
        shape: (C, H, W) of one.
    """

    images: Tensor
    held: Tensor

    def __init__(self, capacity: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(capacity, *shape))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))

    def exchange(self, images: Tensor) -> Tensor:
        """What to show instead of new `images` (N, C, H, W), without gradient.

        While there is room, each new image is kept and shown. Then, half of the time, a random kept one is shown and the new one takes
        its place. Where several processes train, each of them keeps the same pool, of all their images.
        """
        capacity, shown = len(self.images), []
        if not capacity:
            return images.detach()
        # Draws for a whole batch, so that its parts can be exchanged by several processes or one after another.
        swaps = whole(torch.rand(len(images), device=images.device)) < 0.5
        places = whole(torch.randint(capacity, (len(images),), device=images.device))
        images = whole(images.detach().to(self.images.dtype))
        for image, swap, place in zip(images, swaps.tolist(), places.tolist(), strict=True):
            held = int(self.held)
            if held < capacity:
                self.images[held] = image
                self.held += 1
            elif swap:
                image, self.images[place] = self.images[place].clone(), image
            shown.append(image)
        return own_part(torch.stack(shown))
