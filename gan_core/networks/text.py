"""Networks that read captions, and those that match them with images."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gan_core.kinds.text import PADDING, UNKNOWN
from gan_core.networks.common import resolutions
from gan_core.networks.linear import Linear

WORD_WIDTH = 96
TEXT_WIDTH = 128
"""Length of a caption's embedding."""


class TextEncoder(nn.Module):
    """Words' embeddings, a bidirectional GRU over them, and the mean over both: tokens (N, T) -> (N, TEXT_WIDTH),
    each with mean 0 and deviation 1.

    In training each word turns into the unknown word with probability `word_dropout`, so that this one gets a meaning and no single
    rare word stands for a picture.
    """

    def __init__(self, words: int, word_dropout: float = 0.1) -> None:
        super().__init__()
        self.word_dropout = word_dropout
        self.embedding = nn.Embedding(words, WORD_WIDTH, padding_idx=PADDING)
        self.gru = nn.GRU(WORD_WIDTH, TEXT_WIDTH // 2, batch_first=True, bidirectional=True)
        self.from_words = Linear(WORD_WIDTH, TEXT_WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        is_word = tokens != PADDING
        if self.training and self.word_dropout:
            dropped = (torch.rand(tokens.shape, device=tokens.device) < self.word_dropout) & is_word
            tokens = tokens.masked_fill(dropped, UNKNOWN)
        # A recurrent network gains nothing from half precision on a processor, and loses its fast path there.
        with torch.autocast(tokens.device.type, enabled=False):
            embedded = self.embedding(tokens)
            lengths = is_word.sum(dim=1).clamp(min=1)
            packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
            in_context, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=tokens.shape[1])
            both = in_context + self.from_words(embedded)
            mean = (both * is_word[:, :, None]).sum(dim=1) / lengths[:, None]
            return F.layer_norm(mean, (TEXT_WIDTH,))


class ImageEncoder(nn.Module):
    """Strided convolutions to the smallest resolution and a mean over it: (N, C, H, W) in -1..1 -> (N, TEXT_WIDTH)."""

    def __init__(self, shape: tuple[int, ...], width: int = 32) -> None:
        super().__init__()
        levels, _ = resolutions(shape, "matcher")
        channels = [shape[0], *(min(width * 2**level, 4 * width) for level in range(levels))]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.trunk = nn.Sequential(*layers)
        self.head = Linear(channels[-1], TEXT_WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        encoded: Tensor = self.head(self.trunk(images).mean(dim=(2, 3)))
        return encoded


def similarities(images: Tensor, texts: Tensor) -> Tensor:
    """Cosines between embeddings of images (N, D) and of captions (M, D): float32 (N, M)."""
    return F.normalize(images.float(), dim=1) @ F.normalize(texts.float(), dim=1).T
