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
            both = self._in_context(embedded, lengths) + self.from_words(embedded)
            mean = (both * is_word[:, :, None]).sum(dim=1) / lengths[:, None]
            return F.layer_norm(mean, (TEXT_WIDTH,))

    def _in_context(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """What the recurrent layer makes of words (N, T, WORD_WIDTH), of so many each: (N, T, TEXT_WIDTH), any values behind the last."""
        if not torch.compiler.is_exporting():
            packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
            in_context, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=embedded.shape[1])
            return in_context
        # A graph has no packed sequences: each way by itself, the way back on words whose order is reversed and padding still at the end.
        half = TEXT_WIDTH // 2
        weights = [getattr(self.gru, name) for name in self.gru._flat_weights_names]  # of the way there, and then of the way back
        place = torch.arange(embedded.shape[1], device=embedded.device)
        reversing = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)[:, :, None]

        def one_way(inputs: Tensor, weights: list[Tensor]) -> Tensor:
            start = inputs.new_zeros(1, inputs.shape[0], half)
            return torch.gru(inputs, start, weights, True, 1, 0.0, False, False, True)[0]

        there = one_way(embedded, weights[:4])
        back = one_way(embedded.gather(1, reversing.expand(-1, -1, WORD_WIDTH)), weights[4:])
        return torch.cat([there, back.gather(1, reversing.expand(-1, -1, half))], dim=2)


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
