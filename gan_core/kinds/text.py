"""Text as networks read it: words, a vocabulary, tokens.

Of a caption, which is only read, a word is a run of letters and digits, lower-cased; all else (punctuation, spaces, the underscore) parts
words. Of a sentence, which is also written, marks are words too, so that it can be put together again (`gan_core.kinds.spelling`). Token 0
is padding, token 1 stands for every word that the vocabulary lacks, and the words follow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan_core.errors import ConfigError
from gan_core.kinds.spelling import words

PADDING, UNKNOWN = 0, 1
MAX_WORDS = 64
"""Words of a caption or prompt; what follows them in a caption is cut."""
MAX_CHARACTERS = 1_000
"""Of a caption or prompt."""

_SPECIAL = 2  # tokens that are no words
_MOST_WORDS = 20_000


class Vocabulary:
    """The words that a network knows, by token."""

    def __init__(self, known: Sequence[str], split: Callable[[str], list[str]] = words) -> None:
        """`split` is what takes a text apart: `words` or `pieces`."""
        self.words = tuple(known)
        self._split = split
        self._tokens = {word: token for token, word in enumerate(self.words, start=_SPECIAL)}

    @classmethod
    def of(cls, texts: Iterable[str], split: Callable[[str], list[str]] = words, most: int = _MOST_WORDS) -> Vocabulary:
        """The words of texts, most frequent first and equally frequent ones by alphabet; at most so many."""
        counts = Counter(word for text in texts for word in split(text))
        return cls([word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]], split)

    def __len__(self) -> int:
        """Number of tokens, with padding and the unknown word."""
        return len(self.words) + _SPECIAL

    def encode(self, texts: Sequence[str], length: int | None = None) -> NDArray[np.int64]:
        """Tokens (N, T) of N texts, padded at the end; T is `length`, or the words of the longest text (at most 64)."""
        split = [self._split(text)[:MAX_WORDS] for text in texts]
        tokens = np.full((len(split), length or max(1, max(map(len, split), default=1))), PADDING, dtype=np.int64)
        for row, found in zip(tokens, split, strict=True):
            row[: len(found)] = [self._tokens.get(word, UNKNOWN) for word in found][: len(row)]
        return tokens

    def unknown(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Words of texts that it lacks, each once, in the order they come."""
        return tuple(dict.fromkeys(word for text in texts for word in self._split(text) if word not in self._tokens))


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse what is no prompt.

    Raises:
        ConfigError: one has no words, more than 64 words, or more than 1,000 characters; names it.
    """
    for prompt in prompts:
        if len(prompt) > MAX_CHARACTERS:
            raise ConfigError(f"prompt: has {len(prompt):,} characters, and at most {MAX_CHARACTERS:,} are read; shorten it")
        count = len(words(prompt))
        if not count:
            raise ConfigError(f"prompt: {prompt[:80]!r} has no words; write some, such as 'red heart'")
        if count > MAX_WORDS:
            raise ConfigError(f"prompt: has {count} words, and at most {MAX_WORDS} are read; shorten it")


@dataclass(frozen=True)
class Captions:
    """The captions of a split."""

    tokens: NDArray[np.int32]
    """(M, T)."""
    samples: NDArray[np.int64]
    """(M,) index of the sample that each belongs to, ascending."""
    texts: tuple[str, ...]
    """As they were written."""

    def drawn(self, samples: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """One caption for each of `samples` (N,), chosen by `draws` (N,) in [0, 1): indices int64 (N,)."""
        first, end = np.searchsorted(self.samples, samples), np.searchsorted(self.samples, samples, side="right")
        return first + (draws * (end - first)).astype(np.int64)

    def take(self, indices: NDArray[np.int64]) -> Captions:
        """Some of them, by ascending indices."""
        return Captions(self.tokens[indices], self.samples[indices], tuple(self.texts[i] for i in indices))
